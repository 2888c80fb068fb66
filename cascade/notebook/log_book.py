"""Events → log lines, bounded.

In: the events of one run. Out: lines as JSON. Invariant: news (failures, retries, waits, the run itself) are not pushed
out by chatter (items that are done, printed output), nor pictures by either: each has a ring of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cascade.interfaces.events import (
    ClusterReported,
    DisplayShown,
    Event,
    EventsDropped,
    GraphGrown,
    ItemsCompleted,
    ItemsRecalled,
    LimitRemoved,
    LimitSet,
    MapExpanded,
    NodeAbandoned,
    NodeCancelled,
    NodeCompleted,
    NodeEvent,
    NodeFailed,
    NodeRecalled,
    NodeRetrying,
    NodeSkipped,
    NodeWaiting,
    OutputWritten,
    ResourceSetUp,
    ResourceTornDown,
    RouteChosen,
    RunCancelRequested,
    RunFinished,
    RunPaused,
    RunResumed,
    StepModeEntered,
    StepModeLeft,
    StoreReported,
)
from cascade.interfaces.remote_events import ConnectionReported, ControlRefused, RunHeld
from cascade.notebook.figures import describe_figure
from cascade.notebook.plain import duration, listed, plain, plural
from cascade.notebook.units import origin, retry_reason, waiting_reason

REMOTE = (RunHeld, ControlRefused, ConnectionReported)  # what comes from outside, and is only told
WAITS_FOR = "a capacity or a limit"  # for what a node elsewhere waits, until its run has said which: no news yet
NEWS_LIMIT = 150
CHATTER_LIMIT = 150
DISPLAYS_LIMIT = 40
LINE_LIMIT = 300
LABEL_LIMIT = 60
LINES_OF_ONE_WRITE = 200

Told = tuple[int, Event, str]  # number, event and box of a line


@dataclass(slots=True)
class Line:
    """One line of the log, put into words when it is shown: most lines of a long run never are.

    Args:
        number: counts all lines of the run. box: of the node that it is about. text: of output, None for other events.
        before: the limit that is lifted, where it is known.
    """

    number: int
    event: Any
    box: str
    text: str | None = None
    before: LimitSet | None = None

    def to_dict(self) -> dict[str, Any]:
        """The line as the JSON of a run document."""
        event = self.event
        if self.text is None:
            icon, level, text = _TELLINGS[type(event)](event)
            text = text if self.before is None else f"limit removed: {_limit_words(self.before)}"
            stream = "event"
        elif type(event) is DisplayShown:
            return self._display(event)
        else:
            icon, text, stream = "", self.text, event.stream
            level = _level(event.level or ("warning" if stream in {"stderr", "warning"} else "info"))
        label = event.label if isinstance(event, NodeEvent) else str(getattr(event, "resource", ""))
        return {
            "t": round(event.elapsed, 4),
            "s": icon,
            "node": self.box,
            "label": plain(label, LABEL_LIMIT),
            "text": plain(text, LINE_LIMIT),
            "stream": stream,
            "level": level,
        }

    def _display(self, event: DisplayShown) -> dict[str, Any]:
        made: dict[str, Any] = {
            "t": round(event.elapsed, 4),
            "s": "",
            "node": self.box,
            "label": plain(event.label, LABEL_LIMIT),
            "text": plain(self.text or "", LINE_LIMIT),
            "stream": "display",
            "level": "info",
        }
        return {**made, "figure": describe_figure(event)} if event.figure or event.table else made


class LogBook:
    """The newest lines of a run."""

    def __init__(self, boxes: Mapping[str, str]) -> None:
        """Begin empty; `boxes` gives the box of each node by id."""
        self._boxes = boxes
        self._news: deque[Line] = deque(maxlen=NEWS_LIMIT)
        self._chatter: deque[Line] = deque(maxlen=CHATTER_LIMIT)
        self._displays: deque[Line] = deque(maxlen=DISPLAYS_LIMIT)
        self._limits: dict[str, LimitSet] = {}
        self._count = 0
        self._framed = 0

    @property
    def framed(self) -> int:
        """The number below which frames carried the lines."""
        return self._framed

    @property
    def count(self) -> int:
        """How many lines there have been."""
        return self._count

    def write(self, event: Event) -> None:
        """Add what `event` has to say."""
        if type(event) is OutputWritten:
            self._write_output(event)
            return
        if type(event) is DisplayShown:
            self._write_display(event)
            return
        if type(event) is NodeWaiting and event.resource == WAITS_FOR:
            return
        before = None
        if type(event) is LimitSet:
            self._limits[event.limit_id] = event
        elif type(event) is LimitRemoved:
            before = self._limits.pop(event.limit_id, None)
        ring = self._chatter if _is_chatter(event) else self._news
        ring.append(Line(self._count, event, self._boxes.get(getattr(event, "node", ""), ""), before=before))
        self._count += 1

    def take(self, news: Iterable[Told], chatter: Iterable[Told], count: int) -> None:
        """Add lines about nodes, and about items. Those that would be pushed out at once may be left out.

        Args:
            news, chatter: in order. count: how many lines there have been with these.
        """
        self._news.extend([Line(*told) for told in news])
        self._chatter.extend([Line(*told) for told in chatter])
        self._count = count

    def _write_output(self, event: OutputWritten) -> None:
        box = self._boxes.get(event.node, "")
        lines = event.text.splitlines()
        self._count += max(0, len(lines) - LINES_OF_ONE_WRITE)
        for text in lines[-LINES_OF_ONE_WRITE:]:
            if text.strip():
                self._chatter.append(Line(self._count, event, box, text))
                self._count += 1

    def _write_display(self, event: DisplayShown) -> None:
        """Add what was displayed: a picture or table in one line, a text line by line, as if it had been printed."""
        box = self._boxes.get(event.node, "")
        if event.figure or event.table:
            self._displays.append(Line(self._count, event, box, event.text))
            self._count += 1
            return
        for text in event.text.splitlines():
            if text.strip():
                self._chatter.append(Line(self._count, event, box, text))
                self._count += 1

    def lines(self, *, framed: bool = False) -> list[Line]:
        """The lines that are kept, in order; with `framed`, only those that a frame has carried."""
        every = sorted((*self._news, *self._chatter, *self._displays), key=_number)
        return [line for line in every if line.number < self._framed] if framed else every

    def news(self) -> list[Line]:
        """The lines that no frame has carried, in order."""
        rings = (self._news, self._chatter, self._displays)
        return sorted((line for ring in rings for line in _since(ring, self._framed)), key=_number)

    def mark_framed(self, number: int) -> None:
        """Take note that frames carried the lines below `number`."""
        self._framed = number


def _number(line: Line) -> int:
    return line.number


def _since(ring: deque[Line], number: int) -> Iterable[Line]:
    for line in reversed(ring):
        if line.number < number:
            return
        yield line


def _level(level: str) -> str:
    known = {
        "debug": "debug",
        "info": "info",
        "warning": "warning",
        "warn": "warning",
        "error": "error",
        "critical": "error",
    }
    return known.get(level.lower(), "info")


def _is_chatter(event: Event) -> bool:
    kind = type(event)
    return kind is ItemsCompleted or (
        kind in {NodeCompleted, NodeWaiting} and getattr(event, "index", None) is not None
    )


# -- what each event says: icon, level, text -------------------------------------------------------------------------

Telling = tuple[str, str, str]


def _completed(event: NodeCompleted) -> Telling:
    tries = f", at try {event.attempt}" if event.attempt > 1 else ""
    return "done", "info", f"{event.summary}{tries}" if event.summary else f"done in {duration(event.duration)}{tries}"


def _items(event: ItemsCompleted) -> Telling:
    return "done", "info", f"{plural(event.count, 'item')} done in {duration(event.duration)}"


def _failed(event: NodeFailed) -> Telling:
    error = f"{event.error_type}: {event.error}" if event.error else event.error_type
    return "failed", "error", error


def _retrying(event: NodeRetrying) -> Telling:
    return "retry", "warning", f"{retry_reason(event)} (try {event.attempt} of {event.max_attempts} failed)"


def _expanded(event: MapExpanded) -> Telling:
    return "pending", "debug", "items as they come" if event.total is None else plural(event.total, "item")


def _limit(event: LimitSet) -> Telling:
    return "waiting", "info", f"limit set: {_limit_words(event)}"


def _limit_words(event: LimitSet) -> str:
    told = ", ".join(f"{key} {value}" for key, value in event.params.items())
    return f"{event.kind} on {event.scope}{f' ({told})' if told else ''}"


def _torn_down(event: ResourceTornDown) -> Telling:
    if event.error:
        return "failed", "error", f"could not be closed: {event.error}"
    return "done", "info", f"closed in {duration(event.duration)}"


def _finished(event: RunFinished) -> Telling:
    took = duration(event.duration)
    threads = f"; still running in threads that cannot be stopped: {listed(event.abandoned)}" if event.abandoned else ""
    if event.status == "completed":
        return "done", "info", f"the run is done in {took}{threads}"
    if event.status == "failed":
        return "failed", "error", f"the run failed after {took}: {event.error_type}{threads}"
    return "cancelled", "warning", f"the run was cancelled after {took}{threads}"


def _recalled(event: NodeRecalled) -> str:
    if event.kept:
        return "kept from the run before"
    return f"from the store, {origin(event)} ({duration(event.saved)} saved)"


_TELLINGS: dict[type[Event], Callable[[Any], Telling]] = {
    NodeCompleted: _completed,
    NodeRecalled: lambda e: ("kept" if e.kept else "stored", "info", _recalled(e)),
    ItemsRecalled: lambda e: (
        "kept" if e.kept else "stored",
        "info",
        f"{plural(e.count, 'item')} "
        + ("kept from the run before" if e.kept else f"from the store ({duration(e.saved)} saved)"),
    ),
    ItemsCompleted: _items,
    NodeFailed: _failed,
    NodeRetrying: _retrying,
    NodeWaiting: lambda e: ("waiting", "info", waiting_reason(e)),
    NodeSkipped: lambda e: ("skipped", "info", e.reason),
    NodeCancelled: lambda e: ("cancelled", "warning", e.reason),
    NodeAbandoned: lambda e: ("running", "warning", e.reason),
    MapExpanded: _expanded,
    GraphGrown: lambda e: ("running", "info", f"goes on with {plural(len(e.nodes), 'more node')}"),
    RouteChosen: lambda e: ("done", "info", f"takes the route {e.key}"),
    ResourceSetUp: lambda e: ("done", "info", f"ready in {duration(e.duration)}"),
    ResourceTornDown: _torn_down,
    RunPaused: lambda _: ("waiting", "info", "the run is paused: nothing new starts"),
    RunResumed: lambda _: ("running", "info", "the run goes on"),
    StepModeEntered: lambda _: ("waiting", "info", "step by step: each start waits for Next"),
    StepModeLeft: lambda _: ("running", "info", "the run goes on by itself"),
    RunCancelRequested: lambda e: ("cancelled", "warning", f"cancel: {e.reason}" if e.reason else "cancel"),
    RunFinished: _finished,
    LimitSet: _limit,
    LimitRemoved: lambda e: ("running", "info", f"limit removed: {e.limit_id}"),
    RunHeld: lambda e: ("waiting", "warning", f"held by the pause {e.limit_id} on {e.scope} from {e.source}"),
    ControlRefused: lambda e: ("", "warning", f"a message on {e.topic} was refused: {e.reason}"),
    ConnectionReported: lambda e: ("", "warning", e.problem) if e.problem else ("", "info", "Connected again."),
    EventsDropped: lambda e: ("", "warning", f"{plural(e.count, 'event')} came too fast and are not shown"),
    ClusterReported: lambda e: (
        ("running", "info", f"on the cluster at {e.address}{f', dashboard {e.dashboard}' if e.dashboard else ''}")
        if e.workers
        else ("waiting", "warning", f"the cluster at {e.address} has no workers: waits for up to {e.patience:g} s")
    ),
    StoreReported: lambda e: (
        "",
        "warning",
        f"store: {e.problem}" if not e.task else f"not stored: {e.task}: {e.problem}",
    ),
}
