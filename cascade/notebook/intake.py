"""The records of a journal → the record of a run, many at once.

In: the records of one journal, in order. Out: a `RunRecord` as the same records make it when they are told as events.
Invariant: what there is much of, tasks and items of maps that hold nothing, begin for the first time and are done,
costs no event each; everything else goes the way of events.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from cascade.interfaces.events import Event, RunFinished
from cascade.notebook.items import code_of
from cascade.notebook.log_book import CHATTER_LIMIT, NEWS_LIMIT
from cascade.notebook.units import ENDED
from cascade.runtime.journal import COMPLETED, DONE_INLINE, EXPANDED, ITEMS, STARTED

if TYPE_CHECKING:
    from cascade.notebook.record import RunRecord
    from cascade.notebook.units import Unit
    from cascade.runtime.journal import Journal, Record

__all__ = ["Intake"]

AT_ONCE = 10_000  # records: of a large run, not all of what is yet to be settled lives at once
_RUNNING, _DONE = code_of("running"), code_of("done")

Lines = deque[tuple[int, int]]  # the number of a line, and the place of its record


class Intake:
    """Folds the records of one journal into one record of a run.

    Responsible for: plain starts and ends. Refuses: everything else, which `RunRecord.apply` takes as events.

    Attributes:
        next: the number of the record that comes next. is_over: whether the end of the run was among those before.
    """

    __slots__ = (
        "_boxes",
        "_changed",
        "_chatter",
        "_counts",
        "_journal",
        "_labels",
        "_lanes",
        "_news",
        "_nodes",
        "_number",
        "_record",
        "_records",
        "_spent",
        "_touched",
        "_units",
        "_ways",
        "is_over",
        "next",
    )

    def __init__(self, record: RunRecord, journal: Journal) -> None:
        """Begin before the first record of `journal`."""
        self._record = record
        self._journal = journal
        self._labels = journal.graph.labels
        self._lanes, self._counts, self._spent = record.lanes, record.counts, record.spent
        needy = self._lanes.needs_capacity
        units = [record.units.get(node) for node in journal.graph.ids]
        self._units = [
            unit if unit is not None and unit.kind in {"task", "map"} and unit.id not in needy else None
            for unit in units
        ]
        self._touched, self._changed = record.track.touched, record.changed
        self._records: Sequence[Record] = ()
        self._boxes: dict[str, int] = {}  # the place of the record that tells the present state, of boxes
        self._nodes: dict[int, int] = {}  # the same of nodes, by number
        self._news: Lines = deque(maxlen=NEWS_LIMIT)
        self._chatter: Lines = deque(maxlen=CHATTER_LIMIT)
        self._number = 0
        self._ways: dict[int, Callable[[int, Record, Unit, float], int]] = {
            STARTED: self._started,
            COMPLETED: self._completed,
            DONE_INLINE: self._completed,
            EXPANDED: self._expanded,
            ITEMS: self._items,
        }
        self.next = 0
        self.is_over = False

    def catch_up(self) -> None:
        """Read all records that are there by now."""
        records = self._journal.records
        end = len(records)
        while self.next < end:
            self.take(records[self.next : min(self.next + AT_ONCE, end)])

    def take(self, records: Sequence[Record]) -> None:
        """Take the next records."""
        record, track, lanes = self._record, self._record.track, self._record.lanes
        units, known, ways, start = self._units, len(self._units), self._ways.get, self._journal.start
        self._records = records
        self._number = record.log.count
        is_calm = lanes.is_calm
        until, latest = track.until, record.elapsed
        begun = 0  # those from here on are yet to be told as events
        for place, one in enumerate(records):
            way = ways(one[0])
            if (
                way is None
                or (node := one[2]) >= known
                or (unit := units[node]) is None
                or not is_calm
                or place < begun
            ):
                continue
            if begun < place:
                record.elapsed = latest
                self._tell(begun, place)
                begun, until, latest = place, track.until, record.elapsed
                if not (is_calm := lanes.is_calm):
                    continue
            elapsed = one[1] - start
            if elapsed > latest:
                latest = elapsed
                if elapsed > until:
                    track.move(elapsed, record.state, record.capacities)
                    until = track.until
            begun += way(place, one, unit, elapsed)
        record.elapsed = max(latest, record.elapsed)
        self._tell(begun, len(records))
        self._settle()
        self.next += len(records)
        self._records = ()

    def close(self) -> None:
        """Read what is yet to be read of records, so that the record of the run does not keep the whole journal."""
        events = [
            *(box.last for box in self._record.boxes.values()),
            *(line.event for line in self._record.log.lines()),
        ]
        for event in events:
            _ = event is not None and event.elapsed

    # -- events ------------------------------------------------------------------------------------------------------

    def _tell(self, begun: int, end: int) -> None:
        """Give the records from `begun` to before `end` to the record of the run, as events."""
        if begun == end:
            return
        self._settle()
        events = self._journal.decode(self.next + begun, self._records[begun:end], None, Event)
        self._record.apply(events)
        self._number = self._record.log.count
        self.is_over = self.is_over or any(type(event) is RunFinished for event in events)

    def _settle(self) -> None:
        """Make the events that are kept: the last of each node and box, and the newest lines of the log."""
        record = self._record
        for node, place in self._nodes.items():
            unit = self._units[node]
            assert unit is not None  # noqa: S101 - it was taken
            unit.last = self._event(place)
            _ = unit.last.elapsed  # read now: it may be kept for long, and the journal with it
        for box, place in self._boxes.items():
            record.boxes[box].last = self._event(place)
        self._nodes.clear()
        self._boxes.clear()
        record.log.take(self._lines(self._news), self._lines(self._chatter), self._number)

    def _lines(self, lines: Lines) -> list[tuple[int, Event, str]]:
        records, units, event, first = self._records, self._units, self._journal.event, self.next
        made = [
            (number, event(first + place, one := records[place]), unit.box.id if (unit := units[one[2]]) else "")
            for number, place in lines
        ]
        lines.clear()
        return made

    def _event(self, place: int) -> Any:
        return self._journal.event(self.next + place, self._records[place])

    # -- records: each way says how many it took, none or itself and perhaps the one that follows ---------------------

    def _started(self, place: int, one: Record, unit: Unit, elapsed: float) -> int:
        _, _, node, index, attempt, _ = one
        if attempt != 1 or unit.held:
            return 0
        if index is None:
            return self._node_started(place, node, unit, elapsed)
        active = unit.active
        if not unit.expanded or unit.waits is not None or index in active:
            return 0
        box, counts = unit.box, self._counts
        tally = box.tally
        if unit.pending > 0:
            unit.pending -= 1
            tally["pending"] -= 1
            counts["pending"] -= 1
        unit.seen += 1
        active[index] = "running"
        tally["running"] = tally.get("running", 0) + 1
        counts["running"] += 1
        codes = unit.items.codes
        if index < len(codes):
            codes[index] = _RUNNING
        else:
            unit.items.reserve(unit.total or 0)
            unit.items.note(index, "running")
        if unit.t0 is None:
            unit.date(elapsed, elapsed)
        box.t1 = elapsed
        self._boxes[box.id] = place
        self._touched[box.id] = box
        self._changed[box.id] = None
        lanes = self._lanes
        if lanes.is_full:
            lanes.lost += 1
        else:
            lanes.begin((unit.id, index), self._labels[node], elapsed)
        return 1

    def _completed(self, place: int, one: Record, unit: Unit, elapsed: float) -> int:
        if one[0] == DONE_INLINE or one[3] is None:
            return self._node_completed(place, one, unit, elapsed)
        _, _, node, index, _, duration, _ = one
        active = unit.active
        if not unit.expanded or unit.waits is not None or unit.held or active.get(index) != "running":
            return 0
        box, counts = unit.box, self._counts
        tally = box.tally
        del active[index]
        tally["running"] -= 1
        tally["done"] = tally.get("done", 0) + 1
        counts["running"] -= 1
        counts["done"] += 1
        codes = unit.items.codes
        if index < len(codes):
            codes[index] = _DONE
        box.t1 = elapsed
        self._boxes[box.id] = place
        self._touched[box.id] = box
        self._changed[box.id] = None
        if (spent := self._spent.get(unit.name)) is None:
            self._record.spend(unit.name, duration, 1)
        else:
            spent[0] += duration
            spent[1] += 1
        self._lanes.end((unit.id, index), self._labels[node], elapsed, duration)
        self._chatter.append((self._number, place))
        self._number += 1
        return 1

    def _items(self, place: int, one: Record, unit: Unit, elapsed: float) -> int:
        _, _, node, first, count, duration = one
        if not unit.expanded or unit.waits is not None:
            return 0
        self._record.take_items(unit, first, count, elapsed, duration)
        self._lanes.add_done(unit.id, f"{self._labels[node]} ×{count:,}", elapsed, duration, count)
        self._chatter.append((self._number, place))
        self._number += 1
        return 1

    def _expanded(self, place: int, one: Record, unit: Unit, _elapsed: float) -> int:
        if unit.state not in ENDED:
            self._record.expand(unit, one[3])
        self._news.append((self._number, place))
        self._number += 1
        return 1

    def _node_started(self, place: int, node: int, unit: Unit, elapsed: float) -> int:
        if unit.kind != "task" or unit.expanded:
            return 0
        if self._is_whole(place + 1, node, unit, elapsed):
            return 1 + self._close_node(place + 1, node, unit)
        record = self._record
        record.move(unit, "running")
        unit.attempt = 1
        unit.date(elapsed, elapsed)
        self._nodes[node] = self._boxes[unit.box.id] = place
        self._lanes.begin((unit.id, None), self._labels[node], elapsed)
        return 1

    def _is_whole(self, place: int, node: int, unit: Unit, begun: float) -> bool:
        """Take begin and end of a node in one step if its end is at `place` and that makes no difference."""
        one = self._records[place] if place < len(self._records) else (None, 0.0, -1)
        if one[2] != node or not (one[0] == DONE_INLINE or (one[0] == COMPLETED and one[3] is None)):
            return False
        duration = one[1] - one[3] if one[0] == DONE_INLINE else one[5]
        return self._record.take_whole(unit, self._labels[node], begun, one[1] - self._journal.start, duration)

    def _node_completed(self, place: int, one: Record, unit: Unit, elapsed: float) -> int:
        record, node = self._record, one[2]
        duration = one[1] - one[3] if one[0] == DONE_INLINE else one[5]
        if unit.held or unit.expanded != (unit.kind == "map"):
            return 0
        record.move(unit, "done")
        unit.date(max(0.0, elapsed - duration), elapsed)
        record.end(unit, elapsed, "done")
        if not unit.expanded:
            record.spend(unit.name, duration, 1)
            self._lanes.end((unit.id, None), self._labels[node], elapsed, duration)
        return self._close_node(place, node, unit)

    def _close_node(self, place: int, node: int, unit: Unit) -> int:
        self._nodes[node] = self._boxes[unit.box.id] = place
        self._news.append((self._number, place))
        self._number += 1
        return 1
