"""`%cascade attach ADDRESS`: a run of another process in a real kernel, and the events that stand for its messages."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cascade.cli.following import read_message
from cascade.notebook.elsewhere_events import Translator
from cascade.notebook.record import RunRecord
from cascade.runtime.remote_desk import LimitInForce, RunStatus
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
        ):
            cell = kernel.run(f"%cascade attach {words}")
            assert not cell.ok
            assert said in cell.error
            assert "Traceback" not in cell.error
