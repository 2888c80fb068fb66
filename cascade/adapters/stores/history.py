"""The rows of runs, of their nodes, and of texts that are kept once.

In: facts and rows from a run. Out: the same, later. Invariant: history is told, never believed: no result is found or
loaded by it, so it needs no signature; a text is returned only when its digest fits.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, Final

from cascade.adapters.stores.index import Index
from cascade.interfaces.records import OUTCOMES, NodeRow, RunRow

__all__ = ["History", "text_digest", "to_text", "unpack_text"]

_FIELDS: Final = tuple(NodeRow.__dataclass_fields__)
_COLUMNS: Final = ", ".join(_FIELDS)
_PUT_NODE: Final = f"INSERT OR REPLACE INTO nodes ({_COLUMNS}) VALUES ({', '.join('?' * len(_FIELDS))})"  # noqa: S608 - the fields of a record
_LATEST: Final = (
    f"SELECT {', '.join('nodes.' + name for name in _FIELDS)} FROM nodes JOIN runs USING (run_id) "  # noqa: S608 - the same
    "WHERE (node = :name OR task = :name) AND (:before IS NULL OR (runs.begun_at, runs.rowid) < "
    "(SELECT begun_at, rowid FROM runs WHERE run_id = :before)) "
    "ORDER BY runs.begun_at DESC, runs.rowid DESC, node = :name DESC, nodes.rowid DESC LIMIT 1"
)
_BEGIN_RUN: Final = (
    "INSERT INTO runs VALUES (?, ?, NULL, ?) ON CONFLICT (run_id) DO UPDATE SET facts = excluded.facts, ended_at = NULL"
)
_END_RUN: Final = (
    "INSERT INTO runs VALUES (?, ?, ?, ?) "
    "ON CONFLICT (run_id) DO UPDATE SET facts = excluded.facts, ended_at = excluded.ended_at"
)
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


def _from_text(text: object) -> dict[str, object]:
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
        self._index.change(lambda execute, _: execute(_BEGIN_RUN, [(run_id, now, to_text(facts))]))

    def end_run(self, run_id: str, facts: Mapping[str, object], now: float) -> None:
        """Note the end of a run, of one that nobody saw begin too."""

        def work(execute: Any, connection: Any) -> None:
            rows = connection.execute("SELECT facts FROM runs WHERE run_id = ?", (run_id,)).fetchall()
            known = _from_text(rows[0][0]) if rows else {}
            execute(_END_RUN, [(run_id, now, now, to_text({**known, **facts}))])

        self._index.change(work)

    def record_nodes(self, run_id: str, rows: Iterable[NodeRow]) -> None:
        """Write rows of nodes; a second one of a node replaces the first."""
        values = [(run_id, *(getattr(row, name) for name in _FIELDS[1:])) for row in rows]
        self._index.change(lambda execute, _: execute(_PUT_NODE, values))

    def runs(self, limit: int | None) -> list[RunRow]:
        """Return runs, the latest first."""
        wanted = "SELECT run_id, begun_at, ended_at, facts FROM runs ORDER BY begun_at DESC, rowid DESC LIMIT ?"
        rows = self._index.rows(wanted, (-1 if limit is None else limit,))
        return [RunRow(run_id, begun_at, ended_at, _from_text(facts)) for run_id, begun_at, ended_at, facts in rows]

    def nodes(self, run_id: str) -> list[NodeRow]:
        """Return the rows of a run in the order in which they came."""
        return _whole(self._index.rows(f"SELECT {_COLUMNS} FROM nodes WHERE run_id = ? ORDER BY rowid", (run_id,)))  # noqa: S608 - own names

    def latest(self, name: str, before: str | None) -> NodeRow | None:
        """Return the last row of a node or task; of a run's nodes of one task, the one recorded last."""
        found = _whole(self._index.rows(_LATEST, {"name": name, "before": before}))  # type: ignore[arg-type]
        return found[0] if found else None

    def durations(self) -> dict[str, tuple[float, int, int]]:
        """Return mean seconds, count and most memory of each task that ran."""
        wanted = "SELECT task, avg(duration), count(*), max(memory) FROM nodes WHERE outcome = 'ran' GROUP BY task"
        return {task: (mean, count, memory) for task, mean, count, memory in self._index.rows(wanted)}

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


def _whole(rows: list[Any]) -> list[NodeRow]:
    """Return rows as records, without those that are damaged: their outcome is none, or a number is a text."""
    numbers = [_FIELDS.index(name) for name in ("duration", "memory", "started_at")]
    return [
        NodeRow(*row) for row in rows if row[3] in OUTCOMES and all(isinstance(row[at], (int, float)) for at in numbers)
    ]
