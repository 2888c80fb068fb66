"""Deadlines of attempts: who has run for too long.

In: attempts that begin, with their timeouts. Out: calls for those that still run when their time is over. Invariant:
one timer for each length of time, however many attempts there are; attempts that ended are not held.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cascade.runtime.attempts import Attempt
    from cascade.runtime.flow import Flow

__all__ = ["Deadlines"]


class Deadlines:
    """The timeouts of one flow. Attempts of equal timeouts end in the order in which they began: a queue for each."""

    __slots__ = ("_queues", "flow")

    def __init__(self, flow: Flow) -> None:
        """Begin without attempts."""
        self.flow = flow
        self._queues: dict[float, deque[tuple[float, Attempt]]] = {}

    def add(self, attempt: Attempt, seconds: float) -> None:
        """`attempt` begins now and may take `seconds`. Under the lock, on any thread."""
        queue = self._queues.setdefault(seconds, deque())
        waits = bool(queue)
        queue.append((attempt.started + seconds, attempt))
        while queue[0][1] is not attempt and not self._runs(queue[0][1]):
            queue.popleft()
        if not waits:
            self.flow.set_timer(seconds, lambda: self._look(seconds))

    def _runs(self, attempt: Attempt) -> bool:
        return attempt in self.flow.running and not attempt.given_up

    def _look(self, seconds: float) -> None:
        """See whose time is over, and when to look again. By the driver, under the lock."""
        queue = self._queues[seconds]
        late: list[Attempt] = []
        now = self.flow.now()
        while queue and (queue[0][0] <= now or not self._runs(queue[0][1])):
            late.append(queue.popleft()[1])
        if queue:
            self.flow.set_timer(queue[0][0] - now, lambda: self._look(seconds))
        for attempt in late:
            if self._runs(attempt):
                self.flow.stops.attempt_timed_out(attempt, seconds)
