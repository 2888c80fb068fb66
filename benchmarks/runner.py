"""Workloads × engines → medians: every pair in a process of its own, in turns, so that a slow minute hits all alike.

In: names of workloads and engines. Out: a `Report`. Invariant: one process at a time; nothing else is measured beside.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.imports import measure_imports
from benchmarks.workloads import BY_NAME, Workload

ROOT = Path(__file__).resolve().parent.parent

# Name in the table → module in engines/, in the order of the columns: ours, the limits, the peers.
ENGINES = {
    "cascade": "cascade_run",
    "direct": "direct",
    "asyncio": "bare_asyncio",
    "threads": "bare_threads",
    "loky": "bare_processes",
    "dask": "dask_graph",
    "delayed": "dask_delayed",
    "cluster": "dask_cluster",
    "hamilton": "hamilton_driver",
    "pipefunc": "pipefunc_pipeline",
    "joblib": "joblib_parallel",
}
# What `import` costs, and what it costs until the first task can be defined and run: cascade loads at first use.
IMPORTS = {
    "import": {
        "cascade": "import cascade",
        "dask": "import dask",
        "hamilton": "import hamilton.driver",
        "pipefunc": "import pipefunc",
        "joblib": "import joblib",
        "doit": "import doit",
    },
    "import_ready": {
        "cascade": "from cascade import Param, run, task",
        "dask": "from dask import delayed, compute",
        "hamilton": "from hamilton import driver",
        "pipefunc": "from pipefunc import Pipeline, pipefunc",
        "joblib": "from joblib import Parallel, delayed",
    },
}
IMPORT_ROUNDS = 15
SLOW = 4.0  # seconds; a pair whose call takes longer is measured in the first round only
TIMEOUT = 180.0  # seconds a process may take


@dataclass(slots=True)
class Report:
    """What was measured, by row and engine.

    Args:
        samples: every sample, in the row's unit.
        missing: why a number is not there.
        sizes: at which size it was measured, where that is not the row's.
    """

    samples: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    missing: dict[str, dict[str, str]] = field(default_factory=dict)
    sizes: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, row: str, engine: str, values: list[float]) -> None:
        """Keep the samples of one process."""
        self.samples.setdefault(row, {}).setdefault(engine, []).extend(values)

    @property
    def medians(self) -> dict[str, dict[str, float]]:
        """The middle sample of each pair."""
        return {
            row: {engine: median(values) for engine, values in cells.items()} for row, cells in self.samples.items()
        }


def run(
    workloads: Iterable[str], engines: Iterable[str], rounds: int, tell: Callable[[str], None], *, with_imports: bool
) -> Report:
    """Measure every pair `rounds` times, in turns."""
    report = Report()
    known = {engine: set(child(engine).get("kinds", ())) for engine in engines}
    pairs = [(BY_NAME[name], engine) for name in workloads for engine in known if BY_NAME[name].kind in known[engine]]
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}: {len(pairs)} processes")
        pairs = [pair for pair in pairs if measure(*pair, report)]
    if with_imports:
        tell("imports")
        add_imports(report)
    return report


def measure(workload: Workload, engine: str, report: Report) -> bool:
    """Measure one pair; whether another round is worth its time."""
    result = child(engine, workload.name)
    if "error" in result:
        report.missing.setdefault(workload.name, {})[engine] = result["error"]
        if result["error"] != "quadratic":
            print(f"  {workload.name} under {engine}: {result['error']}: {result.get('message', '')}", file=sys.stderr)
        return False
    if result["size"] != workload.size:
        report.sizes.setdefault(workload.name, {})[engine] = result["size"]
    if "memory" in result:
        report.add(workload.name, engine, [result["memory"]])
        return True
    seconds: list[float] = result["seconds"]
    scale = 1000 if workload.unit == "ms" else 1e6 / result["size"]
    report.add(workload.name, engine, [value * scale for value in seconds])
    return max(seconds) < SLOW


def child(engine: str, *workload: str) -> dict[str, Any]:
    """Start a process for one engine, and a workload or none, and read its line."""
    command = [sys.executable, "-m", "benchmarks.child", ENGINES[engine], *workload]
    environment = {**os.environ, "HAMILTON_TELEMETRY_ENABLED": "false"}
    try:
        answer = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return {"error": "timeout", "message": f"more than {TIMEOUT:g} s"}
    if answer.returncode != 0:
        return {"error": "crash", "message": answer.stderr[-300:]}
    result: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return result


def add_imports(report: Report) -> None:
    """More rows: time and modules of an import."""
    statements = [line for row in IMPORTS.values() for line in row.values()]
    costs = {cost.statement: cost for cost in measure_imports(statements, IMPORT_ROUNDS)}
    for row, lines in IMPORTS.items():
        for engine, line in lines.items():
            if line in costs:
                report.add(row, engine, [costs[line].milliseconds])
                report.add(f"{row}_modules", engine, [costs[line].modules])
