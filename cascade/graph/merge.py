"""Equal calls of pure tasks: find those that can be one node.

In: a Graph. Out: for each call that equals an earlier one, that one. Invariant: equality is by task, by type and by
value; what cannot be compared so is equal only to itself. Names and reprs never count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade.graph.model import REFS, ROUTE, ContainerSlot, InputRef, Ref, ResourceRef, UnmappedSlot
from cascade.spec.lazy_types import LazyMap

if TYPE_CHECKING:
    from cascade.graph.model import Graph
    from cascade.spec.lazy_types import LazyResult

__all__ = ["find_equal_calls"]


def find_equal_calls(graph: Graph) -> dict[int, LazyResult[Any]]:
    """Return ``id(call) → equal earlier call`` for the pure calls of `graph` that repeat."""
    aliases: dict[int, LazyResult[Any]] = {}
    first: dict[object, int] = {}
    same = list(range(len(graph)))
    for i in graph.order:
        if graph.kinds[i] == ROUTE or not graph.calls[i]._task.pure:  # noqa: SLF001
            continue
        key = _call_key(graph, i, same)
        earlier = first.setdefault(key, i)
        if earlier != i:
            same[i] = earlier
            aliases[id(graph.calls[i])] = graph.calls[earlier]
    return aliases


def _call_key(graph: Graph, i: int, same: list[int]) -> object:
    call = graph.calls[i]
    args = graph.args[i]
    if graph.shapes[i] == REFS:
        shown: object = tuple([("ref", same[j]) for j in args])
    else:
        shown = tuple([_value_key(a, same) for a in args])
    kwargs = tuple(sorted((k, _value_key(v, same)) for k, v in graph.kwargs.get(i, {}).items())) if i in graph.kwargs else ()
    map_rules = (call._max_concurrency, call._on_error) if isinstance(call, LazyMap) else None  # noqa: SLF001
    return (id(call._task), id(call._options) if call._options else 0, map_rules, shown, kwargs)  # noqa: SLF001


def _value_key(value: Any, same: list[int]) -> object:  # noqa: ANN401, PLR0911 - one return per kind of value
    kind = type(value)
    if kind in (int, bool, str, bytes, type(None)):
        return (kind.__name__, value)
    if kind in (float, complex):
        return (kind.__name__, repr(value))
    if kind is Ref:
        return ("ref", same[value.index], tuple([_value_key(k, same) for k in value.path]))
    if kind is InputRef:
        return ("input", id(value.input))
    if kind is ResourceRef:
        return ("resource", value.inject.name)
    if kind is UnmappedSlot:
        return ("unmapped", _value_key(value.value, same))
    if kind is ContainerSlot:
        return ("container", id(type(value.like)), tuple([_value_key(v, same) for v in value.items]))
    if kind in (list, tuple) and len(value) <= 1000:  # noqa: PLR2004 - longer ones are compared by identity
        return (kind.__name__, tuple([_value_key(v, same) for v in value]))
    if kind is dict and len(value) <= 1000:  # noqa: PLR2004
        return ("dict", tuple([(_value_key(k, same), _value_key(v, same)) for k, v in value.items()]))
    return ("object", id(value))
