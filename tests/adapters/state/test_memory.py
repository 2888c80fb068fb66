from __future__ import annotations

from itertools import repeat
from timeit import timeit

import pytest

from cascade.adapters.state.errors import StateError
from cascade.adapters.state.memory import MemoryStateBackend
from cascade.testing.conformance import STATE_BACKEND_CASES, Case, check_state_backend


@pytest.mark.parametrize("case", STATE_BACKEND_CASES, ids=str)
def test_promises(case: Case) -> None:
    """The memory backend keeps every promise of a state backend."""
    case(MemoryStateBackend)


def test_kit_in_one_line() -> None:
    """The whole kit says nothing when all is well."""
    check_state_backend(MemoryStateBackend)


def test_values_by_reference() -> None:
    """A value is the very object that was put."""
    state, value = MemoryStateBackend("r"), [1]
    state.put_result("node", value)
    assert state.get_result("node") is value


def test_put_is_one_store() -> None:
    """Putting a value costs about as much as a call and a store into a dict: nothing is encoded or locked."""
    state, table = MemoryStateBackend("r"), {}

    class Peer:
        def put(self, node: str, value: object) -> None:
            table[node] = value

    put, bare = state.put_result, Peer().put
    ours, theirs = (
        min(timeit(lambda each=each: [each(n, v) for n, v in zip("abcdefgh", repeat(1), strict=False)], number=300)
            for _ in range(5))
        for each in (put, bare)
    )  # fmt: skip
    assert ours < 3 * theirs


def test_it_can_be_read_after_its_end() -> None:
    """Closing lets go of nothing that somebody may want to look at."""
    state = MemoryStateBackend("r")
    state.put_result("node", 1)
    state.close()
    assert state.get_result("node") == 1
    assert repr(state) == "<state of run 'r' in memory: 1 values, 0 skipped>"


def test_a_nameless_one_takes_the_first_run() -> None:
    """A backend that was made without a run belongs to the one that begins first, and keeps what it knew of it."""
    state = MemoryStateBackend()
    state.put_metadata("who", "me")
    state.begin_run("r1")
    assert state.run_id == "r1"
    assert state.metadata() == {"who": "me"}


def test_wrong_facts_are_named() -> None:
    """A fact that is no plain value is an error that names it and says what facts are."""
    with pytest.raises(StateError) as caught:
        MemoryStateBackend("r").put_metadata("model", object())
    assert str(caught.value) == (
        "The fact 'model' about a run cannot be kept: Object of type object is not JSON serializable. "
        "Facts are text, numbers, booleans, None, and lists and dicts of them."
    )
