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

    __slots__ = ("_doubted", "_seconds", "flow")

    def __init__(self, flow: Flow) -> None:
        """Know nothing yet."""
        self.flow = flow
        self._seconds: dict[Any, float] = {}
        self._doubted: set[Any] = set()

    def _task(self, node: int) -> Any:
        return getattr(self.flow.graph.calls[node], "_task", None)

    def of(self, node: int) -> float:
        """Return the seconds that a call of the node's task takes; infinity while nobody knows."""
        return self._seconds.get(self._task(node), math.inf)

    def guess(self, node: int) -> float:
        """Return what earlier flows say where this one says nothing yet: too little to have calls share a fate."""
        known = self.of(node)
        return known if known < math.inf else _earlier.get(self._task(node), math.inf)

    def learn(self, node: int, seconds: float) -> None:
        """Note how long a call took; infinity: the next ones are to travel alone."""
        task = self._task(node)
        known = self._seconds.get(task, math.inf)
        is_new = math.isinf(known) or math.isinf(seconds)
        if task not in self._doubted:
            self._seconds[task] = seconds if is_new else known + MEMORY * (seconds - known)
            _earlier[task] = self._seconds[task]

    def doubt(self, node: int) -> None:
        """Something among several calls of this task killed a worker: from now on they travel alone."""
        self._doubted.add(self._task(node))
        self._seconds.pop(self._task(node), None)

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
