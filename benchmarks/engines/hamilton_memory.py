"""Hamilton with its cache: the functions are in a file, since it tells by their source whether they have changed."""

from __future__ import annotations

import importlib.util
import logging
import sys
from pathlib import Path
from types import ModuleType

from hamilton import driver

from benchmarks import sources, stored
from benchmarks.workloads import Workload

ROOM = 200_000  # it walks the graph by recursion


def remember(workload: Workload, folder: Path, first_leaf: int) -> object:
    """Write the functions down, build a driver that caches, and execute it."""
    logging.getLogger("hamilton").setLevel(logging.ERROR)
    sys.setrecursionlimit(ROOM)
    module = write_module(workload, folder, first_leaf)
    built = driver.Builder().with_modules(module).with_cache(path=str(folder / "cache")).build()
    return built.execute(["sink"])["sink"]


def write_module(workload: Workload, folder: Path, first_leaf: int) -> ModuleType:
    """Return the graph as a module of a file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"nodes_{workload.size}_{first_leaf}.py"
    lines = sources.dag_lines(workload, first_leaf)
    file.write_text("\n".join(["from benchmarks.work import add, inc, total", *lines]) + "\n", encoding="utf-8")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    return module


PREPARE = stored.rows("hamilton_memory", remember)
