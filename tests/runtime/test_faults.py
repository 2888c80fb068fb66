"""Whatever tasks and resources raise, wherever they hang: a clear error, the others go on, everything is closed."""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.interfaces.exceptions import NodeTimeoutError, ResourceError, RunCancelledError, TaskExitError
from cascade.runtime import lifetimes
from tests.runtime.diary import Diary, use, use_inline, use_later

QUIET: dict[str, Any] = {"log_level": None}
SOON = 10.0
MODES = ["inline", "blocking", "async"]


class Own(BaseException):
    """An exception of the user that is none of `Exception`."""


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class Untrue(Exception):
    """Nobody may ask whether it is true; an exception with a length of 0 would not be."""

    def __bool__(self) -> bool:
        raise RuntimeError("neither true nor false")


class Unequal(Exception):
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("cannot be compared")


EXITS = [SystemExit, KeyboardInterrupt, GeneratorExit, Own, asyncio.CancelledError]
ODD = [Mute, Untrue, Unequal, RecursionError, MemoryError, UnicodeDecodeError]


def made(kind: type[BaseException]) -> BaseException:
    return kind("utf-8", b"x", 0, 1, "bad") if kind is UnicodeDecodeError else kind("bye")


def make(function: Callable[..., Any], mode: str) -> Any:
    """Return `function` as a task of any mode."""
    if mode != "async":
        return cs.task(name="leave", mode=mode)(function)  # type: ignore[call-overload]

    async def coroutine(*args: Any) -> Any:
        await asyncio.sleep(0)
        return function(*args)

    return cs.task(name="leave")(coroutine)


# -- what tasks raise -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", [*EXITS, *ODD])
def test_anything_raised_is_contained_everywhere(mode: str, kind: type[BaseException]) -> None:
    """Called, mapped, collected, tried again, fallen back from: an `Exception` comes out, and the next run works."""
    raised: list[BaseException] = []

    def leave(x: int = 0) -> int:
        if x == 2:
            return x
        raised.append(made(kind))
        raise raised[-1]

    def expect(error: Any) -> None:
        if kind in EXITS:
            assert isinstance(error, TaskExitError)
            assert isinstance(error.__cause__, kind)
        else:
            assert error in (*[e for e in raised if e is error],)

    task = make(leave, mode)
    for target in (task(1), task.map([2, 1]), task(1).with_retry(2, retry_on=kind)):
        expect(cs.start(target, **QUIET).exception(SOON))
    found = cs.run(task.map([1, 2, 3], on_error="collect"), **QUIET)
    expect(found[0])
    expect(found[2])
    assert found[1] == 2
    assert cs.run(task(1).with_fallback("instead"), **QUIET) == "instead"
    group = cs.start([task(1), task(2), task(3)], on_failure="continue", **QUIET).exception(SOON)
    assert isinstance(group, ExceptionGroup)
    assert len(group.exceptions) == 2
    assert cs.run(task(2), **QUIET) == 2


def test_group_names_node_item_attempt_and_arguments() -> None:
    """Several independent failures are one group, each with a note that says where it comes from."""

    @cs.task
    def fit(x: int, rows: list[int]) -> None:
        raise ValueError(x)

    @cs.task
    async def load(path: str) -> None:
        raise OSError(path)

    calls = [
        fit(1, [1, 2]),
        fit.map([7], cs.unmapped([1, 2, 3])).with_retry(2).named("many"),
        load("a" * 1_000_000),
        make(lambda: None, "inline")(),
    ]
    error = cs.start(calls, on_failure="continue", **QUIET).exception(SOON)
    assert isinstance(error, ExceptionGroup)
    notes = sorted(note for each in error.exceptions for note in each.__notes__)
    assert notes == [
        "In the node 'fit', called with x = 1, rows = list of 2.",
        "In the node 'load', called with path = text of 1,000,000 characters.",
        "In the node 'many[0]', attempt 2, called with x = 7, rows = list of 3.",
    ]


@pytest.mark.parametrize("mode", MODES)
def test_huge_words_are_short_where_people_read_them(mode: str) -> None:
    """A message of ten million characters is cut in events; the exception itself is left alone."""

    def leave() -> None:
        raise ValueError("x" * 10_000_000)

    run = cs.start(make(leave, mode)().with_retry(2), **QUIET)
    assert len(str(run.exception(SOON))) == 10_000_000
    told = [e.error for e in run.events if isinstance(e, ev.NodeFailed | ev.NodeRetrying | ev.RunFinished)]
    assert len(told) == 3
    assert max(map(len, told)) <= 2_000


@pytest.mark.parametrize("mode", MODES)
def test_rendered_traceback_has_the_users_frames_only(mode: str) -> None:
    """Between the call of `run` and the task's own lines stand no frames of the engine."""

    def leave() -> None:
        def inner() -> None:
            raise ValueError("boom")

        inner()

    run = cs.start(make(leave, mode)(), **QUIET)
    error = run.exception(SOON)
    assert error is not None
    names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert names == [*(["coroutine"] if mode == "async" else []), "leave", "inner"]
    text = "".join(traceback.format_exception(error))
    assert "/cascade/runtime/" not in text
    assert text.count('File "') == len(names)


# -- resources ------------------------------------------------------------------------------------------------------


def make_bad(shape: str, scope: Any, where: str, kind: type[BaseException], diary: Diary) -> list[Any]:
    """A resource that raises in its set-up, its teardown or both, on one that is fine."""

    def start() -> None:
        if where == "set-up":
            raise made(kind)
        diary("+bad")

    def end() -> None:
        diary("-bad")
        raise made(kind)

    @cs.resource
    def base() -> Iterator[str]:
        with diary.lifetime("base"):
            yield "base"

    def bad(base: str = cs.inject("base")) -> Iterator[str]:
        start()
        try:
            yield "bad"
        finally:
            end()

    async def bad_later(base: str = cs.inject("base")) -> AsyncIterator[str]:
        start()
        try:
            yield "bad"
        finally:
            end()

    class Bad:
        def __init__(self, base: str = cs.inject("base")) -> None:
            pass

        def __enter__(self) -> str:
            start()
            return "bad"

        def __exit__(self, *_: object) -> None:
            end()

    shapes: dict[str, Any] = {"generator": bad, "async generator": bad_later, "class": Bad}
    return [base, cs.resource(name="bad", scope=scope)(shapes[shape])]


def leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for part in error.exceptions for leaf in leaves(part)]


@cs.task
def fail(*_: Any) -> None:
    raise ValueError("boom")


@cs.task
async def fail_later(*_: Any) -> None:
    raise ValueError("boom")


@pytest.mark.parametrize("kind", [*EXITS, *ODD, StopIteration, StopAsyncIteration])
@pytest.mark.parametrize("shape", ["generator", "async generator", "class"])
@pytest.mark.parametrize("scope", ["run", "task"])
def test_anything_a_resource_raises_is_told_beside_the_runs_error(
    kind: type[BaseException], shape: str, scope: Any
) -> None:
    """In set-up it fails who needs it; in teardown it joins the run's error; the others are closed, in order."""
    for task in (use, use_later, use_inline, fail, fail_later):
        if (shape, scope) == ("async generator", "task") and task not in (use_later, fail_later):
            continue  # refused before the run
        for where in ("set-up", "teardown"):
            diary = Diary()
            resources = make_bad(shape, scope, where, kind, diary)
            error = cs.start(task(cs.inject("bad")), resources=resources, **QUIET).exception(SOON)
            assert isinstance(error, Exception)
            found = leaves(error)
            fails = task in (fail, fail_later) and where == "teardown"
            assert len(found) == 1 + fails
            assert any(isinstance(e, ValueError) for e in found) or not fails
            lines = [line for line in diary.lines if line[0] in "+-"]
            inner = ["+bad", "-bad"] if where == "teardown" else []
            assert lines == ["+base", *inner, "-base"]


@pytest.mark.parametrize("kind", [*ODD, *EXITS])
@pytest.mark.parametrize("mode", MODES)
def test_failure_beside_a_failed_teardown_of_its_own_resource(kind: type[BaseException], mode: str) -> None:
    """What an attempt raises and what the teardown of its own resource raises are told together, whatever it is."""
    raised: list[BaseException] = []

    def leave(_: Any) -> None:
        raised.append(made(kind))
        raise raised[-1]

    @cs.resource(scope="task")
    class Own:
        def __enter__(self) -> str:
            return "own"

        def __exit__(self, *_: object) -> None:
            raise OSError("cannot close")

    error = cs.start(make(leave, mode)(cs.inject("Own")), resources=[Own], **QUIET).exception(SOON)
    assert isinstance(error, Exception)
    group = error.__cause__ if isinstance(error, TaskExitError) else error
    assert group is not None
    first, second = leaves(group)
    assert first is raised[0]
    assert isinstance(second, OSError)


@pytest.mark.parametrize("shape", ["generator", "async generator", "class"])
def test_failure_of_the_run_and_of_its_rollback(shape: str) -> None:
    """A resource sees the failure of the run; what its own rollback raises joins it, and replaces nothing."""
    seen: list[object] = []

    def undo(error: BaseException | None) -> None:
        seen.append(error)
        raise OSError("cannot roll back")

    def plain() -> Iterator[str]:
        try:
            yield "db"
        except BaseException as error:
            undo(error)

    async def later() -> AsyncIterator[str]:
        try:
            yield "db"
        except BaseException as error:
            await asyncio.sleep(0)
            undo(error)

    class Manager:
        def __enter__(self) -> str:
            return "db"

        def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
            undo(error)

    shapes: dict[str, Any] = {"generator": plain, "async generator": later, "class": Manager}
    db = cs.resource(name="db")(shapes[shape])
    run = cs.start(fail(db), **QUIET)
    error = run.exception(SOON)
    assert isinstance(error, ExceptionGroup)
    assert [type(e) for e in error.exceptions] == [ValueError, OSError]
    assert seen == [error.exceptions[0]]
    assert "While the resource 'db' was torn down." in error.exceptions[1].__notes__
    assert run.state == "failed"
    [torn] = [e for e in run.events if isinstance(e, ev.ResourceTornDown)]
    assert torn.error == "OSError: cannot roll back"


def test_cancelled_set_up_of_an_async_resource() -> None:
    """A cancel interrupts an async set-up, which may clean up; what it needed is closed, and no teardown is run."""
    diary, entered = Diary(), threading.Event()

    @cs.resource
    def base() -> Iterator[str]:
        with diary.lifetime("base"):
            yield "base"

    @cs.resource
    async def slow(base: str = cs.inject("base")) -> AsyncIterator[str]:
        try:
            entered.set()
            await asyncio.Event().wait()
            yield "never"
        finally:
            diary("cleaned")

    run = cs.start(use(slow), **QUIET)
    assert entered.wait(SOON)
    run.cancel()
    assert isinstance(run.exception(SOON), RunCancelledError)
    assert [line for line in diary.lines if line[0] != "!"] == ["+base", "cleaned", "-base"]
    assert [e.resource for e in run.events if isinstance(e, ev.ResourceTornDown)] == ["base"]


@pytest.mark.slow
def test_set_up_that_cannot_be_interrupted_is_closed_when_it_comes() -> None:
    """A plain set-up that hangs does not hold up a cancelled run; it keeps what it uses, and is closed later."""
    diary, entered, free = Diary(), threading.Event(), threading.Event()

    @cs.resource
    def base() -> Iterator[str]:
        with diary.lifetime("base"):
            yield "base"

    @cs.resource
    def hangs(base: str = cs.inject("base")) -> Iterator[str]:
        entered.set()
        free.wait(SOON)
        with diary.lifetime("hangs"):
            yield "late"

    run = cs.start(use(hangs), **QUIET)
    assert entered.wait(SOON)
    run.cancel()
    assert isinstance(run.exception(1.0), RunCancelledError)
    assert diary.lines == ["+base"]
    free.set()
    until = time.perf_counter() + SOON
    while "-base" not in diary.lines and time.perf_counter() < until:
        time.sleep(0.001)
    assert [line for line in diary.lines if line[0] in "+-"] == ["+base", "+hangs", "-hangs", "-base"]


@pytest.mark.parametrize("later", [False, True])
def test_timeout_of_a_run_during_a_set_up(later: bool) -> None:
    """The run's own time covers set-ups, too."""
    free = threading.Event()

    @cs.resource
    async def slow() -> AsyncIterator[str]:
        await asyncio.Event().wait()
        yield ""

    @cs.resource
    def plain() -> Iterator[str]:
        free.wait(0.1)
        yield ""

    run = cs.start(use(slow if later else plain), timeout=0.02, **QUIET)
    assert isinstance(run.exception(SOON), TimeoutError)
    assert run.state == "failed"


def test_hung_teardown_after_a_failure_joins_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A teardown that is cut at its deadline stands beside the run's error; both are told."""
    monkeypatch.setattr(lifetimes, "DEADLINE", 0.03)
    free = threading.Event()

    @cs.resource
    def hangs() -> Iterator[str]:
        try:
            yield "hangs"
        finally:
            free.wait(SOON)

    error = cs.start(fail(hangs), **QUIET).exception(SOON)
    free.set()
    assert isinstance(error, ExceptionGroup)
    assert [type(e) for e in error.exceptions] == [ValueError, ResourceError]
    assert "'hangs' was not torn down within 0.03 s" in str(error.exceptions[1])


@pytest.mark.parametrize("mode", ["inline", "blocking", "async"])
def test_timeout_in_a_task_scoped_set_up(mode: str) -> None:
    """An attempt's time covers its own resources; the attempt fails, and what was open of them is closed."""
    diary, free = Diary(), threading.Event()

    @cs.resource(scope="task")
    def first() -> Iterator[str]:
        with diary.lifetime("first"):
            yield "first"

    @cs.resource(scope="task")
    def hangs(first: str = cs.inject("first")) -> Iterator[str]:
        free.wait(SOON)
        yield "late"

    @cs.resource(scope="task")
    async def hangs_later(first: str = cs.inject("first")) -> AsyncIterator[str]:
        await asyncio.Event().wait()
        yield "late"

    hanging = hangs_later if mode == "async" else hangs
    task = {"inline": use_inline, "blocking": use, "async": use_later}[mode]
    if mode == "inline":  # it keeps the driver: its time is looked at when it ends
        free.set()
        assert cs.run(task(hanging).with_timeout(5), **QUIET) == "late"
    else:
        run = cs.start(task(hanging).with_timeout(0.02), **QUIET)
        assert isinstance(run.exception(SOON), NodeTimeoutError)
        free.set()
    until = time.perf_counter() + SOON
    while "-first" not in diary.lines and time.perf_counter() < until:
        time.sleep(0.001)
    assert diary.lines[0] == "+first"
    assert diary.lines[-1] == "-first"
