"""Many links at one vertex → a comb: one upright line in the gap with a level tooth for each link.

In: a proper graph with its columns and heights. Out: for each gap between columns its least width and where its
upright lines stand. Invariant: lines that gather on the left stand left of lines that spread to the right, so that
a crowd that is read from one trunk and writes to another crosses neither.

Thirty curves into one point are a grey fan; thirty teeth on one line can be followed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cascade.graph.layout.bends import Proper

_TEETH, _TEETH_OF_TRUNK = 7, 4
_ROOT, _TIP, _TRACK, _BETWEEN = 16.0, 20.0, 8.0, 12.0


@dataclass(frozen=True, slots=True)
class Combs:
    """The combs of one gap.

    Args:
        gathering: pixels right of the left column, by the vertex that gathers.
        spreading: pixels left of the right column, by the vertex that spreads.
        width: that the gap must have for them.
    """

    gathering: dict[int, float]
    spreading: dict[int, float]
    width: float

    @classmethod
    def of(cls, proper: Proper, number: int, heights: Sequence[float]) -> Combs:
        """The combs in the gap behind a column, from few teeth to many so that long lines stand outside."""
        gathers = [v for v in proper.columns[number + 1] if is_comb(proper, v, proper.before[v])]
        spreads = [v for v in proper.columns[number] if is_comb(proper, v, proper.after[v])]
        gathers.sort(key=lambda v: (_span(v, proper.before[v], heights), v))
        spreads.sort(key=lambda v: (_span(v, proper.after[v], heights), v))
        gathering = {v: _ROOT + _TRACK * place for place, v in enumerate(gathers)}
        spreading = {v: _TIP + _TRACK * place for place, v in enumerate(spreads)}
        width = max(gathering.values(), default=0.0) + max(spreading.values(), default=0.0)
        return cls(gathering, spreading, width + _BETWEEN + (0 if gathering and spreading else _ROOT))

    @classmethod
    def none(cls) -> Combs:
        """No combs: where links bear labels, curves leave room for them."""
        return cls({}, {}, 0.0)

    def place(self, proper: Proper, source: int, target: int, left: float, right: float) -> float | None:
        """The x of the upright line that a segment takes, None if it is a curve."""
        gathered, spread = self.gathering.get(target), self.spreading.get(source)
        if spread is not None and (gathered is None or len(proper.after[source]) >= len(proper.before[target])):
            return right - spread
        return None if gathered is None else left + gathered


def is_comb(proper: Proper, vertex: int, neighbours: Sequence[int]) -> bool:
    """Whether a vertex has so many links on one side that they are drawn as a comb; a trunk, which has more, sooner."""
    return len(neighbours) >= (_TEETH if vertex < proper.real else _TEETH_OF_TRUNK)


def _span(vertex: int, neighbours: Sequence[int], heights: Sequence[float]) -> float:
    return max([abs(heights[vertex] - heights[near]) for near in neighbours])
