"""Bars → at most a given number of bars that still tell the story of the whole run.

In: bars as they begin and end. Out: a list in which a bar keeps its place, and the places that changed. Invariant: the
list never grows above its limit: when it is full, the two neighbours of a row that lie closest become one bar.

Merging the closest pair (Douglas–Peucker's idea turned round) keeps the resolution where much time was spent.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

from cascade.notebook.plain import duration, plain

BAR_LIMIT = 400
LABEL, TEXT = 60, 200
_WORDS = {
    "running": "running",
    "done": "done",
    "failed": "failed",
    "cancelled": "cancelled",
    "backoff": "pause before the next try",
    "wait": "waiting",
    "setup": "",
}


@dataclass(slots=True)
class Bar:
    """One stretch of time on one row, or on `span` rows from `row` down; `t1` is None while it goes on.

    Args:
        node: the box it belongs to, empty for none. count: how many bars were merged into it. note: more for the hover.
    """

    row: str
    span: int
    node: str
    label: str
    t0: float
    t1: float | None
    state: str
    count: int = 1
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The bar as the JSON of a run document."""
        return {
            "row": self.row,
            "span": self.span,
            "node": self.node,
            "label": plain(self.label, LABEL),
            "t0": round(self.t0, 4),
            "t1": None if self.t1 is None else round(self.t1, 4),
            "s": self.state,
            "text": plain(self._text(), TEXT),
        }

    def _text(self) -> str:
        took = "" if self.t1 is None else duration(self.t1 - self.t0)
        told = " · ".join(part for part in (_WORDS.get(self.state, self.state), took, self.note) if part)
        return f"{self.label}: {told}" if told else self.label


class BarStore:
    """Holds the bars of a run; a place in it stays that of a bar until the bar is merged into its neighbour."""

    __slots__ = ("_after", "_age", "_before", "_last", "_limit", "_pairs", "_settled", "changed", "items", "lost")

    def __init__(self, limit: int = BAR_LIMIT) -> None:
        """Begin empty; `limit` is the most bars ever held."""
        self.items: list[Bar] = []
        self.changed: dict[int, None] = {}
        self.lost = 0
        self._limit = limit
        self._settled: dict[int, None] = {}
        self._last: dict[str, int] = {}
        self._before: dict[int, int] = {}
        self._after: dict[int, int] = {}
        self._age: dict[int, int] = {}
        self._pairs: list[tuple[float, int, int, int, int]] = []

    def add(self, bar: Bar) -> int:
        """Hold `bar` and return its place, -1 if there is no room since all bars go on."""
        if len(self.items) < self._limit:
            place = len(self.items)
            self.items.append(bar)
        else:
            place = self._make_room()
            if place < 0:
                self.lost += 1
                return -1
            self.items[place] = bar
        self._age[place] = self._age.get(place, 0) + 1
        self.changed[place] = None
        return place

    def settle(self, place: int) -> None:
        """Take note that the bar at `place` will not change any more: it may be merged from now on."""
        if place < 0 or place in self._settled:
            return
        bar = self.items[place]
        self._settled[place] = None
        before = self._last.get(bar.row, -1)
        self._last[bar.row] = place
        self._link(before, place)

    def absorb(self, row: str, node: str, label: str, end: float, count: int = 1) -> bool:
        """Merge a bar that is done into the one before it in its row, if the list is full and no pair lies closer.

        Args:
            row, node, label, count: of the bar, which is one row high. end: when it was done; it began after that one.
        """
        place = self._last.get(row, -1)
        if place < 0 or len(self.items) < self._limit:
            return False
        bar = self.items[place]
        if bar.state != "done" or bar.span != 1 or (self._pairs and end - bar.t0 > self._pairs[0][0]):
            return False
        name = _family(bar.label)
        bar.count += count
        bar.label = f"{name} ×{bar.count:,}" if name == _family(label) else f"{bar.count:,} bars"
        bar.node = bar.node if bar.node == node else ""
        bar.t1, bar.note = end, ""
        self.changed[place] = None
        return True

    # -- neighbours in a row -----------------------------------------------------------------------------------------

    def _link(self, before: int, after: int) -> None:
        if before < 0 or after < 0:
            return
        self._after[before] = after
        self._before[after] = before
        first, second = self.items[before], self.items[after]
        if first.state != second.state or first.span != second.span or first.t1 is None or second.t1 is None:
            return
        extent = second.t1 - first.t0
        heapq.heappush(self._pairs, (extent, before, self._age[before], after, self._age[after]))

    def _make_room(self) -> int:
        while self._pairs:
            extent, before, age, after, other_age = heapq.heappop(self._pairs)
            if self._age.get(before) == age and self._age.get(after) == other_age and self._after.get(before) == after:
                grown = (self.items[after].t1 or 0.0) - self.items[before].t0  # it may have absorbed others since
                if grown <= extent:
                    return self._merge(before, after)
                heapq.heappush(self._pairs, (grown, before, age, after, other_age))
        return self._drop_oldest()

    def _merge(self, before: int, after: int) -> int:
        kept, gone = self.items[before], self.items[after]
        self.items[before] = _merged(kept, gone)
        self._age[before] += 1
        self.changed[before] = None
        following = self._after.pop(after, -1)
        self._forget(after)
        self._after.pop(before, None)
        if self._last.get(kept.row) == after:
            self._last[kept.row] = before
        self._link(self._before.get(before, -1), before)
        self._link(before, following)
        return after

    def _drop_oldest(self) -> int:
        if not self._settled:
            return -1
        self.lost += 1
        place = min(self._settled, key=lambda p: self.items[p].t0)
        before, after = self._before.get(place, -1), self._after.pop(place, -1)
        row = self.items[place].row
        self._forget(place)
        self._after.pop(before, None)
        if after >= 0:
            self._before.pop(after, None)
            self._link(before, after)
        elif self._last.get(row) == place:
            if before >= 0:
                self._last[row] = before
            else:
                del self._last[row]
        return place

    def _forget(self, place: int) -> None:
        self._settled.pop(place, None)
        self._before.pop(place, None)
        self._age[place] += 1


def _merged(first: Bar, second: Bar) -> Bar:
    count = first.count + second.count
    name, other = _family(first.label), _family(second.label)
    label = f"{name} ×{count:,}" if name == other else f"{count:,} bars"
    node = first.node if first.node == second.node else ""
    return Bar(first.row, first.span, node, label, first.t0, second.t1, first.state, count)


def _family(label: str) -> str:
    """`fit` for ``fit[3]``, ``fit · try 2`` and ``fit ×12``."""
    if " " in label:
        for mark in (" ×", " · try "):
            label = label.split(mark, 1)[0]
    return label.split("[", 1)[0] if label.endswith("]") else label
