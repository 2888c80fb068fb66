from __future__ import annotations

import json
import threading
import time

import pytest

import cascade as cs
from cascade.adapters.connectors.inprocess import InProcessConnector
from cascade.interfaces import events as ev
from cascade.interfaces.exceptions import CascadeError, DependencyMissingError
from cascade.runtime.telemetry import MOST_PENDING, TelemetrySubscriber, Teller, source_of_process

HEADER = {"v", "ts", "run_id", "org_id", "project_id", "source", "body"}
FIELDS = {
    "LifecycleEvent": {"type", "event", "status"},
    "TaskStateEvent": {"type", "task_id", "task_name", "state", "duration_ms", "error"},
    "ResourceEvent": {"type", "resource_name", "action", "current_usage"},
}
STATES = {"PENDING", "RUNNING", "COMPLETED", "FAILED", "SKIPPED", "BLOCKED", "RETRYING", "CANCELLED"}
HEAD = {"run_id": "r", "seq": 0, "at": 1_700_000_000.25, "elapsed": 0.0}
NODE = {**HEAD, "node": "fit", "name": "fit"}


class Ear:
    """Hears the telemetry of runs over `inprocess:NAME`."""

    def __init__(self, name: str) -> None:
        self.address = f"inprocess:{name}"
        self.connector = InProcessConnector(name)
        self.topics: list[str] = []
        self.messages: list[dict] = []

    async def open(self) -> Ear:
        await self.connector.connect()
        await self.connector.subscribe("cascade/telemetry/#", self.hear)
        return self

    def hear(self, topic, payload):
        self.topics.append(topic)
        self.messages.append(payload)

    def states(self, task=None):
        """Task and state of each TaskStateEvent, in order."""
        bodies = [message["body"] for message in self.messages if message["body"]["type"] == "TaskStateEvent"]
        return [(b["task_id"], b["state"]) for b in bodies if task is None or b["task_id"] == task]


@pytest.fixture
async def ear(request):
    """An ear of this test's own."""
    return await Ear(request.node.name).open()


@cs.task
def one():
    return 1


@cs.task
def add(x, y=0):
    return x + y


@cs.task
def fail(times=[0]):  # noqa: B006 - counts its calls
    times[0] += 1
    if times[0] < 3:
        raise OSError(f"gone {times[0]}")
    return times[0]


@cs.task
def bad():
    raise ValueError("no")


@cs.task
def nap(x):
    time.sleep(0.03)
    return x


@cs.task
def grow(n):
    return add(add(n, 1), 1)


def test_each_message_is_of_the_contract(ear):
    """Every message of a rich run has the fields of DESIGN section 8, all of them and no others."""
    target = [add(one(), 1), add.map(x=[1, 2, 3]), nap.map(x=[1, 2]), grow(1), one().run_if(False)]
    target.append(nap(5).with_constraints(gpu=1))
    cs.run(
        {"a": target[:-2], "b": target[-1], "c": target[-2].with_fallback(0)},
        connector=ear.address, log_level=None, system_resources={"gpu": 1},
    )  # fmt: skip
    for message in ear.messages:
        assert message.keys() == HEADER
        body = message["body"]
        assert body.keys() == FIELDS[body["type"]]
        assert message["v"] == "1.0"
        assert message["source"] == source_of_process()
        assert message["org_id"] == "local"
        assert message["project_id"] == "default"
        assert message["ts"].endswith("Z")
        if body["type"] == "TaskStateEvent":
            assert body["state"] in STATES
            assert body["duration_ms"] >= 0
    run_id = ear.messages[0]["run_id"]
    assert set(ear.topics) == {f"cascade/telemetry/local/default/{run_id}/events"}
    assert ear.messages[0]["body"] == {"type": "LifecycleEvent", "event": "ENGINE_STARTED", "status": "running"}
    assert ear.messages[-1]["body"] == {"type": "LifecycleEvent", "event": "ENGINE_STOPPED", "status": "completed"}
    kinds = {message["body"]["type"] for message in ear.messages}
    assert kinds == set(FIELDS)
    assert json.loads(json.dumps(ear.messages)) == ear.messages


def test_a_node_from_pending_to_done(ear):
    """A node is PENDING, then RUNNING, then COMPLETED with its duration in milliseconds."""
    cs.run(nap(1), connector=ear.address, log_level=None)
    assert ear.states("nap") == [("nap", "PENDING"), ("nap", "RUNNING"), ("nap", "COMPLETED")]
    assert ear.messages[-2]["body"]["duration_ms"] >= 29


def test_retries_and_failures(ear):
    """A failed attempt is RETRYING with its error, a failed node FAILED with it; the run's end says so."""
    with pytest.raises(ValueError, match="no"):
        cs.run(
            [fail().with_retry(max_attempts=3), bad()],
            connector=ear.address, log_level=None, on_failure="continue",
        )  # fmt: skip
    retries = [m["body"]["error"] for m in ear.messages if m["body"].get("state") == "RETRYING"]
    assert retries == ["OSError: gone 1", "OSError: gone 2"]
    [failed] = [m["body"] for m in ear.messages if m["body"].get("state") == "FAILED"]
    assert (failed["task_id"], failed["error"]) == ("bad", "ValueError: no")
    assert ear.messages[-1]["body"]["status"] == "failed"


def test_skipped(ear):
    """A skipped node, and what only it needs, are SKIPPED."""
    with pytest.raises(DependencyMissingError):
        cs.run(add(nap(1), 1).run_if(False), connector=ear.address, log_level=None)
    assert ear.states("add")[-1] == ("add", "SKIPPED")


def test_cancelled(ear):
    """What a failure stops is CANCELLED."""
    with pytest.raises(ValueError, match="no"):
        cs.run([add(nap(nap(1)), 1), bad()], connector=ear.address, log_level=None)
    assert ear.states("add")[-1] == ("add", "CANCELLED")


def test_waiting_is_blocked(ear):
    """A node that waits for a capacity is BLOCKED, and what is taken and given back is told with the usage."""
    cs.run([nap(n).with_constraints(gpu=1) for n in range(2)], connector=ear.address, log_level=None,
           system_resources={"gpu": 1})  # fmt: skip
    assert [state for _, state in ear.states("nap#2")] == ["PENDING", "BLOCKED", "RUNNING", "COMPLETED"]
    usage = [m["body"] for m in ear.messages if m["body"]["type"] == "ResourceEvent"]
    assert [(b["action"], b["current_usage"]) for b in usage] == [("ACQUIRE", 1), ("RELEASE", 0)] * 2


def test_a_map_is_one_task_and_its_long_items_are_items(ear):
    """Short items are told by their map; long ones are told each, as name[index]."""
    cs.run([add.map(x=range(500)), nap.map(x=[1, 2])], connector=ear.address, log_level=None)
    assert [state for _, state in ear.states("add")] == ["PENDING", "RUNNING", "COMPLETED"]
    assert len([task for task, _ in ear.states() if task.startswith("add")]) < 20
    assert [state for _, state in ear.states("nap[1]")] == ["RUNNING", "COMPLETED"]


def test_nodes_by_which_a_graph_grows(ear):
    """They are PENDING when they come, and then like all others."""
    assert cs.run(grow(1), connector=ear.address, log_level=None) == 3
    grown = [task for task, state in ear.states() if state == "PENDING"]
    assert grown[0] == "grow"
    assert len(grown) == 3
    for task in grown[1:]:
        assert ear.states(task)[-1][1] == "COMPLETED"


def test_large_graphs_are_not_listed(ear):
    """Where there are very many nodes, they are not told one by one before anything has run."""
    cs.run([one() for _ in range(MOST_PENDING + 1)], connector=ear.address, log_level=None)
    assert not any(state == "PENDING" for _, state in ear.states())
    assert sum(state == "COMPLETED" for _, state in ear.states()) == MOST_PENDING + 1


def test_secrets_are_redacted(ear):
    """A secret is in no message, whatever the task does with it."""

    @cs.task
    def leak(word):
        raise RuntimeError(f"cannot log in with {word}")

    with pytest.raises(RuntimeError):
        cs.run(
            leak(cs.Param("word", secret=True)).with_retry(max_attempts=2).named("hunter2-xyz"),
            {"word": "hunter2-xyz"}, connector=ear.address, log_level=None,
        )  # fmt: skip
    text = json.dumps([ear.topics, ear.messages])
    assert "hunter2" not in text
    assert any("•••" in str(m["body"].get("error")) for m in ear.messages)


def test_names_of_organisation_and_project(ear, monkeypatch):
    """They come from the environment, and cannot break a topic."""
    monkeypatch.setenv("CASCADE_ORG_ID", "a/b+c#")
    monkeypatch.setenv("CASCADE_PROJECT_ID", "flights")
    cs.run(one(), connector=ear.address, log_level=None)
    assert ear.topics[0].startswith("cascade/telemetry/a_b_c_/flights/")
    assert ear.messages[0]["org_id"] == "a/b+c#"


@pytest.mark.parametrize("name", ["\udcff", " ", "x" * 900, "new\nline", "$SYS", "+", "ü"])
def test_odd_names_of_organisations(ear, monkeypatch, name):
    """Whatever the environment holds, a run is found by who has the same environment."""
    from cascade.runtime.remote_desk import RemoteDesk

    monkeypatch.setenv("CASCADE_ORG_ID", name)
    gate = threading.Event()

    @cs.task
    def wait():
        return gate.wait(10)

    run = cs.start(wait(), connector=ear.address, log_level=None)
    with RemoteDesk(InProcessConnector(ear.connector.name)) as desk:
        assert [status.run_id for status in desk.runs()] == [run.run_id]
    gate.set()
    assert run.result(10)


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (ev.NodeStarted(**NODE), "RUNNING"),
        (ev.NodeCompleted(**NODE, duration=1.5), "COMPLETED"),
        (ev.NodeRecalled(**NODE, made_by="x", made_at=0.0, saved=1.0), "COMPLETED"),
        (ev.NodeFailed(**NODE, error_type="E", error="x"), "FAILED"),
        (ev.NodeRetrying(**NODE, attempt=1, max_attempts=2, delay=0.0), "RETRYING"),
        (ev.NodeWaiting(**NODE, resource="gpu", reason="waits"), "BLOCKED"),
        (ev.NodeHeld(**NODE), "BLOCKED"),
        (ev.NodeSkipped(**NODE, reason="x"), "SKIPPED"),
        (ev.NodeCancelled(**NODE, reason="x"), "CANCELLED"),
        (ev.MapExpanded(**NODE, total=3), "RUNNING"),
    ],
)
def test_which_event_is_which_state(event, state):
    """Each kind of event has its state."""
    [message] = Teller("o", "p").tell([event])
    assert message["body"]["state"] == state
    assert message["ts"] == "2023-11-14T22:13:20.250000Z"
    assert (message["org_id"], message["project_id"]) == ("o", "p")


def test_a_connector_that_fails_costs_nothing(caplog):
    """What publish raises is said once, and the run is right."""

    class Broken(InProcessConnector):
        async def publish(self, *_, **__):
            raise OSError("torn cable")

        def for_run(self):
            return self

    assert cs.run([one() for _ in range(300)], connector=Broken("broken"), log_level=None) == [1] * 300
    assert sum("torn cable" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.slow
def test_a_connector_that_hangs_does_not_hold_the_run():
    """A connector whose publish never returns costs a run at most the time that every subscriber has."""
    import asyncio

    class Stuck(InProcessConnector):
        async def publish(self, *_, **__):
            await asyncio.sleep(3600)

        async def disconnect(self):
            await asyncio.sleep(3600)

        def for_run(self):
            return self

    begun = time.monotonic()
    assert cs.run(one(), connector=Stuck("stuck"), log_level=None) == 1
    assert time.monotonic() - begun < 2.5


@pytest.mark.slow
def test_the_end_overtakes_what_there_is_no_time_to_tell():
    """A connector that takes 4,000 messages a second still hears of the end of a run of 15,000 nodes in time."""
    heard = []

    class Narrow(InProcessConnector):
        def post_all(self, messages):
            for _, message, _ in messages:
                time.sleep(0.000_25 if message["body"]["type"] != "LifecycleEvent" else 0)
                heard.append(message["body"])

        async def publish(self, *_, **__):
            raise AssertionError

        def for_run(self):
            return self

    run = cs.start([add(number) for number in range(15_000)], connector=Narrow("narrow"), log_level=None)
    run.result(30)
    until = time.monotonic() + 10
    while heard[-1]["type"] != "LifecycleEvent" and time.monotonic() < until:
        time.sleep(0.01)  # on a busy machine a message takes longer than the connector wants
    assert heard[-1] == {"event": "ENGINE_STOPPED", "status": "completed", "type": "LifecycleEvent"}
    [connection] = run.connections
    assert connection.dropped > 1000


@pytest.mark.slow
def test_a_connector_that_never_connects_does_not_hold_the_start():
    """The start of a run waits a bounded time for the connector, then goes on without it."""
    import asyncio

    class Slow(InProcessConnector):
        async def connect(self):
            await asyncio.sleep(3600)

        def for_run(self):
            return self

    begun = time.monotonic()
    run = cs.start(one(), connector=Slow("slow"), log_level=None)
    assert run.result(10) == 1
    assert time.monotonic() - begun < 2.5


def test_where_the_subscriber_is_found():
    """It is among the other subscribers too, for who looks there."""
    from cascade.runtime import subscribers

    assert subscribers.TelemetrySubscriber is TelemetrySubscriber
    with pytest.raises(AttributeError, match="TelemetrySubscribre"):
        _ = subscribers.TelemetrySubscribre


async def test_a_subscriber_of_ones_own(ear):
    """Without connector=, a subscriber publishes over a connection that its owner keeps."""
    subscriber = TelemetrySubscriber(ear.connector, org_id="me", project_id="mine")
    assert await cs.arun(add(1, 2), log_level=None, subscribers=[subscriber]) == 3
    assert ear.topics[0].startswith("cascade/telemetry/me/mine/")
    assert ear.states("add") == [("add", "PENDING"), ("add", "RUNNING"), ("add", "COMPLETED")]
    assert subscriber.sent == len(ear.messages)


def test_a_run_lists_what_it_is_connected_to(ear):
    """`connections` tells address, state and counts, while the run goes on and after it."""
    gate = threading.Event()

    @cs.task
    def wait():
        return gate.wait(10)

    run = cs.start(wait(), connector=ear.address, log_level=None)
    [connection] = run.connections
    assert connection.address == ear.address
    assert connection.is_connected
    gate.set()
    assert run.result(10)
    assert connection.sent == len(ear.messages)
    assert not connection.is_connected
    assert "over" in repr(connection)
    assert cs.start(one(), log_level=None).connections == ()


@pytest.mark.parametrize("given", ["mqqt://x", object(), 3])
def test_what_is_no_connector_is_refused_before_anything_runs(given):
    """A wrong connector= is an error at once."""
    with pytest.raises(CascadeError, match="connector"):
        cs.run(one(), connector=given, log_level=None)


async def test_an_engine_and_arun_take_a_connector(ear):
    """`Engine(connector=)` and `arun` publish as `run` does."""
    assert await cs.Engine(connector=ear.address).run(add(1, 1)) == 2
    assert await cs.arun(add(2, 2), connector=InProcessConnector(ear.connector.name), log_level=None) == 4
    assert len({message["run_id"] for message in ear.messages}) == 2
