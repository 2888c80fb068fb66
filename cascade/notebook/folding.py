"""Graph → the boxes to draw: one for each node, or, for a graph too big for a page, one for each task name.

In: nodes and edges. Out: a picture as JSON and, for each node id, the id of its box. Invariant: the picture of any
graph is bounded, in boxes and in bytes; a folded picture has no circles.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cascade.graph.draw import Picture, picture
from cascade.graph.model import Edge, Node
from cascade.notebook.plain import plain, plural

MOST_BOXES = 400
MOST_BYTES = 100_000
MOST_GROUPS = 120
LONGEST_ID = 60
_BANDS = 40


@dataclass(frozen=True, slots=True)
class Drawing:
    """What the view draws.

    Args:
        picture: the geometry as JSON. boxes: the box of each node id. names: the name of each box.
        folded: whether boxes stand for several nodes. shape: the geometry itself, for SVG.
    """

    picture: dict[str, Any]
    boxes: Mapping[str, str]
    names: Mapping[str, str]
    folded: bool
    shape: Picture

    @property
    def bytes(self) -> int:
        """How much of a document the picture takes."""
        return weight(self.picture)


def weight(value: object) -> int:
    """Return the size of a value as JSON, in bytes."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))


def draw(nodes: Sequence[Node], edges: Sequence[Edge]) -> Drawing:
    """Return the drawing of a graph, folded if it must be."""
    if len(nodes) <= MOST_BOXES:
        drawing = _draw_plain(nodes, edges)
        if drawing.bytes <= MOST_BYTES:
            return drawing
    for key in (_by_name, _by_stem):
        groups = {node.id: key(node) for node in nodes}
        if len(set(groups.values())) <= MOST_GROUPS:
            return _draw_folded(nodes, edges, groups)
    band = _by_band(nodes, edges)
    groups = {node.id: band(node) for node in nodes}
    return _draw_folded(nodes, edges, groups)


def _draw_plain(nodes: Sequence[Node], edges: Sequence[Edge]) -> Drawing:
    boxes = {node.id: node.id if len(node.id) <= LONGEST_ID else f"node {i}" for i, node in enumerate(nodes)}
    renamed = [Node(boxes[n.id], n.name, n.kind, n.task, n.mode, n.note, n.requirements) for n in nodes]
    arrows = [Edge(boxes[e.source], boxes[e.target], e.kind, e.label) for e in edges]
    shape = picture(renamed, arrows)
    return Drawing(shape.to_dict(), boxes, {boxes[n.id]: n.name for n in nodes}, folded=False, shape=shape)


def _draw_folded(nodes: Sequence[Node], edges: Sequence[Edge], groups: Mapping[str, str]) -> Drawing:
    rank = {node.id: place for place, node in enumerate(_in_order(nodes, edges))}
    members: dict[str, list[Node]] = {}
    for node in nodes:
        members.setdefault(groups[node.id], []).append(node)
    first = {group: min(rank[node.id] for node in inside) for group, inside in members.items()}
    ids = {group: plain(group, LONGEST_ID - 6) for group in members}
    if len(set(ids.values())) < len(ids):
        ids = {group: f"group {i}" for i, group in enumerate(members)}
    folded = [_fold(ids[group], group, inside) for group, inside in members.items()]
    arrows: dict[tuple[str, str], Edge] = {}
    for edge in edges:
        source, target = groups[edge.source], groups[edge.target]
        if first[source] < first[target]:
            arrows.setdefault((source, target), Edge(ids[source], ids[target], edge.kind))
    shape = picture(folded, list(arrows.values()))
    names = {ids[group]: group for group in members}
    return Drawing(shape.to_dict(), {node.id: ids[groups[node.id]] for node in nodes}, names, folded=True, shape=shape)


def _fold(box: str, name: str, members: list[Node]) -> Node:
    if len(members) == 1:
        only = members[0]
        return Node(box, only.name, only.kind, note=only.note)
    kind = members[0].kind if all(node.kind in {"param", "env"} for node in members) else "map"
    return Node(box, name, kind, note=plural(len(members), "node"))


def _by_name(node: Node) -> str:
    return node.name


def _by_stem(node: Node) -> str:
    return re.sub(r"\d+", "…", node.name) or node.name


def _by_band(nodes: Sequence[Node], edges: Iterable[Edge]) -> Callable[[Node], str]:
    """Group by distance from the start, in `_BANDS` bands: for graphs in which every node has its own name."""
    depth = {node.id: 0 for node in nodes}
    into: dict[str, list[str]] = {}
    for edge in edges:
        into.setdefault(edge.target, []).append(edge.source)
    for node in _in_order(nodes, edges):
        depth[node.id] = max((depth.get(source, 0) + 1 for source in into.get(node.id, ())), default=0)
    deepest = max(depth.values(), default=0)
    size = deepest // _BANDS + 1

    def key(node: Node) -> str:
        band = depth[node.id] // size
        return f"step {band + 1}" if size == 1 else f"steps {band * size + 1} to {min((band + 1) * size, deepest + 1)}"

    return key


def _in_order(nodes: Sequence[Node], edges: Iterable[Edge]) -> list[Node]:
    """Each node after those it needs (Kahn's algorithm); nodes in a circle come last, as they are."""
    left = dict.fromkeys((node.id for node in nodes), 0)
    out: dict[str, list[str]] = {}
    for edge in edges:
        if edge.source in left and edge.target in left:
            left[edge.target] += 1
            out.setdefault(edge.source, []).append(edge.target)
    by_id = {node.id: node for node in nodes}
    ready = [node.id for node in nodes if left[node.id] == 0]
    ordered = []
    for node in ready:
        ordered.append(by_id[node])
        for target in out.get(node, ()):
            left[target] -= 1
            if left[target] == 0:
                ready.append(target)
    return ordered + [node for node in nodes if left[node.id] > 0]
