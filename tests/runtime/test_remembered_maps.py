"""Maps over what comes while they run: each element that is stored is recalled, the others are computed."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.stores.local import LocalStore
from cascade.interfaces import events as ev

QUIET: dict[str, Any] = {"log_level": None}
PULL = 256  # items that are asked for at once


@pytest.fixture
def ran() -> list[Any]:
    """The items that really ran."""
    return []


@pytest.fixture
def store(tmp_path):
    """A store of its own, with a key of its own."""
    with LocalStore(tmp_path / "store", key_file=tmp_path / "key") as made:
        yield made


@pytest.fixture
def square(ran):
    """Return a function that makes the map of a task in some mode."""

    def make(xs: Any, mode: str | None = None, **options: Any) -> Any:
        def sq(x, log):
            log.append(x)
            return x * x

        async def asq(x, log):
            log.append(x)
            return x * x

        task = cs.task(pure=True, ignore=("log",), mode=mode if mode != "async" else None)
        return task(asq if mode == "async" else sq).map(x=xs, log=cs.unmapped(ran), **options)

    return make


def taken(log: list[Any]) -> list[Any]:
    """What is in the list since the last look."""
    found = sorted(log)
    log.clear()
    return found


def counted(count: int | None, asked: list[int]) -> Iterator[int]:
    """Numbers, without an end if `count` is None; notes each that is asked for."""
    for n in itertools.count() if count is None else range(count):
        asked.append(n)
        yield n


@pytest.mark.parametrize("mode", ["blocking", "inline", "async"])
@pytest.mark.parametrize("bound", [None, 2])
def test_elements_of_an_iterator_are_recalled_one_by_one(mode, bound, square, ran, store) -> None:
    """A second run over a generator computes nothing, a longer one what is new; the order is that of the inputs."""
    for count, expected in ((300, range(300)), (300, range(0)), (303, range(300, 303)), (1, range(0)), (0, range(0))):
        run = cs.start(square(counted(count, []), mode, max_concurrency=bound), cache=store, **QUIET)
        assert run.result(30) == [n * n for n in range(count)]
        assert taken(ran) == list(expected)
        recalled = sum(e.count for e in run.events if isinstance(e, ev.ItemsRecalled))
        assert recalled == count - len(expected)
    stored = cs.start(square(counted(5, []), mode), cache=store, **QUIET)
    stored.result(10)
    assert [e.node for e in stored.events if isinstance(e, ev.NodeRecalled)] == ["sq" if mode != "async" else "asq"]


def test_what_a_task_returns_may_be_an_iterator(square, ran, store) -> None:
    """A generator that another task gives is looked up element by element, mixed with new elements."""

    @cs.task
    def numbers(first, last):
        return (n for n in range(first, last))

    assert cs.run(square(numbers(10, 20)), cache=store, **QUIET) == [n * n for n in range(10, 20)]
    taken(ran)
    assert cs.run(square(numbers(5, 25)), cache=store, **QUIET) == [n * n for n in range(5, 25)]
    assert taken(ran) == [*range(5, 10), *range(20, 25)]


def test_no_more_is_asked_for_than_is_needed(ran, store) -> None:
    """A failure at a place ends an endless input a slice later at most, also where all before it was stored."""

    @cs.task(pure=True, ignore=("log",))
    def sq(x, log):
        log.append(x)
        if x == 600:
            raise ValueError("enough")
        return x * x

    for expected in (600, 0):
        asked: list[int] = []
        with pytest.raises(ValueError, match="enough"):
            cs.run(sq.map(x=counted(None, asked), log=cs.unmapped(ran), max_concurrency=1), cache=store, **QUIET)
        assert asked == list(range(len(asked)))
        assert 600 < len(asked) <= 600 + 2 * PULL
        assert len([x for x in taken(ran) if x != 600]) == expected


def test_an_input_that_fails_fails_the_map(square, ran, store) -> None:
    """What an iterator raises comes out, in a run that recalls as in the first one."""

    def broken() -> Iterator[int]:
        yield from range(300)
        raise OSError("the line is dead")

    for _ in range(2):
        with pytest.raises(OSError, match="the line is dead"):
            cs.run(square(broken()), cache=store, **QUIET)
    assert cs.run(square(iter(range(PULL))), cache=store, **QUIET) == [n * n for n in range(PULL)]


def test_a_map_that_recalls_can_be_cancelled(square, ran, store) -> None:
    """Cancelling while elements come from the store ends the run; nothing hangs, nothing runs."""
    cs.run(square(iter(range(2000))), cache=store, **QUIET)
    taken(ran)
    reached, go = threading.Event(), threading.Event()

    def slow() -> Iterator[int]:
        yield from range(1500)
        reached.set()
        go.wait(10)
        yield from range(1500, 2000)

    run = cs.start(square(slow()), cache=store, **QUIET)
    assert reached.wait(10)
    run.cancel("enough")
    go.set()
    with pytest.raises(Exception, match="enough"):
        run.result(10)
    assert run.state == "cancelled"
    assert taken(ran) == []


def test_items_that_fail_are_collected_and_tried_again(ran, store) -> None:
    """With on_error='collect' the good items of an iterator are remembered, and the bad ones run again."""

    @cs.task(pure=True, ignore=("log",))
    def odd(x, log):
        log.append(x)
        if x % 2 == 0:
            raise ValueError(str(x))
        return x

    for expected in (range(10), range(0, 10, 2)):
        found = cs.run(odd.map(x=iter(range(10)), log=cs.unmapped(ran), on_error="collect"), cache=store, **QUIET)
        assert [type(value) for value in found] == [ValueError, int] * 5
        assert taken(ran) == list(expected)


def test_what_all_items_share_is_keyed_once(store) -> None:
    """A large argument that goes whole to each item is looked at once for all of them that are looked up together."""
    asked = []

    class Large:
        def __cascade_digest__(self) -> str:
            asked.append(1)
            return "large"

    @cs.task(pure=True)
    def use(x, large):
        return x

    looks = []
    for count in (10, 200):
        cs.run(use.map(x=list(range(count)), large=cs.unmapped(Large())), cache=store, **QUIET)
        looks.append(len(taken(asked)))
    assert looks[0] == looks[1] < 10


def test_a_resource_counts_by_its_name(ran, store) -> None:
    """Items of a map that use a connection, which has no key of its own, are recalled as single calls are."""

    @cs.resource
    def connection() -> Iterator[Any]:
        yield threading.Lock()

    @cs.task(pure=True, ignore=("log",))
    def ask(x, log, db=cs.inject(connection)):
        log.append((x, db.locked()))
        return x

    for expected in ([(1, False), (2, False)], []):
        assert cs.run(ask.map(x=[1, 2], log=cs.unmapped(ran)), cache=store, **QUIET) == [1, 2]
        assert taken(ran) == expected


def test_the_history_knows_the_items_of_a_map(square, ran, store) -> None:
    """The row of a map says how many ran, which, who made the others, and what else it was given."""
    cs.run(square([1, 2, 3]), cache=store, **QUIET)
    run = cs.start(square(iter([9, 1, 2, 3])), cache=store, **QUIET)
    run.result(10)
    (row,) = store.nodes(run.run_id)
    items = json.loads(row.items)
    first = store.runs()[1].run_id
    assert (items["total"], items["stored"], items["ran"], items["made"]) == (4, 3, [0], [[first, 3]])
    elements = store.get_text(items["elements"])
    assert elements is not None
    assert len(set(elements.split(","))) == 4
    assert [[name, key] for name, key, _, _ in json.loads(row.inputs)] == [["x", ""]]
    assert row.memory > 0
