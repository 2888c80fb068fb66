"""Graph → the same graph with more nodes: what a task returned instead of a value.

In: a graph that a run works on, and a lazy value. Out: the slot that gives the value, the new nodes. Invariant: nodes
that are there keep their numbers and ids; a call that the graph knows, or an equal pure one, is not made twice.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from typing import TYPE_CHECKING, Any

from cascade.graph.build import Builder, refs_in
from cascade.graph.merge import Merger
from cascade.graph.model import ROUTE, Ref
from cascade.graph.order import may_need
from cascade.interfaces.exceptions import GraphError
from cascade.spec.input import Env, Param

if TYPE_CHECKING:
    from cascade.graph.model import Graph
    from cascade.spec.input import Input

__all__ = ["MOST_NODES", "Extension"]

MOST_NODES = 2_000_000


class Extension:
    """Adds to one graph, as often as needed.

    Args:
        is_gone: says of a node number that its value was let go: its call is then made anew.
        lost: nodes that will never have a value; equal pure calls are made anew, too.
    """

    def __init__(self, graph: Graph, is_gone: Callable[[int], bool], lost: Container[int] = ()) -> None:
        """Note the calls that are there."""
        self.graph = graph
        self._is_gone = is_gone
        self._index = {id(call): number for number, call in enumerate(graph.calls)}
        self._merger = Merger(graph, lost)
        self._merger.note(graph.order)

    def add(self, node: int, value: object) -> tuple[object, list[Input]]:
        """Add what `value`, which `node` returned, needs; return its slot and the Params and Envs that are new.

        Raises:
            GraphError: when `value` needs `node` itself, or the graph gets too big.
        """
        graph, first = self.graph, len(self.graph)
        builder = _Extender(graph, self._index, self._is_gone)
        slot = builder.slot(value)
        builder.record_from(first)
        label = graph.label(node)
        if len(graph) > MOST_NODES:
            raise GraphError.for_size(label, MOST_NODES)
        added = range(first, len(graph))
        self._refuse_circle(node, slot, first)
        for number, earlier in self._merger.note(_needs_first(graph, added)).items():
            if not self._is_gone(earlier):
                graph.aliases[number] = Ref(earlier)
        known = {id(i) for i in (*graph.params, *graph.envs)}
        new = [i for key, i in builder.inputs.items() if key not in known]
        graph.params += [i for i in new if isinstance(i, Param)]
        graph.envs += [i for i in new if isinstance(i, Env)]
        graph.complete = len(graph)
        graph.forget_order()
        return slot, new

    def _refuse_circle(self, node: int, slot: object, first: int) -> None:
        """Only by way of a call that was there before can the value need the node that returned it."""
        graph = self.graph
        came_from: dict[int, int] = {}
        stack = [(ref, node) for ref in refs_in(slot)]
        while stack:
            number, consumer = stack.pop()
            if number in came_from:
                continue
            came_from[number] = consumer
            if number == node:
                names = [graph.label(node)]
                while consumer != node:
                    names.insert(0, graph.label(consumer))
                    consumer = came_from[consumer]
                raise GraphError.for_growth(graph.label(node), [graph.label(node), *names])
            if number >= first or not self._is_gone(number):
                stack.extend((need, number) for need in may_need(graph, number))


class _Extender(Builder):
    """Numbers calls on from where the graph ends."""

    def __init__(self, graph: Graph, index: dict[int, int], is_gone: Callable[[int], bool]) -> None:
        super().__init__({})
        self.graph = graph
        self.index = index
        self.is_gone = is_gone
        self.is_looking = True

    def number(self, call: Any) -> int:
        found = self.index.get(id(call))
        if found is not None and self.is_gone(found):
            del self.index[id(call)]
        return super().number(call)


def _needs_first(graph: Graph, numbers: range) -> Iterable[int]:
    """Return `numbers` so that each comes after those among them that it needs."""
    order: list[int] = []
    seen: set[int] = set()
    for start in numbers:
        stack = [(start, False)]
        while stack:
            number, is_done = stack.pop()
            if is_done:
                order.append(number)
            elif number not in seen:
                seen.add(number)
                stack.append((number, True))
                if graph.kinds[number] != ROUTE:
                    stack.extend((need, False) for need in graph.needs_of(number) if need in numbers)
    return order
