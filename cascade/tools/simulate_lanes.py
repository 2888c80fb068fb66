"""Trace → lanes and events: who would run where, and hold what, from when to when.

In: a scene and its trace. Out: `Lane`s as plain data, and the events that a run with these times would tell, so that
every view of a run can show it. Invariant: two bars of one lane never take place at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from cascade.graph.model import MAP, ROUTE
from cascade.interfaces import events as ev
from cascade.tools.simulate_terms import POOLS

if TYPE_CHECKING:
    from cascade.tools.simulate_terms import Scene, Trace

__all__ = ["Bar", "Lane", "make_events", "make_lanes"]

RUN_ID = "simulated"
_SIMULATED = "Simulated"  # the type of an error that somebody supposed
_SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class Bar:
    """One attempt: the id of its node, the item of a map (else None), and its seconds from the start of the run."""

    node: str
    item: int | None
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Lane:
    """One worker, or one unit of a capacity, and what takes place on it.

    Args:
        name: ``thread 1``, ``gpu 2``. kind: ``inline``, ``thread``, ``loop``, ``process`` or ``capacity``.
    """

    name: str
    kind: str
    bars: tuple[Bar, ...]


def make_lanes(scene: Scene, trace: Trace) -> tuple[Lane, ...]:
    """Return a lane for each worker that is used, and one for each unit of each capacity."""
    graph, ids = scene.graph, scene.graph.ids
    packs: dict[tuple[str, str], _Pack] = {}
    for name in scene.capacities:
        packs["capacity", name] = _Pack()
    for number, node in enumerate(trace.node):
        item = trace.item[number]
        bar = Bar(ids[node], None if item < 0 else item, trace.start[number], trace.end[number])
        kind = POOLS[graph.modes[node]]
        packs.setdefault((kind, kind), _Pack()).put(bar, 1)
        for name, amount in scene.amounts.get(node, ()):
            packs["capacity", name].put(bar, int(amount) if amount == int(amount) else 1)
    lanes: list[Lane] = []
    for (kind, name), pack in packs.items():
        for place, bars in enumerate(pack.rows, 1):
            shown = name if kind == "inline" or len(pack.rows) == 1 else f"{name} {place}"
            lanes.append(Lane(shown, kind, tuple(bars)))
    return tuple(sorted(lanes, key=lambda lane: lane.kind != "capacity"))  # capacities first, else as they came


class _Pack:
    """Rows of bars, as few as there can be; bars come in the order of their starts."""

    __slots__ = ("_ends", "_free", "rows")

    def __init__(self) -> None:
        self.rows: list[list[Bar]] = []
        self._free: list[int] = []
        self._ends: list[tuple[float, int]] = []

    def put(self, bar: Bar, span: int) -> None:
        while self._ends and self._ends[0][0] <= bar.start + _SLACK:
            heappush(self._free, heappop(self._ends)[1])
        for _ in range(span):
            if not self._free:
                heappush(self._free, len(self.rows))
                self.rows.append([])
            row = heappop(self._free)
            self.rows[row].append(bar)
            heappush(self._ends, (bar.end, row))


def make_events(scene: Scene, trace: Trace) -> Iterator[ev.Event]:
    """Yield what a run with these times would tell, in order."""
    return _Teller(scene, trace).tell()


class _Teller:
    """Turns attempts into events, ends and starts merged by time."""

    def __init__(self, scene: Scene, trace: Trace) -> None:
        self.scene, self.trace, self.graph = scene, trace, scene.graph
        self.ids, self.labels = scene.graph.ids, scene.graph.labels
        self.seq = -1
        self.used = dict.fromkeys(scene.capacities, 0.0)
        self.open: list[tuple[float, int]] = []
        self.left: dict[int, int] = {}  # of each map, attempts that have not ended
        for node in trace.node:
            if scene.graph.kinds[node] == MAP:
                self.left[node] = self.left.get(node, 0) + 1
        self.expanded: set[int] = set()
        self.free = [_Numbers() for _ in POOLS]
        self.worker: dict[int, int] = {}
        self.failed: dict[tuple[int, int], int] = {}
        self.decided: list[tuple[float, int]] = []  # and waits, the next one last
        self.waits: list[tuple[float, int, str, int]] = []

    def tell(self) -> Iterator[ev.Event]:
        trace, capacities = self.trace, self.scene.capacities
        name = f"{self.graph.name} (simulated)"
        yield self._make(ev.RunStarted, 0.0, name=name, nodes=len(self.graph), capacities=dict(capacities))
        self.decided = sorted([(at, n) for n, at in trace.instants.items() if n not in self.left], reverse=True)
        self.waits = list(reversed(trace.waits))
        for number, start in enumerate(trace.start):
            yield from self._end_until(start)
            while self.waits and self.waits[-1][3] <= number:
                yield self._wait(*self.waits.pop())
            yield from self._begin(number)
        yield from self._end_until(float("inf"))
        yield from self._skip()
        status = "failed" if trace.lost else "completed"
        yield self._make(ev.RunFinished, trace.makespan, status=status, duration=trace.makespan, summary="simulated")

    def _make(self, kind: type[Any], elapsed: float, /, **fields: object) -> Any:
        self.seq += 1
        return kind(run_id=RUN_ID, seq=self.seq, at=self.scene.began + elapsed, elapsed=elapsed, **fields)

    def _who(self, node: int, item: int = -1) -> dict[str, Any]:
        return {"node": self.ids[node], "name": self.labels[node], "index": None if item < 0 else item}

    def _begin(self, number: int) -> Iterator[ev.Event]:
        trace = self.trace
        node, item, now = trace.node[number], trace.item[number], trace.start[number]
        who = self._who(node, item)
        if item >= 0 and node not in self.expanded:
            self.expanded.add(node)
            yield self._make(ev.MapExpanded, now, total=self.scene.items.get(node, 1), **self._who(node))
        for name, amount in self.scene.amounts.get(node, ()):
            self.used[name] += amount
            yield self._hold(ev.ResourceAcquired, now, name, amount, who)
        mode = self.graph.modes[node]
        place = self.worker[number] = self.free[mode].take()
        worker = f"thread-{place + 1}" if POOLS[mode] == "thread" else POOLS[mode]
        attempt = self.failed.get((node, item), 0) + 1
        yield self._make(ev.NodeStarted, now, attempt=attempt, worker=worker, **who)
        heappush(self.open, (trace.end[number], number))

    def _hold(self, kind: type[Any], now: float, name: str, amount: float, who: dict[str, Any]) -> ev.Event:
        total = self.scene.capacities[name]
        made: ev.Event = self._make(
            kind, now, resource=name, kind="capacity", amount=amount, usage=self.used[name], capacity=total, **who
        )
        return made

    def _end_until(self, moment: float) -> Iterator[ev.Event]:
        """Yield the ends up to `moment`, and what was decided after the ends that brought it about."""
        while self.open and self.open[0][0] <= moment:
            end, number = heappop(self.open)
            while self.waits and self.waits[-1][0] < end:
                yield self._wait(*self.waits.pop())
            yield from self._decide_until(end, is_included=False)
            yield from self._end(number)
        yield from self._decide_until(moment, is_included=True)

    def _decide_until(self, moment: float, *, is_included: bool) -> Iterator[ev.Event]:
        decided = self.decided
        while decided and (decided[-1][0] < moment or (is_included and decided[-1][0] == moment)):
            at, node = decided.pop()
            yield self._make(ev.NodeCompleted, at, **self._who(node))

    def _end(self, number: int) -> Iterator[ev.Event]:
        trace = self.trace
        node, item, now = trace.node[number], trace.item[number], trace.end[number]
        who, took = self._who(node, item), now - trace.start[number]
        self.free[self.graph.modes[node]].give(self.worker.pop(number))
        attempt = trace.failed.get(number, 0)
        options = self.graph.options(node)
        most = options.retry.max_attempts if options is not None and options.retry is not None else 1
        if attempt:
            self.failed[node, item] = attempt
        if not attempt:
            tries = self.failed.get((node, item), 0) + 1
            yield self._make(ev.NodeCompleted, now, attempt=tries, duration=took, **who)
        elif attempt < most:
            yield self._make(
                ev.NodeRetrying, now, attempt=attempt, max_attempts=most, delay=0.0, error_type=_SIMULATED, **who
            )
        else:
            yield self._make(ev.NodeFailed, now, attempt=attempt, duration=took, error_type=_SIMULATED, **who)
        for name, amount in self.scene.amounts.get(node, ()):
            self.used[name] -= amount
            yield self._hold(ev.ResourceReleased, now, name, amount, who)
        if item >= 0:
            self.left[node] -= 1
            if not self.left[node] and node not in trace.lost:
                yield self._make(ev.NodeCompleted, now, **self._who(node))

    def _wait(self, moment: float, node: int, name: str, _: int) -> ev.Event:
        trace = self.trace
        numbers = [number for _, number in self.open]
        held = [self.ids[trace.node[n]] for n in numbers if name in dict(self.scene.amounts.get(trace.node[n], ()))]
        told = f", held by {', '.join(held[:3])}" if held else ""
        made: ev.Event = self._make(
            ev.NodeWaiting, moment, resource=name, reason=f"waits for {name}{told}", holders=tuple(held[:20]),
            **self._who(node),
        )  # fmt: skip
        return made

    def _skip(self) -> Iterator[ev.Event]:
        ran = {*self.trace.node, *self.trace.instants}
        for node in self.graph.order:
            if node not in ran:
                is_route = self.graph.kinds[node] == ROUTE
                reason = "nothing asks for it" if is_route else "it would not run"
                yield self._make(ev.NodeSkipped, self.trace.makespan, reason=reason, **self._who(node))


class _Numbers:
    """Numbers that are given out and come back; the smallest free one first."""

    __slots__ = ("_count", "_free")

    def __init__(self) -> None:
        self._free: list[int] = []
        self._count = 0

    def take(self) -> int:
        if self._free:
            return heappop(self._free)
        self._count += 1
        return self._count - 1

    def give(self, number: int) -> None:
        heappush(self._free, number)
