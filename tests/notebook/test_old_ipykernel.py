"""ipykernel 6.29, the oldest that is supported: output, interrupts and clicks in a real kernel of that version."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.notebook.conftest import WATCHED
from tests.notebook.kernel import DOCUMENT, WIDGET, Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow, pytest.mark.timeout(180)]

OLDEST = "6.29.5"


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel of the oldest version, in a folder that stands before the installed packages."""
    overlay = tmp_path_factory.mktemp("packages")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    got = subprocess.run(
        [*command, "--target", str(overlay), f"ipykernel=={OLDEST}"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if got.returncode:
        pytest.skip(f"ipykernel {OLDEST} cannot be installed: {got.stderr.strip()[-200:]}")
    kernel = Kernel(tmp_path_factory.mktemp("old"), overlay)
    try:
        ready = kernel.run(WATCHED)
        assert ready.ok, ready.error
        assert kernel.run("import ipykernel; ipykernel.__version__").value == repr(OLDEST)
        yield kernel
    finally:
        kernel.stop()


def test_a_cell_shows_its_run_while_it_goes_on(old: Kernel) -> None:
    """The live view opens, frames follow while the cell blocks, and the finished bundle takes its place."""
    cell = old.run("%%cascade\nchain(6, seconds=0.15)")
    assert cell.ok, cell.error
    first, *_ = cell.of("display_data")
    assert WIDGET in first["data"]
    frames = [m for m in cell.messages if m.type == "comm_msg" and m.content["data"].get("content", {}).get("seq")]
    assert len(frames) >= 3
    assert frames[0].at < cell.idle - 0.3
    assert WIDGET not in cell.bundle
    assert cell.bundle[DOCUMENT]["run"]["state"] == "completed"
    assert cell.value == "0"


def test_what_tasks_print_stays_with_their_node(old: Kernel) -> None:
    """Two that print side by side are told apart, and nothing comes as text of a cell, of this one or the next."""
    cell = old.run("%%cascade\n[talk('a'), talk('b')]")
    lines = {(line["node"], line["text"]) for line in cell.document["log"] if line["stream"] == "stdout"}
    assert ("talk", "first words of a") in lines
    assert ("talk#2", "last words of b") in lines
    assert cell.printed == ""


def test_output_of_a_background_run_stays_in_its_cell(old: Kernel) -> None:
    """Another cell runs meanwhile; it has its own text and no other."""
    begun = old.run("%%cascade --bg\ntalk('c', seconds=0.5)")
    other = old.run("print('mine'); time.sleep(0.8)")
    assert other.printed == "mine\n"
    old.until(lambda: WIDGET not in begun.bundle)
    assert "last words of c" in [line["text"] for line in begun.document["log"]]


def test_interrupt_gives_the_prompt_back(old: Kernel) -> None:
    """Within a second for tasks that can stop; resources are closed and the next cell runs."""
    cell = old.send("%%cascade\nrest(1, seconds=30)")
    old.until(lambda: bool(cell.of("display_data")))
    time.sleep(0.3)
    pressed = old.interrupt()
    old.until(lambda: bool(cell.reply))
    assert time.monotonic() - pressed < 1.5
    assert "Interrupted: job" in cell.error
    assert old.run("%%cascade\nnap(1)").value == "1"
    assert old.value("len(opened) == len(closed)") is True


def test_a_click_reaches_a_run_in_the_background(old: Kernel) -> None:
    """There are no subshells: while a cell blocks a click waits; with ``--bg`` it acts at once."""
    assert old.open_subshell() == ""
    cell = old.run("%%cascade --bg\nchain(50, seconds=0.1)")
    old.click(cell.comm, "cancel")
    old.until(lambda: WIDGET not in cell.bundle, 5)
    assert cell.bundle[DOCUMENT]["run"]["state"] == "cancelled"


def test_a_click_in_a_blocking_cell_waits_and_breaks_nothing(old: Kernel) -> None:
    """It comes too late for its run, is taken when the cell is over, and the next run is not touched by it."""
    cell = old.send("%%cascade\nchain(4, seconds=0.15)")
    old.until(lambda: any("_esm" in opened["data"]["state"] for opened in cell.of("comm_open")))
    old.click(cell.comm, "cancel")
    old.until(lambda: bool(cell.idle and cell.reply))
    assert cell.ok
    assert cell.document["run"]["state"] == "completed"
    assert old.run("%%cascade\nnap(2)").value == "2"
