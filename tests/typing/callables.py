"""What a type checker knows of tasks made of other things than a `def`. Checked by mypy (test_typing.py), never run."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar, assert_type

import cascade as cs
from cascade.spec.lazy_types import LazyMap

P = ParamSpec("P")
R = TypeVar("R")


class Caller:
    """An object that can be called."""

    def __call__(self, x: int) -> str:
        """Do so."""
        return str(x)


class AsyncCaller:
    """An object that can be awaited for."""

    async def __call__(self, x: int) -> str:
        """Do so."""
        return str(x)


def add(x: int, y: int) -> int:
    """A function that stays what it is."""
    return x + y


def timed(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate as people do."""

    @functools.wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **kwargs)

    return inner


# Objects, built-in functions, bound methods, lambdas and partials.
assert_type(cs.task(Caller())(1), cs.LazyResult[str])
assert_type(cs.task(AsyncCaller())(1), cs.LazyResult[str])
assert_type(cs.task(len)("ab"), cs.LazyResult[int])
assert_type(cs.task("a,b".split)(","), cs.LazyResult[list[str]])
assert_type(cs.task(functools.partial(add, 1))(2), cs.LazyResult[int])
assert_type(cs.task(add)(1, 2), cs.LazyResult[int])
cs.task(Caller())("1")  # type: ignore[arg-type]
cs.task(add)(1, "2")  # type: ignore[arg-type]
cs.task(3)  # type: ignore[call-overload]


@cs.task
@timed
def decorated(x: int, *, y: str = "") -> float:
    """A task of a decorated function."""
    return 1.0


@cs.task
@timed
async def decorated_later(x: int) -> float:
    """A task of a decorated coroutine function."""
    return 1.0


@cs.task(name="n")
async def with_options(x: int, /, *rest: int, key: str, **more: float) -> list[str]:
    """Every kind of parameter."""
    return []


@cs.task
def double(x: int) -> int:
    """A plain task."""
    return 2 * x


@cs.resource
def database() -> Iterator[dict[str, int]]:
    """Something with a lifetime."""
    yield {}


@cs.task
def with_defaults(x: int, db: dict[str, int] = cs.inject("database"), n: int = cs.Param("n", default=1)) -> int:
    """What is left out comes from the run."""
    return x


@cs.task
def anything(x: Any) -> Any:
    """A task about which nothing is known."""
    return x


@cs.task
def outer(x: int) -> cs.LazyResult[int]:
    """A task that returns a lazy result."""
    return double(x)


assert_type(decorated(1, y="a"), cs.LazyResult[float])
assert_type(decorated_later(1), cs.LazyResult[float])
assert_type(with_options(1, 2, 3, key="a", z=0.5), cs.LazyResult[list[str]])
decorated(1, "a")  # type: ignore[call-arg]
decorated_later("1")  # type: ignore[arg-type]
with_options(1, 2)  # type: ignore[call-arg]
with_options(x=1, key="a")  # type: ignore[call-arg]
with_options(1, "2", key="a")  # type: ignore[arg-type]

assert_type(with_defaults(1), cs.LazyResult[int])
assert_type(with_defaults(1, cs.inject(database), n=2), cs.LazyResult[int])
assert_type(with_defaults(1, n=cs.Param("m", default=2)), cs.LazyResult[int])
with_defaults(1, n="2")  # type: ignore[arg-type]
with_defaults(1, "db")  # type: ignore[arg-type]

assert_type(anything(1), cs.LazyResult[Any])
assert_type(decorated.func(1, y="a"), Any)
decorated.func("1")  # type: ignore[arg-type]

# Items, maps, and the refinements of both.
assert_type(with_options(1, key="a")[0], Any)  # type: ignore[assert-type] # an item, of which nothing is known
assert_type(decorated.map([1, 2], y=cs.unmapped("a")), LazyMap[float])
assert_type(decorated_later.map([1, 2], max_concurrency=2, on_error="collect"), LazyMap[float])
assert_type(decorated.map([1]).named("n").with_retry(2).run_if(anything(1)), cs.LazyResult[list[float]])
decorated.map([1], on_error="skip")  # type: ignore[arg-type]
decorated.map([1], max_concurrency="2")  # type: ignore[arg-type]

# Routers and loops stand for any value.
assert_type(decorated(cs.Router(anything(1), {1: double(1)}, default=0)), cs.LazyResult[float])
cs.Router(routes=[1], selector=1)  # type: ignore[arg-type]

# Composing.
total: cs.LazyResult[int] = double(double(1))
fitting: Callable[[int], cs.LazyResult[int]] = double
unfit: Callable[[str], cs.LazyResult[int]] = double  # type: ignore[assignment]
