"""How long calls of a task take, and so how many of them travel together.

In: seconds of calls that ended. Out: seconds to expect, items of a map for one submission. Invariant: a task of which
nothing is known travels alone; so does one that was found to do harm.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from cascade.runtime.flow import Flow

__all__ = ["TARGET", "Pace"]

TARGET: Final = 0.02  # seconds of work that one submission carries
MOST_ITEMS: Final = 512
MEMORY: Final = 0.3  # share of the newest time in what is known of a task

_earlier: WeakKeyDictionary[Any, float] = WeakKeyDictionary()  # seconds, of tasks that ran in flows before


class Pace:
    """What is known of the tasks of one flow. Under the flow's lock."""

    __slots__ = ("_doubted", "_seconds", "_weights", "flow")

    def __init__(self, flow: Flow) -> None:
        """Know nothing yet."""
        self.flow = flow
        self._seconds: dict[Any, float] = {}
        self._weights: dict[Any, float] = {}
        self._doubted: set[Any] = set()

    def _task(self, node: int) -> Any:
        return getattr(self.flow.graph.calls[node], "_task", None)

    def of(self, node: int) -> float:
        """Return what a call of the node's task counts for in a bundle, in seconds; infinity while nobody knows."""
        return self._weights.get(self._task(node), math.inf)

    def guess(self, node: int) -> float:
        """Return the seconds that a call takes, by what earlier flows say where this one says nothing yet.

        What they say is too little to have calls share a fate.
        """
        task = self._task(node)
        known = self._seconds.get(task)
        return known if known is not None else _earlier.get(task, math.inf)

    def learn(self, node: int, seconds: float, weight: float | None = None) -> None:
        """Note how long a call took, and what it counts for if that is more; infinity: the next ones travel alone."""
        task = self._task(node)
        if task in self._doubted:
            return
        self._seconds[task] = _earlier[task] = _mix(self._seconds.get(task, math.inf), seconds)
        self._weights[task] = _mix(self._weights.get(task, math.inf), seconds if weight is None else weight)

    def doubt(self, node: int) -> None:
        """Something among several calls of this task killed a worker: from now on they travel alone."""
        self._doubted.add(self._task(node))
        for known in (self._seconds, self._weights):
            known.pop(self._task(node), None)

    def items_of(self, node: int, places: int) -> int | None:
        """Return how many items of a map travel together; None: one, which may be more than a plain call.

        Args:
            places: where calls can run at once.
        """
        flow = self.flow
        state = flow.map_side.states[node]
        if flow.special[node] or state.max_concurrency is not None or flow.core.ticket is not None:
            return None
        if flow.settings.stepping or flow.core.limits.active:
            return None
        pace = max(self.of(node), 1e-6)
        fair = MOST_ITEMS if state.total is None else max(1, (state.total - state.pulled) // (2 * max(1, places)))
        return max(1, min(MOST_ITEMS, fair, int(TARGET / pace)))


def _mix(known: float, new: float) -> float:
    return new if math.isinf(known) or math.isinf(new) else known + MEMORY * (new - known)
