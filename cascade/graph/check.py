"""Graph → everything that can be said before it runs: amounts, resources, inputs.

In: a Graph and what the caller of the run gave. Out: checked tables that the engine reads without checking again.
Invariant: runs nothing, opens nothing; each check looks at the whole graph and reports all that it found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeVar

from cascade.graph.build import slots_in
from cascade.graph.model import LOOP, InputRef, Ref, ResourceRef
from cascade.interfaces.exceptions import CapacityError, ResourceError
from cascade.spec.input import resolve_inputs
from cascade.spec.resource import Inject, Resource

if TYPE_CHECKING:
    from cascade.context import WorkflowContext
    from cascade.graph.model import Graph
    from cascade.spec.input import Input

__all__ = [
    "Amounts",
    "check_amount",
    "check_amounts",
    "check_capacities",
    "find_resources",
    "read_inputs",
]

Amounts = tuple[tuple[str, float], ...]
Entry = TypeVar("Entry")


# -- capacities -----------------------------------------------------------------------------------------------------


def check_capacities(capacities: Mapping[Any, object] | None) -> dict[str, float]:
    """Return ``system_resources`` as numbers.

    Raises:
        CapacityError: when an amount is not a finite number above 0, or there is no mapping at all.
    """
    if capacities is None:
        return {}
    if not isinstance(capacities, Mapping):
        raise CapacityError.for_mapping(capacities)
    found: dict[str, float] = {}
    problems: list[CapacityError] = []
    for name, amount in capacities.items():
        number = _number(amount)
        if isinstance(name, str) and number is not None and number > 0:
            found[name] = number
        else:
            problems.append(CapacityError.for_capacity(str(name), amount))
    if problems:
        raise CapacityError.for_all(problems)
    return found


def check_amount(label: str, name: str, amount: object, capacities: Mapping[str, float]) -> float:
    """Return one `amount` as a number; for the amounts that only a run knows, too.

    Args:
        label: of the node that asks. name: of the capacity. capacities: checked ones.

    Raises:
        CapacityError: when no capacity has the name, or the amount is no number, negative or more than there is.
    """
    if name not in capacities:
        raise CapacityError.for_unknown(label, name, capacities)
    number = _number(amount)
    if number is None or number < 0:
        raise CapacityError.for_amount(label, name, amount)
    if number > capacities[name]:
        raise CapacityError.for_excess(label, name, number, capacities[name])
    return number


def check_amounts(
    graph: Graph, capacities: Mapping[Any, object] | None, nodes: range | None = None
) -> dict[int, Amounts]:
    """Return what each node (of `nodes`) takes of the capacities, as far as it is known before the run.

    Returns:
        By node number, pairs of name and amount, sorted by name. Amounts of 0 and lazy ones are left out; a node
        that has only such ones is left out.

    Raises:
        CapacityError: with everything that is wrong.
    """
    known = check_capacities(capacities)
    found: dict[int, Amounts] = {}
    problems: list[CapacityError] = []
    for index, slots in _entries(graph.amounts, nodes):
        static: list[tuple[str, float]] = []
        for name, slot in slots.items():
            amount = 0.0 if isinstance(slot, (Ref, InputRef)) else slot
            try:
                number = check_amount(graph.label(index), name, amount, known)
            except CapacityError as problem:
                problems.append(problem)
            else:
                if number:
                    static.append((name, number))
        if static:
            found[index] = tuple(sorted(static))
    if problems:
        raise CapacityError.for_all(problems)
    return found


def _number(value: object) -> float | None:
    """Return a finite number as float, None for everything else."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError):
        return None
    return number if isfinite(number) else None


# -- inputs ---------------------------------------------------------------------------------------------------------


def read_inputs(graph: Graph, params: Mapping[str, object] | None, environ: Mapping[str, str]) -> dict[Input, object]:
    """Return the value of every Param and Env of the graph.

    Raises:
        ParamError: with everything that is missing, wrong or unknown.
    """
    return resolve_inputs(graph.params, graph.envs, params, environ)


# -- resources ------------------------------------------------------------------------------------------------------


def find_resources(
    graph: Graph,
    explicit: Iterable[Resource] | Mapping[str, Resource] | None,
    context: WorkflowContext,
    nodes: range | None = None,
) -> dict[str, Resource]:
    """Return the resources that the graph (or `nodes` of it) needs, each after those that it needs itself.

    `explicit` ones win, then `context.overrides`, then those injected as objects, then those registered by name.

    Raises:
        ResourceError: when a name is not defined, two resources have one name, resources need each other in a
            circle, one would outlive what it needs, or one is asked for where no task can use it.
    """
    finder = _Finder(_read_explicit(explicit), context)
    _check_places(graph, nodes)
    for index, _ in _entries(graph.resources, nodes):
        where = f"task '{graph.label(index)}'"
        for slot in (*graph.args[index], *graph.kwargs.get(index, {}).values()):
            for inject in _injects(slot):
                finder.ask(inject, where)
    found = finder.resolve()
    _check_inline(graph, found, nodes)
    return found


def _read_explicit(explicit: Iterable[Resource] | Mapping[str, Resource] | None) -> dict[str, Resource]:
    """Return ``resources=`` by name; a mapping may give them other names."""
    if isinstance(explicit, (Resource, str)):
        raise ResourceError.for_argument(explicit)
    pairs = explicit.items() if isinstance(explicit, Mapping) else ((None, each) for each in explicit or ())
    found: dict[str, Resource] = {}
    for name, each in pairs:
        if not isinstance(each, Resource):
            raise ResourceError.for_argument(each)
        if found.setdefault(name or each.name, each) is not each:
            raise ResourceError.for_same_name(each.name)
    return found


def _injects(slot: object) -> Iterator[Inject]:
    for inner in slots_in(slot):
        if isinstance(inner, ResourceRef):
            yield inner.inject


def _entries(table: Mapping[int, Entry], nodes: range | None) -> Iterable[tuple[int, Entry]]:
    """Return the entries of `table` for `nodes`, all by default."""
    return table.items() if nodes is None else [(n, table[n]) for n in nodes if n in table]


def _check_places(graph: Graph, nodes: range | None) -> None:
    """Refuse injections outside of arguments: nobody would hold the instance open."""
    places: list[tuple[str, object]] = [("the target of the run", graph.target)]
    places += [(f"the condition of '{graph.label(i)}'", slot) for i, slot in _entries(graph.gates, nodes)]
    places += [(f"the fallback of '{graph.label(i)}'", slot) for i, slot in _entries(graph.fallbacks, nodes)]
    for i, amounts in _entries(graph.amounts, nodes):
        places += [(f"with_constraints of '{graph.label(i)}'", slot) for slot in amounts.values()]
    for _, route in _entries(graph.routes, nodes):
        where = f"the router '{route.label}'"
        places += [(where, slot) for slot in (route.selector, route.default, *route.branches.values())]
    for where, slot in places:
        for inject in _injects(slot):
            raise ResourceError.for_place(inject.name, where)


def _check_inline(graph: Graph, found: Mapping[str, Resource], nodes: range | None) -> None:
    """Refuse what a thread cannot do: open and close, for one attempt, what lives on the event loop."""
    on_loop: dict[str, bool] = {}
    for name, resource in found.items():  # needs come first
        beneath = any(on_loop[each.name] for each in resource.needs.values())
        on_loop[name] = resource.scope == "task" and (resource.is_async or beneath)
    if not any(on_loop.values()):
        return
    for index, names in _entries(graph.resources, nodes):
        if graph.modes[index] != LOOP:
            for name in names:
                if on_loop[name]:
                    raise ResourceError.for_inline(graph.label(index), name)


class _Finder:
    """Finds the resource that each name means, and those that resources ask for in turn.

    Responsible for: precedence, equal names, order, circles, lifetimes. Refuses: opening anything.
    """

    def __init__(self, explicit: Mapping[str, Resource], context: WorkflowContext) -> None:
        self.explicit = explicit
        self.overrides = context.overrides
        self.registered = context.resources
        self.chosen: dict[str, Resource] = {}
        self.asked: list[tuple[Inject, str]] = []
        self.named: list[tuple[str, str]] = []

    def ask(self, inject: Inject, where: str) -> None:
        self.asked.append((inject, where))

    def resolve(self) -> dict[str, Resource]:
        """Choose a resource for all that was asked; injected objects first, since they may give a name its meaning."""
        while self.asked or self.named:
            while self.asked:
                inject, where = self.asked.pop()
                replacement = self.explicit.get(inject.name) or self.overrides.get(inject.name)
                if replacement is not None:
                    self.take(inject.name, replacement)
                elif isinstance(inject.resource, Resource):
                    self.take(inject.name, self.newest(inject.resource))
                else:
                    self.named.append((inject.resource, where))
            named, self.named = self.named, []
            for name, where in named:
                if name in self.registered:
                    self.take(name, self.registered[name])
                elif name not in self.chosen:
                    known = {**self.registered, **self.overrides, **self.explicit, **self.chosen}
                    raise ResourceError.for_unknown(name, where, known)
        ordered = self.order()
        self.check_lifetimes(ordered)
        return ordered

    def newest(self, resource: Resource) -> Resource:
        """Return what `resource` was redefined as: the same function of a module or notebook, defined again."""
        latest = self.registered.get(resource.name, resource)
        origin = _origin(resource)
        return latest if origin is not None and origin == _origin(latest) else resource

    def take(self, name: str, resource: Resource) -> None:
        if name not in self.chosen:
            self.chosen[name] = resource
            for inject in resource.needs.values():
                self.ask(inject, f"resource '{name}'")
        elif self.chosen[name] is not resource:
            raise ResourceError.for_same_name(name)

    def order(self) -> dict[str, Resource]:
        """Return the chosen resources, needs first, without recursion."""
        ordered: dict[str, Resource] = {}
        for first, resource in self.chosen.items():
            stack = [(first, iter(resource.needs.values()))]
            open_names = {first}
            while stack:
                name, needs = stack[-1]
                need = next(needs, None)
                if need is None:
                    stack.pop()
                    open_names.discard(name)
                    ordered.setdefault(name, self.chosen[name])
                elif need.name in open_names:
                    names = [above for above, _ in stack]
                    raise ResourceError.for_cycle([*names[names.index(need.name) :], need.name])
                elif need.name not in ordered:
                    open_names.add(need.name)
                    stack.append((need.name, iter(self.chosen[need.name].needs.values())))
        return ordered

    def check_lifetimes(self, ordered: Mapping[str, Resource]) -> None:
        for name, resource in ordered.items():
            for inject in resource.needs.values():
                need = ordered[inject.name]
                stands_in = inject.name in self.overrides and inject.name not in self.explicit
                if _LIFE[need.scope] < _LIFE[resource.scope] and not stands_in:
                    raise ResourceError.for_lifetime(name, resource.scope, inject.name, need.scope)


_LIFE = {"task": 0, "run": 1, "session": 2}


def _origin(resource: Resource) -> tuple[object, str] | None:
    """Return module and name of a top-level function; None for others, of which many may share a name."""
    name = getattr(resource.function, "__qualname__", "")
    return (getattr(resource.function, "__module__", None), name) if name and "<" not in name else None
