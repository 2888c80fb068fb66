"""The committed notebooks, executed anew in place: `python scripts/notebooks.py 05` before a commit.

In: notebooks/*.ipynb, or those whose names begin with the words of the command line. Out: the same files with fresh
outputs. Invariant: a real kernel runs every cell, told what Jupyter would tell it; no widget state, no times and no
path of this machine is stored; a cell that fails, if it has no tag for it, stops all and the file stays as it was.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "notebooks"
EXTENSION = ROOT / "cascade" / "notebook" / "static" / "labextension"
MOST = 1_000_000  # bytes of one notebook
TIMEOUT = 300  # seconds that one cell may take
_PACKAGES = re.compile(r"[^\s'\"()\x1b]*site-packages[/\\]")


class LikeJupyter(NotebookClient):
    """Runs a notebook as a person in JupyterLab does: the kernel is told the id of each cell, which nbclient keeps."""

    async def async_execute_cell(self, cell: Any, cell_index: int, *args: Any, **kwargs: Any) -> Any:
        """Execute a cell whose requests carry its id."""
        if self.kc is None:
            raise RuntimeError("The kernel has not been started.")
        session = self.kc.session
        make = session.msg

        def message(kind: str, *rest: Any, **named: Any) -> dict[str, Any]:
            made: dict[str, Any] = make(kind, *rest, **named)
            if kind == "execute_request":
                made["metadata"]["cellId"] = cell.id
            return made

        session.msg = message
        try:
            return await super().async_execute_cell(cell, cell_index, *args, **kwargs)
        finally:
            session.msg = make


def execute(notebook: nbformat.NotebookNode, path: Path, folder: Path, more: Mapping[str, str] | None = None) -> None:
    """Execute a notebook and take out what belongs to this machine.

    Args:
        notebook: filled with outputs. path: its file, as Jupyter tells it to the kernel. folder: where the kernel
            works. more: environment variables.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        shutil.copytree(EXTENSION, Path(home) / "labextensions" / "cascade-notebook")
        place = {"metadata": {"path": str(folder)}}
        client = LikeJupyter(
            notebook, timeout=TIMEOUT, kernel_name="python3", store_widget_state=False, resources=place
        )
        told = {"JUPYTER_PATH": home, "JPY_SESSION_NAME": str(path), "IPYTHONDIR": str(Path(home) / "ipython")}
        client.execute(env={**os.environ, **told, **(more or {})})
    clean(notebook)


def clean(notebook: nbformat.NotebookNode) -> None:
    """Take times, and the folders of libraries in tracebacks, out of an executed notebook."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", ()):
            if output.output_type == "error":
                output.traceback = [_PACKAGES.sub("", line) for line in output.traceback]


def main(names: list[str]) -> None:
    """Execute each notebook and write it back."""
    os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")
    wanted = [path for path in sorted(FOLDER.glob("*.ipynb")) if not names or path.name.startswith(tuple(names))]
    for path in wanted:
        notebook = nbformat.read(path, as_version=4)
        execute(notebook, path, FOLDER)
        size = len(nbformat.writes(notebook).encode())
        if size > MOST:
            raise SystemExit(f"{path.name} would be larger than {MOST / 1000:.0f} KB.")
        nbformat.write(notebook, path)
        print(f"{path.name}: {size / 1000:.0f} KB")


if __name__ == "__main__":
    main(sys.argv[1:])
