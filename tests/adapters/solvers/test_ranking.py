from __future__ import annotations

from random import Random
from time import monotonic

import pytest

from cascade.adapters.solvers.native import NativeSolver
from cascade.adapters.solvers.ranking import Trial, climb, rank_by
from cascade.graph.schedule import Schedule, make_schedule
from tests.adapters.solvers.graphs import Case, random_case


class Engine:
    """A case as `climb` wants it, which counts how often it is asked."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.asked = 0

    def __call__(self, rank: list[int]) -> Schedule:
        self.asked += 1
        assert sorted(rank) == list(range(len(rank)))
        return make_schedule(self.case.graph, rank, self.case.durations, self.case.amounts, self.case.capacities)

    def native(self) -> Trial:
        rank = NativeSolver().solve(self.case.graph).rank
        return rank, make_schedule(self.case.graph, rank, self.case.durations, self.case.amounts, self.case.capacities)


def test_equals_stand_as_they_were() -> None:
    """A rank is a permutation; nodes with the same key keep the order that is given."""
    assert rank_by(lambda node: node % 2, [3, 2, 1, 0]) == [1, 3, 0, 2]


@pytest.mark.parametrize("seed", range(5))
def test_climbing_never_goes_down(seed: int) -> None:
    """What comes out is a rank with its own schedule, no longer than the one that came in."""
    engine = Engine(random_case(Random(seed), 10))
    start = engine.native()
    rank, schedule = climb(start, engine, goal=0.0, tries=60, until=monotonic() + 60, seed=seed)
    assert engine.asked == 60
    assert schedule == engine(rank)
    assert schedule.makespan <= start[1].makespan


def test_climbing_finds_what_one_move_away_is_better() -> None:
    """On a crowded graph some order beats the native one, and a few hundred tries find such a one."""
    engine = Engine(random_case(Random(8), 14, window=14))
    start = engine.native()
    better = climb(start, engine, goal=0.0, tries=200, until=monotonic() + 60, seed=0)
    assert better[1].makespan < start[1].makespan


def test_the_same_seed_makes_the_same_moves() -> None:
    """Two climbs with one seed end at the same rank."""
    engine = Engine(random_case(Random(2), 10))
    one, other = (climb(engine.native(), engine, goal=0.0, tries=50, until=monotonic() + 60, seed=3) for _ in "ab")
    assert one == other


def test_it_stops_at_the_goal_and_when_the_time_is_over() -> None:
    """Nothing is tried any more when the run is as short as it can be, or the clock says so."""
    engine = Engine(random_case(Random(2), 10))
    start = engine.native()
    assert climb(start, engine, goal=start[1].makespan, tries=50, until=monotonic() + 60, seed=0) is start
    assert climb(start, engine, goal=0.0, tries=50, until=monotonic() - 1, seed=0) is start
    assert engine.asked == 0
