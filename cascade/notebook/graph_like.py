"""A graph → what the record of a run reads of it.

In: a graph, or anything that has a name, nodes and edges. Out: who holds what. Invariant: linear in nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from cascade.graph.model import Edge, Node

__all__ = ["GraphLike", "fractions_of", "resources_of"]


class GraphLike(Protocol):
    """What the record reads of a graph."""

    @property
    def name(self) -> str:
        """What people call the graph."""

    @property
    def nodes(self) -> Sequence[Node]:
        """The boxes."""

    @property
    def edges(self) -> Sequence[Edge]:
        """The arrows."""


def fractions_of(nodes: Iterable[Node]) -> frozenset[str]:
    """Capacities of which some node takes a part of a unit."""
    return frozenset(name for node in nodes for name, amount in node.requirements.items() if amount != int(amount))


def resources_of(graph: GraphLike) -> tuple[tuple[str, ...], frozenset[str]]:
    """The resources that nodes of the graph inject, and the ids of these nodes."""
    injected: Mapping[int, Sequence[str]] = getattr(graph, "resources", {})
    ids: Sequence[str] = getattr(graph, "ids", ()) if injected else ()
    names = dict.fromkeys(name for names in injected.values() for name in names)
    return tuple(names), frozenset(ids[index] for index in injected if index < len(ids))
