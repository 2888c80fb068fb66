"""The event loop of a run: where async attempts live.

In: nodes ready for the loop. Out: attempts started there, stopped there, settled from there. Invariant: the caller's
own loop (`arun`) only carries the user's coroutines: an interrupt that lands in it finds no half-done bookkeeping.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cascade.graph.model import LOOP, MAP
from cascade.runtime.attempts import Attempt, launch
from cascade.runtime.threads import LoopThread, borrow_loop, return_loop

if TYPE_CHECKING:
    import asyncio

    from cascade.runtime.flow import Flow

__all__ = ["LoopSide"]

WINDOW = 1000  # items of one async map that are alive at once


class LoopSide:
    """Starts and stops async attempts of one flow."""

    __slots__ = ("_borrowed", "flow")

    def __init__(self, flow: Flow) -> None:
        """Borrow nothing yet."""
        self.flow = flow
        self._borrowed: LoopThread | None = None

    def open(self) -> asyncio.AbstractEventLoop:
        """Return the loop of this run: the caller's, or one that is borrowed now."""
        if self.flow.settings.foreign_loop is not None:
            return self.flow.settings.foreign_loop
        if self._borrowed is None:
            self._borrowed = borrow_loop()
        return self._borrowed.loop

    def start_ready(self) -> None:
        """Start every ready async node, in one batch. Under the lock, on any thread."""
        flow = self.flow
        batch: list[Attempt] = []
        while (node := flow.core.take(LOOP)) >= 0:
            if flow.graph.kinds[node] == MAP:
                state = flow.outcomes.open_map(node, window=WINDOW)
                if state is None:
                    continue
            attempt = flow.make_attempt(node, LOOP)
            if attempt is None:
                continue
            attempt.worker = "loop"
            flow.begin_attempt(attempt)
            batch.append(attempt)
            if flow.graph.kinds[node] == MAP:
                flow.outcomes.offer_more(node, flow.maps[node])
        if not batch:
            return
        loop = self.open()
        if self._borrowed is not None and self._borrowed.thread is threading.current_thread():
            launch(loop, batch, flow.context, flow.gather, self.ended)
        else:
            loop.call_soon_threadsafe(launch, loop, batch, flow.context, flow.gather, self.ended)

    def ended(self, attempt: Attempt, value: Any, error: BaseException | None) -> None:  # noqa: ANN401
        """An async attempt has ended; on the loop's thread."""
        flow = self.flow
        if self._borrowed is None:
            flow.post(lambda: flow.outcomes.settle(attempt, value, error))
            return
        with flow.lock:
            flow.outcomes.settle(attempt, value, error)
            flow.dispatch()

    def stop(self, attempts: Sequence[Attempt]) -> None:
        """Cancel the asyncio tasks of `attempts`; from any thread."""
        for attempt in attempts:
            attempt.stopping = True
        handles = [a.handle for a in attempts if a.handle is not None]
        if handles:
            self.open().call_soon_threadsafe(_cancel_all, handles)

    def close(self) -> None:
        """Give the loop back, or end it when something on it would not stop."""
        borrowed, self._borrowed = self._borrowed, None
        if borrowed is None:
            return
        if any(a.mode == LOOP for a in self.flow.running):
            borrowed.stop()
            return
        borrowed.loop.call_soon_threadsafe(_sweep)
        return_loop(borrowed)


def _cancel_all(handles: list[Any]) -> None:
    for handle in handles:
        handle.cancel()


def _sweep() -> None:
    """Cancel what the user's coroutines started and left behind."""
    import asyncio

    for task in asyncio.all_tasks():
        task.cancel()
