"""What runs elsewhere answer → statuses and graphs, as plain data.

In: messages from anybody. Out: a `RunStatus`, a `RunGraph`, or None for what is none. Invariant: bounded: of an answer
that is too long the rest is left out, and nothing is looked up by a name in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, get_args

from cascade.graph.model import Edge, EdgeKind, Node, NodeKind
from cascade.spec.constraint import GlobalConstraint

__all__ = ["LimitInForce", "Past", "RunGraph", "RunStatus", "Waiting", "read_graph", "read_lifecycle", "read_status"]

MOST_LIMITS: Final = 1_000
MOST_WAITING: Final = 500
MOST_MAPS: Final = 1_000
MOST_PAST: Final = 5_000
MOST_NODES: Final = 5_000
MOST_EDGES: Final = 20_000
LONGEST: Final = 300  # characters of a name or a reason
_NODE_KINDS: Final = frozenset(get_args(NodeKind))
_EDGE_KINDS: Final = frozenset(get_args(EdgeKind))


@dataclass(frozen=True, slots=True)
class LimitInForce:
    """A limit, when it was set (seconds since the epoch, 0: unknown) and by whom."""

    limit: GlobalConstraint
    set_at: float = 0.0
    set_by: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A node, or one item of a map, that could start but for `resource`; `holders` have it now."""

    node: str
    index: int | None
    resource: str
    reason: str
    holders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunStatus:
    """What a run said of itself.

    Args:
        source: ``host-pid``. started_at, elapsed: in seconds. counts: nodes by state. limits: in force in this run,
            whoever set them. waiting, totals: who waits for what, and the number of items of each map; only where the
            run alone was asked.
    """

    run_id: str
    org_id: str = "local"
    project_id: str = "default"
    name: str = ""
    state: str = ""
    source: str = ""
    started_at: float = 0.0
    elapsed: float = 0.0
    counts: Mapping[str, int] = field(default_factory=dict)
    limits: tuple[LimitInForce, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    totals: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Past:
    """What a node, or one item of a map, had become at a moment (seconds since the epoch), and how long that took.

    Args:
        state: a word of telemetry: ``RUNNING``, ``COMPLETED`` …
    """

    node: str
    index: int | None
    state: str
    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class RunGraph:
    """The nodes of a run that do something, the arrows between them, and the number of items of each map.

    Args:
        past: what has begun or ended until now, in order; the latest, where there is more than can be told.
    """

    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    totals: Mapping[str, int] = field(default_factory=dict)
    past: tuple[Past, ...] = ()


def read_status(answer: Mapping[str, Any]) -> RunStatus | None:
    """Return the status in an answer; None for one that is none, whoever sent it."""
    try:
        if not answer["ok"]:
            return None
        limits = []
        for wire in answer.get("limits", ())[:MOST_LIMITS]:
            limit = GlobalConstraint(wire["id"], wire["scope"], wire["type"], wire["params"], wire["expires_at"])
            limits.append(LimitInForce(limit, float(wire.get("set_at", 0)), str(wire.get("set_by", ""))))
        return RunStatus(
            str(answer["run_id"]), str(answer["org_id"]), str(answer["project_id"]), str(answer["name"]),
            str(answer["state"]), str(answer["source"]), float(answer["started_at"]), float(answer["elapsed"]),
            {str(state): int(count) for state, count in answer["counts"].items()}, tuple(limits),
            tuple(_waiting(each) for each in answer.get("waiting", ())[:MOST_WAITING]),
            _totals(answer.get("maps", ())),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return None


def _waiting(told: Mapping[str, Any]) -> Waiting:
    index = told.get("item")
    return Waiting(
        str(told["task_id"])[:LONGEST],
        None if index is None else int(index),
        str(told.get("resource", ""))[:LONGEST],
        str(told.get("reason", ""))[:LONGEST],
        tuple(str(name)[:LONGEST] for name in told.get("holders", ())[:20]),
    )


def _totals(rows: Iterable[Any]) -> dict[str, int]:
    return {str(node)[:LONGEST]: int(total) for node, total in list(rows)[:MOST_MAPS]}


def read_graph(answer: Mapping[str, Any]) -> RunGraph | None:
    """Return the graph in an answer: None for an answer without one, also for a graph that was too large to be sent.

    Example:
        >>> nodes = [["load", "load", "task"], ["fit", "fit", "map"]]
        >>> read_graph({"graph": {"nodes": nodes, "edges": [[0, 1, "data", ""]], "maps": [["fit", 3]]}}).edges
        (Edge(source='load', target='fit', kind='data', label=''),)
    """
    try:
        told = answer["graph"]
        if not told:
            return None
        nodes = tuple(_node(*row) for row in told["nodes"][:MOST_NODES])
        edges = tuple(_edge(nodes, *row) for row in told["edges"][:MOST_EDGES])
        past = tuple(_past(nodes, *row) for row in answer.get("past", ())[-MOST_PAST:])
        return RunGraph(nodes, edges, _totals(told.get("maps", ())), past)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError):
        return None


def _node(node: object, name: object, kind: object) -> Node:
    return Node(str(node)[:LONGEST], str(name)[:LONGEST], kind if kind in _NODE_KINDS else "task")  # type: ignore[arg-type]


def _past(nodes: tuple[Node, ...], place: int, index: int | None, state: object, at: float, seconds: float) -> Past:
    if place < 0:
        raise ValueError("not the number of a node")
    item = None if index is None else int(index)
    return Past(nodes[place].id, item, str(state)[:40], float(at), float(seconds))


def _edge(nodes: tuple[Node, ...], source: int, target: int, kind: object = "data", label: object = "") -> Edge:
    if min(source, target) < 0:
        raise ValueError("not the number of a node")
    shown: Any = kind if kind in _EDGE_KINDS else "data"
    return Edge(nodes[source].id, nodes[target].id, shown, str(label)[:LONGEST])


def read_lifecycle(message: Mapping[str, Any], known: Mapping[str, RunStatus]) -> RunStatus | None:
    """Return what the start or the end of a run tells of it, with what is known of it already."""
    from datetime import datetime

    try:
        body = message["body"]
        at = datetime.fromisoformat(message["ts"]).timestamp()
        run_id, source = str(message["run_id"]), str(message["source"])
        before = known.get(run_id)
        started = before.started_at if before is not None else at
        state = "running" if body["event"] == "ENGINE_STARTED" else str(body["status"])
        return RunStatus(
            run_id, str(message["org_id"]), str(message["project_id"]), "", state, source, started, at - started
        )
    except (KeyError, TypeError, ValueError):
        return None
