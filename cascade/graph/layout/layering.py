"""Pairs → the column of each vertex.

In: pairs without a cycle. Out: one column number a vertex, from 0 without holes.
Invariant: every pair runs from a lower column to a higher one.

Columns come from longest paths. Then each vertex moves to where its links are shortest, so that a source stands
next to its first reader, and wide families of siblings spread over several columns (`strips`).
"""

from __future__ import annotations

from collections.abc import Sequence

from cascade.graph.layout.strips import delays
from cascade.graph.layout.topology import sort

_ROUNDS = 2


def assign_columns(after: Sequence[Sequence[int]], before: Sequence[Sequence[int]], aspect: float) -> list[int]:
    """The column of each vertex.

    Args:
        after: successors of each vertex.
        before: predecessors of each vertex.
        aspect: width over height to aim at where a column would become very tall.
    """
    order = sort(after, before)
    delay, held = delays(after, before, order, aspect)
    column = [0] * len(after)
    for vertex in order:
        column[vertex] = _earliest(vertex, before, column, delay)
    for _ in range(_ROUNDS):
        _pull_right(order, after, before, column, held)
        _pull_left(order, after, before, column, delay)
    return _without_holes(column)


def _earliest(vertex: int, before: Sequence[Sequence[int]], column: list[int], delay: dict[int, int]) -> int:
    sources = before[vertex]
    earliest = max([column[source] for source in sources]) + 1 if sources else 0
    return earliest + delay.get(vertex, 0)


def _pull_right(
    order: list[int],
    after: Sequence[Sequence[int]],
    before: Sequence[Sequence[int]],
    column: list[int],
    held: set[int],
) -> None:
    """Move each vertex that feeds at least as many as feed it next to its first reader."""
    for vertex in reversed(order):
        targets = after[vertex]
        if targets and len(targets) >= len(before[vertex]) and vertex not in held:
            column[vertex] = min([column[target] for target in targets]) - 1


def _pull_left(
    order: list[int],
    after: Sequence[Sequence[int]],
    before: Sequence[Sequence[int]],
    column: list[int],
    delay: dict[int, int],
) -> None:
    """Move each vertex that is fed by at least as many as it feeds next to its last source."""
    for vertex in order:
        sources = before[vertex]
        if sources and len(sources) >= len(after[vertex]):
            column[vertex] = _earliest(vertex, before, column, delay)


def _without_holes(column: list[int]) -> list[int]:
    number = {old: new for new, old in enumerate(sorted(set(column)))}
    return [number[old] for old in column]
