"""Graphs that grow: tasks that return lazy results, and the run goes on with them.

In: a node whose call returned something lazy. Out: new nodes in graph, core and flow; the node's value will be theirs.
Invariant: everything that is checked before a run is checked before new nodes run, too; what fails there fails the
node that returned them, never the run's machinery.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from cascade.graph.build import refs_in
from cascade.graph.extend import Extension
from cascade.graph.model import INLINE, ContainerSlot
from cascade.graph.order import may_need
from cascade.runtime import journal as jr
from cascade.runtime.arguments import GONE
from cascade.runtime.attempts import Attempt
from cascade.runtime.parts import Part
from cascade.spec.control import Jump
from cascade.spec.lazy_types import LazyItem, LazyMap, LazyResult
from cascade.spec.routing import Router

if TYPE_CHECKING:
    from cascade.graph.check import Amounts
    from cascade.graph.model import Graph
    from cascade.interfaces.records import Entry
    from cascade.runtime.flow import Flow
    from cascade.runtime.maps import Row
    from cascade.spec.input import Input
    from cascade.spec.resource import Resource

__all__ = ["LAZY", "ODD", "Admission", "Admit", "Growth", "is_lazy"]

LAZY: Final = frozenset({LazyResult, LazyMap, LazyItem, Router})
_CONTAINERS: Final = frozenset({list, tuple, dict})
ODD: Final = LAZY | _CONTAINERS | {Jump}  # kinds of values that may be more than a value
MOST_OPENED: Final = 1000

# what a run must know of new nodes: values of their inputs, amounts by node, resources by name
Admission = tuple[Mapping["Input", object], Mapping[int, "Amounts"], Mapping[str, "Resource"]]
Admit = Callable[["Graph", range, "list[Input]"], Admission]


def is_lazy(value: object) -> bool:
    """Say whether a task's value is a lazy result, Router or jump, or has one of the first two within its containers.

    Only so many containers are opened: a large table of plain values is not gone through row by row.
    """
    if type(value) in LAZY or type(value) is Jump:  # no loop turns any more, since the run is cancelled
        return True
    stack, opened = [value], 0
    while stack and opened < MOST_OPENED:
        opened += 1
        container: Any = stack.pop()
        parts = container.values() if isinstance(container, dict) else container
        kinds = set(map(type, parts))
        if not LAZY.isdisjoint(kinds):
            return True
        if not _CONTAINERS.isdisjoint(kinds):
            stack.extend(islice((part for part in parts if type(part) in _CONTAINERS), MOST_OPENED))
    return False


class Growth:
    """The growth of one flow's graph. Everything here runs under the flow's lock.

    Attributes:
        began: when the nodes that grew and have no rules were started, by number. version: odd while the graph is
            being changed. stored: where the calls of a node, or of an item of it, came from, if from the store.
    """

    __slots__ = ("_extension", "_items", "began", "flow", "stored", "version")

    def __init__(self, flow: Flow) -> None:
        """Nothing has grown."""
        self.flow = flow
        self.began: dict[int, float] = {}
        self.version = 0
        self.stored: dict[tuple[int, int | None], Entry] = {}
        self._extension: Extension | None = None
        self._items: dict[int, list[object]] = {}

    def takes(self, attempt: Attempt) -> bool:
        """Whether what `attempt` returns may be a part of its own: a map goes on as a whole, unless it has rules."""
        return attempt.index is None or self.flow.parts.is_itemwise(attempt.node)

    def returned(
        self, node: int, value: object, began: float, attempt: Attempt | None = None, *, is_shared: bool = False
    ) -> None:
        """A call returned the lazy `value`: see `grow`. Which calls that are is stored before any of them starts.

        Args:
            is_shared: something else holds the value, too.
        """
        flow, rebuilder = self.flow, self.flow.rebuilder
        if rebuilder is None or node not in rebuilder.policies or type(value) is Jump:
            self.grow(node, value, began, attempt)
            return
        item = attempt if attempt is not None and attempt.row is not None else None
        if item is not None:
            flow.map_side.states[node].running += 1  # until it is known what becomes of it, its map waits for it

        def go_on() -> None:
            if item is not None:
                flow.map_side.item_ended(item)
            self.grow(node, value, began, attempt)
            if item is not None:
                flow.map_side.finish_if_over(node)

        row = item.row if item is not None else None
        rebuilder.save_growth(node, row, value, flow.now() - began, go_on, is_shared=is_shared)

    def recall(self, node: int, value: object, entry: Entry, row: Row | None = None) -> None:
        """`node`, or an item of it, returned the lazy `value` when it last ran: it goes on as if it had run now."""
        attempt = None
        if row is not None:
            attempt = Attempt(node, INLINE, self.flow.graph.calls[node]._task.func)  # noqa: SLF001
            attempt.index, attempt.row = row[0], row
        self.stored[node, row[0] if row is not None else None] = entry
        self.grow(node, value, self.flow.now(), attempt)

    def tell(self, node: int, index: int | None, number: int, duration: float, summary: str) -> None:
        """What `node`, or an item of it, returned in attempt `number` has its value; so has the call."""
        flow, now, entry = self.flow, self.flow.now(), self.stored.pop((node, index), None)
        if entry is None or flow.rebuilder is None:
            flow.record((jr.COMPLETED, now, node, index, number, duration, summary))
        elif index is not None:
            flow.record((jr.ITEMS_RECALLED, now, node, 1, entry.duration, ((index, 1),)))
        else:
            flow.rebuilder.note_stored(node, entry._replace(summary=summary, size=0))
            made_in = flow.rebuilder.number_of(entry.run_id)
            told = (summary, entry.run_id, entry.made_at, entry.duration, made_in)
            flow.record((jr.RECALLED, now, node, None, number, 0.0, *told))

    def grow(self, node: int, value: object, began: float, attempt: Attempt | None = None) -> None:
        """`node`, which began at `began`, returned the lazy `value`, perhaps by `attempt`, perhaps for one item."""
        flow = self.flow
        number = flow.outcomes.tries.get(node, 0) + 1
        part = Part(node, None, None, number, began)
        if attempt is not None:
            part.index, part.row, part.number = attempt.index, attempt.row, attempt.number
            if attempt.is_turn:
                flow.loops.end(node)
        if flow.core.cancelling or node in flow.parts.dropped:  # nothing starts that the value could come from
            flow.stops.cancelled(flow.outcomes.attempt_of(part))
            return
        self.version += 1
        try:
            self._grow(part, value)
        finally:
            self.version += 1

    def grow_map(self, node: int, results: list[Any], began: float) -> None:
        """All items of the map `node` have ended, and `results` has lazy values."""
        if self.flow.core.cancelling or not self.flow.parts.is_itemwise(node):
            self.grow(node, results, began)
            return
        lazy = {index: value for index, value in enumerate(results) if type(value) in ODD and is_lazy(value)}
        self.flow.map_side.states[node].outstanding += len(lazy)
        for index, value in lazy.items():
            attempt = Attempt(node, INLINE, self.flow.graph.calls[node]._task.func)  # noqa: SLF001
            attempt.index = index
            self.grow(node, value, began, attempt)

    def forget(self, node: int) -> None:
        """`node` is tried again: what it returned is not its value."""
        if node in self.flow.graph.aliases:
            self.version += 1
            del self.flow.graph.aliases[node]
            self.flow.graph.forget_order()
            self.version += 1

    def _is_lost(self, node: int) -> bool:
        """Whether the value of `node` cannot be had any more: it was let go, or its part was given up."""
        return (node < len(self.flow.values) and self.flow.values[node] is GONE) or node in self.flow.parts.dropped

    def _grow(self, part: Part, value: object) -> None:
        flow, graph, node = self.flow, self.flow.graph, part.node
        first = len(graph)
        _ = graph.ids  # those that are there keep theirs
        if self._extension is None:
            self._extension = Extension(graph, self._is_lost, flow.parts.dropped)
        try:
            slot, inputs = self._extension.add(node, value)
            admitted = flow.settings.admit(graph, range(first, len(graph)), inputs)
        except BaseException as error:  # noqa: BLE001 - what is wrong with the new nodes is the fault of their maker
            self._extension = None
            graph.truncate(first)
            flow.outcomes.part_failed(part, error)
            return
        self._take_in(first, admitted)
        part.first, part.last, part.slot = first, len(graph), slot
        refs = refs_in(slot)
        is_waiting = flow.parts.add(part, refs)
        if part.index is None:
            graph.aliases[node] = slot
        else:
            self._add_item(node, slot)
        if not is_waiting:
            self.began[node] = part.began
        flow.record((jr.GROWN, flow.now(), node, first, len(graph)))
        for ref in refs:
            flow.uses[ref] += 1
        if part.index is None:
            flow.core.become(node, refs, part.waiter)
        else:
            flow.core.choose(part.waiter, refs)

    def _add_item(self, node: int, slot: object) -> None:
        """The value of the map `node` is made of `slot`, too."""
        known = self._items.setdefault(node, [])
        known.append(slot)
        self.flow.graph.aliases[node] = ContainerSlot([], known)  # type: ignore[arg-type] # it goes on to grow

    def _take_in(self, first: int, admitted: Admission) -> None:
        """Make room for the nodes from `first` on in everything that has a place for each node."""
        flow, graph = self.flow, self.flow.graph
        inputs, amounts, resources = admitted
        flow.inputs.update(inputs)
        flow.settings.redact.add(inputs)
        if flow.settings.redact.secrets:
            graph.hide_in_new_names(flow.settings.redact)
            flow.output_side.begin()
        flow.resources.add(resources)
        added = range(first, len(graph))
        flow.values.extend([None] * len(added))
        for node in added:
            is_pure = getattr(getattr(graph.calls[node], "_task", None), "pure", False)
            flow.uses.append(is_pure)  # an equal call may come later
        for node in added:
            for need in may_need(graph, node):
                flow.uses[need] += 1
                flow.parts.borrow(need, node, first)
        if flow.rebuilder is not None:
            flow.rebuilder.look_at(added)
        flow.core.amounts.update(amounts)
        flow.core.grow(flow.orders.to_prepare(added))
        flow.mark_special(added)
        if flow.rebuilder is not None:
            flow.mark_remembered(n for n in added if n in flow.rebuilder.policies)
        flow.shared = flow.shared or any(graph.modes[node] != INLINE for node in added)
        flow.process_side.admit(added)
