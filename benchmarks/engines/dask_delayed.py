"""Dask as its users write it: `delayed` functions, computed in the calling thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask
from dask import delayed

from benchmarks.work import add, inc, total
from benchmarks.workloads import Workload


def compute(target: Any, scheduler: str = "sync") -> object:
    """Run one delayed value."""
    (value,) = dask.compute(target, scheduler=scheduler)
    return value


def chain(workload: Workload) -> Callable[[], object]:
    """Each call reads the one before."""
    step = delayed(inc)

    def run() -> object:
        value: Any = 0
        for _ in range(workload.size):
            value = step(value)
        return compute(value)

    return run


def fan_in(workload: Workload) -> Callable[[], object]:
    """Many calls in the list that one reads."""
    leaf, sink = delayed(inc), delayed(total)
    return lambda: compute(sink([leaf(number) for number in range(workload.size)]))


def map_(workload: Workload) -> Callable[[], object]:
    """Many calls in a list."""
    leaf = delayed(inc)
    return lambda: compute([leaf(number) for number in range(workload.size)])


def layered(workload: Workload, scheduler: str) -> Callable[[], object]:
    """The layered graph."""
    leaf, join, sink = delayed(inc), delayed(add), delayed(total)
    parents = workload.parents

    def run() -> object:
        values = [leaf(number) for number in range(workload.width)]
        for left, right in parents:
            values.append(join(values[left], values[right]))
        return compute(sink([values[number] for number in workload.last_layer]), scheduler)

    return run


def dag(workload: Workload) -> Callable[[], object]:
    """In the calling thread."""
    return layered(workload, "sync")


def dag_threads(workload: Workload) -> Callable[[], object]:
    """In threads, its default."""
    return layered(workload, "threads")


PREPARE = {"chain": chain, "fan_in": fan_in, "map": map_, "dag": dag, "dag_threads": dag_threads}
# Building is quadratic: 0.2 s at 1,000 nodes, so half an hour at 100,000.
LARGEST = {"chain": 10_000, "dag": 10_000}
