"""Ordered columns → the height of each vertex.

In: a proper graph whose columns are ordered. Out: one y a vertex.
Invariant: neighbours in a column keep their order and their distance; long lines run straight where they can.

Brandes and Köpf, *Fast and Simple Horizontal Coordinate Assignment* (2001): vertices are aligned with the median of
their neighbours in four ways (from the left or the right, upper or lower median), each alignment is compacted, and
the mean of the two middle results stands. Compaction is by longest paths over the aligned blocks, which is free of
the flaw that the paper's erratum (2020) describes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from cascade.graph.layout.bends import Proper
from cascade.graph.layout.relaxing import level, relax

_BOTH_UP_TO = 6000
_FLATTER = 1.2


def assign_heights(proper: Proper, upper: Sequence[float], lower: Sequence[float]) -> list[float]:
    """The y of each vertex, the topmost extent at 0.

    Springs give short links and a compact picture nearly always; alignment stands where it is flatter by a fifth.

    Args:
        proper: columns in their final order.
        upper: for each vertex what it needs above its line, half of the distance to its neighbour included.
        lower: the same below its line.
    """
    before, after = _sorted_neighbours(proper)
    marked = _conflicts(proper, before)
    best = level(proper, relax(proper, upper, lower), marked, upper, lower)
    if len(best) <= _BOTH_UP_TO:
        aligned = align(proper, before, after, marked, upper, lower)
        if _extent(proper, aligned, upper, lower) * _FLATTER < _extent(proper, best, upper, lower):
            best = aligned
    top = min([best[column[0]] - upper[column[0]] for column in proper.columns])
    return [y - top for y in best]


def _extent(proper: Proper, y: Sequence[float], upper: Sequence[float], lower: Sequence[float]) -> float:
    top = min([y[column[0]] - upper[column[0]] for column in proper.columns])
    return max([y[column[-1]] + lower[column[-1]] for column in proper.columns]) - top


def align(
    proper: Proper,
    before: list[list[int]],
    after: list[list[int]],
    marked: set[tuple[int, int]],
    upper: Sequence[float],
    lower: Sequence[float],
) -> list[float]:
    """Heights by four alignments with the medians of neighbours, and their balance."""
    results = []
    for from_left in (True, False):
        swept = proper.columns if from_left else proper.columns[::-1]
        nears = _prefer_lines(before if from_left else after, proper.real)
        results.append(_direction(swept, nears, marked, upper, lower))
        mirrored = [column[::-1] for column in swept]
        flipped = [near[::-1] for near in nears]
        results.append([-y for y in _direction(mirrored, flipped, marked, lower, upper)])
    return _balance(results, proper.columns, upper, lower)


def _sorted_neighbours(proper: Proper) -> tuple[list[list[int]], list[list[int]]]:
    """Neighbours on both sides, sorted by their place."""
    size = len(proper.after)
    before: list[list[int]] = [[] for _ in range(size)]
    after: list[list[int]] = [[] for _ in range(size)]
    for column in proper.columns:
        for vertex in column:
            for target in proper.after[vertex]:
                before[target].append(vertex)
            for source in proper.before[vertex]:
                after[source].append(vertex)
    return before, after


def _prefer_lines(nears: list[list[int]], real: int) -> list[list[int]]:
    """A bend aligns with the next bend of its own trunk and with nothing else."""
    preferred = nears.copy()
    for vertex in range(real, len(nears)):
        bends = [near for near in nears[vertex] if near >= real]
        if bends:
            preferred[vertex] = bends
    return preferred


def _conflicts(proper: Proper, before: Sequence[Sequence[int]]) -> set[tuple[int, int]]:
    """Segments that cross the inside of a trunk; they must not be aligned. Given both ways round."""
    real = proper.real
    marked: set[tuple[int, int]] = set()
    for left, right in pairwise(proper.columns):
        if right[-1] < real and max(right) < real:
            continue
        place = {vertex: index for index, vertex in enumerate(left)}
        low = scanned = 0
        for index, vertex in enumerate(right):
            inner = next((near for near in before[vertex] if near >= real), None) if vertex >= real else None
            if inner is None and index < len(right) - 1:
                continue
            high = len(left) - 1 if inner is None else place[inner]
            for other in right[scanned : index + 1]:
                for near in before[other]:
                    if not low <= place[near] <= high and not (near >= real and other >= real):
                        marked.add((near, other))
                        marked.add((other, near))
            scanned, low = index + 1, high
    return marked


def _direction(
    columns: Sequence[Sequence[int]],
    nears: Sequence[Sequence[int]],
    marked: set[tuple[int, int]],
    upper: Sequence[float],
    lower: Sequence[float],
) -> list[float]:
    return _compact(columns, _align(columns, nears, marked), upper, lower)


def _align(columns: Sequence[Sequence[int]], nears: Sequence[Sequence[int]], marked: set[tuple[int, int]]) -> list[int]:
    """Give each vertex the root of its block: blocks are paths of medians that do not cross."""
    root = list(range(len(nears)))
    place: dict[int, int] = {}
    for column in columns:
        last = -1
        for vertex in column:
            near = nears[vertex]
            half = len(near) // 2
            for candidate in near[half - 1 : half + 1] if near and len(near) % 2 == 0 else near[half : half + 1]:
                if place[candidate] <= last or (candidate, vertex) in marked:
                    continue
                root[vertex] = root[candidate]
                last = place[candidate]
                break
        place = {vertex: index for index, vertex in enumerate(column)}
    return root


def _compact(
    columns: Sequence[Sequence[int]], root: Sequence[int], upper: Sequence[float], lower: Sequence[float]
) -> list[float]:
    """Place the blocks as high as they go, then let each sink towards the blocks below it."""
    size = len(root)
    below: list[list[tuple[int, float]]] = [[] for _ in range(size)]
    missing = [0] * size
    for column in columns:
        above = column[0]
        for vertex in column[1:]:
            below[root[above]].append((root[vertex], lower[above] + upper[vertex]))
            missing[root[vertex]] += 1
            above = vertex
    order = [vertex for vertex in range(size) if root[vertex] == vertex and not missing[vertex]]
    y = [0.0] * size
    for block in order:
        for other, distance in below[block]:
            y[other] = max(y[other], y[block] + distance)
            missing[other] -= 1
            if not missing[other]:
                order.append(other)
    for block in reversed(order):
        if below[block]:
            y[block] = max(y[block], min([y[other] - distance for other, distance in below[block]]))
    return [y[block] for block in root]


def _balance(
    results: Sequence[list[float]], columns: Sequence[Sequence[int]], upper: Sequence[float], lower: Sequence[float]
) -> list[float]:
    """Align the four results with the flattest of them and take, for each vertex, the mean of the middle two."""
    tops = [min([y[column[0]] - upper[column[0]] for column in columns]) for y in results]
    ends = [max([y[column[-1]] + lower[column[-1]] for column in columns]) for y in results]
    flattest = min(range(len(results)), key=lambda i: ends[i] - tops[i])
    shifts = []
    for i in range(len(results)):
        upwards = i % 2 == 0
        shifts.append(tops[flattest] - tops[i] if upwards else ends[flattest] - ends[i])
    heights = []
    for a, b, c, d in zip(*results, strict=True):
        four = sorted((a + shifts[0], b + shifts[1], c + shifts[2], d + shifts[3]))
        heights.append((four[1] + four[2]) / 2)
    return heights
