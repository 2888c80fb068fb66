"""Events → where the run stands, drawn at the foot of a terminal while it goes on.

In: the events of one run, in lists. Out: a `ProgressDisplay` that is kept up to date. Invariant: a short run shows
nothing; the lines of the log and the drawing never write at the same moment, and neither can slow or fail the run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from cascade.interfaces import events as ev
from cascade.messaging.progress import Busy, Progress, ProgressDisplay

__all__ = ["ProgressSubscriber"]

PATIENCE: Final = 0.5  # seconds that a run goes on before anything is drawn
PERIOD: Final = 0.2  # seconds between two drawings when nothing happens

Place = tuple[str, int | None]


class ProgressSubscriber:
    """Folds events into `Progress`; draws on a thread of its own, so that times go on while a node works.

    Args:
        log: a subscriber whose lines go above what is drawn. display: what draws. now: seconds, monotonic.
    """

    batched: ClassVar[bool] = True

    def __init__(
        self,
        log: Callable[[Sequence[ev.Event]], None] | None = None,
        display: ProgressDisplay | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin when the run does."""
        self._log = log
        self.display = display or ProgressDisplay()
        self._now = now
        self._lock = threading.Lock()
        self._pen = threading.Lock()  # held by who writes on the terminal
        self._over = threading.Event()
        self._begun = 0.0
        self._name, self._state = "", "running"
        self._total = 0
        self._done = 0
        self._counts = {"done": 0, "stored": 0, "failed": 0, "skipped": 0, "cancelled": 0}
        self._busy: dict[Place, float] = {}
        self._notes: dict[Place, str] = {}
        self._retrying: set[Place] = set()
        self._items: dict[str, tuple[int, int | None]] = {}

    def __call__(self, events: Sequence[ev.Event]) -> None:
        """Take the next events, and hand them to the log."""
        with self._lock:
            for event in events:
                take = _WAYS.get(type(event))
                if take is not None:
                    take(self, event)
        with self._pen:
            if self._over.is_set():
                self.display.stop()  # the last line of the log stays the last
            if self._log is not None:
                self._log(events)

    def progress(self) -> Progress:
        """Return where the run stands now."""
        with self._lock:
            now = self._now()
            busy = [Busy(_label(place), now - since, self._note(place)) for place, since in self._busy.items()]
            busy += [Busy(_label(place), 0.0, note) for place, note in self._notes.items() if place not in self._busy]
            busy.sort(key=lambda one: -one.seconds)
            counts = {**self._counts, "retrying": len(self._retrying)}
            return Progress(self._name, self._state, now - self._begun, self._done, self._total, counts, tuple(busy))

    def _note(self, place: Place) -> str:
        done, total = self._items.get(place[0], (0, None))
        if place[1] is None and place[0] in self._items:
            return f"{done:,} of {total:,} items" if total is not None else f"{done:,} items"
        return self._notes.get(place, "")

    # -- drawing -----------------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        """Draw until the run is over."""
        if self._over.wait(PATIENCE) or not self.display.can_draw():
            return
        while not self._over.wait(PERIOD):
            with self._pen:
                if not self._over.is_set():
                    self.display.show(self.progress())

    # -- events ------------------------------------------------------------------------------------------------------

    def _started(self, event: ev.RunStarted) -> None:
        self._begun = self._now() - event.elapsed
        self._name, self._total = event.name, event.nodes
        threading.Thread(target=self._draw, name="cascade-progress", daemon=True).start()

    def _finished(self, _: ev.RunFinished) -> None:
        self._over.set()

    def _paused(self, _: ev.RunPaused) -> None:
        self._state = "paused"

    def _resumed(self, _: ev.RunResumed) -> None:
        self._state = "running"

    def _cancelling(self, _: ev.RunCancelRequested) -> None:
        self._state = "cancelling"

    def _grown(self, event: ev.GraphGrown) -> None:
        self._total += len(event.nodes)

    def _begins(self, event: ev.NodeStarted) -> None:
        place = (event.node, event.index)
        self._busy[place] = self._now()
        if place not in self._retrying:
            self._notes.pop(place, None)

    def _waits(self, event: ev.NodeWaiting) -> None:
        held = f", held by {', '.join(event.holders[:2])}" if event.holders else ""
        self._notes[event.node, event.index] = f"waits for {event.resource}{held}"

    def _retries(self, event: ev.NodeRetrying) -> None:
        self._busy.pop((event.node, event.index), None)
        self._notes[event.node, event.index] = f"try {event.attempt + 1} of {event.max_attempts}: {event.error_type}"
        self._retrying.add((event.node, event.index))

    def _expands(self, event: ev.MapExpanded) -> None:
        self._items[event.node] = (self._items.get(event.node, (0, None))[0], event.total)
        self._busy.setdefault((event.node, None), self._now())

    def _items_end(self, event: ev.ItemsCompleted | ev.ItemsRecalled) -> None:
        self._add_items(event.node, event.count)

    def _add_items(self, node: str, count: int) -> None:
        done, total = self._items.get(node, (0, None))
        self._items[node] = (done + count, total)

    def _ends(self, event: ev.NodeEvent) -> None:
        place = (event.node, event.index)
        self._notes.pop(place, None)
        self._retrying.discard(place)
        self._busy.pop(place, None)
        if event.index is not None:
            self._add_items(event.node, 1)
            return
        self._done += 1
        self._counts[_ENDS[type(event)]] += 1


def _label(place: Place) -> str:
    return place[0] if place[1] is None else f"{place[0]}[{place[1]}]"


_ENDS: Final = {
    ev.NodeCompleted: "done",
    ev.NodeRecalled: "stored",
    ev.NodeFailed: "failed",
    ev.NodeSkipped: "skipped",
    ev.NodeCancelled: "cancelled",
}
_S = ProgressSubscriber
_WAYS: Final[dict[type[ev.Event], Callable[..., None]]] = {
    ev.RunStarted: _S._started,  # noqa: SLF001 - this class's own table
    ev.RunFinished: _S._finished,  # noqa: SLF001 - the same
    ev.RunPaused: _S._paused,  # noqa: SLF001 - the same
    ev.RunResumed: _S._resumed,  # noqa: SLF001 - the same
    ev.RunCancelRequested: _S._cancelling,  # noqa: SLF001 - the same
    ev.GraphGrown: _S._grown,  # noqa: SLF001 - the same
    ev.NodeStarted: _S._begins,  # noqa: SLF001 - the same
    ev.NodeWaiting: _S._waits,  # noqa: SLF001 - the same
    ev.NodeRetrying: _S._retries,  # noqa: SLF001 - the same
    ev.MapExpanded: _S._expands,  # noqa: SLF001 - the same
    ev.ItemsCompleted: _S._items_end,  # noqa: SLF001 - the same
    ev.ItemsRecalled: _S._items_end,  # noqa: SLF001 - the same
    **dict.fromkeys(_ENDS, _S._ends),  # noqa: SLF001 - the same
}
