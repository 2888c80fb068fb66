"""What is run: shapes of graphs as plain data, with the answer that each must give.

In: nothing. Out: the workloads, in the order of the table. Invariant: a workload is the same graph for every engine;
random shapes are drawn from a fixed seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from benchmarks.work import BLOB, PRIME, add, blob, ground, inc, spun, total

Kind = Literal[
    "chain", "fan_in", "map", "dag", "dag_threads", "async_naps", "naps", "cpu",
    "dag_plain", "dag_opted_out", "dag_pure", "dag_first", "dag_again", "dag_changed",
    "key_array", "key_frame", "look_up", "why",
    "cluster_dag", "cluster_dag_slow", "cluster_chain", "cluster_map", "cluster_large", "cluster_back", "pool_map",
    "redis_look_up", "redis_first", "redis_again",
    "untold", "told",
    "dag_large", "simulate", "plan", "visualize", "view", "report", "watch",
]  # fmt: skip
Unit = Literal["us/task", "ms", "KiB/task"]

DAG_WIDTH = 50
GROWTH_WIDTH = 100
DOCUMENT = 200_000  # bytes that the document of a run may have in a notebook
SEED = 7


@dataclass(frozen=True)
class Workload:
    """One row of the table.

    Args:
        name: as on the command line.
        title: as in the table.
        kind: which function of an engine prepares it.
        size: number of tasks, items or sleeps.
        unit: what the number means.
        width: tasks in a layer, for layered graphs.
        first_leaf: what the first leaf reads in place of 0, where the graph is run again after a change.
        start: ``cold``, only the first call counts; ``warm``, it never does; ``any``, it does if it is long.
    """

    name: str
    title: str
    kind: Kind
    size: int
    unit: Unit = "us/task"
    width: int = DAG_WIDTH
    first_leaf: int = 0
    start: Literal["cold", "warm", "any"] = "any"

    @cached_property
    def parents(self) -> list[tuple[int, int]]:
        """The layered graph: for each task after the first layer, the two tasks of the layer before that it reads.

        Tasks are numbered layer by layer; number `i` is at `parents[i - width]`. The first of the two stands straight
        above, so that every task is needed; the second is drawn.
        """
        draw = random.Random(SEED)
        width = self.width
        pairs = []
        for number in range(width, self.size):
            first = (number // width - 1) * width
            pairs.append((number - width, first + draw.randrange(width)))
        return pairs

    @property
    def last_layer(self) -> range:
        """The tasks whose values the last task adds up."""
        return range(self.size - self.width, self.size)

    @cached_property
    def answer(self) -> object:
        """What the engine must return, worked out by plain calls."""
        return ANSWERS[self.kind](self)


def layered_answer(workload: Workload) -> int:
    """The layered graph, evaluated in order."""
    values = [inc(number or workload.first_leaf) for number in range(workload.width)]
    for left, right in workload.parents:
        values.append(add(values[left], values[right]))
    return total(values[number] for number in workload.last_layer)


def ticked_answer(workload: Workload) -> int:
    """The layered graph of tasks that keep a core busy, evaluated without the time."""
    values = [(number + 1) % PRIME for number in range(workload.width)]
    for left, right in workload.parents:
        values.append((values[left] + values[right] + 1) % PRIME)
    return total(values[number] for number in workload.last_layer)


ANSWERS: dict[Kind, Callable[[Workload], object]] = {
    "chain": lambda workload: workload.size,
    "fan_in": lambda workload: sum(range(1, workload.size + 1)),
    "map": lambda workload: list(range(1, workload.size + 1)),
    "dag": layered_answer,
    "dag_threads": layered_answer,
    "async_naps": lambda workload: list(range(workload.size)),
    "naps": lambda workload: list(range(workload.size)),
    "cpu": lambda workload: [spun(number) for number in range(workload.size)],
    "dag_plain": layered_answer,
    "dag_opted_out": layered_answer,
    "dag_pure": layered_answer,
    "dag_first": layered_answer,
    "dag_again": layered_answer,
    "dag_changed": layered_answer,
    "key_array": lambda _: True,
    "key_frame": lambda _: True,
    "look_up": lambda workload: workload.size,
    "why": lambda _: "ran",
    "cluster_dag": ticked_answer,
    "cluster_dag_slow": ticked_answer,
    "cluster_chain": lambda workload: workload.size,
    "cluster_map": lambda workload: list(range(1, workload.size + 1)),
    "cluster_large": lambda workload: [BLOB + number for number in range(workload.size)],
    "cluster_back": lambda workload: [blob(number) for number in range(workload.size)],
    "pool_map": lambda workload: list(range(1, workload.size + 1)),
    "redis_look_up": lambda workload: workload.size,
    "redis_first": layered_answer,
    "redis_again": layered_answer,
    "dag_large": layered_answer,
    "simulate": lambda workload: 2.0 * (workload.size // workload.width) + 1,
    "plan": lambda workload: workload.size + 1,
    "visualize": lambda _: True,
    "view": lambda _: True,
    "report": lambda _: True,
    "watch": lambda _: True,
    "untold": lambda workload: [ground(number) for number in range(workload.size)],
    "told": lambda workload: [ground(number) for number in range(workload.size)],
}

WORKLOADS = (
    Workload("chain", "chain of 1,000", "chain", 1000),
    Workload("fan_in", "fan-in of 1,000", "fan_in", 1000),
    Workload("map", "map of 1,000", "map", 1000),
    Workload("dag", "layered DAG of 2,000", "dag", 2000),
    Workload("dag_threads", "the same in threads", "dag_threads", 2000),
    Workload("async_naps", "200 async sleeps of 20 ms", "async_naps", 200, "ms"),
    Workload("naps", "200 blocking sleeps of 20 ms", "naps", 200, "ms"),
    Workload("cpu_cold", "8 CPU tasks of 0.2 s, cold", "cpu", 8, "ms", start="cold"),
    Workload("cpu_warm", "8 CPU tasks of 0.2 s, warm", "cpu", 8, "ms", start="warm"),
    Workload("growth_1k", "DAG of 1,000", "dag", 1000, width=GROWTH_WIDTH),
    Workload("growth_100k", "DAG of 100,000", "dag", 100_000, width=GROWTH_WIDTH, start="cold"),
    Workload("memory", "DAG of 100,000, peak memory", "dag", 100_000, "KiB/task", width=GROWTH_WIDTH, start="cold"),
    Workload("chain_100k", "chain of 100,000", "chain", 100_000, start="cold"),
    Workload("plain", "DAG of 20,000, not remembered", "dag_plain", 20_000),
    Workload("opted_out", "the same with a store", "dag_opted_out", 20_000),
    Workload("pure", "DAG of 2,000 pure tasks, no store", "dag_pure", 2000),
    Workload("first", "the same with a new store", "dag_first", 2000),
    Workload("again", "the same again, new process", "dag_again", 2000, start="cold"),
    Workload("changed", "the same, one leaf changed", "dag_changed", 2000, start="cold", first_leaf=1000),
    Workload("key_array", "key of an array of 100 MB", "key_array", 100_000_000, "ms"),
    Workload("key_frame", "key of a frame of 1,000,000 x 10", "key_frame", 80_000_000, "ms"),
    Workload("look_up", "look-up of 10,000 results", "look_up", 10_000),
    Workload("redis_look_up", "look-up and value of 10,000 results in Redis", "redis_look_up", 10_000),
    Workload("redis_first", "DAG of 2,000 pure tasks, new store in Redis", "redis_first", 2000),
    Workload("redis_again", "the same again", "redis_again", 2000),
    Workload("untold", "100 tasks of some 20 ms, not watched", "untold", 100, "ms"),
    Workload("telemetry", "the same, telemetry over MQTT", "told", 100, "ms"),
    Workload("watch", "100,000 events into a live view", "watch", 100_000),
    Workload("why", "why, in a graph of 10,000", "why", 10_000, "ms", start="warm"),
    Workload("simulate_1k", "simulation of a DAG of 1,000", "simulate", 1000, width=GROWTH_WIDTH),
    Workload("simulate_100k", "simulation of 100,000", "simulate", 100_000, width=GROWTH_WIDTH),
    Workload("simulate_1m", "simulation of 1,000,000", "simulate", 1_000_000, width=1000, start="cold"),
    Workload("simulate_memory", "the same, peak memory", "simulate", 1_000_000, "KiB/task", width=1000, start="cold"),
    Workload("growth_1m", "DAG of 1,000,000", "dag_large", 1_000_000, width=1000, start="cold"),
    Workload(
        "memory_1m", "DAG of 1,000,000, peak memory", "dag_large", 1_000_000, "KiB/task", width=1000, start="cold"
    ),
    Workload("plan_10k", "plan of 10,000 pure tasks", "plan", 10_000, width=GROWTH_WIDTH),
    Workload("plan_100k", "plan of 100,000 pure tasks", "plan", 100_000, width=GROWTH_WIDTH),
    Workload("plan_1m", "plan of 1,000,000 pure tasks", "plan", 1_000_000, width=1000, start="cold"),
    Workload("visualize_100k", "picture of a graph of 100,000", "visualize", 100_000, width=GROWTH_WIDTH, start="cold"),
    Workload("visualize_1m", "picture of a graph of 1,000,000", "visualize", 1_000_000, width=1000, start="cold"),
    Workload("view_10k", "view of a run of 10,000", "view", 10_000, width=GROWTH_WIDTH),
    Workload("view_100k", "view of a run of 100,000", "view", 100_000, width=GROWTH_WIDTH),
    Workload("view_1m", "view of a run of 1,000,000", "view", 1_000_000, width=1000, start="cold"),
    Workload("view_memory", "the same, peak memory", "view", 1_000_000, "KiB/task", width=1000, start="cold"),
    Workload("report_10k", "report of a run of 10,000", "report", 10_000, width=GROWTH_WIDTH),
    Workload("report_100k", "report of a run of 100,000", "report", 100_000, width=GROWTH_WIDTH),
    Workload("report_1m", "report of a run of 1,000,000", "report", 1_000_000, width=1000, start="cold"),
    Workload("cluster_dag", "cluster: DAG of 400 tasks of 1 ms", "cluster_dag", 400, width=20, start="warm"),
    Workload("cluster_slow", "cluster: DAG of 200 tasks of 10 ms", "cluster_dag_slow", 200, width=20, start="warm"),
    Workload("cluster_chain", "cluster: chain of 100 tasks of 1 ms", "cluster_chain", 100, start="warm"),
    Workload("cluster_map", "cluster: map of 400 tasks of 1 ms", "cluster_map", 400, start="warm"),
    Workload("cluster_large", "cluster: 20 values of 5 MB, each read", "cluster_large", 20, "ms", start="warm"),
    Workload("cluster_back", "cluster: 20 values of 5 MB come back", "cluster_back", 20, "ms", start="warm"),
    Workload("pool_map", "processes: 400 tasks of 1 ms", "pool_map", 400, start="warm"),
)
BY_NAME = {workload.name: workload for workload in WORKLOADS}
