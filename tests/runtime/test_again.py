"""Running a failed run again: what is kept, what runs, and with which definitions."""

from __future__ import annotations

from typing import Any

import pytest

import cascade as cs
from cascade.interfaces.events import ItemsRecalled, NodeRecalled, NodeSkipped
from cascade.interfaces.retry_errors import RetryError

pytestmark = pytest.mark.usefixtures("own_context")


def start(target: Any, **options: Any) -> Any:
    """Start a quiet run and wait for its end."""
    run = cs.start(target, log_level=None, **options)
    run.wait(20)
    return run


def again(run: Any) -> Any:
    """Retry a run and wait for its end."""
    made = run.retry()
    made.wait(20)
    return made


def define(source: str, space: dict[str, Any]) -> None:
    """Run the code of a notebook cell."""
    exec(compile(source, "<cell>", "exec"), space)


def chain(calls: list[Any], ready: list[int], mode: str | None = None) -> Any:
    """A source, a map with one bad item, and what needs it."""

    @cs.task(mode=mode)
    def load() -> list[int]:
        calls.append("load")
        return list(range(6))

    @cs.task(mode=mode)
    def clean(xs: list[int]) -> list[int]:
        calls.append("clean")
        return xs

    @cs.task(mode=mode)
    def fit(i: int) -> int:
        calls.append(i)
        if i == 4 and not ready:
            raise ValueError("bad")
        return i * i

    @cs.task(mode=mode)
    def join(xs: list[int]) -> int:
        calls.append("join")
        return sum(xs)

    return join(fit.map(clean(load()), max_concurrency=None if mode else 1))


@pytest.mark.parametrize("mode", [None, "inline"])
def test_only_what_did_not_complete_runs_again(mode: str | None) -> None:
    """Impure nodes and items of a map that completed keep their values, also through a second retry."""
    calls: list[Any] = []
    ready: list[int] = []
    first = start(chain(calls, ready, mode))
    assert first.state == "failed"
    calls.clear()
    second = again(first)
    assert second.state == "failed"
    assert calls == [4]
    ready.append(1)
    calls.clear()
    third = again(second)
    assert third.result(0) == 55
    assert calls == [4, 5, "join"]
    kept = [e for e in third.events if isinstance(e, NodeRecalled)]
    assert [(e.node, e.kept, e.made_by) for e in kept] == [("clean", True, second.run_id)]
    assert [(e.count, e.kept) for e in third.events if isinstance(e, ItemsRecalled)] == [(4, True)]
    skipped = [e.reason for e in third.events if isinstance(e, NodeSkipped)]
    assert skipped == ["only 'clean' needs it, which was kept from the run before"]


def test_a_cancelled_run_goes_on_where_it_stopped() -> None:
    """What had completed when it was cancelled is kept; what was never asked for is kept through two retries."""
    calls: list[str] = []
    stops = [1, 1]

    @cs.task
    def one() -> int:
        calls.append("one")
        return 1

    @cs.task
    def two(x: int) -> int:
        calls.append("two")
        if stops:
            stops.pop()
            box[0].cancel("enough")
        return x + 1

    @cs.task
    def three(x: int, y: int) -> int:
        return x + y

    box: list[Any] = [None]
    base = one()
    import threading

    gate = threading.Event()

    @cs.task
    def hold() -> int:
        gate.wait(10)
        return 5

    box[0] = run = cs.start(three(two(base).after(hold()), base), log_level=None)
    gate.set()
    run.wait(20)
    assert run.state == "cancelled"
    calls.clear()
    stops.clear()
    assert again(run).result(0) == 3
    assert "one" not in calls


def test_tasks_are_taken_as_they_are_defined_now() -> None:
    """A fixed function is used; one that completed runs again only if its own code changed."""
    space: dict[str, Any] = {"cs": cs, "calls": [], "__name__": "cells"}
    define(
        "@cs.task\ndef load(): calls.append('load'); return 4\n"
        "@cs.task\ndef half(x): calls.append('half'); return x / 2\n"
        "@cs.task\ndef broken(x): calls.append('broken'); return x / 0",
        space,
    )
    first = start(space["broken"](space["half"](space["load"]())))
    assert isinstance(first.exception(0), ZeroDivisionError)
    space["calls"].clear()
    define(
        "@cs.task\ndef load(): calls.append('load'); return 4  # the same\n"
        "@cs.task\ndef broken(x): calls.append('fixed'); return x / 1",
        space,
    )
    assert again(first).result(0) == 2
    assert space["calls"] == ["fixed"]
    space["calls"].clear()
    define("@cs.task\ndef half(x): calls.append('third'); return x / 3", space)
    assert again(first).result(0) == pytest.approx(4 / 3)
    assert space["calls"] == ["load", "third", "fixed"]


def test_functions_that_share_a_name_are_not_mixed_up() -> None:
    """Tasks made inside of another function keep their own closure."""

    def make(n: int) -> Any:
        @cs.task
        def step(x: int) -> int:
            if failing:
                raise ValueError("not yet")
            return x * n

        return step

    failing = [1]
    run = start([make(2)(10), make(3)(10)], on_failure="continue")
    failing.clear()
    assert again(run).result(0) == [20, 30]


def test_a_fallback_after_a_failure_is_not_kept() -> None:
    """Its node may have its own value this time."""
    failing = [1]

    @cs.task
    def shaky() -> int:
        if failing:
            raise OSError("away")
        return 7

    @cs.task
    def other() -> int:
        if failing:
            raise ValueError("bad")
        return 1

    run = start([shaky().with_fallback(0), other()], on_failure="continue")
    failing.clear()
    assert again(run).result(0) == [7, 1]


def test_routes_conditions_and_stores_go_together(tmp_path: Any) -> None:
    """A retry with a Router, a run_if and a store gives what a run without a failure gives."""
    failing = [1]
    calls: list[str] = []

    @cs.task(pure=True)
    def stored(x: int) -> int:
        calls.append("stored")
        return x + 1

    @cs.task
    def key(x: int) -> str:
        return "big" if x > 3 else "small"

    @cs.task
    def shaky(x: int) -> int:
        if failing:
            raise ValueError("bad")
        return x * 10

    @cs.task
    def never() -> int:
        raise AssertionError("not chosen")

    base = stored(4)
    target = {"route": cs.Router(key(base), {"big": shaky(base), "small": never()}), "if": base.run_if(key(base))}
    run = start(target, cache=tmp_path / "store")
    failing.clear()
    calls.clear()
    assert again(run).result(0) == {"route": 50, "if": 5}
    assert calls.count("stored") <= 1


def test_params_are_those_of_the_run() -> None:
    """What was given by name counts again."""
    failing = [1]

    @cs.task
    def scale(x: int) -> int:
        if failing:
            raise ValueError("bad")
        return 2 * x

    run = start(scale(cs.Param("x", type=int)), params={"x": "21"})
    failing.clear()
    assert again(run).result(0) == 42


def test_what_cannot_be_retried_says_so() -> None:
    """A run that completed, and one that goes on."""
    import threading

    gate = threading.Event()

    @cs.task
    def wait() -> bool:
        return gate.wait(10)

    run = cs.start(wait(), log_level=None)
    with pytest.raises(RetryError, match="still goes on"):
        run.retry()
    gate.set()
    assert run.result(10) is True
    with pytest.raises(RetryError, match="has completed"):
        run.retry()


def test_a_graph_that_grew_begins_again_where_it_grew() -> None:
    """What a task returned lazily runs again as a whole; what was before it is kept."""
    failing = [1]
    calls: list[str] = []

    @cs.task
    def first() -> int:
        calls.append("first")
        return 2

    @cs.task
    def inner(x: int) -> int:
        calls.append("inner")
        if failing:
            raise ValueError("bad")
        return x * 100

    @cs.task
    def grow(x: int) -> Any:
        calls.append("grow")
        return inner(x)

    run = start(grow(first()))
    failing.clear()
    calls.clear()
    assert again(run).result(0) == 200
    assert calls == ["grow", "inner"]
