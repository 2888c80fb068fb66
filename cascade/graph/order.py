"""Order of a graph: each node after what it may need, and the longest path that remains from each.

In: a Graph. Out: node numbers in order, heights. Invariant: linear in nodes and edges, no recursion; a circle is an
error that names it. (Kahn 1962; highest level first as in Hu 1961.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cascade.graph.build import refs_in
from cascade.graph.model import REFS
from cascade.interfaces.exceptions import GraphError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cascade.graph.model import Graph

__all__ = ["may_need", "sort"]


def may_need(graph: Graph, index: int) -> Iterable[int]:
    """Return every node that `index` may need: values, order, condition, selector, routes, fallback."""
    if not (graph.gates or graph.aliases or graph.fallbacks or graph.routes):
        return graph.needs_of(index)
    found = list(graph.needs_of(index))
    if index in graph.gates:
        found += refs_in(graph.gates[index])
    if index in graph.aliases:
        found += refs_in(graph.aliases[index])
    if index in graph.fallbacks:
        found += refs_in(graph.fallbacks[index])
    if index in graph.routes:
        route = graph.routes[index]
        for slot in (route.selector, route.default, *route.branches.values()):
            found += refs_in(slot)
    return found


def sort(graph: Graph) -> tuple[list[int], list[int]]:
    """Return the order (needs first) and the height of each node (nodes on the longest path to a target).

    Raises:
        GraphError: when nodes need each other in a circle.
    """
    count = len(graph)
    waiting = [len(s) for s in graph.succ]
    special = sorted({*graph.gates, *graph.routes, *graph.fallbacks, *graph.aliases})
    extra: dict[int, list[int]] = {}
    for i in special:
        plain = len(graph.needs_of(i))
        extra[i] = list(may_need(graph, i))[plain:]
        for j in extra[i]:
            waiting[j] += 1
    heights = [1] * count
    order = [i for i in range(count - 1, -1, -1) if not waiting[i]]
    shapes, args, needs = graph.shapes, graph.args, graph.needs
    for i in order:
        above = heights[i] + 1
        sources = args[i] if shapes[i] == REFS and i not in needs else needs.get(i, ())
        if extra and i in extra:
            sources = [*sources, *extra[i]]
        for j in reversed(sources):  # the whole is reversed in the end: what was written first comes first
            if heights[j] < above:  # noqa: PLR1730 - the innermost loop of large graphs
                heights[j] = above
            waiting[j] -= 1
            if not waiting[j]:
                order.append(j)
    if len(order) < count:
        raise GraphError.for_cycle(_circle(graph, set(range(count)) - set(order)))
    order.reverse()
    return order, heights


def _circle(graph: Graph, left: set[int]) -> list[str]:
    """Return the labels of one circle among the nodes `left`; each of them needs, or is needed by, another one."""
    seen: dict[int, int] = {}
    path: list[int] = []
    node = min(left)
    needed_by = {j: i for i in left for j in may_need(graph, i) if j in left}
    while node not in seen:
        seen[node] = len(path)
        path.append(node)
        node = needed_by[node]
    return [graph.label(i) for i in [*path[seen[node] :], node]]
