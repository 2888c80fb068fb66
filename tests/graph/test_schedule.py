from __future__ import annotations

import time
from itertools import pairwise
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
from cascade.graph.schedule import Schedule, find_waits, least_makespan, longest_paths, make_schedule
from cascade.interfaces.exceptions import CapacityError, SettingError
from tests.graph.virtual_engine import VirtualEngine

CAPACITIES = {"cpu": 4.0, "gpu": 1.0, "db": 2.5}
SLACK = 1e-9


@cs.task(mode="inline")
def step(*needs: Any) -> int:
    """Stand for any task."""
    return len(needs)


def constrained(draw: Any, call: Any) -> Any:
    """Give `call` some amounts, perhaps."""
    names = draw(st.lists(st.sampled_from(sorted(CAPACITIES)), max_size=2, unique=True))
    amounts = {name: draw(st.sampled_from([0.5, 1.0, CAPACITIES[name]])) for name in names}
    return call.with_constraints(**amounts) if amounts else call


@st.composite
def targets(draw: st.DrawFn) -> Any:
    """Calls that need, or wait for, earlier ones, some of them with amounts."""
    calls: list[Any] = [step()]
    for _ in range(draw(st.integers(0, 9))):
        pick = st.sampled_from(calls)
        call: Any = constrained(draw, step(*draw(st.lists(pick, max_size=2))))
        calls.append(call.after(draw(pick)) if draw(st.integers(0, 4)) == 0 else call)
    return calls


@st.composite
def trees(draw: st.DrawFn) -> Any:
    """Calls of which each is used once: as an argument, or in the condition of another one."""
    free: list[Any] = [step()]
    for _ in range(draw(st.integers(0, 8))):
        used = [free.pop() for _ in range(draw(st.integers(0, min(2, len(free)))))]
        call: Any = constrained(draw, step(*used))
        if free and draw(st.booleans()):
            call = call.run_if(free.pop())
        free.append(call)
    return free


@st.composite
def workloads(draw: st.DrawFn, made: st.SearchStrategy[Any] = targets()) -> tuple[Any, ...]:  # noqa: B008 - frozen
    """What `make_schedule` takes: a graph, ranks, seconds, amounts, capacities and perhaps a limit."""
    graph = build(draw(made))
    count = len(graph)
    rank = draw(st.permutations(range(count)))
    durations = draw(st.lists(st.sampled_from([0.0, 0.1, 1.0, 1.5, 4.0]), min_size=count, max_size=count))
    limit = draw(st.sampled_from([None, None, 1, 3]))
    return graph, rank, durations, check_amounts(graph, CAPACITIES), CAPACITIES, limit


@given(workloads())
def test_it_starts_what_the_engine_starts(load: tuple[Any, ...]) -> None:
    """The engine's scheduler and ledger, on a counted clock, start every node at the same time."""
    assert list(make_schedule(*load).starts) == VirtualEngine(*load).run()


@given(workloads(trees()))
def test_conditions_hold_their_arguments_back_as_in_the_engine(load: tuple[Any, ...]) -> None:
    """Arguments of a conditional node start only when its condition has its value, inside each other, too."""
    assert list(make_schedule(*load).starts) == VirtualEngine(*load).run()


@pytest.mark.parametrize("seed", range(5))
def test_long_crowded_days_go_as_in_the_engine(seed: int) -> None:
    """With hundreds of nodes of mixed amounts, those that were passed often get what is kept for them, as there."""
    draw = Random(seed)
    calls: list[Any] = []
    for _ in range(250):
        call: Any = step(*draw.sample(calls[-40:], min(len(calls), draw.randint(0, 2))))
        names = draw.sample(sorted(CAPACITIES), draw.choice([0, 1, 1, 2, 3]))
        calls.append(call.with_constraints(**{name: draw.choice([0.5, 1.0, CAPACITIES[name]]) for name in names}))
    graph = build(calls)
    durations = [draw.choice([0.5, 1.0, 2.0, 7.0]) for _ in range(len(graph))]
    load = graph, NativeSolver().solve(graph).rank, durations, check_amounts(graph, CAPACITIES), CAPACITIES
    assert list(make_schedule(*load).starts) == VirtualEngine(*load).run()


@pytest.mark.slow
@pytest.mark.parametrize(("names", "most"), [(("cpu",), 1.25), (("cpu", "gpu"), 1.3), (("cpu", "db", "gpu"), 1.5)])
def test_fair_turns_cost_little(names: tuple[str, ...], most: float) -> None:
    """On crowded graphs, what is kept for those who were passed often leaves little of the capacities idle."""
    lengths = []
    for seed in range(10):
        draw, calls = Random(seed), []
        for _ in range(300):
            call: Any = step(*draw.sample(calls[-40:], min(len(calls), draw.randint(0, 2))))
            asked = draw.sample(names, min(len(names), draw.choice([0, 1, 1, 2, 3])))
            part = 1.0 if draw.random() < 0.1 else draw.uniform(0.05, 0.5)
            calls.append(call.with_constraints(**{name: CAPACITIES[name] * part for name in asked}))
        graph = build(calls)
        durations = [draw.choice([0.5, 1.0, 2.0, 7.0]) for _ in range(len(graph))]
        amounts = check_amounts(graph, CAPACITIES)
        made = make_schedule(graph, NativeSolver().solve(graph).rank, durations, amounts, CAPACITIES)
        lengths.append(made.makespan / least_makespan(find_waits(graph), durations, amounts, CAPACITIES))
    assert sum(lengths) / len(lengths) < most, lengths


def check_sound(load: tuple[Any, ...], schedule: Schedule) -> None:
    """Nobody starts before what it waits for; no capacity and no limit is exceeded."""
    graph, _, durations, amounts, capacities, limit = load
    starts, ends = schedule.starts, schedule.ends
    nodes = range(len(graph))
    assert all(ends[node] == starts[node] + durations[node] for node in nodes)
    assert all(ends[need] <= starts[node] for node in nodes for need in find_waits(graph)[node])
    for moment in starts:
        running = [node for node in nodes if starts[node] <= moment < ends[node]]
        assert limit is None or len(running) <= limit
        for name, capacity in capacities.items():
            assert sum(dict(amounts.get(node, ())).get(name, 0.0) for node in running) <= capacity + SLACK


@given(workloads())
def test_a_schedule_is_sound(load: tuple[Any, ...]) -> None:
    """Needs end first, and at no moment is more in use than there is."""
    check_sound(load, make_schedule(*load))


@given(workloads())
def test_the_critical_path_explains_the_length(load: tuple[Any, ...]) -> None:
    """It begins with the run, each of its nodes starts when the one before it ends, and it ends with the run."""
    schedule = make_schedule(*load)
    path = schedule.critical_path
    assert schedule.starts[path[0]] == 0
    assert schedule.ends[path[-1]] == schedule.makespan == max(schedule.ends)
    assert all(schedule.starts[b] == schedule.ends[a] for a, b in pairwise(path))


@given(workloads())
def test_no_schedule_is_shorter_than_the_bound(load: tuple[Any, ...]) -> None:
    """Neither the longest path nor the work of a capacity can be squeezed into less time."""
    graph, _, durations, amounts, capacities, limit = load
    bound = least_makespan(find_waits(graph), durations, amounts, capacities, limit)
    assert bound <= make_schedule(*load).makespan * (1 + SLACK)


@given(targets())
def test_longest_paths_count_seconds_as_heights_count_nodes(target: Any) -> None:
    """If every node takes a second, the longest remaining path in seconds is the height."""
    graph = build(target)
    assert longest_paths(find_waits(graph), [1.0] * len(graph)) == graph.heights


def by_name(graph: Graph, values: Any) -> dict[str, Any]:
    return {graph.label(node): value for node, value in enumerate(values)}


def test_rank_decides_who_is_first_and_the_scarce_does_not_block() -> None:
    """Of those that could start, the lowest rank goes first; what needs nothing scarce does not queue behind it."""
    calls = [step().named(name).with_constraints(gpu=1) for name in ("first", "second")]
    graph = build([*calls, step().named("free")])
    amounts = check_amounts(graph, CAPACITIES)
    made = make_schedule(graph, [1, 0, 2], [2.0, 3.0, 1.0], amounts, CAPACITIES)
    assert by_name(graph, made.starts) == {"first": 3.0, "second": 0.0, "free": 0.0}
    assert made.makespan == 5.0
    assert made.critical_path == (1, 0)
    assert made.utilisation == {"cpu": 0.0, "gpu": 1.0, "db": 0.0}


def test_utilisation_is_the_part_that_is_in_use() -> None:
    """Half of the cpus for half of the time is a quarter; a run that takes no time uses nothing."""
    graph = build([step().with_constraints(cpu=2), step()])
    amounts = check_amounts(graph, {"cpu": 4})
    assert make_schedule(graph, [0, 1], [1.0, 2.0], amounts, {"cpu": 4.0}).utilisation == {"cpu": 0.25}
    assert make_schedule(graph, [0, 1], [0.0, 0.0], amounts, {"cpu": 4.0}).utilisation == {"cpu": 0.0}


def test_routes_wait_for_their_selector() -> None:
    """A run asks for a route only when it is chosen; every route counts, since nobody knows which one that is."""
    way = cs.Router(step().named("ask"), {"x": step().named("x"), "y": step(step().named("z")).named("y")}, name="way")
    graph = build(way)
    made = make_schedule(graph, graph.order, [0.0 if name == "way" else 1.0 for name in graph.labels])
    assert by_name(graph, made.starts) == {"ask": 0.0, "x": 1.0, "z": 1.0, "y": 2.0, "way": 3.0}


def test_what_someone_needs_anyway_does_not_wait_for_a_condition() -> None:
    """A node that is also needed outside of the branch starts at once; one inside of two conditions waits for both."""
    shared = step().named("shared")
    outer, inner = step(shared).named("outer"), step().named("inner")
    deep = step(step().named("deepest"), shared).named("deep").run_if(inner)
    graph = build([step(deep).named("top").run_if(outer), step(inner).named("beside")])
    waits = {graph.label(node): {graph.label(need) for need in needs} for node, needs in enumerate(find_waits(graph))}
    assert waits["shared"] == waits["inner"] == set()
    assert waits["deepest"] == {"inner", "outer"}
    assert waits["deep"] == {"deepest", "shared", "inner", "outer"}
    assert waits["outer"] == {"shared"}


def test_fallbacks_count_as_if_they_were_needed() -> None:
    """Nobody knows whether a node fails, so what its fallback needs takes its time."""
    graph = build(step().named("try").with_fallback(step().named("spare")))
    assert by_name(graph, find_waits(graph)) == {"try": [1], "spare": []}


def test_what_cannot_be_scheduled_is_refused() -> None:
    """Too large an amount, a name that no capacity has, a time that is none, and a limit of nobody."""
    graph = build(step().named("fit"))
    with pytest.raises(CapacityError, match="'fit' asks for 2 of 'gpu' but the capacity is 1"):
        make_schedule(graph, [0], [1.0], {0: (("gpu", 2.0),)}, {"gpu": 1.0})
    with pytest.raises(CapacityError, match="it names 'gpu'"):
        make_schedule(graph, [0], [1.0], {0: (("gpus", 1.0),)}, {"gpu": 1.0})
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(SettingError, match="'fit' cannot take"):
            make_schedule(graph, [0], [wrong])
    with pytest.raises(SettingError, match="limit of at least 1"):
        make_schedule(graph, [0], [1.0], limit=0)


@pytest.mark.slow
def test_ten_thousand_nodes_take_well_under_a_second() -> None:
    """Crowded or not, the time grows with the number of nodes and not with its square."""
    draw = Random(0)
    calls: list[Any] = []
    for _ in range(10_000):
        call: Any = step(*draw.sample(calls[-40:], min(len(calls), draw.randint(0, 2))))
        calls.append(call.with_constraints(cpu=draw.randint(1, 4)) if draw.random() < 0.7 else call)
    graph = build(calls)
    durations = [draw.uniform(0.1, 9.0) for _ in range(len(graph))]
    rank, amounts = NativeSolver().solve(graph).rank, check_amounts(graph, CAPACITIES)
    began = time.process_time()
    make_schedule(graph, rank, durations, amounts, CAPACITIES)
    assert time.process_time() - began < 1
