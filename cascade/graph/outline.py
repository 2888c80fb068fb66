"""Graph → nodes and edges as people see them: ids, names, notes, kinds of arrows.

In: a Graph. Out: `Node` and `Edge` objects. Invariant: ids are unique and the same for the same graph; names are the
user's text, unchanged.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cascade.graph.build import refs_in, slots_in
from cascade.graph.model import LITERALS, MAP, REFS, ROUTE, Edge, EdgeKind, InputRef, Node, Ref, as_name
from cascade.spec.policy import UNSET

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cascade.graph.model import Graph, Machine, Route
    from cascade.spec.input import Input

__all__ = ["extend_ids", "input_ids", "make_edges", "make_ids", "make_nodes", "walk_edges"]


def make_ids(graph: Graph) -> list[str]:
    """Return an id for each node number: its name, with ``#2``, ``#3`` … in the order of the graph."""
    labels = graph.labels
    ids = labels.copy()
    counts: dict[str, int] = {}
    for i in graph.order:
        name = labels[i]
        count = counts[name] = counts.get(name, 0) + 1
        if count > 1:
            ids[i] = f"{name}#{count}"
    if len(set(ids)) < len(ids):
        return _make_ids_apart(graph)
    return ids


def _make_ids_apart(graph: Graph) -> list[str]:
    """Make ids when someone has named a node like an id: ``x#2``."""
    ids = [""] * len(graph)
    counts: dict[str, int] = {}
    taken: set[str] = set()
    for i in graph.order:
        ids[i] = _fresh(graph.labels[i], counts, taken)
    return ids


def extend_ids(graph: Graph, known: Sequence[str]) -> list[str]:
    """Return `known`, the ids of the first nodes, and ids for those that came later, in the order of their coming."""
    if graph._taken is None:  # noqa: SLF001 - its own notes, kept since a graph may grow ten thousand times
        graph._taken = (dict(Counter(graph.labels[: len(known)])), set(known))  # noqa: SLF001
    counts, taken = graph._taken  # noqa: SLF001
    return [*known, *[_fresh(name, counts, taken) for name in graph.labels[len(known) :]]]


def _fresh(name: str, counts: dict[str, int], taken: set[str]) -> str:
    while True:
        count = counts[name] = counts.get(name, 0) + 1
        made = name if count == 1 else f"{name}#{count}"
        if made not in taken:
            taken.add(made)
            return made


def input_ids(graph: Graph) -> dict[Input, str]:
    """Return an id for each Param and Env of the graph."""
    taken = set(graph.ids)
    counts: dict[str, int] = {}
    return {i: _fresh(as_name(i.name), counts, taken) for i in (*graph.params, *graph.envs)}


def make_nodes(graph: Graph) -> tuple[Node, ...]:
    """Return the nodes in order, then the Params and Envs."""
    ids, labels = graph.ids, graph.labels
    nodes = [_make_node(graph, i, ids[i], labels[i]) for i in graph.order]
    for item, name in input_ids(graph).items():
        note = "required" if item.required else item.preview(item.default)
        nodes.append(Node(name, item.name, "param" if item.word == "Param" else "env", note=note))
    return tuple(nodes)


def _make_node(graph: Graph, i: int, node_id: str, label: str) -> Node:
    if graph.kinds[i] == ROUTE:
        return Node(node_id, label, "route", note=_ready_routes(graph.routes[i]))
    call = graph.calls[i]
    task = call._task  # noqa: SLF001
    options = call._options  # noqa: SLF001
    if options is None and graph.kinds[i] != MAP and i not in graph.resources:  # nearly all are such
        return Node(node_id, label, "task", task.key, task.mode)
    notes: list[str] = []
    amounts: dict[str, float] = {}
    if options is not None:
        if options.retry is not None and options.retry.max_attempts > 1:
            notes.append(f"≤ {options.retry.max_attempts} tries")
        if i in graph.jumps:
            notes.append(f"loop: {', '.join(map(str, graph.jumps[i].states))}")
        if options.timeout is not None:
            notes.append(f"≤ {options.timeout:g} s")
        for name, amount in (options.constraints or {}).items():
            if isinstance(amount, (int, float)):
                amounts[name] = float(amount)
            notes.append(f"{name} {amount:g}" if isinstance(amount, (int, float)) else f"{name} …")
    notes += graph.resources.get(i, ())
    kind = "map" if graph.kinds[i] == MAP else "task"
    return Node(node_id, label, kind, task.key, task.mode, " · ".join(notes), amounts)  # type: ignore[arg-type]


def _ready_routes(route: Route) -> str:
    """Tell the routes that have their value already: no arrow shows them."""
    ready = [str(key) for key, slot in route.branches.items() if not _has_arrow(slot)]
    if route.default is not UNSET and not _has_arrow(route.default):
        ready.append("otherwise")
    return f"a value for {', '.join(ready)}" if ready else ""


def _has_arrow(slot: object) -> bool:
    return any(type(inner) in {Ref, InputRef} for inner in slots_in(slot))


def walk_edges(graph: Graph) -> Iterator[tuple[str, str, EdgeKind]]:
    """Yield source, target and kind of every arrow: of a graph that is too large for an object each."""
    inputs, ids, special = input_ids(graph), graph.ids, _special(graph)
    for i in graph.order:
        if graph.shapes[i] == REFS and i not in special:
            for j in dict.fromkeys(graph.args[i]):
                yield ids[j], ids[i], "data"
        elif graph.shapes[i] != LITERALS or i in special:
            for edge in dict.fromkeys(_edges_to(graph, i, inputs)):
                yield edge.source, edge.target, edge.kind


def _special(graph: Graph) -> set[int]:
    """Return the nodes that need more than their plain arguments."""
    tables = (graph.kwargs, graph.jumps, graph.aliases, graph.gates, graph.amounts, graph.orders, graph.fallbacks)
    return {node for table in (*tables, graph.routes) for node in table}


def make_edges(graph: Graph) -> tuple[Edge, ...]:
    """Return every arrow once, in the order of the targets."""
    edges: list[Edge] = []
    inputs, ids, special = input_ids(graph), graph.ids, _special(graph)
    for i in graph.order:
        if graph.shapes[i] == REFS and i not in special:  # nearly all are such
            edges += [Edge(ids[j], ids[i]) for j in dict.fromkeys(graph.args[i])]
        elif graph.shapes[i] != LITERALS or i in special:
            edges += dict.fromkeys(_edges_to(graph, i, inputs))
    return tuple(edges)


def _edges_to(graph: Graph, i: int, inputs: Mapping[Input, str]) -> Iterator[Edge]:
    """Yield the arrows to node `i`, some of them more than once."""
    ids = graph.ids
    for slot, kind, label in _slots(graph, i):
        for inner in slots_in(slot):
            if type(inner) is Ref:
                path = "".join(f"[{k!r}]" for k in inner.path if not isinstance(k, Ref)) if kind == "data" else ""
                yield Edge(ids[inner.index], ids[i], kind, label or path)
            elif type(inner) is InputRef:
                yield Edge(inputs[inner.input], ids[i], kind, label)


def _slots(graph: Graph, i: int) -> Iterator[tuple[object, EdgeKind, str]]:
    """Yield each slot of node `i` with the kind and label of its arrows."""
    plain = map(Ref, graph.args[i]) if graph.shapes[i] == REFS else graph.args[i]
    for slot in (*plain, *graph.kwargs.get(i, {}).values()):
        yield slot, "data", ""
    if i in graph.jumps:
        yield from ((slot, "data", "") for slot in _later_slots(graph.jumps[i]))
    if i in graph.aliases:
        yield graph.aliases[i], "route", ""
    if i in graph.gates:
        yield graph.gates[i], "condition", ""
    for name, slot in graph.amounts.get(i, {}).items():
        if refs_in(slot):
            yield slot, "constraint", name
    for j in graph.orders.get(i, ()):
        yield Ref(j), "order", ""
    if i in graph.fallbacks:
        yield graph.fallbacks[i], "route", "otherwise"
    if i in graph.routes:
        yield from _route_slots(graph.routes[i])


def _later_slots(machine: Machine) -> Iterator[object]:
    """Yield the slots of what the later turns of a loop are given beforehand."""
    for state in machine.states.values():
        if state is not None:
            yield from (*state.args, *state.kwargs.values())


def _route_slots(route: Route) -> Iterator[tuple[object, EdgeKind, str]]:
    yield route.selector, "selector", ""
    for key, slot in route.branches.items():
        yield slot, "route", str(key)
    if route.default is not UNSET:
        yield route.default, "route", "otherwise"
