"""A notebook whose tasks meet secrets is run for real and saved: neither it nor what lies beside it tells them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import nbformat
import pytest

from tests.notebook.kernel import DOCUMENT, ROOT
from tests.runtime.sweep import Planted

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

TASKS = """
%load_ext cascade
import base64, json, logging, os, warnings
import cascade as cs

token, late = cs.Env("SWEEP_TOKEN", secret=True), cs.Env("SWEEP_LATE", secret=True)

class RefusedError(Exception):
    def __init__(self, body):
        super().__init__({"body": [body]})
        self.body = {"deep": body}
    def __str__(self):
        return f"refused {self.body}"

@cs.task(pure=True)
def use(x):
    print("using", x)
    print(json.dumps({"x": x}), base64.b64encode(f"ada:{x}".encode()).decode())
    logging.getLogger("app").warning("logged %s", x)
    warnings.warn(f"warned {x}")
    return len(x)

@cs.task
def url(x):
    return f"https://ada:{x}@host/"

@cs.task(pure=True)
def item(x):
    return len(x)

@cs.task
def grow(n):
    return use(late)

@cs.task
def fails(x):
    local = {"token": x}
    raise RefusedError(x) from KeyError(f"missing {local}")

@cs.task(retry=2)
def stumbles(x):
    raise ValueError([x, "x" * 270 + x])

@cs.resource
def login():
    raise RuntimeError(f"cannot log in as {os.environ['SWEEP_TOKEN']}")
    yield

@cs.task
def with_login(c=cs.inject("login")):
    return 1

good = [use(token), use(url(token)), item.map(x=[token, late]), grow(1), stumbles(token).with_fallback(0)]
"""
CELLS = [
    TASKS,
    "%%cascade good\n",
    "%%cascade good\n",
    "%%cascade [use(token).named('use ' + os.environ['SWEEP_TOKEN']), use(url(token))]\n",
    "%%cascade with_login()\n",
    "%%cascade [fails(token), use(late)] --keep-going\n",
    "%cascade runs",
    "%cascade why use",
    "%cascade plan good",
    "%cascade graph good",
    "cs.run(fails(token), log_level='DEBUG')",
]


def execute(folder: Path, planted: Planted, *, keeps_widgets: bool) -> nbformat.NotebookNode:
    """Run the cells as papermill and others would, with the secret in the environment, and save the notebook."""
    from nbclient import NotebookClient

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in CELLS])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    client = NotebookClient(
        notebook,
        timeout=60,
        resources={"metadata": {"path": str(folder)}},
        store_widget_state=keeps_widgets,
        allow_errors=True,
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "IPYTHONDIR": str(folder / "ipython"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "SWEEP_TOKEN": planted.value,
        "SWEEP_LATE": f"{planted.value}-late",
    }
    made = client.execute(env=environment)
    nbformat.write(made, folder / "saved.ipynb")
    return made


def test_no_secret_is_saved(tmp_path: Path) -> None:
    """Outputs, tracebacks, documents, pictures, the state of widgets, and all of `.cascade/`: the secret is nowhere."""
    planted = Planted()
    made = execute(tmp_path, planted, keeps_widgets=False)
    shown = [[output.get("data", {}) for output in cell.outputs] for cell in made.cells]
    states = [data[DOCUMENT]["run"]["state"] for cell in shown for data in cell if DOCUMENT in data]
    assert states == ["completed", "completed", "completed", "failed", "failed"]
    failed = [cell.outputs for cell in made.cells if any(o.output_type == "error" for o in cell.outputs)]
    assert len(failed) == 3, [o for cell in made.cells for o in cell.outputs if o.output_type == "error"]
    text = (tmp_path / "saved.ipynb").read_text()
    assert "RefusedError" in text
    assert text.count("•••") + text.count("\\u2022\\u2022\\u2022") > 20
    for place, cell in enumerate(made.cells):
        assert not planted.found_in(nbformat.v4.writes(nbformat.v4.new_notebook(cells=[cell]))), CELLS[place]
    assert planted.files_with_it(tmp_path) == {}
    assert (tmp_path / ".cascade" / "index.db").exists()
