"""What a type checker knows of tasks and lazy results. Checked by mypy (test_typing.py), never run."""

from __future__ import annotations

from typing import assert_type

import cascade as cs
from cascade.spec.lazy_types import LazyMap


@cs.task
def count(text: str, times: int = 1) -> int:
    """A task with a default."""
    return len(text) * times


@cs.task
async def fetch(url: str) -> bytes:
    """A task on the event loop."""
    return url.encode()


@cs.task(pure=True, mode="compute")
def halve(x: float) -> float:
    """A task with options."""
    return x / 2


# Calling gives a lazy result of what the function returns; async functions of what they return in the end.
assert_type(count("a"), cs.LazyResult[int])
assert_type(count("a", times=2), cs.LazyResult[int])
assert_type(fetch("u"), cs.LazyResult[bytes])
assert_type(halve(1.0), cs.LazyResult[float])

# The methods keep the type.
assert_type(count("a").with_retry(max_attempts=3).named("n").after(fetch("u")), cs.LazyResult[int])

# A map gives a list.
assert_type(count.map(text=["a", "b"]), LazyMap[int])

# Lazy results, Params, Envs, Routers and injections may stand where a value may.
assert_type(halve(count("a")), cs.LazyResult[float])
assert_type(count(fetch("u"), times=count("b")), cs.LazyResult[int])
assert_type(halve(cs.Param("x", default=1.0, type=float)), cs.LazyResult[float])
assert_type(count(cs.Env("USER"), times=cs.inject("times")), cs.LazyResult[int])
assert_type(halve(cs.Router(selector=count("a"), routes={1: 1.0})), cs.LazyResult[float])

# Wrong arguments are found before anything runs.
count(1)  # type: ignore[arg-type]
count("a", tims=2)  # type: ignore[call-arg]
count()  # type: ignore[call-arg]
