"""cascade on a Dask cluster of this machine, and in processes of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cascade as cs
from benchmarks.work import blob, tick, tock, total, weigh
from benchmarks.workloads import Workload


def execute(target: Any, executor: Any) -> object:
    """Run a target elsewhere."""
    return cs.run(target, executor=executor, log_level=None)


def layered(function: Callable[..., int]) -> Callable[[Workload], Callable[[], object]]:
    """The layered graph of one function."""
    task: Any = cs.task(function)
    sink: Any = cs.task(total)

    def prepare(workload: Workload) -> Callable[[], object]:
        parents = workload.parents

        def run() -> object:
            values = [task(number) for number in range(workload.width)]
            for left, right in parents:
                values.append(task(values[left], values[right]))
            return execute(sink([values[number] for number in workload.last_layer]), "dask")

        return run

    return prepare


def chain(workload: Workload) -> Callable[[], object]:
    """Each call reads the one before."""
    task: Any = cs.task(tick)

    def run() -> object:
        value: Any = 0
        for _ in range(workload.size):
            value = task(value)
        return execute(value, "dask")

    return run


def large(workload: Workload) -> Callable[[], object]:
    """Large values that other calls read."""
    make: Any = cs.task(blob)
    read: Any = cs.task(weigh)
    return lambda: execute([read(make(number)) for number in range(workload.size)], "dask")


def back(workload: Workload) -> Callable[[], object]:
    """Large values that come here."""
    make: Any = cs.task(blob)
    return lambda: execute([make(number) for number in range(workload.size)], "dask")


def map_on(executor: str) -> Callable[[Workload], Callable[[], object]]:
    """One node with many items."""
    task: Any = cs.task(tick)
    return lambda workload: lambda: execute(task.map(range(workload.size)), executor)


PREPARE = {
    "cluster_dag": layered(tick),
    "cluster_dag_slow": layered(tock),
    "cluster_chain": chain,
    "cluster_map": map_on("dask"),
    "cluster_large": large,
    "cluster_back": back,
    "pool_map": map_on("process"),
}
