"""Cases: one promise each, and what it takes to see whether it is kept.

In: a factory of the thing under test. Out: nothing, or an assertion that says what happened instead. Invariant: a case
ends in bounded time, whatever the thing under test does, and leaves nothing behind.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cascade.testing.errors import ConformanceError

__all__ = ["TIMEOUT", "Case", "Trial", "case", "expect", "run_cases"]

TIMEOUT = 5.0  # seconds that a case waits for one thing


@dataclass(frozen=True, slots=True)
class Trial:
    """What a case is given.

    Args:
        factory: makes the thing under test. timeout: seconds to wait for one thing.
    """

    factory: Callable[..., Any]
    timeout: float

    @contextmanager
    def using(self, *args: object) -> Iterator[Any]:
        """Make the thing under test, and close it (or shut it down) after use."""
        made = self.factory(*args)
        try:
            yield made
        finally:
            end = getattr(made, "close", None) or getattr(made, "shutdown", None)
            if end is not None:
                end()

    def in_threads(self, count: int, work: Callable[[int], object]) -> None:
        """Run `work` with 0, 1, … in threads that begin together; raise what one of them raised."""
        barrier = threading.Barrier(count)
        errors: list[BaseException] = []

        def run(number: int) -> None:
            try:
                barrier.wait(self.timeout)
                work(number)
            except BaseException as error:  # noqa: BLE001 - raised again below
                errors.append(error)

        threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + self.timeout
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        if errors:
            raise errors[0]
        ended = not any(thread.is_alive() for thread in threads)
        expect(ended, f"{count} threads at once did not end within {self.timeout:g} s")


Check = Callable[[Trial], None]


@dataclass(frozen=True, slots=True)
class Case:
    """One promise of a protocol.

    Args:
        name: for test ids. promise: a sentence. check: raises when the promise is broken.
    """

    name: str
    promise: str
    check: Check

    def __call__(self, factory: Callable[..., Any], timeout: float = TIMEOUT) -> None:
        """Hold what `factory` makes to the promise.

        Args:
            timeout: seconds to wait for one thing.

        Raises:
            AssertionError: when the promise is broken; what the thing under test raises comes through as it is.
        """
        self.check(Trial(factory, timeout))

    def __str__(self) -> str:
        """Show the name."""
        return self.name


def case(cases: list[Case]) -> Callable[[Check], Check]:
    """Add a function to `cases`: its name is the name, the first sentence of its docstring the promise."""

    def add(check: Check) -> Check:
        promise = " ".join((check.__doc__ or "").split("\n\n")[0].split()).removesuffix(".")
        cases.append(Case(check.__name__, promise, check))
        return check

    return add


def run_cases(what: str, cases: Sequence[Case], factory: Callable[..., Any], timeout: float) -> None:
    """Run every case, then raise one error for all promises that are broken.

    Args:
        what: the kind of thing, as in ``a solver``.
    """
    broken: list[tuple[str, str]] = []
    for each in cases:
        try:
            each(factory, timeout)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever the thing under test raises breaks a promise
            kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
            broken.append((each.promise, f"{kind}{error}"))
    if broken:
        raise ConformanceError(what, _name_of(factory), broken)


def expect(condition: object, problem: str) -> None:
    """Raise an assertion that says the `problem`, unless `condition` is true."""
    if not condition:
        raise AssertionError(problem)


def _name_of(factory: Callable[..., Any]) -> str:
    name = getattr(factory, "__name__", "") or type(factory).__name__
    return "What the factory makes" if name in ("<lambda>", "partial") else name
