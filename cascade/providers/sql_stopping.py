"""Questions that take long, and how they are stopped.

In: work that blocks a thread. Out: its result, on the event loop. Invariant: when the call is cancelled or timed out,
the database is told to stop, and the thread has ended before the call has, or is waited for no longer than `PATIENCE`.
(A thread that is left behind in a database would bring the whole program down when that ends.)
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any, Final, TypeVar

__all__ = ["Stop", "in_thread"]

T = TypeVar("T")
PATIENCE: Final = 5.0  # seconds
AGAIN: Final = 0.1  # seconds after which the database is told once more


class Stop:
    """Knows whom to tell when a question is to end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tell: Callable[[], object] | None = None
        self._is_told = False

    def by(self, tell: Callable[[], object] | None) -> None:
        """Say what stops the work from now on; if it is to stop already, it is told at once."""
        with self._lock:
            self._tell = tell
            is_late = self._is_told
        if is_late:
            self.now()

    def now(self) -> None:
        """Stop the work."""
        with self._lock:
            self._is_told, tell = True, self._tell
        if tell is not None:
            with suppress(Exception):  # it may have ended in this moment
                tell()


async def in_thread(work: Callable[[Stop], T]) -> T:
    """Do `work` in a thread; it is given what it may say its `Stop` to.

    Example:
        >>> import asyncio
        >>> asyncio.run(in_thread(lambda stop: 42))
        42
    """
    import asyncio

    stop = Stop()
    running: Any = asyncio.get_running_loop().run_in_executor(None, copy_context().run, work, stop)
    try:
        result: T = await asyncio.shield(running)
    except asyncio.CancelledError:
        for _ in range(round(PATIENCE / AGAIN)):
            stop.now()  # again, since a question that was about to begin has not heard it
            await asyncio.wait([running], timeout=AGAIN)
            if running.done():
                running.exception()  # nobody else will ask
                break
        raise
    else:
        return result
