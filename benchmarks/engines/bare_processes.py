"""loky's reusable pool with one worker a core, fed by hand."""

from __future__ import annotations

import os
from collections.abc import Callable

from loky import get_reusable_executor

from benchmarks.work import spin, tick
from benchmarks.workloads import Workload


def cpu(workload: Workload) -> Callable[[], object]:
    """`submit` for each computation; the pool stays between calls."""

    def run() -> object:
        pool = get_reusable_executor(max_workers=os.cpu_count() or 2)
        return [future.result() for future in [pool.submit(spin, number) for number in range(workload.size)]]

    return run


def pool_map(workload: Workload) -> Callable[[], object]:
    """The pool's own `map`, a call for each item, as a user writes it first."""

    def run() -> object:
        pool = get_reusable_executor(max_workers=os.cpu_count() or 2)
        return list(pool.map(tick, range(workload.size)))

    return run


PREPARE = {"cpu": cpu, "pool_map": pool_map}
