"""joblib: `Parallel` over independent calls; it has no graphs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from joblib import Parallel, delayed

from benchmarks.engines import joblib_memory
from benchmarks.work import inc, nap, spin, total
from benchmarks.workloads import Workload

WORKERS = os.cpu_count() or 2


def threaded(function: Callable[[int], int], numbers: Iterable[int], workers: int = WORKERS) -> list[int]:
    """Independent calls in threads."""
    return list(Parallel(n_jobs=workers, prefer="threads")(delayed(function)(number) for number in numbers))


def fan_in(workload: Workload) -> Callable[[], object]:
    """Parallel calls, then one."""
    return lambda: total(threaded(inc, range(workload.size)))


def map_(workload: Workload) -> Callable[[], object]:
    """Parallel calls."""
    return lambda: threaded(inc, range(workload.size))


def naps(workload: Workload) -> Callable[[], object]:
    """With as many threads as sleeps."""
    return lambda: threaded(nap, range(workload.size), workload.size)


def cpu(workload: Workload) -> Callable[[], object]:
    """In processes, which stay between calls."""
    return lambda: list(Parallel(n_jobs=WORKERS)(delayed(spin)(number) for number in range(workload.size)))


PREPARE = {**joblib_memory.PREPARE, "fan_in": fan_in, "map": map_, "naps": naps, "cpu": cpu}
