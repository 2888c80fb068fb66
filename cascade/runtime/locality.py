"""Which values may stay on a cluster: those that only calls on the cluster take.

In: a flow's graph, while it grows. Out: a yes or no for each node. Invariant: whatever works with a value here (the
result, a condition, a route, a fallback, an amount, an inline or async task, a map that goes over its items, a key of
more than whole values, a state backend) finds the value itself. A value that is to be stored comes here once, for that,
and stays there for those who take it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from cascade.graph.build import refs_in, slots_in
from cascade.graph.model import LITERALS, MAP, PROCESS, REFS, THREAD, ContainerSlot, Ref, UnmappedSlot

if TYPE_CHECKING:
    from cascade.runtime.flow import Flow

__all__ = ["Locality"]


class Locality:
    """Knows which values of one flow are needed here. Everything here runs under the flow's lock."""

    __slots__ = ("_here", "_seen", "flow")

    def __init__(self, flow: Flow) -> None:
        """Look at nothing yet."""
        self.flow = flow
        self._here: set[int] | None = None
        self._seen = 0

    def stays(self, node: int) -> bool:
        """Whether the value of `node` may stay where it was made."""
        flow = self.flow
        if flow.settings.state is not None:
            return False  # another process may want to read it
        if self._here is None:
            self._here = set(refs_in(flow.graph.target))
            self._look_at(range(len(flow.graph)))
        return node not in self._here

    def is_stored(self, node: int) -> bool:
        """Whether the value of `node` is to be stored, and so has to come here once, even if it stays."""
        return self.flow.rebuilder is not None and node in self.flow.rebuilder.policies

    def grow(self, nodes: Iterable[int]) -> None:
        """The graph has gained `nodes`."""
        if self._here is not None:
            self._look_at(nodes)

    def needed_here(self, nodes: Iterable[int]) -> set[int]:
        """Return what `nodes` need here, and what stands for a node that became one of others."""
        found: set[int] = set()
        for node in nodes:
            found.update(self._needs_of(node))
        for slot in self.flow.graph.aliases.values():
            found.update(refs_in(slot))
        return found

    def _look_at(self, nodes: Iterable[int]) -> None:
        assert self._here is not None  # noqa: S101 - the callers made it
        for node in nodes:
            self._here.update(self._needs_of(node))

    def _needs_of(self, node: int) -> Iterator[int]:
        """Return the nodes whose values `node` takes here."""
        graph = self.flow.graph
        for slot in (graph.gates.get(node), graph.fallbacks.get(node)):
            yield from refs_in(slot)
        for slot in graph.amounts.get(node, {}).values():
            yield from refs_in(slot)
        if node in graph.routes:
            route = graph.routes[node]
            yield from refs_in(route.selector)
            for slot in (*route.branches.values(), route.default):
                yield from refs_in(slot)
            return
        if graph.shapes[node] == LITERALS:
            return
        if self._runs_there(node):
            yield from self._needs_before(node)
            return
        slots = (*graph.args[node], *graph.kwargs.get(node, {}).values())
        if graph.shapes[node] == REFS:
            yield from slots
        else:
            for slot in slots:
                yield from refs_in(slot)

    def _needs_before(self, node: int) -> Iterator[int]:
        """Return the nodes whose values are looked at here before `node` can be sent."""
        yield from self.touched_by(node)
        if self.flow.graph.kinds[node] == MAP:
            yield from self._mapped_by(node)
        if self.is_stored(node):
            yield from self._keyed_by(node)

    def _runs_there(self, node: int) -> bool:
        graph = self.flow.graph
        return graph.modes[node] in (PROCESS, THREAD) and node not in graph.jumps

    def _keyed_by(self, node: int) -> Iterator[int]:
        """Return the values that the key of a remembered node is made of, or that its policy looks at.

        The key of a whole value is known since it was stored; an item, or the list that a map makes, has none of its
        own.
        """
        graph, rebuilder = self.flow.graph, self.flow.rebuilder
        assert rebuilder is not None  # noqa: S101 - it remembers the node
        is_keyed_whole = graph.kinds[node] != MAP and not rebuilder.needs_arguments(node)
        slots: Iterable[Any] = (*graph.args[node], *graph.kwargs.get(node, {}).values())
        if graph.shapes[node] == REFS:
            slots = [Ref(j, ()) for j in slots]
        for slot in slots:
            for inner in slots_in(slot):
                if type(inner) is not Ref:
                    continue
                is_known = not inner.path and graph.kinds[inner.index] != MAP and self.is_stored(inner.index)
                if not (is_keyed_whole and is_known):
                    yield from refs_in(inner)

    def touched_by(self, node: int) -> Iterator[int]:
        """Return the values that code of the user sees while the arguments of `node` are put together."""
        graph = self.flow.graph
        if graph.shapes[node] in (REFS, LITERALS):
            return
        for slot in (*graph.args[node], *graph.kwargs.get(node, {}).values()):
            for inner in slots_in(slot):
                if type(inner) is Ref:
                    for key in inner.path:
                        yield from refs_in(key)
                elif type(inner) is ContainerSlot and type(inner.like) not in (list, tuple, dict, set, frozenset):
                    yield from refs_in(inner)

    def _mapped_by(self, node: int) -> Iterator[int]:
        """Return the inputs whose items a map hands out; of another map's value only the items are values."""
        graph = self.flow.graph
        slots: Iterable[Any] = (*graph.args[node], *graph.kwargs.get(node, {}).values())
        if graph.shapes[node] == REFS:
            slots = [Ref(j, ()) for j in slots]
        for slot in slots:
            if type(slot) is UnmappedSlot:
                continue
            if type(slot) is Ref and not slot.path and graph.kinds[slot.index] == MAP:
                continue
            for inner in slots_in(slot):
                yield from refs_in(inner)
