from __future__ import annotations

from random import Random

import pytest

from cascade.adapters.solvers import search as module
from cascade.adapters.solvers.problem import Problem, pack
from cascade.adapters.solvers.search import MOST_PAIRED, search


def crowded(seed: int, count: int) -> Problem:
    """Many nodes in two small capacities."""
    draw = Random(seed)
    waits = [draw.sample(range(max(0, node - 6), node), min(node, draw.randint(0, 2))) for node in range(count)]
    taken = [[(node, draw.randint(1, 3)) for node in range(count) if draw.random() < 0.7] for _ in range(2)]
    return Problem([draw.randint(0, 9) for _ in range(count)], waits, [4, 3], taken)


@pytest.mark.slow
@pytest.mark.parametrize("count", [5, 30, MOST_PAIRED + 20])
def test_what_comes_out_is_never_longer_and_never_below_the_bound(count: int) -> None:
    """Whether or not the time suffices, the starts work, and the bound holds."""
    for seed in range(3):
        problem = crowded(seed, count)
        known = [pack(problem, range(count)), pack(problem, range(count)[::-1])]
        found = search(problem, known, time_limit=0.3, seed=seed, workers=1)
        ends = [start + length for start, length in zip(found.starts, problem.durations, strict=True)]
        assert found.bound <= max(ends) <= min(map(problem.end_of, known))
        assert all(ends[need] <= found.starts[node] for node, waits in enumerate(problem.waits) for need in waits)


@pytest.mark.slow
def test_choices_of_who_goes_first_change_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """They help the search only: with and without them the optimum is the same."""
    problem = crowded(4, 12)
    known = [pack(problem, range(12))]
    ends = set()
    for most in (0, MOST_PAIRED):
        monkeypatch.setattr(module, "MOST_PAIRED", most)
        found = search(problem, known, time_limit=10, seed=0, workers=1)
        assert problem.end_of(found.starts) == found.bound
        ends.add(found.bound)
    assert len(ends) == 1


def test_without_time_it_gives_back_what_it_got() -> None:
    """The shortest of the known ones, and a bound that claims nothing that was not proven."""
    problem = crowded(1, 150)
    known = [pack(problem, range(150)), list(range(0, 9 * 150, 9))]
    found = search(problem, known, time_limit=1e-6, seed=0, workers=1)
    assert problem.end_of(found.starts) <= problem.end_of(known[0])
    assert found.bound <= problem.end_of(found.starts)


def test_several_workers_find_the_same_length() -> None:
    """With threads beside each other the starts may differ, the optimum does not."""
    problem = crowded(2, 8)
    known = [pack(problem, range(8))]
    one, two = (search(problem, known, time_limit=10, seed=0, workers=workers) for workers in (1, 2))
    assert problem.end_of(one.starts) == one.bound == two.bound == problem.end_of(two.starts)


def test_nothing_to_do_takes_no_time() -> None:
    """Nodes without durations, and a problem without nodes, end at once."""
    for problem in (Problem([], [], [], []), Problem([0, 0], [[], [0]], [1], [[(0, 1), (1, 1)]])):
        known = [[0] * len(problem.durations)]
        assert search(problem, known, time_limit=5, seed=0, workers=1).bound == 0


def test_a_fault_of_the_search_is_raised_where_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs on a thread of its own, where an exception would be lost."""
    from ortools.sat.python import cp_model

    def fail(*_: object) -> None:
        raise MemoryError("full")

    monkeypatch.setattr(cp_model.CpSolver, "solve", fail)
    with pytest.raises(MemoryError, match="full"):
        search(Problem([1], [[]], [], []), [[0]], time_limit=5, seed=0, workers=1)
