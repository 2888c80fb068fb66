"""A scheduling problem in integers, and a first schedule for it.

In: durations, who waits for whom, what is taken of each capacity, priorities. Out: starts that work. Invariant: nobody
starts before what it waits for has ended; no capacity is ever exceeded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

__all__ = ["Problem", "pack"]


@dataclass(frozen=True, slots=True)
class Problem:
    """What has to be scheduled.

    Args:
        durations: ticks of each node. waits: for each node, those that end before it starts.
        capacities: how many units there are of each. taken: for each capacity, pairs of node and units.
    """

    durations: Sequence[int]
    waits: Sequence[Sequence[int]]
    capacities: Sequence[int]
    taken: Sequence[Sequence[tuple[int, int]]]

    def end_of(self, starts: Sequence[int]) -> int:
        """Return the tick at which the last node ends."""
        return max([start + length for start, length in zip(starts, self.durations, strict=True)], default=0)


def pack(problem: Problem, priority: Sequence[int]) -> list[int]:
    """Return starts: whenever something ends, what has the lowest `priority` and fits starts.

    Other than the engine, it looks at everything that ends at one time before it starts anything, and nobody has an
    older right than the priority gives. (The parallel schedule generation scheme: Kolisch 1996.)

    Example:
        >>> pack(Problem([3, 2, 2], [[], [], [1]], [1], [[(0, 1), (2, 1)]]), [1, 0, 2])
        [0, 0, 3]
    """
    packing = _Packing(problem, priority)
    starts = [0] * len(priority)
    running: list[tuple[int, int]] = []
    now = 0
    while True:
        while (node := packing.take()) >= 0:
            starts[node] = now
            heappush(running, (now + problem.durations[node], node))
        if not running:
            return starts
        now = running[0][0]
        while running and running[0][0] == now:
            packing.give_back(heappop(running)[1])


class _Packing:
    """What is free and what is ready; nodes that take the same amounts wait in one heap, since they fit together."""

    def __init__(self, problem: Problem, priority: Sequence[int]) -> None:
        count = len(priority)
        amounts: list[list[tuple[int, int]]] = [[] for _ in range(count)]
        for capacity, taken in enumerate(problem.taken):
            for node, units in taken:
                amounts[node].append((capacity, units))
        self.amounts = [tuple(each) for each in amounts]
        self.priority = priority
        self.free = list(problem.capacities)
        self.left = [len(waits) for waits in problem.waits]
        self.users: list[list[int]] = [[] for _ in range(count)]
        for node, waits in enumerate(problem.waits):
            for need in waits:
                self.users[need].append(node)
        self.ready: dict[tuple[tuple[int, int], ...], list[tuple[int, int]]] = {}
        for node, left in enumerate(self.left):
            if not left:
                self.queue(node)

    def queue(self, node: int) -> None:
        heappush(self.ready.setdefault(self.amounts[node], []), (self.priority[node], node))

    def take(self) -> int:
        """Return the next node that fits, with its amounts taken; -1 if there is none."""
        free = self.free
        heads = [
            (heap[0], amounts)
            for amounts, heap in self.ready.items()
            if heap and all(units <= free[capacity] for capacity, units in amounts)
        ]
        if not heads:
            return -1
        (_, node), amounts = min(heads)
        heappop(self.ready[amounts])
        for capacity, units in amounts:
            free[capacity] -= units
        return node

    def give_back(self, node: int) -> None:
        """`node` has ended."""
        for capacity, units in self.amounts[node]:
            self.free[capacity] += units
        for user in self.users[node]:
            self.left[user] -= 1
            if not self.left[user]:
                self.queue(user)
