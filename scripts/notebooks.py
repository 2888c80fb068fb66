"""The committed notebooks, executed anew in place, as `make notebooks` does before a commit.

In: notebooks/*.ipynb. Out: the same files with fresh outputs. Invariant: a real kernel runs every cell; no widget state
is stored; a cell that fails stops everything and the file stays as it was.
"""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
MOST = 500_000  # bytes of one notebook


def main() -> None:
    """Execute each notebook and write it back."""
    os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")
    for path in sorted(FOLDER.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        place = {"metadata": {"path": str(FOLDER)}}
        client = NotebookClient(notebook, timeout=300, kernel_name="python3", store_widget_state=False, resources=place)
        client.execute()
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)
        nbformat.write(notebook, path)
        size = path.stat().st_size
        print(f"{path.name}: {size / 1000:.0f} KB")
        if size > MOST:
            raise SystemExit(f"{path.name} is larger than {MOST / 1000:.0f} KB.")


if __name__ == "__main__":
    main()
