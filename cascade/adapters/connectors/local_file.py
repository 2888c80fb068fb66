"""The file of all messages on this machine, for one user.

In: messages. Out: messages after a given one. Invariant: one order for all writers; a message is there whole or not at
all; the file does not grow beyond `MOST_ROWS` by much.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cascade.adapters.connectors.outbox import Letter
from cascade.interfaces.remote_errors import ConnectorError

__all__ = ["NAME", "MessageFile", "Row"]

NAME: Final = "messages.db"
APPLICATION: Final = 0x63736D73  # "csms"
FORM: Final = 1
PATIENCE: Final = 10.0  # seconds that a writer waits for the writer of another process
MOST_ROWS: Final = 300_000
MOST_AGE: Final = 7 * 86_400.0  # seconds
TIDY_EVERY: Final = 20_000  # rows that one connector writes between two looks at the size
PIECE: Final = 2_000  # rows that are read at once

Row = tuple[int, str, bytes]  # number, topic, payload

_TABLES = (
    """CREATE TABLE IF NOT EXISTS messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, topic TEXT NOT NULL, data BLOB NOT NULL,
        vital INTEGER NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS vital_messages ON messages (id) WHERE vital",
    "CREATE INDEX IF NOT EXISTS by_topic ON messages (topic, id)",
    "CREATE TABLE IF NOT EXISTS retained (topic TEXT PRIMARY KEY, data BLOB NOT NULL)",
    """CREATE TABLE IF NOT EXISTS wills (
        bell TEXT NOT NULL, topic TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (bell, topic))""",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {FORM}",
)


class MessageFile:
    """One connection to the file; to be used by one thread at a time."""

    def __init__(self, folder: Path) -> None:
        """Open the file, or make it.

        Raises:
            ConnectorError: when it cannot be used, or is no file of ours.
        """
        self.path = folder / NAME
        self._written = 0
        with self._telling():
            self._db = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise

    def _prepare(self) -> None:
        (application,) = self._db.execute("PRAGMA application_id").fetchone()
        if application == APPLICATION:
            return self._tune()
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application or tables:
            (application,) = self._db.execute("PRAGMA application_id").fetchone()  # another may be making it
            if application != APPLICATION:
                raise ConnectorError.for_folder(self.path, "it is a file of another program")
            return self._tune()
        self._tune()
        with self._transaction():
            for statement in _TABLES:
                self._db.execute(statement)
        return None

    def _tune(self) -> None:
        for _ in range(50):  # SQLite does not wait for others here
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError:
                time.sleep(0.01)
            else:
                break
        self._db.execute("PRAGMA synchronous = NORMAL")

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise ConnectorError.for_folder(self.path, str(error)) from None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise

    # -- writing --------------------------------------------------------------------------------------------------

    def write(self, letters: Sequence[Letter]) -> None:
        """Add messages, in their order.

        Raises:
            ConnectorError: when the disk or SQLite says no; nothing is written then.
        """
        with self._telling(), self._transaction():
            self._add(letters)
        self._written += len(letters)
        if self._written >= TIDY_EVERY:
            self._written = 0
            self.tidy()

    def _add(self, letters: Sequence[Letter]) -> None:
        now = time.time()
        self._db.executemany(
            "INSERT INTO messages (at, topic, data, vital) VALUES (?, ?, ?, ?)",
            [(now, letter.topic, letter.data, letter.is_vital) for letter in letters],
        )
        for letter in letters:
            if letter.retain and letter.data:
                self._db.execute("INSERT OR REPLACE INTO retained VALUES (?, ?)", (letter.topic, letter.data))
            elif letter.retain:
                self._db.execute("DELETE FROM retained WHERE topic = ?", (letter.topic,))

    def tidy(self) -> None:
        """Forget what is old, or too much."""
        with self._telling(), self._transaction():
            (last,) = self._db.execute("SELECT coalesce(max(id), 0) FROM messages").fetchone()
            self._db.execute("DELETE FROM messages WHERE id <= ? OR at < ?", (last - MOST_ROWS, time.time() - MOST_AGE))

    def set_will(self, bell: str, topic: str, data: bytes) -> None:
        """Keep what others say for the owner of `bell` when it dies."""
        with self._telling(), self._transaction():
            self._db.execute("INSERT OR REPLACE INTO wills VALUES (?, ?, ?)", (bell, topic, data))

    def drop_wills(self, bell: str) -> None:
        """The owner of `bell` ends as it should."""
        with self._telling(), self._transaction():
            self._db.execute("DELETE FROM wills WHERE bell = ?", (bell,))

    def bury(self, bell: str) -> bool:
        """Say what the owner of `bell`, which is dead, left to be said; only the first who comes does."""
        with self._telling(), self._transaction():
            left = self._db.execute("DELETE FROM wills WHERE bell = ? RETURNING topic, data", (bell,)).fetchall()
            self._add([Letter(topic, data, qos=1) for topic, data in left])
        return bool(left)

    def bells(self) -> list[str]:
        """Return the bells that have left a will."""
        with self._telling():
            return [bell for (bell,) in self._db.execute("SELECT DISTINCT bell FROM wills")]

    # -- reading --------------------------------------------------------------------------------------------------

    def last(self) -> int:
        """Return the number of the last message, 0 if there was none."""
        with self._telling():
            (last,) = self._db.execute("SELECT coalesce(max(id), 0) FROM messages").fetchone()
        return int(last)

    def read(self, after: int, *, topic: str | None = None, vital: bool = False, most: int = PIECE) -> list[Row]:
        """Return messages with numbers above `after`, the first `most` of them.

        Args:
            topic: only those. vital: only what must not be lost, as starts and ends of runs.
        """
        where = "id > ?" + (" AND topic = ?" if topic is not None else "") + (" AND vital" if vital else "")
        values = (after, most) if topic is None else (after, topic, most)
        with self._telling():
            return self._db.execute(
                f"SELECT id, topic, data FROM messages WHERE {where} ORDER BY id LIMIT ?",  # noqa: S608 - of our words
                values,
            ).fetchall()

    def retained(self) -> tuple[int, list[tuple[str, bytes]]]:
        """Return the number of the last message and what is retained, of one moment."""
        with self._telling():
            self._db.execute("BEGIN")
            try:
                last = self.last()
                kept = self._db.execute("SELECT topic, data FROM retained ORDER BY topic").fetchall()
            finally:
                self._db.execute("COMMIT")
        return last, kept

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
