"""notebooks/01_quickstart.ipynb → its result on the terminal and build/quickstart.html.

In: the committed notebook. Out: one HTML page that shows the executed notebook and needs nothing else: no network, no
kernel, no server. Invariant: the committed notebook is only read; it runs in a real kernel, as in JupyterLab.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from demo_page import RUN, page
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

if TYPE_CHECKING:
    from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "notebooks" / "01_quickstart.ipynb"
PAGE = ROOT / "build" / "quickstart.html"
CELL_TIMEOUT = 300.0  # seconds


def main() -> None:
    """Execute the notebook, print what its last run gave, write the page and say where it is."""
    parser = argparse.ArgumentParser(description="Run the quickstart and write it as one HTML page.")
    parser.add_argument("--output", type=Path, default=PAGE, help="where the page goes")
    arguments = parser.parse_args()
    print(f"Running {NOTEBOOK.relative_to(ROOT)} in a kernel of its own …", flush=True)
    started = time.perf_counter()
    notebook = execute(nbformat.read(NOTEBOOK, as_version=4))
    print(f"Done in {time.perf_counter() - started:.1f} s.\n")
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    runs = [place for place, output in enumerate(outputs) if RUN in output.get("data", {})]
    if not runs:
        raise SystemExit("The notebook ran, but no cell of it holds a cascade run.")
    for place in runs:
        print(summary(outputs[place].data[RUN]))
    print(f"\n{result_text(outputs[runs[-1] :])}")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(page(notebook), encoding="utf-8")
    print(f"\nThe picture, and the whole notebook: {arguments.output.resolve().as_uri()}")


def execute(notebook: NotebookNode) -> NotebookNode:
    """Run all cells in a fresh kernel, in the notebook's own folder."""
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        store_widget_state=False,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        resources={"metadata": {"path": str(NOTEBOOK.parent)}},
    )
    # Jupyter warns until one says which folders to use.
    os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")
    try:
        return client.execute()
    except CellExecutionError as error:
        raise SystemExit(f"A cell of the quickstart failed.\n\n{error}") from None


def summary(document: dict[str, Any]) -> str:
    """One line on a finished run."""
    run = document["run"]
    counts = ", ".join(f"{count} {state}" for state, count in run["counts"].items() if count)
    return f"{run['name']}: {run['state']} in {run['elapsed']:.2f} s ({counts})"


def result_text(outputs: list[NotebookNode]) -> str:
    """What the notebook shows first as text after its last run, else what that run says of its result."""
    for output in outputs[1:]:
        data = output.get("data", {})
        if "text/plain" in data and not any(kind.startswith("image/") for kind in data):
            return str(data["text/plain"])
    result = outputs[0].data[RUN].get("result") or {}
    return str(result.get("text", ""))


if __name__ == "__main__":
    main()
