"""One notebook, its tasks defined in cells, runs unchanged on every executor, in a real kernel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[3]
CELLS = [
    "%load_ext cascade",
    "import cascade as cs, os\nFACTOR = 3\ndef helper(x):\n    return x * FACTOR",
    """
@cs.task
def load(n):
    print(f'loading {n}')
    return list(range(n))
@cs.task
def scale(x):
    return helper(x)
@cs.task
def total(xs):
    return sum(xs), os.getpid()
""",
]


@pytest.mark.parametrize("executor", ["threads", "process", "dask"])
def test_same_notebook(executor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The values are the same; with processes and Dask the tasks ran elsewhere."""
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    run = f"%%cascade -o found --executor {executor} --view text\ntotal(scale.map(load(20)))"
    cells = [*CELLS, run, "print('sum', found[0], 'elsewhere', found[1] != os.getpid())"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    said = "".join(output.get("text", "") for output in notebook.cells[-1].outputs)
    assert said == f"sum 570 elsewhere {executor != 'threads'}\n"
