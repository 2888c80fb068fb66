"""One workload under one engine, timed in this process: `python -m benchmarks.child ENGINE WORKLOAD`.

In: two names. Out: one line of JSON with the seconds of each repetition, or what went wrong. Invariant: an answer that
is not the workload's is an error, never a time.
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
LONG = 1.0  # seconds; what takes longer than this is not warmed up
STATUS = Path("/proc/self/status")


def main() -> None:
    """Measure and print."""
    engine, workload = sys.argv[1], BY_NAME[sys.argv[2]]
    try:
        result = measure(engine, workload)
    except (Exception, RecursionError) as error:  # noqa: BLE001 - a peer that cannot is a result too
        result = {"error": type(error).__name__, "message": str(error)[:300]}
    print(json.dumps(result))


def measure(engine: str, workload: Workload) -> dict[str, Any]:
    """Prepare, check the answer, repeat."""
    module = importlib.import_module(f"benchmarks.engines.{engine}")
    if workload.kind not in module.PREPARE:
        return {"error": "absent"}
    if workload.size > getattr(module, "LARGEST", {}).get(workload.kind, workload.size):
        return {"error": "quadratic"}
    workload = replace(workload, size=getattr(module, "MEASURED_AT", {}).get(workload.kind, workload.size))
    call = module.PREPARE[workload.kind](workload)
    if workload.unit == "KiB/task":
        module.PREPARE[workload.kind](replace(workload, size=2 * workload.width))()  # loads what loads at first use
        return {"size": workload.size, "memory": peak_growth(call, workload)}
    return {"size": workload.size, "seconds": repeat(call, workload)}


def repeat(call: Callable[[], object], workload: Workload) -> list[float]:
    """Time a call some times over; the first is a warm-up if it was short and may be one."""
    times = [timed(call, workload)]
    if workload.once or times[0] > LONG:
        return times
    times.clear()
    while len(times) < MOST and (sum(times) < ENOUGH or len(times) < 3):
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
