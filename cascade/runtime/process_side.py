"""Other processes, and executors that the user brings.

In: nodes of mode ``compute``; with ``executor=``, blocking ones too. Out: calls submitted, outcomes settled.
Invariant: a worker that dies costs only the attempt that killed it: those that were in flight beside it are tried
again one at a time, so that the guilty one is known.
"""

from __future__ import annotations

import atexit
import os
import re
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from cascade.graph.model import MAP, PROCESS
from cascade.interfaces.exceptions import CascadeError, ExecutorClosedError, TaskExitError, WorkerDiedError
from cascade.interfaces.sending_errors import UnsendableError
from cascade.runtime.attempts import Attempt
from cascade.runtime.hearing import ADDRESS, Ear
from cascade.runtime.notes import add_note
from cascade.runtime.pace import Pace
from cascade.runtime.parcels import RowOutcome, begin_worker, call_and_pack, call_rows, quiet_start, unpack
from cascade.runtime.shipments import Portable, Shipment, find_unsendable, run_shipment
from cascade.runtime.threads import run_in_thread
from cascade.runtime.worker_output import repeat

if TYPE_CHECKING:
    from cascade.interfaces.protocols import Executor
    from cascade.runtime.flow import Flow

__all__ = ["ProcessSide"]

SILENCE = 1.0  # seconds that the last words of a task may come after its value

_pools: list[Any] = []  # warm pools between runs; borrowed by one flow at a time
_pools_at_exit: list[Any] = []


class ProcessSide:
    """Submits attempts of one flow and settles what comes back.

    Its books: `_queue` waits to be submitted; `_in_flight` has been, each with its pool; `_alone` are suspected of
    having killed a worker; `_innocent` were in flight when a pool was ended on purpose.
    """

    __slots__ = ("_alone", "_in_flight", "_innocent", "_pace", "_pool", "_queue", "_slots", "_speeches", "flow")

    def __init__(self, flow: Flow) -> None:
        """Start no process yet."""
        self.flow = flow
        self._pool: Any = None
        self._queue: deque[Attempt] = deque()
        self._in_flight: dict[Attempt, Any] = {}
        self._alone: deque[Attempt] = deque()
        self._innocent: set[Attempt] = set()
        self._speeches: dict[Attempt, _Speech] = {}
        self._pace = Pace(flow)
        self._slots = flow.settings.max_processes or flow.crew.cores

    @property
    def ends_workers(self) -> bool:
        """Whether a worker is ended when its call will not stop; those of the user's executor are not."""
        return self.flow.settings.executor is None

    # -- submitting -----------------------------------------------------------------------------------------------

    def start_ready(self, mode: int = PROCESS) -> None:
        """Take ready nodes for the free places; the driver submits them. Under the lock, on any thread."""
        flow = self.flow
        room = self._slots if flow.settings.executor is None else flow.settings.max_threads
        while len(self._in_flight) + len(self._queue) < room and (node := flow.core.take(mode)) >= 0:
            if flow.graph.kinds[node] == MAP and flow.map_side.open(node) is None:
                continue
            attempt = flow.make_attempt(node, PROCESS, self._items_of(node))
            if attempt is None:
                continue
            attempt.worker = "process" if flow.settings.executor is None else "executor"
            flow.begin_attempt(attempt)
            self._queue.append(attempt)
            if attempt.index is not None:
                flow.map_side.offer_more(node)
        if self._queue:
            flow.post(self._submit_all)

    def _items_of(self, node: int) -> int | None:
        """Return how many items of a map go to a worker together; other executors get one at a time."""
        if self.flow.graph.kinds[node] != MAP or self.flow.settings.executor is not None:
            return None
        return self._pace.items_of(node, self._slots)

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
            if isinstance(future, ExecutorClosedError) and not self._alone:
                self._lose(attempt, future)
            elif isinstance(future, BaseException):
                self._settle(attempt, None, future)
            else:
                attempt.handle = future
                if attempt.stopping:
                    self._tell_to_stop(attempt)
                future.add_done_callback(lambda done, attempt=attempt: self._ended(attempt, done))  # type: ignore[misc]
            if self._alone:
                return

    def _submit(self, attempt: Attempt) -> Future[Any]:
        executor = self.flow.settings.executor
        if executor is not None:
            return self._submit_to(executor, attempt)
        args, kwargs = self._gather(attempt)
        if self._pool is None:
            self._pool = _borrow_pool(self._slots)
        pool = self._in_flight[attempt] = self._pool
        with quiet_start():
            if attempt.rows is not None:
                collects = self.flow.map_side.states[attempt.node].collect
                is_heard = attempt.is_heard
                return pool.submit(call_rows, self._portable(attempt), attempt.rows, collects, is_heard)  # type: ignore[no-any-return]
            token = self._listen_to(attempt, pool)
            return pool.submit(call_and_pack, self._portable(attempt), args, kwargs, heard=token)  # type: ignore[no-any-return]

    def _listen_to(self, attempt: Attempt, pool: Any) -> str:
        """Have what `attempt` says in its worker told while it works; return the token, empty if nobody listens."""
        if not attempt.is_heard:
            return ""
        speech = _Speech(attempt, pool.cascade_ear, self.flow.post)
        self._speeches[attempt] = speech
        return speech.token

    def _submit_to(self, executor: Executor, attempt: Attempt) -> Future[Any]:
        """Submit to the user's executor."""
        from concurrent.futures import ThreadPoolExecutor

        if isinstance(executor, ThreadPoolExecutor):
            call: tuple[Any, ...] = self._run_in_thread, attempt
        else:
            args, kwargs = self._gather(attempt)
            heard = (True,) if attempt.is_heard else ()
            call = run_shipment, Shipment(self._portable(attempt), args, kwargs, label=attempt.name), *heard
        try:
            future: Future[Any] = executor.submit(*call)
        except (RecursionError, NotImplementedError):
            raise
        except RuntimeError as error:  # as concurrent.futures has it, of executors that are closed or broken
            raise ExecutorClosedError.for_executor(executor, error) from error
        if not hasattr(future, "add_done_callback"):
            told = f"whose submit() returned {type(future).__name__} and not a concurrent.futures.Future"
            raise ExecutorClosedError.for_answer(executor, told)
        return future

    def _lose(self, attempt: Attempt, error: ExecutorClosedError) -> None:
        """The executor takes no calls: that is no failure of a task, and the end of the run."""
        self._in_flight.pop(attempt, None)
        attempt.stopping = True
        if not self.flow.core.cancelling:
            self.flow.outcomes.error = error
            self.flow.cancel("its executor takes no calls")
        self.flow.outcomes.settle(attempt, None, None)

    def _portable(self, attempt: Attempt) -> Callable[..., Any]:
        task = getattr(self.flow.graph.calls[attempt.node], "_task", None)
        return Portable(task) if task is not None and task.func is attempt.function else attempt.function

    def _gather(self, attempt: Attempt) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if attempt.own:
            raise CascadeError(
                f"Task '{attempt.name}' runs in another process and cannot use resources made for each task."
            )
        return self.flow.gather(attempt, {})

    def _run_in_thread(self, attempt: Attempt) -> tuple[bool, Any]:
        value, error = self.flow.run_here(attempt)
        if error is not None:
            raise error
        return True, value

    # -- settling -------------------------------------------------------------------------------------------------

    def _ended(self, attempt: Attempt, future: Future[Any]) -> None:
        """A future is done; on some thread of the executor."""
        value: Any = None
        error: BaseException | None
        executor = self.flow.settings.executor
        if future.cancelled():
            is_asked = executor is None or attempt.stopping or attempt.given_up
            error = CancelledError() if is_asked else _explain_cancel(executor, attempt)
        else:
            error = future.exception()
            value = None if error is not None else future.result()
            if error is None and executor is not None and not _is_outcome(value):
                told = f"whose future brought {type(value).__name__} and not what the call of '{attempt.name}' returned"
                error = ExecutorClosedError.for_answer(executor, told)
            if str(error).startswith("Could not pickle the task"):  # as loky has it, without saying what of it
                error = self._find_unsendable(attempt) or error
        self.flow.post(lambda: self._settle(attempt, value, error))

    def _find_unsendable(self, attempt: Attempt) -> BaseException | None:
        """Return an error that says what of `attempt` cannot be pickled. Not under the lock."""
        label = attempt.name if attempt.index is None else f"{attempt.name}[{attempt.index}]"
        arguments = attempt.rows if attempt.rows is not None else self._gather(attempt)
        return find_unsendable(label, self._portable(attempt), arguments)

    def _settle(self, attempt: Attempt, value: Any, error: BaseException | None) -> None:
        speech = self._speeches.get(attempt)
        if speech is not None and error is None and speech.heard < value[-1] and not speech.is_late:
            speech.await_rest(value[-1], lambda: self._settle(attempt, value, error))
            self.flow.set_timer(SILENCE, speech.give_up)
            return
        if speech is not None:
            self._speeches.pop(attempt).end()
        pool = self._in_flight.pop(attempt, None)
        if error is not None and _is_death(error):
            self._drop(pool)
            self._bury(attempt, error)
        else:
            if attempt in self._alone:
                self._alone.remove(attempt)
            self._innocent.discard(attempt)
            if error is None and attempt.rows is not None:
                self.flow.outcomes.settle(attempt, self._read_rows(attempt, *value), None)
            elif attempt.rows is not None and error is not None and not isinstance(error, CancelledError):
                self._fail(attempt, error)
            else:
                self._settle_one(attempt, value, error)
        if self._queue:
            self._submit_all()

    def _settle_one(self, attempt: Attempt, value: Any, error: BaseException | None) -> None:
        if error is None:
            ended_well, value, *output = value
            repeat(output[:1], attempt)
            if not ended_well:
                error, value = _read_error(attempt.name, value), None
        elif "_RemoteTraceback" in type(error.__cause__).__name__ and not isinstance(error, UnsendableError):
            add_note(error, f"While the value of '{attempt.name}' was sent back from its process.")
        self.flow.outcomes.settle(attempt, value, error)

    def _read_rows(self, attempt: Attempt, told: list[RowOutcome], seconds: float) -> list[Any]:
        """Return the outcomes of several items of a map, and pass on what they wrote."""
        self._pace.learn(attempt.node, seconds / max(1, len(told)))
        outcomes: list[Any] = []
        rows = {row[0]: row for row in attempt.rows or ()}
        for index, ended_well, value, output in told:
            if output:
                attempt.index, attempt.row = index, rows[index]
                repeat([output], attempt)
            error = None if ended_well else unpack(value, f"{attempt.name}[{index}]")
            outcomes.append((index, value if ended_well else None, error))
        return outcomes

    def _fail(self, attempt: Attempt, error: BaseException) -> None:
        """`attempt` failed as a whole; of several items, nobody knows which is to blame: each is tried alone."""
        rows = attempt.rows
        if rows is None:
            self.flow.outcomes.settle(attempt, None, error)
        elif len(rows) == 1:
            self.flow.outcomes.settle(attempt, [(rows[0][0], None, error)], None)
        else:
            self._pace.doubt(attempt.node)
            self.flow.outcomes.settle(attempt, [], None)

    def _bury(self, attempt: Attempt, error: BaseException) -> None:
        """A worker died: find out whether `attempt` is to blame, by trying it again alone if need be."""
        if attempt.given_up or attempt.stopping:
            self.flow.outcomes.settle(attempt, None, None)
        elif attempt in self._innocent:
            self._innocent.discard(attempt)
            self._queue.append(attempt)
        elif not self._in_flight and (not self._alone or attempt in self._alone):
            if attempt in self._alone:
                self._alone.remove(attempt)
            self._fail(attempt, _explain_death(attempt.name, error))
        else:
            if attempt not in self._alone:
                self._alone.append(attempt)
            self._queue.append(attempt)

    def admit(self, nodes: range) -> None:
        """The graph has gained `nodes`; no value is anywhere but here."""

    def left_there(self, attempt: Attempt, value: Any) -> Any:
        """Return the `value` that has been stored, which is here."""
        del attempt
        return value

    def bring_all(self, value: Any) -> Any:
        """Return `value`, which is here."""
        return value

    look_at = bring_all

    # -- stopping -------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """The run is cancelled: end the worker processes. Under the lock."""
        queued, self._queue = list(self._queue), deque()
        for attempt in (*queued, *self._in_flight):
            attempt.stopping = True
        for attempt in queued:
            self.flow.post(lambda attempt=attempt: self.flow.outcomes.settle(attempt, None, None))  # type: ignore[misc]
        if self.flow.settings.executor is None:
            self._drop(self._pool)
        for attempt in list(self._in_flight):
            self._tell_to_stop(attempt)

    def end_worker_of(self, attempt: Attempt) -> None:
        """The time of `attempt` is over: end its worker, and with it the pool; who shared it is tried again."""
        if self.flow.settings.executor is None:
            self._innocent.update(a for a in self._in_flight if not a.given_up)
            self._drop(self._in_flight.get(attempt))
        self._tell_to_stop(attempt)

    def _tell_to_stop(self, attempt: Attempt) -> None:
        if self.flow.settings.executor is None:
            self._drop(self._in_flight.get(attempt))
        elif attempt.handle is not None:
            attempt.handle.cancel()

    def _drop(self, pool: Any) -> None:
        """Use `pool` no more and end its processes."""
        if pool is None:
            return
        if pool is self._pool:
            self._pool = None
        run_in_thread(lambda: _end(pool))

    def close(self, _holder: object) -> None:
        """Keep the pool warm for the next run, or end it when something in it would not stop."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        if self._in_flight or len(_pools) >= 2:  # noqa: PLR2004
            self._drop(pool)
        else:
            _pools.append(pool)


class _Speech:
    """What one attempt says in its worker."""

    __slots__ = ("_ear", "_go_on", "_most", "_post", "attempt", "heard", "is_late", "token")

    def __init__(self, attempt: Attempt, ear: Ear, post: Callable[[Callable[[], None]], None]) -> None:
        self.attempt = attempt
        self.token = os.urandom(8).hex()
        self.heard = 0
        self.is_late = False
        self._ear = ear
        self._post = post
        self._most = 0
        self._go_on: Callable[[], None] | None = None
        ear.listen(self.token, self._hear)

    def _hear(self, pieces: list[Any]) -> None:
        """Take pieces; on a thread of the ear's."""
        repeat([pieces], self.attempt)
        self.heard += 1
        if self._go_on is not None and self.heard >= self._most:
            self._post(self._finish)

    def await_rest(self, most: int, go_on: Callable[[], None]) -> None:
        """The value came before the last words: go on when those are here."""
        self._most, self._go_on = most, go_on
        if self.heard >= most:
            self._post(self._finish)

    def _finish(self) -> None:
        go_on, self._go_on = self._go_on, None
        if go_on is not None:
            go_on()

    def give_up(self) -> None:
        """Wait for no more words."""
        self.is_late = True
        self._finish()

    def end(self) -> None:
        """Listen no more."""
        self._ear.forget(self.token)


def _end(pool: Any) -> None:
    """End the processes of a pool; several of its calls may ask for that at once, and loky does not expect it."""
    with suppress(AttributeError):
        pool.shutdown(wait=False, kill_workers=True)
    pool.cascade_ear.close()


def _is_outcome(value: Any) -> bool:
    """Say whether `value` is what a call gives back in an executor: whether it went well, its value, what it wrote."""
    return isinstance(value, (tuple, list)) and len(value) > 1 and isinstance(value[0], bool)


def _explain_cancel(executor: object, attempt: Attempt) -> BaseException:
    """Return the error of a call that an executor cancelled by itself, as its shutdown can."""
    label = attempt.name if attempt.index is None else f"{attempt.name}[{attempt.index}]"
    told = f"that cancelled the call of '{label}', which nobody asked for; keep it open until the run is over"
    return ExecutorClosedError.for_answer(executor, told)


def _is_death(error: BaseException) -> bool:
    if isinstance(error, ExecutorClosedError) and error.__cause__ is not None:
        error = error.__cause__
    names = ("BrokenExecutor", "BrokenProcessPool", "TerminatedWorkerError", "ShutdownExecutorError")
    return any(k.__name__ in names for k in type(error).__mro__)


def _read_error(label: str, sent: Any) -> BaseException:
    """Return what was raised in another process, from a parcel or, by foreign executors, from words."""
    return unpack(sent, label) if isinstance(sent, list) else TaskExitError.in_process(label, *sent)


def _explain_death(label: str, error: BaseException) -> BaseException:
    """Return the error of a task that killed its worker, or whose arguments or value broke the connection to it."""
    told = str(error)
    if isinstance(error, ExecutorClosedError):  # by the death of a worker of its
        return WorkerDiedError.during(label, _cause_of_death(error.__cause__ or error))
    if "un-serialize" not in told:
        return WorkerDiedError.during(label, _cause_of_death(error))
    what, where = ("value", "where the run goes on") if told.startswith("A result") else ("arguments", "in its process")
    lines = str(error.__cause__ or "").strip(" \n\"'").splitlines()
    detail = f" ({lines[-1].strip()})" if lines else ""
    return UnpicklingError(
        f"The {what} of task '{label}' could not be read {where}{detail}. "
        "Only what survives pickle.loads(pickle.dumps(…)) can travel between processes."
    )


def _cause_of_death(error: BaseException) -> str:
    """Return what is known: the exit code or signal if the pool tells."""
    told = str(error)
    found = re.search(r"exit codes? of the workers? (?:are|is) \{([^}]*)\}", told)
    return found[1] if found else told.splitlines()[0][:200] if told else type(error).__name__


def _end_pools() -> None:
    while _pools:
        pool = _pools.pop()
        pool.shutdown(wait=True, kill_workers=True)
        pool.cascade_ear.close()


def _borrow_pool(workers: int) -> Any:
    for pool in list(_pools):
        _pools.remove(pool)
        if pool._max_workers == workers:  # noqa: SLF001
            return pool
        _end(pool)
    try:
        from loky import ProcessPoolExecutor
    except ImportError:
        raise CascadeError(
            "A task of mode='compute' needs the package loky: pip install 'cascade-notebook[process]'."
        ) from None
    if not _pools_at_exit:
        _pools_at_exit.append(atexit.register(_end_pools))
    ear = Ear()
    env = {"CASCADE_WORKER": str(os.getpid()), ADDRESS: ear.address}
    made: Any = ProcessPoolExecutor(max_workers=workers, timeout=60, env=env, initializer=begin_worker)
    made.cascade_ear = ear
    return made
