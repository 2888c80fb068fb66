"""Runs and their control over a real broker, seen by mosquitto_sub, which knows nothing of cascade."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from datetime import datetime

import pytest

import cascade as cs
from cascade.adapters.connectors.addresses import open_connector
from cascade.adapters.connectors.mqtt import MqttConnector
from cascade.interfaces.events import LimitSet
from cascade.interfaces.remote_events import ControlRefused, RunHeld
from cascade.runtime.remote_desk import RemoteDesk
from cascade.spec.constraint import GlobalConstraint
from tests.runtime.malformed import COMMANDS, LIMITS, TOPIC

pytestmark = pytest.mark.slow
HEADER = {"v": "1.0", "org_id": "uni", "project_id": "flights"}
FIELDS = {
    "LifecycleEvent": {"type": str, "event": str, "status": str},
    "TaskStateEvent": {
        "type": str, "task_id": str, "task_name": str, "state": str, "duration_ms": (int, float),
        "error": (str, type(None)),
    },
    "ResourceEvent": {"type": str, "resource_name": str, "action": str, "current_usage": (int, float)},
}  # fmt: skip
WORDS = {
    "event": {"ENGINE_STARTED", "ENGINE_STOPPED"},
    "state": {"PENDING", "RUNNING", "COMPLETED", "FAILED", "SKIPPED", "BLOCKED", "RETRYING", "CANCELLED"},
    "action": {"ACQUIRE", "RELEASE"},
}


def until(is_true, seconds=10.0):
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, f"it was not so within {seconds:g} s"
        time.sleep(0.002)


@cs.task
def add(x, y=1):
    return x + y


@cs.task
def hold(gate, x):
    assert gate.wait(20)
    return x


@cs.task
def nap(x):
    time.sleep(0.05)
    return x


@cs.task
def bad():
    raise ValueError("no")


def test_field_by_field(broker, listen, monkeypatch):
    """Every message of a rich run is as DESIGN section 8 has it: topic, header, body, types and words."""
    monkeypatch.setenv("CASCADE_ORG_ID", "uni")
    monkeypatch.setenv("CASCADE_PROJECT_ID", "flights")
    ear = listen("cascade/#")
    begun = time.time()
    target = [nap(1).with_constraints(gpu=1), nap(2).with_constraints(gpu=1), add.map(x=[1, 2]), add(bad())]
    target.append(bad().with_retry(max_attempts=2, delay=0.01).named("ü/+#"))
    run = cs.start(target, connector=broker.url, log_level=None, system_resources={"gpu": 1}, on_failure="continue")
    assert run.exception(20) is not None
    messages = ear.wait_for("ENGINE_STOPPED")
    assert {topic for topic, _ in ear.messages} == {f"cascade/telemetry/uni/flights/{run.run_id}/events"}
    for message in messages:
        assert message.keys() == {"v", "ts", "run_id", "org_id", "project_id", "source", "body"}
        assert {name: message[name] for name in HEADER} == HEADER
        assert message["run_id"] == run.run_id
        assert re.fullmatch(r".+-\d+", message["source"])
        assert begun - 1 < datetime.fromisoformat(message["ts"]).timestamp() < time.time() + 1
        body = message["body"]
        expected = FIELDS[body["type"]]
        assert body.keys() == expected.keys()
        for name, kind in expected.items():
            assert isinstance(body[name], kind)
            assert name not in WORDS or body[name] in WORDS[name]
    assert [m["ts"] for m in messages] == sorted(m["ts"] for m in messages)
    assert messages[0]["body"]["event"] == "ENGINE_STARTED"
    assert messages[-1]["body"] == {"type": "LifecycleEvent", "event": "ENGINE_STOPPED", "status": "failed"}
    states = {m["body"].get("state") for m in messages} - {None}
    assert states >= {"PENDING", "RUNNING", "COMPLETED", "FAILED", "RETRYING", "BLOCKED"}
    assert {m["body"]["task_name"] for m in messages if m["body"].get("state") == "RETRYING"} == {"ü/+#"}


def test_limits_over_a_broker(broker):
    """A retained pause holds a run that starts later and is said; resuming acts within 100 ms; other limits stay."""
    with RemoteDesk(open_connector(broker.url)) as desk:
        desk.set_limit(GlobalConstraint("lunch", "global", "pause"))
        desk.set_limit(GlobalConstraint("one at a time", "global", "concurrency", {"limit": 1}))
        assert {known.limit.id for known in desk.limits()} == {"lunch", "one at a time"}
        run = cs.start(add(1), connector=broker.url, log_level=None)
        until(lambda: any(isinstance(event, RunHeld) for event in run.events))
        assert not run.wait(0.05)
        cleared = time.monotonic()
        desk.clear_limit("global", "pause")
        assert run.result(20) == 2
        assert time.monotonic() - cleared < 0.5  # of which the run has 0.1, and the desk asks the broker first
        assert [known.limit.id for known in desk.limits()] == ["one at a time"]
        desk.clear_limit("global", "concurrency")
        assert desk.limits() == []


def test_a_limit_acts_within_100_ms(broker):
    """From the moment at which it is published to the moment at which it is in force."""
    gate = threading.Event()
    run = cs.start(hold(gate, 1), connector=broker.url, log_level=None)

    def in_force(name):
        return [event for event in run.events if isinstance(event, LimitSet) and event.limit_id == name]

    took = []

    async def measure():
        async with MqttConnector("127.0.0.1", broker.port) as outside:
            for number in range(10):
                sent = time.time()
                payload = {"id": f"n{number}", "params": {"limit": 5}}
                await outside.publish("cascade/constraints/global/concurrency", payload, qos=1)
                await asyncio.to_thread(until, lambda number=number: in_force(f"n{number}"))
                took.append(in_force(f"n{number}")[0].at - sent)

    asyncio.run(measure())
    assert sorted(took)[5] < 0.1, took
    gate.set()
    assert run.result(20) == 1


def test_orders_over_a_broker(broker):
    """A run is found, followed, paused, resumed and cancelled over the broker."""
    gate = threading.Event()
    run = cs.start(add(hold(gate, 1)), connector=broker.url, log_level=None, name="far")
    heard = []
    with RemoteDesk(open_connector(broker.url)) as desk, RemoteDesk(open_connector(broker.url)) as watcher:
        following = threading.Thread(target=lambda: heard.extend(watcher.follow(run.run_id)))
        following.start()
        assert desk.status("far").run_id == run.run_id
        assert desk.pause(run.run_id).state == "paused"
        gate.set()
        assert not run.wait(0.05)
        assert desk.resume(run.run_id).state == "running"
        assert run.result(20) == 2
        following.join(10)
    assert heard[-1]["body"]["event"] == "ENGINE_STOPPED"


def test_malformed_messages_over_a_broker(broker):
    """Whatever anybody publishes on the topics of control, the run is right and obeys none of it."""
    gate = threading.Event()
    run = cs.start([add(n) for n in range(50)] + [hold(gate, 1)], connector=broker.url, log_level=None)
    own = f"cascade/control/local/default/{run.run_id}"

    async def flood():
        import aiomqtt

        sent = 0
        async with aiomqtt.Client("127.0.0.1", broker.port) as client:
            for _ in range(20):
                for topic, messages in ((TOPIC, LIMITS), (own, COMMANDS)):
                    for data in messages:
                        await client.publish(topic, data, qos=1)
                        sent += 1
        return sent

    sent = asyncio.run(flood())
    until(lambda: run.connections[0].refused == sent, 20)
    gate.set()
    assert run.result(20) == [*range(1, 51), 1]
    assert not any(isinstance(event, LimitSet) for event in run.events)
    assert sum(isinstance(event, ControlRefused) for event in run.events) < 50


def test_two_engines_and_three_observers(broker, listen):
    """Two runs at once and three observers, of which one comes late: each hears what concerns it."""
    ears = [listen("cascade/telemetry/#"), listen("cascade/telemetry/+/+/+/events")]
    gates = [threading.Event(), threading.Event()]
    runs = [cs.start(add(hold(gate, n)), connector=broker.url, log_level=None) for n, gate in enumerate(gates)]
    late = listen(f"cascade/telemetry/local/default/{runs[1].run_id}/events")
    for gate in gates:
        gate.set()
    assert [run.result(20) for run in runs] == [1, 2]
    for ear in ears:
        until(lambda ear=ear: sum("ENGINE_STOPPED" in text for _, text in ear.read()) == 2)
        for run in runs:
            mine = [text for topic, text in ear.messages if run.run_id in topic]
            assert "ENGINE_STARTED" in mine[0]
            assert "ENGINE_STOPPED" in mine[-1]
            assert sum('"COMPLETED"' in text for text in mine) == 2
    late.wait_for("ENGINE_STOPPED")
    assert all(runs[1].run_id in topic for topic, _ in late.messages)


def test_a_broker_that_says_nothing(caplog):
    """Where somebody listens but never answers, the run says so in words that are true, and once."""
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        assert cs.run(add(1), log_level=None, connector=f"mqtt://127.0.0.1:{silent.getsockname()[1]}") == 2
    [said] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "were left out, since it was not there" in said
