"""What a run tells those who ask: its arrows, who waits for what, how many items its maps have, what was before.

In: the events of a run, and its graph. Out: JSON-safe parts of answers. Invariant: bounded, whatever the graph;
nothing is worked out before somebody asks, and names and reasons are those that the events have, without secrets.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from cascade.interfaces import events as ev
from cascade.runtime.remote_answers import LONGEST, MOST_EDGES, MOST_MAPS, MOST_NODES, MOST_PAST, MOST_WAITING

if TYPE_CHECKING:
    from cascade.runtime.handle import Run

__all__ = ["RunPicture"]

NEXT: Final = "a Next"
VALUES: Final = frozenset({"param", "env"})
Key = tuple[str, int | None]
_STATES: Final[dict[type[ev.Event], str]] = {  # in the words of telemetry
    ev.NodeStarted: "RUNNING",
    ev.NodeCompleted: "COMPLETED",
    ev.NodeRecalled: "COMPLETED",
    ev.NodeFailed: "FAILED",
    ev.NodeSkipped: "SKIPPED",
    ev.NodeCancelled: "CANCELLED",
}


class RunPicture:
    """Remembers of the events what is true now.

    Attributes:
        is_new: nodes came, or maps learned how many items they have, since somebody said that it is not.

    Example:
        >>> picture = RunPicture()
        >>> head = {"run_id": "r", "seq": 1, "at": 0.0, "elapsed": 0.0, "node": "fit", "name": "fit"}
        >>> picture.hear([ev.NodeWaiting(**head, resource="gpu", reason="waits for gpu", holders=("train",))])
        >>> picture.waiting()[0]["resource"]
        'gpu'
    """

    def __init__(self) -> None:
        """Know of nobody who waits."""
        self._waiting: dict[Key, tuple[str, str, tuple[str, ...]]] = {}
        self._totals: dict[str, int] = {}
        self._past: OrderedDict[Key, tuple[str, float, float]] = OrderedDict()
        self.is_new = True

    def hear(self, events: Iterable[ev.Event]) -> None:
        """Take the next events, in order."""
        for event in events:
            take = _TAKES.get(type(event))
            if take is not None:
                take(self, event)

    def _wait(self, event: ev.NodeWaiting) -> None:
        self._waiting[event.node, event.index] = (event.resource, event.reason, event.holders)

    def _hold(self, event: ev.NodeHeld) -> None:
        self._waiting[event.node, event.index] = (NEXT, f"waits for {NEXT}", ())

    def _go(self, event: ev.NodeEvent) -> None:
        key = (event.node, event.index)
        if self._waiting:
            self._waiting.pop(key, None)
        self._past[key] = (_STATES[type(event)], event.at, getattr(event, "duration", 0.0))
        self._past.move_to_end(key)
        if len(self._past) > MOST_PAST:
            self._past.popitem(last=False)

    def _expand(self, event: ev.MapExpanded) -> None:
        if event.total is not None and len(self._totals) < MOST_MAPS:
            self._totals[event.node] = event.total
            self.is_new = True

    def _grow(self, _event: ev.GraphGrown) -> None:
        self.is_new = True

    # -- parts of answers -----------------------------------------------------------------------------------------

    def waiting(self) -> list[dict[str, object]]:
        """Return who waits for what, those first who have waited longest."""
        found = list(self._waiting.items())[:MOST_WAITING]
        return [
            {
                "task_id": node,
                "item": index,
                "resource": resource[:LONGEST],
                "reason": reason[:LONGEST],
                "holders": [holder[:LONGEST] for holder in holders[:5]],
            }
            for (node, index), (resource, reason, holders) in found
        ]

    def maps(self) -> list[list[object]]:
        """Return the number of items of each map that knows it."""
        return [[node, total] for node, total in list(self._totals.items())]

    def past(self, nodes: Iterable[Sequence[object]]) -> list[list[object]]:
        """Return what became of the nodes and items that have begun, as far as it is kept, in order.

        Args:
            nodes: of the graph that was told; their places stand for them.
        """
        places = {row[0]: place for place, row in enumerate(nodes)}
        return [
            [places[node], index, state, round(at, 6), round(seconds, 6)]
            for (node, index), (state, at, seconds) in list(self._past.items())
            if node in places
        ]

    def graph(self, run: Run) -> Mapping[str, Any]:
        """Return nodes and arrows as they are now; nothing for a graph that is too large."""
        graph = run.graph
        if len(graph) > MOST_NODES:
            return {}
        nodes = [node for node in graph.nodes if node.kind not in VALUES]
        places = {node.id: place for place, node in enumerate(nodes)}
        edges = [
            [places[edge.source], places[edge.target], edge.kind, edge.label[:LONGEST] if edge.kind == "route" else ""]
            for edge in graph.edges
            if edge.source in places and edge.target in places
        ]
        if len(nodes) > MOST_NODES or len(edges) > MOST_EDGES:
            return {}
        rows = [[node.id[:LONGEST], node.name[:LONGEST], node.kind] for node in nodes]
        return {"nodes": rows, "edges": edges, "maps": self.maps()}


_P = RunPicture
_TAKES: Final[dict[type[ev.Event], Callable[[RunPicture, Any], None]]] = {
    ev.NodeWaiting: _P._wait,  # noqa: SLF001 - its own table
    ev.NodeHeld: _P._hold,  # noqa: SLF001 - the same
    ev.MapExpanded: _P._expand,  # noqa: SLF001 - the same
    ev.GraphGrown: _P._grow,  # noqa: SLF001 - the same
    **dict.fromkeys(_STATES, _P._go),  # noqa: SLF001 - the same
}
