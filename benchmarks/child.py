"""One workload under one engine, timed in this process: `python -m benchmarks.child ENGINE WORKLOAD`.

In: two names; without the second, the kinds of workload that the engine knows are told. Out: one line of JSON with the
seconds of each repetition, or what went wrong. Invariant: an answer that is not the workload's is an error, never a
time.
"""

from __future__ import annotations

import gc
import importlib
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.workloads import BY_NAME, Workload

ENOUGH = 0.6  # seconds of repetitions
MOST = 25
LONG = 0.4  # seconds; what takes longer than this is not warmed up, unless it is asked for
STATUS = Path("/proc/self/status")


def main() -> None:
    """Measure and print."""
    engine = sys.argv[1]
    try:
        result = measure(engine, BY_NAME[sys.argv[2]]) if len(sys.argv) > 2 else kinds(engine)
    except (Exception, RecursionError) as error:  # noqa: BLE001 - a peer that cannot is a result too
        result = {"error": type(error).__name__, "message": str(error)[:300]}
    print(json.dumps(result))


def kinds(engine: str) -> dict[str, Any]:
    """Which kinds of workload an engine knows."""
    return {"kinds": list(importlib.import_module(f"benchmarks.engines.{engine}").PREPARE)}


def measure(engine: str, workload: Workload) -> dict[str, Any]:
    """Prepare, check the answer, repeat."""
    module = importlib.import_module(f"benchmarks.engines.{engine}")
    if workload.size > getattr(module, "LARGEST", {}).get(workload.kind, workload.size):
        return {"error": "quadratic"}
    workload = replace(workload, size=getattr(module, "MEASURED_AT", {}).get(workload.kind, workload.size))
    call = module.PREPARE[workload.kind](workload)
    if workload.unit == "KiB/task":
        module.PREPARE[workload.kind](replace(workload, size=2 * workload.width))()  # loads what loads at first use
        return {"size": workload.size, "memory": peak_growth(call, workload)}
    return {"size": workload.size, "seconds": repeat(call, workload)}


def repeat(call: Callable[[], object], workload: Workload) -> list[float]:
    """Time a call some times over, by the workload's rule on the first one."""
    first = timed(call, workload)
    if workload.start == "cold" or (workload.start == "any" and first > LONG):
        return [first]
    times = [timed(call, workload)]
    while first < LONG and len(times) < MOST and sum(times) < ENOUGH:
        times.append(timed(call, workload))
    return times


def timed(call: Callable[[], object], workload: Workload) -> float:
    """Seconds of one call; its answer is checked outside of the time."""
    gc.collect()
    start = time.perf_counter()
    answer = call()
    seconds = time.perf_counter() - start
    check(answer, workload)
    return seconds


def check(answer: object, workload: Workload) -> None:
    """Refuse a wrong answer."""
    if answer != workload.answer:
        raise ValueError(f"{workload.name} gave {str(answer)[:80]}, not {str(workload.answer)[:80]}.")


def peak_growth(call: Callable[[], object], workload: Workload) -> float:
    """KiB a task by which the process grew at its largest."""
    gc.collect()
    before = resident("VmRSS")
    answer = call()
    peak = resident("VmHWM")
    check(answer, workload)
    return (peak - before) / workload.size


def resident(field: str) -> float:
    """Resident memory in KiB, now (`VmRSS`) or at its largest (`VmHWM`)."""
    if STATUS.exists():
        line = next(line for line in STATUS.read_text(encoding="ascii").splitlines() if line.startswith(field))
        return float(line.split()[1])
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest / 1024 if sys.platform == "darwin" else float(largest)


if __name__ == "__main__":
    main()
