"""Indices → spans, as events tell them.

In: the indices of some items of a map. Out: pairs of a first index and a count, in order. Invariant: bounded; indices
that lie too scattered are not told at all, rather than told wrongly.
"""

from __future__ import annotations

from collections.abc import Collection

__all__ = ["spans_of"]

MOST = 500  # spans of one event


def spans_of(indices: Collection[int]) -> tuple[tuple[int, int], ...]:
    """Return the spans of `indices`, none when there would be too many.

    Example:
        >>> spans_of([0, 1, 2, 7, 9, 8]), spans_of(range(0, 10_000, 2))
        (((0, 3), (7, 3)), ())
    """
    if not indices:
        return ()
    least = min(indices)
    if max(indices) - least + 1 == len(indices):
        return ((least, len(indices)),)  # nearly always: all of them, or all that were there before
    spans: list[tuple[int, int]] = []
    first = last = -2
    for index in sorted(indices):
        if index != last + 1:
            if last >= 0:
                spans.append((first, last - first + 1))
            if len(spans) >= MOST:
                return ()
            first = index
        last = index
    return (*spans, (first, last - first + 1))
