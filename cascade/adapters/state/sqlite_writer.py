"""The one writer of a state file: rows go to the disk in transactions, by a connection of its own.

In: statements with their values. Out: transactions. Invariant: a batch is in the file, all of it, or none of it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cascade.adapters.state.batches import BatchWriter
from cascade.adapters.state.errors import StateError
from cascade.adapters.state.sqlite_file import open_file

__all__ = ["SqliteWriter"]

Row = tuple[str, tuple[Any, ...]]


class SqliteWriter(BatchWriter[Row]):
    """Writes rows (a statement and its values) to the file at `path`."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        """Begin without connection and thread."""
        super().__init__()
        self.path = path

    @contextmanager
    def _opened(self) -> Iterator[Callable[[list[Row]], None]]:
        connection = open_file(self.path, read_only=False)
        try:
            yield lambda rows: _write(connection, rows)
        finally:
            with suppress(sqlite3.Error):
                connection.close()

    def _fault_of(self, error: Exception) -> StateError:
        return StateError.for_failure(self.path, str(error))

    def _closed(self) -> StateError:
        return StateError.for_closed(self.path)


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
