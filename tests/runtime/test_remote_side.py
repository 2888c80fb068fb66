from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import threading
import time

import pytest

import cascade as cs
from cascade.adapters.connectors.inprocess import InProcessConnector
from cascade.interfaces import events as ev
from cascade.interfaces.exceptions import RunCancelledError
from cascade.interfaces.remote_errors import RemoteError
from cascade.interfaces.remote_events import ControlRefused, RunHeld
from cascade.runtime.remote_desk import RemoteDesk
from cascade.spec.constraint import GlobalConstraint
from cascade.spec.telemetry import answers_topic, constraint_topic, control_topic
from tests.runtime.malformed import COMMANDS, LIMITS, TOPIC

AT_ONCE = 5.0  # seconds for what another thread does at once


def until(is_true, seconds=AT_ONCE):
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, f"it was not so within {seconds:g} s"
        time.sleep(0.001)


@cs.task
def step(gate, n):
    assert gate.wait(20)
    return n


@cs.task
def add(x, y=1):
    return x + y


class Outside:
    """Someone else, on the connector of a name."""

    def __init__(self, name: str) -> None:
        self.address = f"inprocess:{name}"
        self.connector = InProcessConnector(name)
        self.answers: list[dict] = []
        self.do(self.connector.connect())
        self.do(self.connector.subscribe("cascade/control/+/+/+/answers", lambda _, told: self.answers.append(told)))

    def do(self, work):
        """Run a coroutine here."""
        return asyncio.run(work)

    def send(self, topic, data, *, retain=False):
        """Publish bytes, or a dict."""
        raw = data if isinstance(data, bytes) else json.dumps(data).encode() if data else b""
        self.do(self.connector.publish_raw(topic, raw, retain=retain))

    def set(self, scope, kind, **more):
        """Set a limit."""
        self.send(constraint_topic(scope, kind), {"id": f"{kind} {scope}", **more}, retain=True)

    def clear(self, scope, kind):
        """Clear a limit."""
        self.send(constraint_topic(scope, kind), b"", retain=True)


@pytest.fixture
def outside(request):
    """Someone else, and nobody from other tests."""
    return Outside(request.node.name)


def kinds(run):
    return [type(event) for event in run.events]


def limits_of(run):
    return set(run._flow.core.limits._rules)


@pytest.mark.slow
def test_a_limit_acts_within_100_ms_and_goes_when_it_is_cleared(outside):
    """A pause from outside holds what has not started; clearing its topic lets it go on."""
    gate = threading.Event()
    run = cs.start(add(step(gate, 1)), connector=outside.address, log_level=None)
    took = []
    for number in range(1, 8):
        sent = time.time()
        outside.set("global", "concurrency", params={"limit": number})
        until(lambda number=number: kinds(run).count(ev.LimitSet) == number)
        took.append([event.at for event in run.events if isinstance(event, ev.LimitSet)][-1] - sent)
    assert sorted(took)[3] < 0.1, took
    outside.set("task:add", "pause")
    until(lambda: kinds(run).count(ev.LimitSet) == 8)
    gate.set()
    until(lambda: any(isinstance(e, ev.NodeCompleted) and e.node == "step" for e in run.events))
    assert not run.wait(0.05)
    outside.clear("task:add", "pause")
    assert run.result(10) == 2


def test_clearing_takes_away_what_it_names_and_nothing_else(outside):
    """Of several limits only that of the topic goes; clearing what is not there does nothing."""
    gate = threading.Event()
    run = cs.start(step(gate, 1), connector=outside.address, log_level=None)
    outside.set("global", "concurrency", params={"limit": 1})
    outside.set("task:x*", "pause")
    outside.set("task:y*", "pause")
    outside.clear("task:x*", "pause")
    outside.clear("task:z*", "pause")
    outside.clear("global", "pause")
    until(lambda: kinds(run).count(ev.LimitRemoved) == 1)
    assert limits_of(run) == {"concurrency global", "pause task:y*"}
    gate.set()
    assert run.result(10) == 1


def test_a_limit_replaces_that_of_its_topic(outside):
    """Of one scope and type the last is in force, under whatever id."""
    gate = threading.Event()
    run = cs.start(step(gate, 1), connector=outside.address, log_level=None)
    topic = constraint_topic("global", "concurrency")
    for number in (1, 2):
        outside.send(topic, {"id": f"n{number}", "params": {"limit": number}}, retain=True)
    until(lambda: limits_of(run) == {"n2"})
    outside.send("cascade/constraints/task/a/pause", {"id": "n2"})
    until(lambda: ControlRefused in kinds(run))
    assert limits_of(run) == {"n2"}
    gate.set()
    assert run.result(10) == 1


def test_a_limit_that_was_taken_away_here_can_be_set_again(outside):
    """Who holds the run may lift a limit from outside; setting it again puts it in force again."""
    gate = threading.Event()
    run = cs.start(step(gate, 1), connector=outside.address, log_level=None)
    for _ in range(2):
        outside.set("task:x", "pause")
        until(lambda: limits_of(run) == {"pause task:x"})
        run.remove_limit("pause task:x")
        until(lambda: not limits_of(run))
    gate.set()
    assert run.result(10) == 1


def test_an_expired_limit_is_ignored(outside):
    """What was set for a time that is over holds nobody, and is not told as a limit."""
    outside.set("global", "pause", expires_at=time.time() - 10)
    run = cs.start(add(1), connector=outside.address, log_level=None)
    assert run.result(10) == 2
    assert ev.LimitSet not in kinds(run)


@pytest.mark.slow
def test_a_limit_expires_by_itself(outside):
    """A pause with an end lets the run go on when it has come."""
    outside.set("global", "pause", expires_at=time.time() + 0.2)
    run = cs.start(add(1), connector=outside.address, log_level=None)
    assert not run.wait(0.02)
    assert run.result(10) == 2


def test_a_stale_pause_is_said(outside, capsys):
    """A pause from before the run holds its first task, with a line in the log and an event; never in silence."""
    outside.set("global", "pause", set_at=time.time() - 3 * 3600, set_by="ann")
    run = cs.start(add(1), connector=outside.address, log_level="WARNING")
    until(lambda: RunHeld in kinds(run))
    [held] = [event for event in run.events if isinstance(event, RunHeld)]
    assert (held.limit_id, held.scope, held.set_by) == ("pause global", "global", "ann")
    assert held.source == outside.address
    assert not run.wait(0.02)
    assert not any(isinstance(event, ev.NodeStarted) for event in run.events)
    outside.clear("global", "pause")
    assert run.result(10) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "is held at its start by the pause pause global" in said
    assert "3 h ago" in said
    assert "cascade resume" in said


def test_a_stale_pause_of_other_tasks_is_not_said(outside):
    """A pause that holds nothing of this run is no news."""
    outside.set("task:other", "pause")
    run = cs.start(add(1), connector=outside.address, log_level=None)
    assert run.result(10) == 2
    assert RunHeld not in kinds(run)
    assert ev.LimitSet in kinds(run)


@pytest.mark.slow
def test_orders_to_one_run(outside):
    """Pause, resume, limits and cancel reach the run they name and no other, and each is answered."""
    gate = threading.Event()
    runs = [cs.start(add(step(gate, n)), connector=outside.address, log_level=None) for n in range(2)]
    with RemoteDesk(InProcessConnector(outside.connector.name)) as desk:
        assert {status.run_id for status in desk.runs(0.2)} == {run.run_id for run in runs}
        assert desk.pause(runs[0].run_id).state == "paused"
        assert runs[1].state == "running"
        assert desk.status(runs[0].run_id[:6]).state == "paused"
        desk.limit(runs[0].run_id, GlobalConstraint("x", "task:add", "concurrency", {"limit": 1}))
        until(lambda: limits_of(runs[0]) == {"x"})
        assert [known.limit.id for known in desk.status(runs[0].run_id).limits] == ["x"]
        assert limits_of(runs[1]) == set()
        desk.unlimit(runs[0].run_id, "x")
        gate.set()
        assert runs[1].result(10) == 2
        assert not runs[0].done()
        assert desk.resume(runs[0].run_id).state == "running"
        assert runs[0].result(10) == 1
        gate.clear()
        third = cs.start(step(gate, 1), connector=outside.address, log_level=None)
        assert desk.cancel(third.run_id, "enough").state == "cancelling"
        gate.set()
        assert isinstance(third.exception(10), RunCancelledError)
        assert any(isinstance(e, ev.RunCancelRequested) and e.reason == "enough" for e in third.events)


@pytest.mark.slow
def test_what_a_run_says_of_itself(outside):
    """A status has name, state, times, counts and limits."""
    gate = threading.Event()
    run = cs.start([add(1), step(gate, 1)], connector=outside.address, log_level=None, name="lesson")
    with RemoteDesk(InProcessConnector(outside.connector.name)) as desk:
        desk.set_limit(GlobalConstraint("slow", "task:fetch*", "rate_limit", {"rate": "10/m", "capacity": 1}))
        until(lambda: limits_of(run) == {"slow"})
        until(lambda: desk.status("lesson").counts == {"completed": 1, "running": 1})
        status = desk.status("lesson")
        assert (status.run_id, status.state, status.org_id) == (run.run_id, "running", "local")
        assert status.elapsed > 0
        assert abs(status.started_at - run.started_at) < 0.01
        [in_force] = status.limits
        assert in_force == desk.limits()[0]
        assert in_force.set_by.endswith(f"-{os.getpid()}")
        assert in_force.limit.params == {"rate": "10/m", "capacity": 1}
        assert desk.clear_limit("global", "rate_limit") is False
        assert limits_of(run) == {"slow"}
        assert desk.clear_limit("task:fetch*", "rate_limit") is True
        until(lambda: not limits_of(run))
        assert desk.limits() == []
        gate.set()
        run.result(10)


@pytest.mark.slow
def test_nobody_answers(outside):
    """An order to a run that is not there is an error that says so, after the time that was given."""
    with RemoteDesk(InProcessConnector(outside.connector.name), timeout=0.05) as desk:
        with pytest.raises(RemoteError, match=r"did not answer 'cancel' within 0\.05 s"):
            desk.cancel("00000000")
        with pytest.raises(RemoteError, match="No run 'lesson' is known"):
            desk.status("lesson")


def test_following_a_run(outside):
    """`follow` yields the messages of one run up to its end."""
    gate = threading.Event()
    with RemoteDesk(InProcessConnector(outside.connector.name)) as desk:
        run = cs.start(add(step(gate, 1)), connector=outside.address, log_level=None)
        messages = desk.follow(run.run_id)
        threading.Timer(0.05, gate.set).start()
        told = [message["body"] for message in messages]
    assert told[-1]["status"] == "completed"
    assert any(body.get("task_id") == "add" and body["state"] == "COMPLETED" for body in told)
    assert list(desk_silence(outside)) == []


def desk_silence(outside):
    with RemoteDesk(InProcessConnector(outside.connector.name)) as desk:
        yield from desk.follow(None, timeout=0.01)


def test_questions_to_all_and_orders_to_all(outside):
    """All runs answer a question; an order to all at once is refused by each."""
    gate = threading.Event()
    run = cs.start(step(gate, 1), connector=outside.address, log_level=None)
    outside.send(control_topic("local", "default"), {"command": "cancel", "id": "q1"})
    until(lambda: outside.answers)
    assert outside.answers[0]["ok"] is False
    assert outside.answers[0]["id"] == "q1"
    assert "is for one run" in outside.answers[0]["reason"]
    assert run.state == "running"
    gate.set()
    run.result(10)


def test_refusals_are_logged_kept_and_answered(outside, capsys):
    """A malformed message leaves a line in the log, an event and an answer with the reason; the run goes on."""
    gate = threading.Event()
    run = cs.start(step(gate, 1), connector=outside.address, log_level="WARNING")
    outside.send(TOPIC, b"{no json")
    outside.send(control_topic("local", "default", run.run_id), {"command": "cancle", "id": "q2"})
    until(lambda: len(outside.answers) == 2)
    assert [answer["ok"] for answer in outside.answers] == [False, False]
    assert "not JSON" in outside.answers[0]["reason"]
    assert "Did you mean 'cancel'" in outside.answers[1]["reason"]
    gate.set()
    assert run.result(10) == 1
    refused = [event for event in run.events if isinstance(event, ControlRefused)]
    assert [event.topic for event in refused] == [TOPIC, control_topic("local", "default", run.run_id)]
    assert "was refused" in capsys.readouterr().err
    assert run.connections[0].refused == 2


@pytest.mark.slow
def test_twenty_thousand_malformed_messages(outside, caplog):
    """20,000 of them, on all topics, while a run works: it is right, nothing was obeyed, memory and log stay small."""
    gate = threading.Event()
    run = cs.start([add(n) for n in range(100)] + [step(gate, 1)], connector=outside.address, log_level=None)
    own = control_topic("local", "default", run.run_id)
    sent = 0

    draw = random.Random(7)
    whole = json.dumps({"id": "cut", "params": {}, "expires_at": None, "set_by": "nobody"}).encode()

    async def flood():
        nonlocal sent
        while sent < 20_000:
            for _ in range(50):  # what a torn connection leaves of a good message, and noise
                await outside.connector.publish_raw(TOPIC, whole[: draw.randrange(1, len(whole))])
                await outside.connector.publish_raw(own, b"\x01" + draw.randbytes(draw.randrange(200)))
                sent += 2
            for topic, messages in (
                (TOPIC, LIMITS),
                (own, COMMANDS),
                ("cascade/constraints/task/b/pause", LIMITS),
            ):
                for number, data in enumerate(messages):
                    text = data.replace(b'"x"', f'"x{sent}"'.encode()) if number % 2 else data
                    await outside.connector.publish_raw(topic, text)
                    sent += 1

    asyncio.run(flood())
    gate.set()
    assert run.result(20) == [*range(1, 101), 1]
    assert run.connections[0].refused == sent >= 20_000
    assert not any(isinstance(event, (ev.LimitSet, ev.RunCancelRequested, ev.RunPaused)) for event in run.events)
    assert kinds(run).count(ControlRefused) < 50
    assert len(caplog.records) < 50


def test_a_huge_message_is_refused_without_being_read(outside):
    """Whoever sends too much is told by its id; of very much nothing is parsed, not even for the id."""
    run = cs.start(add(1), log_level=None, connector=outside.address, step=True)
    for size in (20_000, 2_000_000):
        message = {"command": "cancel", "id": f"size {size}", "reason": "x" * size}
        outside.send(control_topic("local", "default", run.run_id), message)
    until(lambda: len(outside.answers) == 2)
    assert [(told["id"], told["ok"]) for told in outside.answers] == [("size 20000", False), ("", False)]
    run.cancel()


def test_answers_go_to_the_topic_of_the_run(outside):
    """An answer has the header of telemetry, so that one reader serves both."""
    heard = []
    run = cs.start(add(1), connector=outside.address, log_level=None, step=True)
    topic = answers_topic("local", "default", run.run_id)
    outside.do(outside.connector.subscribe(topic, lambda _, told: heard.append(told)))
    outside.send(control_topic("local", "default", run.run_id), {"command": "resume", "id": "7"})
    assert run.result(10) == 2
    until(lambda: heard)
    assert heard[0].keys() >= {"v", "ts", "run_id", "org_id", "project_id", "source", "command", "id", "ok", "state"}


def test_a_retry_is_connected_too(outside):
    """`run.retry()` publishes and obeys as the run before did."""
    ready = []

    @cs.task
    def fragile():
        return 1 / len(ready)

    first = cs.start(fragile(), connector=outside.address, log_level=None)
    assert isinstance(first.exception(10), ZeroDivisionError)
    ready.append(1)
    second = first.retry()
    assert second.result(10) == 1.0
    assert second.connections[0].address == outside.address


def test_a_connector_of_ones_own_without_raw(caplog):
    """Any object with the four methods serves; what it carries as mappings is checked in the same way."""
    subscriptions = {}

    class Own:
        async def connect(self):
            pass

        async def disconnect(self):
            pass

        async def publish(self, topic, payload, qos=0, retain=False):
            pass

        async def subscribe(self, topic, callback):
            subscriptions[topic] = callback
            return callback

    caplog.set_level(logging.WARNING)
    gate = threading.Event()
    run = cs.start(step(gate, 1), connector=Own(), log_level=None)
    until(lambda: ev.NodeStarted in kinds(run))
    subscriptions["cascade/constraints/#"](TOPIC, {"id": "x", "params": {"deep": [[[[[[[1]]]]]]]}})
    subscriptions["cascade/constraints/#"](TOPIC, {"id": "x"})
    until(lambda: limits_of(run) == {"x"})
    gate.set()
    assert run.result(10) == 1
    assert run.connections[0].refused == 1
    assert not [record for record in caplog.records if record.name.startswith("cascade")]


def test_a_run_tells_its_arrows_and_who_waits(outside):
    """Whoever asks hears nodes, arrows, the items of maps, and for what a node waits; messages stay as they were."""
    gate = threading.Event()
    mapped = add.map(x=[1, 2, 3])
    held = [step(gate, n).with_constraints(gpu=1) for n in range(2)]
    run = cs.start([add(held[0]), held[1], mapped], None, {"gpu": 1}, log_level=None, connector=outside.address)
    with RemoteDesk(InProcessConnector(outside.connector.name)) as desk:
        until(lambda: desk.order(run.run_id, "status").waiting)
        status = desk.order(run.run_id, "status")
        [waiting] = status.waiting
        assert (waiting.node, waiting.resource, waiting.holders) == ("step#2", "gpu", ("step",))
        assert "gpu" in waiting.reason
        assert list(status.totals.values()) == [3]
        graph = desk.graph(run.run_id)
        assert [(edge.source, edge.kind) for edge in graph.edges] == [("step", "data")]
        assert {node.name for node in graph.nodes} == {"step", "add"}
        [seen] = desk.runs()
        assert seen.waiting == ()  # only where the run alone is asked
        gate.set()
        run.result(10)
        desk.timeout = 0.1
        with pytest.raises(RemoteError, match="did not answer"):
            desk.order(run.run_id, "status")
        assert desk.graph(run.run_id) is None


def test_a_graph_that_is_too_large_is_not_told(outside, monkeypatch):
    """There is a bound; beyond it the answer says nothing of nodes, and the run is none the worse."""
    from cascade.runtime import remote_picture

    monkeypatch.setattr(remote_picture, "MOST_NODES", 3)
    gate = threading.Event()
    run = cs.start([step(gate, n) for n in range(4)], log_level=None, connector=outside.address)
    with RemoteDesk(InProcessConnector(outside.connector.name)) as desk:
        assert desk.graph(run.run_id) is None
        gate.set()
        assert run.result(10) == [0, 1, 2, 3]


def test_no_secret_is_in_what_is_told_of_a_graph(outside):
    """Names and reasons are those of the events."""
    gate = threading.Event()
    made = add(step(gate, 1).named("hunter2-xyz"), cs.Param("word", secret=True))
    run = cs.start(made, {"word": "hunter2-xyz"}, log_level=None, connector=outside.address)
    with RemoteDesk(InProcessConnector(outside.connector.name)) as desk:
        graph = desk.graph(run.run_id)
    run.cancel()
    gate.set()
    assert graph.edges
    assert "hunter2" not in repr(graph)


def test_limits_that_the_program_set_itself(outside):
    """They are among those in force, too; a limit that all runs obey is not lifted for one of them alone."""
    gate = threading.Event()
    run = cs.start(step(gate, 1), log_level=None, connector=outside.address)
    run.set_limit(GlobalConstraint("mine", "task:add", "concurrency", {"limit": 1}))
    with RemoteDesk(InProcessConnector(outside.connector.name)) as desk:
        until(lambda: [known.limit.id for known in desk.status(run.run_id).limits] == ["mine"])
        assert desk.unlimit(run.run_id, "mine").limits == ()
        until(lambda: desk.status(run.run_id).limits == ())
        desk.set_limit(GlobalConstraint("all", "task:add", "concurrency", {"limit": 1}))
        until(lambda: [known.limit.id for known in desk.status(run.run_id).limits] == ["all"])
        with pytest.raises(RemoteError, match="Every run obeys the limit 'all'") as caught:
            desk.unlimit(run.run_id, "all")
        assert caught.value.kind == "refused"
        desk.clear_limit("task:add", "concurrency")
    gate.set()
    assert run.result(10) == 1


def test_listening_is_left_from_another_thread(outside):
    """`listen` returns what ends it, whoever calls that."""
    heard = []
    with RemoteDesk(InProcessConnector(outside.connector.name)) as desk:
        leave = desk.listen(None, heard.append)
        cs.run(add(1), log_level=None, connector=outside.address)
        until(lambda: any(message["body"].get("event") == "ENGINE_STOPPED" for message in heard))
        thread = threading.Thread(target=leave)
        thread.start()
        thread.join(5)
        count = len(heard)
        cs.run(add(1), log_level=None, connector=outside.address)
        assert len(heard) == count
