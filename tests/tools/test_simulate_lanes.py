from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import cascade as cs
from cascade.graph.model import MAP
from cascade.interfaces import events as ev
from cascade.tools.simulate import simulate


@cs.task
def step(*needs: Any) -> int:
    """Stand for any task."""
    return len(needs)


@cs.task
def item(x: Any) -> Any:
    """Stand for the task of a map."""
    return x


def some(seed: int) -> Any:
    """A simulation of calls, maps and amounts."""
    draw = Random(seed)
    calls: list[Any] = []
    for _ in range(draw.randint(1, 12)):
        needs = draw.sample(calls, min(len(calls), draw.randint(0, 2)))
        call: Any = item.map(x=list(range(draw.randint(0, 5)))) if draw.random() < 0.3 else step(*needs)
        calls.append(call.with_constraints(gpu=draw.randint(1, 2)) if draw.random() < 0.5 else call)
    calls += [item.map(x=[1]), step()]  # so that the names below are there
    fails = {"item": draw.randint(0, 1)}
    return simulate(calls, {"step": 1.5, "item": 0.25}, {"gpu": 2}, workers=3, failures=fails, cache=False)


@given(st.integers(0, 1 << 30))
def test_two_bars_of_a_lane_never_take_place_at_once(seed: int) -> None:
    """There are no more lanes than workers and units, and what stands on them is every attempt."""
    made = some(seed)
    lanes = made.lanes
    for lane in lanes:
        assert all(before.end <= after.start + 1e-9 for before, after in pairwise(lane.bars))
    assert sum(lane.kind == "capacity" for lane in lanes) <= 2
    threads = [lane for lane in lanes if lane.kind == "thread"]
    assert len(threads) <= 3
    assert sum(len(lane.bars) for lane in threads) == len(made.trace.node)


def test_a_lane_says_who_was_where_and_when() -> None:
    """Units of a capacity by number, workers by kind, bars by id, item and seconds."""
    target = [step().named("a").with_constraints(gpu=2), step().named("b").with_constraints(gpu=1), item.map(x=[5, 6])]
    lanes = {lane.name: lane for lane in simulate(target, {"a": 2}, {"gpu": 2}, workers=2, cache=False).lanes}
    assert [(bar.node, bar.item, bar.start, bar.end) for bar in lanes["gpu 1"].bars] == [
        ("a", None, 0.0, 2.0), ("b", None, 2.0, 3.0),
    ]  # fmt: skip
    assert [bar.node for bar in lanes["gpu 2"].bars] == ["a"]
    assert [(bar.node, bar.item) for bar in lanes["thread 2"].bars][:2] == [("item", 0), ("item", 1)]


@given(st.integers(0, 1 << 30))
def test_its_events_are_those_of_a_run(seed: int) -> None:
    """Numbered without gaps, in the order of time, each end after its start, and no capacity exceeded."""
    made = some(seed)
    events = list(made.events())
    assert [event.seq for event in events] == list(range(len(events)))
    assert all(a.elapsed <= b.elapsed for a, b in pairwise(events))
    assert isinstance(events[0], ev.RunStarted)
    assert isinstance(events[-1], ev.RunFinished)
    assert events[-1].duration == made.makespan
    started = sum(isinstance(event, ev.NodeStarted) for event in events)
    assert started == len(made.trace.node)
    assert all(event.usage <= 2 + 1e-9 for event in events if isinstance(event, ev.ResourceAcquired))
    over = (ev.NodeCompleted, ev.NodeFailed, ev.NodeSkipped)
    ended = [event.node for event in events if isinstance(event, over) and event.index is None]
    lost = [made.graph.ids[node] for node in made.trace.lost if made.graph.kinds[node] == MAP]
    assert sorted([*ended, *lost]) == sorted(made.graph.ids)


def test_retries_and_routes_are_told() -> None:
    """A failed attempt is a retry with its number; what is decided is done, what is not asked for is skipped."""
    target = cs.Router(step().named("ask"), {1: step().named("one").with_retry(2), 2: step().named("two")}, name="way")
    made = simulate(target, failures={"one": 1}, routes={"way": 1}, cache=False)
    told = [(type(e).__name__, getattr(e, "node", "")) for e in made.events()]
    assert ("NodeRetrying", "one") in told
    assert ("NodeSkipped", "two") in told
    assert told[-2:] == [("NodeSkipped", "two"), ("RunFinished", "")]
    assert [e.attempt for e in made.events() if isinstance(e, ev.NodeStarted) and e.node == "one"] == [1, 2]
