"""Interrupt, clicks, background runs and output of tasks, in a real kernel."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.notebook.kernel import DOCUMENT

if TYPE_CHECKING:
    from tests.notebook.kernel import Cell, Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow, pytest.mark.timeout(300)]

WAYS = {
    "async cell": "%%cascade -r cpu=2\n{target}",
    "blocking cell": "get_ipython().run_cell_magic('cascade', '-r cpu=2', '{target}')",
    "cs.run": "cs.run({target}, system_resources={{'cpu': 2}}, log_level=None)",
}
MIXED = "[rest(chain(3), seconds=0.6), *[nap(i, seconds=0.1).with_constraints(cpu=1) for i in range(12)]]"


def moment(kernel: Kernel, cell: Cell, seconds: float) -> None:
    """Let `seconds` pass while messages are collected."""
    import time

    end = time.monotonic() + seconds
    kernel.until(lambda: time.monotonic() >= end or bool(cell.idle))


@pytest.mark.parametrize("way", WAYS)
def test_interrupt_at_any_moment_gives_the_prompt_back(kernel: Kernel, way: str) -> None:
    """At 20 random moments: the prompt is back within a second, the resource is closed once, the next cell works."""
    chance = random.Random(way)
    interrupted = 0
    for _ in range(20):
        assert kernel.run("opened.clear(); closed.clear()").ok
        cell = kernel.send(WAYS[way].format(target=MIXED), "c1")
        moment(kernel, cell, chance.uniform(0.0, 0.6))
        pressed = kernel.interrupt()
        kernel.until(lambda cell=cell: bool(cell.idle and cell.reply), 20)
        interrupted += not cell.ok
        assert cell.idle - pressed < 1.0
        assert kernel.run("1 + 1").value == "2"
        assert kernel.run("wait_until(lambda: len(closed) >= len(opened))").ok
        assert kernel.value("(len(opened), len(closed))") in {(0, 0), (1, 1)}
    assert interrupted >= 15


def test_an_interrupt_tells_in_one_line_what_was_kept(kernel: Kernel) -> None:
    """No traceback of sixty lines; a thread that cannot be stopped is named."""
    cell = kernel.send("%%cascade\nnap(nap(1, seconds=0), seconds=2)")
    kernel.until(lambda: any(m.type == "comm_msg" for m in cell.messages))
    kernel.interrupt()
    kernel.until(lambda: bool(cell.idle and cell.reply))
    assert cell.error.startswith("Interrupted: job ")
    assert "1 kept, 1 cancelled" in cell.error
    assert "Still running, since a thread cannot be stopped: nap." in cell.error
    assert cell.document["run"]["state"] == "cancelled"


def test_an_interrupt_of_the_body_is_an_ordinary_one(kernel: Kernel) -> None:
    """Plain code above the target stops at its own line, although the kernel runs the cell as a coroutine."""
    cell = kernel.send("%%cascade\nprint('here', flush=True)\nwhile True:\n    time.sleep(0.01)\nnap(1)")
    kernel.until(lambda: "here" in cell.printed)
    pressed = kernel.interrupt()
    kernel.until(lambda: bool(cell.idle and cell.reply))
    assert cell.idle - pressed < 1.0
    assert "KeyboardInterrupt" in cell.error
    assert "cascade/" not in cell.error


@pytest.mark.parametrize("way", ["async cell", "blocking cell"])
def test_a_click_on_cancel_arrives_while_the_cell_runs(kernel: Kernel, way: str) -> None:
    """On a subshell, also after the cell has sent updates; the cell ends and says who cancelled."""
    subshell = kernel.open_subshell()
    if not subshell:
        pytest.skip("only on kernels with subshells")
    cell = kernel.send(WAYS[way].format(target="chain(60)"), "c1")
    kernel.until(lambda: len([m for m in cell.messages if m.type == "comm_msg"]) >= 2)
    clicked = kernel.click(cell.comm, "cancel", subshell)
    kernel.until(lambda: DOCUMENT in cell.bundle)
    assert cell.messages[-1].at - clicked < 0.5
    kernel.until(lambda: bool(cell.idle and cell.reply))
    assert cell.document["run"]["message"] == "cancelled in the view"
    assert "cancelled in the view" in cell.error


def test_pause_and_resume_by_clicks(kernel: Kernel) -> None:
    """Nothing new starts while paused; after resume the run goes on to its end."""
    subshell = kernel.open_subshell()
    if not subshell:
        pytest.skip("only on kernels with subshells")
    cell = kernel.send("%%cascade\nchain(12)", "c1")
    kernel.until(lambda: any(m.type == "comm_msg" for m in cell.messages))
    states = lambda: [m["data"]["content"].get("run", {}).get("state") for m in cell.of("comm_msg")]  # noqa: E731
    kernel.click(cell.comm, "pause", subshell)
    kernel.until(lambda: "paused" in states())
    assert DOCUMENT not in cell.bundle
    kernel.click(cell.comm, "resume", subshell)
    kernel.until(lambda: bool(cell.idle and cell.reply))
    assert cell.ok
    assert cell.document["run"]["counts"]["done"] == 12


def test_a_background_run_goes_on_in_its_own_cell(kernel: Kernel) -> None:
    """The cell returns at once; its pictures and its tasks' words land in it, whatever cell runs meanwhile."""
    cell = kernel.run("%%cascade --bg\n[talk(1), talk(2)]", "bg1")
    assert DOCUMENT not in cell.bundle
    other = kernel.run("for i in range(6):\n    print('mine', i)\n    time.sleep(0.1)", "other")
    kernel.until(lambda: DOCUMENT in cell.bundle)
    assert other.printed == "".join(f"mine {i}\n" for i in range(6))
    assert not other.of("display_data", "update_display_data", "comm_msg")
    said = {(line["label"], line["text"]) for line in cell.document["log"] if line["stream"] == "stdout"}
    assert said == {
        (name, f"{words} words of {n}") for name, n in (("talk", 1), ("talk", 2)) for words in ("first", "last")
    }
    assert cell.printed == ""


def test_what_each_task_prints_is_kept_apart(kernel: Kernel) -> None:
    """Two tasks that print at the same time have their own lines in the log, under their own boxes."""
    cell = kernel.run("%%cascade\n[talk(1).named('a'), talk(2).named('b')];")
    lines = [(line["node"], line["text"]) for line in cell.document["log"] if line["stream"] == "stdout"]
    assert sorted(lines) == [
        ("a", "first words of 1"),
        ("a", "last words of 1"),
        ("b", "first words of 2"),
        ("b", "last words of 2"),
    ]
    assert cell.printed == ""
    assert kernel.value("type(sys.stdout).__name__") == "OutStream"


def test_a_failure_in_the_background_raises_in_no_cell(kernel: Kernel) -> None:
    """It is shown in its own card and by `%cascade status`."""
    cell = kernel.run("%%cascade --bg\nfail(nap(1))", "bg2")
    kernel.until(lambda: DOCUMENT in cell.bundle)
    assert kernel.run("1 + 1").value == "2"
    assert cell.document["failure"]["error_type"] == "ValueError"
    assert cell.ok
    assert "fail failed: ValueError" in kernel.run("%cascade status").value


def test_running_a_cell_again_replaces_its_run(kernel: Kernel) -> None:
    """The run before is cancelled and its widget closed; other cells' runs go on."""
    first = kernel.run("%%cascade --bg\nchain(100)", "bg3")
    other = kernel.run("%%cascade --bg\nchain(100)", "bg4")
    second = kernel.run("%%cascade --bg\nchain(2)", "bg3")
    kernel.until(lambda: DOCUMENT in second.bundle)
    states = kernel.value("[str(job.run.state) for job in session().jobs.values()][-3:]")
    assert states == ["cancelled", "running", "completed"]
    kernel.until(lambda: first.comm not in kernel.value("live_widgets()"))
    assert DOCUMENT not in other.bundle
    assert kernel.run("%cascade cancel").ok
    kernel.until(lambda: DOCUMENT in other.bundle)


def test_jobs_can_be_paused_attached_and_cancelled_from_another_cell(kernel: Kernel) -> None:
    """`%cascade` steers a background run by its number."""
    cell = kernel.run("%%cascade --bg\nchain(200)", "bg5")
    number = kernel.run("%cascade jobs").value.splitlines()[-1].split()[1]
    assert kernel.run(f"%cascade pause {number}").ok
    kernel.until(lambda: "paused" in kernel.run("%cascade jobs").value)
    attached = kernel.run(f"%cascade attach {number}")
    assert attached.comm != cell.comm
    assert kernel.run(f"%cascade resume {number}").ok
    assert kernel.run(f"%cascade cancel {number}").value == f"Job {number} (run {number}) is being cancelled."
    kernel.until(lambda: DOCUMENT in cell.bundle and DOCUMENT in attached.bundle)
    assert kernel.run(f"%cascade cancel {number}").value == f"Job {number} (run {number}) is over: cancelled."


def test_an_interrupt_while_the_run_starts_leaves_no_run_behind(kernel: Kernel) -> None:
    """Whenever the stop button is pressed, nothing goes on running that no cell waits for."""
    for pause in range(12):
        cell = kernel.send(WAYS["blocking cell"].format(target="chain(10)"), "c1")
        moment(kernel, cell, pause / 500)
        kernel.interrupt()
        kernel.until(lambda cell=cell: bool(cell.idle and cell.reply))
        assert kernel.value("[job.number for job in session().jobs.values() if not job.over]") == []


def test_old_runs_let_their_values_go(kernel: Kernel) -> None:
    """The notebook remembers how its runs went, not the data of all of them; the newest can still be asked."""
    for _ in range(4):
        assert kernel.run("%%cascade\nnap(1, seconds=0);").ok
    kinds = kernel.value("[type(job.run).__name__ for job in session().jobs.values()]")
    assert kinds[-1] == "Run"
    assert set(kinds[:-3]) == {"EndedRun"}
    first = kernel.run("%cascade jobs").value.split()[1]
    assert " · " in kernel.run(f"%cascade status {first}").value
    assert DOCUMENT in kernel.run(f"%cascade attach {first}").bundle


def test_python_calls_capture_what_tasks_print(kernel: Kernel) -> None:
    """`cs.start(…, capture_output=True).view()` shows the words of tasks in its log, and the cell stays clean."""
    cell = kernel.run("r = cs.start(talk(1), log_level=None, capture_output=True)\nr.view()\nr.result()")
    kernel.until(lambda: DOCUMENT in cell.bundle)
    assert "last words of 1" in [line["text"] for line in cell.document["log"]]
    assert kernel.value("type(sys.stdout).__name__") == "OutStream"


def test_thirty_runs_leave_no_widget_behind(kernel: Kernel) -> None:
    """After thirty runs of a cell no widget is alive, as before."""
    kernel.until(lambda: kernel.value("live_widgets()") == [])
    for _ in range(30):
        assert kernel.run("%%cascade\nnap(1, seconds=0);", "c7").ok
    kernel.until(lambda: kernel.value("live_widgets()") == [])


def test_many_events_make_few_messages(kernel: Kernel) -> None:
    """Five hundred tasks in two seconds: at most fifteen messages a second, frames of at most 20 KB."""
    import json

    cell = kernel.run("%%cascade -r cpu=2\n[nap(i, seconds=0.008).with_constraints(cpu=1) for i in range(500)];", "c8")
    sent = [m for m in cell.messages if m.type in {"comm_msg", "display_data", "update_display_data"}]
    frames = [m["data"]["content"] for m in cell.of("comm_msg") if m["data"].get("method") == "custom"]
    seconds = cell.document["run"]["elapsed"]
    assert len(sent) <= 15 * max(seconds, 1.0)
    assert len([f for f in frames if f["type"] == "frame"]) <= 5 * seconds + 3
    assert all(len(json.dumps(f, ensure_ascii=False).encode()) <= 21_000 for f in frames if f["type"] == "frame")


def test_loading_is_idempotent_and_unloading_takes_everything_away(kernel: Kernel) -> None:
    """After %unload_ext there is no magic, no transform and no listener; after %load_ext there is one of each."""
    before = kernel.value("loaded()")
    assert kernel.run("%reload_ext cascade\n%load_ext cascade").ok
    assert kernel.value("loaded()") == before
    assert kernel.run("%unload_ext cascade").ok
    assert kernel.value("loaded()") == (before[0] - 1, before[1] - 1, False)
    assert "not found" in kernel.run("%%cascade\nnap(1)").error
    assert kernel.run("%load_ext cascade").ok
    assert kernel.run("%%cascade\nnap(1)").value == "1"
