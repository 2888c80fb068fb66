"""Scopes of resources: an attempt, a run, a session; and a cancel at every step of any of them."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces import events as ev
from tests.runtime.diary import Diary, use, use_inline, use_later

QUIET: dict[str, Any] = {"log_level": None}
SOON = 5.0


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
