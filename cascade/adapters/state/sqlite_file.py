"""The file that keeps the state of runs: its form, and how it is opened.

In: a path. Out: connections to a file that is surely ours. Invariant: a file of somebody else is never written to, not
even its header; what SQLite or the disk say becomes a `StateError`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cascade.adapters.state.errors import StateError

__all__ = ["open_file", "telling"]

APPLICATION: Final = 0x63617363  # "casc": SQLite keeps this number in the header for those who want to be known
FORM: Final = 1
PATIENCE: Final = 30.0  # seconds that a writer waits for the writer of another process
TRIES, PAUSE = 20, 0.01  # to switch to WAL while others open the same new file

_TABLES = """
CREATE TABLE runs (run_id TEXT PRIMARY KEY, begun_at REAL NOT NULL);
CREATE TABLE results (
    run_id TEXT NOT NULL, node TEXT NOT NULL, value BLOB, digest BLOB, problem TEXT, PRIMARY KEY (run_id, node)
);
CREATE TABLE skips (run_id TEXT NOT NULL, node TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (run_id, node));
CREATE TABLE facts (run_id TEXT NOT NULL, key TEXT NOT NULL, fact TEXT NOT NULL, PRIMARY KEY (run_id, key));
"""


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into a `StateError` that names the file."""
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorname", "") == "SQLITE_NOTADB":
            raise StateError.for_foreign_file(path, "it is not an SQLite file") from None
        raise StateError.for_failure(path, str(error)) from error


def open_file(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Return a connection, usable from any thread one at a time; make the file if there is none.

    Args:
        read_only: the file must exist, and nothing is written to it.

    Raises:
        StateError: when the file is missing, foreign, torn or cannot be opened.
    """
    if read_only and not path.exists():
        raise StateError.for_missing_file(path)
    with telling(path):
        connection = _connect(path, read_only=read_only)
        try:
            connection.execute("BEGIN")  # one look: another process may be making the file right now
            is_ours = _is_ours(connection, path)
            connection.execute("COMMIT")
            if not is_ours:
                _make(connection, path, read_only=read_only)
            if not read_only:
                _switch_to_wal(connection)
                connection.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            connection.close()
            raise
    return connection


def _connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    if not read_only:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StateError.for_failure(path, f"its folder cannot be made ({error})") from None
    uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    return sqlite3.connect(uri, uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False)


def _is_ours(connection: sqlite3.Connection, path: Path) -> bool:
    """Say whether the file has our form; False: it is empty.

    Raises:
        StateError: when it has another one.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (form,) = connection.execute("PRAGMA user_version").fetchone()
    if application == APPLICATION:
        if form > FORM:
            raise StateError.for_newer_file(path, form, FORM)
        return True
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application or form or tables:
        raise StateError.for_foreign_file(path, "it is an SQLite file of another program")
    return False


def _make(connection: sqlite3.Connection, path: Path, *, read_only: bool) -> None:
    if read_only:
        raise StateError.for_foreign_file(path, "it is empty")
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not _is_ours(connection, path):  # another process may have been faster
            for statement in _TABLES.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {FORM}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Let readers and the writer work side by side.

    SQLite does not wait for others here. Where it goes on to say no, as on some network disks, the file works
    without: readers then wait for the writer's short transactions.
    """
    for _ in range(TRIES):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            time.sleep(PAUSE)
        else:
            return
