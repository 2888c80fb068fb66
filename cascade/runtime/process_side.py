"""Other processes, and executors that the user brings.

In: nodes of mode ``compute``; with ``executor=``, blocking ones too. Out: calls submitted, outcomes settled.
Invariant: a worker that dies costs only the attempt that killed it: those that were in flight beside it are tried
again one at a time, so that the guilty one is known.
"""

from __future__ import annotations

import atexit
import os
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from cascade.graph.model import MAP, PROCESS
from cascade.interfaces.exceptions import CascadeError, TaskExitError, WorkerDiedError
from cascade.runtime.attempts import Attempt, call_in_process

if TYPE_CHECKING:
    from cascade.runtime.flow import Flow

__all__ = ["ProcessSide"]

_pools: list[Any] = []  # warm pools between runs; borrowed by one flow at a time
_pools_at_exit: list[Any] = []


class ProcessSide:
    """Submits attempts of one flow and settles what comes back."""

    __slots__ = ("_alone", "_in_flight", "_pool", "_queue", "_slots", "flow")

    def __init__(self, flow: Flow) -> None:
        """Start no process yet."""
        self.flow = flow
        self._pool: Any = None
        self._queue: deque[Attempt] = deque()
        self._in_flight: dict[Attempt, None] = {}
        self._alone: deque[Attempt] = deque()
        self._slots = flow.settings.max_processes or flow.crew.cores

    def start_ready(self, mode: int = PROCESS) -> None:
        """Take ready nodes for the free places; the driver submits them. Under the lock, on any thread."""
        flow = self.flow
        room = self._slots if mode == PROCESS and flow.settings.executor is None else flow.settings.max_threads
        while len(self._in_flight) + len(self._queue) < room and (node := flow.core.take(mode)) >= 0:
            if flow.graph.kinds[node] == MAP and flow.outcomes.open_map(node) is None:
                continue
            attempt = flow.make_attempt(node, mode)
            if attempt is None:
                continue
            attempt.worker = "process" if flow.settings.executor is None else "executor"
            flow.begin_attempt(attempt)
            self._queue.append(attempt)
            if flow.graph.kinds[node] == MAP:
                flow.outcomes.offer_more(node, flow.maps[node])
        if self._queue:
            flow.post(self._submit_all)

    def _submit_all(self) -> None:
        """Submit what is queued. By the driver, under the lock, which it gives up for the time of a submission."""
        while self._queue and not (self._alone and self._in_flight):
            attempt = self._queue.popleft()
            if attempt.given_up:
                self.flow.outcomes.settle(attempt, None, None)
                continue
            self._in_flight[attempt] = None
            self.flow.lock.release()
            try:
                future: Future[Any] | BaseException = self._submit(attempt)
            except BaseException as error:  # noqa: BLE001 - becomes the attempt's failure
                future = error
            self.flow.lock.acquire()
            if isinstance(future, BaseException):
                self._settle(attempt, None, future)
            else:
                attempt.handle = future
                future.add_done_callback(lambda done, attempt=attempt: self._ended(attempt, done))  # type: ignore[misc]
            if self._alone:
                return

    def _submit(self, attempt: Attempt) -> Future[Any]:
        if attempt.own:
            raise CascadeError(f"Task '{attempt.name}' runs in another process and cannot use resources made for each task.")
        args, kwargs = self.flow.gather(attempt, {})
        if self.flow.settings.executor is not None:
            return self.flow.settings.executor.submit(call_in_process, attempt.function, args, kwargs)  # type: ignore[no-any-return]
        if self._pool is None:
            self._pool = _borrow_pool(self._slots)
        return self._pool.submit(call_in_process, attempt.function, args, kwargs)  # type: ignore[no-any-return]

    def _ended(self, attempt: Attempt, future: Future[Any]) -> None:
        """A future is done; on some thread of the executor."""
        if future.cancelled():
            value, error = None, None
        else:
            error = future.exception()
            value = None if error is not None else future.result()
        self.flow.post(lambda: self._settle(attempt, value, error))

    def _settle(self, attempt: Attempt, value: Any, error: BaseException | None) -> None:  # noqa: ANN401
        self._in_flight.pop(attempt, None)
        if error is not None and _is_death(error):
            self._blame(attempt, error)
            return
        if attempt in self._alone:
            self._alone.remove(attempt)
        if error is None and isinstance(value, tuple):
            ended_well, value = value
            if not ended_well:
                shown = f"{value[0]}({', '.join(value[1])})"
                error = TaskExitError(f"Task '{attempt.name}' raised {shown} in its process; cascade caught it.")
                value = None
        self.flow.outcomes.settle(attempt, value, error)
        if self._queue:
            self._submit_all()

    def _blame(self, attempt: Attempt, error: BaseException) -> None:
        """A worker died: if `attempt` was the only one in flight it is to blame, else all are tried again alone."""
        self._pool = None
        was_alone = not self._in_flight and (not self._alone or attempt in self._alone)
        if was_alone or self.flow.core.cancelling:
            if attempt in self._alone:
                self._alone.remove(attempt)
            detail = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            died = None if self.flow.core.cancelling else WorkerDiedError.during(attempt.name, detail)
            self.flow.outcomes.settle(attempt, None, died)
        else:
            if attempt not in self._alone:
                self._alone.append(attempt)
            self._queue.append(attempt)
        if self._queue:
            self.flow.post(self._submit_all)

    def stop(self) -> None:
        """End the worker processes: the run is cancelled. Under the lock."""
        while self._queue:
            attempt = self._queue.popleft()
            self.flow.post(lambda attempt=attempt: self.flow.outcomes.settle(attempt, None, None))  # type: ignore[misc]
        pool, self._pool = self._pool, None
        if pool is not None:
            from cascade.runtime.threads import run_in_thread

            run_in_thread(lambda: pool.shutdown(wait=False, kill_workers=True))
        elif self.flow.settings.executor is not None:
            for attempt in self._in_flight:
                if attempt.handle is not None:
                    attempt.handle.cancel()

    def close(self) -> None:
        """Keep the pool warm for the next run, or end it when something in it would not stop."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        if self._in_flight or len(_pools) >= 2:  # noqa: PLR2004
            pool.shutdown(wait=False, kill_workers=True)
        else:
            _pools.append(pool)


def _is_death(error: BaseException) -> bool:
    return any(k.__name__ in ("BrokenExecutor", "BrokenProcessPool", "TerminatedWorkerError") for k in type(error).__mro__)


def _end_pools() -> None:
    while _pools:
        _pools.pop().shutdown(wait=True, kill_workers=True)


def _borrow_pool(workers: int) -> Any:  # noqa: ANN401 - loky has no types
    for pool in list(_pools):
        _pools.remove(pool)
        if pool._max_workers == workers:  # noqa: SLF001
            return pool
        pool.shutdown(wait=False, kill_workers=True)
    try:
        from loky import ProcessPoolExecutor
    except ImportError:
        raise CascadeError(
            "A task of mode='compute' needs the package loky: pip install 'cascade-notebook[process]'."
        ) from None
    if not _pools_at_exit:
        _pools_at_exit.append(atexit.register(_end_pools))
    return ProcessPoolExecutor(max_workers=workers, timeout=60, env={"CASCADE_WORKER": str(os.getpid())})
