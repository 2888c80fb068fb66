"""Columns → a graph whose links all join neighbouring columns.

In: pairs and columns. Out: the same graph with a bend vertex wherever a long link passes a column.
Invariant: the number of bends is bounded by a multiple of the number of vertices, whatever the links.

Long links that leave the same vertex, or that reach the same vertex, share one trunk: a value that a hundred tasks
read is one line with a hundred taps, not a hundred lines. Trunks that the budget does not cover get no bends; they
run along rails above and below the picture.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from cascade.graph.layout.topology import Pair

_BENDS_EACH = 5
_BENDS_FREE = 3000


@dataclass(frozen=True, slots=True)
class Trunk:
    """A line shared by the long links of one vertex.

    Args:
        first: lowest column that it passes.
        last: highest column that it passes.
        bends: its vertices in ascending columns; empty when it runs on a rail.
        end: the vertex that all its links share.
    """

    first: int
    last: int
    bends: tuple[int, ...]
    end: int


@dataclass(frozen=True, slots=True)
class Proper:
    """A graph in which every segment joins neighbouring columns.

    Args:
        real: vertices from 0 to `real` are boxes, the rest are bends.
        columns: the vertices of each column.
        after: right neighbours of each vertex.
        before: left neighbours of each vertex.
        trunks: the shared lines of long links.
        trunk_of: for each pair its trunk, None for a short one.
    """

    real: int
    columns: list[list[int]]
    after: list[list[int]]
    before: list[list[int]]
    trunks: list[Trunk]
    trunk_of: list[int | None]


def add_bends(column: Sequence[int], pairs: Sequence[Pair], styles: Sequence[int]) -> Proper:
    """Replace each long link by segments between neighbouring columns."""
    real = len(column)
    proper = Proper(
        real=real,
        columns=[[] for _ in range(max(column) + 1)],
        after=[[] for _ in range(real)],
        before=[[] for _ in range(real)],
        trunks=[],
        trunk_of=[None] * len(pairs),
    )
    for vertex, place in enumerate(column):
        proper.columns[place].append(vertex)
    bundles = _bundle(column, pairs, styles)
    budget = _BENDS_EACH * real + _BENDS_FREE
    for (end, leaves, _), members in sorted(bundles.items(), key=lambda item: _reach(item[1], column, pairs)):
        budget -= _reach(members, column, pairs)
        _lay_trunk(proper, column, pairs, end, members, leaves=leaves, on_rail=budget < 0)
    for index, (source, target) in enumerate(pairs):
        if column[target] - column[source] == 1:
            _join(proper, source, target)
        elif (number := proper.trunk_of[index]) is not None and (trunk := proper.trunks[number]).bends:
            if trunk.end == source:
                _join(proper, trunk.bends[column[target] - 1 - trunk.first], target)
            else:
                _join(proper, source, trunk.bends[column[source] + 1 - trunk.first])
    return proper


Bundles = dict[tuple[int, bool, int], list[int]]


def _bundle(column: Sequence[int], pairs: Sequence[Pair], styles: Sequence[int]) -> Bundles:
    """Group long pairs by the end that more of them share; the flag says whether that end is the source."""
    long = [i for i, (source, target) in enumerate(pairs) if column[target] - column[source] > 1]
    leaving = Counter((pairs[i][0], styles[i]) for i in long)
    reaching = Counter((pairs[i][1], styles[i]) for i in long)
    bundles: Bundles = defaultdict(list)
    for i in long:
        source, target = pairs[i]
        if leaving[source, styles[i]] >= reaching[target, styles[i]]:
            bundles[source, True, styles[i]].append(i)
        else:
            bundles[target, False, styles[i]].append(i)
    return bundles


def _reach(members: Sequence[int], column: Sequence[int], pairs: Sequence[Pair]) -> int:
    return max(column[pairs[i][1]] - column[pairs[i][0]] for i in members) - 1


def _lay_trunk(
    proper: Proper,
    column: Sequence[int],
    pairs: Sequence[Pair],
    end: int,
    members: Sequence[int],
    *,
    leaves: bool,
    on_rail: bool,
) -> None:
    """Make the trunk of one bundle, from its shared end to its farthest member, and hang it on that end."""
    for i in members:
        proper.trunk_of[i] = len(proper.trunks)
    reach = _reach(members, column, pairs)
    first = column[end] + 1 if leaves else column[end] - reach
    last = first + reach - 1
    if on_rail:
        proper.trunks.append(Trunk(first, last, (), end))
        return
    start = len(proper.after)
    bends = tuple(range(start, start + reach))
    for place, bend in enumerate(bends):
        proper.columns[first + place].append(bend)
        proper.after.append([])
        proper.before.append([])
        if place:
            _join(proper, bend - 1, bend)
    proper.trunks.append(Trunk(first, last, bends, end))
    if leaves:
        _join(proper, end, bends[0])
    else:
        _join(proper, bends[-1], end)


def _join(proper: Proper, left: int, right: int) -> None:
    proper.after[left].append(right)
    proper.before[right].append(left)
