"""What an import costs: milliseconds above a bare Python, modules, and whether asyncio came along.

In: import statements. Out: one `ImportCost` for each. Invariant: bytecode is there before anything is timed, in a
cache of our own, also where `PYTHONDONTWRITEBYTECODE` is set.
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
COUNT = "import sys; before = set(sys.modules); {0}; new = set(sys.modules) - before; print(len(new), *new)"


@dataclass(frozen=True, slots=True)
class ImportCost:
    """The cost of one import statement.

    Args:
        statement: what was imported.
        milliseconds: median above a bare Python.
        modules: how many modules were loaded.
        has_asyncio: whether asyncio was among them.
    """

    statement: str
    milliseconds: float
    modules: int
    has_asyncio: bool


def measure_imports(statements: list[str], rounds: int) -> list[ImportCost]:
    """Time the statements in turns, a bare Python between them."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        present = {line: loaded for line in statements if (loaded := load(line, environment)) is not None}
        samples: dict[str, list[float]] = {line: [] for line in present}
        for _ in range(rounds):
            bare = start("pass", environment)
            for line, times in samples.items():
                times.append(start(line, environment) - bare)
    return [
        ImportCost(line, median(samples[line]) * 1000, len(loaded), "asyncio" in loaded)
        for line, loaded in present.items()
    ]


def load(statement: str, environment: dict[str, str]) -> list[str] | None:
    """Import once to fill the cache; the modules that came, None if it is not installed."""
    command = [sys.executable, "-c", COUNT.format(statement)]
    answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return answer.stdout.split()[1:] if answer.returncode == 0 else None


def start(program: str, environment: dict[str, str]) -> float:
    """Seconds from start to end of a Python that runs one line."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, check=True)
    return time.perf_counter() - begin
