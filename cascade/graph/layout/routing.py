"""Frame and heights → the path of each link.

In: where columns and vertices stand. Out: one SVG path a link, and the centre of its label.
Invariant: a path starts on its source's border, ends on its target's border, and passes a column only where a bend
of its trunk holds a free line through it.

A path is a chain of level runs joined by S-curves in the gaps between columns. Runs at one height become one run, so
that a line past a thousand columns is as short to write as a line past one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from cascade.graph.layout.bends import Proper, Trunk
from cascade.graph.layout.folding import Frame
from cascade.graph.layout.shapes import Route

_CORNER = 8.0
_NEAR_TARGET, _NEAR_SOURCE = 0.62, 0.38


@dataclass(frozen=True, slots=True)
class Run:
    """A level piece of a trunk: from column `first` to column `last` at height `y`, and the vertices at its ends."""

    first: int
    last: int
    y: float
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Stop:
    """A level piece of one path, in pixels; vertices at its ends tell which fold lies between two stops."""

    x0: float
    x1: float
    y: float
    row: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Tracer:
    """Draws links on a frame. It knows nothing of names, kinds or colours.

    Args:
        proper: vertices, columns and trunks.
        frame: x of the columns.
        column: column of each vertex, bends included.
        heights: final y of each vertex.
        runs: the level pieces of each trunk.
        dx, dy: where the frame's origin stands in the picture.
        led: pieces that lead around a fold, remembered, since all links of a trunk share them.
    """

    proper: Proper
    frame: Frame
    column: Sequence[int]
    heights: Sequence[float]
    runs: Sequence[Sequence[Run]]
    dx: float = 0.0
    dy: float = 0.0
    led: dict[tuple[int, int, float, bool], str] = field(default_factory=dict)

    def moved(self, dx: float, dy: float) -> Tracer:
        """The same tracer, its frame standing elsewhere."""
        return replace(self, dx=dx, dy=dy, led={})

    def draw(self, pair: tuple[int, int], trunk: int | None, *, offset: float, backward: bool, late: bool) -> Route:
        """The route of one link.

        Args:
            pair: its ends from left to right.
            trunk: number of the trunk that it takes, None for a link between neighbouring columns.
            offset: pixels to stand off from other links of the same ends.
            backward: the arrow points from right to left.
            late: its label stands near the target, where links of one source have parted.
        """
        stops = list(self._stops(pair, trunk, offset))
        if backward:
            stops = [Stop(s.x1, s.x0, s.y, s.row, s.stop, s.start) for s in reversed(stops)]
        x = stops[0].x1
        pieces = [f"M{short(x)},{short(stops[0].y)}"]
        for here, there in pairwise(stops):
            if here.row != there.row:
                pieces.append(self._lead_around(here, there, backward=backward))
            elif here.y != there.y:
                upright = self._comb(here, there, backward=backward)
                if upright is None:
                    pieces.append(_bend(x, here, there))
                else:
                    points = [(x, here.y), (upright, here.y), (upright, there.y), (there.x0, there.y)]
                    pieces.append(_round_corners(points))
            else:
                continue
            x = there.x0
        if x != stops[-1].x0 or len(pieces) == 1:
            pieces.append(f"H{short(stops[-1].x0)}")
        late = late != backward
        first = len(stops) - 2 if late else 0
        return Route("".join(pieces), *_label_place(stops[first], stops[first + 1], late=late))

    def _stops(self, pair: tuple[int, int], trunk: int | None, offset: float) -> Iterator[Stop]:
        source, target = pair
        frame, column, row_of = self.frame, self.column, self.frame.row_of
        leaves, reaches = frame.right[column[source]] + self.dx, frame.left[column[target]] + self.dx
        lift = self.dy + offset
        yield Stop(leaves, leaves, self.heights[source] + lift, row_of[column[source]], source, source)
        if trunk is not None:
            for run in self._between(trunk, column[source] + 1, column[target] - 1):
                x0, x1 = frame.left[run.first] + self.dx, frame.right[run.last] + self.dx
                yield Stop(x0, x1, run.y + lift, row_of[run.first], run.start, run.stop)
        yield Stop(reaches, reaches, self.heights[target] + lift, row_of[column[target]], target, target)

    def _between(self, number: int, first: int, last: int) -> Iterator[Run]:
        """The trunk's runs within some columns, cut to them."""
        trunk, runs = self.proper.trunks[number], self.runs[number]
        for place in range(bisect_left(runs, first, key=lambda run: run.last), len(runs)):
            run = runs[place]
            if run.first > last:
                return
            low, high = max(run.first, first), min(run.last, last)
            if trunk.bends:
                yield Run(low, high, run.y, trunk.bends[low - trunk.first], trunk.bends[high - trunk.first])
            else:
                yield Run(low, high, run.y, -1, -1)

    def _comb(self, here: Stop, there: Stop, *, backward: bool) -> float | None:
        """The x of the upright line between two stops, if they are joined by a comb."""
        source, target = (there.start, here.stop) if backward else (here.stop, there.start)
        if source < 0 or target < 0:
            return None
        number = self.column[source]
        left, right = self.frame.right[number] + self.dx, self.frame.left[number + 1] + self.dx
        return self.frame.combs[number].place(self.proper, source, target, left, right)

    def _lead_around(self, here: Stop, there: Stop, *, backward: bool) -> str:
        """From the end of a row along its fold to the start of the next one, with round corners."""
        ends = (there.start, here.stop) if backward else (here.stop, there.start)
        key = (*ends, here.y, backward)
        if key not in self.led:
            fold = self.frame.folds[ends]
            near, far, track = fold.x_right + self.dx, fold.x_left + self.dx, fold.y_track + self.dy
            if backward:
                near, far = far, near
            turns = [(near, here.y), (near, track), (far, track), (far, there.y)]
            self.led[key] = _round_corners([(here.x1, here.y), *turns, (there.x0, there.y)])
        return self.led[key]


def level_runs(trunk: Trunk, frame: Frame, heights: Sequence[float], rail: float) -> list[Run]:
    """A trunk as level runs: bends at one height in one row become one run."""
    if not trunk.bends:
        return [Run(trunk.first, trunk.last, rail, -1, -1)]
    runs: list[Run] = []
    for column, bend in enumerate(trunk.bends, trunk.first):
        last = runs[-1] if runs else None
        if last and last.y == heights[bend] and frame.row_of[last.last] == frame.row_of[column]:
            runs[-1] = Run(last.first, column, last.y, last.start, bend)
        else:
            runs.append(Run(column, column, heights[bend], bend, bend))
    return runs


def _bend(x: float, here: Stop, there: Stop) -> str:
    """From where the path has come to, level to the end of one stop, and in an S-curve to the next."""
    level = f"H{short(here.x1)}" if x != here.x1 else ""
    middle = short((here.x1 + there.x0) / 2)
    return f"{level}C{middle},{short(here.y)} {middle},{short(there.y)} {short(there.x0)},{short(there.y)}"


def _round_corners(points: Sequence[tuple[float, float]]) -> str:
    pieces = []
    for before, (x, y), after in zip(points, points[1:], points[2:], strict=False):
        pieces.append(f"L{_towards(x, y, *before)}Q{short(x)},{short(y)} {_towards(x, y, *after)}")
    x, y = points[-1]
    pieces.append(f"L{short(x)},{short(y)}")
    return "".join(pieces)


def _towards(x: float, y: float, to_x: float, to_y: float) -> str:
    """The point one corner's radius away, on the way to another point along an axis."""
    span = abs(to_x - x) + abs(to_y - y)
    part = min(_CORNER, span / 2) / span if span else 0.0
    return f"{short(x + (to_x - x) * part)},{short(y + (to_y - y) * part)}"


def _label_place(here: Stop, there: Stop, *, late: bool) -> tuple[float, float]:
    """A point between two stops, near the end where lines of one bundle are apart."""
    if here.row != there.row:
        return (there.x0 - _CORNER, there.y) if late else (here.x1 + _CORNER, here.y)
    part = _NEAR_TARGET if late else _NEAR_SOURCE
    if here.y == there.y:
        part = 0.5
    across = 3 * part**2 * (1 - part) + part**3
    along = 1.5 * part * (1 - part) + part**3
    return here.x1 + (there.x0 - here.x1) * along, here.y + (there.y - here.y) * across


def short(number: float) -> str:
    """A coordinate, as short as a tenth of a pixel allows."""
    rounded = round(number, 1)
    whole = int(rounded)
    return str(whole if whole == rounded else rounded)
