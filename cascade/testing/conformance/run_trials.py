"""Runs for the cases about executors.

In: an executor, a target. Out: what came of the run. Invariant: a run that does not end in time is an error, never a
wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cascade.testing.conformance.cases import Case, Trial, expect

__all__ = ["EXECUTOR_RUN_CASES", "LARGE", "fail", "give", "public", "start", "task"]

EXECUTOR_RUN_CASES: Final[list[Case]] = []
LARGE: Final = 300_000  # bytes of a value that is not small


def public() -> Any:
    """Return the package, whose public names are all that these graphs use; found late, since it lies below."""
    from importlib import import_module

    return import_module("cascade")


def task(**options: Any) -> Callable[[Any], Any]:
    """Make a function a task."""
    decorate: Callable[[Any], Any] = public().task(**options) if options else public().task
    return decorate


def start(executor: Any, target: Any, **settings: Any) -> Any:
    """Start a run on `executor`, without a log."""
    cs = public()

    return cs.start(target, executor=executor, log_level=None, **settings)


def give(trial: Trial, target: Any, **settings: Any) -> Any:
    """Return the value of a run on a fresh executor."""
    with trial.using() as executor:
        return start(executor, target, **settings).result(trial.timeout)


def fail(trial: Trial, target: Any, **settings: Any) -> tuple[BaseException, Any]:
    """Return the error of a run that must fail, and the run."""
    with trial.using() as executor:
        run = start(executor, target, **settings)
        error = run.exception(trial.timeout)
        expect(error is not None, "the run did not fail")
        return error, run
