"""Resources: set up on first need, torn down exactly once, in reverse order, with the failure thrown in."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.interfaces.exceptions import ResourceError, RunCancelledError, TaskExitError
from cascade.runtime import lifetimes
from tests.runtime.diary import Diary, use, use_inline, use_later

QUIET: dict[str, Any] = {"log_level": None}
SOON = 5.0


def boom(*_: Any) -> None:
    raise ValueError("boom")


# -- opening and closing --------------------------------------------------------------------------------------------


def test_set_up_on_first_need_and_torn_down_once(diary: Diary) -> None:
    """One instance serves the whole run; nobody who does not need it sets it up."""

    @cs.resource
    def db() -> Iterator[str]:
        with diary.lifetime("db"):
            yield "db"

    @cs.resource
    def unused() -> Iterator[str]:
        with diary.lifetime("unused"):
            yield "unused"

    before = cs.task(lambda: diary("before"), name="before")()
    calls = [use(cs.inject("db"), before), use_inline(db, before), use_later(cs.inject(db), before)]
    assert cs.run(calls, **QUIET) == ["db"] * 3
    assert diary.lines == ["before", "+db", "-db"]


def test_injected_by_default_nested_and_by_keyword(diary: Diary) -> None:
    """An injection may be a parameter's default, stand in a container, or be given when the task is called."""

    @cs.resource
    def db() -> Iterator[str]:
        with diary.lifetime("db"):
            yield "db"

    @cs.task
    def read(table: str, source: Any = cs.inject("db"), more: Any = None) -> Any:
        return table, source, more

    found = cs.run(read("t", more={"also": [cs.inject("db")]}), **QUIET)
    assert found == ("t", "db", {"also": ["db"]})
    assert cs.run(read("t", "given"), **QUIET) == ("t", "given", None)
    assert diary.lines == ["+db", "-db"]


def test_needs_come_first_and_go_last(diary: Diary) -> None:
    """A resource that needs others is set up after them and torn down before them, sync and async mixed."""

    @cs.resource
    def base() -> Iterator[str]:
        with diary.lifetime("base"):
            yield "base"

    @cs.resource
    async def middle(base: str = cs.inject("base")) -> AsyncIterator[str]:
        with diary.lifetime("middle"):
            yield f"middle on {base}"

    @cs.resource
    def top(middle: str = cs.inject(middle), base: str = cs.inject("base")) -> Iterator[str]:
        with diary.lifetime("top"):
            yield f"top on {middle}"

    assert cs.run(use(cs.inject("top")), **QUIET) == "top on middle on base"
    assert diary.lines == ["+base", "+middle", "+top", "-top", "-middle", "-base"]


def test_every_shape_of_resource(diary: Diary) -> None:
    """Generators, async generators, context managers of both kinds and functions that return them all work."""

    class Both:
        def __enter__(self) -> str:
            diary("+both")
            return "both"

        def __exit__(self, *_: object) -> None:
            diary("-both")

        async def __aenter__(self) -> str:
            raise AssertionError("it was to be entered as an ordinary context manager")

        async def __aexit__(self, *_: object) -> None:
            raise AssertionError

    class Later:
        async def __aenter__(self) -> str:
            diary("+later")
            return "later"

        async def __aexit__(self, *_: object) -> None:
            diary("-later")

    @asynccontextmanager
    async def made_later() -> AsyncIterator[str]:
        diary("+made later")
        yield "made later"
        diary("-made later")

    @contextmanager
    def made() -> Iterator[str]:
        diary("+made")
        yield "made"
        diary("-made")

    shapes = [cs.resource(Both), cs.resource(Later), cs.resource(made_later), cs.resource(made)]

    def returns_one() -> Any:
        return made_later()

    shapes.append(cs.resource(returns_one))
    found = cs.run([use(shape) for shape in shapes], **QUIET)
    assert found == ["both", "later", "made later", "made", "made later"]
    assert sorted(diary.lines) == sorted(f"{sign}{name}" for sign in "+-" for name in found)


def test_context_variables_hold_from_set_up_to_teardown() -> None:
    """Set-up sees the caller's context, and what it sets there it can reset when it is torn down."""
    place = contextvars.ContextVar("place", default="nowhere")
    place.set("here")

    @cs.resource
    def sync() -> Iterator[str]:
        token = place.set("inside")
        yield token.old_value
        place.reset(token)

    @cs.resource
    async def later() -> AsyncIterator[str]:
        token = place.set("inside")
        async with asyncio.timeout(60), asyncio.TaskGroup():
            yield token.old_value
        place.reset(token)

    assert cs.run([use(sync), use(later)], **QUIET) == ["here", "here"]


def test_resource_under_another_name() -> None:
    """`override_resource` and a mapping of resources= give a name to something that is called otherwise."""

    @cs.resource
    def other() -> Iterator[str]:
        yield "other"

    with cs.override_resource("db", other):
        assert cs.run(use(cs.inject("db")), **QUIET) == "other"
    assert cs.run(use(cs.inject("db")), resources={"db": other}, **QUIET) == "other"


# -- failures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("later", [False, True])
def test_commit_or_rollback(later: bool) -> None:
    """After a clean run a resource goes on behind its `yield`; a failure is raised there, so that it can roll back."""
    ended: list[str] = []

    @contextmanager
    def transaction() -> Iterator[str]:
        try:
            yield "db"
        except ValueError:
            ended.append("rollback")
            raise
        else:
            ended.append("commit")

    @cs.resource(name="db")
    def db() -> Iterator[str]:
        with transaction() as value:
            yield value

    @cs.resource(name="db")
    async def db_later() -> AsyncIterator[str]:
        with transaction() as value:
            yield value

    made = db_later if later else db
    assert cs.run(use(made), resources=[made], **QUIET) == "db"
    with pytest.raises(ValueError, match="boom"):
        cs.run(cs.task(boom)(use(made)), resources=[made], **QUIET)
    assert ended == ["commit", "rollback"]


def test_resource_that_swallows_the_failure_hides_nothing() -> None:
    """A resource whose `except` does not raise again has cleaned up; the run still fails."""

    @cs.resource
    def calm() -> Iterator[str]:
        with suppress(ValueError):
            yield "calm"

    with pytest.raises(ValueError, match="boom"):
        cs.run(cs.task(boom)(calm), **QUIET)


def test_cancel_is_thrown_in() -> None:
    """A cancelled run raises its `RunCancelledError` inside its resources."""
    seen: list[type] = []
    entered = threading.Event()

    @cs.resource
    def db() -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            seen.append(type(error))
            raise

    @cs.task
    async def for_ever(_: Any) -> None:
        entered.set()
        await asyncio.Event().wait()

    run = cs.start(for_ever(db), **QUIET)
    assert entered.wait(SOON)
    run.cancel()
    run.wait(SOON)
    assert seen == [RunCancelledError]


@pytest.mark.parametrize("scope", ["run", "task"])
@pytest.mark.parametrize("task", [use, use_later])
def test_teardown_failure_joins_the_error(scope: Any, task: Any) -> None:
    """A teardown that fails after a task did is told beside it; alone, it fails the run."""

    @cs.resource(scope=scope)
    def bad() -> Iterator[str]:
        try:
            yield "bad"
        finally:
            raise OSError("cannot close")

    failing = cs.task(boom) if task is use else cs.task(_boom_later)
    with pytest.raises(ExceptionGroup) as caught:
        cs.run(failing(bad), **QUIET)
    assert caught.group_contains(ValueError, match="boom")
    assert caught.group_contains(OSError, match="cannot close")
    with pytest.raises(OSError, match="cannot close") as alone:
        cs.run(task(bad), **QUIET)
    assert "While the resource 'bad' was torn down." in alone.value.__notes__


async def _boom_later(_: Any) -> None:
    raise ValueError("boom")


@pytest.mark.parametrize("scope", ["run", "task", "session"])
@pytest.mark.parametrize("task", [use, use_later])
def test_resource_that_never_yields(scope: Any, task: Any) -> None:
    """A generator that ends at once is an error that names the resource; what needs others of it is closed."""

    @cs.resource(scope=scope)
    def empty() -> Iterator[str]:
        if scope == "never":
            yield ""

    with pytest.raises(ResourceError, match="The resource 'empty' never yielded a value"):
        cs.run(task(empty), **QUIET)


@pytest.mark.parametrize("scope", ["run", "task"])
@pytest.mark.parametrize("later", [False, True])
def test_resource_that_yields_twice(scope: Any, later: bool) -> None:
    """A generator that goes on after its yield is an error that names it, after the work has been done."""
    ran: list[int] = []

    def twice() -> Iterator[str]:
        yield "one"
        yield "two"

    async def twice_later() -> AsyncIterator[str]:
        yield "one"
        yield "two"

    made = cs.resource(name="twice", scope=scope)(twice_later if later else twice)

    @cs.task
    async def note(_: Any) -> None:
        ran.append(1)

    with pytest.raises(ResourceError, match="The resource 'twice' yielded twice"):
        cs.run(note(made), **QUIET)
    assert ran == [1]


def test_set_up_that_fails_fails_those_who_need_it(diary: Diary) -> None:
    """A resource that cannot be set up fails its nodes with its own error; others go on; what was open is closed."""

    @cs.resource
    def base() -> Iterator[str]:
        with diary.lifetime("base"):
            yield "base"

    @cs.resource
    def bad(base: str = cs.inject("base")) -> Iterator[str]:
        raise OSError("no such host")
        yield ""

    @cs.resource
    async def on_bad(bad: str = cs.inject("bad")) -> AsyncIterator[str]:
        diary("never")
        yield ""

    run = cs.start([use(on_bad).named("first"), use(bad), use("free")], on_failure="continue", **QUIET)
    error = run.exception(SOON)
    assert isinstance(error, OSError)
    assert "In the node 'first'." in error.__notes__
    assert diary.lines == ["+base", "!base OSError", "-base"]
    assert sorted(e.name for e in run.events if isinstance(e, ev.NodeFailed)) == ["first", "use"]


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_set_up_that_would_end_the_program(kind: type[BaseException]) -> None:
    """SystemExit in a resource is contained like one in a task."""

    @cs.resource
    def bad() -> Iterator[str]:
        raise kind("bye")
        yield ""

    with pytest.raises(ResourceError, match=rf"The resource 'bad' raised {kind.__name__}\('bye'\)"):
        cs.run(use(bad), **QUIET)

    @cs.resource(scope="task")
    def own() -> Iterator[str]:
        raise kind("bye")
        yield ""

    with pytest.raises(TaskExitError):
        cs.run(use(own), **QUIET)


def test_hung_teardown_is_cut_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A teardown that does not come back is reported after its own deadline, and the others are still torn down."""
    monkeypatch.setattr(lifetimes, "DEADLINE", 0.05)
    free, closed = threading.Event(), threading.Event()

    @cs.resource
    def base() -> Iterator[str]:
        yield "base"
        closed.set()

    @cs.resource
    def hangs(base: str = cs.inject("base")) -> Iterator[str]:
        yield "hangs"
        free.wait(SOON)

    @cs.resource
    async def hangs_later(base: str = cs.inject("base")) -> AsyncIterator[str]:
        yield "hangs"
        await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as caught:
        cs.run(use(hangs, hangs_later), **QUIET)
    assert caught.group_contains(ResourceError, match="'hangs' was not torn down within 0.05 s")
    assert caught.group_contains(ResourceError, match="'hangs_later' was not torn down within 0.05 s")
    free.set()
