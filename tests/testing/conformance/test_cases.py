from __future__ import annotations

import pytest

from cascade.testing import ConformanceError
from cascade.testing.conformance.cases import Case, Trial, case, expect, run_cases

CASES: list[Case] = []


@case(CASES)
def is_even(trial: Trial) -> None:
    """The number is even, as every number of this kind.

    Why does not belong to the promise.
    """
    with trial.using() as number:
        expect(number % 2 == 0, f"it is {number}")


@case(CASES)
def is_small(trial: Trial) -> None:
    """The number is small."""
    with trial.using() as number:
        if number > 9:
            raise OverflowError("too much")


def number(value: int) -> type[int]:
    return type("Number", (int,), {"__new__": lambda cls: int.__new__(cls, value)})


def test_a_case_tells_its_name_and_promise() -> None:
    """A case goes by the function's name, and promises what its docstring says first."""
    assert [str(each) for each in CASES] == ["is_even", "is_small"]
    assert CASES[0].promise == "The number is even, as every number of this kind"


def test_kept_promises_are_silent() -> None:
    """When all is well nothing is raised."""
    run_cases("a number", CASES, number(2), 1.0)


def test_every_broken_promise_is_listed() -> None:
    """One error tells each broken promise, and what happened instead, an exception with its type."""
    with pytest.raises(ConformanceError) as caught:
        run_cases("a number", CASES, number(11), 1.0)
    assert str(caught.value) == (
        "Number breaks 2 promises of a number:\n"
        "  - The number is even, as every number of this kind\n    it is 11\n"
        "  - The number is small\n    OverflowError: too much"
    )
    assert [promise for promise, _ in caught.value.broken] == [each.promise for each in CASES]
    assert isinstance(caught.value, AssertionError)
    with pytest.raises(ConformanceError, match="What the factory makes breaks 1 promise of a number"):
        run_cases("a number", CASES, lambda: 3, 1.0)


def test_a_case_alone() -> None:
    """A case can be called by itself, and lets through what the thing under test raises."""
    with pytest.raises(AssertionError, match="it is 3"):
        CASES[0](number(3))
    with pytest.raises(OverflowError):
        CASES[1](number(10))


def test_even_an_exit_is_a_broken_promise() -> None:
    """SystemExit from the thing under test is listed; an interrupt is let through."""

    def leave() -> None:
        raise SystemExit(2)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(ConformanceError, match="SystemExit: 2"):
        run_cases("a number", CASES, leave, 1.0)
    with pytest.raises(KeyboardInterrupt):
        run_cases("a number", CASES, interrupt, 1.0)


def test_what_is_made_is_closed() -> None:
    """What a case made is closed, or shut down, also when the case fails."""
    closed: list[str] = []

    class Thing:
        def close(self) -> None:
            closed.append("closed")

    class Pool:
        def shutdown(self) -> None:
            closed.append("shut down")

    for factory in (Thing, Pool):
        with pytest.raises(KeyError), Trial(factory, 1.0).using():
            raise KeyError
    assert closed == ["closed", "shut down"]


def test_threads_of_a_case() -> None:
    """What one thread raises is raised; threads that do not end are an assertion."""
    import threading

    numbers: list[int] = []
    Trial(dict, 5.0).in_threads(4, numbers.append)
    assert sorted(numbers) == [0, 1, 2, 3]

    def fail(number: int) -> None:
        if number == 2:
            raise KeyError(number)

    with pytest.raises(KeyError):
        Trial(dict, 5.0).in_threads(4, fail)
    release = threading.Event()
    with pytest.raises(AssertionError, match=r"2 threads at once did not end within 0\.05 s"):
        Trial(dict, 0.05).in_threads(2, lambda number: number and release.wait(10))
    release.set()
