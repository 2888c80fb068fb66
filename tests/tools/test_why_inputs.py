"""Inputs that changed, as `why` and `diff` tell them."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

import pytest

import cascade as cs
from cascade.adapters.stores.local import LocalStore
from cascade.tools.diff import diff
from cascade.tools.lineage import lineage
from cascade.tools.why import why


@pytest.fixture
def store(tmp_path):
    """A store of its own."""
    with LocalStore(tmp_path / "store", key_file=tmp_path / "key") as made:
        yield made


def go(store, target, **params):
    """Run to the end."""
    cs.run(target, params, cache=store, log_level=None, timeout=30)


class Mode(enum.Enum):
    """A way to fit."""

    FAST = 1
    SLOW = 2


@dataclass(frozen=True)
class Setting:
    """An argument of the user's own class, with something that nobody should read."""

    degree: int = 2
    password: str = "hunter2"


INPUTS = [
    (([1, 2],), ([1, 3],), "x [1, 2] → [1, 3]"),
    (({"a": 1},), ({"a": 2},), "x {'a': 1} → {'a': 2}"),
    ((Mode.FAST,), (Mode.SLOW,), "x Mode.FAST → Mode.SLOW"),
    ((Setting(),), (Setting(3),), "x Setting(degree=2, password=•••) → Setting(degree=3, password=•••)"),
    ((list(range(99)),), ([*range(98), 0],), r"x list of 99, with another content: digest \w{8} → \w{8}"),
    ((1, 2), (1,), "the argument 2 is gone"),
    ((1,), (1, 2), "the argument 2 is new"),
]


@pytest.mark.parametrize(("before", "after", "told"), INPUTS)
def test_an_input_is_told_by_what_is_in_it(store, before, after, told):
    """Small values are shown, large ones by shape and digest, and nothing whose name says that it is secret."""

    @cs.task(pure=True)
    def fit(x, *rest):
        return 1

    go(store, fit(*before))
    go(store, fit(*after))
    assert re.fullmatch(f"ran: {told if 'digest' in told else re.escape(told)}", str(why("fit", cache=store)))


def test_a_digest_of_a_secret_is_not_told(store):
    """That a secret is another one is said, and no more."""

    @cs.task(pure=True)
    def login(word):
        return len(word)

    for word in ("hunter2", "hunter3"):
        go(store, login(cs.Param("word", secret=True)), word=word)
    assert str(why("login", cache=store)) == "ran: word •••, with another content"


def test_what_came_from_many_nodes_is_told_in_a_line(store):
    """Of many sources those are named that ran, and of a difference the first lines; what has no row is not "gone"."""

    @cs.task(pure=True)
    def part(i, more):
        return i + more

    @cs.task(pure=True)
    def whole(parts):
        return sum(parts)

    def make(changed, more):
        return whole([part(i, more if i in changed else 0) for i in range(1100)])

    for changed, more in (((), 0), ((5,), 1), ((), 0), (range(1100), 2)):
        go(store, make(changed, more))
    told = "ran: parts is new from part, part#2, part#3 and 1,097 more (list of 1,100, with another content: digest "
    assert str(why("whole", cache=store)).startswith(told)
    told = "ran: parts is new from part#6 (list of 1,100, with another content: digest "
    assert str(why("whole", run=2, cache=store)).startswith(told)
    assert len(str(lineage("whole", cache=store)).splitlines()) == 201
    lines = str(diff(1, 4, cache=store)).splitlines()
    assert len(lines) == 52
    assert lines[-1] == "… and 1,051 more changed"
    found = diff(2, 3, cache=store)
    assert list(found.changes) == ["whole"]
    assert (found.added, found.gone, found.same) == ((), (), 0)
    assert found.notes == ("Run 3 had 1,100 nodes more that nothing needed, of which no more is known.",)
