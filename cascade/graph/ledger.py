"""Capacities: who has how much, and who comes next.

In: requests and releases. Out: yes, or a place in the line; whom a release lets go on. Invariant: the sum taken never
exceeds a capacity; all amounts of a request are taken together or none is; nobody is passed over for ever.

A request that does not fit waits in the line of its names. Others that fit may pass it, so that idle capacity is used;
but once the oldest of a line has been passed as often as it is patient, the amounts it needs, and no more, are kept
from all who came later. Patience grows from `HASTE` to `PATIENCE` with the part of a capacity that is asked for: to
keep much is dear. So the oldest of a line is passed at most `PATIENCE` times by later ones that take what it needs; it
comes as soon as those that have it give it back, and the next one is the oldest. One reservation a line, and not one
for each amount, keeps crowded runs short.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heapreplace
from typing import TYPE_CHECKING, Final

from cascade.graph.waiting import NEVER, Line, Queue, Room

if TYPE_CHECKING:
    from cascade.graph.check import Amounts

__all__ = ["HASTE", "PATIENCE", "SLACK", "Ledger"]

HASTE: Final = 16  # how often the oldest that asks for next to nothing is passed
PATIENCE: Final = 64  # how often the oldest that asks for all of a capacity is passed
SLACK: Final = 1e-9


class Ledger:
    """The books of all capacities of a run. Pure: no clock, no lock; the caller holds one.

    Args:
        capacity: how much there is of each name.

    Example:
        >>> ledger = Ledger({"gpu": 1})
        >>> ledger.take(0, (("gpu", 1.0),)), ledger.take(1, (("gpu", 1.0),))
        (True, False)
        >>> ledger.release((("gpu", 1.0),))
        [1]
    """

    __slots__ = ("_arrivals", "_kept", "_lines", "_patient", "_queues", "_steps", "_wanting", "capacity", "used")

    def __init__(self, capacity: Mapping[str, float]) -> None:
        """Begin with everything free."""
        self.capacity = dict(capacity)
        self.used = dict.fromkeys(capacity, 0.0)
        self._arrivals = 0
        self._queues: dict[Amounts, Queue] = {}  # in which someone waits
        self._lines: dict[tuple[str, ...], Line] = {}  # the same
        self._wanting: dict[str, dict[Line, None]] = {}  # by name
        self._patient: list[tuple[int, Amounts]] = []  # by arrival
        self._steps: list[int] = []  # the arrivals of these
        self._kept: list[dict[str, float]] = [{}]  # for none of these, for the first, for the first two, … for all

    def take(self, node: int, amounts: Amounts) -> bool:
        """Take `amounts` for `node` if they are free and not kept for someone who waited long; else queue it."""
        used, capacity, kept = self.used, self.capacity, self._kept[-1]
        for name, amount in amounts:
            if used[name] + kept.get(name, 0.0) + amount > capacity[name] + SLACK:
                self._enqueue(node, amounts)
                return False
        for name, amount in amounts:
            used[name] += amount
        if self._queues:
            self._count_pass(amounts, NEVER)
        return True

    def release(self, amounts: Amounts) -> list[int]:
        """Give `amounts` back; return the waiting nodes that have theirs now, in order."""
        for name, amount in amounts:
            left = self.used[name] - amount
            self.used[name] = left if left > SLACK else 0.0
        return self._grant(amounts) if self._queues else []

    @property
    def is_wanted(self) -> bool:
        """Whether anyone waits for anything."""
        return bool(self._queues)

    def lacking(self, amounts: Amounts) -> str:
        """Return the name of the capacity that keeps `amounts` waiting."""
        for kept in ({}, self._kept[-1]):
            for name, amount in amounts:
                if self.used[name] + kept.get(name, 0.0) + amount > self.capacity[name] + SLACK:
                    return name
        return amounts[0][0] if amounts else ""

    def forget(self) -> None:
        """Empty the queues: the run is being cancelled."""
        self._queues.clear()
        self._lines.clear()
        self._wanting.clear()
        self._patient.clear()
        self._sum_kept()

    # -- waiting --------------------------------------------------------------------------------------------------

    def _enqueue(self, node: int, amounts: Amounts) -> None:
        self._arrivals += 1
        queue = self._queues.get(amounts)
        if queue is not None:
            queue.waiters.append((self._arrivals, node))
            return
        names = tuple([name for name, _ in amounts])
        line = self._lines.get(names)
        if line is None:
            line = self._lines[names] = Line(names)
            for name in names:
                self._wanting.setdefault(name, {})[line] = None
        queue = self._queues[amounts] = Queue(amounts, line)
        queue.waiters.append((self._arrivals, node))
        line.add(queue)

    def _count_pass(self, amounts: Amounts, arrival: float) -> None:
        """Someone who came at `arrival` took `amounts`: all who came before it and want some of that were passed."""
        for line in self._find_lines(amounts):
            if line.oldest < arrival and not line.is_patient:
                line.passed += 1
                if line.passed >= HASTE:
                    self._judge(line)

    def _judge(self, line: Line) -> None:
        """Keep for the oldest of `line` what it needs, if it has been passed often enough."""
        if not line.patience:
            amounts = line.find_oldest().amounts
            part = max([amount / self.capacity[name] for name, amount in amounts])
            line.patience = HASTE + int((PATIENCE - HASTE) * part)
        if line.passed >= line.patience:
            queue = line.find_oldest()
            line.is_patient = True
            insort(self._patient, (queue.waiters[0][0], queue.amounts))
            self._sum_kept()

    def _sum_kept(self) -> None:
        """Add up what is kept, anew: sums that are changed again and again drift."""
        kept: dict[str, float] = {}
        self._kept = [kept]
        self._steps = [arrival for arrival, _ in self._patient]
        for _, amounts in self._patient:
            kept = {**kept, **{name: kept.get(name, 0.0) + amount for name, amount in amounts}}
            self._kept.append(kept)

    def _find_lines(self, amounts: Amounts) -> Iterable[Line]:
        """Return the lines that want some of the names in `amounts`, each once."""
        wanting = self._wanting
        if len(amounts) == 1:
            return wanting.get(amounts[0][0], ())
        return {line: None for name, _ in amounts for line in wanting.get(name, ())}

    # -- granting -------------------------------------------------------------------------------------------------

    def _grant(self, amounts: Amounts) -> list[int]:
        """Let those go on who wait for some of the names in `amounts` and fit now, oldest first.

        One pass is enough: whoever gets in makes it only fuller, for what was kept for it is what it uses now.
        """
        granted: list[int] = []
        found = [self._find(line) for line in self._find_lines(amounts)]
        heads = [(queue.waiters[0][0], queue) for queue in found if queue is not None]
        heapify(heads)
        while heads:
            arrival, queue = heads[0]
            if self._fits(queue, arrival):  # still: older ones of other lines got in since it was found
                granted.append(self._let_in(queue))
            following = self._find(queue.line)
            if following is None:
                heappop(heads)
            else:
                heapreplace(heads, (following.waiters[0][0], following))
        return granted

    def _find(self, line: Line) -> Queue | None:
        """Return the queue of `line` whose head is the oldest of those that fit."""
        return line.find(lambda step: self._find_room(line, step), self._steps)

    def _fits(self, queue: Queue, arrival: int) -> bool:
        room = self._find_room(queue.line, bisect_left(self._steps, arrival))
        return all(amount <= most for (_, amount), most in zip(queue.amounts, room, strict=True))

    def _find_room(self, line: Line, step: int) -> Room:
        """Return the most that may be asked for of each name of `line` beside what is kept for the first `step`."""
        capacity, used, kept = self.capacity, self.used, self._kept[step]
        return tuple([capacity[name] - used[name] - kept.get(name, 0.0) + SLACK for name in line.names])

    def _let_in(self, queue: Queue) -> int:
        """Give the head of `queue` what it waits for; return its node. The next one steps forward."""
        line, amounts = queue.line, queue.amounts
        is_oldest = queue.waiters[0][0] == line.oldest
        arrival, node = queue.waiters.popleft()
        for name, amount in amounts:
            self.used[name] += amount
        line.change_head(queue)
        if is_oldest:
            if line.is_patient:
                del self._patient[bisect_left(self._steps, arrival)]
                self._sum_kept()
            line.begin_turn()
        if not queue.waiters:
            self._close(queue)
        self._count_pass(amounts, arrival)
        return node

    def _close(self, queue: Queue) -> None:
        """Nobody waits in `queue` any more, and perhaps nobody in its line."""
        del self._queues[queue.amounts]
        line = queue.line
        if line.oldest == NEVER:
            del self._lines[line.names]
            for name in line.names:
                del self._wanting[name][line]
