"""Rectangles → shelves: unconnected parts of a graph side by side and below one another.

In: sizes of the parts. Out: the top left corner of each. Invariant: no two overlap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def pack(sizes: Sequence[tuple[float, float]], gap: float, aspect: float) -> list[tuple[float, float]]:
    """Put rectangles on shelves, the tall ones first, as wide as makes the whole close to `aspect`.

    Args:
        sizes: width and height of each rectangle.
        gap: pixels between two.
        aspect: width over height to aim at.
    """
    area = sum((w + gap) * (h + gap) for w, h in sizes)
    room = max(math.sqrt(area * aspect), max((w for w, _ in sizes), default=0.0))
    corners = [(0.0, 0.0)] * len(sizes)
    x = y = shelf = 0.0
    for index in sorted(range(len(sizes)), key=lambda i: -sizes[i][1]):
        w, h = sizes[index]
        if x and x + w > room:
            x, y, shelf = 0.0, y + shelf + gap, 0.0
        corners[index] = (x, y)
        x += w + gap
        shelf = max(shelf, h)
    return corners
