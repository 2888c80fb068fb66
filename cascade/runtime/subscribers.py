"""Events → messages: the log that people (or programs) read while a run goes on.

In: events of runs, in lists. Out: messages to a `Messenger`. Invariant: what a list says a thousand times is told in
a few lines and a number; only the kinds of events that the level needs are asked for at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from cascade.interfaces import events as ev
from cascade.interfaces.exceptions import SettingError
from cascade.interfaces.remote_events import ControlRefused, RunHeld
from cascade.messaging.bus import Messenger, check_level, messaging_bus

if TYPE_CHECKING:
    from cascade.messaging.bus import Renderer

__all__ = ["FORMATS", "HumanReadableLogSubscriber", "make_log_subscriber"]

FORMATS: Final = ("human", "json")
MANY: Final = 20  # events of one kind in one list that are told one by one
FIRST: Final = 5  # how many are told when there are more

Said = tuple[str, str, dict[str, object]]  # level, message id, fields


def make_log_subscriber(log_level: str = "INFO", log_format: str = "human") -> HumanReadableLogSubscriber:
    """Return the log of one run, as ``cs.run(log_level=, log_format=)`` asks for it.

    A renderer that someone gave to `messaging_bus` shows the human format instead of the console.

    Raises:
        SettingError: when a level or format does not exist, with the nearest.
    """
    level = check_level(log_level)
    if log_format not in FORMATS:
        raise SettingError.for_choice("log_format", log_format, FORMATS)
    renderer: Renderer | None = None
    if log_format == "json":
        from cascade.messaging.renderer import JsonRenderer

        renderer = JsonRenderer()
    return HumanReadableLogSubscriber(messaging_bus.derive(level, renderer))


class HumanReadableLogSubscriber:
    r"""Tells a messenger about runs; give it to a bus or to ``cs.run(subscribers=…)``.

    Responsible for: what is told at which level, folding, counting. Refuses: the tasks' own output, which is on the
    screen already; formatting, which is the renderer's.

    Args:
        messenger: who speaks; its level decides what is told. Default: one like `messaging_bus`.
        level: instead of the messenger's.

    Attributes:
        kinds: the events that it wants to hear. batched: it takes lists of events.

    Example:
        >>> import io
        >>> from cascade.messaging.renderer import ConsoleRenderer
        >>> stream = io.StringIO()
        >>> log = HumanReadableLogSubscriber(Messenger(ConsoleRenderer(stream)))
        >>> log([ev.NodeCompleted(run_id="r", seq=0, at=0.0, elapsed=0.25, node="fit", name="fit", duration=0.2)])
        >>> stream.getvalue()
        '   0.250 s ● fit done in 0.20 s\n'
    """

    batched: ClassVar[bool] = True

    def __init__(self, messenger: Messenger | None = None, level: str | None = None) -> None:
        """Work out what to listen to."""
        if messenger is None or level is not None:
            source = messenger or messaging_bus
            messenger = source.derive(level or source.level)
        self.messenger = messenger
        self.kinds: tuple[type[ev.Event], ...] = tuple(
            kind for kind, way in _WAYS.items() if messenger.speaks(way.level)
        )
        self._names: dict[str, str] = {}
        self._counts: dict[str, dict[str, int]] = {}

    def __call__(self, events: ev.Event | Sequence[ev.Event]) -> None:
        """Tell of one event, or of a list of them in order."""
        listed = events if isinstance(events, Sequence) else (events,)
        repeats = _count_repeats(listed) if len(listed) > MANY else {}
        told: dict[type[ev.Event], int] = {}
        for event in listed:
            kind = type(event)
            way = _WAYS.get(kind)
            if way is None:
                continue
            if way.counted:
                self._count(event, way.counted)
            total = repeats.get(kind, 0)
            if total > MANY:
                told[kind] = told.get(kind, 0) + 1
                if told[kind] > FIRST:
                    if told[kind] == total:
                        self._say(event, way.level, way.rest, {"count": total - FIRST})
                    continue
            self._tell(event, way)

    def _tell(self, event: ev.Event, way: _Way) -> None:
        if isinstance(event, ev.RunStarted):  # also where its start is not told: its end may be
            self._names[event.run_id] = event.name
        if not self.messenger.speaks(way.level):
            return
        for level, message_id, fields in way.words(event):
            if isinstance(event, ev.LifecycleEvent):
                fields["name"] = self._names.get(event.run_id, event.run_id)
            if isinstance(event, ev.RunFinished):
                fields["counts"] = self._counts.get(event.run_id, {}) if self.messenger.speaks("INFO") else {}
            self._say(event, level, message_id, fields)
        if isinstance(event, ev.RunFinished):
            self._names.pop(event.run_id, None)
            self._counts.pop(event.run_id, None)

    def _count(self, event: Any, what: str) -> None:
        if event.index is None or what == "retried":
            counts = self._counts.setdefault(event.run_id, dict.fromkeys(_COUNTED, 0))
            counts[what] += 1

    def _say(self, event: ev.Event, level: str, message_id: str, fields: dict[str, object]) -> None:
        fields = {"run_id": event.run_id, "elapsed": event.elapsed, **fields}
        self.messenger.report(level, message_id, event.at, fields)


def _count_repeats(events: Sequence[ev.Event]) -> dict[type[ev.Event], int]:
    """Count the events of each kind that may be folded."""
    counts: dict[type[ev.Event], int] = {}
    for event in events:
        kind = type(event)
        if kind in _WAYS and _WAYS[kind].rest:
            counts[kind] = counts.get(kind, 0) + 1
    return counts


def _label(event: ev.NodeEvent | ev.ResourceAcquired | ev.ResourceReleased) -> str:
    """Return the node's id, which tells nodes of one name apart, with the item's number."""
    return event.node if event.index is None else f"{event.node}[{event.index}]"


# -- runs -----------------------------------------------------------------------------------------------------------


def _run_started(event: ev.RunStarted) -> list[Said]:
    said: list[Said] = [("INFO", "run.started", {"nodes": event.nodes})]
    if event.capacities:
        said = [("INFO", "run.started_within", {"nodes": event.nodes, "capacities": dict(event.capacities)})]
    if event.params:
        said.append(("INFO", "run.params", {"params": dict(event.params)}))
    return said


def _run_finished(event: ev.RunFinished) -> list[Said]:
    said: list[Said] = []
    if event.abandoned:
        said.append(("WARNING", "run.abandoned", {"labels": event.abandoned}))
    if event.status == "failed":
        reason: dict[str, object] = {"error_type": event.error_type, "error": event.error}
        said.append(("ERROR", "run.failed", {"duration": event.duration, **reason}))
    elif event.status == "cancelled":
        said.append(("WARNING", "run.cancelled", {"duration": event.duration}))
    else:
        said.append(("INFO", "run.completed", {"duration": event.duration}))
    return said


def _run_paused(_: ev.RunPaused) -> list[Said]:
    return [("INFO", "run.paused", {})]


def _run_resumed(_: ev.RunResumed) -> list[Said]:
    return [("INFO", "run.resumed", {})]


def _step_mode(event: ev.StepModeEntered | ev.StepModeLeft) -> list[Said]:
    return [("INFO", "step.entered" if isinstance(event, ev.StepModeEntered) else "step.left", {})]


def _held(event: ev.NodeHeld) -> list[Said]:
    return [("INFO", "node.held", {"label": _label(event)})]


def _cancel_requested(event: ev.RunCancelRequested) -> list[Said]:
    return [("WARNING", "run.cancel_requested", {"reason": event.reason})]


def _limit_set(event: ev.LimitSet) -> list[Said]:
    return [("INFO", "limit.set", {"limit": event.limit_id, "scope": event.scope, "kind": event.kind})]


def _limit_removed(event: ev.LimitRemoved) -> list[Said]:
    return [("INFO", "limit.removed", {"limit": event.limit_id})]


def _run_held(event: RunHeld) -> list[Said]:
    where: dict[str, object] = {"limit": event.limit_id, "scope": event.scope, "source": event.source}
    if event.set_at:
        return [("WARNING", "run.held_since", {**where, "age": max(0.0, event.at - event.set_at)})]
    return [("WARNING", "run.held", where)]


def _control_refused(event: ControlRefused) -> list[Said]:
    fields: dict[str, object] = {"topic": event.topic, "reason": event.reason, "count": event.count}
    return [("WARNING", "control.refused", fields)]


def _dropped(event: ev.EventsDropped) -> list[Said]:
    return [("WARNING", "events.dropped", {"count": event.count})]


def _store_reported(event: ev.StoreReported) -> list[Said]:
    message_id = "run.store_of" if event.task else "run.store"
    return [("WARNING", message_id, {"problem": event.problem, "kind": event.kind, "task": event.task})]


def _cluster(event: ev.ClusterReported) -> list[Said]:
    facts = {"address": event.address, "workers": event.workers, "patience": event.patience, "link": event.dashboard}
    if not event.workers:
        return [("WARNING", "cluster.empty", facts)]
    return [("INFO", "cluster.linked" if event.dashboard else "cluster.joined", facts)]


# -- nodes ----------------------------------------------------------------------------------------------------------


def _started(event: ev.NodeStarted) -> list[Said]:
    return [("DEBUG", "node.started", {"label": _label(event), "attempt": event.attempt, "worker": event.worker})]


def _completed(event: ev.NodeCompleted) -> list[Said]:
    fields: dict[str, object] = {"label": _label(event), "duration": event.duration}
    if event.summary:
        return [("INFO", "node.completed_giving", {**fields, "summary": event.summary})]
    return [("INFO", "node.completed", fields)]


def _recalled(event: ev.NodeRecalled) -> list[Said]:
    made: dict[str, object] = {"run": event.made_in, "age": event.age, "saved": event.saved}
    return [("INFO", "node.recalled", {"label": _label(event), **made})]


def _items_recalled(event: ev.ItemsRecalled) -> list[Said]:
    return [("INFO", "items.recalled", {"label": _label(event), "count": event.count, "saved": event.saved})]


def _items(event: ev.ItemsCompleted) -> list[Said]:
    fields: dict[str, object] = {"first": event.first, "count": event.count, "duration": event.duration}
    return [("DEBUG", "items.completed", {"label": _label(event), **fields})]


def _failed(event: ev.NodeFailed) -> list[Said]:
    reason: dict[str, object] = {"error_type": event.error_type, "error": event.error}
    said: list[Said] = [("ERROR", "node.failed", {"label": _label(event), "attempt": event.attempt, **reason})]
    if event.frames:
        file, line, function, code = event.frames[-1]
        place: dict[str, object] = {"file": file, "line": line, "function": function, "code": code.strip()}
        said.append(("ERROR", "node.failed_at", {"label": _label(event), **place}))
    return said


def _retrying(event: ev.NodeRetrying) -> list[Said]:
    tries: dict[str, object] = {"attempt": event.attempt, "max_attempts": event.max_attempts, "delay": event.delay}
    reason: dict[str, object] = {"error_type": event.error_type, "error": event.error}
    return [("WARNING", "node.retrying", {"label": _label(event), **tries, **reason})]


def _waiting(event: ev.NodeWaiting) -> list[Said]:
    fields: dict[str, object] = {"resource": event.resource, "reason": event.reason, "holders": event.holders}
    return [("DEBUG", "node.waiting", {"label": _label(event), **fields})]


def _skipped(event: ev.NodeSkipped) -> list[Said]:
    return [("INFO", "node.skipped", {"label": _label(event), "reason": event.reason})]


def _cancelled(event: ev.NodeCancelled) -> list[Said]:
    return [("INFO", "node.cancelled", {"label": _label(event), "reason": event.reason})]


def _abandoned(event: ev.NodeAbandoned) -> list[Said]:
    return [("WARNING", "node.abandoned", {"label": _label(event), "reason": event.reason})]


def _expanded(event: ev.MapExpanded) -> list[Said]:
    if event.total is None:
        return [("DEBUG", "map.expanding", {"label": _label(event)})]
    return [("DEBUG", "map.expanded", {"label": _label(event), "total": event.total})]


def _grown(event: ev.GraphGrown) -> list[Said]:
    return [("INFO", "node.grown", {"label": _label(event), "count": len(event.nodes)})]


def _turned(event: ev.LoopTurned) -> list[Said]:
    return [("DEBUG", "loop.turned", {"label": _label(event), "turns": event.turns, "key": event.key})]


def _chosen(event: ev.RouteChosen) -> list[Said]:
    return [("DEBUG", "route.chosen", {"label": _label(event), "key": event.key})]


# -- resources ------------------------------------------------------------------------------------------------------


def _set_up(event: ev.ResourceSetUp) -> list[Said]:
    return [("INFO", "resource.set_up", {"resource": event.resource, "duration": event.duration})]


def _torn_down(event: ev.ResourceTornDown) -> list[Said]:
    if event.error:
        return [("WARNING", "resource.failed", {"resource": event.resource, "error": event.error})]
    return [("INFO", "resource.torn_down", {"resource": event.resource, "duration": event.duration})]


def _moved(event: ev.ResourceAcquired | ev.ResourceReleased) -> list[Said]:
    if event.kind != "capacity":
        return []
    message_id = "capacity.taken" if isinstance(event, ev.ResourceAcquired) else "capacity.returned"
    numbers: dict[str, object] = {"amount": event.amount, "usage": event.usage, "capacity": event.capacity}
    return [("DEBUG", message_id, {"label": _label(event), "resource": event.resource, **numbers})]


@dataclass(frozen=True, slots=True)
class _Way:
    """How one kind of event is told.

    Args:
        level: the highest at which it may be told. words: what is said. rest: the message for those that are folded
            away, empty: none is. counted: its word in the counts of the run, empty: it is not counted.
    """

    level: str
    words: Callable[[Any], list[Said]]
    rest: str = ""
    counted: str = ""


_WAYS: Final[dict[type[ev.Event], _Way]] = {
    ev.RunStarted: _Way("INFO", _run_started),
    ev.RunFinished: _Way("ERROR", _run_finished),
    ev.RunPaused: _Way("INFO", _run_paused),
    ev.RunResumed: _Way("INFO", _run_resumed),
    ev.StepModeEntered: _Way("INFO", _step_mode),
    ev.StepModeLeft: _Way("INFO", _step_mode),
    ev.NodeHeld: _Way("INFO", _held, "node.held.more"),
    ev.RunCancelRequested: _Way("WARNING", _cancel_requested),
    ev.LimitSet: _Way("INFO", _limit_set),
    ev.LimitRemoved: _Way("INFO", _limit_removed),
    RunHeld: _Way("WARNING", _run_held),
    ControlRefused: _Way("WARNING", _control_refused, "control.refused.more"),
    ev.EventsDropped: _Way("WARNING", _dropped),
    ev.StoreReported: _Way("WARNING", _store_reported),
    ev.ClusterReported: _Way("WARNING", _cluster),
    ev.NodeStarted: _Way("DEBUG", _started, "node.started.more"),
    ev.NodeCompleted: _Way("INFO", _completed, "node.completed.more", "done"),
    ev.NodeRecalled: _Way("INFO", _recalled, "node.recalled.more", "stored"),
    ev.ItemsRecalled: _Way("INFO", _items_recalled),
    ev.ItemsCompleted: _Way("DEBUG", _items, "items.completed.more"),
    ev.NodeFailed: _Way("ERROR", _failed, "node.failed.more", "failed"),
    ev.NodeRetrying: _Way("WARNING", _retrying, "node.retrying.more", "retried"),
    ev.NodeWaiting: _Way("DEBUG", _waiting, "node.waiting.more"),
    ev.NodeSkipped: _Way("INFO", _skipped, "node.skipped.more", "skipped"),
    ev.NodeCancelled: _Way("INFO", _cancelled, "node.cancelled.more", "cancelled"),
    ev.NodeAbandoned: _Way("WARNING", _abandoned),
    ev.MapExpanded: _Way("DEBUG", _expanded),
    ev.GraphGrown: _Way("INFO", _grown, "node.grown.more"),
    ev.LoopTurned: _Way("DEBUG", _turned),
    ev.RouteChosen: _Way("DEBUG", _chosen),
    ev.ResourceSetUp: _Way("INFO", _set_up),
    ev.ResourceTornDown: _Way("WARNING", _torn_down),
    ev.ResourceAcquired: _Way("DEBUG", _moved),
    ev.ResourceReleased: _Way("DEBUG", _moved),
}

_COUNTED: Final = tuple(way.counted for way in _WAYS.values() if way.counted)


def __getattr__(name: str) -> Any:
    """Give the subscriber for telemetry, which loads more than a log needs."""
    if name == "TelemetrySubscriber":
        from cascade.runtime.telemetry import TelemetrySubscriber

        return TelemetrySubscriber
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
