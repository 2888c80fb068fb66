"""Events → a file of JSON lines, and back.

In: the events of runs. Out: a line for each; from such a file, a run as it was. Invariant: lines are written whole, so
that a file that was cut short by a crash reads up to its last whole line; the file is bounded, and what it does not
hold is counted; reading makes events of known kinds and plain values, and nothing else.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from cascade.adapters.sinks.fields import misfit
from cascade.context import get_current_context
from cascade.graph.model import Edge, Node
from cascade.interfaces import events as ev
from cascade.interfaces.remote_errors import JournalError
from cascade.interfaces.remote_events import ControlRefused, RunHeld

if TYPE_CHECKING:
    from cascade.adapters.sinks.seen import SeenRun

__all__ = ["JournalSink", "ReplayedGraph", "ReplayedRun", "replay"]

MOST_BYTES: Final = 256 << 20
MOST_LINE: Final = 4 << 20  # bytes of a line that is read
FORM: Final = 1
_KINDS: Final = {
    name: kind for name in ev.__all__ if isinstance(kind := getattr(ev, name), type) and issubclass(kind, ev.Event)
} | {kind.__name__: kind for kind in (ControlRefused, RunHeld)}
_FIELDS: Final = {name: tuple([field.name for field in fields(kind)]) for name, kind in _KINDS.items()}
_HELD: Final[dict[str, tuple[str, ...]]] = {"kind": ("capacity", "resource")}
_WORDS: Final[dict[str, dict[str, tuple[str, ...]]]] = {  # fields of these kinds that know only these words
    "RunFinished": {"status": ("completed", "failed", "cancelled")},
    "ResourceAcquired": _HELD,
    "ResourceReleased": _HELD,
}
_OTHER_NAMES: Final = {"kind": "what"}  # of fields: ``kind`` is that of the line


class JournalSink:
    """Writes the events of runs to a file; give it to ``subscribers=``.

    Args:
        path: of the file; runs are added to what is there.
        most_bytes: of the file; beyond it only starts, ends and the like are written, and the others are counted.

    Attributes:
        batched: it takes lists of events. left_out: events that had no room. problem: why nothing is written, if so.

    Example:
        >>> import cascade as cs, pathlib, tempfile
        >>> @cs.task
        ... def one(): return 1
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "runs.jsonl"
        >>> cs.run(one(), log_level=None, subscribers=[JournalSink(path)])
        1
        >>> replay(path).state
        'completed'
    """

    batched: ClassVar[bool] = True

    def __init__(self, path: str | PathLike[str], *, most_bytes: int = MOST_BYTES) -> None:
        """Open nothing before the first event."""
        self.path = Path(path)
        self.left_out = 0
        self.problem = ""
        self._most = most_bytes
        self._runs: dict[str, SeenRun] = {}
        self._sizes: dict[str, int] = {}  # nodes of the graphs that were written
        self._lock = threading.Lock()

    def attach(self, run: SeenRun) -> None:
        """Know a run before it begins: its graph is written too."""
        self._runs[run.run_id] = run

    def __call__(self, events: ev.Event | Sequence[ev.Event]) -> None:
        """Write events."""
        listed = events if isinstance(events, Sequence) else (events,)
        with self._lock:
            try:
                self._write(listed)
            except OSError as error:
                self.left_out += len(listed)
                self._say(str(error))

    def _write(self, events: Iterable[ev.Event]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            size = os.fstat(handle).st_size
            lines: list[bytes] = []
            for event in events:
                graph = self._graph_line(event)
                line = _line({"kind": type(event).__name__, **_plain(event)})
                if size > self._most and not isinstance(event, ev.LifecycleEvent):
                    self.left_out += 1
                    continue
                added = [graph, line] if graph else [line]
                size += sum(map(len, added))
                lines += added
            data = b"".join(lines)
            while data:  # one write, but for a disk that is full
                data = data[os.write(handle, data) :]
        finally:
            os.close(handle)

    def _graph_line(self, event: ev.Event) -> bytes:
        """Return the line of the run's graph, at its beginning, and at its end if it has grown."""
        run = self._runs.get(event.run_id)
        if run is None or not isinstance(event, (ev.RunStarted, ev.RunFinished)):
            return b""
        graph = run.graph
        if isinstance(event, ev.RunFinished):
            del self._runs[event.run_id]
        if self._sizes.pop(event.run_id, -1) == len(graph.nodes):
            return b""
        if isinstance(event, ev.RunStarted):
            self._sizes[event.run_id] = len(graph.nodes)
        nodes, edges = [asdict(node) for node in graph.nodes], [asdict(edge) for edge in graph.edges]
        told = {"name": graph.name, "nodes": nodes, "edges": edges}
        return _line({"kind": "graph", "form": FORM, "run_id": event.run_id, "graph": told})

    def _say(self, problem: str) -> None:
        if not self.problem:
            import logging

            logging.getLogger("cascade").warning("The journal %s is not written: %s. Runs go on.", self.path, problem)
        self.problem = problem


def _plain(event: ev.Event) -> dict[str, object]:
    return {_OTHER_NAMES.get(name, name): getattr(event, name) for name in _FIELDS[type(event).__name__]}


def _line(told: dict[str, object]) -> bytes:
    return json.dumps(told, separators=(",", ":"), default=_other).encode() + b"\n"


def _other(value: object) -> object:
    """Return what stands for a value that JSON does not know: mappings of other kinds, numbers of numpy, and so on."""
    with suppress(Exception):
        return dict(value)  # type: ignore[call-overload]
    with suppress(Exception):
        return float(value)  # type: ignore[arg-type]
    return str(value)


# -- reading --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReplayedGraph:
    """What was known of a graph: enough to draw it."""

    name: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def __len__(self) -> int:
        """How many nodes it has."""
        return len(self.nodes)


class ReplayedRun:
    """A run as its journal tells it. It has no values, only what was seen.

    Attributes:
        run_id, name, params, capacities, started_at, elapsed, state, error: as of a `Run`.
        state: ``running`` where the journal ends before the run did. events: all of them. graph: `ReplayedGraph`.
    """

    def __init__(self, run_id: str, graph: ReplayedGraph, events: list[ev.Event]) -> None:
        """Read the rest off the events."""
        self.run_id = run_id
        self.graph = graph
        self.events = events
        self.name = graph.name
        self.state = "running"
        self.error = ""
        self.params: dict[str, str] = {}
        self.capacities: dict[str, float] = {}
        self.started_at = events[0].at - events[0].elapsed if events else 0.0
        self.elapsed = max((event.elapsed for event in events), default=0.0)
        for event in events:
            if isinstance(event, ev.RunStarted):
                self.name, self.params, self.capacities = event.name, dict(event.params), dict(event.capacities)
            elif isinstance(event, ev.RunFinished):
                self.state, self.elapsed, self.error = event.status, event.duration, event.error

    def done(self) -> bool:
        """Whether the run has ended; one whose journal breaks off counts as ended, since nothing will follow."""
        return True

    def redact(self, text: str) -> str:
        """Return `text`: secrets were taken out when the events were made."""
        return text

    def figure(self, name: str) -> None:  # noqa: ARG002 - as of a run
        """A journal keeps no pictures."""
        return

    def view(self) -> Any:
        """Show the run in a notebook."""
        return self._shown("view")

    def replay(self) -> Any:
        """Show the run from its beginning again; outside a notebook, return its story as text."""
        return self._shown("replay")

    def report(self, path: str | PathLike[str]) -> Path:
        """Write the run as one HTML page that needs no network; return where it is."""
        display = get_current_context().display
        if display is None:
            from cascade.interfaces.step_errors import ReportError

            raise ReportError.without_display()
        return display().report(self, path)

    def _shown(self, way: str) -> Any:
        display = get_current_context().display
        return getattr(display(), way)(self) if display is not None else repr(self)

    def __repr__(self) -> str:
        """Show name, state and time."""
        return f"<run {self.name!r} {self.run_id} from a journal: {self.state}, {self.elapsed:.2f} s>"

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, Any], dict[str, Any]]:
        return get_current_context().bundle_of(self)


def replay(path: str | PathLike[str], run_id: str | None = None) -> ReplayedRun:
    """Return a run that was written to a journal.

    Args:
        path: of the file. run_id: which one; None: the only one.

    Raises:
        JournalError: when the file is no journal, holds no such run, or several and `run_id` is not given.
        OSError: when it cannot be read.
    """
    runs: dict[str, list[ev.Event]] = {}
    graphs: dict[str, ReplayedGraph] = {}
    with Path(path).open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(MOST_LINE), b""), 1):
            if not line.endswith(b"\n"):
                if len(line) == MOST_LINE:
                    raise JournalError.at(path, number, f"is longer than {MOST_LINE:,} bytes")
                break  # a crash cut it short
            _take(line, partial(JournalError.at, path, number), runs, graphs)
    if not runs:
        raise JournalError.for_empty(path)
    if run_id is None and len(runs) > 1:
        raise JournalError.for_choice(path, runs)
    chosen = run_id if run_id is not None else next(iter(runs))
    if chosen not in runs:
        raise JournalError.for_choice(path, runs)
    told = {event.seq: event for event in reversed(runs[chosen])}  # once, also where a file was copied into itself
    events = [told[seq] for seq in sorted(told)]
    return ReplayedRun(chosen, graphs.get(chosen) or _guess(events), events)


def _take(
    line: bytes,
    fault: Callable[[str], JournalError],
    runs: dict[str, list[ev.Event]],
    graphs: dict[str, ReplayedGraph],
) -> None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise fault("is not JSON") from None
    if not isinstance(found, dict) or not isinstance(found.get("run_id"), str):
        raise fault("is no event")
    kind = found.pop("kind", None)
    if kind == "graph":
        graphs[found["run_id"]] = _graph(found.get("graph"), fault)
        return
    if not isinstance(kind, str) or kind not in _KINDS:
        raise fault("has an event of an unknown kind")
    found.update({name: found.pop(other) for name, other in _OTHER_NAMES.items() if other in found})
    if not found.keys() <= set(_FIELDS[kind]):
        raise fault("has fields that its kind does not have")
    words = _WORDS.get(kind, {})
    unknown = next((name for name, known in words.items() if name in found and found[name] not in known), "")
    if wrong := misfit(_KINDS[kind], found) or unknown:
        raise fault(f"has something in the field '{wrong}' that does not belong there")
    try:
        make: Callable[..., ev.Event] = _KINDS[kind]
        event = make(**{name: _frozen(value) for name, value in found.items()})
    except TypeError:
        raise fault("lacks fields of its kind") from None
    runs.setdefault(event.run_id, []).append(event)


def _frozen(value: object) -> object:
    """Return lists as tuples, at any depth, as events have them."""
    if isinstance(value, list):
        return tuple([_frozen(each) for each in value])
    return value


def _graph(found: Any, fault: Callable[[str], JournalError]) -> ReplayedGraph:
    try:
        name, nodes, edges = str(found["name"]), found["nodes"], found["edges"]
        wrong = [misfit(Node, node) for node in nodes] + [misfit(Edge, edge) for edge in edges]
        made = ReplayedGraph(name, tuple([Node(**node) for node in nodes]), tuple([Edge(**edge) for edge in edges]))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise fault("holds no graph") from None
    if any(wrong):
        raise fault(f"holds a graph with something in the field '{max(wrong)}' that does not belong there")
    if not {end for edge in made.edges for end in (edge.source, edge.target)} <= {node.id for node in made.nodes}:
        raise fault("holds a graph with an arrow to a node that it does not have")
    return made


def _guess(events: Iterable[ev.Event]) -> ReplayedGraph:
    """Return the nodes that the events speak of, for a journal without a graph."""
    nodes: dict[str, Node] = {}
    name = ""
    for event in events:
        if isinstance(event, ev.RunStarted):
            name = event.name
        if isinstance(event, ev.NodeEvent):
            is_map = isinstance(event, (ev.MapExpanded, ev.ItemsCompleted)) or event.index is not None
            if is_map or event.node not in nodes:
                nodes[event.node] = Node(event.node, event.name, "map" if is_map else "task")
    return ReplayedGraph(name, tuple(nodes.values()), ())
