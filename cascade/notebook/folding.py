"""Graph → the boxes to draw: one for each node, or, for a graph too big for a page, one for each task name.

In: nodes and edges. Out: a picture as JSON and, for each node id, the id of its box. Invariant: the picture of any
graph is bounded, in boxes and in bytes; a folded picture has no circles.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cascade.graph.draw import Picture, picture
from cascade.graph.model import Edge, EdgeKind, Node
from cascade.notebook.plain import plain, plural

if TYPE_CHECKING:
    from cascade.notebook.graph_like import GraphLike

MOST_BOXES = 400
MOST_BYTES = 100_000
MOST_GROUPS = 120
LONGEST_ID = 60
_BANDS = 40
_VALUES = frozenset({"param", "env"})  # they stand after all nodes, and lead to any of them

_to_json = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":")
).encode  # made once: a frame weighs a hundred parts
Walk = Callable[[], Iterable[tuple[str, str, EdgeKind]]]  # goes through the arrows: source, target, kind


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
    text = _to_json(value)
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def draw(nodes: Sequence[Node], edges: Sequence[Edge]) -> Drawing:
    """Return the drawing of a graph, folded if it must be."""
    if len(nodes) <= MOST_BOXES:
        drawing = _draw_plain(nodes, edges)
        if drawing.bytes <= MOST_BYTES:
            return drawing
    return _draw_large(nodes, lambda: ((edge.source, edge.target, edge.kind) for edge in edges))


def draw_graph(graph: GraphLike) -> Drawing:
    """Return the drawing of a graph; the arrows of a large one are gone through without an object for each."""
    nodes, walk = graph.nodes, getattr(graph, "walk_edges", None)
    if walk is None or len(nodes) <= MOST_BOXES:
        return draw(nodes, graph.edges)
    return _draw_large(nodes, walk)


def _draw_large(nodes: Sequence[Node], walk: Walk) -> Drawing:
    for key in (_by_name, _by_stem):
        groups = _grouped(nodes, key)
        if groups is not None:
            return _draw_folded(nodes, walk, groups)
    return _draw_folded(nodes, walk, list(map(_by_band(nodes, walk), nodes)))


def _grouped(nodes: Sequence[Node], key: Callable[[Node], str]) -> list[str] | None:
    """Return the group of each node; None if there are too many groups."""
    found: dict[str, str] = {}
    groups = []
    for node in nodes:
        group = key(node)
        groups.append(found.setdefault(group, group))
        if len(found) > MOST_GROUPS:
            return None
    return groups


def _draw_plain(nodes: Sequence[Node], edges: Sequence[Edge]) -> Drawing:
    boxes = {node.id: node.id if len(node.id) <= LONGEST_ID else f"node {i}" for i, node in enumerate(nodes)}
    renamed = [Node(boxes[n.id], n.name, n.kind, n.task, n.mode, n.note, n.requirements) for n in nodes]
    arrows = [Edge(boxes[e.source], boxes[e.target], e.kind, e.label) for e in edges]
    shape = picture(renamed, arrows)
    return Drawing(shape.to_dict(), boxes, {boxes[n.id]: n.name for n in nodes}, folded=False, shape=shape)


def _draw_folded(nodes: Sequence[Node], walk: Walk, groups: Sequence[str]) -> Drawing:
    place = {node.id: number for number, node in enumerate(nodes)}
    pairs: dict[tuple[str, str], EdgeKind] = {}
    is_ordered = True
    for source, target, kind in walk():
        start, end = place[source], place[target]
        is_ordered = is_ordered and (start < end or nodes[start].kind in _VALUES)
        if groups[start] != groups[end]:
            pairs.setdefault((groups[start], groups[end]), kind)
    first = _first_places(nodes, groups, None if is_ordered else _ranks(nodes, walk))
    members = Counter(groups)
    heads: dict[str, Node] = {}
    for node, group in zip(nodes, groups, strict=True):
        heads.setdefault(group, node)
    mixed = {group for node, group in zip(nodes, groups, strict=True) if node.kind not in _VALUES}
    ids = {group: plain(group, LONGEST_ID - 6) for group in heads}
    if len(set(ids.values())) < len(ids):
        ids = {group: f"group {i}" for i, group in enumerate(heads)}
    folded = [_fold(ids[group], group, head, members[group], group in mixed) for group, head in heads.items()]
    arrows = [Edge(ids[s], ids[t], kind) for (s, t), kind in pairs.items() if first[s] < first[t]]
    shape = picture(folded, arrows)
    names = {ids[group]: group for group in heads}
    boxes = {node.id: ids[group] for node, group in zip(nodes, groups, strict=True)}
    return Drawing(shape.to_dict(), boxes, names, folded=True, shape=shape)


def _first_places(nodes: Sequence[Node], groups: Sequence[str], ranks: Mapping[str, int] | None) -> dict[str, int]:
    """Return where each group begins: by `ranks`, or, where every arrow leads forwards, as the nodes stand."""
    first: dict[str, int] = {}
    for number, (node, group) in enumerate(zip(nodes, groups, strict=True)):
        rank = ranks[node.id] if ranks is not None else number - len(nodes) * (node.kind in _VALUES)
        if rank < first.get(group, len(nodes)):
            first[group] = rank
    return first


def _fold(box: str, name: str, head: Node, members: int, runs: bool) -> Node:  # noqa: FBT001 - told by its place
    if members == 1:
        return Node(box, head.name, head.kind, note=head.note)
    return Node(box, name, "map" if runs else head.kind, note=plural(members, "node"))


def _by_name(node: Node) -> str:
    return node.name


def _by_stem(node: Node) -> str:
    return re.sub(r"\d+", "…", node.name) or node.name


def _by_band(nodes: Sequence[Node], walk: Walk) -> Callable[[Node], str]:
    """Group by distance from the start, in `_BANDS` bands: for graphs in which every node has its own name."""
    depth = {node.id: 0 for node in nodes}
    into: dict[str, list[str]] = {}
    for source, target, _ in walk():
        into.setdefault(target, []).append(source)
    for node in _ranks(nodes, walk):
        depth[node] = max((depth.get(source, 0) + 1 for source in into.get(node, ())), default=0)
    deepest = max(depth.values(), default=0)
    size = deepest // _BANDS + 1

    def key(node: Node) -> str:
        band = depth[node.id] // size
        return f"step {band + 1}" if size == 1 else f"steps {band * size + 1} to {min((band + 1) * size, deepest + 1)}"

    return key


def _ranks(nodes: Sequence[Node], walk: Walk) -> dict[str, int]:
    """Each node's place after those it needs (Kahn's algorithm); nodes in a circle come last, as they are."""
    left = dict.fromkeys((node.id for node in nodes), 0)
    out: dict[str, list[str]] = {}
    for source, target, _ in walk():
        if source in left and target in left:
            left[target] += 1
            out.setdefault(source, []).append(target)
    ready = [node.id for node in nodes if left[node.id] == 0]
    for node in ready:
        for target in out.get(node, ()):
            left[target] -= 1
            if left[target] == 0:
                ready.append(target)
    circle = [node.id for node in nodes if left[node.id] > 0]
    return {node: rank for rank, node in enumerate([*ready, *circle])}
