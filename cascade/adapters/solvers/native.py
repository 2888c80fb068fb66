"""The native solver: the longest remaining path first.

In: a Graph. Out: a Plan. Invariant: linear; two nodes of equal height keep the order of the graph. (Critical-path list
scheduling: Hu 1961, Graham 1966.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cascade.graph.model import Graph

__all__ = ["NativeSolver", "Plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """Order and priority of the nodes of a graph (see `ExecutionPlan`)."""

    order: list[int]
    rank: list[int]
    heights: list[int]


class NativeSolver:
    """Starts first what the most work waits for.

    Example:
        >>> import cascade as cs
        >>> from cascade.graph.build import build
        >>> @cs.task
        ... def step(*needs): return len(needs)
        >>> graph = build(step(step(), step(step())))
        >>> NativeSolver().solve(graph).heights
        [1, 2, 2, 3]
    """

    def solve(self, graph: Graph, capacities: Mapping[str, float] | None = None) -> Plan:  # noqa: ARG002 - protocol
        """Return the plan.

        Args:
            capacities: as the protocol has it; this order does not depend on them.

        Raises:
            GraphError: when nodes need each other in a circle.
        """
        order, heights = graph.order, graph.heights
        rank = [0] * len(order)
        for place, node in enumerate(sorted(order, key=heights.__getitem__, reverse=True)):
            rank[node] = place
        return Plan(order, rank, heights)
