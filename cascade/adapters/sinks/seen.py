"""What a sink may know of a run before it begins.

In: nothing. Out: a protocol. Invariant: a sink reads these and steers nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cascade.graph.model import Edge, Node

__all__ = ["SeenGraph", "SeenRun"]


class SeenGraph(Protocol):
    """Nodes and edges as people see them."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def nodes(self) -> Sequence[Node]:
        """The boxes."""

    @property
    def edges(self) -> Sequence[Edge]:
        """The arrows."""


class SeenRun(Protocol):
    """A run, to who is told of its events: a subscriber with a method ``attach(run)`` is given it before it begins."""

    @property
    def run_id(self) -> str:
        """Its id."""

    @property
    def graph(self) -> SeenGraph:
        """Its graph as it is now."""
