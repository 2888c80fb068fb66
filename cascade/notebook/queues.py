"""Waiting nodes → rows that say who waited for what: alike waits are one bar, ``fit ×30 ← cpu``.

In: who begins and who stops waiting. Out: bars on waiting rows. Invariant: a bar lasts from the first of its group
that waits to the last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cascade.interfaces.events import LimitRemoved, LimitSet, NodeWaiting
from cascade.notebook.bars import Bar, BarStore
from cascade.notebook.plain import listed, plain
from cascade.spec.constraint import LIMIT

MOST_ROWS = 4

Key = tuple[str, int | None]


@dataclass(slots=True)
class Group:
    """Units of one name that wait for one thing."""

    place: int
    row: int
    name: str
    resource: str
    members: set[Key] = field(default_factory=set)
    peak: int = 0
    holders: tuple[str, ...] = ()
    first: str = ""


class WaitingRows:
    """Keeps the groups of those who wait."""

    def __init__(self, bars: BarStore, rows: list[dict[str, str]], boxes: Mapping[str, str]) -> None:
        """Share the bars and rows of the lanes."""
        self.lost = 0
        self._bars = bars
        self._rows = rows
        self._boxes = boxes
        self.groups: dict[tuple[str, str], Group] = {}
        self._of: dict[Key, Group] = {}
        self._used: list[bool] = []

    def join(self, event: NodeWaiting, count: int = 1) -> None:
        """Someone waits, or waits for something else now; `count` is how many stand behind this one event."""
        key = (event.node, event.index)
        found = self._of.get(key)
        wanted = (event.name, event.resource)
        group = self.groups.get(wanted)
        if found is not None and found is not group:
            self.leave(key, event.elapsed)
        if group is None:
            group = self._begin(event)
            if group is None:
                self.lost += 1
                return
            self.groups[wanted] = group
        group.members.add(key)
        self._of[key] = group
        group.peak = max(group.peak, len(group.members), count)
        group.holders = event.holders or group.holders
        self._tell(group)

    def leave(self, key: Key, moment: float) -> None:
        """Someone does not wait any more."""
        group = self._of.pop(key, None)
        if group is None:
            return
        group.members.discard(key)
        if not group.members:
            self._end(group, moment)

    def forget_limits(self, event: LimitSet | LimitRemoved) -> None:
        """A limit was set or lifted: who still waits for one will be told anew."""
        for group in [group for group in self.groups.values() if group.resource.startswith(LIMIT)]:
            for key in list(group.members):
                self.leave(key, event.elapsed)

    def finish(self, moment: float) -> None:
        """The run ended."""
        self._of.clear()
        for group in list(self.groups.values()):
            self._end(group, moment)

    def _begin(self, event: NodeWaiting) -> Group | None:
        row = next((row for row, used in enumerate(self._used) if not used), len(self._used))
        if row >= MOST_ROWS:
            return None
        if row == len(self._used):
            self._used.append(False)
            self._rows.append({"id": f"waiting/{row}", "label": "waiting" if row == 0 else "", "kind": "waiting"})
        bar = Bar(f"waiting/{row}", 1, self._boxes.get(event.node, ""), event.label, event.elapsed, None, "wait")
        place = self._bars.add(bar)
        if place < 0:
            return None
        self._used[row] = True
        return Group(place, row, event.name, event.resource, first=event.label)

    def _tell(self, group: Group) -> None:
        bar = self._bars.items[group.place]
        who = group.first if group.peak == 1 else f"{group.name} ×{group.peak:,}"
        bar.label = f"{who} ← {plain(group.resource, 60)}" if group.resource else who
        if group.holders and group.peak == 1:
            bar.label += f", held by {listed(group.holders, 2)}"
        elif group.holders:
            bar.note = f"held by {listed(group.holders)}"
        self._bars.changed[group.place] = None

    def _end(self, group: Group, moment: float) -> None:
        del self.groups[(group.name, group.resource)]
        self._used[group.row] = False
        self._bars.items[group.place].t1 = moment
        self._bars.changed[group.place] = None
        self._bars.settle(group.place)
