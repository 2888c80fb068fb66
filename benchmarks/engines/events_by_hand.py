"""A simulation as one would write it for this graph alone: two heaps and counters, no priorities, no capacities.

In: the layered graph. Out: its makespan. Invariant: it does no more than it has to; what cascade's takes beyond this
is the price of being the engine's own core.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush

from benchmarks.workloads import Workload


def simulate(workload: Workload) -> Callable[[], float]:
    """Each task takes a second, on half as many workers as a layer has tasks; first come, first served."""
    parents, width, size = workload.parents, workload.width, workload.size

    def run() -> float:
        users: list[list[int]] = [[] for _ in range(size)]
        left = [0] * width + [2] * (size - width)
        for number, (first, second) in enumerate(parents, width):
            users[first].append(number)
            users[second].append(number)
        ready, running, now, free = deque(range(width)), list[tuple[float, int]](), 0.0, width // 2
        while ready or running:
            while ready and free:
                heappush(running, (now + 1.0, ready.popleft()))
                free -= 1
            now, over = heappop(running)
            free += 1
            for user in users[over]:
                left[user] -= 1
                if not left[user]:
                    ready.append(user)
        return now + 1.0

    return run
