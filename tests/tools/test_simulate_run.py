from __future__ import annotations

from heapq import heappop, heappush
from math import ceil
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cascade as cs
from cascade.adapters.solvers.native import NativeSolver
from cascade.graph.build import build
from cascade.graph.check import check_amounts
from cascade.graph.model import Graph
from cascade.graph.schedule import find_waits, longest_paths, make_schedule
from cascade.interfaces.exceptions import SettingError
from cascade.spec.constraint import GlobalConstraint
from cascade.tools.simulate import simulate
from cascade.tools.simulate_run import Rehearsal
from cascade.tools.simulate_terms import Scene, Workers

SLACK = 1 + 1e-9
CPU = 4.0


@cs.task
def step(*needs: Any) -> int:
    """Stand for any task."""
    return len(needs)


@cs.task
async def nap(*needs: Any) -> int:
    """Stand for any task that waits."""
    return len(needs)


@cs.task(mode="compute")
def crunch(*needs: Any) -> int:
    """Stand for any task that computes."""
    return len(needs)


@cs.task
def item(x: Any) -> Any:
    """Stand for the task of a map."""
    return x


def random_graph(draw: Random, count: int, *, has_amounts: bool = False) -> Graph:
    """Calls that need some of the ones before."""
    calls: list[Any] = []
    for _ in range(count):
        call: Any = step(*draw.sample(calls, min(len(calls), draw.randint(0, 3))))
        calls.append(call.with_constraints(cpu=draw.randint(1, 4)) if has_amounts and draw.random() < 0.6 else call)
    return build(calls)


def by_hand(graph: Graph, rank: list[int], seconds: list[float], workers: int, capacity: float) -> list[float]:
    """Simulate events without anything of the engine: who waited longest for the capacity first, then by rank."""
    needs = [set(graph.needs_of(node)) for node in range(len(graph))]
    amount = {node: each["cpu"] for node, each in graph.amounts.items()} if capacity else {}
    ended: set[int] = set()
    starts: dict[int, float] = {}
    ready = {node for node in range(len(graph)) if not needs[node]}
    waiting: list[int] = []
    has_amount: set[int] = set()
    running: list[tuple[float, int, int]] = []
    free, now = capacity, 0.0
    while True:
        while ready and len(running) < workers:
            node = min(ready, key=rank.__getitem__)
            ready.remove(node)
            if node not in has_amount:
                if amount.get(node, 0) > free:
                    waiting.append(node)
                    continue
                free -= amount.get(node, 0)
            heappush(running, (now + seconds[node], len(starts), node))
            starts[node] = now
        if not running:
            return [starts[node] for node in range(len(graph))]
        now, _, over = heappop(running)
        free += amount.get(over, 0)
        for node in list(waiting):
            if amount[node] <= free:
                free -= amount[node]
                waiting.remove(node)
                has_amount.add(node)
                ready.add(node)
        ended.add(over)
        ready |= {n for n in graph.succ[over] if needs[n] <= ended and n not in starts}


@given(st.integers(0, 1 << 30), st.integers(1, 14), st.integers(1, 5), st.booleans())
def test_it_goes_as_events_worked_out_by_hand(seed: int, count: int, workers: int, has_amounts: bool) -> None:
    """On small graphs, with few workers and one capacity, every node starts when a plain list of events says."""
    draw = Random(seed)
    graph = random_graph(draw, count, has_amounts=has_amounts)
    seconds = [draw.choice([0.5, 1.0, 2.0, 3.25]) for _ in range(count)]
    rank = NativeSolver().solve(graph).rank
    amounts = check_amounts(graph, {"cpu": CPU})
    scene = Scene(graph, rank, seconds, {}, amounts, {"cpu": CPU})
    trace = Rehearsal(scene, Workers.of(workers)).run()
    expected = by_hand(graph, rank, seconds, workers, CPU if has_amounts else 0.0)
    starts = dict(zip(trace.node, trace.start, strict=True))
    assert [starts[node] for node in range(count)] == expected


@given(st.integers(0, 1 << 30), st.integers(1, 40), st.integers(1, 6))
def test_the_makespan_is_between_the_bounds_of_list_scheduling(seed: int, count: int, workers: int) -> None:
    """Not below the longest path or the work of the workers, not above both together (Graham 1966)."""
    draw = Random(seed)
    graph = random_graph(draw, count)
    seconds = [draw.uniform(0.1, 9) for _ in range(count)]
    made = simulate(graph, lambda node: seconds[graph.ids.index(node.id)], workers=workers, cache=False)
    longest, work = max(longest_paths(find_waits(graph), seconds)), sum(seconds)
    assert max(longest, work / workers) <= made.makespan * SLACK
    assert made.makespan <= (work / workers + (1 - 1 / workers) * longest) * SLACK


@given(st.integers(0, 1 << 30), st.integers(1, 30))
def test_capacities_bound_the_makespan_from_both_sides(seed: int, count: int) -> None:
    """Not below the work that the capacity has to carry, and never idle while something could go on."""
    draw = Random(seed)
    graph = random_graph(draw, count, has_amounts=True)
    made = simulate(graph, lambda _: 1.5, {"cpu": CPU}, cache=False)
    carried = sum(each["cpu"] * 1.5 for each in graph.amounts.values())
    assert carried / CPU <= made.makespan * SLACK
    assert made.makespan <= 1.5 * count * SLACK
    assert 0 <= made.utilisation["cpu"] <= SLACK


@pytest.mark.parametrize("seed", range(4))
def test_the_fast_schedule_of_solvers_and_plans_agrees(seed: int) -> None:
    """`make_schedule`, which tries thousands of orders, starts every node when the engine's core does."""
    draw = Random(seed)
    graph = random_graph(draw, 120, has_amounts=True)
    seconds = [draw.choice([0.5, 1.0, 2.0, 7.0]) for _ in range(120)]
    rank, amounts = NativeSolver().solve(graph).rank, check_amounts(graph, {"cpu": CPU})
    made = simulate(graph, lambda n: seconds[graph.ids.index(n.id)], {"cpu": CPU}, workers=3, cache=False).schedule
    fast = make_schedule(graph, rank, seconds, amounts, {"cpu": CPU}, 3)
    assert (made.starts, made.ends, made.makespan) == (fast.starts, fast.ends, fast.makespan)


@given(st.integers(0, 30), st.integers(1, 8), st.integers(1, 8), st.integers(1, 8))
def test_a_map_takes_as_many_rounds_as_its_tightest_bound(items: int, most: int, workers: int, gpus: int) -> None:
    """Items are held by max_concurrency, by workers and by what each takes of a capacity."""
    target = item.map(x=list(range(items)), max_concurrency=most).with_constraints(gpu=2)
    made = simulate(target, {"item": 0.5}, {"gpu": 2 * gpus}, workers=workers, cache=False)
    assert made.makespan == pytest.approx(0.5 * ceil(items / min(most, workers, gpus)))
    assert len(made.trace.node) == items


def test_each_kind_of_call_has_its_own_workers() -> None:
    """Threads and processes are counted apart unless they are one pool; async calls need none, inline ones queue."""
    target = [[step() for _ in range(4)], [crunch() for _ in range(4)], [nap() for _ in range(4)]]
    assert simulate(target, workers={"threads": 4, "processes": 2}, cache=False).makespan == 2.0
    assert simulate(target, workers={"threads": 1, "processes": 4}, cache=False).makespan == 4.0
    assert simulate(target, workers=2, cache=False).makespan == 4.0
    assert simulate([nap() for _ in range(50)], workers=1, cache=False).makespan == 1.0
    with pytest.raises(SettingError, match=r"'thread'.*Did you mean 'threads'"):
        simulate(target, workers={"thread": 2}, cache=False)
    for wrong in (0, -1, True, 1.5):
        with pytest.raises(SettingError, match="whole number of at least 1"):
            simulate(target, workers=wrong, cache=False)  # type: ignore[arg-type]


def test_failed_attempts_take_their_time_and_their_delays() -> None:
    """Each failure costs an attempt and the wait before the next one, during which the capacity is others'."""
    call = step().named("flaky").with_retry(max_attempts=3, delay=2.0, backoff=2.0).with_constraints(gpu=1)
    other = step(step().named("first")).named("other").with_constraints(gpu=1)
    made = simulate([call, other], {"flaky": 1, "other": 1, "first": 1}, {"gpu": 1}, failures={"flaky": 2}, cache=False)
    assert made.makespan == 1 + 2 + 1 + 4 + 1
    assert made.schedule.starts[made.graph.labels.index("other")] == 1.0
    assert len(made.trace.failed) == 2


def test_what_fails_for_good_turns_to_its_fallback_or_ends_what_needs_it() -> None:
    """A fallback's needs run only then; without one, consumers are left out and the remark says so."""
    spare = step().named("spare")
    made = simulate(step(step().named("try").with_fallback(spare)), {"spare": 5}, failures={"try": 1}, cache=False)
    assert made.makespan == 1 + 5 + 1
    assert simulate(step(step().named("try").with_fallback(spare)), {"spare": 5}, cache=False).makespan == 2
    lost = simulate([step(step().named("try")).named("after"), step()], failures={"try": 1}, cache=False)
    assert lost.makespan == 1.0
    assert "'try' would fail for good: what needs it is left out" in lost.remarks


def test_a_failing_item_ends_its_map_unless_it_collects() -> None:
    """The items that run end, no other begins; a collecting map goes on."""
    target = item.map(x=list(range(6)), max_concurrency=2)
    assert simulate(target, failures={"item": 1}, cache=False).makespan == 1.0
    kept = item.map(x=list(range(6)), max_concurrency=2, on_error="collect")
    assert simulate(kept, failures={"item": 1}, cache=False).makespan == 3.0


def test_limits_hold_what_they_would_hold() -> None:
    """A concurrency limit, a rate and a pause that ends; a pause without an end is refused."""
    ten = [step() for _ in range(10)]
    two = GlobalConstraint("two", "task:step", "concurrency", {"limit": 2})
    assert simulate(ten, limits=[two], cache=False).makespan == 5.0
    rate = GlobalConstraint("rate", "global", "rate_limit", {"rate": "2/s"})
    assert simulate(ten, limits=[rate], cache=False).makespan == pytest.approx(9 / 2 + 1)
    with pytest.raises(SettingError, match=r"stand still after 0 s.*'step'.*expires_at"):
        simulate(ten, limits=[GlobalConstraint("stop")], cache=False)


def test_a_pause_that_expires_is_waited_for() -> None:
    """Nothing starts before its end."""
    from time import time

    pause = GlobalConstraint("break", expires_at=time() + 100)
    assert simulate(step(), limits=[pause], cache=False).makespan == pytest.approx(101, abs=5)


def test_who_may_wait_is_noted_for_views() -> None:
    """Of small graphs, when a node began to wait for a capacity."""
    made = simulate([step().named(n).with_constraints(gpu=1) for n in "ab"], system_resources={"gpu": 1}, cache=False)
    assert [(at, made.graph.ids[node], name) for at, node, name, _ in made.trace.waits] == [(0.0, "b", "gpu")]
