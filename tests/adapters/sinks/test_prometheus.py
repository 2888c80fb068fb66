from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request

import pytest

import cascade as cs
from cascade.adapters.sinks.prometheus import MOST_NAMES, PrometheusSink
from cascade.interfaces import events as ev


@cs.task
def add(x, y=1):
    return x + y


@cs.task
def nap(x):
    time.sleep(0.03)
    return x


@cs.task
def bad():
    raise ValueError("no")


def read(text):
    """Numbers by name and labels, as Prometheus' own reader for Python understands the text."""
    parser = pytest.importorskip("prometheus_client.parser")
    found = {}
    for family in parser.text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return found


def test_what_runs_did():
    """Counts, durations, waiting and the use of capacities, of several runs, in the format of Prometheus."""
    sink = PrometheusSink()
    for _ in range(2):
        cs.run([nap(n).with_constraints(gpu=1) for n in range(2)] + [add.map(x=range(100))], log_level=None,
               system_resources={"gpu": 1}, subscribers=[sink])  # fmt: skip
    with pytest.raises(ValueError, match="no"):
        cs.run(bad().with_retry(max_attempts=3), log_level=None, subscribers=[sink])
    found = read(sink.text())
    assert found["cascade_runs_total", (("status", "completed"),)] == 2
    assert found["cascade_runs_total", (("status", "failed"),)] == 1
    assert found["cascade_runs_active", ()] == 0
    assert found["cascade_run_duration_seconds_count", ()] == 3
    assert found["cascade_nodes_total", (("state", "completed"), ("task", "nap"))] == 4
    assert found["cascade_nodes_total", (("state", "failed"), ("task", "bad"))] == 1
    assert found["cascade_nodes_total", (("state", "completed"), ("task", "add"))] == 202
    assert found["cascade_node_retries_total", (("task", "bad"),)] == 2
    assert found["cascade_capacity", (("resource", "gpu"),)] == 1
    assert found["cascade_capacity_in_use", (("resource", "gpu"),)] == 0
    assert 0.005 < found["cascade_waiting_seconds_total", (("resource", "gpu"),)] < 2
    assert found["cascade_node_duration_seconds_count", (("task", "nap"),)] == 4
    assert found["cascade_node_duration_seconds_bucket", (("le", "0.01"), ("task", "nap"))] == 0
    assert found["cascade_node_duration_seconds_bucket", (("le", "+Inf"), ("task", "nap"))] == 4
    assert found["cascade_node_duration_seconds_sum", (("task", "nap"),)] >= 0.12


def test_the_file(tmp_path):
    """At the end of a run the file holds everything, and nothing lies beside it."""
    path = tmp_path / "metrics" / "cascade.prom"
    cs.run(add(1), log_level=None, subscribers=[PrometheusSink(path)])
    assert read(path.read_text(encoding="utf-8"))["cascade_runs_total", (("status", "completed"),)] == 1
    assert [each.name for each in path.parent.iterdir()] == ["cascade.prom"]


def test_the_address():
    """The numbers are read over HTTP from this machine; other paths are not there."""
    sink = PrometheusSink()
    cs.run(add(1), log_level=None, subscribers=[sink])
    url = sink.serve()
    assert url.startswith("http://127.0.0.1:")
    assert sink.serve() == url
    with urllib.request.urlopen(url) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert read(answer.read().decode())["cascade_runs_total", (("status", "completed"),)] == 1
    with pytest.raises(urllib.error.HTTPError, match="404") as raised:
        urllib.request.urlopen(url.replace("/metrics", "/other"))
    raised.value.close()
    sink.close()
    sink.close()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url)


@pytest.mark.parametrize("name", ['a"b', "a\nb", "a\\", "é✓", 'x"} 1\ncascade_runs_total 99', "\u202e"])
def test_hostile_names(name):
    """A name is text in its place, whatever is in it."""
    sink = PrometheusSink()
    sink(ev.NodeCompleted(run_id="r", seq=0, at=0.0, elapsed=0.0, node="n", name=name))
    found = read(sink.text())
    [task] = {dict(labels)["task"] for key, labels in found if key == "cascade_nodes_total"}
    assert task == name


def test_names_are_bounded():
    """Beyond a number of names the others share one line."""
    sink = PrometheusSink()
    head = {"run_id": "r", "at": 0.0, "elapsed": 0.0}
    sink([ev.NodeCompleted(**head, seq=n, node=f"n{n}", name=f"n{n}") for n in range(2 * MOST_NAMES)])
    found = read(sink.text())
    tasks = {dict(labels)["task"] for name, labels in found if name == "cascade_nodes_total"}
    assert len(tasks) == MOST_NAMES + 1
    assert found["cascade_nodes_total", (("state", "completed"), ("task", "(other)"))] == MOST_NAMES


def test_waiting_of_the_items_of_a_map():
    """Items of a map that wait for a capacity are counted as nodes are: each for as long as it waited."""
    sink = PrometheusSink()
    cs.run(
        nap.map(x=[1, 2, 3]).with_constraints(gpu=1), None, {"gpu": 1}, log_level=None, subscribers=[sink]
    )  # fmt: skip
    waited = read(sink.text())["cascade_waiting_seconds_total", (("resource", "gpu"),)]
    assert 0.03 + 0.06 - 0.01 < waited < 2  # the second for one nap, the third for two


def test_a_map_that_waits_is_told_of_once():
    """A map that ends is no longer waiting, short items count in groups, and a second attempt is none that waited."""
    sink = PrometheusSink()
    head = {"run_id": "r", "seq": 0, "at": 0.0, "node": "fit", "name": "fit"}
    sink(
        [
            ev.NodeWaiting(**head, elapsed=1.0, resource="gpu", reason="waits for gpu"),
            ev.MapExpanded(**head, elapsed=1.0, total=12),
            ev.NodeStarted(**head, elapsed=3.0, index=0),
            ev.NodeStarted(**head, elapsed=9.0, index=0, attempt=2),
            ev.ItemsCompleted(**head, elapsed=6.0, first=1, count=10, duration=2.0),
            ev.NodeCompleted(**head, elapsed=9.0),
            ev.NodeStarted(**head, elapsed=99.0, index=11),
        ]
    )
    assert read(sink.text())["cascade_waiting_seconds_total", (("resource", "gpu"),)] == 2.0 + 10 * 3.0


def test_what_a_thread_holds_that_could_not_be_stopped(tmp_path):
    """A run that left a thread behind holds nothing once it is over: nobody would tell of what is given back later."""
    begun, gate = threading.Event(), threading.Event()

    @cs.task
    def hold():
        begun.set()
        assert gate.wait(20)

    otel = pytest.importorskip("opentelemetry.sdk.metrics.export", reason="the extra otel is not installed")
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider

    from cascade.adapters.sinks.otel import OtelSubscriber

    reader, sink = otel.InMemoryMetricReader(), PrometheusSink(tmp_path / "m.prom")
    sinks = [sink, OtelSubscriber(TracerProvider(), MeterProvider([reader]))]
    run = cs.start(hold().with_constraints(gpu=1), log_level=None, system_resources={"gpu": 1}, subscribers=sinks)
    assert begun.wait(20)
    run.cancel()
    run.wait(20)
    gate.set()
    assert 'cascade_capacity_in_use{resource="gpu"} 0' in (tmp_path / "m.prom").read_text()
    [scope] = reader.get_metrics_data().resource_metrics[0].scope_metrics
    [used] = next(metric for metric in scope.metrics if metric.name == "cascade.capacity.in_use").data.data_points
    assert used.value == 0
