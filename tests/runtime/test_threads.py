"""Threads and processes: hired while they help, ended or kept for the next run, replaced when they die."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.executors.local import LocalExecutor
from cascade.interfaces import events as ev
from cascade.interfaces.exceptions import (
    CascadeError,
    NodeTimeoutError,
    RunCancelledError,
    TaskExitError,
    WorkerDiedError,
)
from cascade.runtime.threads import LoopThread

QUIET: dict[str, Any] = {"log_level": None}
SOON = 5.0
LONG = 60.0  # what a test that starts processes may take on a busy machine


@cs.task
def same(x: Any = None) -> Any:
    return x


@cs.task(mode="compute")
def square(x: int) -> int:
    return x * x


# -- hiring ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mapped", [False, True])
def test_blocking_tasks_that_wait_for_each_other_all_run(mapped: bool) -> None:
    """Sixteen blocking tasks that meet at a barrier all get a thread."""
    barrier = threading.Barrier(16)
    meet = cs.task(lambda x: barrier.wait(SOON) * 0 + x, name="meet")
    target = meet.map(range(16)) if mapped else [meet(n) for n in range(16)]
    assert cs.run(target, **QUIET) == list(range(16))


@pytest.mark.slow
def test_waiting_tasks_get_threads_on_a_busy_machine() -> None:
    """Also while something else uses the processors, blocked tasks do not keep others from starting for ever."""
    busy = threading.Event()

    def burn() -> None:
        while not busy.is_set():
            sum(range(1000))

    burners = [threading.Thread(target=burn) for _ in range(2)]
    for burner in burners:
        burner.start()
    try:
        barrier = threading.Barrier(8)
        meet = cs.task(lambda x: barrier.wait(LONG) * 0 + x, name="meet")
        assert cs.run([meet(n) for n in range(8)], **QUIET) == list(range(8))
    finally:
        busy.set()
        for burner in burners:
            burner.join()


def test_no_more_threads_than_allowed() -> None:
    """`LocalExecutor(max_threads=n)` bounds how many plain tasks run at once."""
    lock, now, most = threading.Lock(), 0, 0

    def nap(x: int) -> int:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.005)
        with lock:
            now -= 1
        return x

    assert cs.run(cs.task(nap).map(range(12)), executor=LocalExecutor(max_threads=3), **QUIET) == list(range(12))
    assert 1 < most <= 3


def test_short_tasks_share_one_thread() -> None:
    """A thread that has ended a short task takes the next one; nobody else is woken for it."""
    run = cs.start([same(n) for n in range(50)], **QUIET)
    run.result(SOON)
    workers = {e.worker for e in run.events if isinstance(e, ev.NodeStarted)}
    assert len(workers) <= 4


def test_long_item_does_not_keep_those_behind_it() -> None:
    """Items that a thread took in one go are given to others when one of them turns out to be long."""
    free, met = threading.Event(), threading.Event()
    count = 0

    def item(x: int) -> int:
        nonlocal count
        count += 1
        if x == 200:
            assert met.wait(SOON), "the items behind the long one did not run"
        elif x == 399:
            met.set()
        return x

    assert cs.run(cs.task(item).map(range(400)), **QUIET) == list(range(400))
    free.set()


# -- executors of the user ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    """One pool of the standard library for all tests."""
    from multiprocessing import get_context

    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool


def test_thread_pool_of_the_user() -> None:
    """Plain tasks, maps and task-scoped resources run in a given thread pool, in the caller's context."""
    place = contextvars.ContextVar("place", default="nowhere")
    place.set("here")

    @cs.resource(scope="task")
    def own() -> Iterator[str]:
        yield "own"

    @cs.task
    def where(x: Any = None) -> Any:
        return threading.current_thread().name.split("_")[0], place.get(), x

    with ThreadPoolExecutor(2, thread_name_prefix="mine") as pool:
        found = cs.run([where(own), where.map([1, 2]), same(3)], executor=pool, **QUIET)
        with pytest.raises(TaskExitError, match="SystemExit"):
            cs.run(cs.task(sys.exit)(), executor=pool, **QUIET)
    assert found == [("mine", "here", "own"), [("mine", "here", 1), ("mine", "here", 2)], 3]


@pytest.mark.slow
def test_process_pool_of_the_user(processes: Executor) -> None:
    """Tasks that pickle alone could not send run in a given process pool; their errors and exits come back."""

    def pid(x: int) -> tuple[int, int]:
        return os.getpid(), x

    found = cs.run([cs.task(pid)(1), cs.task(pid, name="p").map([2, 3])], executor=processes, **QUIET)
    assert [x for _, x in [found[0], *found[1]]] == [1, 2, 3]
    assert os.getpid() not in [p for p, _ in [found[0], *found[1]]]
    with pytest.raises(TaskExitError, match=r"Task 'leave' raised SystemExit\(3\), which would have ended its process"):
        cs.run(cs.task(lambda: sys.exit(3), name="leave")(), executor=processes, **QUIET)
    with pytest.raises(ZeroDivisionError) as caught:
        cs.run(cs.task(lambda x: 1 / x, name="divide")(0), executor=processes, **QUIET)
    assert "In the node 'divide', called with x = 0." in caught.value.__notes__


def test_executor_that_is_shut_down() -> None:
    """An executor that takes nothing more fails the node; a task does not count as done that was never run."""
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(RuntimeError, match="cannot schedule new futures"):
        cs.run(same(1), executor=pool, **QUIET)


def test_cancelled_future_is_not_a_value() -> None:
    """When somebody cancels the executor's futures, the run fails instead of going on with None."""

    class Refusing:
        def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
            from concurrent.futures import Future

            future: Future[Any] = Future()
            future.cancel()
            future.set_running_or_notify_cancel()
            return future

    run = cs.start(same(1), executor=Refusing(), **QUIET)
    assert run.exception(SOON) is not None
    assert run.state == "failed"


def test_something_that_is_no_executor() -> None:
    """An executor has `submit`; what has not is refused before anything runs."""
    with pytest.raises(CascadeError, match="method submit"):
        cs.run(same(1), executor=3, **QUIET)


# -- processes ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_compute_runs_elsewhere() -> None:
    """Tasks of mode "compute" run in other processes, calls and items alike; closures travel; errors come back."""
    here = os.getpid()
    factor = 3

    @cs.task(mode="compute")
    def times(x: int) -> tuple[bool, int]:
        return os.getpid() != here, factor * x

    assert cs.run([times(1), times.map([2, 3])], **QUIET) == [(True, 3), [(True, 6), (True, 9)]]
    with pytest.raises(ZeroDivisionError):
        cs.run(cs.task(lambda: 1 / 0, mode="compute")(), **QUIET)
    with pytest.raises(TaskExitError, match=r"raised SystemExit\(2\), which would have ended its process"):
        cs.run(cs.task(lambda: sys.exit(2), name="leave", mode="compute")(), **QUIET)
    assert cs.run(square(4), **QUIET) == 16


@pytest.mark.slow
@pytest.mark.parametrize("how", ["os._exit(0)", "os._exit(3)", "SIGKILL"])
def test_dead_worker_fails_only_its_own_task(how: str) -> None:
    """A task that kills its process fails; those beside it have their values; the next run works."""

    def die() -> None:
        if how == "SIGKILL":
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(0 if how == "os._exit(0)" else 3)

    victim = cs.task(die, mode="compute", name="victim")()
    beside = [square(n).with_fallback("lost") for n in range(8)]
    run = cs.start([victim.with_fallback("dead"), *beside], on_failure="continue", **QUIET)
    assert run.result(LONG) == ["dead", *[n * n for n in range(8)]]
    failed = [(e.name, e.error_type) for e in run.events if isinstance(e, ev.NodeFailed)]
    assert failed == [("victim", "WorkerDiedError")]
    with pytest.raises(WorkerDiedError, match="The process that ran 'victim' ended before the task did"):
        cs.run(victim, **QUIET)
    assert cs.run(square(3), **QUIET) == 9


@pytest.mark.slow
def test_what_cannot_travel_is_an_error_of_its_task() -> None:
    """Arguments or results that cannot be sent fail their node, and the pool lives on."""
    with pytest.raises(Exception, match=r"(?i)pickle"):
        cs.run(square(threading.Lock()), **QUIET)
    with pytest.raises(Exception, match=r"(?i)pickle"):
        cs.run(cs.task(threading.Lock, mode="compute", name="lock")(), **QUIET)
    assert cs.run(square(5), **QUIET) == 25


@pytest.mark.slow
def test_cancel_ends_the_processes() -> None:
    """A cancelled run ends its workers within a second, and is cancelled, not failed; the next run has new ones."""
    stuck = cs.task(lambda: time.sleep(LONG), mode="compute", name="stuck")
    cs.run(square(1), **QUIET)
    run = cs.start([stuck(), stuck(), stuck(), square(2)], **QUIET)
    while sum(isinstance(e, ev.NodeStarted) for e in run.events) < 2:
        time.sleep(0.01)
    run.cancel()
    assert isinstance(run.exception(2.0), RunCancelledError)
    assert not [e for e in run.events if isinstance(e, ev.NodeFailed)]
    assert cs.run(square(3), **QUIET) == 9


@pytest.mark.slow
def test_timeout_ends_the_process_and_spares_the_others() -> None:
    """A compute task that takes too long loses its process; one that shared the pool is done again, nothing hangs."""
    stuck = cs.task(lambda: time.sleep(LONG), mode="compute", name="stuck")
    slow = cs.task(lambda x: time.sleep(0.5) or x, mode="compute", name="slow")
    cs.run([square(1), square(2)], **QUIET)
    calls = [stuck().with_timeout(0.3).with_fallback("late"), *[slow(n) for n in range(3)]]
    run = cs.start(calls, executor=LocalExecutor(max_processes=2), **QUIET)
    assert run.result(LONG) == ["late", 0, 1, 2]
    assert [e.error_type for e in run.events if isinstance(e, ev.NodeFailed)] == [NodeTimeoutError.__name__]


# -- nothing left ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_hundred_runs_leave_threads_and_files_constant() -> None:
    """Threads and open files after many runs of all kinds, cancelled ones included, are what they were after a few."""

    @cs.task
    async def later(x: int) -> int:
        return x

    @cs.resource
    async def client() -> Any:
        yield "client"

    def once() -> None:
        target = [same.map(range(20)), later.map(range(20)), later(client), [same(n) for n in range(5)]]
        cs.run(target, log_level="CRITICAL")
        run = cs.start(target, **QUIET)
        run.cancel()
        run.wait(SOON)

    def count() -> tuple[int, int]:
        gc.collect()
        open_files = Path("/proc/self/fd")
        return threading.active_count(), len(list(open_files.iterdir())) if open_files.is_dir() else 0

    for _ in range(10):
        once()
    threads, files = count()
    for _ in range(100):
        once()
    end = time.perf_counter() + SOON
    while (count()[0] > threads + 2 or count()[1] > files + 4) and time.perf_counter() < end:
        time.sleep(0.05)
    assert count()[0] <= threads + 2
    assert count()[1] <= files + 4


def test_a_loop_that_is_stopped_ends_what_had_not_begun() -> None:
    """A task that a blocked loop could not begin is cancelled; the collector has nothing to complain about later."""
    made: list[asyncio.Task[None]] = []
    loop = LoopThread()
    loop.loop.call_soon_threadsafe(time.sleep, 0.1)
    loop.loop.call_soon_threadsafe(lambda: made.append(loop.loop.create_task(asyncio.sleep(60))))
    loop.stop()
    loop.thread.join(SOON)
    assert made[0].cancelled()
