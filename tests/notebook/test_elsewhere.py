"""`%cascade attach ADDRESS`: a run of another process in a real kernel, and the events that stand for its messages."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import cascade as cs
from cascade.adapters.connectors.addresses import open_connector
from cascade.cli.following import Followed, read_message
from cascade.graph.model import Edge, Node
from cascade.notebook.elsewhere import RemoteRun
from cascade.notebook.elsewhere_events import Translator
from cascade.notebook.record import RunRecord
from cascade.runtime.remote_answers import LimitInForce, Past, RunGraph, RunStatus, Waiting
from cascade.runtime.remote_desk import RemoteDesk
from cascade.spec.constraint import GlobalConstraint
from tests.cli.elsewhere import Engine, Place
from tests.notebook.kernel import DOCUMENT

if TYPE_CHECKING:
    from tests.notebook.kernel import Cell, Kernel

START = 1_767_225_600.0  # 2026-01-01 in UTC
STATUS = RunStatus("r1", name="night run", state="running", started_at=START)


def message(second: float, kind: str, **fields: Any) -> Any:
    """A message that was understood."""
    ts = time.strftime("%Y-%m-%dT%H:%M:", time.gmtime(START)) + f"{second:06.3f}Z"
    told = read_message({"ts": ts, "run_id": "r1", "source": "host-1", "body": {"type": kind, **fields}})
    assert told is not None
    return told


def task(second: float, name: str, state: str, **fields: Any) -> Any:
    return message(second, "TaskStateEvent", task_id=name, task_name=name, state=state, **fields)


def life(second: float, event: str, status: str) -> Any:
    return message(second, "LifecycleEvent", event=event, status=status)


STORY = [
    life(0, "ENGINE_STARTED", "running"),
    task(0, "load", "PENDING"),
    task(0, "fit", "PENDING"),
    task(0, "total", "PENDING"),
    task(0.1, "load", "RUNNING"),
    task(0.3, "load", "COMPLETED", duration_ms=200.0),
    task(0.3, "fit", "RUNNING"),
    task(0.4, "fit[0]", "RUNNING"),
    task(0.4, "fit", "BLOCKED"),
    task(1.4, "fit[0]", "RETRYING", error="OSError: busy"),
    task(2.4, "fit[0]", "FAILED", error="ValueError: no luck"),
    task(2.4, "fit", "FAILED", error="ValueError: no luck"),
    task(2.4, "total", "CANCELLED"),
    life(2.5, "ENGINE_STOPPED", "failed"),
]


def test_messages_become_a_document() -> None:
    """The document of a run elsewhere has its states, counts, times, failure and log, and no arrow that nobody told."""
    translator = Translator(STATUS, "local")
    for told in STORY:
        translator.hear(told)
    assert [event.seq for event in translator.events] == list(range(len(translator.events)))
    record = RunRecord(translator.graph)
    record.apply(translator.events)
    document = record.document()
    assert (document["run"]["name"], document["run"]["state"]) == ("night run · local", "failed")
    assert document["run"]["elapsed"] == 2.5
    counts = {state: count for state, count in document["run"]["counts"].items() if count}
    assert counts == {"done": 1, "failed": 1, "cancelled": 1}
    assert document["failure"]["error"] == "no luck"
    assert not translator.graph.edges
    assert any("waits for its next try" in line["text"] or "OSError" in line["text"] for line in document["log"])


def test_nothing_is_called_ready() -> None:
    """Without arrows nobody knows what could start: what has not begun is to come, not queued."""
    translator = Translator(STATUS, "local")
    for told in STORY[:5]:
        translator.hear(told)
    record = RunRecord(translator.graph)
    record.apply(translator.events)
    assert (record.counts["pending"], record.counts["queued"], record.counts["running"]) == (2, 0, 1)


def test_a_run_that_was_lost() -> None:
    """A run whose end nobody heard ends as lost, with these words; one that ended keeps its end."""
    translator = Translator(STATUS, "local")
    translator.hear(STORY[0])
    [end] = translator.give_up(START + 9)
    assert (end.status, end.duration) == ("failed", 9.0)
    assert "ended without a word" in end.error_type
    assert not end.error  # or it would be said twice
    assert translator.give_up(START + 10) == []


def test_pauses_and_limits_of_the_run() -> None:
    """What the run says of itself becomes events once: paused, resumed, limits in force and gone."""
    translator = Translator(STATUS, "local")
    translator.hear(STORY[0])
    limit = LimitInForce(GlobalConstraint("slow", "task:fit*", "concurrency", {"limit": 1}))
    paused = RunStatus("r1", state="paused", limits=(limit,))
    kinds = [type(event).__name__ for event in translator.take_status(paused, START + 1)]
    assert kinds == ["RunPaused", "LimitSet"]
    assert translator.take_status(paused, START + 2) == []
    kinds = [type(event).__name__ for event in translator.take_status(STATUS, START + 3)]
    assert kinds == ["RunResumed", "LimitRemoved"]


def test_a_limit_that_takes_the_place_of_another() -> None:
    """It has the same id and is told as well; so is the end of one that was lifted."""
    translator = Translator(STATUS, "local")
    translator.hear(STORY[0])
    for second, limit in enumerate(
        (
            GlobalConstraint("slow", "task:fit*", "concurrency", {"limit": 1}),
            GlobalConstraint("slow", "task:fit*", "rate_limit", {"rate": "10/m"}),
        )
    ):
        status = RunStatus("r1", state="running", limits=(LimitInForce(limit),))
        [told] = translator.take_status(status, START + second)
        assert (type(told).__name__, told.kind) == ("LimitSet", limit.type)
        assert translator.take_status(status, START + second) == []


def test_a_cancel_that_was_ordered_here() -> None:
    """It has the reason that was given here, and not that it came from elsewhere."""
    for given, told in (("cancelled in the view", "cancelled in the view"), ("", "cancelled elsewhere")):
        translator = Translator(STATUS, "local")
        translator.hear(STORY[0])
        translator.expect_cancel(given)
        [event] = translator.take_status(RunStatus("r1", state="cancelling"), START + 1)
        assert event.reason == told


def test_what_there_is_to_say_of_the_connection() -> None:
    """That it is away, and that it is back, are one line each of the log; both have no place after the end."""
    translator = Translator(STATUS, "local")
    translator.hear(STORY[0])
    assert translator.take_note("", START) == []
    translator.take_note("Not connected; it is tried again.", START + 1)
    translator.take_note("", START + 2)
    record = RunRecord(translator.graph)
    record.apply(translator.events)
    told = [line["text"] for line in record.document()["log"]]
    assert told == ["Not connected; it is tried again.", "Connected again."]
    translator.give_up(START + 3)
    assert translator.take_note("Not connected.", START + 4) == []


PAST = (
    Past("load", None, "COMPLETED", START + 1, 0.5),
    Past("fit", 0, "COMPLETED", START + 2, 1.0),
    Past("fit", 1, "RUNNING", START + 2, 0.0),
    Past("ghost", None, "COMPLETED", START + 2, 1.0),
    Past("total", None, "NONSENSE", START + 2, 1.0),
)


def test_what_was_before_anybody_listened() -> None:
    """What the run says of its past has its own times, and a message that tells the same is not told twice."""
    translator = Translator(STATUS, "mqtt://there")
    translator.take_graph(GRAPH)
    translator.take_past(PAST)
    for told in (
        task(0.5, "load", "RUNNING"),
        task(1, "load", "COMPLETED", duration_ms=500.0),
        task(2, "fit[0]", "COMPLETED", duration_ms=1000.0),
        task(2, "fit[1]", "RUNNING"),
        task(3, "fit[1]", "COMPLETED", duration_ms=1000.0),
    ):
        translator.hear(told)
    record = RunRecord(translator.graph)
    record.apply(translator.events)
    document = record.document()
    assert document["nodes"]["load"] | {"t0": 0.5, "t1": 1.0, "s": "done"} == document["nodes"]["load"]
    assert (document["nodes"]["fit"]["items"]["done"], document["nodes"]["fit"]["items"]["total"]) == (2, 3)
    assert document["nodes"]["total"]["s"] == "pending"
    assert [line["text"] for line in document["log"] if line["label"] == "load"] == ["done in 0.50 s"]


GRAPH = RunGraph(
    (Node("load", "load"), Node("fit", "fit", "map"), Node("total", "total")),
    (Edge("load", "fit"), Edge("fit", "total")),
    {"fit": 3},
)


def test_the_arrows_that_a_run_told() -> None:
    """With its arrows the picture is that of the run: what could start is queued, and a map knows its items."""
    translator = Translator(STATUS, "local")
    translator.take_graph(GRAPH)
    for told in STORY[:8]:
        translator.hear(told)
    graph = translator.graph
    assert (graph.edges, graph.is_flat) == (GRAPH.edges, False)
    record = RunRecord(graph)
    record.apply(translator.events)
    assert record.units["fit"].total == 3
    assert record.counts["pending"] == 3  # total, and the two items that nobody has begun
    assert translator.lacks(task(3, "late", "PENDING"))
    translator.hear(task(3, "late", "RUNNING"))
    assert translator.graph.is_flat


def test_for_what_a_node_waits() -> None:
    """What the run answers takes the place of 'a capacity or a limit', once, and only for who still waits."""
    translator = Translator(STATUS, "local")
    for told in STORY[:6]:
        translator.hear(told)
    waiting = Waiting("total", None, "gpu", "waits for gpu, held by fit", ("fit",))
    asked = RunStatus("r1", state="running", waiting=(waiting,))
    [event] = translator.take_status(asked, START + 0.4)  # the run tells it of a node of which nothing was heard
    assert (event.node, event.resource, event.holders) == ("total", "gpu", ("fit",))
    translator.hear(task(0.5, "total", "BLOCKED"))
    [event] = translator.take_status(asked, START + 0.6)
    assert event.resource == "gpu"
    assert translator.take_status(asked, START + 0.7) == []
    translator.hear(task(0.8, "total", "RUNNING"))
    assert translator.take_status(asked, START + 0.9) == []  # an old answer


@pytest.mark.parametrize("total", [None, 4])
def test_the_bar_of_a_map_that_is_over_is_full(total: int | None) -> None:
    """A map whose items were told in part, or of which nobody said how many there are, has a full bar at its end."""
    translator = Translator(STATUS, "local")
    translator.take_graph(RunGraph((Node("fit", "fit", "map"),), (), {} if total is None else {"fit": total}))
    told = [life(0, "ENGINE_STARTED", "running"), task(0.1, "fit", "RUNNING")]
    told += [task(0.2, "fit[0]", "RUNNING"), task(0.3, "fit[0]", "COMPLETED"), task(0.4, "fit", "COMPLETED")]
    for each in told:
        translator.hear(each)
    record = RunRecord(translator.graph)
    record.apply(translator.events)
    items = record.document()["nodes"]["fit"]["items"]
    assert items["total"] == items["done"] == (total or 1)


def test_when_a_run_was_lost() -> None:
    """The end of a run that was lost has the time of the last word from it, not of its beginning nor of now."""
    followed = Followed()
    translator = Translator(STATUS, "local")
    head = {"ts": "2026-01-01T00:00:00Z", "run_id": "r1", "source": "host-1"}
    later = {**head, "ts": "2026-01-01T00:00:07Z"}
    bodies = [
        (head, {"type": "LifecycleEvent", "event": "ENGINE_STARTED", "status": "running"}),
        (later, {"type": "TaskStateEvent", "task_id": "load", "task_name": "load", "state": "RUNNING"}),
        (head, {"type": "LifecycleEvent", "event": "ENGINE_STOPPED", "status": "lost"}),  # written at the beginning
    ]
    for header, body in bodies:
        told = followed.hear({**header, "body": body})
        assert told is not None
        translator.hear(told)
    [end] = translator.give_up(START + 3600)
    assert end.duration == 7.0


def test_a_graph_that_grows() -> None:
    """Nodes by which a run grows while it is watched come with their arrows."""
    gate = threading.Event()

    @cs.task
    def last(x: int) -> bool:
        return gate.wait(20) and bool(x)

    @cs.task
    def grow() -> Any:
        return last(last(1).named("first"))

    @cs.task
    def begin() -> int:
        assert gate.wait(20)
        gate.clear()
        return 1

    run = cs.start(grow().after(begin()), log_level=None, connector="inprocess:growing")
    with RemoteDesk(open_connector("inprocess:growing")) as desk:
        remote = RemoteRun(desk, desk.status(run.run_id), "inprocess:growing")
        assert len(remote.graph.nodes) == 2
        gate.set()
        end = time.monotonic() + 20
        while len(remote.graph.edges) < 2 and time.monotonic() < end:
            time.sleep(0.01)
        gate.set()
        assert run.result(20) is True
        assert ("first", "last") in [(edge.source, edge.target) for edge in remote.graph.edges]
        assert not remote.graph.is_flat
        remote.leave()


def test_a_run_that_is_looked_at_late() -> None:
    """Where no connector keeps what was said, the run tells what it has done already."""
    gate = threading.Event()

    @cs.task
    def step(x: int) -> int:
        return x if x < 2 else int(gate.wait(20))

    @cs.task
    def begin() -> list[int]:
        return [0, 1, 2]

    @cs.task
    def total(xs: list[int]) -> int:
        return sum(xs)

    target = total(step.map(x=begin()).with_constraints(desk=1))
    run = cs.start(target, None, {"desk": 1}, log_level=None, connector="inprocess:late")
    end = time.monotonic() + 15
    with RemoteDesk(open_connector("inprocess:late")) as desk:
        while len(getattr(desk.graph(run.run_id), "past", ())) < 4 and time.monotonic() < end:
            time.sleep(0.01)
        remote = RemoteRun(desk, desk.status(run.run_id), "inprocess:late")
        assert remote.state == "running"
        record = RunRecord(remote.graph)
        record.apply(remote.events)
        states = {name: entry["s"] for name, entry in record.document()["nodes"].items()}
        assert states == {"begin": "done", "step": "running", "total": "pending"}
        assert (record.units["step"].total, record.counts["done"]) == (3, 3)
        gate.set()
        assert run.result(20) == 2
        remote.leave()


# -- in a kernel ----------------------------------------------------------------------------------------------------


@pytest.fixture
def engine(tmp_path: Path, kernel: Kernel) -> Iterator[Callable[..., Engine]]:
    """A function that starts a run in a process of its own; the kernel looks into the same runtime folder."""
    with tempfile.TemporaryDirectory(prefix="cs") as folder:
        place = Place(tmp_path, Path(folder) / "r")
        runtime = place.environment["CASCADE_RUNTIME_DIR"]
        assert kernel.run(f"import os; os.environ['CASCADE_RUNTIME_DIR'] = {runtime!r}").ok
        yield lambda address="local": place.engine("night run", address)
        place.close()


def picture(kernel: Kernel, cell: Cell) -> dict[str, Any]:
    """Wait for the last picture of a cell and return its document."""
    kernel.until(lambda: DOCUMENT in cell.bundle)
    return cell.document


@pytest.mark.kernel
@pytest.mark.slow
@pytest.mark.timeout(180)
class TestInAKernel:
    def test_a_card_follows_a_run(self, kernel: Kernel, engine: Callable[..., Engine]) -> None:
        """The cell returns at once; when the run ends, the card is its picture, and nothing listens any more."""
        running = engine()
        cell = kernel.run(f"%cascade attach local {running.run_id}", "here")
        assert cell.ok, cell.error
        assert cell.comm
        assert running.end() == "None"
        document = picture(kernel, cell)
        assert (document["run"]["name"], document["run"]["state"]) == ("night run · local", "completed")
        assert document["run"]["counts"]["done"] == 5
        assert kernel.run("wait_until(lambda: not session().guests)").ok
        names = "[t.name for t in __import__('threading').enumerate() if t.name.startswith('cascade-')]"
        assert kernel.run(f"wait_until(lambda: set({names}) <= {{'cascade-loop'}})").ok
        assert len(kernel.value(names)) <= 2  # idle loops are kept for the next connections

    def test_the_buttons_steer_the_run(self, kernel: Kernel, engine: Callable[..., Engine]) -> None:
        """Pause and Cancel in the card reach the run."""
        running = engine()
        cell = kernel.run("%cascade attach local", "here")
        assert cell.ok, cell.error
        subshell = kernel.open_subshell()
        kernel.click(cell.comm, "cancel", subshell)
        running.go()
        assert "cancelled" in running.process.stdout.readline()
        assert picture(kernel, cell)["run"]["state"] == "cancelled"

    def test_the_commands_know_the_run(self, kernel: Kernel, engine: Callable[..., Engine]) -> None:
        """`jobs` lists it; `status`, `pause`, `resume`, `limit` and `cancel` take its number, its id, or nothing."""
        running = engine()
        cell = kernel.run("%cascade attach local", "here")
        assert cell.ok, cell.error
        number = kernel.value("max(session().elsewhere)")
        assert running.run_id in kernel.run("%cascade jobs").value
        assert "elsewhere" in kernel.run("%cascade jobs").value
        assert "is being paused" in kernel.run(f"%cascade pause {running.run_id[:5]}").value
        assert "night run · local: paused" in kernel.run("%cascade status").value
        assert "is being resumed" in kernel.run("%cascade resume").value
        assert "running" in kernel.run(f"%cascade status {number}").value
        assert kernel.run("session().jobs.clear()").ok  # runs of other tests
        for line in ("%cascade peek fit", "%cascade report there.html"):
            assert "runs elsewhere" in kernel.run(line).error
        assert "not more than 1 of 'fit' at once" in kernel.run(f"%cascade limit 1 fit {number}").value
        assert "not more than 1" in kernel.run(f"%cascade limit job {number}").value
        assert "lifted" in kernel.run(f"%cascade limit off {running.run_id}").value
        refused = kernel.run(f"%cascade retry {number}")
        assert not refused.ok
        assert "runs elsewhere" in refused.error
        assert "is being cancelled" in kernel.run("%cascade cancel").value
        running.go()
        assert "cancelled" in running.process.stdout.readline()
        document = picture(kernel, cell)
        assert document["run"]["state"] == "cancelled"
        assert "cancelled" in kernel.run(f"%cascade status {number}").value

    def test_the_card_has_arrows_and_reasons(self, kernel: Kernel, engine: Callable[..., Engine]) -> None:
        """The picture of a run elsewhere has its arrows, and a waiting node says for what and who holds it."""
        running = engine()
        cell = kernel.run("%cascade attach local", "here")
        assert cell.ok, cell.error
        of = "session().guests[-1].view.make_document()"
        assert kernel.run(f"wait_until(lambda: 'gpu' in {of}['nodes']['fit']['why'])").ok
        assert "held by fit[0]" in kernel.value(f"{of}['nodes']['fit']['why']")
        assert running.end() == "None"
        document = picture(kernel, cell)
        arrows = [(arrow["source"], arrow["target"]) for arrow in document["picture"]["arrows"]]
        assert sorted(arrows) == [("fit", "total"), ("load", "fit")]
        assert document["nodes"]["fit"]["items"]["total"] == document["nodes"]["fit"]["items"]["done"] == 3

    def test_a_cell_that_can_be_watched(self, kernel: Kernel) -> None:
        """`%%cascade --connector` makes the run of a cell one that others find; a wrong address fails the cell."""
        cell = kernel.run("%%cascade --connector inprocess:nb --bg\nnap(1, 3)", "watched")
        assert cell.ok, cell.error
        desk = (
            "from cascade.runtime.remote_desk import RemoteDesk\n"
            "from cascade.adapters.connectors.addresses import open_connector\n"
            "with RemoteDesk(open_connector('inprocess:nb')) as desk:\n"
            "    found = [status.name for status in desk.runs()]"
        )
        assert kernel.run(desk).ok
        assert kernel.value("found") == ["nap"]
        cell = kernel.run("%cascade attach inprocess:nb", "guest")
        assert cell.ok, cell.error
        assert kernel.run("%cascade cancel").ok
        wrong = kernel.run("%%cascade --connector mqqt://x\nnap(1)")
        assert not wrong.ok
        assert "names no connector" in wrong.error
        assert kernel.run("place = 'inprocess:other'").ok
        assert kernel.run("%%cascade --connector place\nnap(1)").ok

    def test_running_the_cell_again_leaves_the_run_alone(self, kernel: Kernel, engine: Callable[..., Engine]) -> None:
        """The card of before is closed and listens no more; the run elsewhere goes on to its end."""
        running = engine()
        for _ in range(3):
            cell = kernel.run(f"%cascade attach local {running.run_id}", "here")
            assert cell.ok, cell.error
        assert kernel.run("wait_until(lambda: len(session().guests) == 1)").ok
        assert kernel.value("len(session().guests)") == 1
        assert running.end() == "None"
        assert picture(kernel, cell)["run"]["state"] == "completed"

    def test_over_mqtt(self, kernel: Kernel, engine: Callable[..., Engine], tmp_path: Path) -> None:
        """The card of a run behind a broker follows it from when it was attached, and ends with it."""
        from tests.adapters.connectors.conftest import Broker

        pytest.importorskip("aiomqtt", reason="aiomqtt is not installed")
        if shutil.which("mosquitto") is None and not Path("/usr/sbin/mosquitto").exists():
            pytest.skip("no mosquitto is installed (on Debian: apt-get install mosquitto)")
        broker = Broker(tmp_path).start()
        try:
            running = engine(broker.url)
            cell = kernel.run(f"%cascade attach {broker.url} {running.run_id}", "here")
            assert cell.ok, cell.error
            assert running.end() == "None"
            document = picture(kernel, cell)
            assert document["run"]["state"] == "completed"
            assert document["run"]["name"] == f"night run · {broker.url}"
            assert len(document["picture"]["arrows"]) == 2
        finally:
            broker.stop()

    def test_words_that_reach_nobody(self, kernel: Kernel, engine: Callable[..., Engine]) -> None:
        """A wrong address, a broker that is away and a run that there is not are one line each, and fail the cell."""
        with contextlib.suppress(AttributeError):
            engine().process.kill()
        for words, said in (
            ("mqtt://127.0.0.1:1", "was not reached within"),
            ("mqtt://127.0.0.1:x", "is not a number from 1 to 65535"),
            ("local nothing-like-it", "No run 'nothing-like-it' is known here"),
            ("local a b", "takes an address and a run"),
            ("localhost", "nor an address: local, or mqtt://host:1883"),
            ("mqt://127.0.0.1", "nor an address"),
        ):
            cell = kernel.run(f"%cascade attach {words}")
            assert not cell.ok
            assert said in cell.error
            assert "Traceback" not in cell.error
            assert "Runs go on" not in cell.error + cell.printed
