"""A proper graph → the order of each column from top to bottom, with few crossings.

In: segments between neighbouring columns. Out: the columns, reordered in place.
Invariant: never more crossings than the order that came in; the work is bounded by a multiple of the segments.

Layer by layer sweeps with barycentres (Sugiyama, Tagawa, Toda 1981), then exchanges of neighbours (the transpose
step of Gansner, Koutsofios, North, Vo 1993). Small graphs get several starts; the best order seen wins.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from cascade.graph.layout.bends import Proper
from cascade.graph.layout.crossings import compare, count_crossings

_WORK = 60_000
_MAX_SWEEPS = 24
_MIN_SWEEPS = 4
_SMALL = 600
_PATIENCE = 4
_ROUNDS = 3


def order_columns(proper: Proper) -> None:
    """Reorder `proper.columns` so that few segments cross, and among such orders so that links are short."""
    search = _Search(proper, [0] * len(proper.after))
    best, least = search.snapshot(), search.cost()
    segments = sum(map(len, proper.after)) + 1
    sweeps = max(_MIN_SWEEPS, min(_MAX_SWEEPS, _WORK // segments))
    starts = [_depth_first(proper)]
    if segments <= _SMALL:
        starts += [best, _depth_first_from_right(proper)]
    for start in starts:
        search.load(start)
        cost, order = _sweep(search, sweeps)
        if cost < least:
            least, best = cost, order
    search.load(best)
    _sort_twins(search)
    _turn_up(search)


def _sort_twins(search: _Search) -> None:
    """Put vertices with the same neighbours in the order in which they came; nothing else changes by that."""
    before, after = search.proper.before, search.proper.after
    for column in search.proper.columns:
        twins: dict[tuple[frozenset[int], frozenset[int]], list[int]] = defaultdict(list)
        for vertex in column:
            twins[frozenset(before[vertex]), frozenset(after[vertex])].append(vertex)
        for vertices in twins.values():
            if len(vertices) > 1:
                places = [search.place[vertex] for vertex in vertices]
                for place, vertex in zip(places, sorted(vertices), strict=True):
                    column[place] = vertex
        search.number(column)


def _turn_up(search: _Search) -> None:
    """Turn the picture upside down if more neighbours are then in the order in which they came."""
    real = search.proper.real
    rising = falling = 0
    for column in search.proper.columns:
        boxes = [vertex for vertex in column if vertex < real]
        rising += sum(map(int.__lt__, boxes, boxes[1:]))
        falling += sum(map(int.__gt__, boxes, boxes[1:]))
    if falling > rising:
        search.load([column[::-1] for column in search.proper.columns])
        _sort_twins(search)


Cost = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Search:
    """One order under work: the columns and, kept in step with them, each vertex's place."""

    proper: Proper
    place: list[int]

    def __post_init__(self) -> None:
        for column in self.proper.columns:
            self.number(column)

    def number(self, column: Sequence[int]) -> None:
        for index, vertex in enumerate(column):
            self.place[vertex] = index

    def snapshot(self) -> list[list[int]]:
        return [column.copy() for column in self.proper.columns]

    def load(self, order: Sequence[Sequence[int]]) -> None:
        for column, wanted in zip(self.proper.columns, order, strict=True):
            column[:] = wanted
            self.number(column)

    def cost(self) -> Cost:
        """Crossings, then how far links lead up or down when all columns are centred, in half rows."""
        columns, after, place = self.proper.columns, self.proper.after, self.place
        stretch = 0
        for left, right in pairwise(columns):
            shift = len(right) - len(left)
            stretch += sum([abs(2 * (place[v] - place[w]) + shift) for v in left for w in after[v]])
        return count_crossings(columns, after, place), stretch


def _sweep(search: _Search, sweeps: int) -> tuple[Cost, list[list[int]]]:
    """Sweep to and fro until nothing improves for a while; give the best order and its cost."""
    best, least = search.snapshot(), search.cost()
    stale = 0
    for number in range(sweeps):
        to_right = number % 2 == 0
        columns = search.proper.columns if to_right else search.proper.columns[::-1]
        nears = search.proper.before if to_right else search.proper.after
        for fixed, column in pairwise(columns):
            _sort_by_barycentre(search, column, nears, len(fixed), flip_ties=number % 4 >= 2)  # noqa: PLR2004 - two by two
        _exchange(search)
        cost = search.cost()
        if cost < least:
            best, least, stale = search.snapshot(), cost, 0
        else:
            stale += 1
        if stale >= _PATIENCE:
            break
    return least, best


def _sort_by_barycentre(
    search: _Search, column: list[int], nears: Sequence[Sequence[int]], fixed: int, *, flip_ties: bool
) -> None:
    """Sort a column by the mean place of its neighbours among the `fixed` vertices of the next column.

    Who has no neighbour there keeps its relative place, so that a line through a crowd can move to the crowd's middle.
    """
    if len(column) == 1:
        return
    place = search.place
    scale = fixed / len(column)
    keys: dict[int, float] = {}
    for vertex in column:
        near = nears[vertex]
        if len(near) == 1:
            keys[vertex] = place[near[0]]
        elif near:
            keys[vertex] = sum([place[other] for other in near]) / len(near)
        else:
            keys[vertex] = (place[vertex] + 0.5) * scale - 0.5
    if flip_ties:
        column.reverse()
    column.sort(key=keys.__getitem__)
    search.number(column)


def _exchange(search: _Search) -> None:
    """Exchange neighbours in each column wherever that removes crossings."""
    place = search.place
    before, after = search.proper.before, search.proper.after
    for column in search.proper.columns:
        if len(column) == 1:
            continue
        left = {v: sorted([place[near] for near in before[v]]) for v in column}
        right = {v: sorted([place[near] for near in after[v]]) for v in column}
        for _ in range(_ROUNDS):
            if not _exchange_once(column, left, right):
                break
        search.number(column)


def _exchange_once(column: list[int], left: dict[int, list[int]], right: dict[int, list[int]]) -> bool:
    improved = False
    above = column[0]
    for index in range(1, len(column)):
        below = column[index]
        if _in_order(left[above], left[below]) and _in_order(right[above], right[below]):
            above = below
            continue
        stay_left, swap_left = compare(left[above], left[below])
        stay_right, swap_right = compare(right[above], right[below])
        if swap_left + swap_right < stay_left + stay_right:
            column[index - 1], column[index] = below, above
            improved = True
        else:
            above = below
    return improved


def _in_order(above: list[int], below: list[int]) -> bool:
    """Whether two vertices' segments cannot cross as they stand."""
    return not above or not below or above[-1] <= below[0]


def _depth_first(proper: Proper) -> list[list[int]]:
    """Columns filled in depth-first order from the left: what belongs together starts together."""
    return _fill(proper, [v for column in proper.columns for v in column if not proper.before[v]], proper.after)


def _depth_first_from_right(proper: Proper) -> list[list[int]]:
    return _fill(proper, [v for column in proper.columns[::-1] for v in column if not proper.after[v]], proper.before)


def _fill(proper: Proper, roots: Sequence[int], nexts: Sequence[Sequence[int]]) -> list[list[int]]:
    column_of = {vertex: number for number, column in enumerate(proper.columns) for vertex in column}
    order: list[list[int]] = [[] for _ in proper.columns]
    seen = [False] * len(proper.after)
    for root in roots:
        stack = [root]
        while stack:
            vertex = stack.pop()
            if seen[vertex]:
                continue
            seen[vertex] = True
            order[column_of[vertex]].append(vertex)
            stack.extend(reversed(nexts[vertex]))
    return order
