"""The rows of runs, of their nodes, and of texts that are kept once.

In: facts and rows from a run. Out: the same, later. Invariant: history is told, never believed: no result is found or
loaded by it, so it needs no signature; a text is returned only when its digest fits; a run keeps its number, and no
number is given twice.
"""

from __future__ import annotations

import json
import os
import platform
import zlib
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from statistics import fmean, median
from typing import Any, Final

from cascade.adapters.stores.entries import batches
from cascade.adapters.stores.index import Index
from cascade.interfaces.records import OUTCOMES, Cost, NodeRow, RunRow

__all__ = ["History", "facts_of", "is_alive", "text_digest", "to_text", "unpack_text"]

_FIELDS: Final = NodeRow._fields
_COLUMNS: Final = ", ".join(_FIELDS)
_PUT_NODE: Final = f"INSERT OR REPLACE INTO nodes ({_COLUMNS}) VALUES ({', '.join('?' * len(_FIELDS))})"  # noqa: S608 - the fields of a record
# Runs are in the order of their rows: a clock that somebody sets back must not make the last run an old one.
_LATEST: Final = (
    f"SELECT {', '.join('nodes.' + name for name in _FIELDS)} FROM nodes JOIN runs USING (run_id) "  # noqa: S608 - the same
    "WHERE (node = :name OR task = :name) "
    "AND (:before IS NULL OR runs.rowid < (SELECT rowid FROM runs WHERE run_id = :before)) "
    "ORDER BY runs.rowid DESC, node = :name DESC, nodes.rowid DESC LIMIT 1"
)
_BEGIN_RUN: Final = (
    "INSERT INTO runs VALUES (?, ?, NULL, ?) ON CONFLICT (run_id) DO UPDATE SET facts = excluded.facts, ended_at = NULL"
)
_END_RUN: Final = (
    "INSERT INTO runs VALUES (?, ?, ?, ?) "
    "ON CONFLICT (run_id) DO UPDATE SET facts = excluded.facts, ended_at = excluded.ended_at"
)
_NUMBER: Final = (
    "INSERT INTO run_numbers (run_id) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM run_numbers WHERE run_id = ?1)"
)
_RUNS: Final = (
    "SELECT runs.run_id, begun_at, ended_at, facts, ifnull(number, 0) FROM runs LEFT JOIN run_numbers USING (run_id)"
)
# The names of all tasks, one step in the index for each: DISTINCT would read every row.
_TASKS: Final = (
    "WITH RECURSIVE found (task) AS (SELECT min(task) FROM nodes UNION ALL "
    "SELECT (SELECT min(task) FROM nodes WHERE nodes.task > found.task) FROM found WHERE found.task IS NOT NULL) "
    "SELECT task FROM found WHERE task IS NOT NULL"
)
_LAST: Final = "SELECT duration, memory FROM nodes WHERE task = ? AND outcome = 'ran' ORDER BY rowid DESC LIMIT ?"
LOOK_BACK: Final = 100  # rows of each task that tell what it costs
_PACKED, _RAW = b"z", b"r"
LARGEST_TEXT: Final = 64 << 20  # bytes that a text may unpack to


def text_digest(text: str) -> str:
    """Return the digest under which a text is kept."""
    return blake2b(to_bytes(text), digest_size=20).hexdigest()


def to_bytes(text: str) -> bytes:
    """Return a text as bytes, whatever halves of characters are in it."""
    return text.encode("utf-8", "surrogatepass")


def pack_text(text: str) -> bytes:
    """Return a text as it is stored: packed where that is smaller."""
    raw = to_bytes(text)
    packed = zlib.compress(raw, 6) if len(raw) > 200 else raw  # noqa: PLR2004 - below it, packing gains nothing
    return _PACKED + packed if len(packed) < len(raw) else _RAW + raw


def unpack_text(digest: str, data: object) -> str | None:
    """Return the text that was packed, None when it is not the one that `digest` names."""
    if not isinstance(data, bytes):
        return None
    try:
        raw = zlib.decompressobj().decompress(data[1:], LARGEST_TEXT) if data[:1] == _PACKED else data[1:]
        text = raw.decode("utf-8", "surrogatepass")
    except (zlib.error, ValueError):
        return None
    return text if text_digest(text) == digest else None


def to_text(facts: Mapping[str, object]) -> str:
    """Return facts as JSON; what is no plain data becomes its short repr."""
    return json.dumps(dict(facts), default=lambda value: repr(value)[:200], skipkeys=True)


def is_alive(facts: Mapping[str, object]) -> bool | None:
    """Return whether the process of a run that has not ended is still there; of another machine nobody can say."""
    pid = facts.get("pid")
    if facts.get("host") != platform.node() or not isinstance(pid, int) or os.name != "posix":
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def facts_of(text: object) -> dict[str, object]:
    """Return the facts that a text holds, none where it is damaged."""
    try:
        facts = json.loads(text) if isinstance(text, str) else {}
    except (ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


class History:
    """The tables of runs, nodes and texts."""

    __slots__ = ("_index",)

    def __init__(self, index: Index) -> None:
        """Read nothing yet."""
        self._index = index

    def begin_run(self, run_id: str, facts: Mapping[str, object], now: float) -> None:
        """Note the beginning of a run; one that begins again keeps its first time."""

        def work(execute: Any, _: Any) -> None:
            execute(_BEGIN_RUN, [(run_id, now, to_text(facts))])
            execute(_NUMBER, [(run_id,)])

        self._index.change(work)

    def end_run(self, run_id: str, facts: Mapping[str, object], now: float) -> None:
        """Note the end of a run, of one that nobody saw begin too."""

        def work(execute: Any, connection: Any) -> None:
            rows = connection.execute("SELECT facts FROM runs WHERE run_id = ?", (run_id,)).fetchall()
            known = facts_of(rows[0][0]) if rows else {}
            execute(_END_RUN, [(run_id, now, now, to_text({**known, **facts}))])
            execute(_NUMBER, [(run_id,)])

        self._index.change(work)

    def record_nodes(self, run_id: str, rows: Iterable[NodeRow]) -> None:
        """Write rows of nodes; a second one of a node replaces the first."""
        values = [(run_id, *row[1:]) for row in rows]
        self._index.change(lambda execute, _: execute(_PUT_NODE, values))

    def runs(self, limit: int | None) -> list[RunRow]:
        """Return runs, the latest first."""
        wanted = f"{_RUNS} ORDER BY runs.rowid DESC LIMIT ?"
        return _runs(self._index.rows(wanted, (-1 if limit is None else limit,)))

    def find_runs(self, word: str) -> list[RunRow]:
        """Return the run of that id; else of that number; else those whose ids begin so, the latest first."""
        found = _runs(self._index.rows(f"{_RUNS} WHERE runs.run_id = ?", (word,)))
        if not found and word.isascii() and word.isdigit() and len(word) < 19:  # noqa: PLR2004 - an SQLite integer
            found = _runs(self._index.rows(f"{_RUNS} WHERE number = ?", (int(word),)))
        if not found and word:
            wanted = f"{_RUNS} WHERE substr(runs.run_id, 1, ?) = ? ORDER BY runs.rowid DESC"
            found = _runs(self._index.rows(wanted, (len(word), word)))
        return found

    def run_numbers(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Return the numbers of those runs that have one."""
        found: dict[str, int] = {}
        for batch in batches(list(run_ids)):
            marks = ",".join("?" * len(batch))
            wanted = f"SELECT run_id, number FROM run_numbers WHERE run_id IN ({marks})"  # noqa: S608 - question marks
            found.update(self._index.rows(wanted, batch))
        return found

    def nodes(self, run_id: str) -> list[NodeRow]:
        """Return the rows of a run in the order in which they came."""
        return _whole(self._index.rows(f"SELECT {_COLUMNS} FROM nodes WHERE run_id = ? ORDER BY rowid", (run_id,)))  # noqa: S608 - own names

    def latest(self, name: str, before: str | None) -> NodeRow | None:
        """Return the last row of a node or task; of a run's nodes of one task, the one recorded last."""
        found = _whole(self._index.rows(_LATEST, {"name": name, "before": before}))  # type: ignore[arg-type]
        return found[0] if found else None

    def durations(self) -> dict[str, tuple[float, int, int]]:
        """Return mean seconds, count and largest value in bytes of each task, of the last times that it ran."""
        found = {}
        for (task,) in self._index.rows(_TASKS):
            seconds, sizes = self._lately(task)
            if seconds:
                found[task] = fmean(seconds), len(seconds), max(sizes)
        return found

    def costs(self, tasks: Iterable[str]) -> dict[str, Cost]:
        """Return what those of `tasks` that ran have cost, of the last times that they ran."""
        found = {}
        for task in dict.fromkeys(tasks):
            seconds, sizes = self._lately(task)
            known = [size for size in sizes if size > 0]
            if seconds:
                found[task] = Cost(fmean(seconds), len(seconds), int(median(known)) if known else None)
        return found

    def _lately(self, task: str) -> tuple[list[float], list[int]]:
        rows = self._index.rows(_LAST, (task, LOOK_BACK))
        whole = [row for row in rows if all(isinstance(number, (int, float)) for number in row)]
        return [seconds for seconds, _ in whole], [int(size) for _, size in whole]

    def put_text(self, text: str) -> str:
        """Keep a text once; return its digest."""
        digest = text_digest(text)
        if self.get_text(digest) is None:
            row = (digest, pack_text(text))
            self._index.change(lambda execute, _: execute("INSERT OR REPLACE INTO texts VALUES (?, ?)", [row]))
        return digest

    def get_text(self, digest: str) -> str | None:
        """Return the text of a digest; None when it is not there or not whole."""
        for (data,) in self._index.rows("SELECT text FROM texts WHERE digest = ?", (digest,)):
            return unpack_text(digest, data)
        return None


def _runs(rows: list[Any]) -> list[RunRow]:
    return [RunRow(run_id, begun, ended, facts_of(facts), number) for run_id, begun, ended, facts, number in rows]


def _whole(rows: list[Any]) -> list[NodeRow]:
    """Return rows as records, without those that are damaged: their outcome is none, or a number is a text."""
    numbers = [_FIELDS.index(name) for name in ("duration", "memory", "started_at")]
    return [
        NodeRow(*row) for row in rows if row[3] in OUTCOMES and all(isinstance(row[at], (int, float)) for at in numbers)
    ]
