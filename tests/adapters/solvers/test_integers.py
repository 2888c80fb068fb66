from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from math import ulp
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascade.adapters.solvers.integers import MOST_TICKS, MOST_UNITS, in_ticks, in_units

SIMPLE = st.sampled_from([0.0, 0.1, 0.25, 0.3, 1 / 3, 2 / 3, 1.0, 2.5, 7.0, 86_400.0])
ANY = st.floats(0.0, 1e12, allow_subnormal=False)


@given(st.lists(SIMPLE, max_size=8))
def test_what_people_write_is_exact(durations: list[float]) -> None:
    """Tenths, thirds and whole numbers have a common tick, and counts of it give the seconds back."""
    ticks = in_ticks(durations)
    assert ticks.is_exact
    assert [ticks.to_seconds(count) for count in ticks.counts] == pytest.approx(durations)


@given(st.lists(ANY, max_size=8))
def test_times_are_never_rounded_down(durations: list[float]) -> None:
    """Ticks last at least as long as the seconds, hardly longer, and are few enough for 64 bits."""
    ticks = in_ticks(durations)
    assert sum(ticks.counts) <= MOST_TICKS
    for count, seconds in zip(ticks.counts, durations, strict=True):
        noise = 4 * Fraction(ulp(seconds))
        assert Fraction(seconds) - noise <= count * ticks.tick <= Fraction(seconds) + ticks.tick + noise


def test_later_ticks_are_never_earlier_seconds() -> None:
    """Order survives the way back to floats, so that what ended before a start has ended before it in seconds, too."""
    ticks = in_ticks([0.1, 0.7, 0.30000001])
    seconds = [ticks.to_seconds(count) for count in range(0, 50_000, 7)]
    assert seconds == sorted(seconds)


@given(st.floats(0.01, 1e12), st.lists(st.floats(0.0, 1.0), min_size=1, max_size=7))
def test_what_fits_in_units_fits_in_the_engine(capacity: float, parts: list[float]) -> None:
    """Whoever may run together by the integers may do so by the amounts: nothing is rounded to the unsafe side."""
    amounts = [part * capacity for part in parts]
    units = in_units(capacity, amounts)
    assert max(units.amounts) <= units.capacity <= MOST_UNITS
    for size in range(1, len(amounts) + 1):
        for chosen in combinations(range(len(amounts)), size):
            if sum(units.amounts[i] for i in chosen) <= units.capacity:
                assert sum(amounts[i] for i in chosen) <= capacity + 2e-9 * max(1.0, capacity)
            elif units.is_exact:
                assert sum(amounts[i] for i in chosen) > capacity * (1 - 1e-12)


@pytest.mark.parametrize(
    ("capacity", "amounts", "expected", "most"),
    [
        (1.0, [0.1, 0.25], [2, 5], 20),
        (64e9, [16e9, 3e9], [16, 3], 64),
        (3.0, [2.0, 2.0], [1, 1], 1),
        (1.0, [1 / 3, 1 / 7], [7, 3], 21),
        (2.0, [], [], 2),
    ],
)
def test_units_are_as_large_as_they_can_be(
    capacity: float, amounts: list[float], expected: list[int], most: int
) -> None:
    """A common measure of the amounts; what the capacity has beyond its multiples nobody can use."""
    units = in_units(capacity, amounts)
    assert (units.amounts, units.capacity, units.is_exact) == (expected, most, True)


def test_what_has_no_common_measure_says_so() -> None:
    """Measured seconds and bytes are rounded, and marked as such; the largest amount still fits."""
    draw = Random(0)
    measured = [draw.uniform(0.0, 5.0) for _ in range(2_000)]
    assert not in_ticks(measured).is_exact
    units = in_units(64e9, [1.0, 64e9, 12_345_678_901.0])
    assert not units.is_exact
    assert max(units.amounts) == units.capacity
