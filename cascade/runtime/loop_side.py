"""The event loop of a run: where async attempts live.

In: nodes ready for the loop. Out: attempts started there, stopped there, settled from there. Invariant: the caller's
own loop (`arun`) only carries the user's coroutines: an interrupt that lands in it finds no half-done bookkeeping.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from cascade.graph.model import LOOP, MAP
from cascade.interfaces.exceptions import RunCancelledError
from cascade.runtime.attempts import Attempt, launch
from cascade.runtime.sessions import current_sessions
from cascade.runtime.threads import LoopThread, borrow_loop, return_loop

if TYPE_CHECKING:
    import asyncio

    from cascade.runtime.flow import Flow

__all__ = ["LoopSide"]

WINDOW = 1000  # items of one async map that are alive at once


class LoopSide:
    """Starts and stops async attempts of one flow."""

    __slots__ = ("_borrowed", "_borrowing", "flow")

    def __init__(self, flow: Flow) -> None:
        """Borrow nothing yet."""
        self.flow = flow
        self._borrowed: LoopThread | None = None
        self._borrowing = threading.Lock()

    def open(self) -> asyncio.AbstractEventLoop:
        """Return the loop of this run: the caller's, the session's, or one that is borrowed now."""
        if self.flow.settings.foreign_loop is not None:
            return self.flow.settings.foreign_loop
        if self.flow.resources.lives_in_session:
            return current_sessions().loop()
        with self._borrowing:
            if self._borrowed is None:
                self._borrowed = borrow_loop()
        return self._borrowed.loop

    def start_ready(self) -> None:
        """Start every ready async node, in one batch. Under the lock, on any thread."""
        flow = self.flow
        batch: list[Attempt] = []
        while (node := flow.core.take(LOOP)) >= 0:
            if flow.graph.kinds[node] == MAP:
                state = flow.map_side.open(node, window=WINDOW)
                if state is None:
                    continue
            attempt = flow.make_attempt(node, LOOP)
            if attempt is None:
                continue
            attempt.worker = "loop"
            flow.begin_attempt(attempt)
            batch.append(attempt)
            if flow.graph.kinds[node] == MAP:
                flow.map_side.offer_more(node)
        if not batch:
            return
        loop = self.open()
        shared = self._borrowed is None
        if self._borrowed is not None and self._borrowed.thread is threading.current_thread():
            launch(loop, batch, flow.context, flow.gather, self.ended)
        elif not self._call(lambda: launch(loop, batch, flow.context, flow.gather, self.ended, shared=shared)):
            for attempt in batch:
                self.ended(attempt, None, RunCancelledError("The event loop of the run was closed before its end."))

    def _call(self, call: Callable[[], object]) -> bool:
        """Have the loop's thread make a call; say whether there still is a loop."""
        try:
            self.open().call_soon_threadsafe(call)
        except RuntimeError:
            return False
        return True

    def ended(self, attempt: Attempt, value: Any, error: BaseException | None) -> None:
        """An async attempt has ended; on the loop's thread."""
        flow = self.flow
        if self._borrowed is None or attempt.given_up:
            flow.post(lambda: flow.outcomes.settle(attempt, value, error))
            return
        with flow.lock:
            try:
                flow.outcomes.settle(attempt, value, error)
                flow.dispatch()
            except BaseException as fault:  # noqa: BLE001 - a fault of the engine must end the run
                flow.break_down(fault)

    def stop(self, attempts: Sequence[Attempt]) -> None:
        """Cancel the asyncio tasks of `attempts`; from any thread."""
        for attempt in attempts:
            attempt.stopping = True
        self._call(lambda: _cancel_all(attempts))

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


def _cancel_all(attempts: Sequence[Attempt]) -> None:
    """Cancel what has begun; what has not looks at `stopping` when it does, and a teardown is left alone."""
    for attempt in attempts:
        if attempt.begun and not attempt.closing:
            attempt.handle.cancel()


def _sweep() -> None:
    """Cancel what the user's coroutines started and left behind."""
    import asyncio

    for task in asyncio.all_tasks():
        task.cancel()
