"""The history of runs in a cache backend: what `%cascade runs`, `why` and `plan` read where the store is remote.

In: facts and rows from runs on any machine. Out: the same, elsewhere and later. Invariant: history is told, never
believed: no result is found by it, so it needs no signature; what is damaged is left out. One record lists the runs,
so that nothing ever goes over all keys; where the backend cannot lock, two runs that begin in one instant may leave one
of them out until it ends.

Runs have numbers where the backend can count for many machines at the same time, so that none is given twice.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from statistics import fmean, median
from typing import Any, Final

from cascade.adapters.stores.history import LARGEST_TEXT, LOOK_BACK, facts_of, to_text
from cascade.interfaces.protocols import CacheBackend
from cascade.interfaces.records import OUTCOMES, Cost, NodeRow, RunRow

__all__ = ["RemoteHistory"]

MOST_RUNS: Final = 500  # that are listed; older ones are forgotten, with the rows of their nodes
RECENT: Final = 20  # runs that tell what tasks cost, and when a node ran last
WAIT: Final = 2.0  # seconds for the lock of the list
_LIST, _RUN, _NODES = "runs", "run/", "nodes/"
_NUMBERS: Final = [NodeRow._fields.index(name) for name in ("duration", "memory", "started_at")]


class RemoteHistory:
    """Runs and their nodes, as records in a backend. Raises what the backend raises.

    Example:
        >>> from cascade.adapters.caching.memory import MemoryCache
        >>> history = RemoteHistory(MemoryCache())
        >>> history.begin_run("r1", {"name": "demo"}, now=1.0)
        >>> [(run.run_id, run.facts["name"]) for run in history.runs(None)]
        [('r1', 'demo')]
    """

    __slots__ = ("_backend", "_lock", "_rows")

    def __init__(self, backend: CacheBackend) -> None:
        """Read nothing yet."""
        self._backend = backend
        self._lock = threading.Lock()
        self._rows: dict[str, list[NodeRow]] = {}  # of runs that have ended: they change no more

    # -- writing ----------------------------------------------------------------------------------------------------

    def begin_run(self, run_id: str, facts: Mapping[str, object], now: float) -> None:
        """Note the beginning of a run."""
        self._write(run_id, now, None, facts, self._count())
        self._list(run_id, now)

    def end_run(self, run_id: str, facts: Mapping[str, object], now: float) -> None:
        """Note the end of a run, of one that nobody saw begin too."""
        known = self._read([run_id]).get(run_id)
        begun = now if known is None else known.begun_at
        number = known.number if known is not None and known.number else self._count()
        self._write(run_id, begun, now, {**(known.facts if known is not None else {}), **facts}, number)
        self._list(run_id, begun)

    def record_nodes(self, run_id: str, rows: Iterable[NodeRow]) -> None:
        """Write the rows of a run; a second one of a node replaces the first."""
        merged = {row.node: row for row in self._read_nodes([run_id]).get(run_id, [])}
        merged |= {row.node: row._replace(run_id=run_id) for row in rows}
        packed = zlib.compress(json.dumps([list(row) for row in merged.values()]).encode(), 3)
        self._backend.put(_NODES + run_id, packed)

    def forget(self, run_ids: Iterable[str]) -> None:
        """Remove runs and their rows."""
        gone = set(run_ids)
        with self._locked():
            self._save({run_id: at for run_id, at in self._load().items() if run_id not in gone})
        self._remove(gone)

    # -- reading ----------------------------------------------------------------------------------------------------

    def runs(self, limit: int | None) -> list[RunRow]:
        """Return runs, the latest first."""
        wanted = self._latest_first()
        found = self._read(wanted if limit is None else wanted[:limit])
        return sorted(found.values(), key=lambda run: run.begun_at, reverse=True)

    def find_runs(self, word: str) -> list[RunRow]:
        """Return the run of that id; else of that number; else those whose ids begin so, the latest first."""
        listed = self._latest_first()
        if word not in listed and word.isascii() and word.isdigit():
            numbered = [
                run for run in self._read(listed).values() if run.number and str(run.number) == word.lstrip("0")
            ]
            if numbered:
                return numbered
        wanted = [word] if word in listed else [run_id for run_id in listed if word and run_id.startswith(word)]
        return list(self._read(wanted).values())

    def run_numbers(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Return the numbers of those runs that have one."""
        return {run_id: run.number for run_id, run in self._read(list(dict.fromkeys(run_ids))).items() if run.number}

    def nodes(self, run_id: str) -> list[NodeRow]:
        """Return the rows of a run in the order in which they came."""
        return self._read_nodes([run_id]).get(run_id, [])

    def latest(self, name: str, before: str | None) -> NodeRow | None:
        """Return the last row of a node or task, of the latest runs; of one that began before the run `before`."""
        wanted = self._latest_first()
        if before in wanted:
            wanted = wanted[wanted.index(before) + 1 :]
        rows = self._read_nodes(wanted[:RECENT])
        for run_id in wanted[:RECENT]:
            fitting = [row for row in rows.get(run_id, []) if name in (row.node, row.task)]
            if fitting:
                return next((row for row in reversed(fitting) if row.node == name), fitting[-1])
        return None

    def durations(self) -> dict[str, tuple[float, int, int]]:
        """Return mean seconds, count and largest value in bytes of each task, of the latest runs."""
        return {task: (fmean(seconds), len(seconds), max(sizes)) for task, (seconds, sizes) in self._lately().items()}

    def costs(self, tasks: Iterable[str]) -> dict[str, Cost]:
        """Return what those of `tasks` that ran have cost, of the latest runs."""
        wanted, found = set(tasks), dict[str, Cost]()
        for task, (seconds, sizes) in self._lately().items():
            known = [size for size in sizes if size > 0]
            if task in wanted:
                found[task] = Cost(fmean(seconds), len(seconds), int(median(known)) if known else None)
        return found

    def _lately(self) -> dict[str, tuple[list[float], list[int]]]:
        """Return seconds and bytes of the last times that each task ran, the latest first."""
        wanted = self._latest_first()[:RECENT]
        rows = self._read_nodes(wanted)
        found: dict[str, tuple[list[float], list[int]]] = {}
        for row in (row for run_id in wanted for row in reversed(rows.get(run_id, []))):
            seconds, sizes = found.setdefault(row.task, ([], [])) if row.outcome == "ran" else ([], [])
            if len(seconds) < LOOK_BACK:
                seconds.append(row.duration)
                sizes.append(row.memory)
        return found

    # -- records ----------------------------------------------------------------------------------------------------

    def _count(self) -> int:
        """Return the next number, 0 where the backend cannot count: that is no reason to remember nothing."""
        count: Callable[[str], int] | None = getattr(self._backend, "count", None)
        with suppress(Exception):  # one that is away says so to the next question, too
            return count(_LIST) if count is not None else 0
        return 0

    def _write(self, run_id: str, begun: float, ended: float | None, facts: Mapping[str, object], number: int) -> None:
        record = {"begun": begun, "ended": ended, "facts": to_text(facts), "number": number}
        self._backend.put(_RUN + run_id, json.dumps(record).encode())

    def _read(self, run_ids: Sequence[str]) -> dict[str, RunRow]:
        data = self._backend.get_many([_RUN + run_id for run_id in run_ids]) if run_ids else {}
        found = {}
        for run_id in run_ids:
            record = facts_of(_text(data.get(_RUN + run_id)))
            begun, ended = record.get("begun"), record.get("ended")
            if isinstance(begun, (int, float)) and (ended is None or isinstance(ended, (int, float))):
                number = record.get("number")
                number = number if isinstance(number, int) and not isinstance(number, bool) and number > 0 else 0
                found[run_id] = RunRow(run_id, begun, ended, facts_of(record.get("facts")), number)
        return found

    def _read_nodes(self, run_ids: Sequence[str]) -> dict[str, list[NodeRow]]:
        """Return the rows of runs; those of runs that have ended are read once."""
        with self._lock:
            found = {run_id: self._rows[run_id] for run_id in run_ids if run_id in self._rows}
        missing = [run_id for run_id in run_ids if run_id not in found]
        if not missing:
            return found
        data = self._backend.get_many([_NODES + run_id for run_id in missing])
        read = {run_id: _rows_in(run_id, data.get(_NODES + run_id)) for run_id in missing}
        ended = [run_id for run_id, run in self._read(missing).items() if run.ended_at is not None]
        with self._lock:
            self._rows |= {run_id: read[run_id] for run_id in ended}
            while len(self._rows) > 2 * RECENT:
                del self._rows[next(iter(self._rows))]
        return found | read

    # -- the list ---------------------------------------------------------------------------------------------------

    def _latest_first(self) -> list[str]:
        listed = self._load()
        return sorted(listed, key=lambda run_id: listed[run_id], reverse=True)

    def _list(self, run_id: str, begun: float) -> None:
        """Have a run in the list; the oldest go."""
        if run_id in self._load():
            return
        with self._locked():
            listed = {**self._load(), run_id: begun}
            gone = sorted(listed, key=lambda each: listed[each])[:-MOST_RUNS]
            for each in gone:
                del listed[each]
            self._save(listed)
        self._remove(gone)

    def _load(self) -> dict[str, float]:
        listed = facts_of(_text(self._backend.get(_LIST)))
        return {run_id: at for run_id, at in listed.items() if isinstance(at, (int, float))}

    def _save(self, listed: dict[str, float]) -> None:
        self._backend.put(_LIST, json.dumps(listed).encode())

    def _locked(self) -> AbstractContextManager[object]:
        """Hold the list, where the backend can lock and nobody else has it for too long."""
        lock: Callable[..., AbstractContextManager[object]] | None = getattr(self._backend, "lock", None)
        return lock(_LIST, WAIT) if lock is not None else nullcontext()

    def _remove(self, run_ids: Iterable[str]) -> None:
        delete = getattr(self._backend, "delete", None)
        for run_id in run_ids if delete is not None else ():
            delete(_RUN + run_id)  # type: ignore[misc]
            delete(_NODES + run_id)  # type: ignore[misc]
            self._rows.pop(run_id, None)


def _text(data: object) -> str | None:
    try:
        return data.decode() if isinstance(data, bytes) else None
    except UnicodeDecodeError:
        return None


def _rows_in(run_id: str, data: object) -> list[NodeRow]:
    """Return the rows in a record, without those that are damaged."""
    if not isinstance(data, bytes):
        return []
    try:
        rows: Any = json.loads(zlib.decompressobj().decompress(data, LARGEST_TEXT))
    except (zlib.error, ValueError, RecursionError):
        return []
    return [NodeRow(run_id, *row[1:]) for row in rows if _is_whole(row)] if isinstance(rows, list) else []


def _is_whole(row: Any) -> bool:
    if not isinstance(row, list) or len(row) != len(NodeRow._fields) or row[3] not in OUTCOMES:
        return False
    return all(isinstance(field, (int, float) if at in _NUMBERS else str) for at, field in enumerate(row))
