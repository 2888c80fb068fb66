"""What a state backend promises.

In: a factory of state backends, by run id. Out: the promises that it breaks. Invariant: run ids are new each time, so
that backends over one shared file or server can be held to them too.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from cascade.interfaces.protocols import StateBackend
from cascade.testing.conformance.cases import TIMEOUT, Case, Trial, case, expect, run_cases

__all__ = ["STATE_BACKEND_CASES", "check_state_backend"]

Factory = Callable[[str], StateBackend]
STATE_BACKEND_CASES: Final[list[Case]] = []

THREADS, PUTS = 8, 25
ODD_NAMES = ("load#2", "a b", "é✓", "it's", 'quo"te', "100%", "[3]", "", "x" * 500, "new\nline", "A", "a")
VALUES: Final[dict[str, Any]] = {
    "none": None,
    "false": False,
    "number": 7,
    "float": 0.1,
    "text": "é",
    "bytes": b"\x00\xff",
    "list": [1, [2, None]],
    "dict": {"a": (1, 2), 3: {4}},
    "type": dict,
}


def check_state_backend(factory: Factory, *, timeout: float = TIMEOUT) -> None:
    """Hold the state backends that `factory` makes to every promise of `StateBackend`.

    Args:
        factory: makes one for a run id; it is closed after use.
        timeout: seconds that several threads may take together.

    Raises:
        ConformanceError: lists each promise that is broken.

    Example:
        >>> from cascade.adapters.state.memory import MemoryStateBackend
        >>> check_state_backend(MemoryStateBackend)
    """
    run_cases("a state backend", STATE_BACKEND_CASES, factory, timeout)


_decoded: list[str] = []


def _decode() -> str:
    _decoded.append("decoded")
    return "decoded"


class _Loud:
    """A value that tells when it is decoded."""

    def __reduce__(self) -> Any:
        return _decode, ()


@contextmanager
def _begun(trial: Trial) -> Iterator[Any]:
    """Make a backend for a run of its own, and begin the run."""
    run_id = secrets.token_hex(6)
    with trial.using(run_id) as backend:
        backend.begin_run(run_id)
        yield backend


# -- values ---------------------------------------------------------------------------------------------------------


@case(STATE_BACKEND_CASES)
def begins_empty(trial: Trial) -> None:
    """A new run knows nothing."""
    with _begun(trial) as backend:
        known = (list(backend.results()), dict(backend.skips()), dict(backend.metadata()))
        expect(known == ([], {}, {}), f"it knows {known}")


@case(STATE_BACKEND_CASES)
def gives_values_back(trial: Trial) -> None:
    """A value comes back equal and of the same type; None and False are values."""
    with _begun(trial) as backend:
        for node, value in VALUES.items():
            backend.put_result(node, value)
        for node, value in VALUES.items():
            found = backend.get_result(node)
            expect(type(found) is type(value) and found == value, f"{value!r} came back as {found!r}")
            expect(backend.has_result(node) is True, f"has_result says no, though {value!r} was put")
        expect(sorted(backend.results()) == sorted(VALUES), f"results() names {sorted(backend.results())}")


@case(STATE_BACKEND_CASES)
def knows_what_it_has_not(trial: Trial) -> None:
    """A node without a value is a KeyError for `get_result` and False for `has_result`."""
    with _begun(trial) as backend:
        backend.mark_skipped("skipped", "its run_if is false")
        for node in ("unknown", "skipped"):
            expect(backend.has_result(node) is False, f"has_result says yes of '{node}', which has no value")
            try:
                found = backend.get_result(node)
            except KeyError:
                continue
            raise AssertionError(f"get_result returned {found!r} for '{node}', which has no value")


@case(STATE_BACKEND_CASES)
def replaces_values(trial: Trial) -> None:
    """A second value of a node replaces the first."""
    with _begun(trial) as backend:
        backend.put_result("node", [1])
        backend.put_result("node", [2])
        found = backend.get_result("node"), list(backend.results())
        expect(found == ([2], ["node"]), f"after [1] and then [2], there is {found}")


@case(STATE_BACKEND_CASES)
def keeps_odd_names_apart(trial: Trial) -> None:
    """Node ids are any text, and none is taken for another."""
    with _begun(trial) as backend:
        for number, node in enumerate(ODD_NAMES):
            backend.put_result(node, number)
            backend.mark_skipped(node, str(number))
        found = [backend.get_result(node) for node in ODD_NAMES]
        wrong = [repr(ODD_NAMES[n][:20]) for n, value in enumerate(found) if value != n]
        expect(not wrong, f"these have the value of another: {', '.join(wrong)}")
        expect(set(backend.skips()) == set(ODD_NAMES), f"skips() names {list(backend.skips())}")


@case(STATE_BACKEND_CASES)
def takes_what_it_cannot_keep(trial: Trial) -> None:
    """A value that cannot be copied is no error when it is put; `has_result` and `get_result` agree about it."""
    with _begun(trial) as backend:
        backend.put_result("lock", threading.Lock())
        backend.put_result("after", 1)
        expect(backend.get_result("after") == 1, "the value that was put after it is lost")
        try:
            backend.get_result("lock")
        except Exception as error:  # noqa: BLE001 - any error will do, if has_result agrees
            expect(not backend.has_result("lock"), f"has_result says yes, and get_result raises {error!r}")
        else:
            expect(backend.has_result("lock"), "has_result says no, and get_result returns a value")


@case(STATE_BACKEND_CASES)
def decodes_only_on_demand(trial: Trial) -> None:
    """No value is decoded unless it is asked for: not by `has_result`, not by `results`, not by another node."""
    with _begun(trial) as backend:
        backend.put_result("loud", _Loud())
        backend.put_result("other", 1)
        backend.flush()
        _decoded.clear()
        backend.has_result("loud"), backend.results(), backend.get_result("other"), backend.skips()
        expect(not _decoded, "a value was decoded that nobody asked for")


# -- skips and facts ------------------------------------------------------------------------------------------------


@case(STATE_BACKEND_CASES)
def keeps_reasons(trial: Trial) -> None:
    """The reason of a skip comes back; a node that was not skipped has none, and a skip is no value."""
    with _begun(trial) as backend:
        backend.mark_skipped("a", "its run_if is false")
        backend.mark_skipped("b", "")
        found = [backend.get_skip_reason(node) for node in "abc"]
        expect(found == ["its run_if is false", "", None], f"the reasons are {found}")
        expect(dict(backend.skips()) == {"a": "its run_if is false", "b": ""}, f"skips() is {dict(backend.skips())}")
        expect(list(backend.results()) == [], "skipped nodes are among the results")


@case(STATE_BACKEND_CASES)
def keeps_facts(trial: Trial) -> None:
    """Facts come back as they were last put; one that is not known is None."""
    facts = {"name": "demo", "nodes": 3, "share": 0.5, "ok": True, "error": None, "targets": ["a", {"b": [1]}]}
    with _begun(trial) as backend:
        backend.put_metadata("nodes", 2)
        for key, fact in facts.items():
            backend.put_metadata(key, fact)
        expect(dict(backend.metadata()) == facts, f"metadata() is {dict(backend.metadata())}")
        expect(backend.get_metadata("targets") == facts["targets"], "get_metadata gives something else")
        expect(backend.get_metadata("unknown") is None, "a fact that is not known is not None")


@case(STATE_BACKEND_CASES)
def refuses_other_facts(trial: Trial) -> None:
    """A fact that is no plain value is refused at once, in words, and nothing is changed."""
    with _begun(trial) as backend:
        backend.put_metadata("key", 1)
        try:
            backend.put_metadata("key", object())
        except Exception as error:  # noqa: BLE001 - any error will do, if it has words
            expect(str(error), f"a {type(error).__name__} without words")
        else:
            raise AssertionError("an object was taken")
        expect(backend.get_metadata("key") == 1, "the fact that was there is lost")


# -- runs, threads, ends --------------------------------------------------------------------------------------------


@case(STATE_BACKEND_CASES)
def keeps_runs_apart(trial: Trial) -> None:
    """What one run knows, another one does not see."""
    with _begun(trial) as one, _begun(trial) as other:
        one.put_result("node", 1)
        one.mark_skipped("skipped", "why")
        one.put_metadata("key", 1)
        one.flush()
        known = (list(other.results()), dict(other.skips()), dict(other.metadata()))
        expect(known == ([], {}, {}), f"another run sees {known}")
        other.put_result("node", 2)
        expect(one.get_result("node") == 1, "the value of a node was replaced by that of another run")


@case(STATE_BACKEND_CASES)
def begins_again(trial: Trial) -> None:
    """`begin_run` with the same id keeps what is known; with another one, a backend knows nothing of the run before."""
    first, second = secrets.token_hex(6), secrets.token_hex(6)
    with trial.using(first) as backend:
        backend.begin_run(first)
        backend.put_result("node", 1)
        backend.mark_skipped("skipped", "why")
        backend.put_metadata("key", 1)
        backend.begin_run(first)
        expect(backend.has_result("node"), "beginning the same run again has lost its values")
        backend.begin_run(second)
        known = (list(backend.results()), dict(backend.skips()), dict(backend.metadata()))
        expect(known == ([], {}, {}), f"the next run begins with {known}")


@case(STATE_BACKEND_CASES)
def works_in_threads(trial: Trial) -> None:
    """Several threads may write and read at once, and nothing is lost."""
    with _begun(trial) as backend:

        def work(number: int) -> None:
            for n in range(PUTS):
                node = f"{number}-{n}"
                backend.put_result(node, [number, n])
                backend.mark_skipped(node, node)
                expect(backend.get_result(node) == [number, n], f"the thread that put '{node}' does not find it")
                list(backend.results()), dict(backend.skips())

        trial.in_threads(THREADS, work)
        counts = (len(backend.results()), len(backend.skips()))
        expect(counts == (THREADS * PUTS,) * 2, f"of {THREADS * PUTS} values and skips, {counts} are left")


@case(STATE_BACKEND_CASES)
def closes_twice(trial: Trial) -> None:
    """Flushing and closing may be done twice, also without anything written."""
    with _begun(trial) as backend:
        backend.flush()
        backend.put_result("node", 1)
        backend.flush()
        backend.flush()
        backend.close()
        backend.close()
    unused = trial.factory(secrets.token_hex(6))
    unused.close()
    unused.close()
