"""Random graphs with seconds and amounts, and what must hold for a schedule of them."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import cascade as cs
from cascade.graph.build import build
from cascade.graph.check import check_amounts
from cascade.graph.schedule import find_waits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from random import Random

    from cascade.graph.model import Graph

SLACK = 1e-9  # that the engine allows


@cs.task(mode="inline")
def step(*needs: Any) -> int:
    """Stand for any task."""
    return len(needs)


class Case:
    """A graph of named calls, what each of them takes, and how long."""

    def __init__(self, calls: list[Any], seconds: Mapping[str, float], capacities: Mapping[str, float]) -> None:
        self.graph: Graph = build(calls)
        self.seconds = dict(seconds)
        self.capacities = dict(capacities)
        self.durations = [self.seconds[label] for label in self.graph.labels]
        self.amounts = check_amounts(self.graph, self.capacities)
        self.waits = find_waits(self.graph)

    def check(self, starts: Sequence[float], limit: int | None = None) -> None:
        """Nobody starts before what it waits for has ended; at each start and end nothing is exceeded."""
        ends = [start + length for start, length in zip(starts, self.durations, strict=True)]
        nodes = range(len(self.graph))
        assert all(ends[need] <= starts[node] + SLACK for node in nodes for need in self.waits[node])
        for moment in (*starts, *ends):
            running = [node for node in nodes if starts[node] <= moment + SLACK and moment + SLACK < ends[node]]
            assert limit is None or len(running) <= limit
            for name, capacity in self.capacities.items():
                assert self.used(name, running) <= capacity + SLACK

    def used(self, name: str, running: Iterable[int]) -> float:
        return sum(dict(self.amounts.get(node, ())).get(name, 0.0) for node in running)

    def shortest(self) -> float:
        """Return the least makespan there is, by trying every order.

        Each node goes, in the order tried, to the first moment at which it fits; one of these schedules is optimal
        (active schedules: Baker 1974).
        """
        nodes = range(len(self.graph))
        orders = (order for order in permutations(nodes) if self.is_possible(order))
        return min(self.place(order) for order in orders)

    def is_possible(self, order: Sequence[int]) -> bool:
        place = {node: number for number, node in enumerate(order)}
        return all(place[need] < place[node] for node in order for need in self.waits[node])

    def place(self, order: Sequence[int]) -> float:
        spans: dict[int, tuple[float, float]] = {}
        for node in order:
            earliest = max((spans[need][1] for need in self.waits[node]), default=0.0)
            moments = sorted({earliest, *(end for _, end in spans.values() if end > earliest)})
            start = next(moment for moment in moments if self.has_room(node, moment, spans))
            spans[node] = start, start + self.durations[node]
        return max(end for _, end in spans.values())

    def has_room(self, node: int, start: float, spans: Mapping[int, tuple[float, float]]) -> bool:
        end = start + self.durations[node]
        others = {other for other, (begun, ended) in spans.items() if begun < end and start < ended}
        for moment in (start, *(spans[other][0] for other in others if spans[other][0] > start)):
            running = [other for other in others if spans[other][0] <= moment < spans[other][1]]
            for name, amount in self.amounts.get(node, ()):
                if self.used(name, running) + amount > self.capacities[name] + SLACK:
                    return False
        return True


def random_case(draw: Random, count: int, needs: int = 2, window: int = 8) -> Case:
    """Make a case of `count` nodes that crowd two capacities."""
    capacities = {"cpu": float(draw.randint(2, 4)), "gpu": 1.5}
    calls: list[Any] = []
    for number in range(count):
        call: Any = step(*draw.sample(calls[-window:], min(len(calls), draw.randint(0, needs))))
        amounts: dict[str, float] = {"cpu": draw.randint(1, int(capacities["cpu"]))} if draw.random() < 0.8 else {}
        if draw.random() < 0.4:
            amounts["gpu"] = draw.choice([0.25, 0.5, 1.5])
        calls.append((call.with_constraints(**amounts) if amounts else call).named(f"n{number}"))
    return Case(calls, {f"n{number}": float(draw.randint(1, 9)) for number in range(count)}, capacities)
