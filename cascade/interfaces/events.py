"""Facts about a run, in the past tense: what every subscriber, log, view and connector is told.

In: what the engine saw. Out: immutable events with one total order per run (`seq`). Invariant: the events of a run,
in order, are enough to rebuild its final state; values and secrets are never in them, only short previews.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "ClusterReported",
    "DisplayShown",
    "Event",
    "EventsDropped",
    "GraphGrown",
    "ItemsCompleted",
    "ItemsRecalled",
    "LifecycleEvent",
    "LimitRemoved",
    "LimitSet",
    "LoopTurned",
    "MapExpanded",
    "NodeAbandoned",
    "NodeCancelled",
    "NodeCompleted",
    "NodeEvent",
    "NodeFailed",
    "NodeHeld",
    "NodeRecalled",
    "NodeRetrying",
    "NodeSkipped",
    "NodeStarted",
    "NodeWaiting",
    "OutputWritten",
    "ResourceAcquired",
    "ResourceEvent",
    "ResourceReleased",
    "ResourceSetUp",
    "ResourceTornDown",
    "RouteChosen",
    "RunCancelRequested",
    "RunFinished",
    "RunPaused",
    "RunResumed",
    "RunStarted",
    "StepModeEntered",
    "StepModeLeft",
    "StoreReported",
]


class _Deferred:
    """An object whose fields are filled in when the first of them is read.

    A run makes an event for each node, and most are only counted or passed by: what nobody reads is not worked out.
    An unset slot sends Python to ``__getattr__``; an event that was made by its constructor never comes here.
    """

    __slots__ = ("_source",)

    def __getattr__(self, name: str) -> Any:
        try:
            source = object.__getattribute__(self, "_source")
        except AttributeError:
            source = None
        if source is not None:
            fill, seq, record = source
            fill(self, seq, record)
            object.__setattr__(self, "_source", None)
        return object.__getattribute__(self, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(_Deferred):
    """The base of all events; subscribe to it to hear everything.

    Args:
        run_id: the run it belongs to.
        seq: position in the run's total order, from 0 without gaps.
        at: wall clock, seconds since the epoch.
        elapsed: seconds since the run's start, monotonic.
    """

    run_id: str
    seq: int
    at: float
    elapsed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleEvent(Event):
    """The base of events about the whole run; never dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(LifecycleEvent):
    """A run began: how many nodes it has, which values its Params took (as previews), which capacities hold."""

    name: str
    nodes: int
    params: Mapping[str, str] = field(default_factory=dict)
    capacities: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(LifecycleEvent):
    """A run ended with `status` ``completed``, ``failed`` or ``cancelled``.

    Args:
        duration: seconds.
        error_type, error: of what failed it, empty otherwise.
        summary: a short text about the result, empty otherwise.
        abandoned: labels of attempts whose threads could not be stopped and still run.
    """

    status: str
    duration: float
    error_type: str = ""
    error: str = ""
    summary: str = ""
    abandoned: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPaused(LifecycleEvent):
    """No new attempt starts until the run is resumed; what runs goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResumed(LifecycleEvent):
    """Attempts start again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepModeEntered(LifecycleEvent):
    """Each start waits for a Next from now on; what runs goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepModeLeft(LifecycleEvent):
    """Attempts start by themselves again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCancelRequested(LifecycleEvent):
    """Someone asked the run to stop."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSet(LifecycleEvent):
    """A limit came into force, or replaced the one with the same id."""

    limit_id: str
    scope: str
    kind: str
    params: Mapping[str, object] = field(default_factory=dict)
    expires_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRemoved(LifecycleEvent):
    """A limit went out of force."""

    limit_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsDropped(LifecycleEvent):
    """A subscriber was too slow: `count` events that are not lifecycle events were left out before this one."""

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreReported(LifecycleEvent):
    """The store met a fault, and the run goes on: a result is computed again, or is not kept for the next run.

    Args:
        kind: ``miss`` (a stored result could not be trusted or read), ``unsaved`` (a value could not be stored),
            ``foreign`` (results of another key), ``index`` (a torn index was moved aside), ``off`` (nothing is stored
            any more), ``key`` (no key to trust), ``lock`` (no locks), ``more`` (further faults, only counted).
        problem: what happened, and what to do. task: whose result it is, where that is known.
    """

    kind: str
    problem: str
    task: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterReported(LifecycleEvent):
    """The run has joined a cluster; or, with 0 workers, it waits for the first one.

    Args:
        address: of the scheduler. dashboard: a link for people, empty if there is none. threads: of all workers.
        patience: seconds that the run waits for a worker.
    """

    address: str
    dashboard: str = ""
    workers: int = 0
    threads: int = 0
    patience: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEvent(Event):
    """The base of events about one node, or one item of a map (`index`)."""

    node: str
    name: str
    index: int | None = None

    @property
    def label(self) -> str:
        """``name`` or ``name[3]``, as people read it."""
        return self.name if self.index is None else f"{self.name}[{self.index}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStarted(NodeEvent):
    """An attempt began. `worker` says where: ``inline``, ``loop``, ``thread-3``, ``process``."""

    attempt: int = 1
    worker: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCompleted(NodeEvent):
    """The node (or item) has its value; `summary` tells of it. `duration`: seconds of the attempt, or of the loop."""

    attempt: int = 1
    duration: float = 0.0
    summary: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecalled(NodeCompleted):
    """The node has its value from the store: it did not run.

    Args:
        made_by: the run that computed the value. made_at: when, in seconds since the epoch.
        saved: seconds that computing it took then. kept: it is from the run that this one retries, not from the store.
        number: of the run `made_by` in the store: 14 for its fourteenth; 0: not known.
    """

    made_by: str
    made_at: float
    saved: float
    kept: bool = False
    number: int = 0

    @property
    def made_in(self) -> str:
        """``14``, or the id of a run that has no number here: what people call the run `made_by`."""
        return str(self.number) if self.number else self.made_by

    @property
    def age(self) -> float:
        """How old the value was when it was found, in seconds."""
        return max(0.0, self.at - self.made_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsCompleted(NodeEvent):
    """Items ``first`` to ``first + count - 1`` of a map have their values; `duration` is for all of them, in seconds.

    Short items are reported in groups; an item that takes a while has events of its own (`NodeStarted`,
    `NodeCompleted` with its `index`).
    """

    first: int
    count: int
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsRecalled(NodeEvent):
    """`count` items of a map have their values from the store; computing them took `saved` seconds then.

    Args:
        kept: not from the store, but from the run that this one retries. spans: which ones, as first index and count;
            none where they lie too scattered to be told.
    """

    count: int
    saved: float
    kept: bool = False
    spans: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFailed(NodeEvent):
    """The node (or item) failed for good.

    Args:
        frames: the user's own frames, innermost last: ``(file, line, function, source line)``.
        inputs: short previews of the arguments by name.
        causes: errors behind this one, nearest first: ``(how, type, text, frames)``, where `how` is ``cause`` (``raise
            … from``), ``context`` (raised while it was handled) or ``part`` (of a group).
    """

    attempt: int = 1
    duration: float = 0.0
    error_type: str = ""
    error: str = ""
    frames: tuple[tuple[str, int, str, str], ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    causes: tuple[tuple[str, str, str, tuple[tuple[str, int, str, str], ...]], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRetrying(NodeEvent):
    """Attempt number `attempt` of `max_attempts` failed; the next one starts after `delay` seconds."""

    attempt: int
    max_attempts: int
    delay: float
    error_type: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeWaiting(NodeEvent):
    """The node (or item) could start but for `resource`; `holders` have it now.

    Where a limit from outside holds it, `resource` is ``limit: `` and its words.
    """

    resource: str
    reason: str
    holders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeHeld(NodeEvent):
    """The node could start, but the run goes step by step: it waits for a Next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSkipped(NodeEvent):
    """The node will not run in this run, for `reason`; `because` is the node that caused it, if any."""

    reason: str
    because: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCancelled(NodeEvent):
    """The node was stopped, or will not start, since the run was cancelled or another node failed."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAbandoned(NodeEvent):
    """The attempt was told to stop but its thread goes on; it keeps its capacity and resources until it ends."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MapExpanded(NodeEvent):
    """A map knows its items. `total` is None while a lazy iterable has not ended."""

    total: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphGrown(NodeEvent):
    """The node returned something lazy: the run goes on with `nodes` (ids), and the node's value will be theirs."""

    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopTurned(NodeEvent):
    """A loop has taken `turns` jumps so far, the last one to `key`. Short turns are reported in groups."""

    turns: int
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteChosen(NodeEvent):
    """A Router took the route `key`."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceEvent(Event):
    """The base of events about capacities and resource instances."""

    resource: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceSetUp(ResourceEvent):
    """A resource instance is ready; setting it up took `duration` seconds."""

    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceTornDown(ResourceEvent):
    """A resource instance is closed; `error` tells what went wrong while closing it, empty if nothing."""

    duration: float
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceAcquired(ResourceEvent):
    """A node took `amount` of a capacity (`kind` ``capacity``) or began to use an instance (``resource``).

    Args:
        usage: in use after this event. capacity: the total, 0 for resource instances (no bound).
    """

    kind: str
    node: str
    name: str
    index: int | None
    amount: float
    usage: float
    capacity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceReleased(ResourceEvent):
    """The opposite of `ResourceAcquired`, with the same fields."""

    kind: str
    node: str
    name: str
    index: int | None
    amount: float
    usage: float
    capacity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputWritten(NodeEvent):
    """A node wrote `text` to `stream`: ``stdout``, ``stderr``, ``log`` or ``warning``."""

    stream: str
    text: str
    level: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayShown(NodeEvent):
    """A node displayed something: a picture, a table, or a text that stands for it.

    Args:
        text: what it is in words; beside a picture, its description.
        figure: names the picture itself, which `Run.figure` gives while the run keeps it; empty where there is none.
        mime: of the picture. width, height: of the picture in pixels, 0 where unknown. size: its bytes.
        thumbnail: a small picture in base64, at most 12 KB, of type `thumbnail_mime`; empty where there is none.
        table: the first cells of a table, row by row, its header first. more: how many rows are left out.
        made_at: when it was shown first, in seconds since the epoch: long ago, for a node from the store.
    """

    text: str
    figure: str = ""
    mime: str = ""
    width: int = 0
    height: int = 0
    size: int = 0
    thumbnail: str = ""
    thumbnail_mime: str = ""
    table: tuple[tuple[str, ...], ...] = ()
    more: int = 0
    made_at: float = 0.0
