"""What an executor promises.

In: a factory of executors. Out: the promises that it breaks. Invariant: the calls are functions of this module, so
that they reach other processes and machines.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from cascade.interfaces.protocols import Executor
from cascade.testing.conformance.cases import TIMEOUT, Case, Trial, case, expect, run_cases

__all__ = ["EXECUTOR_CASES", "check_executor"]

Factory = Callable[[], Executor]
EXECUTOR_CASES: Final[list[Case]] = []

MANY, THREADS = 100, 8
LARGE = 4_000_000  # bytes
NAP, SHORT_NAP = 0.02, 0.008  # seconds that a call lasts which is to be caught running; and one of many
LOOK = 0.002  # seconds between two looks


def check_executor(factory: Factory, *, timeout: float = TIMEOUT) -> None:
    """Hold the executors that `factory` makes to every promise of `Executor`.

    Args:
        factory: makes a new one for each case; it is shut down after it, if it has `shutdown`.
        timeout: seconds to wait for one call.

    Raises:
        ConformanceError: lists each promise that is broken.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> check_executor(ThreadPoolExecutor)
    """
    run_cases("an executor", EXECUTOR_CASES, factory, timeout)


# -- calls ----------------------------------------------------------------------------------------------------------


def _give(value: Any) -> Any:
    return value


def _collect(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kwargs


def _fail(*args: Any) -> None:
    raise ValueError(*args)


def _exit() -> None:
    raise SystemExit(3)


def _mark(path: str, seconds: float) -> str:
    """Leave a mark, so that others see that this call runs, and take a moment."""
    Path(path).touch()
    time.sleep(seconds)
    return path


def _value(future: Any, timeout: float) -> Any:
    """Return the value of a future; a future that is never done is an assertion."""
    try:
        return future.result(timeout)
    except TimeoutError:
        if future.done():
            raise
        raise AssertionError(f"a future was not done after {timeout:g} s") from None


def _error(future: Any, timeout: float) -> BaseException | None:
    """Return the error of a future, None if it has a value; a future that is never done is an assertion."""
    try:
        found: BaseException | None = future.exception(timeout)
    except TimeoutError:
        raise AssertionError(f"a future was not done after {timeout:g} s") from None
    return found


# -- cases ----------------------------------------------------------------------------------------------------------


@case(EXECUTOR_CASES)
def gives_a_future(trial: Trial) -> None:
    """`submit` returns a concurrent.futures.Future, in which the value of the call arrives."""
    with trial.using() as executor:
        future = executor.submit(_give, 5)
        expect(isinstance(future, Future), f"submit returned a {type(future).__name__}")
        found = _value(future, trial.timeout)
        expect(found == 5, f"a call that returns 5 gave {found!r}")  # noqa: PLR2004 - the number of the call


@case(EXECUTOR_CASES)
def keeps_none(trial: Trial) -> None:
    """None is a value like any other."""
    with trial.using() as executor:
        found = _value(executor.submit(_give, None), trial.timeout)
        expect(found is None, f"a call that returns None gave {found!r}")


@case(EXECUTOR_CASES)
def passes_arguments(trial: Trial) -> None:
    """Arguments arrive as they were given, also those whose names `submit` uses itself."""
    keywords = {"function": 1, "fn": 2, "self": 3, "args": [4]}
    with trial.using() as executor:
        found = _value(executor.submit(_collect, 1, "two", None, **keywords), trial.timeout)
        expect(found == ((1, "two", None), keywords), f"they arrived as {found!r}")


@case(EXECUTOR_CASES)
def passes_large_values(trial: Trial) -> None:
    """Values of some megabytes go there and come back."""
    value = bytes(range(256)) * (LARGE // 256)
    with trial.using() as executor:
        expect(_value(executor.submit(_give, value), trial.timeout) == value, f"{len(value):,} bytes came back changed")


@case(EXECUTOR_CASES)
def hands_errors_over(trial: Trial) -> None:
    """What a call raises comes back in its future, of the same type and with the same arguments."""
    with trial.using() as executor:
        error = _error(executor.submit(_fail, "no", 7), trial.timeout)
        expect(type(error) is ValueError, f"a ValueError came back as {error!r}")
        expect(getattr(error, "args", None) == ("no", 7), f"its arguments came back as {getattr(error, 'args', None)}")


@case(EXECUTOR_CASES)
def survives_errors(trial: Trial) -> None:
    """A call that fails harms no other."""
    with trial.using() as executor:
        futures = [executor.submit(_fail if n % 2 else _give, n) for n in range(10)]
        found = [_value(future, trial.timeout) for future in futures[::2]]
        expect(found == list(range(0, 10, 2)), f"between calls that fail, calls gave {found}")


@case(EXECUTOR_CASES)
def survives_exits(trial: Trial) -> None:
    """A call that raises SystemExit ends with an error, and the executor goes on."""
    with trial.using() as executor:
        expect(_error(executor.submit(_exit), trial.timeout) is not None, "the call that exited has no error")
        expect(_value(executor.submit(_give, 1), trial.timeout) == 1, "the next call did not give its value")


@case(EXECUTOR_CASES)
def keeps_calls_apart(trial: Trial) -> None:
    """Each of many calls has its own value in its own future."""
    with trial.using() as executor:
        futures = [executor.submit(_give, n) for n in range(MANY)]
        found = [_value(future, trial.timeout) for future in futures]
        expect(found == list(range(MANY)), f"{sum(a != b for a, b in enumerate(found))} of {MANY} calls were mixed up")


@case(EXECUTOR_CASES)
def takes_calls_from_threads(trial: Trial) -> None:
    """Calls may come from several threads at once."""
    with trial.using() as executor:

        def work(number: int) -> None:
            for n in range(number, MANY, THREADS):
                found = _value(executor.submit(_give, n), trial.timeout)
                expect(found == n, f"with {THREADS} threads, the call {n} gave {found!r}")

        trial.in_threads(THREADS, work)


@case(EXECUTOR_CASES)
def calls_back(trial: Trial) -> None:
    """What `add_done_callback` adds is called once with the future, also when it is done already."""
    with trial.using() as executor:
        heard: list[object] = []
        future = executor.submit(_give, 1)
        future.add_done_callback(heard.append)
        _value(future, trial.timeout)
        late: list[object] = []
        future.add_done_callback(late.append)
        expect(late == [future], f"a callback of a future that is done was called {len(late)} times")
        until = time.monotonic() + trial.timeout
        while not heard and time.monotonic() < until:  # a future may be done a moment before it calls back
            time.sleep(LOOK)
        expect(heard == [future], f"a callback was called {len(heard)} times")


@case(EXECUTOR_CASES)
def does_not_cancel_what_runs(trial: Trial) -> None:
    """A call that runs cannot be cancelled: `cancel` says no, and its value arrives."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder, trial.using() as executor:
        mark = Path(folder, "runs")
        future = executor.submit(_mark, str(mark), NAP)
        until = time.monotonic() + trial.timeout
        while not mark.exists() and time.monotonic() < until:
            time.sleep(LOOK)
        expect(mark.exists(), f"a call did not begin within {trial.timeout:g} s")
        expect(not future.cancel(), "cancel() of a call that ran returned True")
        expect(_value(future, trial.timeout) == str(mark), "the call did not give its value")


@case(EXECUTOR_CASES)
def does_not_run_what_was_cancelled(trial: Trial) -> None:
    """A call whose `cancel` said yes never runs, and its future says that it is cancelled."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder, trial.using() as executor:
        marks = [Path(folder, str(n)) for n in range(12)]
        futures = [executor.submit(_mark, str(mark), SHORT_NAP) for mark in marks]
        answers = [future.cancel() for future in reversed(futures)][::-1]
        for future, was_cancelled in zip(futures, answers, strict=True):
            if not was_cancelled:
                _value(future, trial.timeout)
        time.sleep(4 * SHORT_NAP if any(answers) else 0)  # what should not run would have begun by now
        for future, mark, was_cancelled in zip(futures, marks, answers, strict=True):
            expect(future.cancelled() == was_cancelled, f"cancel() returned {was_cancelled}, the future says otherwise")
            expect(not (was_cancelled and mark.exists()), "a cancelled call ran")
