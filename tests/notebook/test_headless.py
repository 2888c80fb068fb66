"""Where nobody looks: nbclient, nbconvert, a plain terminal, a program that never opens a notebook."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import nbformat
import pytest

from tests.notebook.conftest import SETUP
from tests.notebook.kernel import DOCUMENT, ROOT, WIDGET

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow
CELLS = [
    SETUP,
    "%%cascade -r cpu=2\n[rest(nap(1)), *[nap(i).with_constraints(cpu=1) for i in range(4)]]",
    "%%cascade --bg\nchain(2)",
    "time.sleep(0.6)",
    "rest(1)",
    "try:\n    cs.run(fail(1), log_level=None)\nexcept ValueError as error:\n    print(error)",
]


def execute(folder: Path, cells: list[str] = CELLS) -> nbformat.NotebookNode:
    from nbclient import NotebookClient

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    client = NotebookClient(
        notebook, timeout=60, resources={"metadata": {"path": str(folder)}}, store_widget_state=False
    )
    return client.execute(env={**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder / "ipython")})


@pytest.mark.kernel
def test_a_headless_run_ends_with_picture_and_text(tmp_path: Path) -> None:
    """The saved notebook holds the finished runs, of blocking and background cells alike, and nothing that is alive."""
    notebook = execute(tmp_path)
    shown = {i: [o.data for o in cell.outputs if "data" in o] for i, cell in enumerate(notebook.cells)}
    for place in (1, 2):
        bundle = shown[place][0]
        assert set(bundle) == {DOCUMENT, "text/html", "text/plain"}
        assert bundle[DOCUMENT]["run"]["state"] == "completed"
        assert '<img alt="' in bundle["text/html"]
        assert "data:image/svg+xml;base64," in bundle["text/html"]
    text = nbformat.writes(notebook)
    assert WIDGET not in text
    assert "widgets" not in notebook.metadata
    assert "HBox(" not in text
    outputs = "".join(str(output) for cell in notebook.cells for output in cell.get("outputs", []))
    assert "<script" not in outputs
    assert not re.findall(r"https?://", outputs)
    assert len(text) < 150_000


@pytest.mark.kernel
def test_a_run_that_outlives_the_notebook_leaves_a_document(tmp_path: Path) -> None:
    """A background run that goes on after the last cell stands there as it was then, and says so; no widget is left."""
    cells = [
        SETUP,
        "%%cascade --bg\nnap(nap(1, seconds=0), seconds=30)",
        "%%cascade --bg\nchain(2)",
        "time.sleep(1)",
        "1",
    ]
    notebook = execute(tmp_path, cells)
    held, done = (notebook.cells[place].outputs[0].data for place in (1, 2))
    assert set(held) == {DOCUMENT, "text/html", "text/plain"}
    assert held[DOCUMENT]["run"]["state"] == "running"
    assert held[DOCUMENT]["run"]["message"] == "was still running when this was saved"
    assert "was still running when this was saved" in held["text/plain"]
    assert [entry["s"] for entry in held[DOCUMENT]["nodes"].values()] == ["done", "running"]
    assert done[DOCUMENT]["run"]["state"] == "completed"
    assert WIDGET not in nbformat.writes(notebook)


@pytest.mark.kernel
def test_the_html_page_of_nbconvert_shows_the_picture(tmp_path: Path) -> None:
    """Exporters that know neither the type nor widgets take the HTML."""
    nbconvert = pytest.importorskip("nbconvert")
    page, _ = nbconvert.HTMLExporter().from_notebook_node(execute(tmp_path))
    assert page.count("data:image/svg+xml;base64,") >= 3
    assert "done" in page


def test_a_terminal_gets_text(tmp_path: Path) -> None:
    """In plain IPython the same cell works, and ends with the summary as text."""
    program = tmp_path / "cells.ipy"
    program.write_text(f"{SETUP}\nget_ipython().run_cell('%%cascade\\nchain(2)')\n", encoding="utf-8")
    command = [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", str(program)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert "nap: done in" in done.stdout
    assert "Traceback" not in done.stderr


def test_importing_cascade_brings_nothing_of_the_notebook(tmp_path: Path) -> None:
    """A script that runs a graph imports neither this package nor IPython."""
    program = (
        "import sys, cascade as cs\n"
        "@cs.task\ndef one(): return 1\n"
        "assert cs.run(one(), log_level=None) == 1\n"
        "unwanted = ('IPython', 'ipywidgets', 'traitlets', 'cascade.notebook')\n"
        "print(sorted(name for name in sys.modules if name.startswith(unwanted)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=environment, check=True
    )
    assert done.stdout.strip() == "[]"
