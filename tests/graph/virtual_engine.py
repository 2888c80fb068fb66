"""The engine's own core on a counted clock: what the simulator of schedules is held against."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from cascade.graph.build import refs_in
from cascade.graph.ledger import Ledger
from cascade.graph.model import INLINE
from cascade.runtime.limits import Limits
from cascade.runtime.scheduler import EVALUATE, Scheduler

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade.graph.check import Amounts
    from cascade.graph.model import Graph


class VirtualEngine:
    """Runs inline nodes that take as long as it is told; every condition is true."""

    def __init__(
        self,
        graph: Graph,
        rank: Sequence[int],
        durations: Sequence[float],
        amounts: Mapping[int, Amounts],
        capacities: Mapping[str, float],
        limit: int | None = None,
    ) -> None:
        self.core = Scheduler(graph, rank, Ledger(capacities), Limits(lambda: 0.0, lambda: 0.0))
        self.core.amounts.update(amounts)
        self.graph, self.durations, self.amounts = graph, durations, amounts
        self.limit = len(graph) if limit is None else limit
        self.running: list[tuple[float, int, int]] = []
        self.starts: dict[int, float] = {}

    def run(self) -> list[float]:
        """Return the start of each node, in seconds."""
        self.core.begin(refs_in(self.graph.target), ())
        self.dispatch(0.0)
        while self.running:
            now, _, node = heappop(self.running)
            if node in self.amounts:
                self.core.release(self.amounts[node])
            self.core.succeed(node)
            self.dispatch(now)
        return [self.starts[node] for node in range(len(self.graph))]

    def dispatch(self, now: float) -> None:
        """Obey the core's orders, then start what it hands out."""
        while self.core.orders:
            order, node, _, _ = self.core.orders.pop(0)
            if order == EVALUATE:
                self.core.open_gate(node)
        while len(self.running) < self.limit and (node := self.core.take(INLINE)) >= 0:
            heappush(self.running, (now + self.durations[node], len(self.starts), node))
            self.starts[node] = now
