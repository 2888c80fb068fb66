"""Which sources stand on their reader instead of in a column of their own.

In: kinds of boxes and links. Out: for each perched source its reader and its side. Invariant: a perched source has
one link and feeds one box, so that nothing but a short upright arrow is needed.

A Param that a single task reads says more about the task than about the flow: above its reader it costs no column
and no long line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cascade.graph.layout.topology import Pair

_SIDES = 2


@dataclass(frozen=True, slots=True)
class Perch:
    """A place above or below the box `reader`."""

    reader: int
    above: bool


def find_perches(small: Collection[int], pairs: Sequence[Pair]) -> dict[int, Perch]:
    """Perches for the small sources that feed one box; a box that has more than two of them gets none.

    Args:
        small: boxes that may perch, such as Params.
        pairs: all links.
    """
    links = Counter(end for pair in pairs for end in pair)
    reader = {
        source: target for source, target in pairs if source in small and target not in small and links[source] == 1
    }
    crowd = Counter(reader.values())
    perches: dict[int, Perch] = {}
    used: set[int] = set()
    for source, target in reader.items():
        if crowd[target] <= _SIDES:
            perches[source] = Perch(target, above=target not in used)
            used.add(target)
    return perches
