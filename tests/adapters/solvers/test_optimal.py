from __future__ import annotations

import signal
import subprocess
import sys
import time
from functools import partial
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cascade as cs
from cascade.adapters.solvers import integers, optimal
from cascade.adapters.solvers.native import NativeSolver
from cascade.adapters.solvers.optimal import OptimalPlan, OptimalSolver
from cascade.graph.build import build
from cascade.graph.schedule import Schedule, make_schedule
from cascade.interfaces.events import NodeStarted
from cascade.interfaces.exceptions import CapacityError, CascadeError, SettingError
from cascade.interfaces.protocols import Solver
from cascade.testing.conformance.solvers import check_solver
from tests.adapters.solvers.graphs import Case, random_case, step


def solve(case: Case, **options: Any) -> OptimalPlan:
    return OptimalSolver(case.seconds, **options).solve(case.graph, case.capacities)


def simulate(case: Case, rank: list[int], limit: int | None = None) -> Schedule:
    return make_schedule(case.graph, rank, case.durations, case.amounts, case.capacities, limit)


def check(case: Case, plan: OptimalPlan, limit: int | None = None) -> None:
    """What a plan says of itself is true."""
    native = simulate(case, NativeSolver().solve(case.graph).rank, limit)
    assert sorted(plan.rank) == sorted(plan.order) == list(range(len(case.graph)))
    case.check(plan.starts, limit)
    ends = [start + length for start, length in zip(plan.starts, case.durations, strict=True)]
    assert plan.makespan == max(ends)
    assert plan.expected == simulate(case, plan.rank, limit).makespan
    assert plan.bound <= plan.makespan <= plan.expected * (1 + 1e-9)
    assert plan.expected <= native.makespan
    assert plan.is_optimal == (plan.makespan <= plan.bound * (1 + 1e-6))


@st.composite
def small_cases(draw: st.DrawFn) -> Case:
    """At most six nodes with all that makes order matter."""
    calls: list[Any] = []
    for number in range(draw(st.integers(1, 6))):
        needs = draw(st.lists(st.sampled_from(calls), max_size=2)) if calls else []
        call: Any = step(*needs)
        if calls and draw(st.integers(0, 3)) == 0:
            call = call.run_if(draw(st.sampled_from(calls)))
        amounts = {"cpu": draw(st.sampled_from([0, 1, 2, 3])), "gpu": draw(st.sampled_from([0, 0, 0.25, 0.4, 1]))}
        calls.append(call.with_constraints(**amounts).named(f"n{number}"))
    seconds = {f"n{number}": draw(st.sampled_from([0.2, 1.0, 1.5, 2.0, 3.0])) for number in range(len(calls))}
    return Case(calls, seconds, {"cpu": 3.0, "gpu": 1.0})


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(small_cases())
def test_it_is_as_short_as_the_best_of_all_orders(case: Case) -> None:
    """On small graphs the makespan is the least there is, and the plan knows that."""
    plan = solve(case)
    check(case, plan)
    assert plan.makespan == pytest.approx(case.shortest())
    assert plan.is_optimal


@pytest.mark.slow
def test_it_is_never_worse_than_the_native_solver() -> None:
    """On two hundred graphs the engine ends no later than with the native order, and on some earlier."""
    draw = Random(5)
    native, planned = 0.0, 0.0
    for _ in range(200):
        case = random_case(draw, draw.randint(2, 16))
        limit = draw.choice([None, None, None, 2])
        plan = solve(case, time_limit=0.03, max_parallel=limit)
        check(case, plan, limit)
        native += simulate(case, NativeSolver().solve(case.graph).rank, limit).makespan
        planned += plan.expected
    assert planned < native


def test_the_engine_is_given_the_order_that_it_makes_the_most_of() -> None:
    """Three packages on two cpus: the native order leaves one idle, the plan's does not, and says which it took."""
    calls = [step().named(name).with_constraints(cpu=1) for name in ("one", "two", "three")]
    case = Case(calls, {"one": 1.0, "two": 1.0, "three": 2.0}, {"cpu": 2.0})
    native = simulate(case, NativeSolver().solve(case.graph).rank)
    plan = solve(case)
    assert (native.makespan, plan.expected, plan.makespan) == (3.0, 2.0, 2.0)
    assert plan.chosen == "paths"
    assert plan.rank[case.graph.labels.index("three")] == 0
    assert plan.note == ""


def test_the_order_of_the_shortest_schedule_is_taken_where_it_serves() -> None:
    """Five pieces that fill three cpus almost fully: neither as written nor the longest first comes to that."""
    seconds = {"a": 3.0, "b": 1.0, "c": 5.0, "d": 4.0, "e": 3.0}
    cpus = {"a": 2, "b": 1, "c": 1, "d": 1, "e": 2}
    case = Case([step().named(name).with_constraints(cpu=cpus[name]) for name in cpus], seconds, {"cpu": 3.0})
    assert simulate(case, NativeSolver().solve(case.graph).rank).makespan > 8.0
    plan = solve(case)
    check(case, plan)
    assert (plan.makespan, plan.expected, plan.chosen) == (8.0, 8.0, "search")


def test_where_waiting_pays_the_plan_tells_both_times() -> None:
    """The engine never keeps a capacity idle; the shortest schedule may: the plan has that, and what to expect."""
    soon = step(step().named("gate")).named("soon").with_constraints(cpu=2)
    calls = [soon, step().named("greedy").with_constraints(cpu=1)]
    case = Case([step(soon).named("tail"), *calls], {"gate": 1, "soon": 2, "greedy": 9, "tail": 9}, {"cpu": 2.0})
    plan = solve(case)
    check(case, plan)
    assert (plan.makespan, plan.expected) == (12.0, 20.0)
    assert plan.is_optimal
    assert plan.chosen == "native"


def test_max_parallel_bounds_how_many_run() -> None:
    """Like an executor with so many workers: the plan is made for that."""
    case = Case([step().named(f"n{i}") for i in range(5)], {f"n{i}": i + 1.0 for i in range(5)}, {})
    plan = solve(case, max_parallel=2)
    check(case, plan, limit=2)
    assert plan.makespan == plan.expected == 8.0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_awkward_numbers_are_rounded_to_the_safe_side(seed: int) -> None:
    """Seconds and amounts without a common measure: nothing is exceeded, and the bound stays below the optimum."""
    draw = Random(seed)
    amounts = [{"cpu": draw.uniform(0.1, 2.0), "bytes": float(draw.randrange(1, 64_000_000_000))} for _ in range(6)]
    calls = [step().named(f"n{i}").with_constraints(**each) for i, each in enumerate(amounts)]
    seconds = {f"n{i}": draw.uniform(0.001, 3.0) for i in range(6)}
    case = Case(calls, seconds, {"cpu": 2.0, "bytes": 64e9})
    plan = solve(case)
    check(case, plan)
    assert plan.bound <= case.shortest() * (1 + 1e-9)
    assert plan.makespan == pytest.approx(case.shortest(), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_a_bound_is_never_too_high_however_coarse_the_numbers(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a few dozen ticks or a few units, rounding costs seconds, but nothing is claimed that is not so."""
    monkeypatch.setattr(integers, "MOST_TICKS" if seed % 2 else "MOST_UNITS", 40 if seed % 2 else 3)
    draw = Random(seed)
    calls = [step().named(f"n{i}").with_constraints(cpu=draw.choice([0.25, 0.3, 0.5, 0.7])) for i in range(6)]
    case = Case(calls, {f"n{i}": draw.uniform(0.5, 3.0) for i in range(6)}, {"cpu": 1.0})
    check(case, solve(case))
    planning = optimal._Planning(OptimalSolver(case.seconds), case.graph, case.capacities)
    assert planning.search([list(range(6))])[1] <= case.shortest() * (1 + 1e-9)


@pytest.mark.parametrize(("amount", "count"), [(0.1, 10), (1 / 3, 3), (1e-3, 1_000), (0.3, 3)])
def test_fractions_fill_a_capacity_exactly(amount: float, count: int) -> None:
    """Ten tenths, three thirds and a thousand thousandths fit side by side, as they do in the engine."""
    case = Case([step().with_constraints(cpu=amount) for _ in range(count)], {"step": 1.0}, {"cpu": 1.0})
    assert solve(case).makespan == solve(case).expected == 1.0


@pytest.mark.slow
def test_the_same_seed_gives_the_same_plan() -> None:
    """Two searches that end by themselves agree in every number; the case is one with many optimal schedules."""
    case = random_case(Random(5), 16, window=16)
    one, other = solve(case, seed=7), solve(case, seed=7)
    assert one == other
    assert one.is_optimal


def test_an_order_that_cannot_be_beaten_needs_no_search() -> None:
    """Without capacities everything starts when it can: the plan is optimal, and OR-Tools is not even loaded."""
    program = (
        "import sys, cascade as cs; from cascade.graph.build import build\n"
        "from cascade.adapters.solvers.optimal import OptimalSolver\n"
        "step = cs.task(lambda *needs: 1)\n"
        "plan = OptimalSolver().solve(build(step(step(), step())))\n"
        "print(plan.is_optimal, plan.makespan, plan.note, any(name.startswith('ortools') for name in sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout == "True 2.0 The native order cannot be beaten. False\n"


@pytest.mark.slow
def test_large_graphs_are_planned_in_bounded_time() -> None:
    """Five thousand nodes: at once without search, which the plan says; within the limit when search is asked for."""
    case = random_case(Random(1), 5_000, window=60)
    began = time.perf_counter()
    plain = solve(case)
    assert time.perf_counter() - began < 2
    assert plain.rank == NativeSolver().solve(case.graph).rank
    assert plain.note == "5,000 nodes are more than max_nodes=2,000: no search was made."
    assert not plain.is_optimal
    began = time.perf_counter()
    searched = solve(case, time_limit=1.0, max_nodes=10_000)
    assert time.perf_counter() - began < 3
    assert searched.makespan < plain.makespan
    assert searched.expected <= plain.expected
    assert searched.note == ""


def test_unknown_names_have_the_nearest() -> None:
    """A slip in a name is told before anything runs, and all of them at once."""
    target = [step().named("fit"), step().named("load")]
    with pytest.raises(SettingError) as caught:
        cs.run(target, log_level=None, solver=OptimalSolver({"fitt": 1, "load": 2, "laod": 3}))
    assert str(caught.value).splitlines() == [
        "durations= names 'fitt', but no node is called that. Did you mean 'fit'?",
        "durations= names 'laod', but no node is called that. Did you mean 'load'?",
    ]


def test_amounts_are_checked_against_the_capacities() -> None:
    """As in a run; without capacities nothing is known, and amounts do not count."""
    graph = build(step().named("fit").with_constraints(gpu=2))
    with pytest.raises(CapacityError, match="asks for 2 of 'gpu' but the capacity is 1"):
        OptimalSolver().solve(graph, {"gpu": 1})
    with pytest.raises(CapacityError, match="'gpu', which system_resources does not name"):
        OptimalSolver().solve(graph, {})
    assert OptimalSolver().solve(graph).makespan == 1.0


def test_amounts_that_only_the_run_knows_are_counted() -> None:
    """They weigh nothing in the plan, and the plan says how many there are."""
    first = step()
    graph = build([step().with_constraints(gpu=cs.Param("n", 1), cpu=first), step().with_constraints(gpu=1)])
    plan = OptimalSolver().solve(graph, {"gpu": 1, "cpu": 1})
    assert plan.lazy_amounts == 2
    assert plan.makespan == 2.0


def test_it_is_a_solver() -> None:
    """Both solvers keep the protocol, with capacities and without."""
    graph = build(step(step()))
    for solver in (NativeSolver(), OptimalSolver()):
        assert isinstance(solver, Solver)
        assert solver.solve(graph).rank == solver.solve(graph, {"cpu": 1}).rank == [1, 0]
        assert solver.solve(graph).heights == [1, 2]


@pytest.mark.parametrize(
    "wrong",
    [{"time_limit": 0}, {"time_limit": float("inf")}, {"workers": 0}, {"max_parallel": 1.5}, {"max_nodes": -1}],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    """When the solver is made, with the setting's name."""
    with pytest.raises(SettingError, match=next(iter(wrong))):
        OptimalSolver(**wrong)


def test_without_ortools_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra, when the solver is made and not in the middle of a run."""
    monkeypatch.setitem(sys.modules, "ortools", None)
    with pytest.raises(CascadeError, match=r"pip install 'cascade-notebook\[solver\]'"):
        OptimalSolver()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["inline", "blocking", "async"])
def test_a_run_gives_the_right_values(mode: str) -> None:
    """The engine takes the plan as it takes the native one: same values, within the capacities."""

    def add(*numbers: int) -> int:
        return 1 + sum(numbers)

    async def add_later(*numbers: int) -> int:
        return add(*numbers)

    task = cs.task(add_later) if mode == "async" else cs.task(add, mode=mode)
    draw = Random(2)
    calls: list[Any] = []
    for _ in range(30):
        needs = draw.sample(calls, min(len(calls), draw.randint(0, 3)))
        calls.append(task(*needs).with_constraints(cpu=draw.randint(1, 2)))
    solver = OptimalSolver(lambda node: float(len(node.id)), time_limit=0.1)
    expected = cs.run(calls, None, {"cpu": 2}, None)
    assert cs.run(calls, None, {"cpu": 2}, None, solver=solver) == expected


def test_a_run_starts_in_the_order_of_the_plan() -> None:
    """The run tells the solver its capacities, and the engine begins with what the plan ranks first."""
    calls = [step().named(name).with_constraints(cpu=1) for name in ("one", "two", "three")]
    solver = OptimalSolver({"one": 1, "two": 1, "three": 2})
    for chosen, first in ((None, "one"), (solver, "three")):
        run = cs.start(calls, None, {"cpu": 2}, None, solver=chosen)
        assert run.result(10) == [0, 0, 0]
        assert next(event.label for event in run.events if isinstance(event, NodeStarted)) == first


@pytest.mark.slow
@pytest.mark.parametrize("limit", [None, 2])
def test_it_keeps_every_promise_of_a_solver(limit: int | None) -> None:
    """The kit by which people test solvers of their own finds nothing, with and without a search."""
    check_solver(partial(OptimalSolver, max_parallel=limit, time_limit=0.3))


INTERRUPTED = """
import signal, sys, threading, time
from random import Random
from cascade.adapters.solvers import optimal, search
from tests.adapters.solvers.graphs import random_case
case = random_case(Random(1), 300, window=60)
search.load()
inner = search._solve
def solve(*args):
    print("searching", flush=True)
    return inner(*args)
search._solve = solve
try:
    optimal.OptimalSolver(case.seconds, time_limit=60).solve(case.graph, case.capacities)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX can a signal be sent to one program")
def test_interrupting_ends_a_search_at_once() -> None:
    """Interrupting the kernel gives the prompt back, although the search had a minute."""
    program = subprocess.Popen([sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    assert program.stdout.readline() == "searching\n"
    time.sleep(0.2)  # into the search itself, which tells nobody that it has begun
    sent = time.perf_counter()
    program.send_signal(signal.SIGINT)
    answer, _ = program.communicate(timeout=30)
    assert answer == "interrupted\n"
    assert time.perf_counter() - sent < 3
