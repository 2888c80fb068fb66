"""Flow and store → what would become of each node of a run.

In: a flow that is laid out and not begun, with a rebuilder that has looked. Out: a `Step` for each node, needs first.
Invariant: no task runs and nothing is written; iterators of the user are not asked for items; what cannot be known
before the run is said to be unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import time
from typing import TYPE_CHECKING, Any, Final, Literal

from cascade.graph.build import refs_in, slots_in
from cascade.graph.model import MAP, ROUTE, Ref
from cascade.graph.order import may_need
from cascade.interfaces.records import Entry, StoreMiss
from cascade.tools.history import run_word
from cascade.tools.items import places, read_items, tell_makers

if TYPE_CHECKING:
    from cascade.interfaces.records import Cost
    from cascade.runtime.flow import Flow
    from cascade.runtime.maps import MapState
    from cascade.runtime.rebuilder import Rebuilder

__all__ = ["Status", "Step", "find_steps"]

Status = Literal["run", "stored", "unknown", "not needed"]
MOST_ITEMS: Final = 100_000  # of a map, that are looked up for a plan
MOST_BACK: Final = 20  # runs, for one that made the key of a node
LARGEST: Final = 64 << 20  # bytes of stored values that are loaded to see which items a map has


@dataclass(frozen=True, slots=True)
class Step:
    """What would become of one node.

    Args:
        node: its id. status: ``run``; ``stored``; ``unknown``: it runs unless what it needs turns out to be the same;
            ``not needed``. seconds: what it took on average in earlier runs, None if it never ran. reason: why.
        size: bytes of its value: as it is stored, or the middle one of earlier runs; None: nobody knows.
        items: of a map, how many items are stored and how many there are, None where that is not known yet.
    """

    node: str
    status: Status
    seconds: float | None
    reason: str
    size: int | None = None
    items: tuple[int, int] | None = None


def find_steps(flow: Flow, rebuilder: Rebuilder) -> dict[int, Step]:
    """Return the step of each node, needs first."""
    return _Steps(flow, rebuilder).find()


class _Steps:
    """Finds the status of each node; values that are small and stored are loaded where a map goes over them."""

    def __init__(self, flow: Flow, rebuilder: Rebuilder) -> None:
        self.flow, self.graph = flow, flow.graph
        self.rebuilder, self.store = rebuilder, rebuilder.store
        self.steps: dict[int, Step] = {}
        self.entries: dict[int, Entry] = {}  # of stored nodes
        self.loaded: set[int] = set()
        self.numbers: dict[str, int] = {}
        tasks = dict.fromkeys([task.name for task in map(self._task, range(len(self.graph))) if task is not None])
        self.costs: Mapping[str, Cost] = self.store.costs(list(tasks))
        self.wanted = self._find_wanted()

    def _task(self, node: int) -> Any:
        return getattr(self.graph.calls[node], "_task", None)

    def _find_wanted(self) -> set[int]:
        stack, seen, recalled, graph = list(refs_in(self.graph.target)), set[int](), self.rebuilder.recalled, self.graph
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                if node not in recalled:
                    stack.extend(may_need(graph, node))
        return seen

    def find(self) -> dict[int, Step]:
        graph, steps, costs = self.graph, self.steps, self.costs
        wanted, policies, calls, kinds, ids = self.wanted, self.rebuilder.policies, graph.calls, graph.kinds, graph.ids
        for node in graph.order:
            if node in policies or node not in wanted or kinds[node] == ROUTE:
                steps[node] = self._step(node)
            else:
                cost = costs.get(calls[node]._task.name)  # noqa: SLF001 - as `_task` reads it
                seconds, size = (cost.seconds, cost.size) if cost is not None else (None, None)
                steps[node] = Step(ids[node], "run", seconds, "it is not remembered", size)
        return steps

    def _step(self, node: int) -> Step:
        graph, label = self.graph, self.graph.ids[node]
        task = self._task(node)
        cost = self.costs.get(task.name) if task is not None else None
        seconds, size = (cost.seconds, cost.size) if cost is not None else (None, None)
        if node not in self.wanted:
            return Step(label, "not needed", seconds, "what needs it is stored", size)
        if graph.kinds[node] == ROUTE:
            return Step(label, "run", None, "chooses when its selector is known", 0)
        if graph.kinds[node] == MAP and self._is_known(node):
            return self._map_step(node, seconds, size)
        entry = self.rebuilder.recalled.get(node) or self._look_up(node)
        if entry is not None and entry.is_growth:  # what these calls give is known when the run has looked them up
            made = run_word(entry.run_id, self._number(entry.run_id))
            return Step(label, "stored", seconds, f"{made} knows which calls it returns; these may run", size)
        if entry is not None:
            self.entries[node] = entry
            self.rebuilder.keys.digests[node] = entry.digest
            made = run_word(entry.run_id, self._number(entry.run_id))
            return Step(label, "stored", seconds, f"made by {made}", entry.size)
        if self._is_known(node) and (not self._looks_inside(node) or self._are_loaded(node)):
            return Step(label, "run", seconds, self._why(node), size)
        if self._is_known(node):
            return Step(label, "unknown", seconds, "what it takes of its inputs is known when they are loaded", size)
        above = next(self.steps[need].node for need in may_need(graph, node) if not self._has_value(need))
        return Step(label, "unknown", seconds, f"depends on what {above} gives", size)

    def _number(self, run_id: str) -> int:
        if run_id not in self.numbers:
            self.numbers.update({run_id: 0, **self.store.run_numbers([run_id])})
        return self.numbers[run_id]

    def _has_value(self, node: int) -> bool:
        """Whether the value of a node is known, or its key."""
        return node in self.entries or node in self.loaded

    def _is_known(self, node: int) -> bool:
        return all(self._has_value(need) for need in may_need(self.graph, node))

    def _look_up(self, node: int) -> Entry | None:
        if not self._is_known(node) or (self._looks_inside(node) and not self._load_needs(node)):
            return None
        return self.rebuilder.find_entry(node)

    def _are_loaded(self, node: int) -> bool:
        return all(need in self.loaded for need in may_need(self.graph, node))

    def _looks_inside(self, node: int) -> bool:
        """Whether the node takes items of values, or its policy looks at them: these are known when the values are."""
        if self.rebuilder.needs_arguments(node):
            return True
        slots = (*self.graph.args[node], *self.graph.kwargs.get(node, {}).values())
        return any(type(inner) is Ref and inner.path for slot in slots for inner in slots_in(slot))

    def _why(self, node: int) -> str:
        before = self.store.latest(self.graph.ids[node])
        if before is None:
            return "it has not run before"
        for _ in range(MOST_BACK):  # where nothing needed it, nobody made its key
            earlier = None if before.key else self.store.latest(self.graph.ids[node], before.run_id)
            if earlier is None:
                break
            before = earlier
        if not before.key or before.key != self.rebuilder.keys.node_key(node)[0]:
            return "code or inputs changed"
        if before.outcome in {"failed", "cancelled"}:
            return f"it {'failed' if before.outcome == 'failed' else 'was stopped'} the last time"
        return "its result has expired or is not in the store any more"

    # -- maps -----------------------------------------------------------------------------------------------------

    def _map_step(self, node: int, seconds: float | None, size: int | None) -> Step:
        """Return the step of a map whose inputs are known: its items are looked up one by one."""
        label = self.graph.ids[node]
        state = self._open(node)
        if state is None:
            return Step(label, "run", seconds, "which of its items are stored is known only when it takes them", size)
        rows: list[Any] = []
        state.pull(rows, MOST_ITEMS, float("inf"))
        keys = self.rebuilder.keys.item_keys(node, rows)
        found = self.store.find(list(dict.fromkeys(key for key in keys.values() if key)))
        policy, now = self.rebuilder.policies[node], time()
        by_place = {row[0]: row for row in rows}
        entries = {place: found[key] for place, key in keys.items() if key in found}
        stored = {
            place: entry
            for place, entry in entries.items()
            if policy.serves(entry, now, {}) and self.rebuilder.can_serve(node, entry, by_place[place])
        }
        bytes_stored = sum(entry.size for entry in stored.values())
        items = len(stored), len(rows)
        if len(stored) == len(rows):
            self._load_items(node, stored, bytes_stored)
            return Step(label, "stored", seconds, self._tell_makers(stored) or "it has no items", bytes_stored, items)
        return Step(label, "run", self._seconds(node, items, seconds), self._why_items(node, keys, stored), size, items)

    def _open(self, node: int) -> MapState | None:
        """Return the items of a map; None where only the run can know them."""
        from cascade.runtime.maps import MapState

        if node in self.graph.resources or not self._load_needs(node):
            return None
        args, kwargs = self.flow.arguments.of(node)
        names = self._task(node).positional
        state = MapState(self.graph.label(node), names, args, kwargs, None, collect=False)
        return None if state.lazy or state.total is None or state.total > MOST_ITEMS else state

    def _load_needs(self, node: int) -> bool:
        """Load what a map is given, if it is not too large; say whether all of it is there."""
        needs = [need for need in may_need(self.graph, node) if need not in self.loaded]
        if sum(self.entries[need].size for need in needs) > LARGEST:
            return False
        for need in needs:
            value = self.store.load(self.entries[need])
            if isinstance(value, StoreMiss):
                return False
            self.flow.values[need] = value
            self.loaded.add(need)
        return True

    def _load_items(self, node: int, stored: Mapping[int, Entry], size: int) -> None:
        """Load the value of a map that is stored whole, so that what needs it can be looked up."""
        if size > LARGEST or any(entry.is_growth for entry in stored.values()):
            return
        values = [self.store.load(stored[place]) for place in sorted(stored)]
        if not any(isinstance(value, StoreMiss) for value in values):
            self.flow.values[node] = values
            self.loaded.add(node)

    def _tell_makers(self, stored: Mapping[int, Entry]) -> str:
        made: dict[str, int] = {}
        for entry in stored.values():
            made[entry.run_id] = made.get(entry.run_id, 0) + 1
        return tell_makers(self.store, sorted(made.items(), key=lambda pair: -pair[1]), len(stored))

    def _why_items(self, node: int, keys: Mapping[int, str], stored: Mapping[int, Entry]) -> str:
        """Return ``2 of 1,000 items would run: [3], [17]; 998 from run 14``."""
        missing = [place for place in keys if place not in stored]
        told = f"{len(missing):,} of {len(keys):,} items would run"
        if len(missing) < len(keys):
            return f"{told}: {places(missing, len(missing))}; {self._tell_makers(stored)}"
        return f"{told}: {self._why(node)}"

    def _seconds(self, node: int, items: tuple[int, int], mean: float | None) -> float | None:
        """Return how long the items that are not stored would take, by what those of the last such run took."""
        row = self.store.latest(self.graph.ids[node])
        for _ in range(20):
            past = read_items(row) if row is not None else None
            if row is None or (past is not None and past.count and row.outcome == "ran"):
                break
            row = self.store.latest(self.graph.ids[node], row.run_id)
        if row is None or past is None or not past.count:
            return mean
        return row.duration / past.count * (items[1] - items[0])
