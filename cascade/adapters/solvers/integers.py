"""Seconds and amounts as people write them → integers, which is all that a constraint solver knows.

In: floats. Out: integers and what one of them is worth. Invariant: exact where the numbers have a common measure that
is not too small; else rounded to the safe side: times and amounts up, capacities down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, gcd, lcm, ulp
from typing import Final

__all__ = ["Ticks", "Units", "in_ticks", "in_units"]

MOST_TICKS: Final = 2**36  # of all durations together; times MOST_UNITS it still fits into 64 bits
MOST_UNITS: Final = 2**20
FINEST: Final = Fraction(1, 10**15)  # seconds
SLACK: Final = Fraction(1, 10**9)  # that the engine allows, so that three thirds are one
CLOSE: Final = 4  # steps between floats; one that is as close to a simple fraction means it
SIMPLE: Final = 1_000  # the largest denominator of a simple one; with larger ones, many floats would be close to one


@dataclass(frozen=True, slots=True)
class Ticks:
    """Durations in ticks.

    Args:
        counts: by node number. tick: seconds of one. is_exact: whether nothing was rounded.
    """

    counts: list[int]
    tick: Fraction
    is_exact: bool

    def to_seconds(self, count: int) -> float:
        """Return `count` ticks as seconds; larger counts never give fewer seconds."""
        return float(count * self.tick)


@dataclass(frozen=True, slots=True)
class Units:
    """One capacity and what is taken of it, in units of a common measure.

    Args:
        capacity: how many there are. amounts: how many each takes. is_exact: whether nothing was rounded.
    """

    capacity: int
    amounts: list[int]
    is_exact: bool


def in_ticks(durations: Sequence[float]) -> Ticks:
    """Return durations in the largest tick that measures all of them.

    Example:
        >>> in_ticks([0.5, 0.2, 3.0]).counts
        [5, 2, 30]
    """
    fractions = [_meant(seconds) for seconds in durations]
    tick = _measure(fractions)
    if tick is None or sum(durations) / tick > MOST_TICKS:
        tick = max(FINEST, Fraction(sum(durations) / (MOST_TICKS - len(durations))))
        return Ticks([ceil(each / tick) for each in fractions], tick, is_exact=False)
    return Ticks([int(each / tick) for each in fractions], tick, is_exact=True)


def in_units(capacity: float, amounts: Sequence[float]) -> Units:
    """Return amounts in the largest unit that measures all of them, and how many units the capacity has.

    Example:
        >>> in_units(1.0, [1 / 3, 2 / 3])
        Units(capacity=3, amounts=[1, 2], is_exact=True)
        >>> in_units(64e9, [16e9, 3e9])
        Units(capacity=64, amounts=[16, 3], is_exact=True)
    """
    most = Fraction(capacity) + max(SLACK, 2 * CLOSE * Fraction(ulp(capacity)))  # what is not above it in floats fits
    fractions = [_meant(amount) for amount in amounts]
    unit = _measure(fractions)
    if unit is None or most / unit > MOST_UNITS:
        unit = most / MOST_UNITS
        return Units(MOST_UNITS, [min(ceil(each / unit), MOST_UNITS) for each in fractions], is_exact=False)
    return Units(floor(most / unit), [int(each / unit) for each in fractions], is_exact=True)


def _meant(number: float) -> Fraction:
    """Return the fraction that a person meant by a float: 1/10, not the nearest sum of powers of two."""
    exact = Fraction(number)
    simple = exact.limit_denominator(SIMPLE)
    if abs(simple - exact) <= CLOSE * Fraction(ulp(number)):
        return simple
    return Fraction(repr(number))


def _measure(fractions: Sequence[Fraction]) -> Fraction | None:
    """Return the largest number of which all are multiples; None when it would be absurdly small."""
    denominator = 1
    for each in fractions:
        denominator = lcm(denominator, each.denominator)
        if denominator > 10**18:  # finer than every clock; and the numbers would only grow
            return None
    numerator = gcd(*[int(each * denominator) for each in fractions])
    return Fraction(numerator or 1, denominator)
