"""Capacities: who has how much, and who comes next.

In: requests and releases. Out: yes, or a place in the queue; whom a release lets go on. Invariant: the sum taken never
exceeds a capacity; all amounts of a request are taken together or none is; nobody is passed over for ever.

A request that does not fit waits in the queue of its signature (equal amounts, one queue). Others that fit may pass
it, so that idle capacity is used, but only `PATIENCE` times: then what it needs is kept for it.
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
        self._kept: set[str] = set()
        self._arrivals = 0

    def take(self, node: int, amounts: Amounts) -> bool:
        """Take `amounts` for `node` if they are free and not kept for someone who waited long; else queue it."""
        if self._fits(amounts) and not any(name in self._kept for name, _ in amounts):
            self._add(amounts)
            self._count_passing(amounts)
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
        return all(self.used[name] + amount <= self.capacity[name] + _SLACK for name, amount in amounts)

    def _add(self, amounts: Amounts) -> None:
        for name, amount in amounts:
            self.used[name] += amount

    def _count_passing(self, amounts: Amounts) -> None:
        """Note that the head of each queue that wants any of `amounts` has been passed over once more."""
        if not self._waiting:
            return
        names = {name for name, _ in amounts}
        for wanted, queue in self._waiting.items():
            if any(name in names for name, _ in wanted):
                queue[0].passed += 1
                if queue[0].passed >= PATIENCE:
                    self._kept.update(name for name, _ in wanted)

    def _grant(self) -> list[int]:
        granted: list[int] = []
        self._kept.clear()
        for amounts in sorted(self._waiting, key=lambda a: self._waiting[a][0].arrival):
            queue = self._waiting[amounts]
            names = {name for name, _ in amounts}
            while queue and self._fits(amounts) and not names & self._kept:
                granted.append(queue.popleft().node)
                self._add(amounts)
            if not queue:
                del self._waiting[amounts]
            elif queue[0].passed >= PATIENCE:
                self._kept |= names
        for head in self._waiting.values():
            head[0].passed += len(granted) > 0
        return granted
