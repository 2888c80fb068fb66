"""Nodes and edges → Picture: where each box stands and how each arrow runs.

In: the graph's plain data. Out: a `Picture`, and by way of its neighbours SVG, DOT and Mermaid text.
Invariant: pure and deterministic; the same graph gives the same picture, to the last digit.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from cascade.graph.draw_measure import clean, width
from cascade.graph.draw_shapes import Arrow, Box, NodeState, Picture, looks, tidy
from cascade.graph.draw_svg import to_svg
from cascade.graph.draw_text import to_dot, to_mermaid
from cascade.graph.layout import Link, Place, Size, Spacing, lay_out
from cascade.graph.layout.perch import Perch, find_perches
from cascade.graph.model import Edge, EdgeKind, Node, NodeKind
from cascade.graph.reading import as_read

__all__ = ["Arrow", "Box", "NodeState", "Picture", "picture", "to_dot", "to_mermaid", "to_svg"]

_LABEL_LIMIT = 24
_PERCH_GAP = 24.0
_AIRY_UP_TO = 40
_AIRY, _CLOSE = Spacing(margin=16), Spacing(row=16, part=30, margin=16)
_STYLES = {"data": 0, "selector": 0, "condition": 1, "route": 2, "constraint": 3, "order": 4}


def picture(nodes: Sequence[Node], edges: Sequence[Edge]) -> Picture:
    """Lay a graph out from left to right.

    Args:
        nodes: with ids that are unique.
        edges: between these nodes. Equal source, target and kind make one arrow, which bears all their labels.

    Raises:
        ValueError: an edge names a node that is not there, or two nodes have the same id.

    Example:
        >>> drawn = picture([Node("load", "load"), Node("clean", "clean")], [Edge("load", "clean")])
        >>> [box.id for box in drawn.boxes], drawn.arrows[0].d
        (['load', 'clean'], 'M120,33H154')
    """
    number = _number(nodes, edges)
    arrows = _merge(as_read(nodes, edges))
    pairs = [(number[edge.source], number[edge.target]) for edge in arrows]
    small = {index for index, node in enumerate(nodes) if node.kind in {"param", "env"}}
    perches = find_perches(small, pairs)
    ground = [index for index in range(len(nodes)) if index not in perches]
    slot = {index: place for place, index in enumerate(ground)}
    flat = [place for place, pair in enumerate(pairs) if pair[0] not in perches]
    on: dict[int, list[tuple[Node, Perch]]] = defaultdict(list)
    for index, perch in perches.items():
        on[perch.reader].append((nodes[index], perch))
    layout = lay_out(
        [_size(nodes[index], on.get(index, ())) for index in ground],
        [Link(slot[pairs[a][0]], slot[pairs[a][1]], _STYLES[arrows[a].kind], _label_width(arrows[a])) for a in flat],
        _AIRY if len(nodes) <= _AIRY_UP_TO else _CLOSE,
    )
    boxes: dict[int, Box] = {index: _box(nodes[index], layout.places[slot[index]]) for index in ground}
    for index, perch in perches.items():
        boxes[index] = _perched_box(nodes[index], boxes[perch.reader], above=perch.above)
    drawn: dict[int, Arrow] = {}
    for place, route in zip(flat, layout.routes, strict=True):
        drawn[place] = replace(arrows[place], d=route.d, lx=route.lx, ly=route.ly)
    for place, (source, target) in enumerate(pairs):
        if source in perches:
            drawn[place] = _upright_arrow(arrows[place], boxes[source], boxes[target])
    return Picture(
        layout.width,
        layout.height,
        tuple(boxes[index] for index in range(len(nodes))),
        tuple(drawn[place] for place in range(len(arrows))),
    )


def _number(nodes: Sequence[Node], edges: Sequence[Edge]) -> dict[str, int]:
    """Each id's place; ids must be unique and edges must name them."""
    number = {node.id: index for index, node in enumerate(nodes)}
    if len(number) < len(nodes):
        twice = next(id_ for id_, count in Counter(node.id for node in nodes).items() if count > 1)
        raise ValueError(f"Two nodes have the id {clean(twice)!r}. Give each node an id of its own.")
    for edge in edges:
        for end in (edge.source, edge.target):
            if end not in number:
                ends = f"{clean(edge.source)!r} to {clean(edge.target)!r}"
                raise ValueError(f"The edge from {ends} names {clean(end)!r}, which is no node. Pass that node too.")
    return number


def _merge(edges: Sequence[Edge]) -> list[Arrow]:
    """One arrow, not yet drawn, for each source, target and kind."""
    labels: dict[tuple[str, str, EdgeKind], list[str]] = {}
    for edge in edges:
        known = labels.setdefault((edge.source, edge.target, edge.kind), [])
        label = clean(edge.label, _LABEL_LIMIT)
        if label and label not in known and len(known) <= _LABEL_LIMIT:
            known.append(label)
    return [
        Arrow(source, target, kind, clean(", ".join(known), _LABEL_LIMIT), "", 0.0, 0.0)
        for (source, target, kind), known in labels.items()
    ]


def _label_width(arrow: Arrow) -> float:
    return width(arrow.label, looks()["metrics"]["label_size"]) if arrow.label else 0.0


def _size(node: Node, perched: Sequence[tuple[Node, Perch]]) -> Size:
    """How much room a node needs, with the sources that are perched on it."""
    metrics = looks()["metrics"]
    half = _height(node.kind) / 2
    side = metrics["box_height"] + _PERCH_GAP
    stack = metrics["stack_offset"] if node.kind == "map" else 0
    up = half + stack + sum(side for _, perch in perched if perch.above)
    down = half + sum(side for _, perch in perched if not perch.above)
    return Size(max(map(_width, (node, *(source for source, _ in perched)))), up, down)


def _height(kind: NodeKind) -> float:
    metrics = looks()["metrics"]
    return float(metrics["map_height"] if kind == "map" else metrics["box_height"])


def _width(node: Node) -> float:
    """Wide enough for the name and the note, within the bounds of `looks.json`; even, so that centres are whole."""
    metrics = looks()["metrics"]
    around = metrics["text_x"] + metrics["text_right"]
    name = width(clean(node.name), metrics["name_size"])
    least = metrics["min_width"]
    if node.kind == "map":
        name += metrics["map_count_room"]
        least = metrics["map_min_width"]
    elif node.kind == "route":
        around += metrics["route_point"] + metrics["route_shift"]
    wanted = max(name, width(clean(node.note), metrics["detail_size"])) + around
    return float(2 * math.ceil(min(max(wanted, least), metrics["max_width"]) / 2))


def _box(node: Node, place: Place) -> Box:
    high = _height(node.kind)
    return Box(node.id, clean(node.name), node.kind, clean(node.note), place.x, place.y - high / 2, place.w, high)


def _perched_box(node: Node, reader: Box, *, above: bool) -> Box:
    """A box over or under its reader, as wide as that."""
    high = _height(node.kind)
    y = _top(reader) - _PERCH_GAP - high if above else reader.y + reader.h + _PERCH_GAP
    return Box(node.id, clean(node.name), node.kind, clean(node.note), reader.x, y, reader.w, high)


def _top(box: Box) -> float:
    """Where an arrow from above meets a box: a map's back card stands out there."""
    return box.y - (looks()["metrics"]["stack_offset"] if box.kind == "map" else 0)


def _upright_arrow(arrow: Arrow, source: Box, target: Box) -> Arrow:
    """From a perched source straight to its reader."""
    x = source.x + source.w / 2
    start, stop = (source.y + source.h, _top(target)) if source.y < target.y else (source.y, target.y + target.h)
    return replace(arrow, d=f"M{tidy(x)},{tidy(start)}V{tidy(stop)}", lx=x, ly=(start + stop) / 2)
