"""Against a stand-in for a collector, which decodes the real protobuf of OTLP."""

from __future__ import annotations

import gzip
import logging
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import cascade as cs

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otel is not installed")
pytestmark = pytest.mark.slow

from cascade.adapters.sinks.otel import OtelSubscriber  # noqa: E402 - only where the extra is there

ERROR = 2


@cs.task
def load(n):
    time.sleep(0.02)
    return [n, n + 1]


@cs.task
def add(x, y=1):
    return x + y


@cs.task
def nap(x):
    time.sleep(0.03)
    return x


@cs.task
def fragile(calls):
    calls.append(1)
    if len(calls) < 3:
        raise OSError(f"gone {len(calls)}")
    return len(calls)


@cs.task
def bad():
    raise ValueError("no such column")


class Collector:
    """Takes OTLP over HTTP and keeps what it decoded."""

    def __init__(self):
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        self.kinds = {"/v1/traces": ExportTraceServiceRequest, "/v1/metrics": ExportMetricsServiceRequest}
        self.spans, self.metrics, self.services, self.headers = [], {}, set(), []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                data = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    data = gzip.decompress(data)
                outer.headers.append(dict(self.headers))
                outer.take(self.path, data)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def take(self, path, data):
        request = self.kinds[path]()
        request.ParseFromString(data)
        if path == "/v1/traces":
            for group in request.resource_spans:
                self.services |= {a.value.string_value for a in group.resource.attributes if a.key == "service.name"}
                self.spans += [span for scope in group.scope_spans for span in scope.spans]
            return
        for group in request.resource_metrics:
            for scope in group.scope_metrics:
                for metric in scope.metrics:
                    self.metrics[metric.name] = metric

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def span(self, name):
        """The only span of that name."""
        [found] = [span for span in self.spans if span.name == name]
        return found


def attributes(thing):
    """Attributes of a span or an event, as plain values."""
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in thing.attributes}


@pytest.fixture
def collector(monkeypatch):
    """A collector, where OpenTelemetry's own variables point to it."""
    made = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=flights")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "lesson")
    yield made
    made.close()


@pytest.fixture
def subscriber(collector):
    """A subscriber that made its own providers."""
    made = OtelSubscriber()
    yield made
    made._tracer_provider.shutdown()
    made._meter_provider.shutdown()


def test_a_run_is_a_trace_and_a_node_a_span(collector, subscriber):
    """Spans of one trace, under the run's, with the times of the events and links to what they read."""
    first = load(1)
    run = cs.start(add(nap(first), [0]), log_level=None, subscribers=[subscriber], name="flights")
    assert run.result(10) == [1, 2, 0]
    root = collector.span("flights")
    assert not root.parent_span_id
    assert attributes(root)["cascade.run_id"] == run.run_id
    assert attributes(root)["cascade.status"] == "completed"
    spans = {name: collector.span(name) for name in ("load", "nap", "add")}
    for span in spans.values():
        assert span.trace_id == root.trace_id
        assert span.parent_span_id == root.span_id
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert attributes(span)["cascade.state"] == "completed"
    took = (spans["nap"].end_time_unix_nano - spans["nap"].start_time_unix_nano) / 1e9
    assert 0.028 < took < 1
    assert [link.span_id for link in spans["nap"].links] == [spans["load"].span_id]
    assert [link.span_id for link in spans["add"].links] == [spans["nap"].span_id]
    assert collector.services == {"lesson"}
    assert any(headers.get("x-team") == "flights" for headers in collector.headers)


def test_nodes_by_which_a_graph_grows_have_links(collector, subscriber):
    """A node that came while the run went on is linked to what it read, however late it came."""
    told = threading.Event()

    def tell(event):
        if type(event).__name__ == "NodeStarted":
            told.set()

    @cs.task
    def grow():
        assert told.wait(10)  # the run was told of before it grew
        time.sleep(0.3)
        return nap(load(1)).named("grown")

    cs.run(grow(), log_level=None, subscribers=[subscriber, tell])
    subscriber._tracer_provider.force_flush()
    assert [link.span_id for link in collector.span("grown").links] == [collector.span("load").span_id]


def test_items_of_a_map(collector, subscriber):
    """A map is a span; its long items are spans under it, linked to it; short items are counted on it."""
    cs.run([nap.map(x=[1, 2, 3]), add.map(x=range(500))], log_level=None, subscribers=[subscriber])
    whole = collector.span("nap")
    for index in range(3):
        item = collector.span(f"nap[{index}]")
        assert item.parent_span_id == whole.span_id
        assert [link.span_id for link in item.links] == [whole.span_id]
    counted = [attributes(event)["count"] for event in collector.span("add").events if event.name == "items"]
    assert sum(counted) + sum(span.name.startswith("add[") for span in collector.spans) == 500


def test_attempts_and_errors(collector, subscriber):
    """Attempts that failed are events of the span; the last failure is its error, with the user's frames."""
    failing = bad()
    target = [fragile([]).with_retry(max_attempts=3), failing, add(failing)]
    with pytest.raises(ValueError, match="no such column"):
        cs.run(target, log_level=None, subscribers=[subscriber], on_failure="continue", timeout=20)
    span = collector.span("fragile")
    assert [attributes(event)["error"] for event in span.events if event.name == "retry"] == ["gone 1", "gone 2"]
    assert attributes(span)["cascade.attempt"] == 3
    failed = collector.span("bad")
    assert failed.status.code == ERROR
    [error] = [attributes(event) for event in failed.events if event.name == "exception"]
    assert (error["exception.type"], error["exception.message"]) == ("ValueError", "no such column")
    assert 'raise ValueError("no such column")' in error["exception.stacktrace"]
    root = next(span for span in collector.spans if not span.parent_span_id)
    assert root.status.code == ERROR
    assert attributes(collector.span("add"))["cascade.state"] == "skipped"


def test_metrics(collector, subscriber):
    """Durations, counts, waiting times and the use of capacities."""
    cs.run([nap(n).with_constraints(gpu=1) for n in range(3)], log_level=None, system_resources={"gpu": 1},
           subscribers=[subscriber])  # fmt: skip
    subscriber._meter_provider.force_flush()
    [point] = collector.metrics["cascade.node.duration"].histogram.data_points
    assert (point.count, attributes(point)) == (3, {"task": "nap", "state": "completed"})
    assert point.sum >= 0.09
    [count] = collector.metrics["cascade.nodes"].sum.data_points
    assert count.as_int == 3
    [waited] = collector.metrics["cascade.node.waiting"].histogram.data_points
    assert waited.count == 2
    assert waited.sum >= 0.08
    [used] = collector.metrics["cascade.capacity.in_use"].sum.data_points
    assert used.as_double == 0
    [runs] = collector.metrics["cascade.run.duration"].histogram.data_points
    assert attributes(runs) == {"status": "completed"}


def test_a_run_that_was_cancelled_leaves_no_open_span(collector, subscriber):
    """Spans of what was stopped end with their run."""
    gate = threading.Event()

    @cs.task
    def hold():
        return gate.wait(10)

    run = cs.start(add(hold()), log_level=None, subscribers=[subscriber], name="run")
    while not any(type(event).__name__ == "NodeStarted" for event in run.events):
        time.sleep(0.001)
    run.cancel()
    while not run._flow.core.cancelling:
        time.sleep(0.001)
    gate.set()
    run.wait(10)
    assert {span.name for span in collector.spans} >= {"hold", "add"}
    assert attributes(collector.span("add"))["cascade.state"] == "cancelled"
    assert subscriber._traces == {}


def test_a_collector_that_is_away(monkeypatch, caplog):
    """Nobody takes the spans: the run is right, its end waits a bounded time, and one sentence says what is lost."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    subscriber = OtelSubscriber()
    begun = time.monotonic()
    assert cs.run([add(n) for n in range(100)], log_level=None, subscribers=[subscriber])[0] == 1
    assert time.monotonic() - begun < 2.5
    subscriber._tracer_provider.shutdown()
    subscriber._meter_provider.shutdown()
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(told) == 1
    # On a busy machine its time is over before it has been refused.
    reason = r"\((Connection refused|Failed to export spans batch due to timeout.*)\)"
    assert re.match(rf"OpenTelemetry: the collector does not take what it is told {reason}\.", told[0])


def test_waiting_of_the_items_of_a_map(collector, subscriber):
    """Each item that waited for a capacity is in the histogram, and its span says so."""
    cs.run(nap.map(x=[1, 2, 3]).with_constraints(gpu=1), log_level=None, system_resources={"gpu": 1},
           subscribers=[subscriber])  # fmt: skip
    subscriber._meter_provider.force_flush()
    [waited] = collector.metrics["cascade.node.waiting"].histogram.data_points
    assert waited.count == 2
    assert waited.sum >= 0.08
    assert "waited" in [event.name for event in collector.span("nap[2]").events]
