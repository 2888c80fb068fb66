"""The one writer of a state file: rows come in from any thread and go to the disk in batches.

In: statements with their values. Out: transactions. Invariant: what was put first is written first; a row waits
`PERIOD` at most; nobody who puts a row waits for the disk, unless `MOST_BYTES` are waiting already.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from cascade.adapters.state.errors import StateError
from cascade.adapters.state.sqlite_file import open_file

__all__ = ["BatchWriter"]

PERIOD = 0.04  # seconds between the first row of a batch and its transaction, so that all is there after 50 ms
MOST_BYTES = 32 << 20  # that wait for the disk before the one who brings more has to wait too

Row = tuple[str, tuple[Any, ...]]


class BatchWriter:
    """Owns the writing connection and the thread that uses it; both are made when the first row comes."""

    __slots__ = ("_closing", "_fault", "_put", "_rows", "_size", "_thread", "_urgent", "_wake", "_written", "path")

    def __init__(self, path: Path) -> None:
        """Begin without connection and thread."""
        self.path = path
        self._wake = threading.Condition(threading.Lock())
        self._rows: list[Row] = []
        self._size = 0
        self._put = self._written = 0
        self._urgent = self._closing = False
        self._fault: StateError | None = None
        self._thread: threading.Thread | None = None

    def put(self, statement: str, values: tuple[Any, ...], size: int = 0) -> None:
        """Have a row written soon; `size` is its weight in bytes.

        Raises:
            StateError: when an earlier row could not be written, or the writer is closed.
        """
        with self._wake:
            if self._fault is not None:
                raise self._fault
            if self._closing:
                raise StateError.for_closed(self.path)
            self._rows.append((statement, values))
            self._put += 1
            self._size += size
            if len(self._rows) == 1:
                self._begin_batch()
            if self._size > MOST_BYTES:
                self._wait_written()

    def flush(self) -> None:
        """Return when every row that was put has been written.

        Raises:
            StateError: when one could not be.
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

    @property
    def fault(self) -> StateError | None:
        """Why rows could not be written, None if they could."""
        return self._fault

    def _begin_batch(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="cascade-state", daemon=True)
            self._thread.start()
        else:
            self._wake.notify_all()

    def _wait_written(self) -> None:
        """Wait for what has been put up to now. Under the lock."""
        target = self._put
        while self._written < target and self._fault is None:
            self._urgent = True
            self._wake.notify_all()
            self._wake.wait()

    # -- the thread -----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        connection: sqlite3.Connection | None = None
        try:
            connection = open_file(self.path, read_only=False)
            while rows := self._next_batch():
                _write(connection, rows)
                with self._wake:
                    self._written += len(rows)
                    self._wake.notify_all()
        except StateError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - told to whoever puts the next row, flushes or closes
            self._fail(StateError.for_failure(self.path, str(error)))
        finally:
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()

    def _next_batch(self) -> list[Row]:
        """Wait for rows, then for their fellows; return none when the writer is closed."""
        with self._wake:
            while not self._rows and not self._closing:
                self._wake.wait()
            self._wake.wait_for(lambda: self._urgent or self._closing, timeout=PERIOD)
            rows, self._rows = self._rows, []
            self._size = 0
            self._urgent = False
            return rows

    def _fail(self, fault: StateError) -> None:
        with self._wake:
            self._fault = fault
            self._rows = []
            self._wake.notify_all()


def _write(connection: sqlite3.Connection, rows: list[Row]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement, values in rows:
            connection.execute(statement, values)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
