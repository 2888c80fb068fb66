"""Requests that wait → the oldest one that fits.

In: queues of requests for equal amounts, and the room there is. Out: the queue whose head came first of those that fit.
Invariant: a search skips only what does not fit or came later than what it has found.

A `Line` is a tree in an array. Each node knows the least amounts and the earliest arrival below it, so that a search
looks at few of the queues (a k-d tree: Bentley 1975). New queues stand at its end; when there are many of them, or no
place is left, those that still have someone in them are put in order again, with as many places behind them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cascade.graph.check import Amounts

__all__ = ["NEVER", "Line", "Queue", "Room"]

NEVER: Final = inf  # the arrival of nobody
LEAST: Final = 4  # leaves of a tree; a power of two
Room = tuple[float, ...]  # for each name of a line


class Queue:
    """Those who wait for the same amounts, as pairs of arrival and node."""

    __slots__ = ("amounts", "line", "place", "waiters")

    def __init__(self, amounts: Amounts, line: Line) -> None:
        """Nobody waits; the line gives it a place."""
        self.amounts = amounts
        self.line = line
        self.place = 0
        self.waiters: deque[tuple[int, int]] = deque()


class Line:
    """The queues of all who wait for some of the same names, however much of each.

    Attributes:
        passed: how often others, who came later, took some of these names since the oldest became the oldest.
        patience: how often they may; 0 while nobody has asked. is_patient: what the oldest needs is kept for it.
    """

    __slots__ = ("_arrivals", "_lows", "_ordered", "_queues", "_size", "is_patient", "names", "passed", "patience")

    def __init__(self, names: tuple[str, ...]) -> None:
        """Nobody waits."""
        self.names = names
        self.begin_turn()
        self._queues: list[Queue] = []
        self._plant()

    def begin_turn(self) -> None:
        """Another one is the oldest; nobody has passed it yet."""
        self.passed = self.patience = 0
        self.is_patient = False

    # -- who waits --------------------------------------------------------------------------------------------------

    @property
    def oldest(self) -> float:
        """The arrival of whoever came first, `NEVER` if nobody waits."""
        return self._arrivals[1]

    def find_oldest(self) -> Queue:
        """Return the queue of whoever came first; somebody waits."""
        place, arrivals = 1, self._arrivals
        while place < self._size:
            place *= 2
            place += arrivals[place + 1] < arrivals[place]
        return self._queues[place - self._size]

    def find(self, find_room: Callable[[int], Room], steps: Sequence[int]) -> Queue | None:
        """Return the queue whose head came first of those that fit.

        Args:
            find_room: the most that may be asked for of each name, by how many of `steps` came before the one who
                asks: never more than for those who came earlier. steps: arrivals, in order.
        """
        if len(self._queues) > self._ordered + self._ordered // 4 + LEAST:
            self._plant()
        arrivals, lows, size = self._arrivals, self._lows, self._size
        rooms: dict[int, Room] = {}
        first, found = NEVER, 0
        stack = [1]
        while stack:
            place = stack.pop()
            arrival = arrivals[place]
            if arrival >= first:
                continue
            step = bisect_left(steps, arrival)
            if step not in rooms:
                rooms[step] = find_room(step)
            for low, most in zip(lows[place], rooms[step], strict=True):
                if low > most:
                    break
            else:
                if place >= size:
                    first, found = arrival, place
                    continue
                left, right = 2 * place, 2 * place + 1
                stack += (right, left) if arrivals[left] < arrivals[right] else (left, right)
        return self._queues[found - size] if found else None

    # -- coming and going -------------------------------------------------------------------------------------------

    def add(self, queue: Queue) -> None:
        """Give a place to `queue`, in which someone waits."""
        if len(self._queues) == self._size:
            self._plant()
        place = queue.place = self._size + len(self._queues)
        self._queues.append(queue)
        lows = self._lows
        lows[place] = tuple([amount for _, amount in queue.amounts])
        self.change_head(queue)
        while place > 1:
            place //= 2
            low = tuple(map(min, lows[2 * place], lows[2 * place + 1]))
            if low == lows[place]:
                return
            lows[place] = low

    def change_head(self, queue: Queue) -> None:
        """Another one is first in `queue`, or nobody is."""
        place, arrivals = queue.place, self._arrivals
        arrivals[place] = queue.waiters[0][0] if queue.waiters else NEVER
        while place > 1:
            place //= 2
            first = min(arrivals[2 * place], arrivals[2 * place + 1])
            if first == arrivals[place]:
                return
            arrivals[place] = first

    def _plant(self) -> None:
        """Make the tree anew, of the queues in which someone waits and as many places again."""
        self._queues = _arrange([queue for queue in self._queues if queue.waiters], 0)
        self._ordered = len(self._queues)
        size = LEAST
        while size < 2 * self._ordered:
            size *= 2
        self._size = size
        nothing = (NEVER,) * len(self.names)
        self._arrivals: list[float] = [NEVER] * (2 * size)
        self._lows: list[Room] = [nothing] * (2 * size)
        for place, queue in enumerate(self._queues, size):
            queue.place = place
            self._arrivals[place] = queue.waiters[0][0]
            self._lows[place] = tuple([amount for _, amount in queue.amounts])
        for place in range(size - 1, 0, -1):
            self._arrivals[place] = min(self._arrivals[2 * place], self._arrivals[2 * place + 1])
            self._lows[place] = tuple(map(min, self._lows[2 * place], self._lows[2 * place + 1]))


def _arrange(queues: list[Queue], axis: int) -> list[Queue]:
    """Return `queues` so that neighbours ask for much the same: halved by one name after the other."""
    if len(queues) <= 2:  # noqa: PLR2004 - a pair has no halves to order
        return queues
    ordered = sorted(queues, key=lambda queue: queue.amounts[axis][1])
    half = 1 << (len(ordered) - 1).bit_length() - 1  # as the tree is halved
    axis = (axis + 1) % len(ordered[0].amounts)
    return _arrange(ordered[:half], axis) + _arrange(ordered[half:], axis)
