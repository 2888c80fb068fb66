"""The one writer of a run's state in Redis: changes go to the server in transactions.

In: changes of hashes. Out: one transaction for each batch. Invariant: a server that goes away and comes back within
`PATIENCE` loses nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Literal, NamedTuple

from cascade.adapters.caching.redis_errors import RedisError
from cascade.adapters.caching.redis_link import RedisLink
from cascade.adapters.state.batches import BatchWriter
from cascade.adapters.state.errors import StateError

__all__ = ["KINDS", "Change", "Kind", "RedisWriter", "index_of", "name_of"]

Kind = Literal["begun", "nodes", "values", "skips", "facts"]
KINDS: Final[tuple[Kind, ...]] = ("begun", "nodes", "values", "skips", "facts")
MOST_RUNS: Final = 10_000  # that are listed

MOST_CHANGES: Final = 2000  # in one transaction: others want to be served too
PATIENCE: Final = 5.0  # seconds that a server which has answered before may be away
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5  # seconds between two tries


class Change(NamedTuple):
    """Set fields of one of the hashes of a run."""

    run_id: str
    kind: Kind
    fields: dict[bytes, bytes]


def name_of(prefix: str, run_id: str, kind: Kind) -> bytes:
    """Return the name of a hash."""
    return f"{prefix}state:{run_id}:{kind}".encode("utf-8", "surrogatepass")


def index_of(prefix: str) -> bytes:
    """Return the name of the sorted set of runs."""
    return f"{prefix}state-runs".encode()


class RedisWriter(BatchWriter[Change]):
    """Writes changes to the server of `link`.

    Args:
        prefix: of all names. ttl: seconds after its last change until a run is forgotten, all of it together.
    """

    __slots__ = ("_has_written", "_link", "_prefix", "_ttl")

    def __init__(self, link: RedisLink, prefix: str, ttl: float | None) -> None:
        """Begin without a thread."""
        super().__init__(MOST_CHANGES)
        self._link = link
        self._prefix = prefix
        self._ttl = ttl
        self._has_written = False

    def _opened(self) -> AbstractContextManager[Callable[[list[Change]], None]]:
        return nullcontext(self._write)

    def _fault_of(self, error: Exception) -> StateError:
        return StateError.for_server(
            str(error) if isinstance(error, RedisError) else f"{type(error).__name__}: {error}"
        )

    def _closed(self) -> StateError:
        return StateError.for_closed_link(self._link.shown)

    def _write(self, batch: list[Change]) -> None:
        """Write a batch, all of it or nothing; again, with the same outcome, where a connection was lost."""
        until, pause = time.monotonic() + PATIENCE, FIRST_PAUSE
        while True:
            try:
                self._link.pipe(lambda pipe: self._fill(pipe, batch), is_atomic=True)
            except RedisError as error:
                if not (self._has_written and error.may_pass) or time.monotonic() > until:
                    raise
            else:
                self._has_written = True
                return
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _fill(self, pipe: Any, batch: list[Change]) -> None:
        hashes: dict[tuple[str, Kind], dict[bytes, bytes]] = {}
        for run_id, kind, fields in batch:
            hashes.setdefault((run_id, kind), {}).update(fields)
        for (run_id, kind), merged in hashes.items():  # one command for each: to read answers is what takes time
            pipe.hset(name_of(self._prefix, run_id, kind), mapping=merged)
        index, now = index_of(self._prefix), time.time()
        milliseconds = 0 if self._ttl is None else max(1, int(self._ttl * 1000))
        for run_id in {change.run_id for change in batch}:
            pipe.zadd(index, {run_id.encode("utf-8", "surrogatepass"): now})
            for kind in KINDS if milliseconds else ():
                pipe.pexpire(name_of(self._prefix, run_id, kind), milliseconds)
        pipe.zremrangebyrank(index, 0, -1 - MOST_RUNS)
