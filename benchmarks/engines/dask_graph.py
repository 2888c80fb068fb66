"""Dask on a hand-made dict graph: its fastest way in, without `delayed`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import dask
import dask.multiprocessing
import dask.threaded

from benchmarks.work import add, inc, nap, spin, total
from benchmarks.workloads import Workload

WORKERS = os.cpu_count() or 2
Get = Callable[..., Any]


def chain(workload: Workload) -> Callable[[], object]:
    """Each key reads the one before."""

    def run() -> object:
        graph: dict[str, Any] = {"n0": (inc, 0)}
        for number in range(1, workload.size):
            graph[f"n{number}"] = (inc, f"n{number - 1}")
        return dask.get(graph, f"n{workload.size - 1}")

    return run


def fan_in(workload: Workload) -> Callable[[], object]:
    """A list of keys as argument."""

    def run() -> object:
        graph: dict[str, Any] = {f"n{number}": (inc, number) for number in range(workload.size)}
        graph["total"] = (total, list(graph))
        return dask.get(graph, "total")

    return run


def map_(workload: Workload) -> Callable[[], object]:
    """Independent keys."""
    return lambda: list(side_by_side(inc, workload, dask.get))


def layered(workload: Workload, get: Get) -> Callable[[], object]:
    """The layered graph by one of Dask's schedulers."""
    parents = workload.parents

    def run() -> object:
        width = workload.width
        graph: dict[str, Any] = {f"n{number}": (inc, number) for number in range(width)}
        for number, (left, right) in enumerate(parents, width):
            graph[f"n{number}"] = (add, f"n{left}", f"n{right}")
        graph["total"] = (total, [f"n{number}" for number in workload.last_layer])
        return get(graph, "total")

    return run


def dag(workload: Workload) -> Callable[[], object]:
    """In the calling thread."""
    return layered(workload, dask.get)


def dag_threads(workload: Workload) -> Callable[[], object]:
    """In one thread a core, its default."""
    return layered(workload, dask.threaded.get)


def side_by_side(function: Callable[[int], int], workload: Workload, get: Get, **options: object) -> Any:
    """Independent calls."""
    graph = {f"n{number}": (function, number) for number in range(workload.size)}
    return get(graph, list(graph), **options)


def naps(workload: Workload) -> Callable[[], object]:
    """With as many threads as sleeps; its default is one a core."""
    return lambda: list(side_by_side(nap, workload, dask.threaded.get, num_workers=workload.size))


def cpu(workload: Workload) -> Callable[[], object]:
    """In processes, one task at a time for each."""
    options = {"num_workers": WORKERS, "chunksize": 1}
    return lambda: list(side_by_side(spin, workload, dask.multiprocessing.get, **options))


PREPARE = {
    "chain": chain,
    "fan_in": fan_in,
    "map": map_,
    "dag": dag,
    "dag_threads": dag_threads,
    "naps": naps,
    "cpu": cpu,
}
# `dask.order` keeps the roots of every node: 44 us a task at 1,000 tasks, 1,500 us and 178 KiB at 100,000.
LARGEST = {"dag": 20_000}
