"""Capacities: who has how much, and who comes next.

In: requests and releases. Out: yes, or a place in the queue; whom a release lets go on. Invariant: the sum taken never
exceeds a capacity; all amounts of a request are taken together or none is; nobody is passed over for ever.

A request that does not fit waits in the queue of its signature (equal amounts, one queue). Others that fit may pass
it, so that idle capacity is used, but only about `PATIENCE` times: then the amounts it needs, and no more, are kept
for it. A release looks only at queues that want some of what came back.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush

__all__ = ["PATIENCE", "SLACK", "Amounts", "Ledger"]

PATIENCE = 16
SLACK = 1e-9
Amounts = tuple[tuple[str, float], ...]
Head = tuple[int, int, "_Queue"]


class _Queue:
    """Those who wait for the same amounts, as pairs of arrival and node.

    Attributes:
        seen: how often any of its names had been taken when the present head came to the front.
        is_patient: the head has been passed so often since then that its amounts are kept for it.
    """

    __slots__ = ("amounts", "is_patient", "names", "seen", "waiters")

    def __init__(self, amounts: Amounts, seen: int) -> None:
        self.amounts = amounts
        self.names = tuple([name for name, _ in amounts])
        self.waiters: deque[tuple[int, int]] = deque()
        self.seen = seen
        self.is_patient = False

    @property
    def head(self) -> Head:
        """Arrival and node of the first, and the queue; arrivals are unique, so that heads can be compared."""
        return (*self.waiters[0], self)


class Ledger:
    """The books of all capacities of a run. Pure: no clock, no lock; the caller holds one."""

    __slots__ = ("_arrivals", "_kept", "_patient", "_queues", "_taken", "_wanting", "capacity", "used")

    def __init__(self, capacity: Mapping[str, float]) -> None:
        """Begin with everything free."""
        self.capacity = dict(capacity)
        self.used = dict.fromkeys(capacity, 0.0)
        self._taken = dict.fromkeys(capacity, 0)  # how often
        self._queues: dict[Amounts, _Queue] = {}
        self._wanting: dict[str, dict[_Queue, None]] = {}  # by name
        self._patient: list[Head] = []  # by arrival
        self._kept: dict[str, float] = {}  # for all of these
        self._arrivals = 0

    def take(self, node: int, amounts: Amounts) -> bool:
        """Take `amounts` for `node` if they are free and not kept for someone who waited long; else queue it."""
        if self._fits(amounts, self._kept):
            self._add(amounts)
            return True
        self._arrivals += 1
        queue = self._queues.get(amounts)
        if queue is None:
            queue = self._queues[amounts] = _Queue(amounts, self._count_taken(amounts))
            for name in queue.names:
                self._wanting.setdefault(name, {})[queue] = None
        queue.waiters.append((self._arrivals, node))
        return False

    def release(self, amounts: Amounts) -> list[int]:
        """Give `amounts` back; return the waiting nodes that have theirs now, in order."""
        for name, amount in amounts:
            left = self.used[name] - amount
            self.used[name] = left if left > SLACK else 0.0
        granted: list[int] = []
        names = {name for name, _ in amounts} if self._queues else set()
        while names:
            names = self._grant(names, granted)
        return granted

    @property
    def is_wanted(self) -> bool:
        """Whether anyone waits for anything."""
        return bool(self._queues)

    def lacking(self, amounts: Amounts) -> str:
        """Return the name of the capacity that keeps `amounts` waiting."""
        for name, amount in amounts:
            if self.used[name] + amount > self.capacity[name] + SLACK:
                return name
        return next((name for name, _ in amounts if name in self._kept), amounts[0][0] if amounts else "")

    def forget(self) -> None:
        """Empty the queues: the run is being cancelled."""
        self._queues.clear()
        self._wanting.clear()
        self._patient.clear()
        self._kept = {}

    # -- taking ---------------------------------------------------------------------------------------------------

    def _fits(self, amounts: Amounts, kept: Mapping[str, float]) -> bool:
        used, capacity = self.used, self.capacity
        return all(used[n] + kept.get(n, 0.0) + amount <= capacity[n] + SLACK for n, amount in amounts)

    def _add(self, amounts: Amounts) -> None:
        for name, amount in amounts:
            self.used[name] += amount
            self._taken[name] += 1

    def _count_taken(self, amounts: Amounts) -> int:
        return sum([self._taken[name] for name, _ in amounts])

    # -- granting -------------------------------------------------------------------------------------------------

    def _grant(self, names: Iterable[str], granted: list[int]) -> set[str]:
        """Let those go on who wait for `names`, oldest first; return names that are no longer kept for anyone."""
        heads = [queue.head for queue in {queue: None for name in names for queue in self._wanting.get(name, ())}]
        heapify(heads)
        older: dict[str, float] = {}  # kept for patient heads that came before the one that is looked at
        patient, passed = self._patient.copy(), 0
        freed: set[str] = set()
        while heads:
            head = heappop(heads)
            queue = head[2]
            while passed < len(patient) and patient[passed] < head:
                _change(older, patient[passed][2].amounts, 1.0)
                passed += 1
            was_patient = queue.is_patient
            if self._fits(queue.amounts, older if self._judge(queue) else self._kept):
                freed.update(queue.names if queue.is_patient else ())
                granted.append(head[1])
                self._let_in(queue)
                if queue.waiters:
                    heappush(heads, queue.head)
            elif queue.is_patient and not was_patient:
                _change(older, queue.amounts, 1.0)
        return freed

    def _let_in(self, queue: _Queue) -> None:
        """The head of `queue` has its amounts; the next one steps forward."""
        if queue.is_patient:
            queue.is_patient = False
            self._patient.remove(queue.head)
            _change(self._kept, queue.amounts, -1.0)
        queue.waiters.popleft()
        self._add(queue.amounts)
        queue.seen = self._count_taken(queue.amounts)
        if not queue.waiters:
            del self._queues[queue.amounts]
            for name in queue.names:
                del self._wanting[name][queue]

    def _judge(self, queue: _Queue) -> bool:
        """Say whether the head of `queue` has been passed so often that what it needs is kept for it from now on."""
        if not queue.is_patient and self._count_taken(queue.amounts) - queue.seen >= PATIENCE:
            queue.is_patient = True
            insort(self._patient, queue.head)
            _change(self._kept, queue.amounts, 1.0)
        return queue.is_patient


def _change(kept: dict[str, float], amounts: Amounts, sign: float) -> None:
    for name, amount in amounts:
        left = kept.get(name, 0.0) + sign * amount
        if left > SLACK:
            kept[name] = left
        else:
            kept.pop(name, None)
