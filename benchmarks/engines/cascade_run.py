"""cascade by its public names, with one event per task on: a subscriber hears of every task that was done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import cascade as cs
from benchmarks.engines import (
    cascade_cluster,
    cascade_memory,
    cascade_mqtt,
    cascade_redis,
    cascade_scale,
    cascade_watch,
)
from benchmarks.work import add, anap, inc, nap, spin, total
from benchmarks.workloads import Workload
from cascade.interfaces.events import NodeCompleted

Mode = Literal["inline", "blocking", "compute"]

SURELY_HEARD = 10_000


class Counter:
    """The subscriber: counts the tasks that were done."""

    def __init__(self) -> None:
        self.events = 0

    def __call__(self, events: Sequence[object]) -> None:
        """Take one batch."""
        self.events += len(events)


def execute(target: Any, least: int) -> object:
    """Run a target; one event for each of its tasks must have been heard when it is done.

    A subscriber may lag behind a very large run and then misses events, so there only the answer is checked.
    """
    counter, bus = Counter(), cs.MessageBus()
    bus.subscribe(NodeCompleted, counter, batched=True)
    value = cs.run(target, log_level=None, subscribers=bus.subscriptions)
    assert counter.events >= min(least, SURELY_HEARD), f"{counter.events} events for {least} tasks"
    return value


def chain(workload: Workload) -> Callable[[], object]:
    """Each call reads the one before."""
    task = cs.task(mode="inline")(inc)

    def run() -> object:
        value: Any = 0
        for _ in range(workload.size):
            value = task(value)
        return execute(value, workload.size)

    return run


def fan_in(workload: Workload) -> Callable[[], object]:
    """Many calls in the list that one reads."""
    leaf = cs.task(mode="inline")(inc)
    sink: Any = cs.task(mode="inline")(total)
    return lambda: execute(sink([leaf(number) for number in range(workload.size)]), workload.size)


def map_(workload: Workload) -> Callable[[], object]:
    """One node with many items."""
    task = cs.task(mode="inline")(inc)
    return lambda: execute(task.map(x=range(workload.size)), 1)


def layered(workload: Workload, mode: Mode | None) -> Callable[[], object]:
    """The layered graph in the given mode; None is what a user gets who says nothing."""
    leaf: Any = cs.task(mode=mode)(inc)
    join: Any = cs.task(mode=mode)(add)
    sink: Any = cs.task(mode=mode)(total)
    parents = workload.parents

    def run() -> object:
        values = [leaf(number) for number in range(workload.width)]
        for left, right in parents:
            values.append(join(values[left], values[right]))
        return execute(sink([values[number] for number in workload.last_layer]), workload.size)

    return run


def dag(workload: Workload) -> Callable[[], object]:
    """The layered graph on the scheduler itself."""
    return layered(workload, "inline")


def dag_threads(workload: Workload) -> Callable[[], object]:
    """The layered graph in worker threads."""
    return layered(workload, None)


def side_by_side(
    function: Callable[[int], Any], mode: Mode | None = None
) -> Callable[[Workload], Callable[[], object]]:
    """Independent calls of one function, in a list as target."""
    task: Any = cs.task(mode=mode)(function) if mode else cs.task(function)

    def prepare(workload: Workload) -> Callable[[], object]:
        return lambda: execute([task(number) for number in range(workload.size)], workload.size)

    return prepare


PREPARE = {
    **cascade_memory.PREPARE,
    **cascade_cluster.PREPARE,
    **cascade_redis.PREPARE,
    **cascade_mqtt.PREPARE,
    **cascade_scale.PREPARE,
    **cascade_watch.PREPARE,
    "chain": chain,
    "fan_in": fan_in,
    "map": map_,
    "dag": dag,
    "dag_threads": dag_threads,
    "dag_large": dag,
    "async_naps": side_by_side(anap),
    "naps": side_by_side(nap),
    "cpu": side_by_side(spin, "compute"),
}
