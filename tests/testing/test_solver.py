from __future__ import annotations

from functools import partial

import pytest

import cascade as cs
from cascade.graph.build import build
from cascade.testing import FakeSolver, ToolError
from cascade.testing.conformance import SOLVER_CASES, Case


@cs.task(mode="inline")
def step(name: str, said: list[str], *needs: object) -> str:
    said.append(name)
    return name


def fan(said: list[str]) -> list[object]:
    """Six calls that need nothing, and one that needs them all."""
    calls = [step(name, said).named(name) for name in "abcdef"]
    return [*calls, step("end", said, *calls).named("end")]


@pytest.mark.parametrize("case", SOLVER_CASES, ids=str)
@pytest.mark.parametrize("factory", [FakeSolver, partial(FakeSolver, seed=7)], ids=["plain", "shuffled"])
def test_promises(case: Case, factory: type[FakeSolver]) -> None:
    """Its plans keep every promise of a plan, shuffled or not."""
    case(factory)


def test_ranks_by_name() -> None:
    """Ready nodes start in the order of the given ranks; those without come after, in the order of the graph."""
    said: list[str] = []
    cs.run(fan(said), solver=FakeSolver({"e": 0, "b": 1, "f": 2}), log_level=None)
    assert said == [*"ebfacd", "end"]


def test_ranks_by_id() -> None:
    """Nodes of one name are told apart by their ids."""
    said: list[str] = []
    calls = [step(name, said) for name in "abc"]
    cs.run(calls, solver=FakeSolver({"step#3": 0, "step#2": 1}), log_level=None)
    assert said == ["c", "b", "a"]


def test_shuffled_by_seed() -> None:
    """Each seed has its own order, the same each time; the values are the same in all of them."""
    orders = set()
    for seed in range(10):
        said, again = [], []
        values = cs.run(fan(said), solver=FakeSolver(seed=seed), log_level=None)
        assert values == cs.run(fan(again), solver=FakeSolver(seed=seed), log_level=None) == [*"abcdef", "end"]
        assert said == again
        orders.add(tuple(said))
    assert len(orders) > 5


def test_ranks_come_before_the_shuffle() -> None:
    """A seed shuffles only what the ranks leave open."""
    for seed in range(5):
        said: list[str] = []
        cs.run(fan(said), solver=FakeSolver({"e": 0, "b": 1}, seed=seed), log_level=None)
        assert said[:2] == ["e", "b"]


def test_misspelt_ranks() -> None:
    """A rank for a node that is not there names the nearest."""
    with pytest.raises(
        ToolError, match=r"FakeSolver ranks 'stpe', which the graph does not have\. Did you mean 'step'"
    ):
        FakeSolver({"stpe": 0}).solve(build(step("a", [])))


def test_it_remembers_what_it_solved() -> None:
    """The graphs that it was given can be looked at, with capacities or without."""
    solver, graph = FakeSolver(), build(step("a", []))
    solver.solve(graph)
    solver.solve(graph, {"cpu": 1.0})
    assert solver.graphs == [graph, graph]
