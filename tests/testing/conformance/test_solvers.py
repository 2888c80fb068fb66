from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cascade.adapters.solvers.native import NativeSolver
from cascade.context import get_current_context
from cascade.graph.model import Graph
from cascade.testing import check_solver
from cascade.testing.conformance import SOLVER_CASES, Case
from cascade.testing.solver import FakePlan, FakeSolver
from tests.testing.conformance.broken import check_coverage, expect_broken, pairs


@pytest.mark.parametrize("case", SOLVER_CASES, ids=str)
def test_the_native_solver_keeps_every_promise(case: Case) -> None:
    """The solver that runs use by default passes."""
    case(NativeSolver)


class Base:
    """Plans well; what is broken is in the classes under it."""

    def solve(self, graph: Graph, capacities: Any = None) -> FakePlan:
        return self.spoil(FakeSolver().solve(graph, capacities), graph)

    def spoil(self, plan: FakePlan, graph: Graph) -> FakePlan:
        return plan


def spoiling(spoil: Callable[[FakePlan, Graph], FakePlan]) -> type[Base]:
    """A solver whose plans are spoilt like this."""
    return type(spoil.__name__, (Base,), {"spoil": lambda _self, plan, graph: spoil(plan, graph)})


@spoiling
def forgets_the_last(plan: FakePlan, graph: Graph) -> FakePlan:
    return replace(plan, order=plan.order[:-1])


@spoiling
def orders_twice(plan: FakePlan, graph: Graph) -> FakePlan:
    return replace(plan, order=[*plan.order, plan.order[0]])


@spoiling
def orders_backwards(plan: FakePlan, graph: Graph) -> FakePlan:
    return replace(plan, order=plan.order[::-1])


@spoiling
def sees_values_only(plan: FakePlan, graph: Graph) -> FakePlan:
    """Knows what nodes need as arguments, and not conditions, routes and fallbacks."""
    order: list[int] = []
    left = list(range(len(graph)))
    while left:
        ready = [n for n in left if all(m in order for m in graph.needs_of(n))] if len(left) < 500 else left[:]
        order += ready
        left = [n for n in left if n not in ready] if len(ready) < len(left) else []
    return replace(plan, order=order)


@spoiling
def ranks_alike(plan: FakePlan, graph: Graph) -> FakePlan:
    return replace(plan, rank=[0] * len(graph))


@spoiling
def ranks_from_one(plan: FakePlan, graph: Graph) -> FakePlan:
    return replace(plan, rank=[rank + 1 for rank in plan.rank])


@spoiling
def ranks_too_few(plan: FakePlan, graph: Graph) -> FakePlan:
    return replace(plan, rank=plan.rank[:-1])


@spoiling
def counts_edges(plan: FakePlan, graph: Graph) -> FakePlan:
    return replace(plan, heights=[height - 1 for height in plan.heights])


@spoiling
def throws_dice(plan: FakePlan, graph: Graph) -> FakePlan:
    return replace(plan, rank=random.sample(plan.rank, len(graph)))


@spoiling
def sorts_the_graph(plan: FakePlan, graph: Graph) -> FakePlan:
    graph.succ[0].append(len(graph) - 1)
    return plan


@spoiling
def runs_tasks(plan: FakePlan, graph: Graph) -> FakePlan:
    for call in graph.calls:
        if hasattr(call, "_task"):
            call._task.func()
    return plan


class ChangesItsMind(Base):
    """Plans another way each time it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def spoil(self, plan: FakePlan, graph: Graph) -> FakePlan:
        self.asked += 1
        return replace(plan, rank=plan.rank[::-1]) if self.asked % 2 else plan


class OfItsOwn(Base):
    """No two of its kind plan alike."""

    made = 0

    def __init__(self) -> None:
        OfItsOwn.made += 1
        self.turned = OfItsOwn.made % 2

    def spoil(self, plan: FakePlan, graph: Graph) -> FakePlan:
        return replace(plan, rank=plan.rank[::-1]) if self.turned else plan


class Remembers(Base):
    """Is impressed by large graphs for ever."""

    impressed = False

    def spoil(self, plan: FakePlan, graph: Graph) -> FakePlan:
        self.impressed = self.impressed or len(graph) > 1000
        return replace(plan, rank=plan.rank[::-1]) if self.impressed else plan


class WithoutCapacities(Base):
    def solve(self, graph: Graph) -> FakePlan:  # type: ignore[override]
        return super().solve(graph)


class NeedsCapacities(Base):
    def solve(self, graph: Graph, capacities: Any = None) -> FakePlan:
        return super().solve(graph, dict(capacities))


class OneAtATime(Base):
    """Keeps the graph that it works on in itself, and waits for the others at the worst moment."""

    def __init__(self) -> None:
        self.graph: Graph | None = None
        self.meeting = threading.Barrier(2)

    def solve(self, graph: Graph, capacities: Any = None) -> FakePlan:
        self.graph = graph
        try:
            self.meeting.wait(0.01)
        except threading.BrokenBarrierError:
            self.meeting.reset()
        return super().solve(self.graph, capacities)


class Recursive(Base):
    """Walks the graph by recursion."""

    def spoil(self, plan: FakePlan, graph: Graph) -> FakePlan:
        def walk(node: int, depth: int) -> int:
            return max([walk(need, depth + 1) for need in graph.needs_of(node)[:1]], default=depth)

        return replace(plan, order=[*plan.order[:-1], plan.order[-1] + 0 * walk(plan.order[-1], 0)])


BROKEN = {
    "orders_every_node": [forgets_the_last, orders_twice, Recursive],
    "puts_needs_first": [orders_backwards, sees_values_only],
    "ranks_are_places": [ranks_alike, ranks_from_one, ranks_too_few],
    "heights_are_longest_paths": [counts_edges],
    "plans_alike": [throws_dice, ChangesItsMind, OfItsOwn],
    "forgets_other_graphs": [Remembers],
    "leaves_graphs_alone": [sorts_the_graph],
    "runs_nothing": [runs_tasks],
    "takes_capacities": [WithoutCapacities, NeedsCapacities],
    "works_in_threads": [OneAtATime],
}


def test_every_case_can_fail() -> None:
    """Each case has a solver that breaks it."""
    check_coverage(SOLVER_CASES, BROKEN)


@pytest.mark.parametrize(("name", "factory"), pairs(BROKEN))
def test_broken_solvers_are_found(name: str, factory: type[Base]) -> None:
    """A solver that breaks a promise is found by the case that is about it."""
    assert sys.getrecursionlimit() < 3_000
    assert expect_broken(SOLVER_CASES, name, factory, 5.0)


def test_the_base_of_the_broken_is_whole() -> None:
    """What the broken ones are made from keeps every promise, so that it is their own fault that is found."""
    check_solver(Base)


def test_the_kit_leaves_no_tasks_behind() -> None:
    """The tasks of the kit's graphs are not registered after it."""
    before = dict(get_current_context().tasks)
    check_solver(Base)
    assert get_current_context().tasks == before
