"""Edges as the engine needs them → arrows as people read them: a Router stands before its branches.

In: nodes and edges (a branch gives its value to the Router). Out: edges in which the Router leads to its branches, and
those to whoever reads the Router. Invariant: the arrows have no circle; a branch that the Router's own choice, or
another turned arrow, leads to keeps the direction in which its value flows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cascade.graph.model import Edge, Node

__all__ = ["as_read"]

MOST = 400  # routes; more than that nobody follows, and each is checked for circles


def as_read(nodes: Sequence[Node], edges: Sequence[Edge]) -> list[Edge]:
    """Return the arrows to draw.

    Example:
        >>> nodes = [Node("a", "a"), Node("r", "r", "route"), Node("c", "c")]
        >>> [(e.source, e.target, e.label) for e in as_read(nodes, [Edge("a", "r", "route", "yes"), Edge("r", "c")])]
        [('r', 'a', 'yes'), ('a', 'c', '')]
    """
    routers = {node.id: node.note for node in nodes if node.kind == "route"}
    routes = [e for e in edges if e.kind == "route" and e.target in routers]
    if not routes or len(routes) > MOST:
        return list(edges)
    arrows = _Arrows(edges)
    turned: dict[str, list[str]] = {}
    kept: set[str] = {router for router, note in routers.items() if note}
    for edge in routes:
        if arrows.turn(edge):
            turned.setdefault(edge.target, []).append(edge.source)
        else:
            kept.add(edge.target)
    for edge in edges:
        branches = turned.get(edge.source, ())
        if branches and not (edge.kind == "route" and edge.target in routers and edge.target in turned):
            through = [replace(edge, source=branch, label="") for branch in branches]
            arrows.lead_through(edge, through, keep=edge.source in kept)
    return arrows.listed()


class _Arrows:
    """The arrows so far, and who is reached from where."""

    def __init__(self, edges: Sequence[Edge]) -> None:
        self._arrows: dict[Edge, list[Edge]] = {edge: [edge] for edge in edges}
        self._out: dict[str, list[str]] = {}
        for edge in edges:
            self._out.setdefault(edge.source, []).append(edge.target)

    def turn(self, edge: Edge) -> bool:
        """Let the Router lead to the branch, unless that closes a circle; say whether it does now."""
        self._out[edge.source].remove(edge.target)
        if self._reaches(edge.source, edge.target):
            self._out[edge.source].append(edge.target)
            return False
        self._out.setdefault(edge.target, []).append(edge.source)
        self._arrows[edge] = [Edge(edge.target, edge.source, "route", edge.label)]
        return True

    def lead_through(self, edge: Edge, through: Sequence[Edge], *, keep: bool) -> None:
        """Replace an arrow out of a Router by arrows out of its branches, as far as none closes a circle."""
        fine = [e for e in through if e.source != e.target and not self._reaches(e.target, e.source)]
        for made in fine:
            self._out.setdefault(made.source, []).append(made.target)
        alone = keep or len(fine) < len(through)
        self._arrows[edge] = [*(self._arrows[edge] if alone else ()), *fine]

    def listed(self) -> list[Edge]:
        """Return all arrows, each once, in the order of the edges."""
        return list(dict.fromkeys(arrow for arrows in self._arrows.values() for arrow in arrows))

    def _reaches(self, start: str, end: str) -> bool:
        seen, stack = {start}, [start]
        while stack:
            node = stack.pop()
            if node == end:
                return True
            for after in self._out.get(node, ()):
                if after not in seen:
                    seen.add(after)
                    stack.append(after)
        return False
