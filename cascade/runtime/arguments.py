"""Slots → arguments: put values where the graph has references.

In: a graph, the values so far, the inputs, the resource instances. Out: what a function is called with. Invariant: the
user's own containers are never changed; those that hold something lazy are made anew.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from cascade.graph.build import slots_in
from cascade.graph.model import REFS, SLOTS, ContainerSlot, InputRef, Ref, ResourceRef, UnmappedSlot
from cascade.spec.lazy_types import Unmapped

if TYPE_CHECKING:
    from cascade.graph.model import Graph
    from cascade.spec.input import Input

__all__ = ["GONE", "Arguments"]

GONE: Final = object()  # stands where a value was that nobody reads any more


@dataclass(frozen=True, slots=True)
class _Later:
    """An argument of a map's items that each item gets made for itself."""

    slot: object


class Arguments:
    """Gathers the arguments of nodes.

    Args:
        graph: the graph. values: by node number, filled in as nodes complete. inputs: Params and Envs.
        instances: run- and session-wide resource instances by name, filled in as they are set up.
    """

    __slots__ = ("_graph", "_inputs", "_instances", "_values")

    def __init__(
        self, graph: Graph, values: list[Any], inputs: Mapping[Input, object], instances: Mapping[str, object]
    ) -> None:
        """Keep the tables; they change while the run goes on."""
        self._graph = graph
        self._values = values
        self._inputs = inputs
        self._instances = instances

    def of(self, node: int, own: Mapping[str, object] | None = None) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return positional and keyword arguments of `node`; `own` are resource instances made for this attempt."""
        graph = self._graph
        if graph.shapes[node] == REFS:
            values = self._values
            return tuple([values[j] for j in graph.args[node]]), {}
        args = tuple([self.resolve(a, own) for a in graph.args[node]])
        kwargs = graph.kwargs.get(node)
        return args, {k: self.resolve(v, own) for k, v in kwargs.items()} if kwargs else {}

    def of_map(self, node: int, own: Container[str]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return a map's inputs; those with resources that each item has for itself (`own`) wait till `for_item`."""
        args = tuple([self._later(a, own) for a in self._graph.args[node]])
        return args, {k: self._later(v, own) for k, v in self._graph.kwargs.get(node, {}).items()}

    def _later(self, slot: object, own: Container[str]) -> Any:
        if any(type(inner) is ResourceRef and inner.inject.name in own for inner in slots_in(slot)):
            return _Later(slot.value if type(slot) is UnmappedSlot else slot)
        return self.resolve(slot)

    def for_item(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], own: Mapping[str, object]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of one item with its own resources put in."""

        def fill(value: Any) -> Any:
            return self.resolve(value.slot, own) if type(value) is _Later else value

        return tuple([fill(a) for a in args]), {k: fill(v) for k, v in kwargs.items()}

    def resolve(self, slot: Any, own: Mapping[str, object] | None = None) -> Any:
        """Return the value that `slot` stands for."""
        kind = type(slot)
        if kind not in SLOTS:
            return slot
        if kind is Ref:
            value = self._values[slot.index]
            for key in slot.path:
                value = value[self.resolve(key, own)]
            return value
        if kind is InputRef:
            return self._inputs[slot.input]
        if kind is ResourceRef:
            name = slot.inject.name
            return own[name] if own and name in own else self._instances[name]
        if kind is UnmappedSlot:
            return Unmapped(self.resolve(slot.value, own))
        values = self._values
        plain = [  # most items of a container are whole values: spare them a call each
            values[item.index] if type(item) is Ref and not item.path else self.resolve(item, own)
            for item in slot.items
        ]
        return _rebuild(slot, plain)


def _rebuild(slot: ContainerSlot, items: list[Any]) -> Any:
    like: Any = slot.like
    kind = type(like)
    if kind is list:
        return items
    if isinstance(like, dict):
        pairs = zip(items[::2], items[1::2], strict=True)
        if kind is dict:
            return dict(pairs)
        from copy import copy

        made = copy(like)
        made.clear()
        made.update(pairs)
        return made
    if isinstance(like, tuple) and hasattr(like, "_make"):
        return like._make(items)
    if isinstance(like, (list, tuple, set, frozenset)):
        return kind(items)
    from dataclasses import replace

    names = [f.name for f in fields(like) if f.init]
    return replace(like, **dict(zip(names, items, strict=True)))
