"""Mistakes that workflow kits are known to make, one test each, by its name and from end to end.

Most of what is meant here is tested closer to its place as well; these say in a page what must never come back.
"""

from __future__ import annotations

import asyncio
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any

import pytest

import cascade as cs
from cascade.graph.build import build
from cascade.interfaces import events as ev
from cascade.interfaces.exceptions import NodeTimeoutError, TaskExitError
from cascade.spec.constraint import GlobalConstraint

QUIET: dict[str, Any] = {"log_level": None, "timeout": 20}
SOON = 10.0  # seconds after which a test that waits for something has failed


@pytest.fixture(autouse=True)
def _own_context(own_context: None) -> None:
    """What a test defines is forgotten after it."""


@cs.task
def same(x: Any) -> Any:
    """Give back what comes in, from a thread."""
    return x


@cs.task(mode="inline")
def step(x: Any, *more: Any) -> Any:
    """The smallest step."""
    return x


def noting(into: list[Any], name: str | None = None, **options: Any) -> Any:
    """A task that writes down what it got, and gives it back."""

    def note(x: Any = None) -> Any:
        into.append(x)
        return x

    return cs.task(name=name or "note", **options)(note)


# -- what is meant -----------------------------------------------------------------------------------------------------


def test_default_of_a_param_is_ignored() -> None:
    """A Param that nobody gives has its default."""
    assert cs.run([same(cs.Param("alpha", default=0.5)), same(cs.Param("none", default=None))], **QUIET) == [0.5, None]


def test_type_of_a_param_is_not_applied() -> None:
    """What is given is converted to the type, that of the default where none is said, and so is the default."""
    typed, guessed, default = cs.Param("n", type=int), cs.Param("flag", default=True), cs.Param("x", "2", type=float)
    values = cs.run([same(typed), same(guessed), same(default)], params={"n": "8", "flag": "no"}, **QUIET)
    assert [(value, type(value)) for value in values] == [(8, int), (False, bool), (2.0, float)]


def test_lazy_results_in_containers_crash() -> None:
    """In lists, tuples, dicts (keys too), sets and each other, as arguments and as targets."""
    one = same(1)
    held = {"list": [one, [same(2)]], "tuple": (one,), one: "key", "set": {one}}
    assert cs.run(same(held), **QUIET) == {"list": [1, [2]], "tuple": (1,), 1: "key", "set": {1}}
    assert cs.run({"a": [one, (one, {"b": one})]}, **QUIET) == {"a": [1, (1, {"b": 1})]}


def test_unselected_branch_of_a_router_runs() -> None:
    """Only the chosen route runs, and what only the others need does not run either."""
    ran: list[Any] = []
    note = noting(ran)
    router = cs.Router(selector=same("a"), routes={"a": note("a"), "b": note(note("b"))}, default=note("c"))
    assert cs.run(same(router), **QUIET) == "a"
    assert ran == ["a"]


def test_two_routers_in_one_call_fail() -> None:
    """Routers beside each other, and in each other, choose for themselves."""
    both = [cs.Router(same(key), {"x": same(1), "y": same(2)}) for key in ("x", "y")]
    assert cs.run(step(cs.Router(same("x"), {"x": both[1]}), *both), **QUIET) == 2
    assert cs.run(same([both, both[0]]), **QUIET) == [[1, 2], 1]


def test_equal_repr_is_taken_for_the_same_pure_call() -> None:
    """Two objects that print alike are two arguments, and a text is not the number that it shows."""

    class Alike:
        def __init__(self, value: int) -> None:
            self.value = value

        def __repr__(self) -> str:
            return "Alike()"

    read = cs.task(pure=True)(lambda alike: getattr(alike, "value", alike))
    calls = [read(Alike(1)), read(Alike(2)), read(1), read("1"), read(True), read(1.0)]
    assert len(build(calls)) == 6
    assert repr(cs.run(calls, **QUIET)) == repr([1, 2, 1, "1", True, 1.0])


def test_equal_name_is_taken_for_the_same_pure_call() -> None:
    """Two functions of one name, even of one qualified name, are two tasks."""

    def make(n: int) -> Any:
        @cs.task(pure=True, name="shared")
        def inner(x: int) -> int:
            return n * x

        return inner

    assert cs.run([make(2)(3), make(5)(3)], **QUIET) == [6, 15]


def run_cell(module: ModuleType, source: str) -> None:
    """Do what a notebook does with a cell."""
    exec(compile(source, "<cell>", "exec"), vars(module))


def test_redefined_function_in_a_cell_runs_the_old_one() -> None:
    """A cell that is run again with other code is what later calls run, also through tasks of other cells."""
    module = ModuleType("a_notebook")
    run_cell(module, "import cascade as cs\n@cs.task(pure=True)\ndef load(): return helper()\ndef helper(): return 1")
    run_cell(module, "def run(): return cs.run(load(), log_level=None)")
    assert module.run() == 1
    run_cell(module, "def helper(): return 2")
    assert module.run() == 2
    run_cell(module, "@cs.task(pure=True)\ndef load(): return 3")
    assert module.run() == 3


# -- how it ends -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [False, True])
def test_max_attempts_3_runs_four_times(is_async: bool) -> None:
    """`max_attempts` counts all attempts, the first too."""
    tries: list[int] = []

    def fail() -> None:
        tries.append(1)
        raise ValueError(f"no {len(tries)}")

    async def fail_later() -> None:
        fail()

    with pytest.raises(ValueError, match="no 3"):
        cs.run(cs.task(fail_later if is_async else fail)().with_retry(max_attempts=3), **QUIET)
    assert len(tries) == 3


def test_skipped_node_hands_its_input_on_as_its_output() -> None:
    """A skipped node has no value: who needs it is skipped too, unless it has something to fall back on."""
    ran: list[Any] = []
    skipped = same(7).run_if(False)
    with pytest.raises(cs.DependencyMissingError):
        cs.run(noting(ran)(skipped), **QUIET)
    assert cs.run(noting(ran)(skipped).with_fallback("instead"), **QUIET) == "instead"
    assert cs.run(noting(ran)(skipped.with_fallback(0)), **QUIET) == 0
    assert ran == [0]


@pytest.mark.parametrize("is_async", [False, True])
def test_siblings_go_on_after_a_failure_and_use_closed_resources(is_async: bool) -> None:
    """A resource is closed when the last task that uses it has really ended, be it stopped or not to be stopped."""
    begun, failed, closed, ended = (threading.Event() for _ in range(4))
    found_closed: list[bool] = []

    @cs.resource
    def connection() -> Iterator[threading.Event]:
        try:
            yield closed
        finally:
            closed.set()

    def use(state: threading.Event) -> None:
        begun.set()
        assert failed.wait(SOON)
        until = time.perf_counter() + 0.1
        while time.perf_counter() < until:  # it goes on, deaf to the failure beside it
            found_closed.append(state.is_set())
        ended.set()

    async def use_later(state: threading.Event) -> None:
        begun.set()
        try:
            await asyncio.sleep(SOON)
        finally:
            found_closed.append(state.is_set())
            ended.set()

    def fail() -> None:
        assert begun.wait(SOON)
        failed.set()
        raise ValueError("beside it")

    with pytest.raises(ValueError, match="beside it"):
        cs.run([cs.task(use_later if is_async else use)(cs.inject("connection")), cs.task(fail)()], **QUIET)
    assert ended.wait(SOON)
    assert closed.wait(SOON)
    assert found_closed
    assert not any(found_closed)


def failing_with(resource: Callable[..., Any]) -> BaseException:
    """What a run raises whose only task fails with `resource` in its hands."""
    made = cs.resource(name="connection")(resource)

    def fail(_: Any) -> None:
        raise ValueError("the task's own")

    with pytest.raises((ValueError, ExceptionGroup)) as caught:
        cs.run(cs.task(fail)(made), **QUIET)
    return caught.value


def test_teardown_error_hides_the_error_of_the_task() -> None:
    """Both are told, the task's first."""

    def connection() -> Iterator[int]:
        try:
            yield 1
        finally:
            raise OSError("cannot close")

    error = failing_with(connection)
    assert isinstance(error, ExceptionGroup)
    assert [type(each) for each in error.exceptions] == [ValueError, OSError]


def test_commit_branch_of_a_resource_runs_on_failure() -> None:
    """The failure is thrown in at the `yield`: `except` rolls back and `else` does not commit; a clean end does."""
    done: list[str] = []

    def transaction() -> Iterator[int]:
        try:
            yield 1
        except ValueError:
            done.append("rollback")
            raise
        else:
            done.append("commit")

    failing_with(transaction)
    assert done == ["rollback"]
    cs.run(same(cs.resource(transaction)), **QUIET)
    assert done == ["rollback", "commit"]


@pytest.mark.parametrize("mode", ["inline", "blocking", "async"])
def test_system_exit_in_a_task_ends_the_loop(mode: Any) -> None:
    """It is an ordinary failure of its node; the caller's loop, and the program, go on."""

    def leave() -> None:
        sys.exit(3)

    async def leave_later() -> None:
        leave()

    task = cs.task(leave_later) if mode == "async" else cs.task(mode=mode)(leave)

    async def main() -> str:
        with pytest.raises(TaskExitError):
            await cs.arun(task(), **QUIET)
        await asyncio.sleep(0)
        return str(await cs.arun(same("still here"), **QUIET))

    assert asyncio.run(main()) == "still here"


def test_subscribers_that_raise_kill_the_run() -> None:
    """The run ends well, and subscribers beside the broken one hear all of it."""
    heard: list[Any] = []

    def broken(event: Any) -> None:
        raise RuntimeError("a bad subscriber")

    assert cs.run(same(1), subscribers=[broken, heard.append, (ev.NodeStarted, broken)], **QUIET) == 1
    assert isinstance(heard[0], ev.RunStarted)
    assert isinstance(heard[-1], ev.RunFinished)


# -- capacities and limits ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["inline", "blocking"])
def test_slot_held_by_a_map_while_its_items_need_it(mode: Any) -> None:
    """A map takes nothing for itself: its items take the one slot in turn, and nothing waits for itself."""
    work = cs.task(mode=mode, constraints={"gpu": 1})(lambda x: x + 1)
    inner = work.map([1, 2, 3])
    assert cs.run(work.map(inner, max_concurrency=2), system_resources={"gpu": 1}, **QUIET) == [3, 4, 5]


def test_slot_of_a_cancelled_thread_is_given_away_while_it_runs() -> None:
    """A thread that does not stop keeps its slot after its time is over: two run under a limit of two, never four."""
    release, crowd = threading.Event(), threading.Event()
    lock, running, most = threading.Lock(), 0, 0

    def work(stubborn: bool) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        if not stubborn:
            crowd.set()
        assert not stubborn or release.wait(SOON)
        with lock:
            running -= 1

    task = cs.task(constraints={"slot": 1})(work)
    late = threading.Semaphore(0)
    deaf = [task(True).with_timeout(0.05).named(f"deaf{i}") for i in range(2)]
    wide = [task(False).after(same(0)).named(f"next{i}") for i in range(2)]
    handle = cs.start(
        [*deaf, *wide],
        system_resources={"slot": 2},
        on_failure="continue",
        subscribers=[(ev.NodeFailed, lambda _: late.release())],
        log_level=None,
    )
    try:
        assert late.acquire(timeout=SOON)
        assert late.acquire(timeout=SOON)  # the time of both is over, and both run on
        assert not crowd.wait(0.1)
    finally:
        release.set()
    error = handle.exception(SOON)
    assert isinstance(error, ExceptionGroup)
    assert {type(each) for each in error.exceptions} == {NodeTimeoutError}
    assert crowd.is_set()
    assert most == 2


def held_back(*limits: GlobalConstraint) -> tuple[cs.Run, list[threading.Event], threading.Event]:
    """Start three steps in a row, of which the first waits until the limits are in force."""
    gate, ran = threading.Event(), [threading.Event() for _ in range(3)]

    def go(number: int, before: Any = None) -> None:
        if not number:
            assert gate.wait(SOON)
        ran[number].set()

    limited = cs.task(name="limited")(go)
    first = cs.task(name="first")(go)(0)
    handle = cs.start(limited(2, limited(1, first)), log_level=None)
    for limit in limits:
        handle.set_limit(limit)
    in_force = threading.Semaphore(0)
    handle.subscribe(lambda _: in_force.release(), kind=ev.LimitSet, batched=False)
    for _ in limits:
        assert in_force.acquire(timeout=SOON)
    return handle, ran, gate


def test_rate_of_10_per_minute_never_lets_anything_through() -> None:
    """One may start at once; the next waits its six seconds, or until the limit is gone."""
    handle, ran, gate = held_back(GlobalConstraint("slow", "task:limited", "rate_limit", {"rate": "10/m"}))
    gate.set()
    assert ran[1].wait(SOON)
    assert not ran[2].wait(0.05)
    handle.remove_limit("slow")
    handle.result(SOON)
    assert ran[2].is_set()


@pytest.mark.parametrize(
    ("kind", "params"), [("pause", {}), ("concurrency", {"limit": 1}), ("rate_limit", {"rate": "1/d"})]
)
def test_expired_limit_blocks_for_ever(kind: str, params: dict[str, Any]) -> None:
    """A limit whose time is over when it arrives holds nobody."""
    limit = GlobalConstraint("old", "global", kind, params, expires_at=time.time() - 60)
    handle, ran, gate = held_back(limit)
    gate.set()
    handle.result(SOON)
    assert all(each.is_set() for each in ran)


# -- large and shown ---------------------------------------------------------------------------------------------------


def test_labels_are_not_escaped_in_dot() -> None:
    """Whatever a node is called, the name stays one quoted text: it ends no statement and starts none."""
    evil = 'a"]; evil [label="\\"; b\\\nevil -> evil\r\n"\\'
    calls = [same(cs.Param(evil, default=evil)).named(evil), cs.Router(same(1).named(evil), {evil: 1, 1: 2}, name=evil)]
    text = str(cs.visualize(calls))
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', '""', text, flags=re.DOTALL)
    assert "evil" in text
    assert "evil" not in outside
    assert outside.count('"') % 2 == 0
    assert Counter(outside)["{"] == Counter(outside)["}"]


@pytest.mark.slow
def test_deep_chain_of_100_000_raises_recursion_error() -> None:
    """A chain far deeper than Python's stack is built, run, written, read and run again."""
    last = step(1)
    for _ in range(99_999):
        last = step(last)
    assert len(build(last)) == 100_000
    assert cs.run(last, log_level=None) == 1
    cs.get_current_context().tasks[step.key] = step  # type: ignore[assignment]
    assert cs.run(cs.from_json(cs.to_json(last)), log_level=None) == 1


def mesh(nodes: int) -> Any:
    """A graph in which each step needs the three before it, and the target all of them."""
    made = [step(0), step(1), step(2)]
    for _ in range(nodes - 3):
        made.append(step(made[-1], made[-2], made[-3]))
    return step(made)


def seconds(act: Callable[[], object]) -> float:
    """The time of this process for `act`, the best of a few."""
    times = []
    for _ in range(3):
        before = time.process_time()
        act()
        times.append(time.process_time() - before)
    return min(times)


@pytest.mark.slow
@pytest.mark.parametrize(
    "act",
    [build, cs.to_json, partial(cs.run, log_level=None), lambda target: str(cs.visualize(target))],
    ids=["build", "write", "run", "draw"],
)
def test_edges_are_scanned_in_quadratic_time(act: Callable[[Any], object]) -> None:
    """Ten times the nodes take about ten times as long, never a hundred times."""
    sizes = (300, 3_000) if act not in (build, cs.to_json) else (2_000, 20_000)
    small, large = (mesh(size) for size in sizes)
    assert seconds(lambda: act(large)) < 25 * max(seconds(lambda: act(small)), 0.002)
