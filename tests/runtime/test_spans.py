"""Spans of indices: they tell exactly which, or nothing."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cascade.runtime.spans import MOST, spans_of


@given(st.sets(st.integers(0, 60)))
def test_spans_are_the_indices_and_no_others(indices: set[int]) -> None:
    """Put together again they are what was given, in order, and no two of them touch."""
    spans = spans_of(indices)
    assert [index for first, count in spans for index in range(first, first + count)] == sorted(indices)
    assert all(a[0] + a[1] < b[0] for a, b in pairwise(spans))


def test_too_many_spans_are_none() -> None:
    """As many as there may be are told; one more, and nothing is."""
    assert len(spans_of(range(0, 2 * MOST, 2))) == MOST
    assert spans_of(range(0, 2 * MOST + 2, 2)) == ()
