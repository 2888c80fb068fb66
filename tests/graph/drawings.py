"""Graphs to draw and ways to look at what was drawn, for the tests of layout and drawing."""

from __future__ import annotations

import random
import re
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from cascade.graph.model import Edge, Node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cascade.graph.draw import Box

KINDS = ["task", "task", "task", "map", "route", "param", "env"]
EDGE_KINDS = ["data", "condition", "selector", "route", "constraint", "order"]
Point = tuple[float, float]


@st.composite
def graphs(draw: st.DrawFn, most: int = 12) -> tuple[list[Node], list[Edge]]:
    """Graphs without cycles, their nodes in any order, with a few parallel edges of several kinds."""
    count = draw(st.integers(1, most))
    rank = draw(st.permutations(range(count)))
    pair = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda ends: ends[0] != ends[1])
    ends = draw(st.lists(pair, max_size=2 * count)) if count > 1 else []
    nodes = [
        Node(
            f"n{i}",
            draw(st.sampled_from(["fit", "load_and_clean", "日本", "m" * 60, ""])),
            draw(st.sampled_from(KINDS)),
        )
        for i in range(count)
    ]
    edges = []
    for one, other in ends:
        source, target = sorted((one, other), key=rank.__getitem__)
        label = draw(st.sampled_from(["", "", "yes", "otherwise"]))
        edges.append(Edge(f"n{source}", f"n{target}", draw(st.sampled_from(EDGE_KINDS)), label))
    return nodes, edges


def tangled(seed: int) -> tuple[list[Node], list[Edge]]:
    """A larger random graph: a chain or not, short and long links of all kinds, sometimes a hub."""
    choose = random.Random(seed)
    count = choose.randint(15, 90)
    names = ["x", "longer_name_here", "m" * 40]
    nodes = [
        Node(f"n{i}", choose.choice(names), choose.choice(KINDS), note=choose.choice(["", "note"]))
        for i in range(count)
    ]
    edges = [Edge(f"n{i}", f"n{i + 1}") for i in range(count - 1)] if choose.random() < 0.5 else []
    span = choose.choice([2, 3, 6, count])
    for _ in range(choose.randint(0, count)):
        source = choose.randrange(count - 1)
        target = min(count - 1, source + choose.randint(1, span))
        edges.append(Edge(f"n{source}", f"n{target}", choose.choice(EDGE_KINDS), choose.choice(["", "", "yes"])))
    if choose.random() < 0.3:
        hub = choose.randrange(count // 3)
        edges += [Edge(f"n{hub}", f"n{i}") for i in range(hub + 1, count) if choose.random() < 0.6]
    return nodes, edges


def chain(length: int) -> tuple[list[Node], list[Edge]]:
    """One task after the other."""
    return _tasks(length), [Edge(f"n{i}", f"n{i + 1}") for i in range(length - 1)]


def fan(width: int) -> tuple[list[Node], list[Edge]]:
    """One source, many siblings, one join."""
    nodes = _tasks(width + 2)
    spread = [Edge("n0", f"n{i}") for i in range(1, width + 1)]
    return nodes, spread + [Edge(f"n{i}", f"n{width + 1}") for i in range(1, width + 1)]


def layered(count: int, width: int, seed: int, far: float = 0.2) -> tuple[list[Node], list[Edge]]:
    """Random layers, some links passing up to eight of them."""
    choose = random.Random(seed)
    edges = {}
    for target in range(width, count):
        for _ in range(choose.randint(1, 3)):
            layer = target // width
            back = choose.randint(2, min(8, layer)) if choose.random() < far and layer > 1 else 1
            source = (layer - back) * width + choose.randrange(width)
            edges[source, target] = Edge(f"n{source}", f"n{target}")
    return _tasks(count), list(edges.values())


def _tasks(count: int) -> list[Node]:
    return [Node(f"n{i}", f"step_{i}") for i in range(count)]


def points(d: str) -> list[Point]:
    """Points along an SVG path of absolute commands, close together on its curves."""
    way: list[Point] = []
    for command, numbers in re.findall(r"([MHVLCQ])([^MHVLCQ]*)", d):
        values = [float(number) for number in re.findall(r"-?[\d.]+", numbers)]
        x, y = way[-1] if way else (0.0, 0.0)
        if command == "H":
            way += _line((x, y), (values[0], y))
        elif command == "V":
            way += _line((x, y), (x, values[0]))
        elif command == "L":
            way += _line((x, y), (values[0], values[1]))
        elif command == "M":
            way.append((values[0], values[1]))
        else:
            controls = [(x, y), *zip(values[::2], values[1::2], strict=True)]
            way += [_bezier(controls, step / 24) for step in range(1, 25)]
    return way


def _line(start: Point, stop: Point) -> Iterator[Point]:
    steps = max(1, int((abs(stop[0] - start[0]) + abs(stop[1] - start[1])) / 20))
    for step in range(1, steps + 1):
        part = step / steps
        yield start[0] + (stop[0] - start[0]) * part, start[1] + (stop[1] - start[1]) * part


def _bezier(controls: list[Point], part: float) -> Point:
    while len(controls) > 1:
        controls = [(ax + (bx - ax) * part, ay + (by - ay) * part) for (ax, ay), (bx, by) in pairwise(controls)]
    return controls[0]


def reach(box: Box) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of all that a box draws: a map's back card stands out at the top right."""
    stack = 4 if box.kind == "map" else 0
    return box.x, box.y - stack, box.x + box.w + stack, box.y + box.h


def overlap(one: Box, other: Box) -> bool:
    """Whether two boxes share any of the picture."""
    a, b = reach(one), reach(other)
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def holds(box: Box, point: Point) -> bool:
    """Whether a point lies inside a box, and not just on its border."""
    x, y = point
    return box.x + 0.6 < x < box.x + box.w - 0.6 and box.y + 0.6 < y < box.y + box.h - 0.6


def touches(box: Box, point: Point) -> bool:
    """Whether a point lies on a box's border, give or take half a pixel."""
    left, top, right, bottom = reach(box)
    x, y = point
    sides = abs(x - left) < 0.6 or abs(x - box.x - box.w) < 0.6
    ends = abs(y - top) < 0.6 or abs(y - bottom) < 0.6
    return (sides and top - 0.6 <= y <= bottom + 0.6) or (ends and left - 0.6 <= x <= right + 0.6)
