"""The store's history → runs as people read them.

In: a store. Out: `history`, a list of runs that shows itself as a table and as a data frame. Invariant: reads only.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from cascade.runtime.run import open_store

if TYPE_CHECKING:
    from cascade.interfaces.protocols import Store
    from cascade.interfaces.records import NodeRow, RunRow

__all__ = ["History", "PastRun", "ago", "find_run", "history"]


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run of the past.

    Args:
        run_id: its id. name: of the target. status: ``completed``, ``failed``, ``cancelled``, ``running``, or ``lost``:
            it never ended, its process was killed. started_at: seconds since the epoch. duration: seconds, None if it
            has not ended.
        ran, stored, failed, skipped: how many nodes. params: short texts by name.
    """

    run_id: str
    name: str
    status: str
    started_at: float
    duration: float | None
    ran: int
    stored: int
    failed: int
    skipped: int
    params: Mapping[str, str]


class History(Sequence[PastRun]):
    """Runs, the latest first."""

    def __init__(self, runs: Sequence[PastRun], store: Store) -> None:
        """Keep them."""
        self._runs = list(runs)
        self._store = store

    @overload
    def __getitem__(self, index: int) -> PastRun: ...
    @overload
    def __getitem__(self, index: slice) -> History: ...
    def __getitem__(self, index: int | slice) -> PastRun | History:
        """Return one run, or some."""
        return History(self._runs[index], self._store) if isinstance(index, slice) else self._runs[index]

    def __len__(self) -> int:
        """How many runs."""
        return len(self._runs)

    def __iter__(self) -> Iterator[PastRun]:
        """Iterate, the latest first."""
        return iter(self._runs)

    def nodes(self, run: str | PastRun) -> list[NodeRow]:
        """Return what happened to the nodes of a run (its id, or the beginning of it)."""
        return self._store.nodes(find_run(self._store, run if isinstance(run, str) else run.run_id).run_id)

    def to_frame(self) -> Any:
        """Return the runs as a pandas DataFrame, a row for each."""
        import pandas as pd

        names = [name for name in PastRun.__slots__ if name != "params"]
        rows = [
            {**{n: getattr(run, n) for n in names}, **{f"param {k}": v for k, v in run.params.items()}} for run in self
        ]
        frame = pd.DataFrame(rows, columns=None if rows else names)
        if rows:
            frame["started_at"] = pd.to_datetime(frame["started_at"], unit="s", utc=True)
        return frame

    def __str__(self) -> str:
        """Return a table as text."""
        rows = [("run", "target", "outcome", "when", "took", "computed", "stored")]
        for run in self:
            took = "" if run.duration is None else f"{run.duration:.2f} s"
            bad = f", {run.failed} failed" if run.failed else ""
            computed = f"{run.ran:,}{bad}"
            rows.append((run.run_id, run.name[:40], run.status, ago(run.started_at), took, computed, f"{run.stored:,}"))
        if len(rows) == 1:
            return "No run is known here yet."
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )

    def __repr__(self) -> str:
        """Show the table."""
        return str(self)


def history(cache: Any = None, *, limit: int | None = 50) -> History:
    """Return the runs that a store knows of, the latest first.

    Args:
        cache: as for `run`: a store, or a folder; by default ``.cascade``. limit: at most so many; None: all.

    Example:
        >>> import cascade as cs
        >>> from tempfile import TemporaryDirectory
        >>> @cs.task(pure=True)
        ... def one(): return 1
        >>> with TemporaryDirectory() as folder:
        ...     _ = cs.run(one(), cache=folder, log_level=None), cs.run(one(), cache=folder, log_level=None)
        ...     [(run.ran, run.stored) for run in history(folder)]
        [(0, 1), (1, 0)]
    """
    store = open_store(True if cache is None else cache)
    return History([_read(row) for row in store.runs(limit)], store)


def find_run(store: Store, run: str) -> RunRow:
    """Return the run whose id is `run`, or begins so.

    Raises:
        ValueError: when there is none, or more than one.
    """
    found = [row for row in store.runs() if row.run_id.startswith(run)]
    if len(found) != 1:
        what = f"{len(found)} runs begin with" if found else "No run begins with"
        raise ValueError(f"{what} '{run}'. cs.history() lists them.")
    return found[0]


def _read(row: RunRow) -> PastRun:
    facts: Mapping[str, Any] = row.facts
    counts = facts.get("counts")
    counts = counts if isinstance(counts, dict) else {}
    params = facts.get("params")
    return PastRun(
        run_id=row.run_id,
        name=str(facts.get("name", "")),
        status=str(facts.get("status", "" if row.ended_at is not None else "running" if _is_alive(facts) else "lost")),
        started_at=row.begun_at,
        duration=None if row.ended_at is None else row.ended_at - row.begun_at,
        ran=int(counts.get("ran", 0)),
        stored=int(counts.get("stored", 0)),
        failed=int(counts.get("failed", 0)),
        skipped=int(counts.get("skipped", 0)),
        params={str(k): str(v) for k, v in params.items()} if isinstance(params, dict) else {},
    )


def _is_alive(facts: Mapping[str, Any]) -> bool:
    """Whether the process of a run that has not ended is still there; of another machine nobody can say."""
    pid = facts.get("pid")
    if facts.get("host") != platform.node() or not isinstance(pid, int) or os.name != "posix":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def ago(moment: float) -> str:
    """Return how long ago a moment was, in words.

    Example:
        >>> import time
        >>> ago(time.time() - 7300), ago(time.time())
        ('2 h ago', 'just now')
    """
    seconds = max(0.0, time.time() - moment)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if seconds >= 2 * length or (unit == "s" and seconds >= 1):
            return f"{int(seconds // length)} {unit} ago"
    return "just now"
