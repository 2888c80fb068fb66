"""Events → numbers in the text format of Prometheus, in a file or at an address on this machine.

In: the events of runs. Out: counters, sums and gauges. Invariant: bounded: at most `MOST_NAMES` tasks and resources
have lines of their own, the others share one; a file is replaced as a whole; the server answers this machine only.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Final

from cascade.adapters.sinks.seen import is_first_of_item
from cascade.interfaces import events as ev

__all__ = ["PrometheusSink"]

MOST_NAMES: Final = 500
OTHER: Final = "(other)"
PERIOD: Final = 1.0  # seconds between two files
BUCKETS: Final = (0.001, 0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0)
TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_HELP: Final = {
    "cascade_runs_total": ("counter", "Runs that ended, by status."),
    "cascade_runs_active": ("gauge", "Runs that go on."),
    "cascade_run_duration_seconds": ("summary", "How long runs took."),
    "cascade_nodes_total": ("counter", "Nodes and items of maps that ended, by task and state."),
    "cascade_node_retries_total": ("counter", "Attempts that failed and were tried again, by task."),
    "cascade_node_duration_seconds": ("histogram", "How long attempts took that ended well, by task."),
    "cascade_waiting_seconds_total": (
        "counter",
        "Time that nodes and items waited for a capacity, by resource.",
    ),
    "cascade_capacity_in_use": ("gauge", "How much of a capacity or resource is in use."),
    "cascade_capacity": ("gauge", "How much of a capacity there is."),
    "cascade_events_dropped_total": ("counter", "Events that came too fast to be counted."),
}
_NOT_WAITING: Final = (ev.NodeStarted, ev.NodeCompleted, ev.NodeFailed, ev.NodeSkipped, ev.NodeCancelled)
Labels = tuple[tuple[str, str], ...]


class PrometheusSink:
    """Counts what runs do; give it to ``subscribers=`` of as many runs as you like.

    Args:
        path: of a file that is written at most every second and when a run ends, for the textfile collector of
            Prometheus' node exporter; None: none.

    Attributes:
        batched: it takes lists of events.

    Example:
        >>> import cascade as cs
        >>> @cs.task
        ... def one(): return 1
        >>> sink = PrometheusSink()
        >>> cs.run(one(), log_level=None, subscribers=[sink])
        1
        >>> 'cascade_runs_total{status="completed"} 1' in sink.text()
        True
    """

    batched: ClassVar[bool] = True

    def __init__(self, path: str | PathLike[str] | None = None) -> None:
        """Count from nothing."""
        self.path = Path(path) if path is not None else None
        self.problem = ""
        self._lock = threading.Lock()
        self._numbers: dict[str, dict[Labels, float]] = {name: {} for name in _HELP}
        self._durations: dict[str, list[float]] = {}  # by task: counts of each bucket, count, sum
        self._waiting: dict[tuple[str, str, int | None], tuple[str, float]] = {}
        self._names: set[str] = set()
        self._written_at = 0.0
        self._server: ThreadingHTTPServer | None = None
        self._held: dict[str, set[str]] = {}  # capacities and resources in use, by run

    # -- counting -------------------------------------------------------------------------------------------------

    def __call__(self, events: ev.Event | Sequence[ev.Event]) -> None:
        """Count events."""
        listed = events if isinstance(events, Sequence) else (events,)
        with self._lock:
            for event in listed:
                self._count(event)
        is_over = any(isinstance(event, ev.RunFinished) for event in listed)
        if self.path is not None and (is_over or time.monotonic() - self._written_at > PERIOD):
            self.write()

    def _count(self, event: ev.Event) -> None:
        match event:
            case ev.RunStarted():
                self._add("cascade_runs_active", 1)
                for name, amount in event.capacities.items():
                    self._numbers["cascade_capacity"][self._one("resource", name)] = amount
            case ev.RunFinished():
                self._add("cascade_runs_active", -1)
                self._add("cascade_runs_total", 1, (("status", event.status),))
                self._add("cascade_run_duration_seconds", event.duration, (("", "sum"),))
                self._add("cascade_run_duration_seconds", 1, (("", "count"),))
                self._waiting = {key: told for key, told in self._waiting.items() if key[0] != event.run_id}
                for resource in self._held.pop(event.run_id, ()):  # by a thread that gives it back unheard
                    self._numbers["cascade_capacity_in_use"][self._one("resource", resource)] = 0
            case ev.ResourceAcquired() | ev.ResourceReleased():
                self._numbers["cascade_capacity_in_use"][self._one("resource", event.resource)] = event.usage
                held = self._held.setdefault(event.run_id, set())
                (held.add if event.usage else held.discard)(event.resource)
            case ev.EventsDropped():
                self._add("cascade_events_dropped_total", event.count)
            case ev.ItemsCompleted():
                self._end(event, "completed", event.count)
                self._count_waiting(event, event.elapsed - event.duration, event.count)
            case ev.ItemsRecalled():
                self._end(event, "stored", event.count)
            case ev.NodeEvent():
                self._count_node(event)

    def _count_node(self, event: ev.NodeEvent) -> None:
        key = (event.run_id, event.node, event.index)
        match event:
            case ev.NodeWaiting():
                self._waiting.setdefault(key, (event.resource, event.elapsed))
                return
            case ev.NodeStarted() | ev.NodeSkipped() | ev.NodeCancelled():
                self._count_waiting(event, event.elapsed)
        if isinstance(event, _NOT_WAITING):
            self._waiting.pop(key, None)
        match event:
            case ev.NodeRecalled():
                self._end(event, "stored")
            case ev.NodeCompleted():
                self._end(event, "completed")
                self._observe(event.name, event.duration)
            case ev.NodeFailed():
                self._end(event, "failed")
            case ev.NodeSkipped():
                self._end(event, "skipped")
            case ev.NodeCancelled():
                self._end(event, "cancelled")
            case ev.NodeRetrying():
                self._add("cascade_node_retries_total", 1, self._one("task", event.name))

    def _count_waiting(self, event: ev.NodeEvent, until: float, count: int = 1) -> None:
        """Count how long a node waited, or `count` items of a map: it waits for all of them that have not begun."""
        waits = self._waiting.get((event.run_id, event.node, event.index))
        if waits is None and is_first_of_item(event):
            waits = self._waiting.get((event.run_id, event.node, None))
        if waits is not None:
            resource, since = waits
            waited = count * max(0.0, until - since)
            self._add("cascade_waiting_seconds_total", waited, self._one("resource", resource))

    def _end(self, event: ev.NodeEvent, state: str, count: int = 1) -> None:
        self._add("cascade_nodes_total", count, (*self._one("task", event.name), ("state", state)))

    def _observe(self, task: str, seconds: float) -> None:
        found = self._durations.setdefault(self._known(task), [0.0] * (len(BUCKETS) + 2))
        for place, limit in enumerate(BUCKETS):
            found[place] += seconds <= limit
        found[-2] += 1
        found[-1] += seconds

    def _add(self, name: str, amount: float, labels: Labels = ()) -> None:
        numbers = self._numbers[name]
        numbers[labels] = numbers.get(labels, 0.0) + amount

    def _one(self, label: str, name: str) -> Labels:
        return ((label, self._known(name)),)

    def _known(self, name: str) -> str:
        if name in self._names:
            return name
        if len(self._names) >= MOST_NAMES:
            return OTHER
        self._names.add(name)
        return name

    # -- telling --------------------------------------------------------------------------------------------------

    def text(self) -> str:
        """Return all numbers as they are now."""
        with self._lock:
            return "".join(line for name in _HELP for line in self._lines(name))

    def _lines(self, name: str) -> Iterable[str]:
        kind, words = _HELP[name]
        numbers = self._numbers[name]
        if not numbers and not (kind == "histogram" and self._durations):
            return
        yield f"# HELP {name} {words}\n# TYPE {name} {kind}\n"
        if kind == "histogram":
            for task, found in self._durations.items():
                limits = [*map(str, BUCKETS), "+Inf"]
                for limit, count in zip(limits, found, strict=False):
                    yield _line(f"{name}_bucket", (("task", task), ("le", limit)), count)
                yield _line(f"{name}_sum", (("task", task),), found[-1])
                yield _line(f"{name}_count", (("task", task),), found[-2])
            return
        for labels, value in numbers.items():
            if kind == "summary":
                yield _line(f"{name}_{labels[0][1]}", (), value)
            else:
                yield _line(name, labels, value)

    def write(self) -> None:
        """Write the file now."""
        if self.path is None:
            return
        self._written_at = time.monotonic()
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}-{threading.get_ident()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(self.text(), encoding="utf-8", errors="replace")
            beside.replace(self.path)
        except OSError as error:
            if not self.problem:
                import logging

                logging.getLogger("cascade").warning("The numbers in %s are not written: %s.", self.path, error)
            self.problem = str(error)

    def serve(self, port: int = 0) -> str:
        """Answer at an address on this machine from now on; return it. `port` 0: a free one.

        Raises:
            OSError: when the port is taken.
        """
        if self._server is None:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), _make_handler(self))
            self._server.daemon_threads = True
            threading.Thread(target=self._server.serve_forever, name="cascade-prometheus", daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}/metrics"

    def close(self) -> None:
        """Answer no more; twice does no harm."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()


def _line(name: str, labels: Labels, value: float) -> str:
    shown = ",".join(f'{label}="{_escape(text)}"' for label, text in labels)
    return f"{name}{f'{{{shown}}}' if shown else ''} {value:.15g}\n"


def _escape(text: str) -> str:
    return text[:200].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")


def _make_handler(sink: PrometheusSink) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers one request."""

        timeout = 5.0

        def do_GET(self) -> None:
            is_known = self.path.split("?")[0] in {"/", "/metrics"}
            body = sink.text().encode("utf-8", "replace") if is_known else b"Look at /metrics.\n"
            self.send_response(200 if is_known else 404)
            for name, value in _headers(body).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler


def _headers(body: bytes) -> Mapping[str, str]:
    return {"Content-Type": TYPE, "Content-Length": str(len(body))}
