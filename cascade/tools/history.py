"""The store's history → runs as people read them.

In: a store. Out: `history`, a list of runs that shows itself as a table and as a data frame. Invariant: reads only.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from cascade.adapters.stores.history import is_alive
from cascade.interfaces.naming import clip
from cascade.messaging.catalogue import in_seconds, time_ago
from cascade.runtime.run import open_store

if TYPE_CHECKING:
    from cascade.interfaces.protocols import Store
    from cascade.interfaces.records import NodeRow, RunRow

__all__ = ["History", "PastRun", "ago", "find_run", "find_runs", "history", "is_unsayable", "run_word"]

LEAST_DIGITS = 4  # of an id that is all digits, so that it is not taken for a number


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run of the past.

    Args:
        run_id: its id. name: of the target. status: ``completed``, ``failed``, ``cancelled``, ``skipped``: its target
            was, ``running``, or ``lost``: it never ended, its process was killed. started_at: seconds since the epoch.
            duration: seconds, None if it has not ended.
        ran, stored, failed, skipped: how many nodes. params: short texts by name.
        number: 1 for the first run of the store, and so on; 0: the store does not number its runs.
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
    number: int = 0


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

    def nodes(self, run: int | str | PastRun) -> list[NodeRow]:
        """Return what happened to the nodes of a run (its number, its id, or the beginning of that)."""
        return self._store.nodes(find_run(self._store, run.run_id if isinstance(run, PastRun) else run).run_id)

    def to_frame(self) -> Any:
        """Return the runs as a pandas DataFrame, a row for each."""
        import pandas as pd

        names = ["number", *(name for name in PastRun.__slots__ if name not in {"params", "number"})]
        rows = [
            {**{n: getattr(run, n) for n in names}, **{f"param {k}": v for k, v in run.params.items()}} for run in self
        ]
        frame = pd.DataFrame(rows, columns=None if rows else names)
        if rows:
            frame["started_at"] = pd.to_datetime(frame["started_at"], unit="s", utc=True)
        return frame

    def __str__(self) -> str:
        """Return a table as text."""
        rows = [("run", "target", "outcome", "when", "took", "computed", "stored", "id")]
        for run in self:
            took = "" if run.duration is None else in_seconds(run.duration)
            bad = f", {run.failed} failed" if run.failed else ""
            computed = f"{run.ran:,}{bad}"
            number = str(run.number or run.run_id)
            told = (
                number,
                run.name[:40],
                run.status,
                ago(run.started_at),
                took,
                computed,
                f"{run.stored:,}",
                run.run_id,
            )
            rows.append(told)
        if len(rows) == 1:
            fault = getattr(self._store, "off", None)
            return f"The runs cannot be read. {fault}" if fault else "No run is known here yet."
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


def find_runs(store: Store, word: str) -> list[RunRow]:
    """Return the run of that id or number, else those whose ids begin so; few digits are a number and nothing else.

    An id may begin with a digit: whoever asks for run 9 of seven runs has miscounted, and means no id.
    """
    found = [] if is_unsayable(word) else store.find_runs(word)
    if word.isdecimal() and len(word) < LEAST_DIGITS:
        return [row for row in found if word in {str(row.number), row.run_id}]
    return found


def is_unsayable(word: str) -> bool:
    """Whether a text has halves of characters in it, which no store can be asked for; nothing has such a name there."""
    return not word.isascii() and any("\ud800" <= char <= "\udfff" for char in word)


def find_run(store: Store, run: int | str) -> RunRow:
    """Return the run of that number, or id, or whose id begins so.

    Raises:
        ValueError: when there is none, or more than one.
    """
    found = find_runs(store, str(run))
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"{len(found)} runs begin with '{clip(run)}'. Give more of the id; cs.history() lists them.")
    if str(run).isdigit():
        last = max([row.number for row in store.runs(1)], default=0)
        known = f"the latest is run {last}" if last else "no run is known here yet"
        raise ValueError(f"There is no run {clip(run)} in this store: {known}. cs.history() lists them.")
    raise ValueError(f"No run begins with '{clip(run)}'. cs.history() lists them.")


def run_word(run_id: str, number: int) -> str:
    """Return how people call a run: by its number, or by its id where it has none.

    Example:
        >>> run_word("71be1fa1", 14), run_word("71be1fa1", 0)
        ('run 14', 'run 71be1fa1')
    """
    return f"run {number or run_id}"


def _read(row: RunRow) -> PastRun:
    facts: Mapping[str, Any] = row.facts
    counts = facts.get("counts")
    counts = counts if isinstance(counts, dict) else {}
    params = facts.get("params")
    return PastRun(
        run_id=row.run_id,
        name=str(facts.get("name", "")),
        status=str(facts.get("status", "" if row.ended_at is not None else "running" if is_alive(facts) else "lost")),
        started_at=row.begun_at,
        duration=None if row.ended_at is None else row.ended_at - row.begun_at,
        ran=int(counts.get("ran", 0)),
        stored=int(counts.get("stored", 0)),
        failed=int(counts.get("failed", 0)),
        skipped=int(counts.get("skipped", 0)),
        params={str(k): str(v) for k, v in params.items()} if isinstance(params, dict) else {},
        number=row.number,
    )


def ago(moment: float) -> str:
    """Return how long ago a moment was, in words.

    Example:
        >>> import time
        >>> ago(time.time() - 7300), ago(time.time())
        ('2 h ago', 'just now')
    """
    return time_ago(time.time() - moment)
