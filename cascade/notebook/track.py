"""Changes of boxes → a track: what was true at each moment of a run, small enough to be kept in its document.

In: the boxes that an event touched, and when. Out: moments as JSON. Invariant: at its moments the track tells exactly
what the events tell; a run with more changes than fit is told at fewer moments, never wrongly at one of them.

Moments lie on a grid, at first of a tenth of a millisecond: what happens up to a moment belongs to it. When there are
too many changes the grid doubles, and moments that fall together become one. A track reads::

    {"step": 0.0001, "boxes": ["load", …], "moments": [[1204, 0, 2], [31, 0, 5, 1, [2, 40, 0, 39, 1]], …]}

A moment is the number of steps since the one before, then pairs of a place in `boxes` and its state: a number (its
place in `UNITS`), or for a box that counts units the list of that number, the total (-1: unknown), those that wait,
and the counts of units in the order of `UNITS`. Place -1 is the state of the run, -2 the first capacity in use, -3 the
second …
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from cascade.notebook.units import UNITS, Box, box_state

__all__ = ["RUN_STATES", "Track"]

RUN_STATES = ("pending", "running", "paused", "cancelling", "completed", "failed", "cancelled")
FINEST = 0.0001  # seconds
MOST = 3_000  # changes, as they weigh
_CODES = {state: code for code, state in enumerate(UNITS)}
_RUN_CODES = {state: code for code, state in enumerate(RUN_STATES)}
_LISTED = 5  # what a list of counts weighs more than a number

State = int | float | tuple[int, ...]


class Track:
    """The moments of one run so far.

    Attributes:
        until: seconds after the start up to which what happens belongs to the moment that is being told.
        touched: the boxes of which something may have changed since the last moment was told, by id.
    """

    __slots__ = ("_cell", "_last", "_moments", "_most", "_places", "_step", "_weight", "touched", "until")

    def __init__(self, boxes: Iterable[str]) -> None:
        """Begin before the first event; `boxes` are the ids of the picture."""
        self._places = {box: place for place, box in enumerate(boxes)}
        self._most = max(MOST, 8 * len(self._places))
        self._step = FINEST
        self._cell = 0
        self.until = 0.0
        self._moments: list[tuple[int, dict[int, State]]] = []
        self._last: dict[int, State] = {}
        self.touched: dict[str, Box] = {}
        self._weight = 0

    def touch(self, box: Box) -> None:
        """Something about `box` may have changed."""
        self.touched[box.id] = box

    def move(self, elapsed: float, run: str, capacities: Mapping[str, Mapping[str, Any]]) -> None:
        """An event comes `elapsed` seconds after the start, which is after `until`: the moment before is complete."""
        self.note(run, capacities)
        self._cell = max(self._cell, math.ceil(elapsed / self._step - 1e-6))
        self.until = (self._cell + 1e-6) * self._step

    def note(self, run: str, capacities: Mapping[str, Mapping[str, Any]]) -> None:
        """Write down what is different from the moment before."""
        now: dict[int, State] = {-1: _RUN_CODES[run]}
        now |= {-2 - place: _tidy(one["used"]) for place, one in enumerate(capacities.values())}
        now |= {self._places[box.id]: _state_of(box) for box in self.touched.values() if box.id in self._places}
        self.touched.clear()
        changes = {place: state for place, state in now.items() if self._last.get(place, 0) != state}
        if not changes:
            return
        self._last |= changes
        self._weight += sum(map(_weight, changes.values()))
        if self._moments and self._moments[-1][0] == self._cell:
            self._moments[-1][1].update(changes)
        else:
            self._moments.append((self._cell, changes))
        if self._weight > self._most:
            self._coarsen()

    def _coarsen(self) -> None:
        """Double the grid until the track is half full."""
        while self._weight > self._most // 2 and len(self._moments) > 1:
            self._step *= 2
            self._cell = math.ceil(self._cell / 2)
            merged: list[tuple[int, dict[int, State]]] = []
            for cell, changes in self._moments:
                if merged and merged[-1][0] == math.ceil(cell / 2):
                    merged[-1][1].update(changes)
                else:
                    merged.append((math.ceil(cell / 2), dict(changes)))
            self._moments = _without_repeats(merged)
            self._weight = sum(_weight(state) for _, changes in self._moments for state in changes.values())

    def to_dict(self) -> dict[str, Any]:
        """The track as the JSON of a run document."""
        told, before = [], 0
        for cell, changes in self._moments:
            pairs = [part for place, state in changes.items() for part in (place, _told(state))]
            told.append([cell - before, *pairs])
            before = cell
        return {"step": round(self._step, 7), "boxes": list(self._places), "moments": told}


def _without_repeats(moments: list[tuple[int, dict[int, State]]]) -> list[tuple[int, dict[int, State]]]:
    """Leave out changes that changed back within one moment."""
    last: dict[int, State] = {}
    kept = []
    for cell, changes in moments:
        real = {place: state for place, state in changes.items() if last.get(place, 0) != state}
        last |= real
        if real:
            kept.append((cell, real))
    return kept


def _state_of(box: Box) -> State:
    state, total, waiting = box_state(box)
    if not isinstance(waiting, int):
        return _CODES.get(state, 0)
    counts = [box.tally.get(unit, 0) for unit in UNITS]
    while counts and not counts[-1]:
        counts.pop()
    return (_CODES[state], -1 if total is None else total, waiting, *counts)


def _weight(state: State) -> int:
    return 1 + _LISTED if isinstance(state, tuple) else 1


def _told(state: State) -> Any:
    return list(state) if isinstance(state, tuple) else state


def _tidy(amount: float) -> float:
    return int(amount) if amount == int(amount) else round(amount, 4)
