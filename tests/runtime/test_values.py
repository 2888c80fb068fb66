"""Values of every kind and graphs of every size: what goes in comes out, and nothing is kept longer than needed."""

from __future__ import annotations

import contextvars
import dataclasses
import gc
import sys
import weakref
from typing import Any, NamedTuple

import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.runtime.attempts import current_attempt

QUIET: dict[str, Any] = {"log_level": None}


@cs.task
def add(x: Any, y: Any = 0) -> Any:
    return x + y


@cs.task(mode="inline")
def same(x: Any) -> Any:
    return x


@cs.task
def first(*args: Any, **kwargs: Any) -> Any:
    return args[0] if args else kwargs


class Spot(NamedTuple):
    x: Any
    y: Any


@dataclasses.dataclass
class Box:
    content: Any
    size: int = 1


class Plain:
    """Not a container: goes through as it is."""


def test_lazy_results_at_any_depth() -> None:
    """Lazy results in lists, tuples, sets, dicts, named tuples and dataclasses arrive as values, in the same shape."""
    one, param = same(1), cs.Param("p", default=5)
    plain = Plain()
    given = {"a": [one, (one, {one})], one: Box(Spot(one, [param])), "rest": (plain, frozenset([one]))}
    found = cs.run(first(given), **QUIET)
    assert found == {"a": [1, (1, {1})], 1: Box(Spot(1, [5])), "rest": (plain, frozenset([1]))}
    assert found["rest"][0] is plain
    assert isinstance(found[1].content, Spot)


def test_target_keeps_its_shape() -> None:
    """A target may be a dict, a list, a tuple or a dataclass of lazy results; the value has the same shape."""
    found = cs.run({"a": [same(1), 2], "b": (same(3),), "c": Box(same(4))}, **QUIET)
    assert found == {"a": [1, 2], "b": (3,), "c": Box(4)}


@pytest.mark.parametrize("mode", ["inline", "blocking"])
def test_none_is_a_value(mode: str) -> None:
    """None goes through arguments, items, fallbacks, routes, maps and targets like anything else."""
    nothing = cs.task(lambda *args: None, name="nothing", mode=mode)  # type: ignore[call-overload]
    show = cs.task(lambda *args: args, name="show", mode=mode)  # type: ignore[call-overload]
    gone = nothing().run_if(False).with_fallback(None)
    route = cs.Router(selector=nothing(), routes={None: nothing()})
    assert cs.run(show(nothing(), gone, route, [nothing()]), **QUIET) == (None, None, None, [None])
    assert cs.run(nothing.map([1, None, 3]), **QUIET) == [None, None, None]
    assert cs.run(nothing(), **QUIET) is None
    assert cs.run(show(cs.Param("empty", default=None)), **QUIET) == (None,)


def test_users_containers_are_not_changed() -> None:
    """What a task gets is made anew; the list that the user wrote still holds the lazy result."""
    lazy = same(1)
    given = [lazy, [lazy]]
    assert cs.run(first(given), **QUIET) == [1, [1]]
    assert given[0] is lazy


def test_tasks_see_the_callers_context_variables() -> None:
    """Context variables of the caller hold in threads, inline, on the loop; what tasks set does not come back."""
    place = contextvars.ContextVar("place", default="nowhere")
    place.set("here")

    def read(_: Any = None) -> str:
        found = place.get()
        place.set("changed")
        return found

    async def read_later() -> str:
        return read()

    calls = [cs.task(read)(), cs.task(place.get, mode="inline")(), cs.task(read_later)(), cs.task(read).map([1, 2])]
    assert cs.run(calls, **QUIET) == ["here", "here", "here", ["here", "here"]]
    assert place.get() == "here"


def test_big_values_are_let_go_after_their_last_use() -> None:
    """A value that nobody needs any more does not stay until the end of the run."""

    class Big:
        pass

    alive: list[int] = []
    made: list[Any] = []

    def make(_: Any) -> Big:
        big = Big()
        made.append(weakref.ref(big))
        alive.append(sum(ref() is not None for ref in made))
        return big

    step = cs.task(make, mode="inline")
    lazy: Any = 0
    for _ in range(20):
        lazy = step(lazy)
    cs.run(same(cs.task(lambda x: None, mode="inline")(lazy)), **QUIET)
    assert max(alive) <= 3


# -- sizes ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["inline", "blocking"])
def test_chain_of_a_hundred_thousand(mode: str) -> None:
    """A chain of 100,000 calls runs at the default recursion limit, and is forgotten without a crash."""
    assert sys.getrecursionlimit() <= 1000
    step = cs.task(lambda x: x + 1, mode=mode)  # type: ignore[call-overload]
    lazy: Any = 0
    for _ in range(100_000):
        lazy = step(lazy)
    assert cs.run(lazy, **QUIET) == 100_000
    del lazy
    gc.collect()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["inline", "blocking", "async"])
def test_map_over_a_million_lazy_items_holds_few_at_once(mode: str) -> None:
    """A million items of an iterable that does not know its length do not make a million live objects."""
    total = 1_000_000 if mode != "async" else 100_000
    alive = most = 0

    class Item:
        def __init__(self) -> None:
            nonlocal alive, most
            alive += 1
            most = max(most, alive)

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def items() -> Any:
        for _ in range(total):
            yield Item()

    async def coroutine(item: Item) -> None:
        del item

    def plain(item: Item) -> None:
        del item

    made = cs.task(coroutine) if mode == "async" else cs.task(plain, mode=mode)  # type: ignore[call-overload]
    found = cs.run(made.map(items()), **QUIET)
    assert len(found) == total
    assert most < 5_000


def test_map_under_a_capacity_of_one_finishes() -> None:
    """Items take the capacity, the map itself holds none while they wait."""
    run = cs.start(add.map(range(30), 1).with_constraints(db=1), system_resources={"db": 1}, **QUIET)
    assert run.result(5) == list(range(1, 31))


@pytest.mark.parametrize("mode", ["inline", "blocking"])
def test_watched_maps_report_short_items_in_groups(mode: str) -> None:
    """With someone watching, a thousand tiny items are told in a few events, and their output names the node."""
    seen: list[Any] = []

    def tiny(x: int) -> int:
        attempt = current_attempt.get()
        assert attempt is not None
        if x == 7:
            attempt.write("stdout", "seven")
        seen.append(attempt.name)
        return x

    run = cs.start(cs.task(tiny, mode=mode).map(range(1000)), capture_output=True, **QUIET)  # type: ignore[call-overload]
    assert run.result(5) == list(range(1000))
    assert set(seen) == {"tiny"}
    assert sum(isinstance(e, ev.NodeEvent) for e in run.events) < 100
    assert [(e.node, e.text) for e in run.events if isinstance(e, ev.OutputWritten)] == [("tiny", "seven")]


@pytest.mark.parametrize("mode", ["inline", "blocking"])
def test_every_item_is_told_once(mode: str) -> None:
    """Groups hold only items that follow each other: with failures in between, each item is still told once."""

    def odd(x: int) -> int:
        if x % 10 == 3:
            raise ValueError(x)
        return x

    run = cs.start(cs.task(odd, mode=mode).map(range(500), on_error="collect"), **QUIET)  # type: ignore[call-overload]
    run.result(5)
    told: list[int] = []
    for event in run.events:
        if isinstance(event, ev.ItemsCompleted):
            told += range(event.first, event.first + event.count)
        elif isinstance(event, ev.NodeCompleted | ev.NodeFailed) and event.index is not None:
            assert isinstance(event, ev.NodeFailed) == (event.index % 10 == 3)
            told.append(event.index)
    assert sorted(told) == list(range(500))


def test_positional_only_defaults_are_filled_in() -> None:
    """A Param as the default of a positional-only parameter, beside plain defaults."""
    n = cs.Param("n", 3)

    @cs.task
    def many(a: int, b: int = 2, c: Any = n, /, *rest: int) -> Any:
        return a, b, c, rest

    assert cs.run([many(1), many(1, 5), many(1, 5, 6, 7)], **QUIET) == [(1, 2, 3, ()), (1, 5, 3, ()), (1, 5, 6, (7,))]


def test_a_map_gives_defaults_whole() -> None:
    """A resource or Param that is left out goes to every item, although it could be iterated."""

    @cs.resource
    def numbers() -> Any:
        yield [1, 2, 3]

    @cs.task
    def scale(x: int, values: Any = cs.inject("numbers"), /, more: Any = cs.Param("more", [5])) -> Any:
        return x * sum(values) + sum(more)

    assert cs.run(scale.map([1, 2]), **QUIET) == [11, 17]
