"""A cancel, an interrupt or a failure at every step of a run that uses everything: the house is in order afterwards."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.interfaces.exceptions import RunCancelledError
from cascade.runtime import threads
from cascade.runtime.journal import Journal
from tests.runtime.diary import Diary

QUIET: dict[str, Any] = {"log_level": None}
SOON = 10.0
CAPACITY = {"cpu": 2.0, "db": 1.5}


class Steps:
    """Counts the calls of user code, or the records of the journal; strikes at one of them.

    Attributes:
        strike: is called once, in the step number `at`, by the thread that makes it. struck: it was.
    """

    def __init__(self, at: int, strike: Callable[[cs.Run], object]) -> None:
        self.at = at
        self.count = 0
        self.strike = strike
        self.struck = self.missed = False
        self.lock = threading.Lock()
        self.run: cs.Run | None = None
        self.started = threading.Event()
        self.diary = Diary()
        self.working = 0

    def step(self) -> None:
        with self.lock:
            self.count += 1
            if self.count != self.at:
                return
            self.struck = True
        if threading.current_thread() is threading.main_thread():
            self.missed = True  # the run is being made; it is struck as soon as there is one
            return
        assert self.started.wait(SOON)
        assert self.run is not None
        self.strike(self.run)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        with self.lock:
            self.working += 1
        try:
            yield
        finally:
            with self.lock:
                self.working -= 1

    def start(self, target: Any, resources: Any) -> cs.Run:
        run = self.run = cs.start(target, system_resources=CAPACITY, resources=resources, **QUIET)
        if self.missed:
            self.strike(run)
        self.started.set()
        return run


Step = Callable[[], None]


def make_resources(steps: Steps, step: Step) -> list[Any]:
    """Three of three kinds, each on the one before."""

    @cs.resource
    async def base() -> AsyncIterator[str]:
        step()
        await asyncio.sleep(0)
        with steps.diary.lifetime("base"):
            try:
                yield "base"
            finally:
                await asyncio.sleep(0)
                step()

    @cs.resource
    def middle(base: str = cs.inject("base")) -> Iterator[str]:
        step()
        with steps.diary.lifetime("middle"):
            yield f"middle on {base}"
            step()

    @cs.resource
    class Top:
        def __init__(self, middle: str = cs.inject("middle")) -> None:
            self.middle = middle

        def __enter__(self) -> str:
            step()
            steps.diary("+top")
            return f"top on {self.middle}"

        def __exit__(self, *_: object) -> None:
            steps.diary("-top")
            step()

    return [base, middle, Top]


def make_target(steps: Steps, step: Step) -> Any:
    """Every kind of node: all modes but processes, a map, a router, a loop, a lazy value, retries and timeouts."""
    fallen: list[int] = []

    def body(x: Any = 0, *_: Any) -> Any:
        with steps.at_work():
            step()
            return x

    async def later(x: Any = 0, *_: Any) -> Any:
        with steps.at_work():
            await asyncio.sleep(0)
            step()
            return x

    def flaky(x: int) -> int:
        body()
        fallen.append(x)
        if fallen.count(x) < 3:
            raise ValueError("again")
        return x

    @cs.task
    async def late() -> None:
        with steps.at_work():
            step()
            await asyncio.Event().wait()

    plain, inline = cs.task(body, name="plain"), cs.task(body, name="inline", mode="inline")
    soon, again = cs.task(later, name="soon"), cs.task(flaky, name="again")

    @cs.task
    def more(x: int) -> Any:
        step()
        return [soon(x), plain(x).with_constraints(db=0.5)]

    @cs.task
    async def turn(n: int) -> Any:
        step()
        return cs.Jump("on", n + 1) if n < 3 else cs.Jump("off", n)

    loop = cs.bind(turn(0).with_constraints(cpu=1), cs.select_jump({"on": turn, "off": None}))
    many = soon.map(range(4), cs.unmapped(cs.inject("Top")), max_concurrency=2).with_constraints(cpu=1)
    some = again.map(range(2)).with_retry(4, delay=0.001).with_constraints(db=0.75)
    routed = cs.Router(inline("right"), {"left": plain("never"), "right": soon("right", cs.inject("middle"))})
    given_up = late().with_timeout(0.01).with_fallback("instead")
    parts = [many, some, routed, given_up, more(5), loop, plain(1, cs.inject("base")).with_timeout(30)]
    return plain(parts).with_constraints(cpu=2, db=1.5)


VALUE = [[0, 1, 2, 3], [0, 1], "right", "instead", [5, 5], 3, 1]


def check_in_order(steps: Steps, run: cs.Run) -> None:
    """What must hold after every run, however it ended."""
    lines = [line for line in steps.diary.lines if line[0] in "+-"]
    opened, closed = ([line[1:] for line in lines if line[0] == sign] for sign in "+-")
    assert closed == opened[::-1]
    assert steps.working == 0
    usage = {e.resource: e.usage for e in run.events if isinstance(e, ev.ResourceAcquired | ev.ResourceReleased)}
    assert not any(usage.values()), usage
    assert not any(run._flow.core.ledger.used.values())
    assert not run._flow.running
    assert run._flow.core.unfinished == 0
    last = run.events[-1]
    assert isinstance(last, ev.RunFinished)
    assert (last.status, last.abandoned) == (run.state, ())


def check_nothing_is_left(before: tuple[int, int]) -> None:
    """No thread of a run works on, no coroutine sits on a loop that waits for the next one."""
    until = time.perf_counter() + SOON
    while count_threads()[0] > before[0] and time.perf_counter() < until:
        time.sleep(0.001)
    now = count_threads()
    assert now[0] <= before[0]
    assert now[1] <= before[1] + 40
    for loop in threads._loops:
        future = asyncio.run_coroutine_threadsafe(count_tasks(), loop.loop)
        assert future.result(SOON) == 1


def count_threads() -> tuple[int, int]:
    """How many of the engine's threads work now (who listens to worker processes never ends), and all there are."""
    names = [thread.name for thread in threading.enumerate()]
    made = sum(name.startswith("cascade-") and name != "cascade-loop" for name in names)
    return made - len(threads._shelf._idle), len(names)


async def count_tasks() -> int:
    await asyncio.sleep(0.001)  # those that were told to end at the end of a run do so
    return len(asyncio.all_tasks())


def run_all(strike: Callable[[cs.Run], object], check: Callable[[cs.Run], None]) -> int:
    """Strike in the calls of user code, one later in each run, until a run ends before it is struck."""
    at, before = 1, count_threads()
    while True:
        steps = Steps(at, strike)
        run = steps.start(make_target(steps, steps.step), make_resources(steps, steps.step))
        check(run)
        check_in_order(steps, run)
        if not steps.struck:
            assert run.result() == VALUE
            assert steps.diary.lines == ["+base", "+middle", "+top", "-top", "-middle", "-base"]
            check_nothing_is_left(before)
            return at
        at += 1


def ended(run: cs.Run) -> None:
    error = run.exception(SOON)
    assert run.state == ("completed" if error is None else "cancelled")
    assert error is None or isinstance(error, RunCancelledError)


@pytest.mark.slow
def test_cancel_in_every_call() -> None:
    """Cancelled from within any call of a task or a resource: closed in order, capacities back, nothing runs on."""
    assert run_all(lambda run: run.cancel("enough"), ended) > 25


@pytest.mark.slow
def test_double_cancel_in_every_call() -> None:
    """A second cancel, of another reason and from another thread, changes nothing."""

    def twice(run: cs.Run) -> None:
        other = threading.Thread(target=lambda: run.cancel("other"))
        other.start()
        run.cancel("enough")
        run.cancel("again")
        other.join()

    def check(run: cs.Run) -> None:
        ended(run)
        assert sum(isinstance(e, ev.RunCancelRequested) for e in run.events) <= 1

    assert run_all(twice, check) > 25


class CountingList(list[Any]):
    """A journal's records that tell of each one."""

    def __init__(self, tell: Step) -> None:
        super().__init__()
        self.tell = tell

    def append(self, record: Any) -> None:
        super().append(record)
        self.tell()


@pytest.mark.slow
def test_cancel_at_every_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled by whichever thread is writing any record of the journal, in the middle of the engine's own work."""
    make = Journal.__init__
    current: list[Steps] = []

    def make_counting(journal: Journal, *args: Any) -> None:
        make(journal, *args)
        journal.records = CountingList(current[0].step)

    monkeypatch.setattr(Journal, "__init__", make_counting)
    before, at = count_threads(), 1
    while True:
        steps = Steps(at, lambda run: run.cancel("enough"))
        current[:] = [steps]
        run = steps.start(make_target(steps, lambda: None), make_resources(steps, lambda: None))
        ended(run)
        check_in_order(steps, run)
        if not steps.struck:
            break
        at += 1
    assert at > 60
    assert run.result() == VALUE
    check_nothing_is_left(before)


@pytest.mark.slow
def test_pause_at_every_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paused in the middle of the engine's own work, it stands still; cancelled then, it ends; resumed, it goes on."""
    make = Journal.__init__
    current: list[Steps] = []

    def make_counting(journal: Journal, *args: Any) -> None:
        make(journal, *args)
        journal.records = CountingList(current[0].step)

    monkeypatch.setattr(Journal, "__init__", make_counting)
    before, at = count_threads(), 1
    while True:
        for order in ("cancel", "resume"):
            paused = threading.Event()

            def pause(run: cs.Run, paused: threading.Event = paused) -> None:
                run.pause()
                paused.set()

            steps = Steps(at, pause)
            current[:] = [steps]
            run = steps.start(make_target(steps, lambda: None), make_resources(steps, lambda: None))
            while not paused.wait(0.01) and not run.done():
                pass
            getattr(run, order)()
            ended(run)
            check_in_order(steps, run)
            assert order == "cancel" or run.result() == VALUE
        if not steps.struck:
            break
        at += 1
    assert at > 60
    check_nothing_is_left(before)


@pytest.mark.slow
def test_interrupt_in_every_call() -> None:
    """A real interrupt of the waiting main thread cancels the run, and has landed when it comes out of `result`."""
    waiting = threading.Event()

    def interrupt(_: cs.Run) -> None:
        assert waiting.wait(SOON)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def check(run: cs.Run) -> None:
        tell_of_waiting(run, waiting)
        try:
            run.result(SOON)
        except KeyboardInterrupt:
            assert run.done()
        except RunCancelledError:
            raise AssertionError("the interrupt was lost") from None
        waiting.clear()
        assert run.state in {"completed", "cancelled"}

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert run_all(interrupt, check) > 25
    finally:
        signal.signal(signal.SIGINT, handler)


def tell_of_waiting(run: cs.Run, waiting: threading.Event) -> None:
    """Set `waiting` when somebody waits for the run, so that a signal finds the main thread there."""
    wait = run.wait

    def tell(timeout: float | None = None) -> bool:
        waiting.set()
        return wait(timeout)

    run.wait = tell  # type: ignore[method-assign]


@pytest.mark.slow
def test_failure_in_every_call() -> None:
    """An exception out of any call: the run fails with it, or with its end, and everything is closed."""

    class Fault(Exception):
        pass

    faults: list[Fault] = []

    def fail(_: cs.Run) -> None:
        faults.append(Fault("here"))
        raise faults[-1]

    def check(run: cs.Run) -> None:
        error = run.exception(SOON)
        if error is not None:
            assert run.state == "failed"
            assert faults[-1] in (error.exceptions if isinstance(error, ExceptionGroup) else [error])

    at, before = 1, count_threads()
    while True:
        steps = Steps(at, fail)
        run = steps.start(make_target(steps, steps.step), make_resources(steps, steps.step))
        check(run)
        check_in_order(steps, run)
        if not steps.struck:
            break
        at += 1
    assert at > 25
    check_nothing_is_left(before)
