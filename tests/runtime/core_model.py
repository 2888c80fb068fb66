"""A naive model of a run's scheduling, and a replayer of its events.

In: `Call`s (plain data) and facts: what ended how, which limits hold, whether the run was cancelled. Out: a `Picture`
of the states that follow, worked out anew each time. Invariant: shares no code with the engine, and keeps nothing
between two pictures but the facts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from cascade.interfaces import events as ev

__all__ = ["CONSTANT", "FINAL", "Call", "Entry", "Items", "Model", "Picture", "Replay", "matches"]

Expr = tuple[str, ...]  # none: CONSTANT; one: its value; several: the list of their values
CONSTANT = 2
FINAL = ("done", "failed", "skipped", "cancelled")
LOST = ("failed", "skipped")
TASKS = {"inline": "step", "blocking": "work", "async": "wait"}


@dataclass(frozen=True)
class Call:
    """One node as it was written.

    Args:
        kind: task, map, loop or route. gate: what `run_if` asks. amounts: numbers, or the call that gives one.
        attempts: that it may take. delay: seconds before another one. items: of a map. width: its max_concurrency.
        selector, routes, default: of a route; the keys of the routes are 0, 1, 2.
    """

    name: str
    kind: str = "task"
    mode: str = "inline"
    needs: Expr = ()
    after: Expr = ()
    gate: Expr | None = None
    fallback: Expr | None = None
    amounts: tuple[tuple[str, float | str], ...] = ()
    attempts: int = 1
    delay: float = 0.0
    items: int = 0
    collect: bool = False
    width: int | None = None
    selector: str = ""
    routes: tuple[Expr, ...] = ()
    default: Expr | None = None

    @property
    def names(self) -> tuple[str, str]:
        """What limits know it by."""
        return (self.name, TASKS[self.mode])


@dataclass(eq=False)
class Entry:
    """An attempt that runs; `given_up`: its node goes on without it, but it still holds what it has."""

    call: Call
    index: int | None
    amounts: dict[str, float]
    given_up: bool = False


@dataclass
class Items:
    """The items of a map: each is new, runs, again, later, or a tuple of how it ended."""

    ends: list[Any]
    failed: bool = False

    def count(self, word: str) -> int:
        return self.ends.count(word)


@dataclass
class Picture:
    """What follows from the facts."""

    states: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    ready: set[str] = field(default_factory=set)
    amounts: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def unfinished(self) -> int:
        return sum(state not in FINAL for state in self.states.values())


class Model:
    """The facts of one run."""

    def __init__(self, calls: Iterable[Call], targets: Expr, capacity: dict[str, float]) -> None:
        self.calls = {call.name: call for call in calls}
        self.targets = targets
        self.capacity = capacity
        self.ends: dict[str, tuple[Any, ...]] = {}  # ("value", v), ("grew", exprs, is_list), ("failed",), ("stopped",)
        self.active: list[Entry] = []
        self.maps: dict[str, Items] = {}
        self.later: dict[str, float] = {}  # when a call that failed may be tried again
        self.limits: dict[str, tuple[Any, float, list[float]]] = {}  # limit, since when, starts that it counted
        self.now = 0.0
        self.paused = False
        self.frozen: dict[str, str] | None = None  # states at the cancel of what did not run then
        self.alive: set[str] = set()  # what did

    # -- facts ----------------------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """What runs now goes on; everything else that was wanted is over."""
        if self.frozen is not None:
            return
        states = self.picture().states
        self.alive = {entry.call.name for entry in self.active if not entry.given_up}
        self.frozen = {n: s if s in FINAL else "cancelled" for n, s in states.items() if n not in self.alive}

    def started(self, entry: Entry) -> None:
        self.active.append(entry)
        self.count_start(entry.call)

    def count_start(self, call: Call) -> None:
        for limit, _, starts in self.limits.values():
            if matches(limit, call):
                starts.append(self.now)

    # -- states ---------------------------------------------------------------------------------------------------

    def picture(self) -> Picture:
        """Work out everything from the facts."""
        found = Picture()
        if self.frozen is not None:
            found.states = {**self.frozen, **{name: self.state_after_cancel(name) for name in self.alive}}
            return found
        for name in self.targets:
            self.look(name, found)
        return found

    def state_after_cancel(self, name: str) -> str:
        call = self.calls[name]
        end = self.ends.get(name)
        if end is None and name in self.maps:
            end = self.end_of_map(call) or (None if self.maps[name].count("runs") else ("stopped",))
        if end is None:
            return "running"
        if end[0] == "failed":
            return "failed" if call.fallback is None else "cancelled"
        return "done" if end[0] == "value" else "cancelled"

    def look(self, name: str, found: Picture) -> str:
        """Return the state of a call that is wanted."""
        if name not in found.states:
            call = self.calls[name]
            state, value = self.own(call, found)
            if state in LOST and call.fallback is not None:
                there, other = self.value_of(call.fallback, found)
                state, value = (state, value) if there == "lost" else (there, other)
            found.states[name] = state
            found.values[name] = value
        return found.states[name]

    def value_of(self, expr: Expr, found: Picture) -> tuple[str, Any]:
        """Return ``done`` and the value, or ``lost`` or ``pending``; every call in `expr` is wanted."""
        states = {self.look(name, found) for name in expr}
        if states.intersection(LOST):
            return "lost", None
        if states - {"done"}:
            return "pending", None
        values = [found.values[name] for name in expr]
        return "done", CONSTANT if not values else values[0] if len(values) == 1 else values

    def own(self, call: Call, found: Picture) -> tuple[str, Any]:
        """Return state and value of a call, its fallback aside."""
        if call.kind == "route":
            return self.routed(call, found)
        if call.gate is not None:
            there, truth = self.value_of(call.gate, found)
            if there == "pending":
                return "pending", None
            if there == "lost" or not truth:
                return "skipped", None
        lazy = [a for _, a in call.amounts if isinstance(a, str)]
        needs = [self.look(name, found) for name in (*call.needs, *lazy)]
        after = [self.look(name, found) for name in call.after]
        if {*needs}.intersection(LOST) or "failed" in after:
            return "skipped", None
        if {*needs, *after} - {"done", "skipped"}:
            return "pending", None
        amounts = {k: found.values[a] if isinstance(a, str) else a for k, a in call.amounts}
        if not all(isinstance(a, (int, float)) and a <= self.capacity[k] for k, a in amounts.items()):
            return "failed", None
        found.amounts[call.name] = {k: a for k, a in amounts.items() if a}
        return self.executed(call, found)

    def executed(self, call: Call, found: Picture) -> tuple[str, Any]:
        """Return state and value of a call that may run."""
        name = call.name
        end = self.ends.get(name) or (self.end_of_map(call) if name in self.maps else None)
        if end is None:
            if self.may_start(call):
                found.ready.add(name)
            runs = name in self.maps or any(e.call.name == name and not e.given_up for e in self.active)
            return ("running" if runs else "pending"), None
        if end[0] != "grew":
            return ("done" if end[0] == "value" else "failed"), end[-1]
        parts = [self.value_of(expr, found) for expr in end[1]]
        words = {word for word, _ in parts}
        if words != {"done"}:
            return ("skipped" if "lost" in words else "pending"), None
        values = [value for _, value in parts]
        return "done", values if end[2] else values[0]

    def may_start(self, call: Call) -> bool:
        """Whether nothing but limits and capacities holds an attempt back."""
        if call.name in self.maps:
            items = self.maps[call.name]
            room = call.width is None or items.count("runs") < call.width
            return room and not items.failed and bool(items.count("new") or items.count("again"))
        waits = self.later.get(call.name, 0.0) > self.now
        return not waits and not any(e.call.name == call.name and not e.given_up for e in self.active)

    def end_of_map(self, call: Call) -> tuple[Any, ...] | None:
        items = self.maps[call.name]
        if items.failed:
            return None if items.count("runs") else ("failed",)
        if not all(isinstance(end, tuple) for end in items.ends):
            return None
        exprs = [end[1] if end[0] == "grew" else () for end in items.ends]
        return ("grew", exprs, True) if any(exprs) else ("value", [end[-1] for end in items.ends])

    def note_growth(self, name: str, exprs: list[Expr], *, is_list: bool) -> None:
        """`name` returned calls; if one of them needs `name` itself, that was its failure."""
        circle = self.leads_to(name, [each for expr in exprs for each in expr])
        self.ends[name] = ("stopped",) if self.frozen else ("failed", None) if circle else ("grew", exprs, is_list)

    def routed(self, call: Call, found: Picture) -> tuple[str, Any]:
        there, key = self.value_of((call.selector,), found)
        if there != "done":
            return ("skipped" if there == "lost" else "pending"), None
        chosen = call.default if isinstance(key, list) else dict(enumerate(call.routes)).get(key, call.default)
        if chosen is None:
            return "failed", None
        there, value = self.value_of(chosen, found)
        return ("skipped" if there == "lost" else there), value

    def leads_to(self, goal: str, names: Iterable[str]) -> bool:
        """Whether one of the calls `names` may need `goal`."""
        stack, seen = list(names), set()
        while stack:
            name = stack.pop()
            if name == goal:
                return True
            if name not in seen:
                seen.add(name)
                stack += self.may_need(self.calls[name])
        return False

    def may_need(self, call: Call) -> list[str]:
        lazy = [a for _, a in call.amounts if isinstance(a, str)]
        end = self.ends.get(call.name, ("nothing",))
        returned = end[1] if end[0] == "grew" else []
        parts = [call.needs, call.after, call.gate, call.fallback, call.default, *call.routes, *returned]
        return [name for part in parts for name in part or ()] + lazy + [call.selector] * bool(call.selector)

    # -- limits and capacities --------------------------------------------------------------------------------------

    def is_allowed(self, call: Call) -> bool:
        """Whether no limit holds `call` back now."""
        return not self.paused and all(self.has_room(*rule) for rule in self.limits.values() if matches(rule[0], call))

    def has_room(self, limit: Any, since: float, starts: list[float]) -> bool:
        if limit.type == "pause":
            return False
        if limit.type == "concurrency":
            return sum(matches(limit, e.call) for e in self.active) < limit.params["limit"]
        rate, most = limit.params["rate"], limit.params["capacity"]
        tokens, at = most, since
        for start in starts:
            tokens, at = min(most, tokens + (start - at) * rate) - 1, start
        return bool(min(most, tokens + (self.now - at) * rate) > 1 - 1e-6)

    def used(self) -> Counter[str]:
        """What attempts hold of each capacity."""
        total: Counter[str] = Counter()
        for entry in self.active:
            total.update(entry.amounts)
        return total


def matches(limit: Any, call: Call) -> bool:
    return limit.scope == "global" or any(fnmatchcase(n, limit.scope.removeprefix("task:")) for n in call.names)


# -- events ---------------------------------------------------------------------------------------------------------


class Replay:
    """What the events alone say of a run.

    Attributes:
        states: by node id. items: by node id and index. usage: of capacities. limits: in force. status: of the run.
    """

    _WORDS = {  # noqa: RUF012 - a table
        ev.NodeStarted: "running",
        ev.MapExpanded: "running",
        ev.NodeRetrying: "retrying",
        ev.GraphGrown: "growing",
        ev.NodeCompleted: "done",
        ev.NodeFailed: "failed",
        ev.NodeSkipped: "skipped",
        ev.NodeCancelled: "cancelled",
        ev.NodeAbandoned: "abandoned",  # tried again, failed for its time, or, in a run that is cancelled, given up
    }

    def __init__(self, events: Iterable[ev.Event] = ()) -> None:
        self.states: dict[str, str] = {}
        self.items: dict[tuple[str, int], str] = {}
        self.usage: Counter[str] = Counter()
        self.limits: set[str] = set()
        self.paused = False
        self.status = ""
        self.seq = 0
        self.tell(events)

    def tell(self, events: Iterable[ev.Event]) -> None:
        """Take in the next events."""
        for event in events:
            assert event.seq == self.seq, "the events are not in one order without gaps"
            self.seq += 1
            if isinstance(event, ev.NodeEvent):
                self.of_node(event)
            elif isinstance(event, (ev.ResourceAcquired, ev.ResourceReleased)):
                self.of_capacity(event)
            else:
                self.of_run(event)

    def of_node(self, event: ev.NodeEvent) -> None:
        word = self._WORDS.get(type(event))
        if isinstance(event, ev.GraphGrown):
            self.states.update(dict.fromkeys(event.nodes, "new"))
        if isinstance(event, ev.ItemsCompleted):
            span = range(event.first, event.first + event.count)
            self.items.update({(event.node, index): "done" for index in span})
        elif word is None:
            return
        elif event.index is not None:
            self.items[event.node, event.index] = word
        else:
            before = self.states.get(event.node)
            assert before not in ("done", "skipped", "cancelled"), f"{event.node} ended twice: {before}, {word}"
            assert before != "failed" or word in ("done", "cancelled", "failed"), f"{event.node} failed, then {word}"
            self.states[event.node] = word

    def state_of(self, node: str) -> str:
        """Return the last word about `node`; one that was given up, and of which no more is told, was cancelled."""
        state = self.states.get(node, "new")
        return "cancelled" if state == "abandoned" else state

    def of_capacity(self, event: ev.ResourceAcquired | ev.ResourceReleased) -> None:
        self.usage[event.resource] += event.amount if isinstance(event, ev.ResourceAcquired) else -event.amount
        assert abs(self.usage[event.resource] - event.usage) < 1e-6
        assert event.kind == "resource" or event.usage <= event.capacity + 1e-9, f"{event.resource} is exceeded"

    def of_run(self, event: ev.Event) -> None:
        if isinstance(event, (ev.RunPaused, ev.RunResumed)):
            self.paused = isinstance(event, ev.RunPaused)
        elif isinstance(event, ev.LimitSet):
            self.limits.add(event.limit_id)
        elif isinstance(event, ev.LimitRemoved):
            self.limits.discard(event.limit_id)
        elif isinstance(event, ev.RunFinished):
            self.status = event.status
