"""`%cascade doctor` in a real kernel: what is odd is named, with what to do; what is fine is not."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import nbformat
import pytest

from tests.notebook.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.kernel]

FINE = "Nothing to say. Tasks, names, runs, store and extension are as they should be."
LOAD = "@cs.task(pure=True)\ndef load(n):\n    return list(range(n))"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Kernel]:
    """A kernel with the extension and one task."""
    kernel = Kernel(tmp_path)
    try:
        assert kernel.run("%load_ext cascade\nimport cascade as cs\nimport time").ok
        assert kernel.run(LOAD, "load").ok
        yield kernel
    finally:
        kernel.stop()


def doctor(desk: Kernel) -> str:
    cell = desk.run("%cascade doctor")
    assert cell.ok, cell.error
    return cell.value


def test_a_tidy_notebook_has_nothing_to_hear(desk: Kernel) -> None:
    """Tasks that are used, names that are fresh, runs that are over: one sentence."""
    assert desk.run("raw = load(3)", "raw").ok
    assert desk.run("%%cascade -o value\nraw", "run").ok
    assert doctor(desk) == FINE
    assert desk.run("raw = load(3)", "raw").ok  # the same again changes nothing
    assert desk.run("# a comment\n" + LOAD, "load").ok
    assert doctor(desk) == FINE


def test_orphans_duplicates_and_hidden_state_are_found(desk: Kernel) -> None:
    """What only the earlier text of a cell defined is told by where it is from and who needs it."""
    assert desk.run("factor = 2\n@cs.task\ndef old(x):\n    return x\nold(1)", "a").ok
    assert desk.run("@cs.task\ndef times(xs):\n    return [x * factor for x in xs]\ntimes(load(1))", "b").ok
    assert desk.run("pass", "a").ok
    assert desk.run(LOAD.replace("n))", "n + 1))"), "c").ok
    told = doctor(desk)
    assert "orphan" in told
    assert "The task 'old' is from In[3], whose cell was run again without it. If nothing needs it" in told
    assert "The task 'load' is defined in In[2], line 2 and In[6], line 2; the one that ran last counts." in told
    assert "'times' (In[4]) uses 'factor', which no cell makes any more; it is left from In[3]." in told


def test_names_made_with_what_has_changed_are_stale(desk: Kernel) -> None:
    """A lazy result, a computed value and a value of a run are stale when a task, a helper or a constant changed."""
    assert desk.run("LIMIT = 1\ndef cut(xs):\n    return xs[LIMIT:]", "cut").ok
    assert desk.run("@cs.task\ndef clean(xs):\n    return cut(xs)", "clean").ok
    assert desk.run("raw = load(4)\nsome = LIMIT + 1\nother = 5", "raw").ok
    assert desk.run("%%cascade -o value\nclean(raw)", "run").ok
    assert doctor(desk) == FINE
    assert desk.run("LIMIT = 2\ndef cut(xs):\n    return xs[LIMIT:]", "cut").ok
    told = doctor(desk)
    assert "'some' (In[5]) was made before In[8] changed 'LIMIT'." in told
    assert "'value' (In[6]) was made before In[8] changed 'LIMIT'." in told
    assert "'raw'" not in told
    assert "'other'" not in told
    assert desk.run("%%cascade -o value\nclean(raw)", "run").ok
    assert desk.run("raw = load(4)\nsome = LIMIT + 1\nother = 5", "raw").ok
    assert "'value'" not in doctor(desk)


def test_what_task_cells_give_is_no_hidden_state(desk: Kernel) -> None:
    """A helper that uses the result of a task cell, and a task cell that uses a task, are as they should be."""
    assert desk.run("%%cascade task numbers\nxs = [1, 2, 3]\nk = 2", "xs").ok
    assert desk.run("def longest():\n    return max(xs) + k", "helper").ok
    assert desk.run("%%cascade task top\nbest = longest()\nlazy = load", "top").ok
    assert doctor(desk) == FINE


def test_what_nobody_uses_is_told(desk: Kernel) -> None:
    """Tasks without calls, Params without tasks and resources without takers are named; the others are not."""
    assert desk.run("spare = cs.Param('spare', default=1)\nused = cs.Param('used', default=1)", "p").ok
    assert desk.run("@cs.resource\ndef idle():\n    yield 1\n@cs.resource\ndef busy():\n    yield 1", "r").ok
    assert desk.run("@cs.task\ndef work(x, c=cs.inject('busy')):\n    return x\nt = work(load(used))", "w").ok
    assert desk.run("@cs.task\ndef alone(x):\n    return x", "t").ok
    told = doctor(desk)
    assert "The Param 'spare' (In[3]) is used by no task." in told
    assert "The resource 'idle' (In[4]) is never injected." in told
    assert "The task 'alone' (In[6]) is never called." in told
    assert "used'" not in told.replace("'spare'", "")
    assert "busy" not in told
    assert told.startswith("3 things to look at:")


def test_runs_that_wait_and_limits_in_force_are_told(desk: Kernel) -> None:
    """A paused run, one that still goes on, and a limit: each with the word that changes it."""
    assert desk.run("@cs.task\ndef nap(x):\n    time.sleep(0.1)\n    return x", "nap").ok
    assert desk.run("def chain(n):\n    x = nap(0)\n    for _ in range(n):\n        x = nap(x)\n    return x", "ch").ok
    assert desk.run("%%cascade --bg\nchain(300)", "one").ok
    assert desk.run("%%cascade --bg\nchain(301)", "two").ok
    assert desk.run("%cascade pause 2").ok
    lines = [
        "from cascade.spec.constraint import GlobalConstraint",
        "from cascade.notebook.session import current_session",
        "run = current_session().jobs[1].run",
        "run.set_limit(GlobalConstraint('slow', type='concurrency', params={'limit': 1}))",
    ]
    made = desk.run("\n".join(lines), "limit")
    assert made.ok, made.error
    desk.run("while not any(type(e).__name__ == 'LimitSet' for e in run.events):\n    time.sleep(0.01)")
    told = doctor(desk)
    assert "Job 1 (run 1), 'nap', still goes on after" in told
    assert "Job 2 (run 2), 'nap', is paused. Let it go on with %cascade resume 2." in told
    assert "In job 1 (run 1) a limit is in force, 'slow': not more than 1 at once." in told
    assert "lift it: %cascade limit off 1." in told
    assert desk.run("%cascade cancel 1\n").ok
    assert desk.run("%cascade cancel 2\n").ok


def test_a_damaged_store_is_told_and_none_is_made(desk: Kernel, tmp_path: Path) -> None:
    """Looking makes no folder; a result that was tampered with is counted, with what becomes of it."""
    assert desk.run("raw = load(3)", "raw").ok
    assert doctor(desk) == FINE
    assert not (tmp_path / ".cascade").exists()
    assert desk.run("%%cascade\nload(2000)", "run").ok
    blobs = [p for p in (tmp_path / ".cascade").rglob("*") if p.is_file() and not p.name.startswith("index")]
    assert blobs
    for blob in blobs:
        blob.chmod(0o600)
        blob.write_bytes(b"torn")
    told = doctor(desk)
    assert "stored result" in told
    assert "computed again" in told


def test_the_saved_order_and_deleted_cells_are_known(tmp_path: Path) -> None:
    """Where the file is known, a cell above what it needs and a cell that is gone are told."""
    os.environ["JPY_SESSION_NAME"] = "somewhere/lesson.ipynb"
    try:
        desk = Kernel(tmp_path)
    finally:
        del os.environ["JPY_SESSION_NAME"]
    try:
        assert desk.run("%load_ext cascade\nimport cascade as cs").ok
        assert desk.run("base = 5", "low").ok
        assert desk.run("total = base + 1", "high").ok
        assert desk.run("@cs.task\ndef lost(x):\n    return x\nlost(1)", "gone").ok
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(c) for c in ("total = base + 1", "base = 5")]
        )
        notebook.cells[0]["id"], notebook.cells[1]["id"] = "high", "low"
        path = tmp_path / "lesson.ipynb"
        nbformat.write(notebook, path)
        os.utime(path, (time.time() + 5, time.time() + 5))
        told = doctor(desk)
        assert "In[3] uses 'base', which a cell further down makes (In[2]). Move that cell up" in told
        assert "The task 'lost' is from In[4], whose cell is not in the saved notebook any more." in told
    finally:
        desk.stop()


def test_the_table_is_text_everywhere(desk: Kernel) -> None:
    """A name that looks like markup makes no element."""
    assert desk.run("p = cs.Param('<img src=x onerror=alert(1)>', default=1)", "p").ok
    assert desk.run("p2 = p\np = None", "p").ok
    cell = desk.run("%cascade doctor")
    html = cell.of("execute_result")[-1]["data"]["text/html"]
    assert "<img" not in html
    assert "<script" not in html
