"""What writers of a run's state share: changes come in from any thread and go out in batches, by a thread of their own.

In: changes. Out: calls that write a batch. Invariant: what was put first is written first; a change waits `PERIOD` at
most before its batch is begun; nobody who puts one waits for the writing, unless `MOST_BYTES` are waiting already.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, Generic, TypeVar

from cascade.adapters.state.errors import StateError

__all__ = ["BatchWriter"]

PERIOD: Final = 0.04  # seconds between the first change of a batch and its writing, so that all is there after 50 ms
MOST_BYTES: Final = 32 << 20  # that wait before the one who brings more has to wait too

Change = TypeVar("Change")


class BatchWriter(ABC, Generic[Change]):
    """Owns the thread that writes; it is made when the first change comes.

    Args:
        most: changes in one batch; None: all that wait.
    """

    __slots__ = ("_changes", "_closing", "_fault", "_most", "_put", "_size", "_thread", "_urgent", "_wake", "_written")

    def __init__(self, most: int | None = None) -> None:
        """Begin without a thread."""
        self._most = most
        self._wake = threading.Condition(threading.Lock())
        self._changes: list[Change] = []
        self._size = self._put = self._written = 0
        self._urgent = self._closing = False
        self._fault: StateError | None = None
        self._thread: threading.Thread | None = None

    @abstractmethod
    def _opened(self) -> AbstractContextManager[Callable[[list[Change]], None]]:
        """Give what writes a batch, all of it or nothing; asked once, by the thread."""

    @abstractmethod
    def _fault_of(self, error: Exception) -> StateError:
        """Say why nothing more can be written."""

    @abstractmethod
    def _closed(self) -> StateError:
        """Say that it has been closed."""

    @property
    def fault(self) -> StateError | None:
        """Why changes could not be written, None if they could."""
        return self._fault

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closing

    def put(self, *changes: Change, size: int = 0) -> None:
        """Have changes written soon, and together where a batch has no bound; `size` is their weight in bytes.

        Raises:
            StateError: when an earlier one could not be written, or the writer is closed.
        """
        with self._wake:
            if self._fault is not None:
                raise self._fault
            if self._closing:
                raise self._closed()
            is_first = not self._changes
            self._changes.extend(changes)
            self._put += len(changes)
            self._size += size
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="cascade-state", daemon=True)
                self._thread.start()
            elif is_first:
                self._wake.notify_all()
            if self._size > MOST_BYTES:
                self._wait_written()

    def flush(self) -> None:
        """Return when everything that was put has been written.

        Raises:
            StateError: when something could not be.
        """
        with self._wake:
            self._wait_written()
            if self._fault is not None:
                raise self._fault

    def close(self) -> None:
        """Write what is left and end the thread; more than once does no harm. Raises nothing, see `fault`."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _wait_written(self) -> None:
        """Wait for what has been put up to now. Under the lock."""
        target = self._put
        while self._written < target and self._fault is None:
            self._urgent = True
            self._wake.notify_all()
            self._wake.wait()

    # -- the thread -----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            with self._opened() as write:
                while batch := self._next_batch():
                    write(batch)
                    with self._wake:
                        self._written += len(batch)
                        self._wake.notify_all()
        except Exception as error:  # noqa: BLE001 - told to whoever puts the next change, flushes or closes
            self._fail(error if isinstance(error, StateError) else self._fault_of(error))

    def _next_batch(self) -> list[Change]:
        """Wait for changes, then for their fellows; return none when the writer is closed."""
        with self._wake:
            while not self._changes and not self._closing:
                self._wake.wait()
            self._wake.wait_for(lambda: self._urgent or self._closing, timeout=PERIOD)
            batch = self._changes[: self._most]
            self._changes = self._changes[len(batch) :]
            if not self._changes:
                self._size = 0
                self._urgent = False
            return batch

    def _fail(self, fault: StateError) -> None:
        with self._wake:
            self._fault = fault
            self._changes = []
            self._wake.notify_all()
