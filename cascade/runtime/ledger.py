"""Capacities: who has how much, and who comes next.

In: requests and releases. Out: yes, or a place in the queue; whom a release lets go on. Invariant: the sum taken never
exceeds a capacity; all amounts of a request are taken together or none is; nobody is passed over for ever.

A request that does not fit waits in the queue of its signature (equal amounts, one queue). Others that fit may pass
it, so that idle capacity is used, but only `PATIENCE` times: then the amounts it needs, and no more, are kept for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["PATIENCE", "Amounts", "Ledger"]

PATIENCE = 16
_SLACK = 1e-9
Amounts = tuple[tuple[str, float], ...]


@dataclass(slots=True)
class _Waiter:
    node: int
    arrival: int
    passed: int = 0


class Ledger:
    """The books of all capacities of a run. Pure: no clock, no lock; the caller holds one."""

    __slots__ = ("_arrivals", "_kept", "_waiting", "capacity", "used")

    def __init__(self, capacity: Mapping[str, float]) -> None:
        """Begin with everything free."""
        self.capacity = dict(capacity)
        self.used = dict.fromkeys(capacity, 0.0)
        self._waiting: dict[Amounts, deque[_Waiter]] = {}
        self._kept: dict[str, float] = {}  # by name, for those who have waited long
        self._arrivals = 0

    def take(self, node: int, amounts: Amounts) -> bool:
        """Take `amounts` for `node` if they are free and not kept for someone who waited long; else queue it."""
        if self._fits(amounts):
            self._add(amounts)
            if self._waiting:
                self._count_passing(amounts)
                self._keep()
            return True
        self._arrivals += 1
        self._waiting.setdefault(amounts, deque()).append(_Waiter(node, self._arrivals))
        return False

    def release(self, amounts: Amounts) -> list[int]:
        """Give `amounts` back; return the waiting nodes that have theirs now, in order."""
        for name, amount in amounts:
            left = self.used[name] - amount
            self.used[name] = left if left > _SLACK else 0.0
        return self._grant() if self._waiting else []

    def lacking(self, amounts: Amounts) -> str:
        """Return the name of the capacity that keeps `amounts` waiting."""
        for name, amount in amounts:
            if self.used[name] + amount > self.capacity[name] + _SLACK:
                return name
        return next((name for name, _ in amounts if name in self._kept), amounts[0][0] if amounts else "")

    def forget(self) -> None:
        """Empty the queues: the run is being cancelled."""
        self._waiting.clear()
        self._kept.clear()

    def _fits(self, amounts: Amounts) -> bool:
        used, kept, capacity = self.used, self._kept, self.capacity
        return all(used[n] + kept.get(n, 0.0) + amount <= capacity[n] + _SLACK for n, amount in amounts)

    def _add(self, amounts: Amounts) -> None:
        for name, amount in amounts:
            self.used[name] += amount

    def _count_passing(self, amounts: Amounts, arrival: float = float("inf")) -> None:
        """Someone of that `arrival` took `amounts`: count it for each older head of a queue that wants any of them."""
        names = {name for name, _ in amounts}
        for wanted, queue in self._waiting.items():
            if queue[0].arrival < arrival and any(name in names for name, _ in wanted):
                queue[0].passed += 1

    def _keep(self, before: float = float("inf")) -> None:
        """Keep what the heads that were passed too often, and came `before`, need."""
        self._kept = {}
        for wanted, queue in self._waiting.items():
            if queue[0].passed >= PATIENCE and queue[0].arrival < before:
                for name, amount in wanted:
                    self._kept[name] = self._kept.get(name, 0.0) + amount

    def _grant(self) -> list[int]:
        """Let the waiting have what is free, oldest head first; each head sees only what is kept for older ones."""
        granted: list[int] = []
        for amounts in sorted(self._waiting, key=lambda a: self._waiting[a][0].arrival):
            queue = self._waiting[amounts]
            while queue:
                self._keep(before=queue[0].arrival)
                if not self._fits(amounts):
                    break
                waiter = queue.popleft()
                granted.append(waiter.node)
                self._add(amounts)
                if not queue:
                    del self._waiting[amounts]
                self._count_passing(amounts, waiter.arrival)
        self._keep()
        return granted
