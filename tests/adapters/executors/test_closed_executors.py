"""Executors of the user that take no calls: one error for the run, which blames no task."""

from __future__ import annotations

import threading
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.interfaces.exceptions import ExecutorClosedError

same = cs.task(lambda n: n, name="same")
THREADS = ThreadPoolExecutor(1)
PROCESSES = ProcessPoolExecutor(1)
THREADS.shutdown()
PROCESSES.shutdown()


class Broken(Executor):
    """An executor that breaks after so many calls."""

    def __init__(self, good: int) -> None:
        """Count."""
        self.good = good
        self.pool = ThreadPoolExecutor(1)

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Make the call, or refuse."""
        self.good -= 1
        if self.good < 0:
            raise BrokenExecutor("a worker has gone")
        return self.pool.submit(fn, *args, **kwargs)


@pytest.mark.parametrize("executor", [THREADS, PROCESSES, Broken(0)], ids=["threads", "processes", "broken"])
@pytest.mark.parametrize("settings", [{}, {"on_failure": "continue"}], ids=["cancel", "continue"])
@pytest.mark.parametrize(
    "target",
    [[same(n) for n in range(5)], same.map(n=range(5), on_error="collect"), same(1).with_retry(3).with_fallback(0)],
    ids=["nodes", "map", "fallback"],
)
def test_one_error_for_the_run(executor: Any, settings: dict[str, Any], target: Any) -> None:
    """Neither a task fails nor a retry, a fallback or a collecting map makes anything of it."""
    run = cs.start(target, executor=executor, log_level=None, **settings)
    error = run.exception(20)
    assert isinstance(error, ExecutorClosedError)
    assert f"a {type(executor).__name__} that takes no calls" in str(error)
    assert not [e for e in run.events if isinstance(e, ev.NodeFailed)]


def test_executor_that_breaks_in_mid_run() -> None:
    """What was done stays done, what runs ends, and the run has the one error."""
    executor = Broken(2)
    here = threading.Event()
    first = cs.task(lambda: here.wait(10), name="first")()
    run = cs.start([first, same(1), same(2), same(3)], executor=executor, log_level=None, on_failure="continue")
    here.set()
    assert isinstance(run.exception(20), ExecutorClosedError)
    executor.pool.shutdown()


def ready(value: Any = None, *, is_cancelled: bool = False) -> Future[Any]:
    """A future that is over."""
    future: Future[Any] = Future()
    if is_cancelled:
        future.cancel()
        future.set_running_or_notify_cancel()
    else:
        future.set_result(value)
    return future


class Odd(Executor):
    """An executor that answers each call by itself."""

    def __init__(self, answer: Any) -> None:
        """Keep what it answers."""
        self.answer = answer

    def submit(self, _fn: Any, /, *_args: Any, **_kwargs: Any) -> Any:
        """Make no call."""
        return self.answer


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "whose submit() returned NoneType and not a concurrent.futures.Future"),
        (ready("surprise"), "whose future brought str and not what the call of 'same' returned"),
        (ready(None), "whose future brought NoneType"),
        (ready(is_cancelled=True), "that cancelled the call of 'same', which nobody asked for"),
    ],
)
def test_an_executor_that_does_as_none_does_is_named(answer: Any, words: str) -> None:
    """No future, a value of somebody else, a cancel by itself: the error names the executor and what it did."""
    error = cs.start(same(1), executor=Odd(answer), log_level=None).exception(20)
    assert isinstance(error, ExecutorClosedError)
    assert f"executor= got a Odd {words}" in str(error)


def test_an_executor_that_is_shut_down_in_mid_run() -> None:
    """Calls that its shutdown cancels fail with a sentence, and nothing hangs."""
    pool, begun, gate = ThreadPoolExecutor(1), threading.Event(), threading.Event()

    @cs.task
    def hold(n: int) -> int:
        begun.set()
        gate.wait(20)
        return n

    run = cs.start([hold(1), hold(2)], executor=pool, log_level=None)
    assert begun.wait(20)
    pool.shutdown(wait=False, cancel_futures=True)
    gate.set()
    error = run.exception(20)
    assert isinstance(error, ExecutorClosedError)
    assert "ThreadPoolExecutor" in str(error)


def test_arguments_that_cannot_be_sent_are_no_such_thing() -> None:
    """An executor that refuses one call because of what it holds fails that call alone."""

    class Picky(Broken):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            if self.good == 1:
                self.good = 99
                raise RecursionError("too deep")
            return super().submit(fn, *args, **kwargs)

    executor = Picky(1)
    target = [same(1).with_fallback("instead"), same(2).with_fallback("instead")]
    found = cs.run(target, executor=executor, log_level=None, on_failure="continue")
    assert sorted(map(str, found)) == ["2", "instead"] or sorted(map(str, found)) == ["1", "instead"]
    executor.pool.shutdown()
