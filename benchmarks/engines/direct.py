"""Direct calls in a plain loop: the limit, below which no engine can go."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.engines.events_by_hand import simulate
from benchmarks.work import add, inc, nap, spin, total
from benchmarks.workloads import Workload


def chain(workload: Workload) -> Callable[[], object]:
    """Call after call."""

    def run() -> object:
        value = 0
        for _ in range(workload.size):
            value = inc(value)
        return value

    return run


def fan_in(workload: Workload) -> Callable[[], object]:
    """Many calls, then one."""
    return lambda: total([inc(number) for number in range(workload.size)])


def map_(workload: Workload) -> Callable[[], object]:
    """A list comprehension."""
    return lambda: [inc(number) for number in range(workload.size)]


def dag(workload: Workload) -> Callable[[], object]:
    """The layered graph in order, values in a list."""
    parents = workload.parents

    def run() -> object:
        values = [inc(number) for number in range(workload.width)]
        for left, right in parents:
            values.append(add(values[left], values[right]))
        return total([values[number] for number in workload.last_layer])

    return run


def cpu(workload: Workload) -> Callable[[], object]:
    """One computation after the other."""
    return lambda: [spin(number) for number in range(workload.size)]


def naps(workload: Workload) -> Callable[[], object]:
    """One sleep after the other."""
    return lambda: [nap(number) for number in range(workload.size)]


PREPARE = {
    "chain": chain,
    "fan_in": fan_in,
    "map": map_,
    "dag": dag,
    "naps": naps,
    "cpu": cpu,
    "dag_large": dag,
    "simulate": simulate,
}
