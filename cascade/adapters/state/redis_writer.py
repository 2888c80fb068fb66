"""The one writer of a run's state in Redis: changes come in from any thread and go to the server in batches.

In: changes of hashes. Out: one transaction for each batch. Invariant: what was put first is written first; nobody who
puts a change waits for the server, unless `MOST_BYTES` are waiting already; a server that goes away and comes back
within `PATIENCE` loses nothing.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Final, Literal, NamedTuple

from cascade.adapters.caching.redis_errors import RedisError
from cascade.adapters.caching.redis_link import RedisLink
from cascade.adapters.state.errors import StateError

__all__ = ["KINDS", "Change", "Kind", "RedisWriter", "index_of", "name_of"]

Kind = Literal["begun", "nodes", "values", "skips", "facts"]
KINDS: Final[tuple[Kind, ...]] = ("begun", "nodes", "values", "skips", "facts")
MOST_RUNS: Final = 10_000  # that are listed

PERIOD: Final = 0.04  # seconds between the first change of a batch and its transaction
MOST_BYTES: Final = 32 << 20  # that wait for the server before the one who brings more has to wait too
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


class RedisWriter:
    """Owns the thread that writes; it is made when the first change comes.

    Args:
        prefix: of all names. ttl: seconds after its last change until a run is forgotten, all of it together.
    """

    __slots__ = (
        "_changes", "_closing", "_fault", "_has_written", "_link", "_prefix", "_put", "_size", "_thread", "_ttl",
        "_urgent", "_wake", "_written",
    )  # fmt: skip

    def __init__(self, link: RedisLink, prefix: str, ttl: float | None) -> None:
        """Begin without a thread."""
        self._link = link
        self._prefix = prefix
        self._ttl = ttl
        self._wake = threading.Condition(threading.Lock())
        self._changes: list[Change] = []
        self._size = self._put = self._written = 0
        self._urgent = self._closing = self._has_written = False
        self._fault: StateError | None = None
        self._thread: threading.Thread | None = None

    @property
    def fault(self) -> StateError | None:
        """Why changes could not be written, None if they could."""
        return self._fault

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closing

    def put(self, *changes: Change, size: int = 0) -> None:
        """Have changes written soon, together; `size` is their weight in bytes.

        Raises:
            StateError: when an earlier one could not be written, or the writer is closed.
        """
        with self._wake:
            if self._fault is not None:
                raise self._fault
            if self._closing:
                raise StateError.for_closed_link(self._link.shown)
            is_first = not self._changes
            self._changes.extend(changes)
            self._put += len(changes)
            self._size += size
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="cascade-state", daemon=True)
                self._thread.start()
            elif is_first:
                self._wake.notify_all()
            if self._size > MOST_BYTES:
                self._wait_written()

    def flush(self) -> None:
        """Return when everything that was put has been written.

        Raises:
            StateError: when something could not be.
        """
        with self._wake:
            self._wait_written()
            if self._fault is not None:
                raise self._fault

    def close(self) -> None:
        """Write what is left and end the thread; more than once does no harm. Raises nothing, see `fault`."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _wait_written(self) -> None:
        """Wait for what has been put up to now. Under the lock."""
        target = self._put
        while self._written < target and self._fault is None:
            self._urgent = True
            self._wake.notify_all()
            self._wake.wait()

    # -- the thread -----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while batch := self._next_batch():
                self._write(batch)
                with self._wake:
                    self._written += len(batch)
                    self._wake.notify_all()
        except RedisError as error:
            self._fail(StateError.for_server(str(error)))
        except Exception as error:  # noqa: BLE001 - told to whoever puts the next change, flushes or closes
            self._fail(StateError.for_server(f"{type(error).__name__}: {error}"))

    def _next_batch(self) -> list[Change]:
        """Wait for changes, then for their fellows; return none when the writer is closed."""
        with self._wake:
            while not self._changes and not self._closing:
                self._wake.wait()
            self._wake.wait_for(lambda: self._urgent or self._closing, timeout=PERIOD)
            batch, self._changes = self._changes[:MOST_CHANGES], self._changes[MOST_CHANGES:]
            if not self._changes:
                self._size = 0
                self._urgent = False
            return batch

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

    def _fail(self, fault: StateError) -> None:
        with self._wake:
            self._fault = fault
            self._changes = []
            self._wake.notify_all()
