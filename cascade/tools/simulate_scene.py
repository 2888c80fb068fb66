"""Target and what one knows → a scene that can be rehearsed, and what was taken for granted.

In: a graph, durations, earlier runs, Params. Out: a `Scene` and remarks. Invariant: nothing runs and nothing is
written; whatever only the run could know (a route, a condition, the items of a map) is taken to be something, and a
remark says what.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any, Final

from cascade.adapters.solvers.durations import find_durations
from cascade.graph.build import refs_in
from cascade.graph.check import check_amount, check_amounts
from cascade.graph.model import MAP, REFS, ROUTE, ContainerSlot, InputRef, Ref, ResourceRef, UnmappedSlot
from cascade.graph.order import may_need
from cascade.interfaces.exceptions import CascadeError, SettingError, nearest
from cascade.messaging.catalogue import in_seconds
from cascade.runtime.maps import is_mapped
from cascade.spec.policy import UNSET
from cascade.tools.items import PastPace, find_pace
from cascade.tools.simulate_terms import Scene

if TYPE_CHECKING:
    from cascade.adapters.solvers.durations import Durations
    from cascade.graph.check import Amounts
    from cascade.graph.model import Graph
    from cascade.interfaces.protocols import Store
    from cascade.spec.constraint import GlobalConstraint

__all__ = ["Given", "make_scene"]

UNKNOWN: Final = object()
MOST_NAMED: Final = 5
WAIT: Final = "cascade.providers.wait:wait"
_SIZED = (list, tuple, set, frozenset)


@dataclass(frozen=True, slots=True)
class Given:
    """What the caller said; see `simulate`."""

    durations: Durations | None = None
    params: Mapping[str, Any] | None = None
    items: Mapping[str, int] = field(default_factory=dict)
    routes: Mapping[str, object] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    limits: tuple[GlobalConstraint, ...] = ()
    standard: float = 1.0
    store: Store | None = None


def make_scene(
    graph: Graph, rank: Sequence[int], given: Given, capacities: Mapping[str, float] | None
) -> tuple[Scene, tuple[str, ...]]:
    """Return the scene of a run of `graph`, and remarks about what was taken for granted.

    Args:
        rank: place of each node in the queue. capacities: checked ones; None: amounts do not count.
    """
    return _Scout(graph, given, capacities).look(rank)


class _Scout:
    """Finds out what can be known before the run; `remarks` are about the rest."""

    def __init__(self, graph: Graph, given: Given, capacities: Mapping[str, float] | None) -> None:
        self.graph, self.given = graph, given
        self.capacities = capacities or {}
        self.counts_amounts = capacities is not None
        self.remarks: list[str] = []
        self.inputs = self._read_inputs()
        self.paces: dict[int, PastPace] = {}
        self.guessed: frozenset[int] = frozenset()

    def look(self, rank: Sequence[int]) -> tuple[Scene, tuple[str, ...]]:
        seconds = self._find_seconds()
        overdue = self._stop_in_time(seconds)
        amounts = self._find_amounts()
        items = self._find_items()
        closed = self._find_closed()
        routes = self._find_routes(seconds, items)
        failures = {n: c for n, c in self._by_name("failures", self.given.failures, 0).items() if c} | overdue
        self._tell_rest()
        from time import time

        scene = Scene(
            self.graph, rank, seconds, items, amounts, self.capacities, closed, routes, failures, self.given.limits,
            time(),
        )  # fmt: skip
        return scene, tuple(self.remarks)

    # -- values that are known ------------------------------------------------------------------------------------

    def _read_inputs(self) -> dict[Any, object]:
        """Return the values of Params and Envs; without ``params=``, those that have any."""
        from cascade.graph.check import read_inputs
        from cascade.spec.input import resolve_inputs

        if self.given.params is not None:
            return read_inputs(self.graph, self.given.params, os.environ)
        found: dict[Any, object] = {}
        for item in (*self.graph.params, *self.graph.envs):
            is_param = item in self.graph.params
            try:
                found.update(resolve_inputs([item] if is_param else [], [] if is_param else [item], {}, os.environ))
            except CascadeError:
                continue  # only a run needs it
        return found

    def _value(self, slot: object) -> object:
        """Return what a slot is worth, `UNKNOWN` if only the run knows."""
        if isinstance(slot, InputRef):
            return self.inputs.get(slot.input, UNKNOWN)
        if isinstance(slot, (Ref, ContainerSlot, ResourceRef, UnmappedSlot)):
            return UNKNOWN
        return slot

    # -- durations ------------------------------------------------------------------------------------------------

    def _find_seconds(self) -> list[float]:
        """Return the seconds of each node; of a map, those of one item."""
        graph, standard = self.graph, self.given.standard
        said = find_durations(graph, self.given.durations)
        blank = [n for n, s in enumerate(said) if s is None and graph.kinds[n] != ROUTE]
        for node in blank:
            said[node] = self._waits(node)
        blank = [n for n in blank if said[n] is None]
        if blank and self.given.store is not None:
            tasks = {n: graph.calls[n]._task.name for n in blank}  # noqa: SLF001 - as in Graph.label
            costs = self.given.store.costs(dict.fromkeys(tasks.values()))
            self._learn_paces(tasks)
            for node, task in tasks.items():
                pace = self.paces.get(node)
                if pace is not None:
                    said[node] = pace.seconds
                elif task in costs and graph.kinds[node] != MAP:
                    said[node] = costs[task].seconds
            if costs:
                known = sum(said[n] is not None for n in blank)
                self.remarks.append(f"{known:,} of {len(graph):,} durations are those of earlier runs")
            blank = [n for n in blank if said[n] is None]
        self.guessed = frozenset(blank)
        if blank and len(blank) == len(graph) - len(graph.routes):
            self.remarks.append(f"no durations are known: each node counts as {in_seconds(standard)}")
        elif blank:
            self.remarks.append(f"nothing is known of {self._names(blank)}: each counts as {in_seconds(standard)}")
        return [(0.0 if graph.kinds[n] == ROUTE else standard) if s is None else s for n, s in enumerate(said)]

    def _waits(self, node: int) -> float | None:
        """Return the seconds of a `cs.wait`, of a map of them those of the longest; None for any other call."""
        graph = self.graph
        if getattr(getattr(graph.calls[node], "_task", None), "key", "") != WAIT or graph.shapes[node] == REFS:
            return None
        value = self._value(graph.args[node][0])
        found = [value] if isinstance(value, (int, float)) else value if isinstance(value, (list, tuple)) else []
        is_known = bool(found) and all(isinstance(each, (int, float)) and 0 <= each < inf for each in found)
        return float(max(found)) if is_known else None

    def _stop_in_time(self, seconds: list[float]) -> dict[int, int]:
        """Have nodes take no longer than their timeouts; return how many attempts of those fail by them."""
        overdue: dict[int, int] = {}
        for node, options in self.graph.refined.items():
            if options.timeout is None or seconds[node] <= options.timeout:
                continue
            seconds[node] = options.timeout
            if node not in self.guessed:
                overdue[node] = options.retry.max_attempts if options.retry is not None else 1
        if overdue:
            self.remarks.append(f"{self._names(overdue)} would be stopped by the timeout")
        return overdue

    def _learn_paces(self, tasks: Mapping[int, str]) -> None:
        """Find how the maps among these nodes went; a task of which only items ran takes as long by itself."""
        store, kinds = self.given.store, self.graph.kinds
        if store is None:
            return
        alone: dict[str, PastPace | None] = {}
        for node, task in tasks.items():
            pace = find_pace(store, self.graph.ids[node]) if kinds[node] == MAP else None
            if pace is None:
                if task not in alone:
                    alone[task] = find_pace(store, task) if self._was_map(task) else None
                pace = alone[task]
            if pace is not None:
                self.paces[node] = pace

    def _was_map(self, task: str) -> bool:
        row = self.given.store.latest(task) if self.given.store is not None else None
        return row is not None and bool(row.items)

    # -- capacities -----------------------------------------------------------------------------------------------

    def _find_amounts(self) -> dict[int, Amounts]:
        graph = self.graph
        slots = [slot for each in graph.amounts.values() for slot in each.values()]
        if not self.counts_amounts:
            if slots:
                self.remarks.append("no system_resources are given: amounts do not count")
            return {}
        found = check_amounts(graph, self.capacities)
        open_ = 0
        for node, each in graph.amounts.items():
            lazy = {name: self._value(slot) for name, slot in each.items() if isinstance(slot, (Ref, InputRef))}
            open_ += sum(value is UNKNOWN for value in lazy.values())
            known = {
                name: check_amount(graph.label(node), name, value, self.capacities)
                for name, value in lazy.items()
                if value is not UNKNOWN
            }
            if any(known.values()):
                now = {**dict(found.get(node, ())), **{name: amount for name, amount in known.items() if amount}}
                found[node] = tuple(sorted(now.items()))
        if open_:
            self.remarks.append(f"{open_} of {len(slots)} amounts are known only in the run: they count as 0")
        return found

    # -- maps -----------------------------------------------------------------------------------------------------

    def _find_items(self) -> dict[int, int]:
        """Return how many items each map has: as said, as its inputs say, or as it had in its last run."""
        graph = self.graph
        maps = [n for n in graph.order if graph.kinds[n] == MAP] if MAP in graph.kinds else []
        said = self._by_name("items", self.given.items, 0)
        found: dict[int, int] = {}
        missing: list[int] = []
        for node in maps:
            count = said.get(node, self._count_items(node, found))
            if count is None and node in self.paces:
                count = self.paces[node].count
            if count is None:
                missing.append(node)
            found[node] = 1 if count is None else count
        if missing:
            self.remarks.append(f"how many items are in {self._names(missing)} only the run knows: counted as one")
        wrong = [n for n in said if n not in found]
        if wrong:
            raise SettingError(f"items= names '{graph.label(wrong[0])}', which is no map.")
        return found

    def _count_items(self, node: int, known: Mapping[int, int]) -> int | None:
        graph = self.graph
        slots: Iterable[object] = graph.args[node]
        if graph.shapes[node] == REFS:
            slots = [Ref(index) for index in graph.args[node]]
        counts = [self._length(slot, known) for slot in (*slots, *graph.kwargs.get(node, {}).values())]
        return next((count for count in counts if count is not None), None)

    def _length(self, slot: object, known: Mapping[int, int]) -> int | None:
        if isinstance(slot, ContainerSlot):
            return len(slot.items) if isinstance(slot.like, _SIZED) else None
        if isinstance(slot, Ref):
            return known.get(slot.index) if not slot.path else None
        value = self._value(slot)
        if value is UNKNOWN or not is_mapped(value):
            return None
        try:
            return len(value)  # type: ignore[arg-type]
        except TypeError:
            return None

    # -- what is decided ------------------------------------------------------------------------------------------

    def _find_closed(self) -> frozenset[int]:
        """Return the nodes whose condition is known to be false; what is not known is taken to be true."""
        values = {node: self._value(slot) for node, slot in self.graph.gates.items()}
        unknown = [node for node, value in values.items() if value is UNKNOWN]
        if unknown:
            self.remarks.append(f"the run_if of {self._names(unknown)} is taken to be true")
        return frozenset([node for node, value in values.items() if value is not UNKNOWN and not value])

    def _find_routes(self, seconds: Sequence[float], items: Mapping[int, int]) -> dict[int, object]:
        """Return the slot that each router gives: as said, as its selector says, else that which takes longest."""
        graph = self.graph
        said = self._match("routes", self.given.routes, graph.routes)
        found: dict[int, object] = {}
        reach: list[float] | None = None
        for node, route in graph.routes.items():
            key = said.get(node, self._value(route.selector))
            if key is not UNKNOWN:
                found[node] = self._pick(node, key)
                continue
            reach = self._find_reach(seconds, items) if reach is None else reach
            slots = {**{str(key): slot for key, slot in route.branches.items()}, "otherwise": route.default}
            long = {k: _longest(reach, s) for k, s in slots.items() if s is not UNSET}
            taken = max(long, key=lambda k: long[k])
            found[node] = slots[taken]
            self.remarks.append(
                f"router '{graph.label(node)}' is taken to choose '{taken}', which takes longest of {len(long)}; "
                "routes= says otherwise"
            )
        return found

    def _pick(self, node: int, key: object) -> object:
        route = self.graph.routes[node]
        try:
            slot = route.branches.get(key, route.default)
        except TypeError:
            slot = route.default
        if slot is UNSET:
            hint = nearest(str(key), map(str, route.branches))
            raise SettingError(f"The router '{route.label}' has no route for {key!r} and no default.{hint}")
        return slot

    def _find_reach(self, seconds: Sequence[float], items: Mapping[int, int]) -> list[float]:
        """Return, for each node, the seconds of the longest path that ends with it."""
        reach = [0.0] * len(self.graph)
        for node in self.graph.order:
            own = 0.0 if items.get(node) == 0 else seconds[node]
            reach[node] = own + max([reach[need] for need in may_need(self.graph, node)], default=0.0)
        return reach

    # -- names ----------------------------------------------------------------------------------------------------

    def _by_name(self, setting: str, given: Mapping[str, int], least: int) -> dict[int, int]:
        for name, count in given.items():
            if isinstance(count, bool) or not isinstance(count, int) or count < least:
                raise SettingError(
                    f"{setting}= of '{name}' is {count!r}; it must be a whole number of at least {least}."
                )
        return self._match(setting, given, range(len(self.graph)))

    def _match(self, setting: str, given: Mapping[str, Any], nodes: Iterable[int]) -> dict[int, Any]:
        """Return what is said of each of `nodes` by id, label or name of its task."""
        if not given:
            return {}
        graph, found, seen = self.graph, dict[int, Any](), set[str]()
        for node in nodes:
            task = getattr(graph.calls[node], "_task", None)
            names = (graph.ids[node], graph.label(node), task.name if task is not None else "")
            name = next((name for name in names if name in given), None)
            seen.update(names)
            if name is not None:
                found[node] = given[name]
        for name in given:
            if name not in seen:
                raise SettingError(f"{setting}= names '{name}', but no such node is called that.{nearest(name, seen)}")
        return found

    def _names(self, nodes: Iterable[int]) -> str:
        names = list(dict.fromkeys(self.graph.label(node) for node in nodes))
        shown = ", ".join(f"'{name}'" for name in names[:MOST_NAMED])
        rest = len(names) - MOST_NAMED
        return f"{shown} and {rest:,} more" if rest > 0 else shown

    def _tell_rest(self) -> None:
        """Say what no rehearsal can know of the nodes of this graph."""
        graph = self.graph
        if graph.jumps:
            self.remarks.append(f"{self._names(graph.jumps)} is a loop: its duration is that of all its turns")
        grown = [n for n in _with_distinct_tasks(graph) if _may_grow(graph.calls[n])]
        if grown:
            self.remarks.append(f"{self._names(grown)} may return more work, which nobody knows before: it is left out")
        if graph.resources:
            self.remarks.append("setting up resources is not counted")


def _longest(reach: Sequence[float], slot: object) -> float:
    return max([reach[ref] for ref in refs_in(slot)], default=0.0)


def _with_distinct_tasks(graph: Graph) -> Iterable[int]:
    kinds = graph.kinds
    return {
        id(call._task): node  # noqa: SLF001 - as in Graph.label
        for node, call in enumerate(graph.calls)
        if kinds[node] != ROUTE
    }.values()


def _may_grow(call: Any) -> bool:
    """Whether the task says that it returns something lazy."""
    function: Callable[..., Any] = call._task.func  # noqa: SLF001 - as the engine calls it
    told = getattr(function, "__annotations__", {}).get("return", "")
    return "LazyResult" in (told if isinstance(told, str) else repr(told))
