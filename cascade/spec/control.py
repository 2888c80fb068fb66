"""Ways to compose calls: one after the other, one into the other, and in loops.

In: tasks and lazy results. Out: lazy results. Invariant: a loop is written down before it runs: what it may lead to,
and how often at most.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar, overload

from cascade.interfaces.exceptions import JumpError
from cascade.spec.lazy_types import LazyItem, LazyMap, LazyResult
from cascade.spec.policy import PLAIN, UNSET
from cascade.spec.task import Task

__all__ = ["MAX_JUMPS", "Jump", "JumpSelector", "bind", "pipeline", "select_jump", "sequence", "with_constraints"]

MAX_JUMPS: Final = 1_000_000

T = TypeVar("T", bound="LazyResult[Any] | Task[..., Any]")


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


# -- loops ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Jump:
    """What a task returns to say where its loop goes on.

    Args:
        key: one of the keys of `select_jump`.
        data: what the next call gets: a dict as keyword arguments, anything else as its first argument; where the loop
            ends, its value (None by default).
    """

    key: object
    data: Any = UNSET


@dataclass(frozen=True, slots=True)
class JumpSelector:
    """Where the jumps of a loop may lead; made by `select_jump`."""

    routes: Mapping[object, Task[..., Any] | LazyResult[Any] | None]
    max_jumps: int = MAX_JUMPS


def select_jump(
    routes: Mapping[Any, Task[..., Any] | LazyResult[Any] | None], *, max_jumps: int = MAX_JUMPS
) -> JumpSelector:
    """Say where the jumps of a loop may lead.

    Args:
        routes: by key, a task to call next, a lazy result (its task is called with its arguments, those that come with
            the jump instead of the same ones), or None: the loop ends.
        max_jumps: after more of them the loop fails with a `JumpError`.

    Raises:
        JumpError: when a route leads to something else.
    """
    if not isinstance(routes, Mapping) or not routes:
        raise JumpError.for_routes(routes)
    if isinstance(max_jumps, bool) or not isinstance(max_jumps, int) or max_jumps < 1:
        raise ValueError(f"max_jumps is a whole number of at least 1, not {max_jumps!r}.")
    for key, target in routes.items():
        plain = isinstance(target, LazyResult) and not isinstance(target, (LazyMap, LazyItem))
        if target is not None and not plain and not isinstance(target, Task):
            raise JumpError.for_route(key, target)
    return JumpSelector(dict(routes), max_jumps)


def bind(call: LazyResult[Any], jumps: JumpSelector) -> LazyResult[Any]:
    """Return `call` as the start of a loop: whenever it returns a `Jump`, `jumps` says what is called next.

    The loop is one node with one value: the data of the jump that ended it, or the first value that is no jump. Each
    turn is an attempt of its own: it may be retried, its timeout is its own, and between turns the run can be paused,
    limited and cancelled. A million turns take no more memory than one.

    Example:
        >>> import cascade as cs
        >>> @cs.task
        ... def halve(n, steps=0):
        ...     if n == 1: return cs.Jump("done", data=steps)
        ...     return cs.Jump("again", data={"n": n // 2, "steps": steps + 1})
        >>> loop = cs.bind(halve(1024), cs.select_jump({"again": halve, "done": None}))
        >>> cs.run(loop, log_level="ERROR")
        10
    """
    if not isinstance(jumps, JumpSelector):
        raise JumpError.for_selector(jumps)
    if not isinstance(call, LazyResult) or isinstance(call, (LazyMap, LazyItem)):
        raise JumpError.for_start(call)
    return call._with((call._options or PLAIN).but(jump=jumps))  # noqa: SLF001 - its own kind
