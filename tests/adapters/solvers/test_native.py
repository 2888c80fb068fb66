from __future__ import annotations

from typing import Any

from hypothesis import given

from cascade.adapters.solvers.native import NativeSolver
from cascade.graph.build import build
from cascade.graph.order import may_need
from tests.adapters.solvers.graphs import step
from tests.graph.test_order import programs


@given(programs())
def test_plan_ranks_the_highest_first(target: Any) -> None:
    """The rank is a permutation that never puts a lower node before a higher one, so needs come before users."""
    graph = build(target)
    plan = NativeSolver().solve(graph)
    assert sorted(plan.rank) == list(range(len(graph)))
    by_rank = sorted(range(len(graph)), key=plan.rank.__getitem__)
    heights = [plan.heights[node] for node in by_rank]
    assert heights == sorted(heights, reverse=True)
    assert all(plan.rank[need] < plan.rank[node] for node in by_rank for need in may_need(graph, node))


def test_capacities_change_nothing() -> None:
    """It takes what every solver is given, and counts nodes only."""
    graph = build([step().with_constraints(gpu=1), step(step())])
    assert NativeSolver().solve(graph) == NativeSolver().solve(graph, {"gpu": 1.0}) == NativeSolver().solve(graph, {})


def test_equals_start_as_they_were_written() -> None:
    """Nodes of one height keep the order in which a person reads them."""
    graph = build([step().named(name) for name in "cab"])
    plan = NativeSolver().solve(graph)
    assert [graph.label(node) for node in sorted(range(3), key=plan.rank.__getitem__)] == ["c", "a", "b"]
