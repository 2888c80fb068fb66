"""Events → traces and metrics of OpenTelemetry.

In: the events of runs. Out: a trace for each run, in which each node is a span; durations, counts, waiting times and
the use of capacities as metrics. Invariant: times are those of the events, not of their arrival; every span that was
opened is ended with its run; what a collector does or does not do costs the run nothing.

Where they go is OpenTelemetry's own matter: without providers of your own, the usual variables hold
(OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, …).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

from cascade.adapters.sinks.seen import is_first_of_item
from cascade.interfaces import events as ev
from cascade.interfaces.remote_errors import ConnectorError

if TYPE_CHECKING:
    from cascade.adapters.sinks.seen import SeenRun

__all__ = ["OtelSubscriber"]

MOST_LINKS: Final = 32  # of one span to those whose values it took
MOST_EDGES: Final = 20_000  # of a graph whose links are made
FLUSH: Final = 800  # milliseconds that the end of a run waits for the collector
Key = tuple[str, int | None]  # node, item


@dataclass(slots=True)
class _Trace:
    """The spans of one run: open ones by node and item, and the contexts of all nodes' spans."""

    root: Any
    context: Any
    run: SeenRun | None = None
    nodes: set[str] = field(default_factory=set)  # those whose edges are in `needs`
    spans: dict[Key, Any] = field(default_factory=dict)
    known: dict[str, Any] = field(default_factory=dict)
    needs: dict[str, list[str]] = field(default_factory=dict)
    waiting: dict[Key, tuple[str, float]] = field(default_factory=dict)
    held: dict[str, float] = field(default_factory=dict)  # amounts of capacities

    def read_edges(self) -> None:
        """Know the edges of the graph as it is now, unless it is too large."""
        graph = self.run.graph if self.run is not None else None
        if graph is None or len(graph.nodes) > MOST_EDGES or len(graph.edges) > MOST_EDGES:
            self.run = None
            return
        self.nodes = {node.id for node in graph.nodes}
        self.needs = {}
        for edge in graph.edges:
            self.needs.setdefault(edge.target, []).append(edge.source)


class OtelSubscriber:
    """Tells OpenTelemetry of runs; give it to ``subscribers=`` of as many runs as you like.

    A run is a trace, a node a span in it, linked to the spans of the nodes whose values it took. A map is a span, and
    its long items are spans under it, linked to it; short ones are counted on it. Attempts that failed and waiting are
    events of the span, the last failure is its error.

    Args:
        tracer_provider, meter_provider: of the SDK; None: made here, with exporters that the OTEL variables configure.

    Attributes:
        batched: it takes lists of events.

    Raises:
        ConnectorError: when the SDK is not installed.
    """

    batched: ClassVar[bool] = True

    def __init__(self, tracer_provider: Any = None, meter_provider: Any = None) -> None:
        """Make what is not given."""
        try:
            import opentelemetry.sdk  # noqa: F401 - only whether it is there
        except ImportError:
            raise ConnectorError.for_library("opentelemetry-sdk", "otel") from None
        self._traces: dict[str, _Trace] = {}
        self._runs: dict[str, SeenRun] = {}
        self._tracer_provider = tracer_provider or _make_tracer_provider()
        self._meter_provider = meter_provider or _make_meter_provider()
        self._tracer = self._tracer_provider.get_tracer("cascade")
        meter = self._meter_provider.get_meter("cascade")
        self._run_duration = meter.create_histogram("cascade.run.duration", "s", "How long runs took")
        self._duration = meter.create_histogram("cascade.node.duration", "s", "How long attempts took")
        self._nodes = meter.create_counter("cascade.nodes", "1", "Nodes and items of maps that ended")
        self._retries = meter.create_counter("cascade.retries", "1", "Attempts that failed and were tried again")
        self._waited = meter.create_histogram("cascade.node.waiting", "s", "How long nodes waited for a capacity")
        self._in_use = meter.create_up_down_counter("cascade.capacity.in_use", "1", "Capacity in use")

    def attach(self, run: SeenRun) -> None:
        """Know a run before it begins: spans are linked along its edges."""
        self._runs[run.run_id] = run

    def __call__(self, events: ev.Event | Sequence[ev.Event]) -> None:
        """Tell of events."""
        for event in events if isinstance(events, Sequence) else (events,):
            if isinstance(event, ev.RunStarted):
                self._begin(event)
            trace = self._traces.get(event.run_id)
            if trace is not None:
                self._tell(trace, event)

    # -- runs -----------------------------------------------------------------------------------------------------

    def _begin(self, event: ev.RunStarted) -> None:
        from opentelemetry import trace as api
        from opentelemetry.context import Context

        _SENTENCE.is_said = False
        attributes = {"cascade.run_id": event.run_id, "cascade.nodes": event.nodes}
        attributes |= {f"cascade.param.{name}": text for name, text in event.params.items()}
        root = self._tracer.start_span(event.name, Context(), start_time=_ns(event.at), attributes=attributes)
        run = self._runs.pop(event.run_id, None)
        made = self._traces[event.run_id] = _Trace(root, api.set_span_in_context(root, Context()), run)
        made.read_edges()

    def _finish(self, trace: _Trace, event: ev.RunFinished) -> None:
        for span in trace.spans.values():  # what could not be stopped, and maps that did not come to their end
            _set(span, "cascade.state", "unfinished")
            span.end(_ns(event.at))
        _set(trace.root, "cascade.status", event.status)
        if event.status == "failed":
            _fail(trace.root, event.error_type, event.error, event.at)
        trace.root.end(_ns(event.at))
        for resource, amount in trace.held.items():  # a thread that could not be stopped gives it back unheard
            self._in_use.add(-amount, {"resource": resource})
        del self._traces[event.run_id]
        self._run_duration.record(event.duration, {"status": event.status})
        for provider in (self._tracer_provider, self._meter_provider):
            with suppress(Exception):  # a collector that is away
                provider.force_flush(FLUSH // 2)

    # -- nodes ----------------------------------------------------------------------------------------------------

    def _tell(self, trace: _Trace, event: ev.Event) -> None:
        match event:
            case ev.RunFinished():
                self._finish(trace, event)
            case ev.LifecycleEvent() if not isinstance(event, ev.RunStarted):
                trace.root.add_event(type(event).__name__, _facts(event), _ns(event.at))
            case ev.ResourceAcquired():
                self._hold(trace, event.resource, event.amount)
            case ev.ResourceReleased():
                self._hold(trace, event.resource, -event.amount)
            case ev.ItemsCompleted():
                self._end_waiting(trace, event, event.elapsed - event.duration)
                self._nodes.add(event.count, {"task": event.name, "state": "completed"})
                self._span(trace, event, event.at - event.duration).add_event(
                    "items", {"first": event.first, "count": event.count}, _ns(event.at)
                )
            case ev.GraphGrown():
                if not trace.nodes.issuperset(event.nodes):
                    trace.read_edges()
            case ev.NodeEvent():
                self._tell_node(trace, event)

    def _hold(self, trace: _Trace, resource: str, amount: float) -> None:
        trace.held[resource] = trace.held.get(resource, 0.0) + amount
        self._in_use.add(amount, {"resource": resource})

    def _tell_node(self, trace: _Trace, event: ev.NodeEvent) -> None:
        match event:
            case ev.NodeStarted():
                self._end_waiting(trace, event, event.elapsed)
                span = self._span(trace, event, event.at)
                if event.attempt > 1:
                    span.add_event("attempt", {"attempt": event.attempt}, _ns(event.at))
                _set(span, "cascade.worker", event.worker)
            case ev.MapExpanded():
                _set(self._span(trace, event, event.at), "cascade.items", -1 if event.total is None else event.total)
            case ev.NodeRetrying():
                self._retries.add(1, {"task": event.name})
                self._span(trace, event, event.at).add_event("retry", _facts(event), _ns(event.at))
            case ev.NodeWaiting():
                trace.waiting.setdefault((event.node, event.index), (event.resource, event.elapsed))
            case ev.NodeRecalled():
                self._end(trace, event, "stored", event.at)
            case ev.NodeCompleted():
                self._duration.record(event.duration, {"task": event.name, "state": "completed"})
                self._end(trace, event, "completed", event.at - event.duration, event.attempt)
            case ev.NodeFailed():
                self._duration.record(event.duration, {"task": event.name, "state": "failed"})
                span = self._span(trace, event, event.at - event.duration)
                _fail(span, event.error_type, event.error, event.at, event.frames)
                self._end(trace, event, "failed", event.at, event.attempt)
            case ev.NodeSkipped() | ev.NodeCancelled():
                state = "skipped" if isinstance(event, ev.NodeSkipped) else "cancelled"
                self._end_waiting(trace, event, event.elapsed)
                _set(self._span(trace, event, event.at), "cascade.reason", event.reason)
                self._end(trace, event, state, event.at)

    def _span(self, trace: _Trace, event: ev.NodeEvent, began: float) -> Any:
        """Return the open span of a node or item; it begins now, at `began`, if there is none."""
        key = (event.node, event.index)
        if key not in trace.spans:
            trace.spans[key] = self._open(trace, event, began)
        return trace.spans[key]

    def _open(self, trace: _Trace, event: ev.NodeEvent, began: float) -> Any:
        from opentelemetry import trace as api

        context, links = trace.context, []
        if event.index is not None:
            over = trace.spans.get((event.node, None))
            if over is None:
                over = trace.spans[event.node, None] = self._start(trace, event.name, event.node, began, context, [])
            context = api.set_span_in_context(over, context)
            links = [over.get_span_context()]
        else:
            links = [trace.known[need] for need in trace.needs.get(event.node, ()) if need in trace.known]
        attributes = [api.Link(link) for link in links[:MOST_LINKS]]
        return self._start(trace, event.label, event.node, began, context, attributes)

    def _start(self, trace: _Trace, name: str, node: str, began: float, context: Any, links: list[Any]) -> Any:
        attributes = {"cascade.node": node}
        made = self._tracer.start_span(name, context, links=links, start_time=_ns(began), attributes=attributes)
        if node not in trace.known:
            trace.known[node] = made.get_span_context()
        return made

    def _end(self, trace: _Trace, event: ev.NodeEvent, state: str, began: float, attempt: int = 0) -> None:
        span = self._span(trace, event, began)
        _set(span, "cascade.state", state)
        if attempt:
            _set(span, "cascade.attempt", attempt)
        span.end(_ns(event.at))
        del trace.spans[event.node, event.index]
        trace.waiting.pop((event.node, event.index), None)
        self._nodes.add(1, {"task": event.name, "state": state})

    def _end_waiting(self, trace: _Trace, event: ev.NodeEvent, until: float) -> None:
        """Tell how long a node waited, or an item of a map, which waits for all of them that have not begun."""
        is_item = is_first_of_item(event)
        waited = trace.waiting.pop((event.node, event.index), None) if event.index is not None or not is_item else None
        if waited is None and is_item:
            waited = trace.waiting.get((event.node, None))
        if waited is not None:
            seconds = max(0.0, until - waited[1])
            self._waited.record(seconds, {"resource": waited[0]})
            facts = {"resource": waited[0], "seconds": seconds}
            self._span(trace, event, event.at).add_event("waited", facts, _ns(event.at))


def _ns(at: float) -> int:
    return int(at * 1e9)


def _set(span: Any, name: str, value: object) -> None:
    span.set_attribute(name, value)


def _facts(event: ev.Event) -> dict[str, Any]:
    """Return the plain fields of an event that it has beside those of every event."""
    from dataclasses import fields

    common = {"run_id", "seq", "at", "elapsed", "node", "name", "index"}
    told = {each.name: getattr(event, each.name) for each in fields(event) if each.name not in common}
    return {name: value for name, value in told.items() if isinstance(value, (str, int, float, bool))}


def _fail(span: Any, kind: str, text: str, at: float, frames: Sequence[tuple[str, int, str, str]] = ()) -> None:
    """Record an error as OpenTelemetry names its parts."""
    from opentelemetry.trace import Status, StatusCode

    trace = "".join(f'  File "{file}", line {line}, in {name}\n    {code}\n' for file, line, name, code in frames)
    facts = {"exception.type": kind, "exception.message": text}
    if trace:
        facts["exception.stacktrace"] = f"Traceback (most recent call last):\n{trace}{kind}: {text}"
    span.add_event("exception", facts, _ns(at))
    span.set_status(Status(StatusCode.ERROR, f"{kind}: {text}"[:500]))


def _make_resource() -> Any:
    import os

    from opentelemetry.sdk.resources import SERVICE_NAME, Resource

    own = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: "cascade"}
    return Resource.create(own)


class _OneSentence(logging.Filter):
    """Puts one sentence in the place of what an exporter logs at each of its tries, run for run."""

    is_said = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Let a record through where somebody debugs, or where it is no warning."""
        if record.levelno < logging.WARNING or _LOG.isEnabledFor(logging.DEBUG):
            return True
        if not self.is_said:
            self.is_said = True
            text = record.getMessage()
            reason = _REASON.search(text)
            _LOG.warning(
                "OpenTelemetry: the collector does not take what it is told (%s). What it misses is lost; the run goes "
                "on. OTEL_EXPORTER_OTLP_ENDPOINT says where the collector is.",
                reason[1] if reason else text[:160],
            )
        return False


_LOG: Final = logging.getLogger("cascade")
_REASON: Final = re.compile(r"\[Errno -?\d+\] ([^'\")]+)")
_SENTENCE: Final = _OneSentence()


def _hear_once(exporter: Any) -> Any:
    logging.getLogger(type(exporter).__module__).addFilter(_SENTENCE)
    return exporter


def _make_tracer_provider() -> Any:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    made = TracerProvider(resource=_make_resource())
    made.add_span_processor(BatchSpanProcessor(_hear_once(OTLPSpanExporter())))
    return made


def _make_meter_provider() -> Any:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    return MeterProvider([PeriodicExportingMetricReader(_hear_once(OTLPMetricExporter()))], resource=_make_resource())
