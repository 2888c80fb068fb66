"""What an import costs: milliseconds above a bare Python, modules, and whether asyncio came along.

In: module names. Out: one `ImportCost` for each. Invariant: bytecode is there before anything is timed, in a cache of
our own, also where `PYTHONDONTWRITEBYTECODE` is set.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
COUNT = "import sys; before = set(sys.modules); import {0}; new = set(sys.modules) - before; print(len(new), *new)"


@dataclass(frozen=True, slots=True)
class ImportCost:
    """The cost of `import module`.

    Args:
        module: what was imported.
        milliseconds: median above a bare Python.
        modules: how many modules were loaded.
        has_asyncio: whether asyncio was among them.
    """

    module: str
    milliseconds: float
    modules: int
    has_asyncio: bool


def measure_imports(modules: list[str], rounds: int) -> list[ImportCost]:
    """Time the modules in turns, a bare Python between them."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        present = {name: loaded for name in modules if (loaded := load(name, environment)) is not None}
        samples: dict[str, list[float]] = {name: [] for name in present}
        for _ in range(rounds):
            bare = start("pass", environment)
            for name, times in samples.items():
                times.append(start(f"import {name}", environment) - bare)
    return [
        ImportCost(name, median(samples[name]) * 1000, len(loaded), "asyncio" in loaded)
        for name, loaded in present.items()
    ]


def load(module: str, environment: dict[str, str]) -> list[str] | None:
    """Import once to fill the cache; the modules that came, None if it is not installed."""
    command = [sys.executable, "-c", COUNT.format(module)]
    answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return answer.stdout.split()[1:] if answer.returncode == 0 else None


def start(program: str, environment: dict[str, str]) -> float:
    """Seconds from start to end of a Python that runs one line."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, check=True)
    return time.perf_counter() - begin
