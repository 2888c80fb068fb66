from __future__ import annotations

import time
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascade.adapters.solvers.problem import Problem, pack


@st.composite
def problems(draw: st.DrawFn) -> tuple[Problem, list[int]]:
    """A problem in which later nodes wait for earlier ones, and priorities."""
    count = draw(st.integers(0, 9))
    waits = [draw(st.lists(st.integers(0, node - 1), max_size=3)) if node else [] for node in range(count)]
    capacities = draw(st.lists(st.integers(1, 4), max_size=2))
    nodes = st.lists(st.integers(0, max(0, count - 1)), max_size=count, unique=True)
    taken = [[(node, draw(st.integers(1, size))) for node in draw(nodes)] for size in capacities]
    durations = [draw(st.integers(0, 5)) for _ in range(count)]
    return Problem(durations, waits, capacities, taken), list(draw(st.permutations(range(count))))


def check(problem: Problem, starts: list[int]) -> None:
    """Waiting is respected, and no capacity is exceeded at any start."""
    ends = [start + length for start, length in zip(starts, problem.durations, strict=True)]
    assert all(ends[need] <= starts[node] for node, waits in enumerate(problem.waits) for need in waits)
    for size, taken in zip(problem.capacities, problem.taken, strict=True):
        for moment in starts:
            assert sum(units for node, units in taken if starts[node] <= moment < ends[node]) <= size


@given(problems())
def test_a_packing_works(given_: tuple[Problem, list[int]]) -> None:
    """Whatever the priorities, needs come first and nothing is exceeded."""
    problem, priority = given_
    starts = pack(problem, priority)
    check(problem, starts)
    assert problem.end_of(starts) <= sum(problem.durations)


@given(problems())
def test_nobody_waits_without_a_reason(given_: tuple[Problem, list[int]]) -> None:
    """Each node starts at the beginning or when another one ends."""
    problem, priority = given_
    starts = pack(problem, priority)
    ends = {start + length for start, length in zip(starts, problem.durations, strict=True)}
    assert set(starts) <= {0, *ends}


def test_priority_counts_over_arrival() -> None:
    """All that ends at one time is seen together: who comes late but matters more goes first."""
    problem = Problem([2, 2, 1, 5], [[], [], [], [0]], [2], [[(0, 1), (1, 1), (2, 1), (3, 2)]])
    assert pack(problem, [0, 1, 3, 2]) == [0, 0, 7, 2]


@pytest.mark.slow
def test_thousands_of_nodes_are_packed_in_a_moment() -> None:
    """Those that take the same amounts wait together, so a crowd costs no more than its kinds."""
    draw = Random(0)
    count = 10_000
    waits = [draw.sample(range(max(0, node - 50), node), min(node, 2)) for node in range(count)]
    taken = [[(node, draw.randint(1, 4)) for node in range(count)] for _ in range(2)]
    problem = Problem([draw.randint(1, 9) for _ in range(count)], waits, [4, 4], taken)
    began = time.process_time()
    starts = pack(problem, range(count))
    assert time.process_time() - began < 2
    check_some = draw.sample(range(count), 200)
    assert all(starts[need] + problem.durations[need] <= starts[node] for node in check_some for need in waits[node])
