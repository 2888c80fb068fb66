"""What a solver promises.

In: a factory of solvers. Out: the promises that it breaks. Invariant: the graphs are built here from tasks of our own,
which are forgotten again, and none of them ever runs.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

from cascade.context import get_current_context
from cascade.graph.build import build
from cascade.graph.model import Graph
from cascade.graph.order import may_need
from cascade.interfaces.protocols import ExecutionPlan, Solver
from cascade.spec.routing import Router
from cascade.spec.task import Task
from cascade.testing.conformance.cases import TIMEOUT, Case, Trial, case, expect, run_cases

__all__ = ["SOLVER_CASES", "check_solver"]

Factory = Callable[[], Solver]
SOLVER_CASES: Final[list[Case]] = []

LONG, THREADS = 3_000, 4  # nodes: more than Python lets a function call itself


def check_solver(factory: Factory, *, timeout: float = TIMEOUT) -> None:
    """Hold the solvers that `factory` makes to every promise of `Solver` and `ExecutionPlan`.

    Args:
        factory: makes a new one for each case.
        timeout: seconds that solvers in several threads may take together.

    Raises:
        ConformanceError: lists each promise that is broken.

    Example:
        >>> from cascade.testing import FakeSolver
        >>> check_solver(FakeSolver)
    """
    run_cases("a solver", SOLVER_CASES, factory, timeout)


# -- graphs ---------------------------------------------------------------------------------------------------------

_ran: list[int] = []


def _step(*needs: object) -> int:
    _ran.append(len(needs))
    return len(needs)


def _build(compose: Callable[[Task[..., Any]], Any]) -> Graph:
    """Return the graph of what `compose` makes with a task, and forget the task."""
    tasks = get_current_context().tasks
    before = dict(tasks)
    try:
        return build(compose(Task(_step, name="step", mode="inline")))
    finally:
        tasks.clear()
        tasks.update(before)


def _single(step: Task[..., Any]) -> Any:
    return step()


def _woven(step: Task[..., Any]) -> Any:
    """Compose sixty calls that need up to three earlier ones each."""
    draw = random.Random(5)  # noqa: S311 - a graph, not a secret
    calls = [step()]
    for _ in range(60):
        calls.append(step(*draw.sample(calls, min(len(calls), draw.randint(0, 3)))))
    return calls


def _special(step: Task[..., Any]) -> Any:
    """Compose needs that are no arguments: a condition, an order, routes and a fallback."""
    first, condition, spare = step(), step(step()), step(step(step()))
    routed = step(Router(selector=step(), routes={0: first, 1: step(spare)}, default=spare))
    return [routed.run_if(condition), step().after(routed), step(routed).with_fallback(spare)]


def _chain(step: Task[..., Any]) -> Any:
    call = step()
    for _ in range(LONG):
        call = step(call)
    return call


def _fan(step: Task[..., Any]) -> Any:
    first = step()
    return step(*[step(first) for _ in range(LONG)])


_SMALL = (_single, _woven, _special)
_ALL = (*_SMALL, _chain, _fan)


def _plans(factory: Factory) -> list[tuple[str, Graph, ExecutionPlan]]:
    """Return the shape, the graph and the plan of each graph."""
    graphs = [(compose.__name__.strip("_"), _build(compose)) for compose in _ALL]
    return [(shape, graph, factory().solve(graph)) for shape, graph in graphs]


def _text_of(plan: ExecutionPlan) -> tuple[list[int], list[int], list[int]]:
    return list(plan.order), list(plan.rank), list(plan.heights)


# -- cases ----------------------------------------------------------------------------------------------------------


@case(SOLVER_CASES)
def orders_every_node(trial: Trial) -> None:
    """The order holds every node once."""
    for shape, graph, plan in _plans(trial.factory):
        expect(sorted(plan.order) == list(range(len(graph))), f"of a {shape} graph, it holds {len(plan.order)} numbers")


@case(SOLVER_CASES)
def puts_needs_first(trial: Trial) -> None:
    """In the order, each node comes after all that it may need: values, conditions, routes, fallbacks and orders."""
    for shape, graph, plan in _plans(trial.factory):
        place = {node: number for number, node in enumerate(plan.order)}
        for node in plan.order:
            for need in may_need(graph, node):
                before, after = place.get(need, len(place)), place[node]
                expect(before < after, f"in a {shape} graph, node {node} comes before node {need}, which it may need")


@case(SOLVER_CASES)
def ranks_are_places(trial: Trial) -> None:
    """The ranks are a permutation: each node has a place of its own in the queue, from 0."""
    for shape, graph, plan in _plans(trial.factory):
        expect(
            len(plan.rank) == len(graph), f"of a {shape} graph with {len(graph)} nodes, {len(plan.rank)} have a rank"
        )
        expect(sorted(plan.rank) == list(range(len(graph))), f"of a {shape} graph, ranks repeat or leave gaps")


@case(SOLVER_CASES)
def heights_are_longest_paths(trial: Trial) -> None:
    """The height of each node is the number of nodes on the longest path from it to the end, itself included."""
    for shape, graph, plan in _plans(trial.factory):
        expect(list(plan.heights) == graph.heights, f"of a {shape} graph, they are not the lengths of its paths")


@case(SOLVER_CASES)
def plans_alike(trial: Trial) -> None:
    """The same graph has the same plan, from the same solver and from another one of its kind."""
    graph = _build(_woven)
    solver = trial.factory()
    first, second, third = (_text_of(each.solve(graph)) for each in (solver, solver, trial.factory()))
    expect(first == second, "a second plan of the same solver differs")
    expect(first == third, "the plan of a second solver differs")


@case(SOLVER_CASES)
def forgets_other_graphs(trial: Trial) -> None:
    """A plan does not depend on the graphs that were solved before."""
    solver, graph = trial.factory(), _build(_woven)
    alone = _text_of(trial.factory().solve(graph))
    solver.solve(_build(_fan))
    expect(_text_of(solver.solve(graph)) == alone, "after another graph, the plan of a graph is another one")


@case(SOLVER_CASES)
def leaves_graphs_alone(trial: Trial) -> None:
    """Solving changes nothing in the graph."""
    for compose in _SMALL:
        graph = _build(compose)
        graph.heights  # noqa: B018 - sorted now, since a graph does that at first need
        before = _copy_of(graph)
        trial.factory().solve(graph)
        changed = [name for name, value in _copy_of(graph).items() if value != before[name]]
        expect(not changed, f"it changed {', '.join(changed)} of a {compose.__name__.strip('_')} graph")


@case(SOLVER_CASES)
def runs_nothing(trial: Trial) -> None:
    """Solving runs no task."""
    _ran.clear()
    for compose in _SMALL:
        trial.factory().solve(_build(compose))
    expect(not _ran, f"{len(_ran)} tasks ran")


@case(SOLVER_CASES)
def takes_capacities(trial: Trial) -> None:
    """The capacities of the run may be given as second argument, or None; a solver may leave them out of account."""
    graph = _build(_woven)
    for capacities in ({"cpu": 2.0}, {}, None):
        plan = trial.factory().solve(graph, capacities)  # type: ignore[call-arg, unused-ignore]
        expect(len(plan.rank) == len(graph), f"with capacities={capacities}, {len(plan.rank)} nodes have a rank")


@case(SOLVER_CASES)
def works_in_threads(trial: Trial) -> None:
    """One solver may plan for several runs at once."""
    solver = trial.factory()
    graphs = [_build(compose) for compose in (_woven, _special, _single, _woven)]
    alone = [_text_of(trial.factory().solve(graph)) for graph in graphs]

    def work(number: int) -> None:
        for _ in range(20):
            found = _text_of(solver.solve(graphs[number]))
            expect(found == alone[number], f"with {THREADS} runs at once, plans are mixed up")

    trial.in_threads(THREADS, work)


def _copy_of(graph: Graph) -> dict[str, Any]:
    """Return what of a graph could be changed in place, copied."""
    lists = ("calls", "left", "args", "order", "heights")
    copied: dict[str, Any] = {name: list(getattr(graph, name)) for name in lists}
    copied |= {name: bytes(getattr(graph, name)) for name in ("kinds", "modes", "shapes")}
    copied |= {name: dict(getattr(graph, name)) for name in ("gates", "routes", "fallbacks", "orders", "amounts")}
    copied["succ"] = [list(each) for each in graph.succ]
    return copied
