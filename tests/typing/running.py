"""What a type checker knows of runs. Checked by mypy (test_typing.py), never run."""

from __future__ import annotations

from typing import Any, assert_type

import cascade as cs


@cs.task
def count(text: str) -> int:
    """A task."""
    return len(text)


@cs.task
async def fetch(url: str) -> bytes:
    """A task on the event loop."""
    return url.encode()


class Model:
    """Something with a method."""

    @cs.task
    def fit(self, x: int) -> float:
        """A method."""
        return float(x)


# One lazy result gives its value; a map a list; a loop, an item or a Router anything.
assert_type(cs.run(count("a")), int)
assert_type(cs.run(fetch("u"), {"alpha": 1}, log_level=None, timeout=3), bytes)
assert_type(cs.run(Model().fit(1), system_resources={"gpu": 1}, on_failure="continue"), float)
assert_type(cs.run(count.map(["a"]), log_format="json"), list[int])
assert_type(cs.run(count("a").with_retry(2).named("n")), int)
assert_type(cs.run(count("a")["k"]), Any)
assert_type(cs.run(cs.Router(count("a"), {1: count("b")})), Any)
assert_type(cs.run(cs.bind(count("a"), cs.select_jump({"again": count, "end": None}))), Any)
assert_type(cs.run(cs.with_constraints(count("a"), gpu=1)), int)

# Lists, tuples and dicts keep their shape, which no type says.
assert_type(cs.run([count("a"), fetch("u")]), Any)
assert_type(cs.run({"a": count("a")}), Any)


async def use() -> None:
    """The same on the caller's own loop."""
    assert_type(await cs.arun(count("a"), timeout=1.0), int)
    assert_type(await cs.arun([count("a")]), Any)


# Settings are checked.
cs.run(count("a"), timeout="soon")  # type: ignore[call-overload]
cs.run(count("a"), on_failur="cancel")  # type: ignore[call-overload]
cs.run(count("a"), system_resources={"gpu": "one"})  # type: ignore[dict-item]
cs.run()  # type: ignore[call-overload]
