"""The index of a store in use: reading, and one transaction at a time for what changes it.

In: statements. Out: rows, or a `StoreFault`. Invariant: reading never makes a file; a change is whole or nothing; a
torn file is moved aside once, told, and work goes on with a new one.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from cascade.adapters.stores.file_ops import FileOps, fault_point
from cascade.adapters.stores.index_file import (
    PATIENCE,
    ForeignIndexError,
    connect,
    fault_of,
    inode_of,
    is_busy,
    is_torn,
    move_aside,
)
from cascade.interfaces.store_errors import StoreFault

__all__ = ["Index"]

T = TypeVar("T")
PAUSE = 0.01  # seconds before a transaction is tried again that another one was in the way of


class Index:
    """One SQLite file, one connection, any number of threads and forks.

    Args:
        path: of the file. files: the disk. prepare: makes the folder, before the first change.
        told: hears that the file was moved aside, and why.
    """

    def __init__(self, path: Path, files: FileOps, prepare: Callable[[], None], told: Callable[[str], None]) -> None:
        """Open nothing yet."""
        self.path = path
        self._files = files
        self._prepare = prepare
        self._told = told
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._finalizer: Any = None
        self._process = 0
        self._inode: int | None = None

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return the rows that `statement` finds; none when there is no file.

        Raises:
            StoreFault: when they cannot be read.
        """
        with self._lock:
            if self._connection is None and not self.path.exists():
                if os.path.lexists(self.path.parent) and not self.path.parent.is_dir():
                    raise StoreFault.for_no_folder(self.path.parent)
                return []
            return self._with_connection(lambda connection: _read(connection, statement, values))

    def change(self, work: Callable[[Callable[[str, list[tuple[Any, ...]]], int], sqlite3.Connection], T]) -> T:
        """Return what ``work(execute, connection)`` returns; all that it does is one transaction.

        Raises:
            StoreFault: when it could not be written; nothing of it is. What `work` raises comes through.
        """
        files = self._files

        def transact(connection: sqlite3.Connection) -> T:
            files.begin(connection)
            try:
                result = work(lambda statement, rows: files.execute(connection, statement, rows), connection)
                fault_point("index.before_commit")
                files.commit(connection)
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
            fault_point("index.committed")
            return result

        with self._lock:
            if not self.path.exists():
                self._drop()  # somebody has removed the folder under us: begin anew
                self._prepare()
            return self._with_connection(transact)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._finalizer is not None:
            if self._process == os.getpid():
                self._finalizer()
            else:
                self._finalizer.detach()  # closing here would let go of the locks of the process we come from
        self._connection = self._finalizer = None

    def _with_connection(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work`, again where another was in the way, and once again on a new file where the old one is torn."""
        until = time.monotonic() + PATIENCE
        repairs = 0
        while True:
            try:
                return work(self._connected())
            except (ForeignIndexError, UnicodeDecodeError, sqlite3.Error) as error:
                if isinstance(error, sqlite3.Error) and is_busy(error) and time.monotonic() < until:
                    time.sleep(PAUSE)
                elif repairs < 1 and (not isinstance(error, sqlite3.Error) or is_torn(error)):
                    repairs += 1
                    self._repair(str(error))
                else:
                    raise fault_of(error, self.path) from error
            except OSError as error:
                raise StoreFault.for_failure(self.path, error) from error

    def _connected(self) -> sqlite3.Connection:
        if self._connection is not None and self._process == os.getpid():
            return self._connection
        self._drop()
        self._inode = inode_of(self.path)
        connection = connect(self.path, self._files)
        self._inode = inode_of(self.path)
        self._connection, self._process = connection, os.getpid()
        self._finalizer = weakref.finalize(self, _close, connection, self._process)
        return connection

    def _repair(self, problem: str) -> None:
        self._drop()
        aside = move_aside(self.path, self._files, self._inode)
        if aside is not None:
            self._told(f"The index {self.path} was moved to {aside.name}: {problem}. A new one was begun.")


def _close(connection: sqlite3.Connection, process: int) -> None:
    if process == os.getpid():
        with suppress(sqlite3.Error):
            connection.close()


def _read(connection: sqlite3.Connection, statement: str, values: Sequence[Any]) -> list[Any]:
    try:
        return connection.execute(statement, values).fetchall()
    except sqlite3.OperationalError as error:
        if "decode" not in str(error):
            raise
    # A damaged text: read it as it is, its signature or digest tells the rest.
    before = connection.text_factory
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    try:
        return connection.execute(statement, values).fetchall()
    finally:
        connection.text_factory = before
