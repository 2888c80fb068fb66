"""Dask as its users write it for a cluster: `delayed` functions and `Client.map`, on the same cluster as cascade's."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from dask import delayed

from benchmarks.work import blob, tick, tock, total, weigh
from benchmarks.workloads import Workload
from cascade.adapters.executors.dask import DaskExecutor


@cache
def client() -> Any:
    """Return the client of the cluster that ``executor="dask"`` starts."""
    cluster: Any = DaskExecutor().join()
    return cluster.client


def layered(function: Callable[..., int]) -> Callable[[Workload], Callable[[], object]]:
    """The layered graph of one function."""
    task, sink = delayed(function, pure=False), delayed(total, pure=False)

    def prepare(workload: Workload) -> Callable[[], object]:
        parents = workload.parents

        def run() -> object:
            values = [task(number) for number in range(workload.width)]
            for left, right in parents:
                values.append(task(values[left], values[right]))
            return client().compute(sink([values[number] for number in workload.last_layer])).result()

        return run

    return prepare


def chain(workload: Workload) -> Callable[[], object]:
    """Each call reads the one before."""
    task = delayed(tick, pure=False)

    def run() -> object:
        value: Any = 0
        for _ in range(workload.size):
            value = task(value)
        return client().compute(value).result()

    return run


def map_(workload: Workload) -> Callable[[], object]:
    """Many calls at once."""
    return lambda: client().gather(client().map(tick, range(workload.size), pure=False))


def large(workload: Workload) -> Callable[[], object]:
    """Large values that other calls read."""
    make, read = delayed(blob, pure=False), delayed(weigh, pure=False)
    return lambda: client().gather(client().compute([read(make(number)) for number in range(workload.size)]))


def back(workload: Workload) -> Callable[[], object]:
    """Large values that come here."""
    make = delayed(blob, pure=False)
    return lambda: client().gather(client().compute([make(number) for number in range(workload.size)]))


PREPARE = {
    "cluster_dag": layered(tick),
    "cluster_dag_slow": layered(tock),
    "cluster_chain": chain,
    "cluster_map": map_,
    "cluster_large": large,
    "cluster_back": back,
}
