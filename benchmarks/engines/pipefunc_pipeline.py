"""pipefunc: a function a node, composed by parameter names; the pipeline is built and run each time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from pipefunc import PipeFunc, Pipeline

from benchmarks import sources
from benchmarks.work import inc
from benchmarks.workloads import Workload


def composed(make: Callable[[Workload], sources.Functions], last: str) -> Callable[[Workload], Callable[[], object]]:
    """Build a pipeline of the functions and run it for `last`."""

    def prepare(workload: Workload) -> Callable[[], object]:
        functions = make(workload)
        target = last.format(workload.size - 1)
        sys.setrecursionlimit(100_000)  # it recurses over the graph

        def run() -> object:
            nodes: Any = [PipeFunc(function, function.__name__) for function in functions]
            return Pipeline(nodes, validate_type_annotations=False).run(target, kwargs={})

        return run

    return prepare


def map_(workload: Workload) -> Callable[[], object]:
    """Its map over an array, in this process, values kept in memory."""

    def run() -> object:
        pipeline = Pipeline([PipeFunc(inc, "y", mapspec="x[i] -> y[i]")])
        answer = pipeline.map({"x": list(range(workload.size))}, parallel=False, storage="dict", show_progress=False)
        return [int(value) for value in answer["y"].output]

    return run


PREPARE = {
    "chain": composed(sources.chain, "n{}"),
    "fan_in": composed(sources.fan_in, "sink"),
    "map": map_,
    "dag": composed(sources.dag, "sink"),
}
# Building is quadratic: 4 ms a node at 200 nodes, 20 at 1,000. Composed graphs are measured at 200, to its favour.
MEASURED_AT = {"chain": 200, "fan_in": 200, "dag": 200}
LARGEST = {"chain": 10_000, "dag": 10_000}
