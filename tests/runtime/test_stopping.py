"""Cancel and timeouts: what stops, what cannot, and what it keeps until it ends."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.interfaces.exceptions import NodeTimeoutError, RunCancelledError, RunTimeoutError

QUIET: dict[str, Any] = {"log_level": None}
SOON = 5.0


@cs.task(mode="inline")
def same(x: Any = None) -> Any:
    return x


class Stuck:
    """A plain task that cannot be stopped: it waits until the test lets it go."""

    def __init__(self) -> None:
        self.entered, self.free, self.left = threading.Event(), threading.Event(), threading.Event()

    def __call__(self, *args: Any) -> Any:
        self.entered.set()
        self.free.wait(SOON)
        self.left.set()
        return "late"


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    made = Stuck()
    yield made
    made.free.set()


def kinds(run: cs.Run, kind: type[ev.NodeEvent]) -> list[str]:
    return [event.label for event in run.events if isinstance(event, kind)]


# -- cancel ---------------------------------------------------------------------------------------------------------


def test_cancel_says_so_everywhere() -> None:
    """A cancelled run raises `RunCancelledError` with the reason; events and state agree."""
    entered = threading.Event()

    @cs.task
    async def for_ever() -> None:
        entered.set()
        await asyncio.Event().wait()

    run = cs.start(same(for_ever()).named("after"), **QUIET)
    assert entered.wait(SOON)
    run.cancel("enough")
    run.cancel("again")
    with pytest.raises(RunCancelledError, match="The run was cancelled: enough"):
        run.result(SOON)
    assert run.state == "cancelled"
    assert [e.reason for e in run.events if isinstance(e, ev.RunCancelRequested)] == ["enough"]
    assert sorted(kinds(run, ev.NodeCancelled)) == ["after", "for_ever"]
    run.cancel("too late")
    assert run.state == "cancelled"


def test_cancel_before_the_first_step_of_a_coroutine() -> None:
    """Cancelling while coroutines are being launched loses none of them: the run ends, nothing hangs."""
    for _ in range(30):
        run = cs.start([_for_ever() for _ in range(20)], **QUIET)
        run.cancel()
        assert isinstance(run.exception(0.9), RunCancelledError)


@cs.task
async def _for_ever() -> None:
    await asyncio.Event().wait()


def test_cleanup_of_a_coroutine_is_not_interrupted() -> None:
    """A cancelled coroutine may await in its `finally` for a while."""
    cleaned = threading.Event()
    entered = threading.Event()

    @cs.task
    async def careful() -> None:
        try:
            entered.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.15)
            cleaned.set()

    run = cs.start(careful(), **QUIET)
    assert entered.wait(SOON)
    run.cancel()
    run.wait(SOON)
    assert cleaned.is_set()


@pytest.mark.slow
def test_coroutine_that_swallows_its_cancel_is_cancelled_again() -> None:
    """One that ignores the first cancel stops at the second; one that ignores all is named and left behind."""
    entered = threading.Semaphore(0)
    free = threading.Event()

    @cs.task
    async def stubborn(times: int) -> None:
        entered.release()
        while times and not free.is_set():
            try:
                await asyncio.Event().wait() if times < 100 else await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                times -= 1

    run = cs.start(stubborn(1), **QUIET)
    entered.acquire(timeout=SOON)
    run.cancel()
    assert isinstance(run.exception(1.0), RunCancelledError)
    assert not kinds(run, ev.NodeAbandoned)
    run = cs.start(stubborn(1000).named("deaf"), **QUIET)
    entered.acquire(timeout=SOON)
    run.cancel()
    assert isinstance(run.exception(SOON), RunCancelledError)
    assert kinds(run, ev.NodeAbandoned) == ["deaf"]
    free.set()


@pytest.mark.slow
def test_thread_that_cannot_be_stopped_is_named(stuck: Stuck) -> None:
    """After a cancel the run ends within a second although a thread goes on; the events name it."""
    run = cs.start(cs.task(stuck, name="stuck")(), **QUIET)
    assert stuck.entered.wait(SOON)
    run.cancel()
    assert isinstance(run.exception(0.9), RunCancelledError)
    assert kinds(run, ev.NodeAbandoned) == ["stuck"]
    [end] = [e for e in run.events if isinstance(e, ev.RunFinished)]
    assert end.abandoned == ("stuck",)


def test_interrupt_while_waiting_cancels_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """`KeyboardInterrupt` in `result` cancels the run, waits for it to land, and is raised."""
    entered = threading.Event()

    @cs.task
    async def for_ever() -> None:
        entered.set()
        await asyncio.Event().wait()

    run = cs.start(for_ever(), **QUIET)

    def interrupted(timeout: float | None = None) -> bool:
        assert entered.wait(SOON)
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.result()
    assert run.state == "cancelled"


async def test_cancelling_the_waiting_coroutine_cancels_the_run() -> None:
    """When the coroutine that awaits a run is cancelled, the run is, and has ended when the cancel comes out."""
    entered = asyncio.Event()

    @cs.task
    async def for_ever() -> None:
        entered.set()
        await asyncio.Event().wait()

    waiting = asyncio.ensure_future(cs.arun(for_ever(), **QUIET))
    await asyncio.wait_for(entered.wait(), SOON)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(asyncio.all_tasks()) == 1


def test_loop_that_ends_before_its_run() -> None:
    """A caller's loop that is closed under a run leaves no run that never ends."""
    made: list[cs.Run] = []

    async def begin() -> None:
        loop = asyncio.get_running_loop()
        made.append(cs.start([_for_ever() for _ in range(5)], _loop=loop, **QUIET))
        made.append(cs.start(same(_for_ever()), _loop=loop, **QUIET))

    asyncio.run(begin())
    for run in made:
        run.cancel()
        assert run.exception(SOON) is not None


# -- timeouts of attempts -------------------------------------------------------------------------------------------


def test_timeout_of_a_coroutine() -> None:
    """An async attempt that takes too long is stopped and fails with `NodeTimeoutError`."""
    cleaned = threading.Event()

    @cs.task
    async def for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    began = time.perf_counter()
    with pytest.raises(NodeTimeoutError, match=r"'for_ever' took longer than its timeout of 0.03 s"):
        cs.run(for_ever().with_timeout(0.03), **QUIET)
    assert time.perf_counter() - began < 0.3
    assert cleaned.is_set()


@pytest.mark.parametrize("mode", ["inline", "blocking"])
def test_timeout_of_a_thread(stuck: Stuck, mode: str) -> None:
    """A plain task that takes too long fails its node at once; its thread goes on and is named."""
    lazy = cs.task(stuck, name="stuck", mode=mode)().with_timeout(0.03).with_fallback("instead")  # type: ignore[call-overload]
    run = cs.start(same(lazy), **QUIET)
    assert run.result(SOON) == "instead"
    assert not stuck.left.is_set()
    assert kinds(run, ev.NodeAbandoned) == ["stuck"]


def test_timeout_is_for_each_attempt() -> None:
    """Each attempt has its own time; a retry after a timeout may succeed."""
    calls: list[int] = []

    @cs.task
    async def slow_once() -> str:
        calls.append(1)
        if len(calls) == 1:
            await asyncio.Event().wait()
        return "quick"

    assert cs.run(slow_once().with_timeout(0.03).with_retry(2), **QUIET) == "quick"
    assert len(calls) == 2


def test_timeout_of_items() -> None:
    """Each item of a map has its own time."""

    @cs.task
    async def wait_for(x: int) -> int:
        if x == 2:
            await asyncio.Event().wait()
        return x

    found = cs.run(wait_for.map(range(4), on_error="collect").with_timeout(0.03), **QUIET)
    assert [isinstance(v, NodeTimeoutError) for v in found] == [False, False, True, False]


def test_coroutine_that_swallows_its_timeout() -> None:
    """One that catches the cancel and returns has still taken too long."""

    @cs.task
    async def swallows() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "as if nothing had been"
        return ""

    with pytest.raises(NodeTimeoutError):
        cs.run(swallows().with_timeout(0.02), **QUIET)


def test_timely_attempts_are_left_alone() -> None:
    """Timeouts of attempts that ended in time do nothing later."""
    assert cs.run([same(n).with_timeout(0.02) for n in range(20)] + [_nap().with_timeout(5)], **QUIET)[:3] == [0, 1, 2]


@cs.task
async def _nap() -> None:
    await asyncio.sleep(0.04)


@pytest.mark.slow
def test_timeout_of_a_run_that_cannot_stop(stuck: Stuck) -> None:
    """A run whose thread and coroutine ignore its timeout still ends, and names them."""
    free = threading.Event()

    @cs.task
    async def deaf() -> None:
        while not free.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    run = cs.start([cs.task(stuck, name="stuck")(), deaf()], timeout=0.1, **QUIET)
    error = run.exception(SOON)
    free.set()
    assert isinstance(error, RunTimeoutError)
    assert run.state == "failed"
    assert sorted(kinds(run, ev.NodeAbandoned)) == ["deaf", "stuck"]


# -- what an attempt keeps until it has really ended -------------------------------------------------------------------


def test_abandoned_thread_keeps_its_capacity(stuck: Stuck) -> None:
    """What a thread that timed out holds is given away only when the thread has ended."""
    ran = threading.Event()
    lazy = cs.task(stuck, name="stuck")().with_timeout(0.02).with_constraints(db=1).with_fallback(None)
    other = cs.task(lambda _: ran.set(), name="other")(lazy).with_constraints(db=1)
    run = cs.start(other, system_resources={"db": 1}, **QUIET)
    while not kinds(run, ev.NodeWaiting):
        time.sleep(0.001)
    assert not ran.is_set()
    stuck.free.set()
    run.result(SOON)
    assert ran.is_set()
    moves = [type(e).__name__ for e in run.events if isinstance(e, ev.ResourceAcquired | ev.ResourceReleased)]
    assert moves == ["ResourceAcquired", "ResourceReleased"] * 2


@pytest.mark.slow
def test_abandoned_thread_keeps_its_resource_open(stuck: Stuck) -> None:
    """A resource is torn down after the last thread that uses it has ended, although its run ended before."""
    closed = threading.Event()
    order: list[tuple[str, bool]] = []

    @cs.resource
    def base() -> Iterator[str]:
        try:
            yield "base"
        finally:
            order.append(("base", stuck.left.is_set()))
            closed.set()

    @cs.resource
    def db(base: str = cs.inject("base")) -> Iterator[str]:
        try:
            yield "db"
        finally:
            order.append(("db", stuck.left.is_set()))

    run = cs.start(cs.task(stuck, name="stuck")(cs.inject("db")), resources=[base, db], **QUIET)
    assert stuck.entered.wait(SOON)
    run.cancel()
    run.wait(SOON)
    assert not order
    stuck.free.set()
    assert closed.wait(SOON)
    assert order == [("db", True), ("base", True)]


def test_peak_in_bodies_stays_within_the_capacity() -> None:
    """Counted inside the bodies, with timeouts all the time, never more run than the capacity allows."""
    lock, now, most = threading.Lock(), 0, 0

    def body(x: int) -> int:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.004)
        with lock:
            now -= 1
        return x

    target = cs.task(body).map(range(12), on_error="collect").with_timeout(0.002).with_constraints(cpu=1)
    cs.run(target, system_resources={"cpu": 2}, **QUIET)
    assert most <= 2
