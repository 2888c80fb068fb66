"""How many segments cross, counted between two columns and over a whole graph.

In: the order of each column. Out: counts. Invariant: n log n in the number of segments.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

_INSORT_UP_TO = 3000


def count_inversions(numbers: Sequence[int]) -> int:
    """How many pairs stand in the wrong order."""
    if len(numbers) > _INSORT_UP_TO:
        return _count_by_tree(numbers)
    seen: list[int] = []
    inversions = 0
    for number in numbers:
        place = bisect_right(seen, number)
        inversions += len(seen) - place
        seen.insert(place, number)
    return inversions


def _count_by_tree(numbers: Sequence[int]) -> int:
    size = max(numbers) + 1
    tree = [0] * (size + 1)
    inversions = 0
    for seen, number in enumerate(numbers):
        place, below = number + 1, 0
        while place:
            below += tree[place]
            place &= place - 1
        inversions += seen - below
        place = number + 1
        while place <= size:
            tree[place] += 1
            place += place & -place
    return inversions


def count_crossings(columns: Iterable[Sequence[int]], after: Sequence[Sequence[int]], place: Sequence[int]) -> int:
    """Crossings of a whole graph whose segments join neighbouring columns.

    Args:
        columns: the vertices of each column from top to bottom.
        after: right neighbours of each vertex.
        place: each vertex's place in its column.
    """
    total = 0
    for column in columns:
        targets: list[int] = []
        for vertex in column:
            nexts = after[vertex]
            if len(nexts) == 1:
                targets.append(place[nexts[0]])
            elif nexts:
                targets.extend(sorted([place[target] for target in nexts]))
        if len(targets) > 1:
            total += count_inversions(targets)
    return total


def compare(above: Sequence[int], below: Sequence[int]) -> tuple[int, int]:
    """Crossings of two vertices' segments as they stand, and if they changed places.

    Args:
        above: sorted places of the upper vertex's neighbours in one column.
        below: sorted places of the lower vertex's neighbours in the same column.
    """
    if not above or not below:
        return 0, 0
    if len(above) == 1 == len(below):
        return int(above[0] > below[0]), int(above[0] < below[0])
    if len(above) > len(below):
        swapped, standing = compare(below, above)
        return standing, swapped
    size = len(below)
    standing = changed = 0
    for number in above:
        standing += bisect_left(below, number)
        changed += size - bisect_right(below, number)
    return standing, changed
