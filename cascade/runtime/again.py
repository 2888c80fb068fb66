"""A run that failed or was cancelled → a new run of the same target that goes on where it stopped.

In: the flow of the ended run. Out: a graph for the new run, and the values that it need not compute again. Invariant:
the old run is not changed, and it can be retried once more.

What is kept: the value of every node that completed, pure or not, unless its own function has been defined anew with
other code since the run began, or something above it failed, was cancelled or was defined anew. Of a map that did not
complete, the items that did. A function is found again by its module and name; one that was made inside of another
function is not, since many may share that name. What a function calls is looked up by Python when it runs: a helper
that was fixed is used as it is now, and nodes that completed with the old one stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cascade.context import get_current_context
from cascade.graph.build import Builder
from cascade.graph.model import MAP, ContainerSlot, InputRef, Ref, ResourceRef
from cascade.graph.order import may_need
from cascade.interfaces.retry_errors import RetryError
from cascade.runtime import journal as jr
from cascade.runtime import states as st
from cascade.runtime.arguments import GONE
from cascade.runtime.cluster_remains import drop_lost
from cascade.runtime.cluster_values import is_remote
from cascade.runtime.spans import spans_of
from cascade.spec.lazy_types import LazyItem, LazyMap, LazyResult
from cascade.spec.routing import Router

if TYPE_CHECKING:
    from cascade.graph.model import Graph
    from cascade.runtime.flow import Flow
    from cascade.runtime.handle import Run
    from cascade.runtime.maps import MapState
    from cascade.spec.task import Task

__all__ = ["Kept", "Remembered", "retry"]

Begin = Callable[["Graph", "Kept"], "Run"]


@dataclass(frozen=True, slots=True)
class Remembered:
    """How a run was begun, for its retry.

    Args:
        begin: starts a run with the same settings. tasks: as they were defined when the run began, by their keys.
    """

    begin: Begin
    tasks: Mapping[str, Task[..., object]]

    @classmethod
    def of_now(cls, begin: Begin) -> Remembered:
        """Note the tasks as they are defined now."""
        return cls(begin, dict(get_current_context().tasks))


@dataclass(frozen=True, slots=True)
class Kept:
    """What the run before leaves to a new one; a value that has been taken over is let go here.

    Args:
        run_id: of the run before. made_at: when it began, seconds since the epoch.
        values: by node number of the new graph. items: of maps that did not complete, by node number and index.
        told: seconds that a value took and its summary, by node number. given: indices of items that were given.
    """

    run_id: str
    made_at: float
    values: dict[int, Any] = field(default_factory=dict)
    items: dict[int, dict[int, Any]] = field(default_factory=dict)
    told: dict[int, tuple[float, str]] = field(default_factory=dict)
    given: dict[int, set[int]] = field(default_factory=dict)

    def give(self, flow: Flow, node: int) -> bool:
        """Give `node` its value if it has one here; say whether it had. Under the flow's lock."""
        if node not in self.values:
            return False
        duration, summary = self.told.get(node, (0.0, ""))
        told = (1, 0.0, summary, self.run_id, self.made_at, duration, True)
        flow.outcomes.kept(node, self.values.pop(node), told)
        return True

    def give_items(self, flow: Flow, node: int, state: MapState) -> bool:
        """Give a map the items that it has here, and queue the others; say whether there were any. Under the lock."""
        rebuilder = flow.rebuilder
        if rebuilder is not None and node in rebuilder.policies and not rebuilder.is_fresh:
            return False  # they are in the store, and the others may be too
        known = self.items.pop(node, None)
        if not known or state.lazy or not state.total:
            return False
        rows: list[Any] = []
        state.pull(rows, state.total, float("inf"))
        found = {row[0] for row in rows if row[0] in known}
        for index in found:
            state.results[index] = known[index]
        state.waiting.extend([row for row in rows if row[0] not in found])
        self.given[node] = found
        flow.record((jr.ITEMS_KEPT, flow.now(), node, len(found), 0.0, True, spans_of(found)))
        return True


def retry(run: Run) -> Run:
    """Run again what failed in `run`, and what was cancelled or never came to run.

    Raises:
        RetryError: when the run goes on, has completed, or cannot be begun again.
        TypeError: when a task has been defined anew and its call does not fit it any more.
    """
    if not run.done():
        raise RetryError.for_going(run.name)
    if run.state == "completed":
        raise RetryError.for_success(run.name)
    flow, begun = run._flow, run._begun  # noqa: SLF001 - its own retry
    if begun is None:
        raise RetryError.for_lost(run.name)
    graph, numbers, changed = _anew(flow.graph, begun.tasks)
    return begun.begin(graph, _kept(flow, numbers, changed))


# -- the graph with the tasks as they are now -------------------------------------------------------------------------


def _anew(graph: Graph, before: Mapping[str, Task[..., object]]) -> tuple[Graph, dict[int, int], set[int]]:
    """Return the graph with tasks as they are now, the new number of each node, and the nodes whose code changed."""
    tasks = _defined_anew(graph, before)
    if not tasks and not graph.aliases:
        return graph.copy(), {node: node for node in range(len(graph))}, set()
    replaced: dict[int, Any] = {}
    changed: set[int] = set()
    has_changed: dict[int, bool] = {}
    for node, call in enumerate(graph.calls):
        now = None if type(call) is Router else tasks.get(id(call._task))  # noqa: SLF001 - a run looks into its own parts
        if now is None:
            continue
        replaced[id(call)] = _recall(call, now)
        if has_changed.setdefault(id(call._task), _differs(call._task, now)):  # noqa: SLF001 - a run looks into its own parts
            changed.add(node)
    builder = _build(_target_of(graph), graph.name, replaced)
    numbers = {node: builder.index[id(call)] for node, call in enumerate(graph.calls) if id(call) in builder.index}
    return builder.graph, numbers, changed


def _build(target: object, name: str, replaced: dict[int, Any]) -> Builder:
    """Do what `cascade.graph.build.build` does, with other calls in the place of some."""
    builder = Builder(dict(replaced))
    graph = builder.build(target, name)
    if any(getattr(call._task, "pure", False) for call in graph.calls if isinstance(call, LazyResult)):  # noqa: SLF001 - a run looks into its own parts
        from cascade.graph.merge import find_equal_calls

        equal = find_equal_calls(graph)
        if equal:
            builder = Builder({**replaced, **equal})
            builder.build(target, name)
    return builder


def _defined_anew(graph: Graph, before: Mapping[str, Task[..., object]]) -> dict[int, Task[..., object]]:
    """Return the present definition of each task that has another one now, by the id of the old."""
    known = get_current_context().tasks
    found: dict[int, Task[..., object]] = {}
    seen: dict[tuple[str, str], Any] = {}
    for task in {id(call._task): call._task for call in graph.calls if type(call) is not Router}.values():  # noqa: SLF001 - a run looks into its own parts
        old, now = before.get(task.key), known.get(task.key)
        if old is None or now is None or "<locals>" in task.key or old.func is not task.func or now.func is old.func:
            continue
        if now.name != old.name or seen.setdefault((task.key, task.name), task.func) is not task.func:
            continue
        found[id(task)] = now
    return found


def _recall(call: Any, task: Task[..., object]) -> LazyResult[Any]:
    """Return `call` as a call of `task`."""
    args, kwargs = call._args, dict(call._kwargs or {})  # noqa: SLF001 - a run looks into its own parts
    made: Any = task(*args, **kwargs)  # the arguments are checked against the new signature
    options = task.options if call._options is call._task.options else call._options  # noqa: SLF001 - a run looks into its own parts
    if isinstance(call, LazyMap):
        return LazyMap(
            task,
            args,
            call._kwargs,  # noqa: SLF001 - a run looks into its own parts
            options,
            max_concurrency=call._max_concurrency,  # noqa: SLF001 - a run looks into its own parts
            on_error=call._on_error,  # noqa: SLF001 - a run looks into its own parts
        )
    return made if options is task.options else LazyResult(task, args, call._kwargs, options)  # noqa: SLF001 - a run looks into its own parts


def _differs(old: Task[..., object], now: Task[..., object]) -> bool:
    """Whether the code of two definitions differs; what cannot be told counts as different."""
    from cascade.identity.code import code_key

    try:
        return code_key(old).digest != code_key(now).digest
    except Exception:  # noqa: BLE001 - code that cannot be keyed
        return True


def _target_of(graph: Graph) -> Any:
    return _unslot(graph, graph.target)


def _unslot(graph: Graph, slot: Any) -> Any:
    """Return what the user wrote where `slot` stands."""
    kind = type(slot)
    if kind is Ref:
        call = graph.calls[slot.index]
        return LazyItem(call, tuple([_unslot(graph, key) for key in slot.path])) if slot.path else call
    if kind is InputRef:
        return slot.input
    if kind is ResourceRef:
        return slot.inject
    if kind is not ContainerSlot:
        return slot
    items = [_unslot(graph, item) for item in slot.items]
    like = slot.like
    if type(like) is dict:
        return dict(zip(items[::2], items[1::2], strict=True))
    return type(like)(items) if type(like) in (list, tuple, set, frozenset) else like


# -- what is good -----------------------------------------------------------------------------------------------------


def _kept(flow: Flow, numbers: Mapping[int, int], changed: set[int]) -> Kept:
    """Return what of the ended run holds for the new one."""
    graph, state, values = flow.graph, flow.core.state, flow.values
    kept = Kept(flow.journal.run_id, flow.journal.wall)
    drop_lost(flow)
    earlier = flow.settings.kept
    bad = _bad_nodes(flow, changed)
    told = _times(flow)
    for node, number in numbers.items():
        if node in bad:
            if graph.kinds[node] == MAP and node not in changed and not any(n in bad for n in may_need(graph, node)):
                items = _items_of(flow, node)
                if items:
                    kept.items[number] = items
        elif state[node] == st.DONE and values[node] is not GONE:
            kept.values[number] = values[node]
            kept.told[number] = told.get(node, (0.0, ""))
        elif earlier is not None and node in earlier.values:  # the run before did not come to ask for it
            kept.values[number] = earlier.values[node]
            kept.told[number] = earlier.told.get(node, (0.0, ""))
    return kept


def _bad_nodes(flow: Flow, changed: set[int]) -> set[int]:
    """Return the nodes that did not complete, whose code changed, or that stand below one of these."""
    graph, state = flow.graph, flow.core.state
    fallen = flow.outcomes.fallen
    waiting = flow.settings.kept.values if flow.settings.kept is not None else {}
    bad: set[int] = set()
    for node in graph.order:
        ended_well = state[node] in (st.DONE, st.SKIPPED) or node in waiting
        if not ended_well or node in changed or node in fallen or any(need in bad for need in may_need(graph, node)):
            bad.add(node)
    return bad


def _items_of(flow: Flow, node: int) -> dict[int, Any]:
    """Return the values of the items of a map that completed, by index."""
    state = flow.map_side.states.get(node)
    if state is None:
        earlier = flow.settings.kept
        return dict(earlier.items.get(node, {})) if earlier is not None else {}
    earlier = flow.settings.kept
    done = set(_done_items(flow, node)) | (earlier.given.get(node, set()) if earlier is not None else set())
    results = {index: state.results[index] for index in done if index < len(state.results)}
    return {index: value for index, value in results.items() if not is_remote(value)}


def _done_items(flow: Flow, node: int) -> Iterator[int]:
    for record in list(flow.journal.records):
        code = record[0]
        if code == jr.COMPLETED and record[2] == node and record[3] is not None:
            yield record[3]
        elif code == jr.ITEMS and record[2] == node:
            yield from range(record[3], record[3] + record[4])


def _times(flow: Flow) -> dict[int, tuple[float, str]]:
    """Return how many seconds each node took, and the summary of its value."""
    found: dict[int, tuple[float, str]] = {}
    for record in list(flow.journal.records):
        code = record[0]
        if code == jr.COMPLETED and record[3] is None:
            found[record[2]] = (record[5], record[6])
        elif code == jr.DONE_INLINE:
            found[record[2]] = (record[1] - record[3], record[4])
        elif code in (jr.KEPT, jr.RECALLED):
            found[record[2]] = (record[9], record[6])
    return found
