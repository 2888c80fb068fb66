"""The state of runs in an SQLite file: read it from another process while the run goes on.

In: values, reasons and facts, from any thread. Out: the same, here or elsewhere, 50 ms later at most. Invariant: a
value is a copy made when it is put; nothing is decoded unless its value is asked for, and only after its digest fits.
"""

from __future__ import annotations

import os
import pickle
import threading
import time
import weakref
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from sqlite3 import SQLITE_LIMIT_LENGTH, Connection
from typing import Any

from cascade.adapters.state.errors import StateError
from cascade.adapters.state.facts import read_fact, write_fact
from cascade.adapters.state.sqlite_file import open_file, telling
from cascade.adapters.state.sqlite_writer import SqliteWriter
from cascade.adapters.state.values import pickle_value
from cascade.adapters.state.written import WrittenState

__all__ = ["SqliteStateBackend"]

_PUT_RUN = "INSERT OR IGNORE INTO runs VALUES (?, ?)"
# Updates, not replacements: what is put again keeps its place.
_PUT_RESULT = (
    "INSERT INTO results VALUES (?, ?, ?, ?, ?) ON CONFLICT (run_id, node) "
    "DO UPDATE SET value = excluded.value, digest = excluded.digest, problem = excluded.problem"
)
_PUT_SKIP = "INSERT INTO skips VALUES (?, ?, ?) ON CONFLICT (run_id, node) DO UPDATE SET reason = excluded.reason"
_PUT_FACT = "INSERT INTO facts VALUES (?, ?, ?) ON CONFLICT (run_id, key) DO UPDATE SET fact = excluded.fact"
_TABLES = ("results", "skips", "facts", "runs")


class SqliteStateBackend(WrittenState[SqliteWriter]):
    """Keeps what runs know in one SQLite file, many runs side by side.

    Reading a value unpickles it, and unpickling runs what the file says: open files that you trust.

    Args:
        path: of the file; it is made, with its folders, when it is not there.
        run_id: the run to write or read; None: the run that begins first, and to look at `runs` only.
        read_only: write nothing, and make no file.

    Raises:
        StateError: when the file is missing, torn or of another program.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder, SqliteStateBackend(f"{folder}/runs.db", "r1") as state:
        ...     state.put_result("load", [1, 2])
        ...     state.get_result("load"), state.runs()
        ([1, 2], ['r1'])
    """

    __slots__ = (
        "__weakref__",
        "_begun",
        "_longest",
        "_reader",
        "_reading",
        "path",
        "read_only",
        "run_id",
    )

    def __init__(self, path: str | os.PathLike[str], run_id: str | None = None, *, read_only: bool = False) -> None:
        """Open the file, so that a wrong one is told at once."""
        self.path = Path(path)
        self.run_id = run_id
        self.read_only = read_only
        self._begun = False
        self._reading = threading.Lock()
        self._reader = open_file(self.path, read_only=read_only)
        self._longest = self._reader.getlimit(SQLITE_LIMIT_LENGTH) - 1024
        self._writer = SqliteWriter(self.path)
        self._finalizer = weakref.finalize(self, _let_go, self._writer, self._reader)

    def begin_run(self, run_id: str) -> None:
        """Belong to the run `run_id` from now on; other runs stay in the file."""
        if run_id != self.run_id:
            self.run_id, self._begun = run_id, False
        self._begin()

    # -- values ---------------------------------------------------------------------------------------------------

    def put_result(self, node: str, value: object) -> None:
        """Keep a copy of the value of `node`; one that cannot be pickled is noted, see `unkept`.

        Raises:
            StateError: when the file can no longer be written to.
        """
        run_id = self._begin()
        data, problem = _encode(value, self._longest)
        digest = None if data is None else _digest(data)
        self._writer.put((_PUT_RESULT, (run_id, node, data, digest, problem)), size=len(data or b""))

    def get_result(self, node: str) -> Any:
        """Return the value of `node`, decoded now.

        Raises:
            KeyError: when it has none.
            StateError: when its value could not be kept, or is damaged.
        """
        rows = self._select("SELECT value, digest, problem FROM results WHERE run_id = ? AND node = ?", node)
        for data, digest, problem in rows:
            if data is None:
                raise StateError.for_unkept_value(node, problem)
            return _decode(node, data, digest)
        raise KeyError(node)

    def has_result(self, node: str) -> bool:
        """Say whether the value of `node` is kept; decodes nothing."""
        wanted = "SELECT 1 FROM results WHERE run_id = ? AND node = ? AND value IS NOT NULL"
        return bool(self._select(wanted, node))

    def results(self) -> list[str]:
        """Return the nodes whose values are kept, in the order in which they got them."""
        found = self._select("SELECT node FROM results WHERE run_id = ? AND value IS NOT NULL ORDER BY rowid")
        return [node for (node,) in found]

    def unkept(self) -> dict[str, str]:
        """Return the nodes whose values could not be kept, and why."""
        return dict(self._select("SELECT node, problem FROM results WHERE run_id = ? AND value IS NULL ORDER BY rowid"))

    # -- skips and facts --------------------------------------------------------------------------------------------

    def mark_skipped(self, node: str, reason: str) -> None:
        """Note that `node` will not run, and why."""
        self._writer.put((_PUT_SKIP, (self._begin(), node, reason)))

    def get_skip_reason(self, node: str) -> str | None:
        """Return why `node` was skipped, None if it was not."""
        for (reason,) in self._select("SELECT reason FROM skips WHERE run_id = ? AND node = ?", node):
            return str(reason)
        return None

    def skips(self) -> dict[str, str]:
        """Return the reasons of all skipped nodes."""
        return dict(self._select("SELECT node, reason FROM skips WHERE run_id = ? ORDER BY rowid"))

    def put_metadata(self, key: str, value: object) -> None:
        """Keep a fact about the run.

        Raises:
            StateError: when it is not made of text, numbers, booleans, None, lists and dicts.
        """
        self._writer.put((_PUT_FACT, (self._begin(), key, write_fact(key, value))))

    def get_metadata(self, key: str) -> Any:
        """Return the fact `key`, None if it is not known."""
        for (text,) in self._select("SELECT fact FROM facts WHERE run_id = ? AND key = ?", key):
            return read_fact(text)
        return None

    def metadata(self) -> dict[str, Any]:
        """Return all facts about the run."""
        found = self._select("SELECT key, fact FROM facts WHERE run_id = ? ORDER BY rowid")
        return {key: read_fact(text) for key, text in found}

    # -- the runs of the file -----------------------------------------------------------------------------------------

    def runs(self) -> list[str]:
        """Return the ids of all runs in the file, the oldest first."""
        return [run_id for (run_id,) in self._ask("SELECT run_id FROM runs ORDER BY begun_at, rowid", ())]

    def forget_run(self, run_id: str) -> None:
        """Remove everything about a run from the file; one that is not there is no fault."""
        self._check_writable()
        for table in _TABLES:
            self._writer.put((f"DELETE FROM {table} WHERE run_id = ?", (run_id,)))  # noqa: S608 - names of this module
        self._begun = self._begun and run_id != self.run_id
        self._writer.flush()

    def __repr__(self) -> str:
        """Show file and run."""
        return f"<state of run {self.run_id!r} in {str(self.path)!r}>"

    # -- inside ---------------------------------------------------------------------------------------------------

    def _begin(self) -> str:
        """Return the run's id; the first time, note that it began."""
        if self._begun and self.run_id is not None:
            return self.run_id
        self._check_writable()
        run_id = self._known_run()
        self._writer.put((_PUT_RUN, (run_id, time.time())))
        self._begun = True
        return run_id

    def _check_writable(self) -> None:
        if self.read_only:
            raise StateError.for_reader(self.path)

    def _known_run(self) -> str:
        if self.run_id is None:
            raise StateError.for_no_run(self.path, self.runs())
        return self.run_id

    def _select(self, statement: str, *values: str) -> list[Any]:
        """Return the rows of this run that `statement` finds."""
        return self._ask(statement, (self._known_run(), *values))

    def _ask(self, statement: str, values: Iterable[str]) -> list[Any]:
        if not self._finalizer.alive:
            raise StateError.for_closed(self.path)
        self._writer.flush()  # who reads here sees what was put here
        with self._reading, telling(self.path):
            return self._reader.execute(statement, tuple(values)).fetchall()


def _encode(value: object, longest: int) -> tuple[bytes | None, str | None]:
    """Return a value as bytes, or why it cannot be."""
    data, problem = pickle_value(value)
    if data is not None and len(data) > longest:
        return None, f"it takes {len(data):,} bytes, and SQLite keeps {longest:,} in one place"
    return data, problem


def _decode(node: str, data: bytes, digest: bytes) -> Any:
    if _digest(data) != digest:
        raise StateError.for_damaged_value(node, "its bytes are not those that were written")
    try:
        return pickle.loads(data)  # noqa: S301 - asked for by name, from a file that the user opened
    except Exception as error:
        raise StateError.for_damaged_value(node, f"{type(error).__name__}: {error}") from error


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()


def _let_go(writer: SqliteWriter, reader: Connection) -> None:
    writer.close()
    reader.close()
