"""The whole engine on a virtual clock, with threads and coroutines that sleep there, ends when the simulation says."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

import cascade as cs
from cascade.testing import virtual_clock
from cascade.tools.simulate import simulate

pytestmark = pytest.mark.slow

GPUS = 3.0


@cs.task
async def nap(seconds: float, *needs: Any) -> float:
    """Take that long on the event loop."""
    await cs.get_current_context().clock.sleep_async(seconds)  # type: ignore[union-attr]
    return seconds


@cs.task
def work(seconds: float, *needs: Any) -> float:
    """Take that long in a thread."""
    cs.get_current_context().clock.sleep(seconds)  # type: ignore[union-attr]
    return seconds


@cs.task(mode="inline")
def key(*needs: Any) -> int:
    """Choose a route."""
    return 1


def said(node: Any) -> float:
    """Return the seconds that stand in the name of a node: ``nap 2``."""
    return float(node.name.rpartition(" ")[2]) if " " in node.name else 0.0


def some(draw: Random, task: Any, count: int) -> Any:
    """Calls, maps, conditions, routes and amounts."""
    calls: list[Any] = []

    def amount(call: Any) -> Any:
        return call.with_constraints(gpu=draw.randint(1, 3)) if draw.random() < 0.5 else call

    for _ in range(count):
        seconds = round(draw.uniform(1, 9), 4)  # no two end at once: who is first then, nobody can say
        needs = draw.sample(calls, min(len(calls), draw.randint(0, 2)))
        name = f"{task.name} {seconds}"
        kind = draw.random()
        if kind < 0.2:
            call = task.map([seconds] * draw.randint(1, 5), max_concurrency=draw.choice([None, 1]))
            calls.append(amount(call.named(name)))
        elif kind < 0.35 and len(needs) == 2:
            calls.append(amount(task(seconds, needs[0]).named(name).run_if(needs[1])))
        elif kind < 0.5 and len(needs) == 2:
            calls.append(task(seconds, cs.Router(key(needs[0]), {1: needs[1]})).named(name))
        else:
            calls.append(amount(task(seconds, *needs).named(name)))
    return calls


@pytest.mark.parametrize("task", [nap, work], ids=lambda task: task.name)
@pytest.mark.parametrize("seed", range(12))
def test_the_engine_ends_when_the_simulation_says(seed: int, task: Any) -> None:
    """To the millisecond: capacities, maps, conditions and routes, in coroutines and in threads."""
    target = some(Random(seed), task, 14)
    made = simulate(target, said, {"gpu": GPUS}, cache=False)
    with virtual_clock():
        run = cs.start(target, None, {"gpu": GPUS}, log_level=None)
        run.result(timeout=30)
    ends: dict[str, float] = {}
    for event in run.events:
        if type(event).__name__ == "NodeCompleted" and event.index is None:
            ends[event.node] = event.elapsed
    schedule = made.schedule
    assert ends == {i: pytest.approx(end, abs=1e-3) for i, end in zip(made.graph.ids, schedule.ends, strict=True)}


def test_retries_and_fallbacks_end_when_the_simulation_says() -> None:
    """Delays that grow, on a capacity that others want meanwhile."""
    left = {"n": 2}

    @cs.task
    async def flaky(seconds: float) -> float:
        await cs.get_current_context().clock.sleep_async(seconds)  # type: ignore[union-attr]
        left["n"] -= 1
        if left["n"] >= 0:
            raise ValueError(left["n"])
        return seconds

    call = flaky(1.0).named("flaky 1").with_retry(3, delay=2.0, backoff=2.0).with_constraints(gpu=2)
    others = [nap(2.0).named("nap 2").with_constraints(gpu=2) for _ in range(4)]
    made = simulate([call, *others], said, {"gpu": 2}, failures={"flaky 1": 2}, cache=False)
    with virtual_clock() as clock:
        cs.run([call, *others], None, {"gpu": 2}, log_level=None)
        assert clock.now() == pytest.approx(made.makespan, abs=1e-3)
