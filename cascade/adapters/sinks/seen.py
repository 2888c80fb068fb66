"""What a sink may know of a run before it begins, and of what its events mean.

In: nothing, or an event. Out: a protocol, an answer. Invariant: a sink reads these and steers nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from cascade.interfaces import events as ev

if TYPE_CHECKING:
    from cascade.graph.model import Edge, Node

__all__ = ["SeenGraph", "SeenRun", "is_first_of_item"]


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


def is_first_of_item(event: ev.NodeEvent) -> bool:
    """Whether an event is the first that is heard of one item of a map, or of some: until then its map waited for it.

    Example:
        >>> head = {"run_id": "r", "seq": 0, "at": 0.0, "elapsed": 0.0, "node": "fit", "name": "fit"}
        >>> is_first_of_item(ev.NodeStarted(**head, index=3)), is_first_of_item(ev.NodeStarted(**head))
        (True, False)
    """
    if isinstance(event, ev.ItemsCompleted):
        return True
    return isinstance(event, ev.NodeStarted) and event.index is not None and event.attempt == 1
