"""Resources: set up on first need, torn down exactly once, in reverse order, with the failure thrown in."""

from __future__ import annotations

import asyncio
import contextvars
import random
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.interfaces.exceptions import ResourceError, RunCancelledError, TaskExitError
from cascade.runtime import lifetimes

QUIET: dict[str, Any] = {"log_level": None}
SOON = 5.0


class Diary:
    """Writes down what happens to resources and tasks, in order, from any thread."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        self.lines.append(line)

    @contextmanager
    def lifetime(self, name: str) -> Iterator[None]:
        self(f"+{name}")
        try:
            yield
        except BaseException as error:
            self(f"!{name} {type(error).__name__}")
            raise
        finally:
            self(f"-{name}")


@pytest.fixture
def diary() -> Diary:
    return Diary()


@cs.task
def use(*things: Any) -> Any:
    return things[0] if things else None


@cs.task(mode="inline")
def use_inline(*things: Any) -> Any:
    return things[0]


@cs.task
async def use_later(*things: Any) -> Any:
    await asyncio.sleep(0)
    return things[0]


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


# -- scopes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [use, use_inline, use_later])
def test_task_scope_is_one_for_each_attempt(task: Any, diary: Diary) -> None:
    """A task-scoped resource is set up and torn down around each attempt and each item, and may need shared ones."""

    @cs.resource
    def base() -> Iterator[str]:
        with diary.lifetime("base"):
            yield "base"

    @cs.resource(scope="task")
    def cursor(base: str = cs.inject("base")) -> Iterator[str]:
        with diary.lifetime("cursor"):
            yield f"cursor on {base}"

    @cs.resource(scope="task")
    def query(cursor: str = cs.inject("cursor")) -> Iterator[str]:
        with diary.lifetime("query"):
            yield f"query on {cursor}"

    found = cs.run([task.map(query_or_item(query), [1, 2], max_concurrency=1), task(cursor)], **QUIET)
    assert found == [["query on cursor on base"] * 2, "cursor on base"]
    assert diary.lines[0] == "+base"
    assert diary.lines[-1] == "-base"
    assert [diary.lines.count(f"{sign}{name}") for name in ("cursor", "query") for sign in "+-"] == [3, 3, 2, 2]


def query_or_item(query: Any) -> Any:
    return cs.unmapped(cs.inject(query))


async def test_task_scope_of_async_resources(diary: Diary) -> None:
    """An async task may have async resources of its own; a cancel does not disturb their teardown."""
    entered = asyncio.Event()

    @cs.resource(scope="task")
    async def client() -> AsyncIterator[str]:
        try:
            yield "client"
        finally:
            await asyncio.sleep(0.05)
            diary("closed")

    @cs.task
    async def for_ever(_: Any) -> None:
        entered.set()
        await asyncio.Event().wait()

    assert await cs.arun(use_later(client), **QUIET) == "client"
    waiting = asyncio.ensure_future(cs.arun(for_ever(client), **QUIET))
    await entered.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert diary.lines == ["closed", "closed"]


@pytest.mark.parametrize("later", [False, True])
def test_session_scope_outlives_runs(later: bool, diary: Diary) -> None:
    """A session-scoped resource is set up once for all runs, and torn down when the context is cleared."""

    def plain() -> Iterator[object]:
        with diary.lifetime("model"):
            yield object()

    async def coroutine() -> AsyncIterator[object]:
        with diary.lifetime("model"):
            yield object()

    cs.resource(name="model", scope="session")(coroutine if later else plain)
    found = {id(cs.run(use_later(cs.inject("model")), **QUIET)) for _ in range(3)}
    assert len(found) == 1
    assert diary.lines == ["+model"]
    cs.get_current_context().clear()
    assert diary.lines == ["+model", "-model"]


def test_session_scope_in_concurrent_runs(diary: Diary) -> None:
    """Runs that need it at the same time wait for the same instance."""

    @cs.resource(scope="session")
    def model() -> Iterator[str]:
        with diary.lifetime("model"):
            yield "model"

    runs = [cs.start(use(model), **QUIET) for _ in range(8)]
    assert [run.result(SOON) for run in runs] == ["model"] * 8
    assert diary.lines == ["+model"]
    assert sum(isinstance(e, ev.ResourceSetUp) for run in runs for e in run.events) == 1


def test_session_scope_defined_again_replaces_the_old_instance(diary: Diary) -> None:
    """Running the defining cell again tears the old instance down when the new one is first needed."""
    for version in (1, 2):

        @cs.resource(name="model", scope="session")
        def model(version: int = version) -> Iterator[int]:
            with diary.lifetime(f"model {version}"):
                yield version

        assert cs.run(use(cs.inject("model")), **QUIET) == version
    assert diary.lines == ["+model 1", "-model 1", "+model 2"]


def test_session_scope_that_cannot_be_set_up_is_tried_again() -> None:
    """A failed set-up is not remembered."""
    calls: list[int] = []

    @cs.resource(scope="session")
    def model() -> Iterator[str]:
        calls.append(1)
        if len(calls) == 1:
            raise OSError("not yet")
        yield "model"

    with pytest.raises(OSError, match="not yet"):
        cs.run(use(model), **QUIET)
    assert cs.run(use(model), **QUIET) == "model"


# -- cancel at every step -------------------------------------------------------------------------------------------


class Steps:
    """Three nested resources and tasks of all kinds that count their steps; the test cancels at one of them."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.count = 0
        self.lock = threading.Lock()
        self.diary = Diary()
        self.running = 0
        self.run: cs.Run | None = None
        self.started = threading.Event()

    def step(self) -> None:
        with self.lock:
            self.count += 1
            hit = self.count == self.at
        if hit:
            assert self.started.wait(SOON)
            assert self.run is not None
            self.run.cancel()

    def target(self) -> tuple[Any, list[Any]]:
        steps = self

        @cs.resource
        async def base() -> AsyncIterator[str]:
            steps.step()
            await asyncio.sleep(0)
            with steps.diary.lifetime("base"):
                steps.step()
                yield "base"
                steps.step()

        @cs.resource
        def middle(base: str = cs.inject("base")) -> Iterator[str]:
            steps.step()
            with steps.diary.lifetime("middle"):
                yield "middle"
                steps.step()

        @cs.resource
        async def top(middle: str = cs.inject("middle")) -> AsyncIterator[str]:
            steps.step()
            with steps.diary.lifetime("top"):
                await asyncio.sleep(0)
                steps.step()
                try:
                    yield "top"
                finally:
                    await asyncio.sleep(0)
                    steps.step()

        @cs.task
        async def later(x: Any, thing: Any) -> Any:
            with steps.at_work():
                await asyncio.sleep(0)
                steps.step()
            return x

        @cs.task
        def plain(x: Any, thing: Any) -> Any:
            with steps.at_work():
                steps.step()
            return x

        flaky_calls: list[int] = []

        @cs.task
        def flaky(x: Any) -> Any:
            with steps.at_work():
                flaky_calls.append(1)
                if len(flaky_calls) < 3:
                    raise ValueError("again")
            return x

        many = later.map([1, 2, 3], cs.unmapped(cs.inject("top"))).with_constraints(cpu=1)
        parts = [plain(many, cs.inject("middle")).with_timeout(30), flaky(1).with_retry(3), later(2, cs.inject("base"))]
        return plain(parts, None).with_constraints(cpu=2), [base, middle, top]

    @contextmanager
    def at_work(self) -> Iterator[None]:
        with self.lock:
            self.running += 1
        try:
            self.step()
            yield
        finally:
            with self.lock:
                self.running -= 1

    def go(self) -> cs.Run:
        target, resources = self.target()
        self.run = cs.start(target, system_resources={"cpu": 2}, resources=resources, **QUIET)
        self.started.set()
        self.run.exception(SOON)
        return self.run


def check_closed(steps: Steps, run: cs.Run) -> None:
    lines = [line for line in steps.diary.lines if line[0] in "+-"]
    opened = [line[1:] for line in lines if line[0] == "+"]
    closed = [line[1:] for line in lines if line[0] == "-"]
    assert closed == opened[::-1]
    assert steps.running == 0
    assert not any(run._flow.core.ledger.used.values())
    assert run._flow.core.unfinished == 0
    assert not run._flow.running


@pytest.mark.slow
def test_cancel_at_every_step_closes_everything() -> None:
    """Whatever a cancel interrupts: as many teardowns as set-ups, in reverse order, capacity back, nothing running."""
    whole = Steps(at=0)
    assert whole.go().state == "completed"
    assert whole.count > 15
    for at in range(1, whole.count + 1):
        steps = Steps(at)
        check_closed(steps, steps.go())


@pytest.mark.slow
def test_cancel_at_random_moments_closes_everything() -> None:
    """The same for cancels from outside that hit between the steps."""
    draw = random.Random(1)
    for _ in range(60):
        steps = Steps(at=0)
        timer = threading.Timer(draw.random() * 0.004, lambda steps=steps: steps.run and steps.run.cancel())
        timer.start()
        check_closed(steps, steps.go())
        timer.join()
