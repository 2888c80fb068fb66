"""Nodes and edges → which nodes are queued: everything they need is there and they may run, but none has begun.

In: the graph once, then which nodes ended and which routes were chosen. Out: the ids that became ready. Invariant:
a branch that no Router chose, and what only a closed condition needs, never count as queued.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cascade.graph.model import Edge, Node

_VALUES = frozenset({"param", "env"})


class Readiness:
    """Counts down what each node still needs; each edge is looked at a fixed number of times."""

    __slots__ = ("_demanded", "_gates", "_left", "_needs", "_out", "_routes", "_settled")

    def __init__(self, nodes: Sequence[Node], edges: Iterable[Edge]) -> None:
        """Index the edges; `start` tells what is ready at once."""
        ids = {node.id for node in nodes}
        self._settled = {node.id for node in nodes if node.kind in _VALUES}
        self._demanded: set[str] = set()
        self._needs: dict[str, list[str]] = {}
        self._gates: dict[str, set[str]] = {}
        self._routes: dict[tuple[str, str], list[str]] = {}
        self._out: dict[str, list[str]] = {}
        self._left: dict[str, int] = dict.fromkeys(ids, 0)
        for edge in edges:
            if edge.source in ids and edge.target in ids:
                self._index(edge)

    def _index(self, edge: Edge) -> None:
        if edge.kind == "route":
            self._routes.setdefault((edge.target, edge.label), []).append(edge.source)
            return
        self._needs.setdefault(edge.target, []).append(edge.source)
        if edge.source in self._settled:
            return
        self._out.setdefault(edge.source, []).append(edge.target)
        self._left[edge.target] += 1
        if edge.kind == "condition":
            self._gates.setdefault(edge.target, set()).add(edge.source)

    def start(self) -> list[str]:
        """Return the nodes that are ready when the run begins."""
        given = {source for sources in self._needs.values() for source in sources}
        given.update(source for sources in self._routes.values() for source in sources)
        return self._demand(node for node in self._left if node not in given)

    def settle(self, node: str) -> list[str]:
        """Take note that `node` ended, whichever way; return what became ready."""
        if node in self._settled:
            return []
        self._settled.add(node)
        ready: list[str] = []
        for target in self._out.get(node, ()):
            self._left[target] -= 1
            gates = self._gates.get(target)
            if gates and node in gates:
                gates.discard(node)
                if not gates and target in self._demanded:
                    ready += self._demand(self._needs[target])
            if self._left[target] == 0 and target in self._demanded and target not in self._settled:
                ready.append(target)
        return ready

    def choose(self, node: str, key: str) -> list[str]:
        """Take note that the Router `node` took the route `key`; return what became ready."""
        sources = self._routes.get((node, key)) or self._routes.get((node, "otherwise"), [])
        return self._demand(sources)

    def _demand(self, wanted: Iterable[str]) -> list[str]:
        ready: list[str] = []
        stack = list(wanted)
        while stack:
            node = stack.pop()
            if node in self._demanded or node in self._settled:
                continue
            self._demanded.add(node)
            if self._left[node] == 0:
                ready.append(node)
                continue
            stack.extend(self._gates.get(node) or self._needs.get(node) or ())
        return ready
