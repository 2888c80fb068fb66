"""Worker threads of a run: as many as help, no more.

In: nodes ready for threads. Out: attempts run and settled. Invariant: a worker settles what it ran and takes the next
node under one lock; others are hired only while ready nodes wait behind a task that takes long.

Waking a second thread for a task of some microseconds costs more than the task. So a run begins with one worker, and
the driver watches: when every worker has been inside its task for over a millisecond and nodes wait, it hires more
(the hand-off of Go's scheduler). While the processor is idle, as with sleeping or waiting tasks, it hires one for each
waiting node, up to `max_threads`; while it is busy, up to the number of cores, and beyond that ever more slowly.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from cascade.graph.model import MAP, THREAD
from cascade.runtime.threads import run_in_thread

if TYPE_CHECKING:
    from cascade.runtime.attempts import Attempt
    from cascade.runtime.flow import Flow

__all__ = ["Crew"]

TICK = 0.001  # seconds between two looks of the driver while nodes wait, at first
SLOWEST = 0.05  # … and at most
LONG = 0.0008  # seconds after which a task is long
IDLE = 0.6  # processors in use below which the process counts as idle
SHORT_CHUNK, LONG_CHUNK, MOST_ITEMS = 0.001, 0.005, 64


class Crew:
    """The workers of one flow.

    Attributes:
        workers: how many there are. busy: since when each has been in its task. look_at: when the driver shall `grow`
            the crew, None while nobody waits.
    """

    __slots__ = (
        "_begun", "_begun_before", "_cpu", "_hired_at", "_looked_at", "_made", "_period", "_wall", "busy", "cores",
        "flow", "look_at", "workers",
    )  # fmt: skip

    def __init__(self, flow: Flow) -> None:
        """Begin without workers."""
        self.flow = flow
        self.workers = 0
        self.busy: dict[int, float] = {}
        self.cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
        self.look_at: float | None = None
        self._made = 0
        self._period = TICK
        self._hired_at = 0.0
        self._cpu = self._wall = self._looked_at = 0.0
        self._begun = self._begun_before = 0

    # -- how many -------------------------------------------------------------------------------------------------

    def look_for_help(self) -> None:
        """Nodes wait for threads: hire the first worker, or have the driver watch. Under the lock."""
        if self.flow.settings.executor is not None or self.flow.settings.apart:
            self.flow.process_side.start_ready(THREAD)
        elif not self.workers:
            self._hire(1)
        elif self.look_at is None:
            self._period = TICK
            self._cpu, self._wall = time.process_time(), time.perf_counter()
            self._begun_before, self._looked_at = self._begun, self._wall
            self.look_at = self._wall + TICK
            self.flow.ring()

    def grow(self, now: float) -> None:
        """Hire as many as would help now. Under the lock, by the driver."""
        waiting = self._count_waiting()
        if not waiting:
            self.look_at = None
            return
        hired = 0
        if not self._tasks_are_short(now) and all(now - since > LONG for since in self.busy.values()):
            cpu = time.process_time()
            idle = cpu - self._cpu < IDLE * (now - self._wall)
            self._cpu, self._wall = cpu, now
            most = self.flow.settings.max_threads
            room = (most if idle else min(most, self._bound_while_busy(now))) - self.workers
            hired = max(0, min(waiting, room))
            self._hire(hired)
            self._hired_at = now if hired else self._hired_at
        self._period = TICK if hired else min(self._period * 1.5, SLOWEST)
        self.look_at = now + self._period

    def _tasks_are_short(self, now: float) -> bool:
        """Whether the tasks begun since the last look took little time each.

        A worker that the interpreter has put aside looks as if it were inside a long task; a second worker for short
        ones would only fight with it for the interpreter.
        """
        begun, elapsed = self._begun - self._begun_before, now - self._looked_at
        self._begun_before, self._looked_at = self._begun, now
        return begun > 1 and elapsed * self.workers / begun < LONG

    def _bound_while_busy(self, now: float) -> int:
        """Return how many workers a busy machine gets: its cores, and ever more slowly others.

        Tasks that wait for each other look like tasks that compute while something else keeps the processor busy.
        """
        surplus = self.workers - self.cores
        if surplus < 0:
            return self.cores
        return self.workers + (now - self._hired_at > SLOWEST * (surplus + 1))

    @property
    def may_hire(self) -> bool:
        """Whether there may be more workers than there are."""
        return self.workers < self.flow.settings.max_threads

    def _count_waiting(self) -> int:
        core = self.flow.core
        heap = core.ready[THREAD]
        if core.paused or not heap:
            return 0
        waiting = len(heap)
        for node, state in self.flow.map_side.states.items():
            if self.flow.graph.modes[node] == THREAD and state.has_more:
                waiting += (state.total or self.flow.settings.max_threads) - state.pulled
        return waiting

    def _hire(self, count: int) -> None:
        for _ in range(count):
            self.workers += 1
            self._made += 1
            number = self._made
            run_in_thread(lambda number=number: self._work(number))  # type: ignore[misc]

    # -- the work -------------------------------------------------------------------------------------------------

    def _work(self, number: int) -> None:
        """Take nodes until none is left; runs on a thread of its own and never raises."""
        flow = self.flow
        core, lock, busy = flow.core, flow.lock, self.busy
        name = f"thread-{number}"
        lock.acquire()
        try:
            while (node := core.take(THREAD)) >= 0:
                attempt = self._prepare(node)
                if attempt is None:
                    continue
                attempt.worker = name
                flow.begin_attempt(attempt)
                busy[number] = time.perf_counter()
                self._begun += len(attempt.rows) if attempt.rows is not None else 1
                flow.dispatch()
                lock.release()
                value, error = self._run_rows(attempt) if attempt.rows is not None else flow.run_here(attempt)
                lock.acquire()
                flow.outcomes.settle(attempt, value, error)
        except BaseException as fault:  # noqa: BLE001 - a fault of the engine must end the run, not a silent thread
            flow.break_down(fault)
        finally:
            busy.pop(number, None)
            self.workers -= 1
            if flow.fault is None:
                flow.dispatch()
            flow.ring()
            lock.release()

    def _prepare(self, node: int) -> Attempt | None:
        flow = self.flow
        if flow.graph.kinds[node] != MAP:
            return flow.make_attempt(node, THREAD)
        state = flow.map_side.open(node)
        if state is None:
            return None
        plain = not flow.special[node] and state.max_concurrency is None and flow.core.ticket is None
        attempt = flow.make_attempt(node, THREAD, items=state.chunk if plain else None)
        if attempt is not None:
            flow.map_side.offer_more(node)
        return attempt

    def _run_rows(self, attempt: Attempt) -> tuple[Any, BaseException | None]:
        """Run several items of a map one after the other; the value is a list of ``(index, value, error)``.

        Those that come after a long one, a pause, a limit or a failure are left for others.
        """
        flow = self.flow
        core = flow.core
        state = flow.map_side.states[attempt.node]
        outcomes: list[tuple[int, Any, BaseException | None]] = []
        began = time.perf_counter()
        took = 0.0
        for row in attempt.rows or ():
            if core.cancelling or core.paused or core.limits.active or took > LONG_CHUNK:
                break
            attempt.row, attempt.index = row, row[0]
            value, error = flow.run_here(attempt)
            outcomes.append((row[0], value, error))
            if error is not None and not state.collect:
                break
            took = time.perf_counter() - began
        if took < SHORT_CHUNK:
            state.chunk = min(state.chunk * 2, MOST_ITEMS)
        elif took > LONG_CHUNK:
            state.chunk = max(1, state.chunk // 2)
        return outcomes, None
