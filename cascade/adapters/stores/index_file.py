"""The index of a store: the form of its SQLite file, and how it is opened, brought up to date or moved aside.

In: a path. Out: a connection to a file of our form. Invariant: a file that is torn or of another program is never
written to; it is moved aside under a name that says so, and a newer cascade's file is left where it is.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from cascade.adapters.stores.claims import hold
from cascade.adapters.stores.file_ops import FileOps
from cascade.interfaces.store_errors import StoreFault

__all__ = ["FORM", "ForeignIndexError", "connect", "fault_of", "move_aside"]

APPLICATION: Final = 0x63617374  # "cast": SQLite keeps this number in the header for those who want to be known
FORM: Final = (1, 3)  # a newer minor form only adds to an older one; a newer major form is another language
PATIENCE: Final = 30.0  # seconds that a writer waits for the writer of another process
LONGEST_LOG: Final = (
    4000  # pages that are written beside the file before they are put into it, which waits for the disk
)
TRIES, PAUSE = 20, 0.01  # to switch to WAL while others open the same new file

_TABLES: Final = """
CREATE TABLE entries (
    key TEXT PRIMARY KEY, sealed BLOB NOT NULL, signer TEXT NOT NULL, content TEXT NOT NULL, size INTEGER NOT NULL,
    task TEXT NOT NULL, made_at REAL NOT NULL, used_at REAL NOT NULL, data BLOB
);
CREATE TABLE recipes (recipe TEXT PRIMARY KEY, sealed BLOB NOT NULL, signer TEXT NOT NULL, key TEXT NOT NULL);
CREATE TABLE runs (run_id TEXT PRIMARY KEY, begun_at REAL NOT NULL, ended_at REAL, facts TEXT NOT NULL);
CREATE TABLE nodes (
    run_id TEXT NOT NULL, node TEXT NOT NULL, task TEXT NOT NULL, outcome TEXT NOT NULL, key TEXT NOT NULL,
    code TEXT NOT NULL, inputs TEXT NOT NULL, duration REAL NOT NULL, memory INTEGER NOT NULL, summary TEXT NOT NULL,
    reason TEXT NOT NULL, started_at REAL NOT NULL, PRIMARY KEY (run_id, node)
);
CREATE TABLE texts (digest TEXT PRIMARY KEY, text BLOB NOT NULL);
"""
# What each minor form adds to the one before it; a new file gets the tables and then all of these.
_STEPS: Final[dict[int, str]] = {
    1: "CREATE INDEX IF NOT EXISTS nodes_by_node ON nodes (node);"
    "CREATE INDEX IF NOT EXISTS nodes_by_task ON nodes (task)",
    # A table of its own, so that a cascade that does not know numbers still writes runs. Numbers are never used twice.
    2: "CREATE TABLE run_numbers (number INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL UNIQUE);"
    "INSERT INTO run_numbers (run_id) SELECT run_id FROM runs ORDER BY begun_at, rowid;"
    "ALTER TABLE nodes ADD COLUMN items TEXT NOT NULL DEFAULT '';"
    "DROP INDEX IF EXISTS nodes_by_task;"
    "CREATE INDEX nodes_by_task ON nodes (task, outcome)",
    # Only the few large values are looked for by content, and nothing by its use: an index in which each small value
    # has a place, somewhere, costs a page of the log for each of them at every commit.
    3: "DROP INDEX IF EXISTS entries_by_content;"
    "DROP INDEX IF EXISTS entries_by_use;"
    "CREATE INDEX IF NOT EXISTS entries_by_file ON entries (content) WHERE data IS NULL",
}


class ForeignIndexError(Exception):
    """The file is torn, or another program's."""

    @classmethod
    def for_torn(cls) -> ForeignIndexError:
        """Not to be read."""
        return cls("it is torn, or not an SQLite file")

    @classmethod
    def for_program(cls) -> ForeignIndexError:
        """Not ours."""
        return cls("it is an SQLite file of another program, or empty")


def connect(path: Path, files: FileOps) -> sqlite3.Connection:
    """Return a connection, usable from any thread one at a time; make the file, or bring it up to date, if need be.

    Raises:
        ForeignIndexError: when it should be moved aside.
        StoreFault: when a newer cascade wrote it.
        sqlite3.Error, OSError: what the disk says.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rwc",
        uri=True,
        timeout=PATIENCE,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        _prepare(connection, path, files)
    except sqlite3.OperationalError as error:
        connection.close()
        if not path.exists() or not _is_denied(error):
            raise
        return _connect_to_read(path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, files: FileOps) -> None:
    form = _form_of(connection, path)
    if form is None or form < FORM:
        files.begin(connection)
        try:
            form = _form_of(connection, path)  # another process may have been faster
            if form is None or form < FORM:
                _bring_up_to_date(connection, form)
            files.commit(connection)
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
    _choose_journal(connection)


def _form_of(connection: sqlite3.Connection, path: Path) -> tuple[int, int] | None:
    """Return the form of the file, None when it is empty."""
    try:
        with _one_look(connection):  # another process may be making the file right now
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:
        if is_torn(error):
            raise ForeignIndexError.for_torn() from None
        raise
    if application != APPLICATION:
        if application or version or tables:
            raise ForeignIndexError.for_program()
        return None
    form: tuple[int, int] = divmod(version, 1000)
    if form[0] > FORM[0]:
        raise StoreFault.for_newer_index(path, f"{form[0]}.{form[1]}", f"{FORM[0]}.{FORM[1]}")
    return form


@contextmanager
def _one_look(connection: sqlite3.Connection) -> Iterator[None]:
    """Let several reads see the file as it is at one moment."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")


def _bring_up_to_date(connection: sqlite3.Connection, form: tuple[int, int] | None) -> None:
    scripts = [] if form else [_TABLES]
    scripts += [step for minor, step in sorted(_STEPS.items()) if form is None or minor > form[1]]
    for statement in ";".join(scripts).split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {FORM[0] * 1000 + FORM[1]}")


def _choose_journal(connection: sqlite3.Connection) -> None:
    """Let readers and the writer work side by side; on disks that cannot (some in networks), one after the other."""
    for _ in range(TRIES):
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if is_busy(error):  # SQLite does not wait for others here
                time.sleep(PAUSE)
                continue
            mode = ""
        if mode != "wal" and not _is_readable_only(connection):
            connection.execute("PRAGMA journal_mode = DELETE")
        break
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {LONGEST_LOG}")


def _is_readable_only(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        return not is_busy(error)
    connection.execute("ROLLBACK")
    return False


def _connect_to_read(path: Path) -> sqlite3.Connection:
    """Open a file in a folder where SQLite can make nothing beside it."""
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    try:
        if _form_of(connection, path) is None:
            raise ForeignIndexError.for_program()  # noqa: TRY301 - the connection is closed below
    except BaseException:
        connection.close()
        raise
    return connection


def _name_of(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", None) or ""


def _is_denied(error: sqlite3.Error) -> bool:
    return _name_of(error).startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY"))


def fault_of(error: Exception, path: Path) -> StoreFault:
    """Return what an error of the index means for the store."""
    if isinstance(error, sqlite3.Error):
        if is_busy(error):
            return StoreFault.for_locked(path, PATIENCE)
        if _name_of(error).startswith(("SQLITE_READONLY", "SQLITE_FULL")):
            return StoreFault.for_read_only(path.parent, error)
    return StoreFault.for_failure(path, error)


def is_busy(error: sqlite3.Error) -> bool:
    """Say whether another connection was in the way."""
    return _name_of(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def is_torn(error: sqlite3.Error) -> bool:
    """Say whether the file is not what it should be. A statement of ours is wrong only where a table is."""
    return _name_of(error).startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR", "SQLITE_MISMATCH"))


def move_aside(path: Path, files: FileOps, inode: int | None) -> Path | None:
    """Give a torn index another name; return it, or None when another process has done so already.

    Args:
        inode: of the file that was found torn; None: not known.
    """
    with hold(path.with_name(f"{path.name}.lock"), PATIENCE):
        found = inode_of(path)
        if found is None or (inode is not None and found != inode):
            return None
        aside = path.with_name(f"{path.name}.torn-{secrets.token_hex(4)}")
        files.replace(path, aside)
        for suffix in ("-wal", "-shm", "-journal"):
            beside = path.with_name(path.name + suffix)
            if beside.exists():
                files.replace(beside, aside.with_name(aside.name + suffix))
        return aside


def inode_of(path: Path) -> int | None:
    """Return the number of the file at `path`, None if there is none."""
    try:
        return path.stat().st_ino
    except OSError:
        return None
