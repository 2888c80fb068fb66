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
from cascade.messaging.bus import Messenger, check_level, messaging_bus

if TYPE_CHECKING:
    from cascade.messaging.bus import Renderer

__all__ = ["FORMATS", "HumanReadableLogSubscriber", "make_log_subscriber"]

FORMATS: Final = ("human", "json")
MANY: Final = 20  # equal messages in one list that are told one by one
FIRST: Final = 5  # how many of more than that are told


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
    """Tells a messenger about runs; give it to a bus or to ``cs.run(subscribers=…)``.

    Responsible for: which events are told, in which words, and folding. Refuses: the tasks' own output, which is on
    the screen already; formatting, which is the renderer's.

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
        '   0.250 s ● fit done in 0.20 s\\n'
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
                        self._say(way.level, way.rest, event, count=total - FIRST)
                    continue
            way.tell(self, event)

    def _count(self, event: Any, what: str) -> None:
        if event.index is None or what == "retried":
            counts = self._counts.setdefault(event.run_id, dict.fromkeys(_COUNTED, 0))
            counts[what] += 1

    def _say(self, level: str, message_id: str, event: ev.Event, **fields: object) -> None:
        self.messenger.say(level, message_id, run_id=event.run_id, elapsed=event.elapsed, **fields)

    # -- runs -----------------------------------------------------------------------------------------------------

    def _run_started(self, event: ev.RunStarted) -> None:
        self._names[event.run_id] = event.name
        if event.capacities:
            capacities = dict(event.capacities)
            self._say("INFO", "run.started_within", event, name=event.name, nodes=event.nodes, capacities=capacities)
        else:
            self._say("INFO", "run.started", event, name=event.name, nodes=event.nodes)
        if event.params:
            self._say("INFO", "run.params", event, params=dict(event.params))

    def _run_finished(self, event: ev.RunFinished) -> None:
        counts = self._counts.pop(event.run_id, {}) if self.messenger.speaks("INFO") else {}
        fields = {"name": self._names.pop(event.run_id, event.run_id), "duration": event.duration, "counts": counts}
        if event.abandoned:
            self._say("WARNING", "run.abandoned", event, labels=event.abandoned)
        if event.status == "failed":
            self._say("ERROR", "run.failed", event, error_type=event.error_type, error=event.error, **fields)
        elif event.status == "cancelled":
            self._say("WARNING", "run.cancelled", event, **fields)
        else:
            self._say("INFO", "run.completed", event, **fields)

    def _run_paused(self, event: ev.RunPaused) -> None:
        self._say("INFO", "run.paused", event, name=self._names.get(event.run_id, event.run_id))

    def _run_resumed(self, event: ev.RunResumed) -> None:
        self._say("INFO", "run.resumed", event, name=self._names.get(event.run_id, event.run_id))

    def _cancel_requested(self, event: ev.RunCancelRequested) -> None:
        name = self._names.get(event.run_id, event.run_id)
        self._say("WARNING", "run.cancel_requested", event, name=name, reason=event.reason)

    def _limit_set(self, event: ev.LimitSet) -> None:
        self._say("INFO", "limit.set", event, limit=event.limit_id, scope=event.scope, kind=event.kind)

    def _limit_removed(self, event: ev.LimitRemoved) -> None:
        self._say("INFO", "limit.removed", event, limit=event.limit_id)

    def _dropped(self, event: ev.EventsDropped) -> None:
        self._say("WARNING", "events.dropped", event, count=event.count)

    # -- nodes ----------------------------------------------------------------------------------------------------

    def _started(self, event: ev.NodeStarted) -> None:
        self._say("DEBUG", "node.started", event, label=event.label, attempt=event.attempt, worker=event.worker)

    def _completed(self, event: ev.NodeCompleted) -> None:
        if event.summary:
            fields = {"label": event.label, "duration": event.duration, "summary": event.summary}
            self._say("INFO", "node.completed_giving", event, **fields)
        else:
            self._say("INFO", "node.completed", event, label=event.label, duration=event.duration)

    def _items(self, event: ev.ItemsCompleted) -> None:
        fields = {"label": event.label, "first": event.first, "count": event.count, "duration": event.duration}
        self._say("DEBUG", "items.completed", event, **fields)

    def _failed(self, event: ev.NodeFailed) -> None:
        fields = {"label": event.label, "attempt": event.attempt, "error_type": event.error_type, "error": event.error}
        self._say("ERROR", "node.failed", event, **fields)
        if event.frames:
            file, line, function, code = event.frames[-1]
            self._say("ERROR", "node.failed_at", event, file=file, line=line, function=function, code=code.strip())

    def _retrying(self, event: ev.NodeRetrying) -> None:
        fields = {"error_type": event.error_type, "error": event.error, "delay": event.delay}
        counts = {"attempt": event.attempt, "max_attempts": event.max_attempts}
        self._say("WARNING", "node.retrying", event, label=event.label, **counts, **fields)

    def _waiting(self, event: ev.NodeWaiting) -> None:
        fields = {"label": event.label, "resource": event.resource, "holders": event.holders}
        self._say("DEBUG", "node.waiting", event, reason=event.reason or event.resource, **fields)

    def _skipped(self, event: ev.NodeSkipped) -> None:
        self._say("INFO", "node.skipped", event, label=event.label, reason=event.reason)

    def _cancelled(self, event: ev.NodeCancelled) -> None:
        self._say("INFO", "node.cancelled", event, label=event.label, reason=event.reason)

    def _abandoned(self, event: ev.NodeAbandoned) -> None:
        self._say("WARNING", "node.abandoned", event, label=event.label, reason=event.reason)

    def _expanded(self, event: ev.MapExpanded) -> None:
        if event.total is None:
            self._say("DEBUG", "map.expanding", event, label=event.label)
        else:
            self._say("DEBUG", "map.expanded", event, label=event.label, total=event.total)

    def _chosen(self, event: ev.RouteChosen) -> None:
        self._say("DEBUG", "route.chosen", event, label=event.label, key=event.key)

    # -- resources ------------------------------------------------------------------------------------------------

    def _set_up(self, event: ev.ResourceSetUp) -> None:
        self._say("INFO", "resource.set_up", event, resource=event.resource, duration=event.duration)

    def _torn_down(self, event: ev.ResourceTornDown) -> None:
        if event.error:
            self._say("WARNING", "resource.failed", event, resource=event.resource, error=event.error)
        else:
            self._say("INFO", "resource.torn_down", event, resource=event.resource, duration=event.duration)

    def _moved(self, event: ev.ResourceAcquired | ev.ResourceReleased) -> None:
        if event.kind != "capacity":
            return
        label = event.name if event.index is None else f"{event.name}[{event.index}]"
        message_id = "capacity.taken" if isinstance(event, ev.ResourceAcquired) else "capacity.returned"
        numbers = {"amount": event.amount, "usage": event.usage, "capacity": event.capacity}
        self._say("DEBUG", message_id, event, label=label, resource=event.resource, **numbers)


def _count_repeats(events: Sequence[ev.Event]) -> dict[type[ev.Event], int]:
    """Count the events of each kind that may be folded."""
    counts: dict[type[ev.Event], int] = {}
    for event in events:
        kind = type(event)
        if kind in _WAYS and _WAYS[kind].rest:
            counts[kind] = counts.get(kind, 0) + 1
    return counts


@dataclass(frozen=True, slots=True)
class _Way:
    """How one kind of event is told.

    Args:
        level: the highest at which it may be told. tell: says it. rest: the message for those that are folded away,
            empty: none is. counted: its word in the counts of the run, empty: it is not counted.
    """

    level: str
    tell: Callable[[HumanReadableLogSubscriber, Any], None]
    rest: str = ""
    counted: str = ""


_Log = HumanReadableLogSubscriber
_WAYS: Final[dict[type[ev.Event], _Way]] = {
    ev.RunStarted: _Way("INFO", _Log._run_started),
    ev.RunFinished: _Way("ERROR", _Log._run_finished),
    ev.RunPaused: _Way("INFO", _Log._run_paused),
    ev.RunResumed: _Way("INFO", _Log._run_resumed),
    ev.RunCancelRequested: _Way("WARNING", _Log._cancel_requested),
    ev.LimitSet: _Way("INFO", _Log._limit_set),
    ev.LimitRemoved: _Way("INFO", _Log._limit_removed),
    ev.EventsDropped: _Way("WARNING", _Log._dropped),
    ev.NodeStarted: _Way("DEBUG", _Log._started, "node.started.more"),
    ev.NodeCompleted: _Way("INFO", _Log._completed, "node.completed.more", "done"),
    ev.ItemsCompleted: _Way("DEBUG", _Log._items, "items.completed.more"),
    ev.NodeFailed: _Way("ERROR", _Log._failed, "node.failed.more", "failed"),
    ev.NodeRetrying: _Way("WARNING", _Log._retrying, "node.retrying.more", "retried"),
    ev.NodeWaiting: _Way("DEBUG", _Log._waiting, "node.waiting.more"),
    ev.NodeSkipped: _Way("INFO", _Log._skipped, "node.skipped.more", "skipped"),
    ev.NodeCancelled: _Way("INFO", _Log._cancelled, "node.cancelled.more", "cancelled"),
    ev.NodeAbandoned: _Way("WARNING", _Log._abandoned),
    ev.MapExpanded: _Way("DEBUG", _Log._expanded),
    ev.RouteChosen: _Way("DEBUG", _Log._chosen),
    ev.ResourceSetUp: _Way("INFO", _Log._set_up),
    ev.ResourceTornDown: _Way("WARNING", _Log._torn_down),
    ev.ResourceAcquired: _Way("DEBUG", _Log._moved),
    ev.ResourceReleased: _Way("DEBUG", _Log._moved),
}
_COUNTED: Final = tuple(way.counted for way in _WAYS.values() if way.counted)
