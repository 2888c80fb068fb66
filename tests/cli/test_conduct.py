from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import cascade as cs
from cascade.cli import conduct as conducting
from cascade.cli.conduct import DONE, FAILED, INTERRUPTED, SKIPPED, Setup, conduct, describe_error, leaves
from cascade.cli.reading import Orders
from cascade.graph.build import build
from cascade.interfaces.exceptions import CapacityError
from cascade.runtime.run import Run

SOON = 5.0


def orders(params: Any = None, capacities: Any = None) -> Orders:
    return Orders(params or {}, capacities or {}, None, "CRITICAL", "human")


def setup_of(target: Any, **changes: Any) -> Setup:
    return Setup(target, build(target), {}, **changes)


@cs.task
def give(x: Any = 1) -> Any:
    return x


@cs.task
def fail(text: str = "no") -> None:
    raise ValueError(text)


@pytest.fixture
def stuck() -> Iterator[Any]:
    """A task in a thread that goes on until the test lets it go."""
    entered, free = threading.Event(), threading.Event()

    def wait(db: Any = None) -> None:
        entered.set()
        free.wait(SOON)

    task = cs.task(wait, name="stuck")
    task.entered, task.free = entered, free  # type: ignore[attr-defined]
    yield task
    free.set()


def interrupt_at(event: threading.Event, monkeypatch: pytest.MonkeyPatch, times: int = 1) -> None:
    """Let the first waits for the run raise what Ctrl-C raises, once `event` has come."""
    left = [None] * times
    wait = Run.wait

    def interrupted(self: Run, timeout: float | None = None) -> bool:
        if left:
            left.pop()
            assert event.wait(SOON)
            raise KeyboardInterrupt
        return wait(self, timeout)

    monkeypatch.setattr(Run, "wait", interrupted)


# -- endings --------------------------------------------------------------------------------------------------------


def test_endings() -> None:
    """A value, a failure, a skipped target: each has its exit code and its words."""
    done = conduct(setup_of(give(3)), orders())
    assert (done.code, done.value, done.said) == (DONE, 3, "")
    failed = conduct(setup_of(fail()), orders())
    assert failed.code == FAILED
    assert "ValueError: no" in failed.said
    skipped = conduct(setup_of(give().run_if(False)), orders())
    assert skipped.code == SKIPPED
    assert skipped.said.startswith("'give' has no value: its run_if is false")
    assert (DONE, FAILED, SKIPPED, INTERRUPTED) == (0, 1, 3, 130)


def test_definitions_are_not_failures() -> None:
    """What is wrong before anything runs is raised."""
    with pytest.raises(CapacityError):
        conduct(setup_of(give().with_constraints(gpu=1)), orders(capacities={"cpu": 1}))


def test_params_and_capacities_reach_the_run() -> None:
    """The values as typed, to be converted by the run."""
    target = give(cs.Param("n", type=int)).with_constraints(gpu=1)
    assert conduct(setup_of(target), orders(params={"n": "4"}, capacities={"gpu": 1})).value == 4


# -- interrupts -----------------------------------------------------------------------------------------------------


def test_an_interrupt_cancels_and_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is cancelled, and its resources are closed before it is said."""
    entered = threading.Event()
    closed: list[str] = []

    @cs.resource
    def db() -> Iterator[str]:
        try:
            yield "db"
        finally:
            closed.append("db")

    @cs.task
    async def for_ever(db: str) -> None:
        import asyncio

        entered.set()
        await asyncio.Event().wait()

    interrupt_at(entered, monkeypatch)
    ending = conduct(setup_of(for_ever(cs.inject("db"))), orders())
    assert (ending.code, ending.said) == (INTERRUPTED, "The run 'for_ever' was interrupted and is cancelled.")
    assert closed == ["db"]


@pytest.mark.slow
def test_what_cannot_be_stopped_is_waited_for(stuck: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that uses a resource may end, and the resource is closed, before the program goes on."""
    closed: list[str] = []

    @cs.resource
    def db() -> Iterator[str]:
        try:
            yield "db"
        finally:
            closed.append("db")

    interrupt_at(stuck.entered, monkeypatch)
    look = conducting._open_resources

    def look_and_free(run: Run) -> set[str]:
        found = look(run)
        stuck.free.set()
        return found

    monkeypatch.setattr(conducting, "_open_resources", look_and_free)
    ending = conduct(setup_of(stuck(cs.inject("db"))), orders())
    assert ending.said == "The run 'stuck' was interrupted and is cancelled. Not stopped in time: stuck."
    assert closed == ["db"]


@pytest.mark.slow
@pytest.mark.parametrize("scope", ["run", "session"])
def test_what_does_not_end_is_named(stuck: Any, monkeypatch: pytest.MonkeyPatch, scope: Any) -> None:
    """The program does not wait for ever, and names what it leaves; what outlives the run is not waited for at all."""

    @cs.resource(scope=scope)
    def db() -> Iterator[str]:
        yield "db"

    interrupt_at(stuck.entered, monkeypatch)
    monkeypatch.setattr(conducting, "GRACE", 1.0)
    began = time.monotonic()
    ending = conduct(setup_of(stuck(cs.inject("db"))), orders())
    assert ending.code == INTERRUPTED
    assert ending.said.endswith("Not stopped in time: stuck." + (" Not closed: db." if scope == "run" else ""))
    assert time.monotonic() - began < SOON / 2
    stuck.free.set()


def test_a_second_interrupt_leaves_at_once(stuck: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who interrupts twice does not wait."""
    interrupt_at(stuck.entered, monkeypatch, times=2)
    began = time.monotonic()
    ending = conduct(setup_of(stuck()), orders())
    assert ending.said == "The run 'stuck' was interrupted twice and is left as it is."
    assert time.monotonic() - began < SOON / 2
    stuck.free.set()


def test_an_interrupt_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the graph is being checked nothing has to be cancelled."""

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(conducting, "start", interrupted)
    assert conduct(setup_of(give()), orders()).said == "Interrupted before anything ran."


@pytest.mark.skipif(os.name == "nt", reason="only on systems that can signal themselves")
def test_an_interrupt_while_the_run_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C between the run's beginning and the return of its handle loses no run: it is cancelled and closed."""
    entered = threading.Event()
    closed: list[str] = []

    @cs.resource
    def db() -> Iterator[str]:
        try:
            yield "db"
        finally:
            closed.append("db")

    @cs.task
    async def for_ever(db: str) -> None:
        import asyncio

        entered.set()
        await asyncio.Event().wait()

    def start_and_interrupt(*args: Any, **settings: Any) -> Run:
        run = cs.start(*args, **settings)
        assert entered.wait(SOON)
        os.kill(os.getpid(), signal.SIGINT)
        return run

    monkeypatch.setattr(conducting, "start", start_and_interrupt)
    ending = conduct(setup_of(for_ever(cs.inject("db"))), orders())
    assert ending.said == "The run 'for_ever' was interrupted and is cancelled."
    assert closed == ["db"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_timed_out_thread_lets_go_of_its_resource(stuck: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a run that went well, too, resources in use by a thread that was left behind are closed."""
    closed: list[str] = []

    @cs.resource
    def db() -> Iterator[str]:
        yield "db"
        closed.append("db")

    look = conducting._open_resources

    def look_and_free(run: Run) -> set[str]:
        stuck.free.set()
        return look(run)

    monkeypatch.setattr(conducting, "_open_resources", look_and_free)
    ending = conduct(setup_of(stuck(cs.inject("db")).with_timeout(0.02).with_fallback("instead")), orders())
    assert (ending.code, ending.value) == (DONE, "instead")
    assert closed == ["db"]


# -- describing errors ------------------------------------------------------------------------------------------------


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def test_an_error_with_a_cause_and_notes() -> None:
    """The cause first, then the frames, the error, its notes; every line is made safe for a terminal."""
    error = raised(ValueError("first\nsecond \x1b[31m"))
    error.__cause__ = KeyError("k")
    error.add_note("In the node 'a\x1b'.")
    lines = describe_error(error).splitlines()
    assert lines[0] == "Caused by KeyError: 'k'"
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[2].endswith(", in raised")
    assert lines[3] == "    raise error"
    assert lines[4:] == ["ValueError: first", "second \\x1b[31m", "In the node 'a\\x1b'."]


def test_an_error_without_words() -> None:
    """The name alone; and one whose own words fail is named, too."""

    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert describe_error(KeyError()) == "KeyError"
    assert describe_error(MuteError()) == "MuteError: <MuteError without a text>"


def test_groups_are_taken_apart() -> None:
    """Every error of a group is told, in order, with the notes of the groups; very many are counted."""
    inner = ExceptionGroup("inner", [ValueError("b"), ValueError("c")])
    inner.add_note("In the node 'x'.")
    group = ExceptionGroup("outer", [ValueError("a"), inner, ValueError("d")])
    assert [str(each) for each in leaves(group)] == ["a", "b", "c", "d"]
    assert describe_error(group).splitlines() == [*[f"ValueError: {c}" for c in "abcd"], "In the node 'x'."]
    many = describe_error(ExceptionGroup("many", [ValueError(str(n)) for n in range(25)]))
    assert many.splitlines()[-1] == "… and 15 more errors"


def test_several_failures_of_one_run() -> None:
    """Nodes that fail side by side are all in the text, each with its name."""
    barrier = threading.Barrier(2, timeout=SOON)

    @cs.task
    def together(n: int) -> None:
        barrier.wait()
        raise ValueError(f"no {n}")

    said = conduct(setup_of([together(1).named("one"), together(2).named("two")]), orders()).said
    for text in ("ValueError: no 1", "ValueError: no 2", "In the node 'one'", "In the node 'two'"):
        assert text in said
