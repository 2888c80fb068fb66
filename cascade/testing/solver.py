"""A solver for tests: the order in which ready nodes start is what the test says, or anything.

In: a graph. Out: a plan whose ranks are given by name or shuffled. Invariant: the plan is a valid one, and the same
each time; a run must give the same values with every plan.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cascade.testing.errors import ToolError

if TYPE_CHECKING:
    from cascade.graph.model import Graph

__all__ = ["FakePlan", "FakeSolver"]


@dataclass(frozen=True, slots=True)
class FakePlan:
    """Order and priority of the nodes of a graph (see `ExecutionPlan`)."""

    order: list[int]
    rank: list[int]
    heights: list[int]


class FakeSolver:
    """Ranks nodes as the test says.

    Args:
        ranks: by id (``load``, ``load#2``) or name; lower ones start first. Nodes that it does not name come after
            those that it does.
        seed: shuffles nodes of equal rank; None: they keep the order of the graph.

    Attributes:
        graphs: what was solved.

    Example:
        >>> import cascade as cs
        >>> @cs.task(mode="inline")
        ... def say(word, to): to.append(word)
        >>> said = []
        >>> one, two = say("one", said).named("one"), say("two", said).named("two")
        >>> cs.run([one, two], solver=FakeSolver({"two": 0, "one": 1}), log_level=None), said
        ([None, None], ['two', 'one'])
    """

    def __init__(self, ranks: Mapping[str, float] | None = None, *, seed: int | None = None) -> None:
        """Keep the ranks."""
        self.ranks = dict(ranks or {})
        self.seed = seed
        self.graphs: list[Graph] = []

    def solve(self, graph: Graph, capacities: Mapping[str, float] | None = None) -> FakePlan:  # noqa: ARG002 - protocol
        """Return the plan.

        Raises:
            ToolError: when a name of `ranks` is not in the graph.
        """
        self.graphs.append(graph)
        known = {*graph.ids, *graph.labels}
        for name in self.ranks:
            if name not in known:
                raise ToolError.for_node(name, known)
        nodes = list(graph.order)
        if self.seed is not None:
            random.Random(self.seed).shuffle(nodes)  # noqa: S311 - an order for a test, not a secret
        last = float("inf")
        nodes.sort(key=lambda n: self.ranks.get(graph.ids[n], self.ranks.get(graph.labels[n], last)))
        rank = [0] * len(nodes)
        for place, node in enumerate(nodes):
            rank[node] = place
        return FakePlan(list(graph.order), rank, list(graph.heights))
