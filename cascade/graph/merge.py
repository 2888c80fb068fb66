"""Equal calls of pure tasks: find those that can be one node.

In: a Graph. Out: for each call that equals an earlier one, that one. Invariant: equality is by task, by type and by
value; what cannot be compared so is equal only to itself. Names and reprs never count.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import TYPE_CHECKING, Any

from cascade.graph.model import MAP, REFS, ROUTE, ContainerSlot, InputRef, Ref, ResourceRef, UnmappedSlot
from cascade.spec.file import File
from cascade.spec.lazy_types import LazyMap

if TYPE_CHECKING:
    from cascade.graph.model import Graph
    from cascade.spec.lazy_types import LazyResult

__all__ = ["Merger", "find_equal_calls"]

MOST_PARTS = 10_000
MOST_DEPTH = 50


def find_equal_calls(graph: Graph) -> dict[int, LazyResult[Any]]:
    """Return ``id(call) → equal earlier call`` for the pure calls of `graph` that repeat."""
    equal = Merger(graph).note(graph.order)
    return {id(graph.calls[number]): graph.calls[earlier] for number, earlier in equal.items()}


class Merger:
    """Remembers the pure calls of a graph that may gain more of them.

    Args:
        lost: nodes that will never have a value: no other call is the same as theirs.
    """

    def __init__(self, graph: Graph, lost: Container[int] = ()) -> None:
        """Begin with none."""
        self._graph = graph
        self._lost = lost
        self._first: dict[object, int] = {}
        self._same: list[int] = []

    def note(self, numbers: Iterable[int]) -> dict[int, int]:
        """Look at nodes, each after those that it needs; return which equals which earlier one."""
        graph, same = self._graph, self._same
        same.extend(range(len(same), len(graph)))
        equal: dict[int, int] = {}
        calls, kinds, shapes, args = graph.calls, graph.kinds, graph.shapes, graph.args
        for i in numbers:
            if kinds[i] == ROUTE or not (task := calls[i]._task).pure:  # noqa: SLF001
                continue
            if kinds[i] == MAP or shapes[i] != REFS or i in graph.refined or i in graph.kwargs:
                key = _call_key(graph, i, same)
            else:  # nothing but values of other nodes: nearly all nodes of large graphs
                key = (id(task), *[same[j] for j in args[i]])
            earlier = self._first.setdefault(key, i)
            if earlier in self._lost:
                self._first[key] = i
            elif earlier != i:
                same[i] = equal[i] = earlier
        return equal


def _call_key(graph: Graph, i: int, same: list[int]) -> object:
    call = graph.calls[i]
    args = graph.args[i]
    values = _Values(same)
    if graph.shapes[i] == REFS:
        shown: object = tuple([("ref", same[j]) for j in args])
    else:
        shown = tuple([values.key(a) for a in args])
    kwargs = tuple([(k, values.key(v)) for k, v in sorted(graph.kwargs.get(i, {}).items())])
    map_rules = (call._max_concurrency, call._on_error) if isinstance(call, LazyMap) else None  # noqa: SLF001
    return (id(call._task), _options_key(graph, i, values), map_rules, shown, kwargs)  # noqa: SLF001


def _options_key(graph: Graph, i: int, values: _Values) -> object:
    """Calls are one node only if the same was said about them."""
    options = graph.options(i)
    if options is None:
        return None
    amounts = tuple([(k, values.key(v)) for k, v in sorted(graph.amounts.get(i, {}).items())])
    slots = tuple([values.key(table[i]) if i in table else None for table in (graph.gates, graph.fallbacks)])
    orders = tuple([values.same[j] for j in graph.orders.get(i, ())])
    objects = tuple([id(each) if each is not None else 0 for each in (options.cache, options.jump)])
    policies = (options.name, options.retry, options.timeout, objects)
    return (policies, amounts, slots, orders)


class _Values:
    """Keys of the values of one call: equal for values that are equal in type and content.

    Values with more than `MOST_PARTS` parts, or that hold themselves, are equal only to themselves.
    """

    def __init__(self, same: list[int]) -> None:
        self.same = same
        self.parts = 0
        self.inside: set[int] = set()

    def key(self, value: Any) -> object:  # noqa: PLR0911 - one return per kind of value
        kind = type(value)
        if kind in (int, bool, str, bytes, type(None)):
            return (kind.__name__, value)
        if kind in (float, complex):
            return (kind.__name__, repr(value))
        if kind is Ref:
            return ("ref", self.same[value.index], tuple([self.key(k) for k in value.path]))
        if kind is ResourceRef:
            return ("resource", value.inject.name)
        if kind is File:
            return ("file", value.path)
        if kind is UnmappedSlot:
            return ("unmapped", self.key(value.value))
        if kind is ContainerSlot:
            return ("container", id(type(value.like)), tuple([self.key(v) for v in value.items]))
        if kind in (list, tuple, dict) and self.is_small(value):
            return self.container_key(kind, value)
        return ("object", id(value.input if kind is InputRef else value))

    def is_small(self, value: Any) -> bool:
        self.parts += len(value)
        return self.parts <= MOST_PARTS and len(self.inside) < MOST_DEPTH and id(value) not in self.inside

    def container_key(self, kind: type, value: Any) -> object:
        self.inside.add(id(value))
        parts = value.items() if kind is dict else value
        key = (kind.__name__, tuple([self.key(part) for part in parts]))
        self.inside.discard(id(value))
        return key
