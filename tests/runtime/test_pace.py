"""How many calls travel together."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.runtime.flow import Settings
from cascade.runtime.pace import Pace
from cascade.runtime.run import lay_out

LONG = 60.0


def paced(target: Any) -> tuple[Pace, int]:
    """Return what is known at first, and the node of a map whose items are at hand."""
    flow = lay_out(target, None, {"seat": 2}, (), Settings())
    assert flow.map_side.open(0) is not None
    return Pace(flow), 0


work = cs.task(lambda x: x, name="work", mode="compute")


def test_earlier_flows_are_a_guess_and_no_more() -> None:
    """What a task took in a flow before may be guessed by, but its calls travel alone until this flow knows more."""
    task = cs.task(lambda x: x, name="again", mode="compute")
    before, node = paced(task.map(range(100)))
    before.learn(node, 0.001)
    now, node = paced(task.map(range(100)))
    assert (now.guess(node), now.of(node), now.items_of(node, 2)) == (0.001, float("inf"), 1)
    now.learn(node, 4.0)
    assert now.guess(node) == 4.0


def test_it_begins_with_one_and_learns() -> None:
    """Unknown calls travel alone, short ones together, as many as make a submission worth while and leave a share."""
    pace, node = paced(work.map(range(10_000)))
    assert pace.items_of(node, 2) == 1
    pace.learn(node, 0.001)
    assert pace.items_of(node, 2) == 20
    pace.learn(node, 0.0)
    assert 20 < (pace.items_of(node, 2) or 0) < 512
    assert pace.items_of(node, 1000) == 5
    pace.learn(node, 10.0)
    assert pace.items_of(node, 2) == 1


def test_a_call_with_a_large_value_travels_alone_and_ends_soon() -> None:
    """What its value weighs says how many travel together; how long it takes says when the next one may be sent."""
    pace, node = paced(work.map(range(10_000)))
    pace.learn(node, 0.001, 0.4)
    assert pace.items_of(node, 2) == 1
    assert (pace.of(node), pace.guess(node)) == (0.4, 0.001)


def test_a_doubted_task_travels_alone_for_good() -> None:
    """After a death among several calls they are sent one by one, however short."""
    pace, node = paced(work.map(range(10_000)))
    pace.learn(node, 0.0001)
    pace.doubt(node)
    pace.learn(node, 0.0001)
    assert pace.items_of(node, 2) == 1


@pytest.mark.parametrize(
    "refine",
    [lambda m: m.with_retry(2), lambda m: m.with_timeout(5), lambda m: m.with_constraints(seat=1)],
)
def test_items_that_are_more_than_calls_travel_alone(refine: Callable[[Any], Any]) -> None:
    """Items with a retry, a timeout or an amount are attempts of their own."""
    pace, node = paced(refine(work.map(range(100))))
    assert pace.items_of(node, 2) is None


@pytest.mark.slow
def test_items_travel_together() -> None:
    """Short items give their values, errors and output in order, whoever travelled with them."""

    @cs.task(mode="compute")
    def item(x: int) -> int:
        print(f"item {x}")
        if x == 777:
            raise ValueError(f"no {x}")
        return -x

    run = cs.start(item.map(range(1000), on_error="collect"), log_level=None, capture_output=True)
    values = run.result(LONG)
    assert [v for v in values if not isinstance(v, Exception)] == [-x for x in range(1000) if x != 777]
    assert str(values[777]) == "no 777"
    said = {e.index: e.text for e in run.events if isinstance(e, ev.OutputWritten)}
    assert said == {n: f"item {n}\n" for n in range(1000)}
    assert any(isinstance(e, ev.ItemsCompleted) and e.count > 5 for e in run.events)


@pytest.mark.slow
def test_a_death_among_many_costs_one_item() -> None:
    """When an item kills its worker, those that travelled with it are tried again, and it alone fails, by name."""

    @cs.task(mode="compute")
    def item(x: int) -> int:
        if x == 300:
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    values = cs.run(item.map(range(400), on_error="collect"), log_level=None)
    assert type(values[300]).__name__ == "WorkerDiedError"
    assert [v for n, v in enumerate(values) if n != 300] == [n for n in range(400) if n != 300]
