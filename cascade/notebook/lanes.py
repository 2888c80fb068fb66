"""Events → lanes: who held which capacity and which resource instance, from when to when, and who waited.

In: the events of one run. Out: rows and bars. Invariant: two bars that take place at once never share a row, and a
capacity of n whole units has n rows, so that a full set of bars means a full capacity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cascade.interfaces.events import (
    ItemsCompleted,
    NodeCancelled,
    NodeCompleted,
    NodeEvent,
    NodeFailed,
    NodeRetrying,
    NodeSkipped,
    NodeStarted,
    NodeWaiting,
    ResourceAcquired,
    ResourceReleased,
    ResourceSetUp,
    ResourceTornDown,
)
from cascade.notebook.bars import BAR_LIMIT, Bar, BarStore
from cascade.notebook.plain import duration, plain
from cascade.notebook.queues import WaitingRows

MOST_UNITS = 8
MOST_ROWS = 8
MOST_UNIT_ROWS = 64
LONGEST_ID = 24
_KINDS = ("capacity", "resource", "tasks", "waiting")
_RESOURCE_MARK = "resource/"

Key = tuple[str, int | None]


@dataclass(slots=True)
class Lane:
    """The rows of one capacity, one resource or of the tasks that hold neither.

    Args:
        units: how many rows stand for whole units, 0 when rows only pack what takes place at once.
        taken: on how many rows someone is. users: who is on each row. until: when the last bar of each row ended.
    """

    id: str
    name: str
    kind: str
    units: int = 0
    taken: int = 0
    users: list[Key | None] = field(default_factory=list)
    until: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Hold:
    """What one node has of one lane: rows and the bars on them."""

    lane: Lane
    rows: list[int]
    bars: list[int]


class LaneBook:
    """Gives every holder its rows, opens and closes bars.

    Responsible for: capacities, resource instances, tasks, pauses before a retry. Waiting rows are `WaitingRows`.
    Refuses: states and counts (`RunRecord`).

    Attributes:
        lost: how many had no row. needs_capacity: the nodes that hold something, by id.
    """

    def __init__(
        self, boxes: Mapping[str, str], needs_capacity: frozenset[str], apart: frozenset[str], limit: int = BAR_LIMIT
    ) -> None:
        """Take the box of each node by id, the nodes that hold something, the nodes that are maps or Routers."""
        self.bars = BarStore(limit)
        self.rows: list[dict[str, str]] = []
        self._boxes = boxes
        self.needs_capacity = needs_capacity
        self._apart = apart
        self._lanes: dict[str, Lane] = {}
        self._holds: dict[Key, list[Hold]] = {}
        self._attempt: dict[Key, list[int]] = {}
        self._pauses: dict[Key, tuple[int, Lane, int]] = {}
        self._paused_rows: dict[tuple[str, int], Key] = {}
        self.lost = 0
        self._tasks: Lane | None = None
        self.waiting = WaitingRows(self.bars, self.rows, boxes)

    @property
    def dropped(self) -> int:
        """How many bars are not shown, since there was no row or no room for them. Merged ones are shown."""
        return self.bars.lost + self.lost + self.waiting.lost

    # -- capacities and resources ------------------------------------------------------------------------------------

    def open_capacities(self, capacities: Mapping[str, float], fractional: frozenset[str]) -> None:
        """Make the rows of the run's capacities; `fractional` ones are taken in parts and have no unit rows."""
        for name, total in capacities.items():
            whole = total == int(total) and 0 < total <= MOST_UNITS and name not in fractional
            units = int(total) if whole and len(self.rows) < MOST_UNIT_ROWS else 0
            lane = self._lanes[name] = Lane(self._new_id(name, "capacity"), name, "capacity", units)
            for _ in range(units):
                self._add_row(lane)

    def open_others(self, resources: Iterable[str], *, tasks: bool) -> None:
        """Make a row for each of `resources`, and one for tasks that hold nothing if there are such `tasks`."""
        for name in list(resources)[:MOST_UNIT_ROWS]:
            self._add_row(self._lane_of(name, "resource"))
        if tasks:
            self._add_row(self._lane_of("", "tasks"))

    def acquired(self, event: ResourceAcquired) -> None:
        """Someone took an amount of a capacity, or began to use an instance."""
        lane = self._lane_of(event.resource, event.kind)
        key = (event.node, event.index)
        amount = int(event.amount) if lane.units and event.amount == int(event.amount) else 0
        rows = _free_units(lane, amount) if amount else []
        if not rows:
            row = self._free_row(lane, event.elapsed)
            if row < 0:
                self.lost += 1
                return
            rows = [row]
        bars = [self._open(lane, first, span, key, event.name, event.elapsed) for first, span in _stretches(rows)]
        for row in rows:
            lane.users[row] = key
        lane.taken += len(rows)
        self._holds.setdefault(key, []).append(Hold(lane, rows, bars))
        self._attempt.setdefault(key, []).extend(bars)

    def released(self, event: ResourceReleased) -> None:
        """The opposite of `acquired`."""
        key = (event.node, event.index)
        holds = self._holds.get(key, [])
        lane = self._lane_of(event.resource, event.kind)
        hold = next((hold for hold in holds if hold.lane is lane), None)
        if hold is None:
            return
        holds.remove(hold)
        if not holds:
            del self._holds[key]
        self._free(lane, hold.rows, event.elapsed)
        for place in hold.bars:
            self._close(place, event.elapsed)

    def set_up(self, event: ResourceSetUp) -> None:
        """A resource instance is ready."""
        self._lifetime(event.resource, "set up", event.elapsed, event.duration)

    def torn_down(self, event: ResourceTornDown) -> None:
        """A resource instance is closed."""
        label, note = ("close failed", event.error) if event.error else ("close", "")
        self._lifetime(event.resource, label, event.elapsed, event.duration, note)

    def _lifetime(self, resource: str, label: str, end: float, seconds: float, note: str = "") -> None:
        lane = self._lane_of(resource, "resource")
        row = self._free_row(lane, max(0.0, end - seconds))
        if row < 0:
            self.lost += 1
            return
        bar = Bar(
            _row_id(lane, row), 1, "", label, max(0.0, end - seconds), end, "failed" if note else "setup", note=note
        )
        self.bars.settle(self.bars.add(bar))
        lane.until[row] = end

    # -- attempts ----------------------------------------------------------------------------------------------------

    def started(self, event: NodeStarted) -> None:
        """An attempt began: its pause ends; a task that holds nothing gets a row of its own."""
        key = (event.node, event.index)
        if self._pauses:
            self._end_pause(key, event.elapsed)
        if event.attempt > 1:
            for place in self._attempt.get(key, ()):
                self._relabel(place, f"{event.label} · try {event.attempt}")
        if self._is_apart(key):
            return
        place = self.begin(key, event.name, event.elapsed)
        if event.attempt > 1:
            self._relabel(place, f"{event.label} · try {event.attempt}")

    def begin(self, key: Key, name: str, moment: float) -> int:
        """Give a task that holds nothing a row and a bar, if it has none and there is room; return the bar's place."""
        lane = self._tasks or self._task_lane()
        if key in self._attempt:
            return -1
        row = self._free_row(lane, moment)
        if row < 0:
            self.lost += 1
            return -1
        lane.users[row] = key
        lane.taken += 1
        place = self._open(lane, row, 1, key, name, moment)
        self._attempt[key] = [place]
        self._holds[key] = [Hold(lane, [row], [place])]
        return place

    def took_no_time(self, node: str, name: str, begun: float, ended: float) -> bool:
        """Add the bar of a whole attempt, if it would be the same in two steps; say whether that is done."""
        key = (node, None)
        if self._pauses or self.waiting.groups or key in self._attempt or self._is_apart(key):
            return False
        lane = self._tasks or self._task_lane()
        row = self._free_row(lane, begun)
        if row < 0:
            return False
        place, box = _row_id(lane, row), self._boxes.get(node, "")
        if not self.bars.absorb(place, box, name, ended):
            self.bars.settle(self.bars.add(Bar(place, 1, box, name, begun, ended, "done")))
        lane.until[row] = ended
        return True

    def ended(self, event: NodeCompleted | NodeFailed | NodeRetrying | NodeCancelled | NodeSkipped) -> None:
        """An attempt ended, one way or another; what it holds may come back a moment later."""
        key = (event.node, event.index)
        state = _OUTCOMES[type(event)]
        if self._pauses:
            self._end_pause(key, event.elapsed)
        holds = self._holds.get(key)
        for hold in [hold for hold in holds or () if hold.lane is self._tasks]:
            self._holds[key].remove(hold)
            self._free(hold.lane, hold.rows, event.elapsed)
        if holds is not None and not holds:
            del self._holds[key]
        places = self._attempt.pop(key, ())
        if not places and type(event) is NodeCompleted and not self._is_apart(key):
            self.add_done(event.node, event.label, event.elapsed, event.duration)
        for place in places:
            self._conclude(place, state, event)
        if isinstance(event, NodeRetrying) and event.delay > 0 and places and places[-1] >= 0:
            self._pause(key, places[-1], event)

    @property
    def is_full(self) -> bool:
        """Whether there is no row for one more task that holds nothing."""
        return self._tasks is not None and self._tasks.taken >= MOST_ROWS

    @property
    def is_calm(self) -> bool:
        """Whether nobody waits or pauses: starts and ends then tell of nobody else."""
        return not self._pauses and not self.waiting.groups

    def end(self, key: Key, name: str, moment: float, seconds: float) -> None:
        """As `ended`, for a task that holds nothing and is done, in a calm run."""
        places = self._attempt.pop(key, None)
        if places is None:
            if self.is_full:
                self.lost += 1
            else:
                self.add_done(key[0], name if key[1] is None else f"{name}[{key[1]}]", moment, seconds)
            return
        for hold in self._holds.pop(key, ()):
            self._free(hold.lane, hold.rows, moment)
        for place in places:
            if place >= 0:
                bar = self.bars.items[place]
                bar.state, bar.note = "done", ""
                self.bars.changed[place] = None
                if bar.t1 is None:
                    bar.t1 = moment
                self.bars.settle(place)

    def items(self, event: ItemsCompleted) -> None:
        """A group of short items of a map is done."""
        self.add_done(event.node, f"{event.name} ×{event.count:,}", event.elapsed, event.duration, event.count)

    def _is_apart(self, key: Key) -> bool:
        """Whether this has no row among the tasks: maps as a whole, Routers, and whoever has a row of what it holds."""
        return (key[1] is None and key[0] in self._apart) or key[0] in self.needs_capacity

    def add_done(self, node: str, label: str, end: float, seconds: float, count: int = 1) -> None:
        """Add the bar of something so short that its begin was not told."""
        lane = self._tasks or self._task_lane()
        begin = max(0.0, end - seconds)
        row = self._free_row(lane, begin)
        if row < 0:
            self.lost += 1
            return
        place, box = _row_id(lane, row), self._boxes.get(node, "")
        if not self.bars.absorb(place, box, label, end, count):
            self.bars.settle(self.bars.add(Bar(place, 1, box, label, begin, end, "done", count)))
        lane.until[row] = end

    def waits(self, event: NodeWaiting, count: int) -> None:
        """A node, or `count` items of a map, could start but for a resource."""
        self.waiting.join(event, count)

    def stops_waiting(self, event: NodeEvent) -> None:
        """A node that may have waited does not wait any more."""
        if self.waiting.groups:
            self.waiting.leave((event.node, event.index), event.elapsed)

    def finish(self, elapsed: float) -> None:
        """The run ended: nothing is open any more."""
        self.waiting.finish(elapsed)
        for key in list(self._pauses):
            self._end_pause(key, elapsed)
        for place, bar in enumerate(self.bars.items):
            if bar.t1 is None or bar.state == "running":
                bar.t1 = elapsed if bar.t1 is None else bar.t1
                bar.state = "cancelled" if bar.state == "running" else bar.state
                self.bars.changed[place] = None
                self.bars.settle(place)

    def sorted_rows(self, rows: list[dict[str, str]]) -> list[dict[str, str]]:
        """Return rows in the order in which they are shown: those of one lane together, waiting last."""
        lanes = {lane.id: place for place, lane in enumerate(self._lanes.values())}
        return sorted(rows, key=lambda row: (_KINDS.index(row["kind"]), lanes.get(row["id"].rsplit("/", 1)[0], 0)))

    # -- rows --------------------------------------------------------------------------------------------------------

    def used_rows(self) -> list[dict[str, str]]:
        """The rows that have a bar, and those of capacities, in order."""
        used = {bar.row for bar in self.bars.items}
        return self.sorted_rows([row for row in self.rows if row["kind"] == "capacity" or row["id"] in used])

    def _lane_of(self, name: str, kind: str) -> Lane:
        key = name if kind == "capacity" else _RESOURCE_MARK + name
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(self._new_id(name, kind), name or "tasks", kind)
        return lane

    def _task_lane(self) -> Lane:
        """The lane of those that hold nothing: nearly all of a large graph are on it."""
        if self._tasks is None:
            self._tasks = self._lane_of("", "tasks")
        return self._tasks

    def _new_id(self, name: str, kind: str) -> str:
        """Short whatever the name, since every bar repeats it."""
        if not name:
            return kind
        is_short = len(name) <= LONGEST_ID and name.isprintable()
        return f"{kind}/{name}" if is_short else f"{kind}/#{len(self._lanes)}"

    def _add_row(self, lane: Lane) -> int:
        number = len(lane.users)
        if lane.units > 1 and number < lane.units:
            label = f"{lane.name} {number + 1}"
        else:
            label = lane.name if number == 0 else f"{lane.name} · {number + 1}"
        lane.users.append(None)
        lane.until.append(0.0)
        self.rows.append({"id": _row_id(lane, number), "label": plain(label, 40), "kind": lane.kind})
        return number

    def _free_row(self, lane: Lane, moment: float) -> int:
        """The first row (beyond the unit rows) that nobody is on since `moment`, -1 if there is none."""
        if lane.taken >= lane.units + MOST_ROWS:
            return -1
        for row in range(lane.units, len(lane.users)):
            if lane.users[row] is None and lane.until[row] <= moment + 1e-9:
                return row
        return self._add_row(lane) if len(lane.users) - lane.units < MOST_ROWS else -1

    def _free(self, lane: Lane, rows: list[int], moment: float) -> None:
        for row in rows:
            lane.taken -= lane.users[row] is not None
            lane.users[row] = None
            lane.until[row] = moment

    # -- bars --------------------------------------------------------------------------------------------------------

    def _open(self, lane: Lane, row: int, span: int, key: Key, name: str, moment: float) -> int:
        for taken in range(row, row + span) if self._paused_rows else ():
            owner = self._paused_rows.get((lane.id, taken))
            if owner is not None:
                self._end_pause(owner, moment)
        label = name if key[1] is None else f"{name}[{key[1]}]"
        return self.bars.add(Bar(_row_id(lane, row), span, self._boxes.get(key[0], ""), label, moment, None, "running"))

    def _relabel(self, place: int, label: str) -> None:
        if place >= 0:
            self.bars.items[place].label = label
            self.bars.changed[place] = None

    def _close(self, place: int, moment: float) -> None:
        if place < 0:
            return
        bar = self.bars.items[place]
        if bar.state == "running" or bar.t1 is None or bar.t1 < moment:
            bar.t1 = moment
            self.bars.changed[place] = None
        if bar.state != "running":
            self.bars.settle(place)

    def _conclude(self, place: int, state: str, event: NodeEvent) -> None:
        """Give a bar its outcome; a cancelled one stays open until what it holds comes back."""
        if place < 0:
            return
        bar = self.bars.items[place]
        bar.state = state
        bar.note = event.error_type if isinstance(event, (NodeFailed, NodeRetrying)) else ""
        self.bars.changed[place] = None
        held = any(place in hold.bars for hold in self._holds.get((event.node, event.index), ()))
        if bar.t1 is None and not (held and state == "cancelled"):
            bar.t1 = event.elapsed
        if not held:
            self.bars.settle(place)

    # -- pauses before a retry ---------------------------------------------------------------------------------------

    def _pause(self, key: Key, after: int, event: NodeRetrying) -> None:
        row_id = self.bars.items[after].row
        lane_id, _, number = row_id.rpartition("/")
        lane = next((lane for lane in self._lanes.values() if lane.id == lane_id), None)
        if lane is None:
            return
        row = int(number)
        label = f"retry in {duration(event.delay)}"
        bar = Bar(row_id, 1, self._boxes.get(event.node, ""), label, event.elapsed, None, "backoff")
        bar.note = f"try {event.attempt} of {event.max_attempts} failed: {event.error_type}"
        place = self.bars.add(bar)
        if place >= 0:
            self._pauses[key] = (place, lane, row)
            self._paused_rows[(lane.id, row)] = key

    def _end_pause(self, key: Key, moment: float) -> None:
        found = self._pauses.pop(key, None)
        if found is None:
            return
        place, lane, row = found
        self._paused_rows.pop((lane.id, row), None)
        self.bars.items[place].t1 = moment
        self.bars.changed[place] = None
        self.bars.settle(place)
        if lane.users[row] is None:
            lane.until[row] = max(lane.until[row], moment)


_OUTCOMES: dict[type[Any], str] = {
    NodeCompleted: "done",
    NodeFailed: "failed",
    NodeRetrying: "failed",
    NodeCancelled: "cancelled",
    NodeSkipped: "cancelled",
}


def _row_id(lane: Lane, row: int) -> str:
    return f"{lane.id}/{row}"


def _free_units(lane: Lane, amount: int) -> list[int]:
    """`amount` free unit rows, side by side if they are; nothing if there are not as many."""
    free = [row for row in range(lane.units) if lane.users[row] is None]
    if len(free) < amount:
        return []
    for start in range(len(free) - amount + 1):
        if free[start + amount - 1] - free[start] == amount - 1:
            return free[start : start + amount]
    return free[:amount]


def _stretches(rows: list[int]) -> list[tuple[int, int]]:
    """`[(0, 2), (5, 1)]` for rows 0, 1 and 5: first row and length."""
    found: list[tuple[int, int]] = []
    for row in rows:
        if found and row == sum(found[-1]):
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((row, 1))
    return found
