"""Runs that never ran: events by hand, with a clock of their own, for the tests of what the view shows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cascade.graph.model import Edge, Node
from cascade.interfaces import events as e

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class FakeGraph:
    """What a record reads of a graph."""

    nodes: Sequence[Node]
    edges: Sequence[Edge] = ()
    name: str = "report"


class Script:
    """Writes events in order; time moves only when told to."""

    def __init__(self) -> None:
        self.events: list[e.Event] = []
        self.now = 0.0
        self._taken = 0

    def tell(self, kind: type[e.Event], /, **fields: Any) -> None:
        made = kind(run_id="r1", seq=len(self.events), at=1000.0 + self.now, elapsed=self.now, **fields)
        self.events.append(made)

    def news(self) -> list[e.Event]:
        """The events since the last call."""
        taken, self._taken = self.events[self._taken :], len(self.events)
        return taken

    def wait(self, seconds: float) -> None:
        self.now = round(self.now + seconds, 9)

    # -- sentences ------------------------------------------------------------------------------------------------

    def begin(self, capacities: Mapping[str, float] | None = None, params: Mapping[str, str] | None = None) -> None:
        self.tell(e.RunStarted, name="report", nodes=1, capacities=capacities or {}, params=params or {})

    def start(self, node: str, index: int | None = None, attempt: int = 1) -> None:
        self.tell(e.NodeStarted, node=node, name=name_of(node), index=index, attempt=attempt)

    def complete(self, node: str, index: int | None = None, duration: float = 0.1, **fields: Any) -> None:
        self.tell(e.NodeCompleted, node=node, name=name_of(node), index=index, duration=duration, **fields)

    def do(self, node: str, seconds: float = 0.1, index: int | None = None) -> None:
        self.start(node, index)
        self.wait(seconds)
        self.complete(node, index, seconds)

    def fail(self, node: str, index: int | None = None, **fields: Any) -> None:
        told = {"error_type": "ValueError", "error": "no", **fields}
        self.tell(e.NodeFailed, node=node, name=name_of(node), index=index, **told)

    def retry(self, node: str, delay: float = 0.5, attempt: int = 1, index: int | None = None) -> None:
        told = {"delay": delay, "error_type": "OSError", "error": "locked"}
        self.tell(e.NodeRetrying, node=node, name=name_of(node), index=index, attempt=attempt, max_attempts=3, **told)

    def hold(
        self, node: str, what: str = "cpu", amount: float = 1, index: int | None = None, kind: str = "capacity"
    ) -> None:
        self.tell(e.ResourceAcquired, **self._holding(node, what, amount, index, kind, usage=amount))

    def release(
        self, node: str, what: str = "cpu", amount: float = 1, index: int | None = None, kind: str = "capacity"
    ) -> None:
        self.tell(e.ResourceReleased, **self._holding(node, what, amount, index, kind, usage=0.0))

    def _holding(
        self, node: str, what: str, amount: float, index: int | None, kind: str, usage: float
    ) -> dict[str, Any]:
        told = {"resource": what, "kind": kind, "node": node, "name": name_of(node), "index": index}
        return {**told, "amount": amount, "usage": usage, "capacity": 2.0}

    def queue(self, node: str, what: str = "cpu", holders: tuple[str, ...] = (), index: int | None = None) -> None:
        told = {"resource": what, "reason": f"waits for {what}", "holders": holders}
        self.tell(e.NodeWaiting, node=node, name=name_of(node), index=index, **told)

    def expand(self, node: str, total: int | None) -> None:
        self.tell(e.MapExpanded, node=node, name=name_of(node), total=total)

    def finish(self, status: str = "completed", **fields: Any) -> None:
        self.tell(e.RunFinished, status=status, duration=self.now, **fields)


def name_of(node: str) -> str:
    return node.split("#", 1)[0]


def weight(value: object) -> int:
    """The size of a value as JSON, in bytes."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def merge(document: dict[str, Any], frame: dict[str, Any]) -> None:
    """Apply a frame to a document as the view does."""
    assert frame["seq"] == document["seq"] + 1
    document["seq"] = frame["seq"]
    document["run"].update(frame.get("run", {}))
    document["nodes"].update(frame.get("nodes", {}))
    document["lanes"]["rows"] += frame.get("rows", [])
    bars = document["lanes"]["bars"]
    for place, bar in frame.get("bars", []):
        bars += [None] * (place - len(bars))  # they come in a later frame
        bars[place : place + 1] = [bar]
    document["log"] += frame.get("log", [])
    for key in ("capacities", "params", "result", "failure", "dropped"):
        if key in frame:
            document[key] = frame[key]


def many_items(count: int) -> tuple[FakeGraph, Script]:
    """A map of `count` items on a capacity of two."""
    script = Script()
    script.begin({"cpu": 2})
    script.expand("fit", count)
    for index in range(count):
        script.hold("fit", index=index)
        script.start("fit", index)
        script.wait(0.001)
        script.complete("fit", index, 0.001, summary="0.87")
        script.release("fit", index=index)
    script.complete("fit")
    script.finish()
    return FakeGraph([Node("fit", "fit", "map", requirements={"cpu": 1.0})]), script


def many_nodes(count: int, names: int = 7) -> tuple[FakeGraph, Script]:
    """`count` tasks with `names` different names, each needing the one `names` before it."""
    nodes = [Node(f"task{i % names}#{i}", f"task{i % names}") for i in range(count)]
    edges = [Edge(nodes[i - names].id, nodes[i].id) for i in range(names, count)]
    script = Script()
    script.begin()
    for node in nodes:
        script.do(node.id, 0.001)
    script.finish()
    return FakeGraph(nodes, edges), script
