"""A wide family of siblings → strips: blocks of siblings that stand one behind the other instead of one tall column.

In: pairs without a cycle. Out: how many columns later each strip's first vertices begin.
Invariant: members of one strip keep their own order of columns; who has no wide family is not moved.

A hub is a vertex with very many neighbours on one side. Without its hubs, a graph such as `join([fit(clean(p)) for p
in paths])` falls into many small pieces. Pieces with the same hubs around them are one family.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

_HUB_LINKS = 10
_TALL_ROWS = 14
_ROW_PX, _COLUMN_PX = 56.0, 180.0


def delays(
    after: Sequence[Sequence[int]],
    before: Sequence[Sequence[int]],
    order: Sequence[int],
    aspect: float,
) -> tuple[dict[int, int], set[int]]:
    """Extra columns for the first vertices of each strip, and the vertices that must not be pulled right again."""
    hubs = {v for v in range(len(after)) if len(after[v]) > _HUB_LINKS or len(before[v]) > _HUB_LINKS}
    delay: dict[int, int] = {}
    held: set[int] = set()
    if not hubs:
        return delay, held
    depth = _depths(after, before, order, hubs)
    for pieces in _families(after, before, hubs).values():
        rows = [_tallest(piece, depth) for piece in pieces]
        deep = max(depth[v] for piece in pieces for v in piece) + 1
        strips = round(math.sqrt(aspect * sum(rows) * _ROW_PX / (deep * _COLUMN_PX)))
        if sum(rows) <= _TALL_ROWS or strips <= 1:
            continue
        room = sum(rows) / strips
        used = 0
        for piece, high in zip(pieces, rows, strict=True):
            late = min(int((used + high / 2) / room), strips - 1) * deep
            used += high
            delay.update((v, late) for v in piece if depth[v] == 0)
            held.update(v for v in piece if not hubs.isdisjoint(after[v]))
            held.update(v for v in piece if not after[v])
    return {vertex: late for vertex, late in delay.items() if late}, held


def _depths(
    after: Sequence[Sequence[int]], before: Sequence[Sequence[int]], order: Sequence[int], hubs: set[int]
) -> list[int]:
    """Longest path to each vertex that meets no hub on its way."""
    depth = [0] * len(after)
    for vertex in order:
        if vertex not in hubs:
            depth[vertex] = max((depth[source] + 1 for source in before[vertex] if source not in hubs), default=0)
    return depth


def _families(
    after: Sequence[Sequence[int]], before: Sequence[Sequence[int]], hubs: set[int]
) -> dict[tuple[frozenset[int], frozenset[int]], list[list[int]]]:
    """Pieces that remain without the hubs, grouped by the hubs that feed them and the hubs they feed."""
    families: dict[tuple[frozenset[int], frozenset[int]], list[list[int]]] = defaultdict(list)
    seen = set(hubs)
    for root in range(len(after)):
        if root in seen:
            continue
        seen.add(root)
        piece, fed_by, feeds = [root], set(), set()
        for vertex in piece:
            fed_by.update(hubs.intersection(before[vertex]))
            feeds.update(hubs.intersection(after[vertex]))
            for other in (*before[vertex], *after[vertex]):
                if other not in seen:
                    seen.add(other)
                    piece.append(other)
        families[frozenset(fed_by), frozenset(feeds)].append(piece)
    return families


def _tallest(piece: Sequence[int], depth: Sequence[int]) -> int:
    rows: dict[int, int] = defaultdict(int)
    for vertex in piece:
        rows[depth[vertex]] += 1
    return max(rows.values())
