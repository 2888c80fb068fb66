"""Ready-made ways to compose calls.

In: tasks and lazy results. Out: lazy results. Invariant: only what a user could write by hand with the other words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from cascade.spec.lazy_types import LazyResult
from cascade.spec.task import Task

__all__ = ["pipeline", "sequence", "with_constraints"]

T = TypeVar("T", LazyResult[Any], Task[..., Any])


def sequence(*steps: LazyResult[Any]) -> LazyResult[Any]:
    """Return the last of `steps`, each of which starts when the one before has ended.

    Example:
        >>> import cascade as cs
        >>> @cs.task
        ... def step(n): return n
        >>> cs.run(cs.sequence(step(1), step(2), step(3)), log_level="ERROR")
        3
    """
    if not steps:
        raise ValueError("cs.sequence needs at least one step.")
    for step in steps:
        if not isinstance(step, LazyResult):
            raise TypeError(f"cs.sequence takes lazy results, not {type(step).__name__}. Call a task to get one.")
    last = steps[0]
    for step in steps[1:]:
        last = step.after(last)
    return last


def pipeline(value: object, *tasks: Callable[[Any], Any]) -> Any:
    """Pass `value` through `tasks`, each taking the result of the one before.

    Example:
        >>> import cascade as cs
        >>> @cs.task
        ... def double(x): return 2 * x
        >>> cs.run(cs.pipeline(1, double, double), log_level="ERROR")
        4
    """
    for step in tasks:
        value = step(value)
    return value


@overload
def with_constraints(target: T, /, **amounts: object) -> T: ...
@overload
def with_constraints(**amounts: object) -> Callable[[T], T]: ...
def with_constraints(target: Any = None, /, **amounts: object) -> Any:
    """Give a task, or a call, amounts of the run's capacities that it takes while it runs; also as a decorator.

    Example:
        >>> import cascade as cs
        >>> @cs.with_constraints(gpu=1)
        ... @cs.task
        ... def train(): return "trained"
        >>> cs.run(train(), system_resources={"gpu": 1}, log_level="ERROR")
        'trained'
    """
    if target is None:
        return lambda decorated: decorated.with_constraints(**amounts)
    return target.with_constraints(**amounts)
