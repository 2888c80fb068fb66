"""`%%cascade --step` and the commands of step mode, replay and reports, in a real kernel and where nobody looks."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import nbformat
import pytest

from tests.notebook.conftest import SETUP
from tests.notebook.kernel import DOCUMENT, ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.notebook.kernel import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow, pytest.mark.timeout(120)]


def ready(kernel: Kernel, *labels: str) -> None:
    """Wait until exactly these nodes would be started by Next."""
    assert kernel.run(f"wait_until(lambda: session().latest().run.ready == {labels!r})").ok
    assert kernel.value("session().latest().run.ready") == labels


def pretend_a_person(kernel: Kernel, patience: float) -> None:
    """This client forbids to ask for input, as programs do; let the kernel think that it were a notebook."""
    code = "import cascade.notebook.watching as w\nw.PATIENCE, w.has_front_end = {}, lambda shell: True"
    assert kernel.run(code.format(patience)).ok


def test_a_run_in_the_background_goes_step_by_step_from_other_cells(kernel: Kernel) -> None:
    """``--step --bg`` holds; ``next`` starts the first or the named node and says so; ``resume`` ends it."""
    started = kernel.run("a = nap(1)\nb = rest(2)\njob = None", "c1")
    assert started.ok
    assert kernel.run("%%cascade --step --bg\n[a.named('first'), b.named('second')]", "c2").ok
    ready(kernel, "first", "second")
    assert "second may start. Ready beside it: first." in kernel.run("%cascade next second").value
    ready(kernel, "first")
    assert "There is no" not in kernel.run("%cascade next").value
    assert kernel.run("session().latest().run.wait(10)").value == "True"
    number = kernel.value("session().latest().number")
    assert kernel.run("%cascade next").value == f"Job {number} (run {number}) is over: completed."
    wrong = kernel.run("%%cascade --step --bg\nnap(1)\n", "c3")
    assert wrong.ok
    ready(kernel, "nap")
    assert "The run has no node 'npa'" in kernel.run("%cascade next npa").error
    assert "being resumed" in kernel.run("%cascade resume").value
    assert kernel.run("session().latest().run.result(10)").value == "1"


def test_a_run_can_enter_step_mode_while_it_goes_on(kernel: Kernel) -> None:
    """``%cascade step`` holds what has not started yet."""
    target = "[nap(i, seconds=0.3).with_constraints(cpu=1) for i in range(4)]"
    assert kernel.run(f"%%cascade --bg -r cpu=1\n{target}", "c1").ok
    assert "goes step by step" in kernel.run("%cascade step").value
    assert kernel.run("wait_until(lambda: len(session().latest().run.ready) >= 2)").ok
    assert kernel.value("session().latest().run.is_stepping") is True
    assert kernel.run("%cascade resume").ok
    assert kernel.run("session().latest().run.result(10)").value == "[0, 1, 2, 3]"


def test_a_blocking_cell_without_a_browser_says_so_and_runs_on(kernel: Kernel) -> None:
    """No click can come: the cell does not hang, and tells how to go step by step all the same."""
    for view in ("static", "none"):
        began = time.monotonic()
        cell = kernel.run(f"%%cascade --step --view {view}\nnap(7)", "c1")
        assert cell.ok
        assert cell.value == "7"
        assert time.monotonic() - began < 3
        assert "Nobody can click Next here" in str([m.content for m in cell.messages])
        assert "--bg" in str([m.content for m in cell.messages])


def test_a_live_view_that_nobody_has_open_is_not_waited_for(kernel: Kernel) -> None:
    """A widget was sent, but no browser draws it: after a short time the cell says so and runs on."""
    pretend_a_person(kernel, patience=0.2)
    cell = kernel.run("%%cascade --step\nrest(nap(5))", "c1")
    assert cell.ok
    assert cell.value == "5"
    assert "No live view has answered within 0.2 s." in str([m.content for m in cell.messages])


def test_interrupt_ends_a_cell_that_waits_for_next(kernel: Kernel) -> None:
    """A cell in step mode gives the prompt back like any other."""
    pretend_a_person(kernel, patience=60)
    cell = kernel.send("%%cascade --step\nnap(1)", "c1")
    kernel.until(lambda: any(m.type == "comm_open" for m in cell.messages))
    pressed = kernel.interrupt()
    kernel.until(lambda: bool(cell.idle and cell.reply), 20)
    assert not cell.ok
    assert cell.idle - pressed < 1.5
    assert "0 kept, 1 cancelled" in cell.error
    assert kernel.run("1 + 1").value == "2"


def test_replay_and_report_as_commands(kernel: Kernel, tmp_path: Path) -> None:
    """The latest run from its beginning, and as one page; wrong words are told in a line."""
    assert kernel.run("%%cascade\nrest(nap(3))", "c1").ok
    shown = kernel.run("%cascade replay")
    assert shown.bundle[DOCUMENT]["replay"] is True
    assert "moments in" in shown.bundle["text/plain"]
    path = tmp_path / "my report.html"
    said = kernel.run(f"%cascade report '{path}'")
    assert said.value.startswith("Wrote ")
    assert "<h1>rest</h1>" in path.read_text(encoding="utf-8")
    assert "does not end in .html" in kernel.run("%cascade report out.pdf").error
    assert "takes a file" in kernel.run("%cascade report").error
    assert "cannot be written" in kernel.run("%cascade report /proc/nowhere/out.html").error


def test_a_report_of_an_older_run_needs_no_values(kernel: Kernel, tmp_path: Path) -> None:
    """A run whose values were let go still has its record, and so its page."""
    assert kernel.run("%%cascade\nnap(11)", "c1").ok
    number = kernel.value("session().latest().number")
    for place in range(4):
        assert kernel.run(f"%%cascade\nnap({place})", f"d{place}").ok
    path = tmp_path / "old.html"
    assert kernel.run(f"%cascade report {path} {number}").value.startswith("Wrote ")
    assert "the run is done in" in path.read_text(encoding="utf-8")


def test_nbclient_does_not_wait_for_clicks(tmp_path: Path) -> None:
    """Executed without a front end, a notebook with ``--step`` is through at once."""
    from nbclient import NotebookClient

    cells = [SETUP, "%%cascade --step\nrest(nap(1))", "'after', 'it'"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    client = NotebookClient(
        notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}, store_widget_state=False
    )
    done = client.execute(env={**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(tmp_path / "ipython")})
    outputs = [o for o in done.cells[1].outputs if "data" in o]
    document = next(o.data[DOCUMENT] for o in outputs if DOCUMENT in o.data)
    assert document["run"]["state"] == "completed"
    assert document["run"]["elapsed"] < 3
    assert any("Nobody can click Next here" in o.data.get("text/plain", "") for o in outputs)
