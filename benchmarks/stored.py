"""Results that outlive the process: what is measured is a run beside a store that another process has filled.

In: an engine's way to run the layered graph with a store in a folder. Out: how it prepares each of the rows about
memory. Invariant: the store is filled by a process of its own, and what an engine loads at first use is loaded before
the time begins, by a small graph with a store of its own, the same for every engine.
"""

from __future__ import annotations

import atexit
import importlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.workloads import BY_NAME, Workload

SMALL = 2  # layers of the graph that loads the modules
FILLING = 170.0  # seconds

# workload, folder of the store, number that the first leaf reads → value
Remember = Callable[[Workload, Path, int], object]
Prepare = Callable[[Workload], Callable[[], object]]


def rows(engine: str, remember: Remember) -> dict[str, Prepare]:
    """Return what an engine that remembers puts into its PREPARE.

    Args:
        engine: name of its module, which has `remember` as an attribute of this name.
    """

    def first(workload: Workload) -> Callable[[], object]:
        place, folders = load_modules(workload, remember), iter(range(1000))
        return lambda: remember(workload, place / str(next(folders)), 0)

    def again(workload: Workload) -> Callable[[], object]:
        place = load_modules(workload, remember)
        fill(engine, workload, place / "full")
        return lambda: remember(workload, place / "full", workload.first_leaf)

    return {"dag_first": first, "dag_again": again, "dag_changed": again}


def load_modules(workload: Workload, remember: Remember) -> Path:
    """Run a small graph; return a folder for stores."""
    place = new_place()
    remember(replace(workload, size=SMALL * workload.width), place / "small", 0)
    return place


def new_place() -> Path:
    """Return a folder that is removed when the process ends."""
    place = Path(tempfile.mkdtemp(prefix="bench-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place


def fill(engine: str, workload: Workload, folder: Path) -> None:
    """Have another process run the graph once, with the first leaf as it is at first."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.stored",
        engine,
        workload.name,
        str(workload.size),
        str(workload.width),
    ]
    subprocess.run([*command, str(folder)], check=True, timeout=FILLING, capture_output=True)


def main() -> None:
    """Fill a store: the other process."""
    engine, name, size, width, folder = sys.argv[1:]
    workload = replace(BY_NAME[name], size=int(size), width=int(width))
    importlib.import_module(f"benchmarks.engines.{engine}").remember(workload, Path(folder), 0)


if __name__ == "__main__":
    main()
