"""Hamilton: a function a node, composed by parameter names; the driver is built and run each time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from hamilton import ad_hoc_utils, driver
from hamilton.execution import executors
from hamilton.htypes import Collect, Parallelizable  # noqa: TC002 - Hamilton reads the annotations

from benchmarks import sources
from benchmarks.engines import hamilton_memory
from benchmarks.work import inc
from benchmarks.workloads import Workload

# It walks the graph by recursion and stops at a chain of some 300. It is given the room, but not in the row that asks
# who can do without.
DEEPEST_WITH_ROOM = 10_000
ROOM = 200_000


def composed(make: Callable[[Workload], sources.Functions], last: str) -> Callable[[Workload], Callable[[], object]]:
    """Build a driver of the functions and execute it for `last`."""

    def prepare(workload: Workload) -> Callable[[], object]:
        module = ad_hoc_utils.create_temporary_module(
            *make(workload), module_name=f"nodes_{workload.name}_{workload.size}"
        )
        target = last.format(workload.size - 1)
        if workload.kind != "chain" or workload.size <= DEEPEST_WITH_ROOM:
            sys.setrecursionlimit(ROOM)

        def run() -> object:
            built = driver.Builder().with_modules(module).build()
            return built.execute([target])[target]

        return run

    return prepare


def map_(workload: Workload) -> Callable[[], object]:
    """Its parallel blocks, executed one after the other in this process."""

    def item(start: int) -> Parallelizable[int]:
        yield from range(start, workload.size)

    def grown(item: int) -> int:
        return inc(item)

    def grown_all(grown: Collect[int]) -> list[int]:
        return list(grown)

    local: Any = executors.SynchronousLocalTaskExecutor
    module = ad_hoc_utils.create_temporary_module(item, grown, grown_all, module_name="items")

    def run() -> object:
        builder = driver.Builder().with_modules(module).enable_dynamic_execution(allow_experimental_mode=True)
        built = builder.with_local_executor(local()).with_remote_executor(local()).build()
        return built.execute(["grown_all"], inputs={"start": 0})["grown_all"]

    return run


PREPARE = {
    **hamilton_memory.PREPARE,
    "chain": composed(sources.chain, "n{}"),
    "fan_in": composed(sources.fan_in, "sink"),
    "map": map_,
    "dag": composed(sources.dag, "sink"),
}
