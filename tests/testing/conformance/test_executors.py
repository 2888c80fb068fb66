from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from cascade.adapters.executors.local import LocalExecutor
from cascade.testing import ConformanceError, check_executor
from cascade.testing.conformance import EXECUTOR_CASES, Case
from tests.testing.conformance.broken import check_coverage, expect_broken, pairs


@pytest.mark.parametrize("case", EXECUTOR_CASES, ids=str)
def test_thread_pools_keep_every_promise(case: Case) -> None:
    """The thread pool of the standard library passes."""
    case(ThreadPoolExecutor)


@pytest.mark.slow
def test_process_pools_keep_every_promise() -> None:
    """So does its process pool: the cases reach other processes."""
    check_executor(partial(ProcessPoolExecutor, 2))


@pytest.mark.parametrize("case", EXECUTOR_CASES, ids=str)
def test_the_local_executor_keeps_its_promises(case: Case) -> None:
    """So does the local executor, used without an engine."""
    case(LocalExecutor)


class Base(Executor):
    """Runs each call at once, and hands everything over; what is broken is in the classes under it."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        try:
            self.keep(future, function(*args, **kwargs))
        except BaseException as error:
            self.hand_over(future, error)
        return future

    def keep(self, future: Future[Any], value: Any) -> None:
        future.set_result(value)

    def hand_over(self, future: Future[Any], error: BaseException) -> None:
        future.set_exception(error)


class GivesValues(Base):
    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return super().submit(function, *args, **kwargs).result()


class NeverEnds(Base):
    def keep(self, future: Future[Any], value: Any) -> None:
        pass

    def hand_over(self, future: Future[Any], error: BaseException) -> None:
        pass


class LosesNone(Base):
    def keep(self, future: Future[Any], value: Any) -> None:
        future.set_result(value or "nothing")


class TakesNames(Base):
    def submit(self, fn: Callable[..., Any], *args: Any, function: Any = None, **kwargs: Any) -> Any:
        return super().submit(fn, *args, **kwargs)


class CutsOff(Base):
    def keep(self, future: Future[Any], value: Any) -> None:
        future.set_result(value[:1_000_000] if isinstance(value, bytes) else value)


class RaisesAtOnce(Base):
    def hand_over(self, future: Future[Any], error: BaseException) -> None:
        raise error


class HidesErrors(Base):
    def hand_over(self, future: Future[Any], error: BaseException) -> None:
        future.set_exception(RuntimeError("something went wrong"))


class HidesArguments(Base):
    def hand_over(self, future: Future[Any], error: BaseException) -> None:
        future.set_exception(type(error)())


class BreaksAtErrors(Base):
    failed = False

    def keep(self, future: Future[Any], value: Any) -> None:
        if self.failed:
            future.set_exception(RuntimeError("the pool is broken"))
        else:
            future.set_result(value)

    def hand_over(self, future: Future[Any], error: BaseException) -> None:
        self.failed = True
        future.set_exception(error)


class TakesExitsForValues(Base):
    def hand_over(self, future: Future[Any], error: BaseException) -> None:
        if isinstance(error, SystemExit):
            future.set_result(None)
        else:
            future.set_exception(error)


class MixesUp(Base):
    waiting: Future[Any] | None = None

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        mine = super().submit(function, *args, **kwargs)
        other, self.waiting = self.waiting, mine
        return other or mine


class OfOneThread(Base):
    def __init__(self) -> None:
        self.thread = threading.current_thread()

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if threading.current_thread() is not self.thread:
            raise RuntimeError("this executor belongs to another thread")
        return super().submit(function, *args, **kwargs)


class Quiet(Future[Any]):
    """A future that calls nobody back."""

    def add_done_callback(self, fn: Callable[[Future[Any]], object]) -> None:
        pass


class CallsNobodyBack(Base):
    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        future = Quiet()
        future.set_result(function(*args, **kwargs))
        return future


class Yes(Future[Any]):
    """A future that says it is cancelled, whatever becomes of the call."""

    def cancel(self) -> bool:
        return True


class SaysYes(Base):
    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        future = Yes()
        future.set_result(function(*args, **kwargs))
        return future


class RunsTheCancelled(ThreadPoolExecutor):
    """Has its futures cancelled, and runs their calls all the same."""

    def __init__(self) -> None:
        super().__init__(1)

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        shown: Future[Any] = Future()

        def work() -> None:
            value = function(*args, **kwargs)
            if shown.set_running_or_notify_cancel():
                shown.set_result(value)

        super().submit(work)
        return shown


BROKEN = {
    "gives_a_future": [GivesValues, NeverEnds],
    "keeps_none": [LosesNone, NeverEnds],
    "passes_arguments": [TakesNames],
    "passes_large_values": [CutsOff],
    "hands_errors_over": [RaisesAtOnce, HidesErrors, HidesArguments, NeverEnds],
    "survives_errors": [BreaksAtErrors, RaisesAtOnce],
    "survives_exits": [BreaksAtErrors, RaisesAtOnce, TakesExitsForValues],
    "keeps_calls_apart": [MixesUp],
    "takes_calls_from_threads": [OfOneThread],
    "calls_back": [CallsNobodyBack],
    "does_not_cancel_what_runs": [SaysYes],
    "does_not_run_what_was_cancelled": [RunsTheCancelled, SaysYes],
}


def test_every_case_can_fail() -> None:
    """Each case has an executor that breaks it."""
    check_coverage(EXECUTOR_CASES, BROKEN)


@pytest.mark.parametrize(("name", "factory"), pairs(BROKEN))
def test_broken_executors_are_found(name: str, factory: type[Executor]) -> None:
    """An executor that breaks a promise is found by the case that is about it."""
    assert expect_broken(EXECUTOR_CASES, name, factory, 0.05 if factory is NeverEnds else 0.5)


def test_the_base_of_the_broken_is_whole() -> None:
    """What the broken ones are made from keeps every promise, so that it is their own fault that is found."""
    check_executor(Base)


def test_the_report_names_the_executor() -> None:
    """The report says which executor breaks which promise, in sentences."""
    with pytest.raises(ConformanceError) as caught:
        check_executor(HidesErrors, timeout=0.5)
    assert str(caught.value) == (
        "HidesErrors breaks 1 promise of an executor:\n"
        "  - What a call raises comes back in its future, of the same type and with the same arguments\n"
        "    a ValueError came back as RuntimeError('something went wrong')"
    )


def test_cancelled_futures_of_the_standard_library() -> None:
    """What the cases about cancelling rest on: a future that was cancelled raises, and its call has not run."""
    with ThreadPoolExecutor(1) as pool:
        release = threading.Event()
        pool.submit(release.wait, 10)
        future = pool.submit(int)
        assert future.cancel()
        release.set()
        with pytest.raises(CancelledError):
            future.result(1)
