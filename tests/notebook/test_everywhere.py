"""Where nobody clicks: exported pages, papermill, kernels that lack a piece of the widget stack."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import html5lib
import nbformat
import pytest

from tests.notebook.kernel import DOCUMENT, ROOT, WIDGET

pytestmark = pytest.mark.slow

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
TASKS = """
%load_ext cascade
import time, cascade as cs

@cs.task
def load(rows):
    return list(range(rows))

@cs.task
def total(xs):
    print("adding", len(xs))
    time.sleep(0.3)
    return sum(xs)
"""
CELLS = [
    TASKS,
    "rows = 4",
    "%%cascade -o answer\ntotal(load(rows))",
    "%%cascade --bg\ntotal(load(2))",
    "time.sleep(1)",
    "answer",
]
# A kernel for which some packages do not exist.
LACKING = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""
# What a reader without scripts sees: pictures that are really there, and nothing wider than the page.


def environment(folder: Path) -> dict[str, str]:
    """The surroundings of a kernel or program that finds this checkout."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder / "ipython")}


def write(folder: Path, cells: list[str]) -> Path:
    """A notebook file; the second cell holds the parameters of papermill."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in cells])
    notebook.metadata["kernelspec"] = KERNEL
    notebook.cells[1].metadata["tags"] = ["parameters"]
    path = folder / "lesson.ipynb"
    nbformat.write(notebook, path)
    return path


def execute(folder: Path, cells: list[str]) -> nbformat.NotebookNode:
    """Run a notebook without any browser."""
    from nbclient import NotebookClient

    notebook = nbformat.read(write(folder, cells), as_version=4)
    place = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=60, resources=place, store_widget_state=False)
    return client.execute(env=environment(folder))


def bundles(cell: Any) -> list[Any]:
    """What a cell displayed."""
    return [output.data for output in cell.outputs if "data" in output]


# -- nbconvert ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed notebook as nbconvert writes it."""
    nbconvert = pytest.importorskip("nbconvert")
    page, _ = nbconvert.HTMLExporter().from_filename(str(request.param))
    path = tmp_path_factory.mktemp("exported") / f"{request.param.stem}.html"
    path.write_text(page, encoding="utf-8")
    return path


def test_an_exported_notebook_is_light_and_whole(exported: Path) -> None:
    """Under 1 MB, with the final picture of every run in it, its alternative text, and no live widget."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{exported.stem}.ipynb", as_version=4)
    runs = [
        data[DOCUMENT] for cell in notebook.cells if "outputs" in cell for data in bundles(cell) if DOCUMENT in data
    ]
    assert runs
    assert {run["run"]["state"] for run in runs} <= {"completed", "failed", "cancelled"}
    page = exported.read_text(encoding="utf-8")
    assert len(page.encode()) < 1_000_000
    assert WIDGET not in page
    images = list(html5lib.parse(page, namespaceHTMLElements=False).iter("img"))
    svgs = [image for image in images if image.get("src", "").startswith("data:image/svg+xml;base64,")]
    assert len(svgs) >= len(runs)
    assert all(image.get("alt") for image in images)
    assert all(b"</svg>" in base64.b64decode(image.get("src", "").partition(",")[2]) for image in svgs)


# -- programs that run notebooks ---------------------------------------------------------------------------------------


@pytest.mark.kernel
def test_papermill_runs_a_notebook_with_its_parameters(tmp_path: Path) -> None:
    """It waits for no browser, its parameter reaches the run, and the notebook that it writes is small."""
    pytest.importorskip("papermill", reason="papermill is not installed")
    write(tmp_path, CELLS)
    command = [
        *(sys.executable, "-m", "papermill", "lesson.ipynb", "out.ipynb"),
        *("-p", "rows", "6", "--no-progress-bar", "-k", "python3"),
    ]
    began = time.monotonic()
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert time.monotonic() - began < 60
    notebook = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    first, *_ = (bundles(cell)[0] for cell in notebook.cells if cell.source.startswith("%%cascade -o"))
    assert first[DOCUMENT]["run"]["state"] == "completed"
    assert notebook.cells[-1].outputs[0].data["text/plain"] == "15"
    assert (tmp_path / "out.ipynb").stat().st_size < 200_000
    assert WIDGET not in (tmp_path / "out.ipynb").read_text(encoding="utf-8")


@pytest.mark.kernel
def test_thirty_runs_of_a_cell_leave_the_notebook_as_large_as_one(tmp_path: Path) -> None:
    """The same cell thirty times in one kernel: as many live widgets as after the first, and no larger a result."""
    from tests.notebook.kernel import Kernel

    kernel = Kernel(tmp_path)
    try:
        assert kernel.run(TASKS).ok
        sizes = []
        for _ in range(30):
            cell = kernel.run("%%cascade\ntotal.func([1]); load(3)", cell_id="one")
            assert cell.ok
            sizes.append(len(json.dumps(cell.bundle)))
        kernel.run("time.sleep(2.5)")  # the last display of a cell is closed when its browser has had time to open it
        assert kernel.value("len(__import__('ipywidgets').widgets.widget._instances)") <= 4
        assert max(sizes) < 1.1 * min(sizes)
        assert kernel.value("len(__import__('cascade.notebook.session', fromlist=['x']).current_session().jobs)") <= 30
    finally:
        kernel.stop()


# -- a kernel that lacks something -------------------------------------------------------------------------------------


@pytest.mark.kernel
@pytest.mark.parametrize("missing", [["anywidget"], ["ipywidgets", "anywidget"]], ids=["anywidget", "ipywidgets"])
def test_without_a_widget_library_the_next_rung_is_taken(tmp_path: Path, missing: list[str]) -> None:
    """A picture is drawn anew while the run goes on, with one line that says how to get more; the end is the same."""
    cells = [
        LACKING.format(names=set(missing)),
        "rows = 4",
        *CELLS[:1],
        "%%cascade --bg\ntotal(load(rows))",
        "time.sleep(1)",
    ]
    notebook = execute(tmp_path, cells)
    (final,) = bundles(notebook.cells[3])
    assert final[DOCUMENT]["run"]["state"] == "completed"
    assert "cascade-notebook[notebook]" not in final["text/html"]
    outputs = json.dumps(notebook.cells[3].outputs)
    assert "Traceback" not in outputs

    from tests.notebook.kernel import Kernel

    (tmp_path / "again").mkdir()
    kernel = Kernel(tmp_path / "again")
    try:
        kernel.run(cells[0])
        assert kernel.run(TASKS).ok
        cell = kernel.run("%%cascade\ntotal(load(4))")
        shown = [content["data"] for content in cell.of("display_data", "update_display_data")]
        assert all(WIDGET not in data for data in shown)
        assert shown[0]["text/plain"].splitlines()[-1] == (
            "This picture is drawn anew from time to time. For the live view: pip install 'cascade-notebook[notebook]' "
            "(anywidget is missing)."
        )
        assert "For the live view" not in shown[-1]["text/plain"]
        assert cell.value == "6"
    finally:
        kernel.stop()


def test_without_ipython_a_script_runs_and_tells(tmp_path: Path) -> None:
    """With nothing of Jupyter at hand, the log stands on stderr and the value is returned."""
    program = tmp_path / "flow.py"
    program.write_text(
        LACKING.format(names={"IPython", "ipykernel", "ipywidgets", "anywidget", "traitlets"})
        + "import cascade as cs\n@cs.task\ndef one():\n    return 1\nprint(cs.run(one()))\n"
        "print(repr(cs.start(one(), log_level=None).wait(5) or 'waited'))\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, str(program)],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "1"
    assert "one" in done.stderr
