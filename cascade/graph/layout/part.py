"""One connected part of a graph, laid out in its own coordinates.

In: its boxes and links. Out: places and routes once its corner is known. Invariant: nothing of it reaches beyond its
width and height.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cascade.graph.layout.bends import Proper, add_bends
from cascade.graph.layout.folding import set_columns
from cascade.graph.layout.layering import assign_columns
from cascade.graph.layout.ordering import order_columns
from cascade.graph.layout.placement import assign_heights
from cascade.graph.layout.routing import Tracer, level_runs, short
from cascade.graph.layout.shapes import Link, Place, Route, Size, Spacing
from cascade.graph.layout.topology import Pair, neighbours

_APART, _SPREAD = 6.0, 24.0
_RAIL, _RAILS_MOST = 8.0, 60
_LOOP = 16.0


@dataclass(frozen=True, slots=True)
class Wiring:
    """A part's links as pairs that run from left to right, each pair once, in the part's own numbers.

    Args:
        pairs: the pairs.
        styles: the style of the first link of each pair.
        pair_of: for each link the number of its pair; links from a box to itself have none.
        late: for each labelled link whether its label stands near the right end of its pair.
    """

    pairs: list[Pair]
    styles: list[int]
    pair_of: dict[int, int]
    late: dict[int, bool]

    @classmethod
    def of(cls, local: Mapping[int, int], links: Mapping[int, Link], backward: set[Pair]) -> Wiring:
        """Number the pairs of some links."""
        leaving = Counter(link.source for link in links.values() if link.label)
        reaching = Counter(link.target for link in links.values() if link.label)
        wiring = cls([], [], {}, {})
        number: dict[Pair, int] = {}
        for index, link in links.items():
            if link.source == link.target:
                continue
            pair = local[link.source], local[link.target]
            turned = (link.source, link.target) in backward
            if turned:
                pair = pair[1], pair[0]
            if pair not in number:
                number[pair] = len(wiring.pairs)
                wiring.pairs.append(pair)
                wiring.styles.append(link.style)
            wiring.pair_of[index] = number[pair]
            if link.label:
                wiring.late[index] = (leaving[link.source] >= reaching[link.target]) != turned
        return wiring

    def label_widths(self, links: Mapping[int, Link], column: Sequence[int]) -> dict[int, float]:
        """The widest label in the gap behind each column."""
        widths: dict[int, float] = defaultdict(float)
        for index, late in self.late.items():
            source, target = self.pairs[self.pair_of[index]]
            gap = column[target] - 1 if late else column[source]
            widths[gap] = max(widths[gap], links[index].label)
        return widths


@dataclass(frozen=True, slots=True)
class Part:
    """A part whose boxes and lines have their places, its own top left corner being (`left`, `top`)."""

    boxes: list[int]
    links: dict[int, Link]
    sizes: list[Size]
    backward: set[Pair]
    wiring: Wiring
    tracer: Tracer
    left: float
    top: float
    width: float
    height: float

    @classmethod
    def of(
        cls,
        boxes: list[int],
        links: dict[int, Link],
        sizes: Sequence[Size],
        backward: set[Pair],
        spacing: Spacing,
    ) -> Part:
        """Lay one connected part out."""
        own = [sizes[box] for box in boxes]
        wiring = Wiring.of({box: number for number, box in enumerate(boxes)}, links, backward)
        column = assign_columns(*neighbours(len(boxes), wiring.pairs), spacing.aspect)
        proper = add_bends(column, wiring.pairs, wiring.styles)
        order_columns(proper)
        up, down = _reach(proper, own, 0.0, 0.0)
        heights = assign_heights(proper, *_reach(proper, own, spacing.row / 2, spacing.line / 2))
        widths = [max([own[v].w for v in members if v < len(own)]) for members in proper.columns]
        frame = set_columns(proper, widths, heights, (up, down), wiring.label_widths(links, column), spacing)
        for row in frame.rows:
            for vertex in [v for members in proper.columns[row.first : row.last + 1] for v in members]:
                heights[vertex] = float(round(heights[vertex] + row.shift))
        rails = _rails(proper, min(y - reach for y, reach in zip(heights, up, strict=True)))
        runs = [level_runs(trunk, frame, heights, rail) for trunk, rail in zip(proper.trunks, rails, strict=True)]
        column += [at for trunk in proper.trunks for at, _ in enumerate(trunk.bends, trunk.first)]
        tracer = Tracer(proper, frame, column, heights, runs)
        spare = _LOOP if any(link.source == link.target for link in links.values()) else 0.0
        left = min([0.0, *(fold.x_left for fold in frame.folds.values())])
        right = max([*frame.right, *(fold.x_right for fold in frame.folds.values())]) + spare
        top = min([y - reach for y, reach in zip(heights, up, strict=True)] + rails) - spare
        bottom = max(y + reach for y, reach in zip(heights, down, strict=True))
        return cls(boxes, links, own, backward, wiring, tracer, left, top, right - left, bottom - top)

    def places(self, x: float, y: float) -> Iterator[tuple[int, Place]]:
        """Each box and its place, when the part's corner stands at (x, y)."""
        frame, column = self.tracer.frame, self.tracer.column
        dx, dy = round(x - self.left), round(y - self.top)
        for number, box in enumerate(self.boxes):
            left, right = frame.left[column[number]], frame.right[column[number]]
            yield box, Place(left + dx, self.tracer.heights[number] + dy, right - left)

    def routes(self, x: float, y: float) -> Iterator[tuple[int, Route]]:
        """Each link and its route, when the part's corner stands at (x, y)."""
        tracer = self.tracer.moved(round(x - self.left), round(y - self.top))
        wiring = self.wiring
        total = Counter(wiring.pair_of.values())
        drawn: Counter[int] = Counter()
        for index, link in self.links.items():
            pair = wiring.pair_of.get(index)
            if pair is None:
                number = self.boxes.index(link.source)
                yield index, _loop(tracer, number, self.sizes[number])
                continue
            apart = min(_APART, _SPREAD / total[pair])
            offset = apart * (drawn[pair] - (total[pair] - 1) / 2)
            drawn[pair] += 1
            yield (
                index,
                tracer.draw(
                    wiring.pairs[pair],
                    tracer.proper.trunk_of[pair],
                    offset=offset,
                    backward=(link.source, link.target) in self.backward,
                    late=wiring.late.get(index, True),
                ),
            )


def _reach(proper: Proper, sizes: Sequence[Size], box_room: float, line_room: float) -> tuple[list[float], list[float]]:
    """How far each vertex reaches above and below its line, with some room around it."""
    bends = [line_room] * (len(proper.after) - len(sizes))
    return [size.up + box_room for size in sizes] + bends, [size.down + box_room for size in sizes] + bends


def _rails(proper: Proper, top: float) -> list[float]:
    """A height above the picture for each trunk without bends; trunks that overlap get different ones."""
    rails = [top] * len(proper.trunks)
    free: list[tuple[int, int]] = []
    tracks = 0
    for number in sorted(range(len(rails)), key=lambda i: proper.trunks[i].first):
        trunk = proper.trunks[number]
        if trunk.bends:
            continue
        if free and free[0][0] < trunk.first:
            track = heapq.heappop(free)[1]
        else:
            track, tracks = tracks, tracks + 1
        heapq.heappush(free, (trunk.last, track))
        rails[number] = round(top) - 2 * _RAIL - _RAIL * (track % _RAILS_MOST)
    return rails


def _loop(tracer: Tracer, number: int, size: Size) -> Route:
    """A link from a box to itself: out at its right, over its corner, in from above."""
    right = tracer.frame.right[tracer.column[number]] + tracer.dx
    y = tracer.heights[number] + tracer.dy
    top = y - size.up
    points = (right, y), (right + _LOOP, y), (right - _LOOP, top - _LOOP), (right - _LOOP, top)
    start, *curve = [f"{short(px)},{short(py)}" for px, py in points]
    d = f"M{start}C{' '.join(curve)}"
    return Route(d, right, top - _LOOP / 2)
