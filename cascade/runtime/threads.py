"""Threads and event loops that wait for work between runs.

In: functions to run, borrowers of a loop. Out: threads and loops, new only when none is idle. Invariant: a thread or
loop serves one borrower at a time; one that does not come back (a task that blocks for ever) harms nobody else.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

__all__ = ["LoopThread", "Shelf", "borrow_loop", "return_loop", "run_in_thread"]

IDLE = 20.0  # seconds after which an idle thread ends
FAREWELL = 1.0  # seconds that what was left on a loop has to end when that ends


class _Seat:
    """One idle thread: a lock to sleep on, and what to do when woken."""

    __slots__ = ("bell", "work")

    def __init__(self) -> None:
        self.bell = threading.Lock()
        self.bell.acquire()
        self.work: Callable[[], object] | None = None


class Shelf:
    """Daemon threads on demand, kept for a while: waking one is cheaper than making one."""

    def __init__(self) -> None:
        """Begin without threads."""
        self._idle: list[_Seat] = []
        self._lock = threading.Lock()
        self._made = 0

    def run(self, work: Callable[[], object]) -> None:
        """Run `work` on an idle thread, or on a new one; it must not raise."""
        with self._lock:
            idle = self._idle.pop() if self._idle else None
            if idle is None:
                self._made += 1
        seat = idle or _Seat()
        seat.work = work
        if idle is not None:
            seat.bell.release()
            return
        # A thread keeps its arguments as long as it lives: the seat, which forgets the work, not the work itself.
        threading.Thread(target=self._serve, args=(seat,), name=f"cascade-{self._made}", daemon=True).start()

    def _serve(self, seat: _Seat) -> None:
        while (work := seat.work) is not None:
            work()
            seat.work = work = None
            with self._lock:
                self._idle.append(seat)
            if not seat.bell.acquire(timeout=IDLE):
                with self._lock:
                    if seat in self._idle:
                        self._idle.remove(seat)
                        return
                seat.bell.acquire()


class LoopThread:
    """An event loop on a daemon thread."""

    def __init__(self) -> None:
        """Start it and wait until it runs."""
        import asyncio

        self.loop: asyncio.AbstractEventLoop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda _loop, _context: None)
        ready = threading.Event()
        self.loop.call_soon(ready.set)
        self.thread = threading.Thread(target=self._serve, name="cascade-loop", daemon=True)
        self.thread.start()
        ready.wait()

    def _serve(self) -> None:
        import asyncio

        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        left = asyncio.all_tasks(self.loop)
        for task in left:  # who has not begun yet would be complained about by the collector
            task.cancel()
        if left:
            self.loop.run_until_complete(asyncio.wait(left, timeout=FAREWELL))
        self.loop.close()

    def stop(self) -> None:
        """End the loop and its thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)


_shelf = Shelf()
_loops: list[LoopThread] = []


def run_in_thread(work: Callable[[], object]) -> None:
    """Run `work` on a thread that is idle or new; it must not raise."""
    _shelf.run(work)


def borrow_loop() -> LoopThread:
    """Return a loop that nobody else uses."""
    try:
        return _loops.pop()
    except IndexError:
        return LoopThread()


def return_loop(loop: LoopThread) -> None:
    """Give a borrowed loop back; only when everything on it has ended."""
    if len(_loops) < 2:  # noqa: PLR2004 - more idle loops than that serve nobody
        _loops.append(loop)
    else:
        loop.stop()


def _forget() -> None:
    """Threads do not survive a fork."""
    global _shelf  # noqa: PLW0603 - a cache of idle threads, not state that anyone can see
    _shelf = Shelf()
    _loops.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
