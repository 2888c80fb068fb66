"""Ordered columns → heights by springs: compact where alignment alone would leave wide holes.

In: ordered columns and the room that each vertex needs. Out: one y a vertex. Invariant: neighbours in a column keep
their order and their distance after each sweep; the work is a fixed number of passes.

Each column in turn moves to the least-squares best heights for its links: every vertex wants the mean height of its
neighbours, and isotonic regression (pool adjacent violators) finds the nearest heights that keep the distances.
Then vertices that stand almost level with a neighbour are joined to rigid blocks and made exactly level.
"""

from __future__ import annotations

from collections.abc import Sequence

from cascade.graph.layout.bends import Proper
from cascade.graph.layout.combs import is_comb

_WORK = 60_000
_MAX_SWEEPS, _MIN_SWEEPS = 30, 4
_STIFF, _SLACK, _ANCHOR = 8.0, 0.1, 0.08
_LEVEL, _LEVEL_TRUNK = 22.0, 70.0


def relax(proper: Proper, upper: Sequence[float], lower: Sequence[float]) -> list[float]:
    """Heights after some sweeps to and fro, from columns packed around a common middle line.

    Args:
        proper: columns in their final order.
        upper: what each vertex needs above its line.
        lower: what it needs below.
    """
    y = [0.0] * len(proper.after)
    offsets = []
    for column in proper.columns:
        offset, own = 0.0, []
        for index, vertex in enumerate(column):
            offset += upper[vertex] + (lower[column[index - 1]] if index else 0.0)
            own.append(offset)
        middle = (offset + lower[column[-1]]) / 2
        for vertex, place in zip(column, own, strict=True):
            y[vertex] = place - middle
        offsets.append(own)
    springs = _springs(proper)
    anchors = [_ANCHOR * place if vertex < proper.real else 0.0 for vertex, place in enumerate(y)]
    sweeps = max(_MIN_SWEEPS, min(_MAX_SWEEPS, _WORK // len(y)))
    numbers = range(len(offsets))
    for sweep in range(sweeps):
        for number in numbers if sweep % 2 == 0 else reversed(numbers):
            _settle(proper.columns[number], offsets[number], springs, anchors, y)
    return y


Springs = list[tuple[list[int], list[tuple[int, float]], float]]


def _springs(proper: Proper) -> Springs:
    """For each vertex its neighbours at weight one, corrections to that, and the sum of all weights.

    A trunk is stiff: its inside pulls harder than all that hangs on it. A comb is slack: its teeth are level and its
    upright line may be long, so all its teeth together pull like two links.
    """
    springs: Springs = []
    for vertex, (left, right) in enumerate(zip(proper.before, proper.after, strict=True)):
        near = left + right
        odd = [
            (other, weight - 1)
            for others, back in ((left, proper.after), (right, proper.before))
            for other in others
            if (weight := _weight(proper, vertex, other, others, back[other])) != 1
        ]
        anchor = _ANCHOR if vertex < proper.real else 0.0
        springs.append((near, odd, len(near) + sum([extra for _, extra in odd]) + anchor))
    return springs


def _weight(proper: Proper, vertex: int, other: int, others: Sequence[int], back: Sequence[int]) -> float:
    if vertex >= proper.real and other >= proper.real:
        return _STIFF
    teeth = max(len(near) if is_comb(proper, end, near) else 0 for end, near in ((vertex, others), (other, back)))
    return _SLACK / teeth if teeth else 1.0


def _settle(
    column: Sequence[int], offsets: Sequence[float], springs: Springs, anchors: Sequence[float], y: list[float]
) -> None:
    """Move one column to its best heights."""
    sums: list[float] = []
    weights: list[float] = []
    counts: list[int] = []
    for vertex, offset in zip(column, offsets, strict=True):
        near, odd, weight = springs[vertex]
        total = anchors[vertex] + sum([y[other] for other in near])
        for other, extra in odd:
            total += extra * y[other]
        pull, count = total - weight * offset, 1
        while sums and sums[-1] * weight > pull * weights[-1]:
            pull += sums.pop()
            weight += weights.pop()
            count += counts.pop()
        sums.append(pull)
        weights.append(weight)
        counts.append(count)
    index = 0
    for pull, weight, count in zip(sums, weights, counts, strict=True):
        base = pull / weight
        for place in range(index, index + count):
            y[column[place]] = base + offsets[place]
        index += count


def level(
    proper: Proper,
    y: Sequence[float],
    marked: set[tuple[int, int]],
    upper: Sequence[float],
    lower: Sequence[float],
) -> list[float]:
    """Make almost level neighbours exactly level.

    Args:
        proper: columns in their final order.
        y: heights that keep all distances.
        marked: segments that cross a trunk.
        upper: what each vertex needs above its line.
        lower: what it needs below.
    """
    root = _join_level(proper, y, marked)
    below: list[list[tuple[int, float]]] = [[] for _ in y]
    missing = [0] * len(y)
    for column in proper.columns:
        above = column[0]
        for vertex in column[1:]:
            below[root[above]].append((root[vertex], lower[above] + upper[vertex]))
            missing[root[vertex]] += 1
            above = vertex
    total, size = [0.0] * len(y), [0] * len(y)
    for vertex, block in enumerate(root):
        total[block] += y[vertex]
        size[block] += 1
    wanted = [total[block] / size[block] if size[block] else 0.0 for block in range(len(y))]
    order = [vertex for vertex in range(len(y)) if root[vertex] == vertex and not missing[vertex]]
    sunk = wanted.copy()
    for block in order:
        for other, distance in below[block]:
            sunk[other] = max(sunk[other], sunk[block] + distance)
            missing[other] -= 1
            if not missing[other]:
                order.append(other)
    risen = wanted
    for block in reversed(order):
        if below[block]:
            risen[block] = min(risen[block], *[risen[other] - distance for other, distance in below[block]])
    return [(sunk[block] + risen[block]) / 2 for block in root]


def _join_level(proper: Proper, y: Sequence[float], marked: set[tuple[int, int]]) -> list[int]:
    """The root of each vertex's block; blocks never cross."""
    root = list(range(len(y)))
    place: dict[int, int] = {}
    real = proper.real
    for column in proper.columns:
        last = -1
        for vertex in column:
            best, least = -1, 0.0
            for near in proper.before[vertex]:
                trunk = vertex >= real and near >= real
                if not trunk and (
                    is_comb(proper, vertex, proper.before[vertex]) or is_comb(proper, near, proper.after[near])
                ):
                    continue
                apart = abs(y[near] - y[vertex])
                if apart > (_LEVEL_TRUNK if trunk else _LEVEL) or place[near] <= last or (near, vertex) in marked:
                    continue
                if trunk:
                    apart = -1.0
                if best < 0 or apart < least:
                    best, least = near, apart
            if best >= 0:
                root[vertex] = root[best]
                last = place[best]
        place = {vertex: index for index, vertex in enumerate(column)}
    return root
