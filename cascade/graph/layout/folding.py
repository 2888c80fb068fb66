"""A long row of columns → x of each column, folded into rows like the lines of a text where the graph is a long chain.

In: widths of columns, heights of vertices, and what passes each gap between columns. Out: the frame on which routes
are drawn. Invariant: a fold happens only where few lines pass, so that each of them can be led back around.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cascade.graph.layout.bends import Proper
from cascade.graph.layout.combs import Combs
from cascade.graph.layout.shapes import Spacing

_LINES_AT_FOLD = 4
_SLACK = 0.25
_TURN = 14.0
_TRACK = 9.0
_STEEP, _STEEP_MOST = 0.1, 56.0
_LABEL_ROOM = 40.0


@dataclass(frozen=True, slots=True)
class Row:
    """Some neighbouring columns in one row of the picture: `first` to `last`, and how far down they moved."""

    first: int
    last: int
    shift: float


@dataclass(frozen=True, slots=True)
class Fold:
    """How one segment is led from the end of a row to the start of the next: right turn, track, left turn."""

    x_right: float
    y_track: float
    x_left: float


@dataclass(frozen=True, slots=True)
class Frame:
    """Where columns stand.

    Args:
        left: left edge of each column.
        right: right edge of each column.
        row_of: row number of each column.
        rows: the rows from top to bottom.
        folds: for each segment that passes a fold its way round.
        combs: the combs in the gap behind each column.
    """

    left: list[float]
    right: list[float]
    row_of: list[int]
    rows: list[Row]
    folds: dict[tuple[int, int], Fold]
    combs: list[Combs]


def set_columns(
    proper: Proper,
    widths: Sequence[float],
    heights: Sequence[float],
    reach: tuple[Sequence[float], Sequence[float]],
    labels: dict[int, float],
    spacing: Spacing,
) -> Frame:
    """Give each column its x, and fold the row of columns if it is far longer than it is high.

    Args:
        proper: columns in their final order.
        widths: of each column.
        heights: y of each vertex.
        reach: how far each vertex reaches above and below its y.
        labels: widest label in the gap behind a column, by column.
        spacing: distances.
    """
    gaps_between = range(len(widths) - 1)
    combs = [Combs.none() if number in labels else Combs.of(proper, number, heights) for number in gaps_between]
    gaps = [_gap(proper, heights, number, labels.get(number, 0.0), own, spacing) for number, own in enumerate(combs)]
    cuts = _choose_cuts(proper, widths, gaps, heights, reach, spacing)
    left, right, row_of = [], [], []
    x, row = 0.0, 0
    for number, wide in enumerate(widths):
        left.append(x)
        right.append(x + wide)
        row_of.append(row)
        x += wide + (gaps[number] if number < len(gaps) else 0)
        if number in cuts:
            x, row = 0.0, row + 1
    rows, folds = _fold(proper, sorted(cuts), heights, reach, max(right), spacing)
    return Frame(left, right, row_of, rows, folds, combs)


def _fold(
    proper: Proper,
    cuts: Sequence[int],
    heights: Sequence[float],
    reach: tuple[Sequence[float], Sequence[float]],
    edge: float,
    spacing: Spacing,
) -> tuple[list[Row], dict[tuple[int, int], Fold]]:
    """Rows one below the other, and between them the ways of the lines that go on in the next row.

    Lines are nested: the upper ones turn farther out and run lower, so that none crosses another on its way.
    """
    rows: list[Row] = []
    folds: dict[tuple[int, int], Fold] = {}
    bottom, first = 0.0, 0
    for last in [*cuts, len(proper.columns) - 1]:
        inside = [vertex for column in proper.columns[first : last + 1] for vertex in column]
        top = min(heights[v] - reach[0][v] for v in inside)
        rows.append(Row(first, last, bottom - top))
        bottom += max(heights[v] + reach[1][v] for v in inside) - top
        if last < len(proper.columns) - 1:
            strands = _strands(proper, last)
            for number, strand in enumerate(strands):
                inner = _TRACK * (len(strands) - 1 - number)
                fold = Fold(edge + _TURN + inner, bottom + spacing.part / 2 + inner, -_TURN - _TRACK * number)
                folds.update((segment, fold) for segment in strand)
            bottom += spacing.part + _TRACK * (len(strands) - 1)
        first = last + 1
    return rows, folds


def _gap(proper: Proper, heights: Sequence[float], number: int, label: float, combs: Combs, spacing: Spacing) -> float:
    """Steep curves, combs and labels need room."""
    curves = [
        abs(heights[source] - heights[target])
        for source in proper.columns[number]
        if source not in combs.spreading
        for target in proper.after[source]
        if target not in combs.gathering
    ]
    wide = spacing.column + min(_STEEP_MOST, max(curves, default=0.0) * _STEEP)
    return float(round(max(wide, combs.width, label + _LABEL_ROOM if label else 0.0)))


def _choose_cuts(
    proper: Proper,
    widths: Sequence[float],
    gaps: Sequence[float],
    heights: Sequence[float],
    reach: tuple[Sequence[float], Sequence[float]],
    spacing: Spacing,
) -> set[int]:
    """The columns after which a new row begins."""
    whole = sum(widths) + sum(gaps)
    high = max(y + down for y, down in zip(heights, reach[1], strict=True)) + spacing.part
    rows = math.floor(math.sqrt(whole / (spacing.aspect * high)))
    on_rails = any(not trunk.bends for trunk in proper.trunks)
    if whole <= spacing.fold_above or rows <= 1 or on_rails:
        return set()
    target = whole / rows
    cuts: set[int] = set()
    used, best, least = 0.0, -1, (0, 0.0)
    for number, gap in enumerate(gaps):
        used += widths[number]
        off = abs(used - target)
        if off <= target * _SLACK:
            cost = len(_strands(proper, number)), off
            if cost[0] <= _LINES_AT_FOLD and (best < 0 or cost < least):
                best, least = number, cost
        used += gap
        if used > target * (1 + _SLACK) and best >= 0:
            cuts.add(best)
            used = sum(widths[best + 1 : number + 1]) + sum(gaps[best + 1 : number + 1])
            best = -1
    return cuts


def _strands(proper: Proper, number: int) -> list[list[tuple[int, int]]]:
    """The segments behind a column from top to bottom; those that share an end stay together."""
    place = {vertex: index for index, vertex in enumerate(proper.columns[number + 1])}
    strands: dict[int, list[tuple[int, int]]] = {}
    for source in proper.columns[number]:
        for target in sorted(proper.after[source], key=place.__getitem__):
            alone = len(proper.after[source]) == 1
            strands.setdefault(target if alone else source, []).append((source, target))
    return list(strands.values())
