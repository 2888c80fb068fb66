"""A cancel or an interrupt at special moments: by the last task, by who listens, twice, on the program's own loop."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.interfaces.exceptions import RunCancelledError
from cascade.runtime import handle
from tests.runtime.test_cancel_everywhere import (
    CAPACITY,
    QUIET,
    SOON,
    Steps,
    check_in_order,
    ended,
    make_resources,
    make_target,
    tell_of_waiting,
)


@pytest.mark.parametrize("mode", ["inline", "blocking", "async"])
def test_cancel_by_the_task_that_completes_the_run(mode: Any) -> None:
    """A cancel out of the last task itself, just before its end, is either late or a cancel, never half of both."""
    made: list[cs.Run] = []
    ready = threading.Event()

    def body() -> str:
        assert ready.wait(SOON)
        made[0].cancel("by myself")
        return "done"

    async def later() -> str:
        return body()

    for _ in range(20):
        ready.clear()
        made[:] = [cs.start(cs.task(later)() if mode == "async" else cs.task(mode=mode)(body)(), **QUIET)]
        ready.set()
        run = made[0]
        error = run.exception(SOON)
        [last] = [e for e in run.events if isinstance(e, ev.RunFinished)]
        assert (last.status, isinstance(error, RunCancelledError)) in [("completed", False), ("cancelled", True)]
        assert run.state == last.status
        assert run.events[-1] is not None
        assert cs.run(cs.task(lambda: 1, mode="inline")(), **QUIET) == 1


@pytest.mark.parametrize("mode", ["inline", "blocking", "async"])
def test_nothing_starts_after_a_cancel(mode: Any) -> None:
    """What becomes ready in the moment of the cancel does not start, though the driver has not obeyed yet."""
    begun, go = threading.Event(), threading.Event()

    @cs.task
    def hold() -> int:
        begun.set()
        assert go.wait(SOON)
        return 1

    if mode == "async":

        @cs.task
        async def add(x: int) -> int:
            return x + 1

    else:

        @cs.task(mode=mode)
        def add(x: int) -> int:
            return x + 1

    for _ in range(20):
        begun.clear()
        go.clear()
        run = cs.start(add(hold()), **QUIET)
        assert begun.wait(SOON)
        run.cancel()
        go.set()
        assert isinstance(run.exception(SOON), RunCancelledError)
        assert [e.name for e in run.events if isinstance(e, ev.NodeStarted)] == ["hold"]


def test_cancel_from_subscribers() -> None:
    """A subscriber that cancels at any event ends the run, and hears of it."""
    kinds = [ev.RunStarted, ev.NodeStarted, ev.ResourceSetUp, ev.NodeCompleted, ev.RunFinished]
    for kind in kinds:
        steps = Steps(0, lambda _: None)
        heard: list[ev.Event] = []
        made: list[cs.Run] = []
        ready = threading.Event()

        def hear(event: ev.Event, kind: Any = kind, heard: Any = heard, made: Any = made, ready: Any = ready) -> None:
            heard.append(event)
            if isinstance(event, kind) and ready.wait(SOON):
                made[0].cancel("heard enough")

        target, resources = make_target(steps, lambda: None), make_resources(steps, lambda: None)
        run = cs.start(target, system_resources=CAPACITY, resources=resources, subscribers=[hear], **QUIET)
        made.append(run)
        ready.set()
        ended(run)
        check_in_order(steps, run)
        assert isinstance(heard[-1], ev.RunFinished)


def test_second_interrupt_gives_the_prompt_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """While an interrupt waits for its cancel to land, another one ends the waiting, and the run still ends."""
    monkeypatch.setattr(handle, "LAND", SOON)
    free, entered, waiting = threading.Event(), threading.Event(), threading.Event()

    def stuck() -> None:
        entered.set()
        free.wait(3 * SOON)

    run = cs.start(cs.task(stuck)(), **QUIET)
    tell_of_waiting(run, waiting)
    main = threading.main_thread().ident or 0

    def shoot() -> None:
        assert entered.wait(SOON)
        assert waiting.wait(SOON)
        signal.pthread_kill(main, signal.SIGINT)
        until = time.perf_counter() + SOON
        while run.state != "cancelling" and time.perf_counter() < until:
            time.sleep(0.001)
        signal.pthread_kill(main, signal.SIGINT)

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    shooter = threading.Thread(target=shoot)
    try:
        shooter.start()
        began = time.perf_counter()
        with pytest.raises(KeyboardInterrupt):
            run.result(SOON)
        assert time.perf_counter() - began < SOON / 2
    finally:
        signal.signal(signal.SIGINT, handler)
        free.set()
        shooter.join()
    assert isinstance(run.exception(SOON), RunCancelledError)


def test_interrupt_of_a_program_on_its_own_loop() -> None:
    """Ctrl-C in `asyncio.run(cs.arun(…))` cancels the run before it comes out."""
    entered, closed = threading.Event(), threading.Event()

    @cs.task
    async def for_ever() -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            closed.set()

    def shoot() -> None:
        assert entered.wait(SOON)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    shooter = threading.Thread(target=shoot)
    try:
        shooter.start()
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(cs.arun(for_ever(), **QUIET))
    finally:
        signal.signal(signal.SIGINT, handler)
        shooter.join()
    assert closed.is_set()
