"""A `submit` per node to a thread pool, as soon as what it reads is there; a pool as wide as the sleeps for those."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from benchmarks.work import add, inc, nap, total
from benchmarks.workloads import Workload

WORKERS = os.cpu_count() or 2


def dag(workload: Workload) -> Callable[[], object]:
    """Count down what each node waits for; whoever brings it to zero submits it."""
    size, width = workload.size, workload.width
    parents: list[tuple[int, ...]] = [()] * width + list(workload.parents)
    readers: list[list[int]] = [[] for _ in range(size)]
    for number, pair in enumerate(parents):
        for parent in pair:
            readers[parent].append(number)

    def run() -> object:
        values = [0] * size
        waits = [len(pair) for pair in parents]
        lock = threading.Lock()
        finished = threading.Event()
        left = size

        def node(number: int) -> None:
            nonlocal left
            pair = parents[number]
            values[number] = add(values[pair[0]], values[pair[1]]) if pair else inc(number)
            ready = []
            with lock:
                left -= 1
                is_last = left == 0
                for reader in readers[number]:
                    waits[reader] -= 1
                    if waits[reader] == 0:
                        ready.append(reader)
            for reader in ready:
                pool.submit(node, reader)
            if is_last:
                finished.set()

        with ThreadPoolExecutor(WORKERS) as pool:
            for number in range(width):
                pool.submit(node, number)
            finished.wait()
        return total([values[number] for number in workload.last_layer])

    return run


def naps(workload: Workload) -> Callable[[], object]:
    """A thread for each sleep."""

    def run() -> object:
        with ThreadPoolExecutor(workload.size) as pool:
            return list(pool.map(nap, range(workload.size)))

    return run


PREPARE = {"dag_threads": dag, "naps": naps}
