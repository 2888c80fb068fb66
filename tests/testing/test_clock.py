from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from heapq import heappop, heappush

import pytest

from cascade.context import get_current_context
from cascade.testing import VirtualClock, virtual_clock

PATIENCE = 10.0  # real seconds after which a test gives up


class Driver:
    """The part of a run that looks at the clock: timers, attempts in threads, one bell."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.bell = threading.Lock()
        self.bell.acquire()
        self.lock = threading.Lock()
        self.running = 0
        self.timers: list[tuple[float, int, Callable[[], object]]] = []
        self.count = 0

    def ring(self) -> None:
        if self.bell.locked():
            self.bell.release()

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        with self.lock:
            self.count += 1
            heappush(self.timers, (self.clock.now() + seconds, self.count, call))
        self.ring()

    def start(self, work: Callable[[], object]) -> threading.Thread:
        with self.lock:
            self.running += 1

        def attempt() -> None:
            try:
                work()
            finally:
                with self.lock:
                    self.running -= 1
                self.ring()

        thread = threading.Thread(target=attempt, daemon=True)
        thread.start()
        return thread

    def drive(self) -> None:
        """Run until nothing is left, on the thread that calls it."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            with self.lock:
                due = []
                while self.timers and self.timers[0][0] <= self.clock.now():
                    due.append(heappop(self.timers)[2])
                seconds = self.timers[0][0] - self.clock.now() if self.timers else -1.0
                is_idle = self.running <= self.clock.sleepers
                is_over = not self.running and not self.timers
            for call in due:
                call()
            if is_over and not due:
                return
            if not due:
                self.clock.wait(self.bell, seconds, idle=is_idle)
        raise AssertionError("the driver did not come to its end")

    def drive_aside(self) -> threading.Thread:
        thread = threading.Thread(target=self.drive, daemon=True)
        thread.start()
        return thread


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def driver(clock: VirtualClock) -> Driver:
    return Driver(clock)


# -- time -----------------------------------------------------------------------------------------------------------


def test_time_stands_still(clock: VirtualClock) -> None:
    """Without a wait, no time passes; `advance` moves both readings alike."""
    assert (clock.now(), clock.wall()) == (clock.now(), clock.wall()) == (0.0, clock.wall())
    wall = clock.wall()
    clock.advance(90.5)
    clock.advance(0)
    assert (clock.now(), clock.wall()) == (90.5, wall + 90.5)


def test_it_begins_when_it_is_told(clock: VirtualClock) -> None:
    """Both readings begin at what the test says."""
    clock = VirtualClock(start=100, wall=5_000)
    clock.advance(1)
    assert (clock.now(), clock.wall()) == (101.0, 5_001.0)
    assert repr(clock) == "<virtual clock at 101 s>"


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_it_never_goes_back(clock: VirtualClock, seconds: float) -> None:
    """A step that is no number of seconds is an error, and time stays where it is."""
    with pytest.raises(ValueError, match="goes forward by a number of seconds"):
        clock.advance(seconds)
    assert clock.now() == 0


# -- the driver of a run --------------------------------------------------------------------------------------------


def test_idle_waits_are_skipped(driver: Driver, clock: VirtualClock) -> None:
    """Timers of an idle run come at once, in their order, each at its time."""
    came: list[tuple[str, float]] = []
    for name, seconds in (("late", 3600.0), ("soon", 1.0), ("then", 2.5)):
        driver.after(seconds, lambda name=name: came.append((name, clock.now())))
    began = time.monotonic()
    driver.drive()
    assert time.monotonic() - began < 1
    assert came == [("soon", 1.0), ("then", 2.5), ("late", 3600.0)]
    assert clock.slept == [1.0, 1.5, 3597.5]


def test_a_timer_may_set_the_next(driver: Driver, clock: VirtualClock) -> None:
    """A delay that grows, as of retries, passes at once too."""
    delays = iter([2.0, 4.0])

    def again() -> None:
        if (delay := next(delays, None)) is not None:
            driver.after(delay, again)

    driver.after(1.0, again)
    driver.drive()
    assert clock.slept == [1.0, 2.0, 4.0]


def test_computing_takes_no_time(driver: Driver, clock: VirtualClock) -> None:
    """While something runs, time does not move; the timer comes when it has ended."""
    ended: list[float] = []
    go = threading.Event()
    driver.start(lambda: (go.wait(PATIENCE), ended.append(clock.now())))
    driver.after(60.0, lambda: ended.append(clock.now()))
    thread = driver.drive_aside()
    go.set()
    thread.join(PATIENCE)
    assert ended == [0.0, 60.0]
    assert clock.slept == [60.0]


def test_what_computes_too_long_is_overtaken(driver: Driver, clock: VirtualClock) -> None:
    """A timer of an attempt that really takes longer comes after that real time, as on any clock."""
    go = threading.Event()
    driver.start(lambda: go.wait(PATIENCE))
    driver.after(0.05, go.set)
    driver.drive()
    assert clock.now() == 0.05
    assert clock.slept == []  # it was not skipped


def test_a_bell_comes_before_time(driver: Driver, clock: VirtualClock) -> None:
    """What has happened is heard before any time is skipped."""
    driver.ring()
    clock.wait(driver.bell, 60.0, idle=True)
    assert clock.now() == 0
    clock.wait(driver.bell, 60.0, idle=True)
    assert clock.now() == 60


def test_without_a_timer_it_waits_for_the_bell(driver: Driver, clock: VirtualClock) -> None:
    """An idle run without timers, as one that is paused, waits until someone rings."""
    waiting = threading.Thread(target=lambda: clock.wait(driver.bell, -1.0, idle=True), daemon=True)
    waiting.start()
    driver.ring()
    waiting.join(PATIENCE)
    assert not waiting.is_alive()
    assert clock.now() == 0


def test_advance_wakes_a_driver(driver: Driver, clock: VirtualClock) -> None:
    """Moving the time from a test makes what is due happen, though something runs."""
    go, due = threading.Event(), threading.Event()
    driver.start(lambda: go.wait(PATIENCE))
    driver.after(600.0, due.set)
    thread = driver.drive_aside()
    clock.advance(600)
    assert due.wait(PATIENCE)
    go.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()


# -- those who sleep ------------------------------------------------------------------------------------------------


def test_sleepers_wake_in_their_order(driver: Driver, clock: VirtualClock) -> None:
    """Attempts that sleep on the clock take no real time and wake at their time."""
    woke: list[tuple[float, float]] = []

    def work(seconds: float) -> None:
        clock.sleep(seconds)
        woke.append((seconds, clock.now()))

    for seconds in (30.0, 10.0, 20.0):
        driver.start(lambda seconds=seconds: work(seconds))
    driver.drive()
    assert woke == [(10.0, 10.0), (20.0, 20.0), (30.0, 30.0)]
    assert clock.sleepers == 0


def test_sleepers_and_timers_share_the_time(driver: Driver, clock: VirtualClock) -> None:
    """A timeout comes between two sleeps, at its time."""
    came: list[tuple[str, float]] = []

    def work() -> None:
        clock.sleep(10)
        came.append(("first", clock.now()))
        clock.sleep(10)
        came.append(("second", clock.now()))

    driver.after(15.0, lambda: came.append(("timeout", clock.now())))
    driver.start(work)
    driver.drive()
    assert came == [("first", 10.0), ("timeout", 15.0), ("second", 20.0)]


def test_nobody_oversleeps_what_computes(driver: Driver, clock: VirtualClock) -> None:
    """While one attempt computes, another one that sleeps is not woken: computing takes no time."""
    go = threading.Event()
    story: list[str] = []
    asleep = threading.Event()

    def sleep() -> None:
        asleep.set()
        clock.sleep(5)
        story.append("woke")

    driver.start(lambda: (go.wait(PATIENCE), story.append("computed")))
    driver.start(sleep)
    thread = driver.drive_aside()
    asleep.wait(PATIENCE)
    go.set()
    thread.join(PATIENCE)
    assert story == ["computed", "woke"]


def test_many_sleepers_and_no_deadlock() -> None:
    """Hundreds of short sleeps on many threads, beside timers, all pass; the time is the longest path."""
    clock = VirtualClock()
    driver = Driver(clock)
    total: list[float] = []

    def work(number: int) -> None:
        for n in range(10):
            clock.sleep((number * 7 + n) % 5)
        total.append(clock.now())

    for number in range(30):
        driver.start(lambda number=number: work(number))
        driver.after(number / 3, lambda: None)
    driver.drive()
    assert len(total) == 30
    assert clock.now() == max(total) == 20.0


def test_async_sleepers(driver: Driver, clock: VirtualClock) -> None:
    """Coroutines sleep on the clock too, many on one loop, and wake at their time."""
    woke: list[tuple[int, float]] = []

    async def attempt(seconds: int) -> None:
        await clock.sleep_async(seconds)
        woke.append((seconds, clock.now()))
        with driver.lock:
            driver.running -= 1
        driver.ring()

    async def attempts() -> None:
        await asyncio.gather(*[attempt(n) for n in (3, 0, 1, 2)])

    driver.running = 4
    loop = threading.Thread(target=lambda: asyncio.run(attempts()), daemon=True)
    loop.start()
    driver.drive()
    loop.join(PATIENCE)
    assert woke == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 3.0)]
    assert clock.sleepers == 0


async def test_a_cancelled_sleeper_counts_no_longer(clock: VirtualClock) -> None:
    """A coroutine that is cancelled in its sleep is no sleeper any more."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(clock.sleep_async(3600), 0.01)
    assert clock.sleepers == 0
    assert clock.now() == 0


def test_asleep_for_ever(driver: Driver, clock: VirtualClock) -> None:
    """An attempt in an `asleep` block does not hold the time back, as one that hangs."""
    released = threading.Event()

    def hang() -> None:
        with clock.asleep():
            released.wait(PATIENCE)

    driver.start(hang)
    driver.after(3600.0, released.set)
    driver.drive()
    assert clock.now() == 3600


def test_on_the_drivers_thread_time_moves_at_once(driver: Driver, clock: VirtualClock) -> None:
    """A sleep on the thread that drives a run, as of an inline task, cannot wait for itself."""
    driver.after(1.0, lambda: clock.sleep(60))
    driver.drive()
    assert clock.now() == 61


@pytest.mark.slow
def test_a_sleep_that_nobody_looks_at(clock: VirtualClock) -> None:
    """Where no run looks at the clock, a sleeper moves the time itself after a moment."""
    thread = threading.Thread(target=lambda: clock.sleep(5), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert clock.now() == 5


def test_closing_wakes_everybody(clock: VirtualClock) -> None:
    """When the clock is closed, nobody sleeps any more, now or later."""
    began = threading.Barrier(3)
    threads = [
        threading.Thread(target=lambda s=s: (began.wait(PATIENCE), clock.sleep(s)), daemon=True)
        for s in (9, float("inf"))
    ]
    for thread in threads:
        thread.start()
    began.wait(PATIENCE)
    clock.close()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    assert clock.sleepers == 0


# -- in the workflow context ----------------------------------------------------------------------------------------


def test_it_is_the_contexts_clock_for_a_while() -> None:
    """The block names its clock to runs that start in it; blocks nest; an error restores it too."""
    context = get_current_context()
    assert context.clock is None
    with virtual_clock(start=5) as outer:
        assert context.clock is outer
        assert outer.now() == 5
        with pytest.raises(KeyError), virtual_clock() as inner:
            assert context.clock is inner is not outer
            raise KeyError
        assert context.clock is outer
    assert context.clock is None


def test_the_end_of_the_block_wakes_those_left() -> None:
    """A thread that an abandoned attempt left asleep ends with the block."""
    with virtual_clock() as clock:
        asleep = threading.Event()
        thread = threading.Thread(target=lambda: (asleep.set(), clock.sleep(float("inf"))), daemon=True)
        thread.start()
        asleep.wait(PATIENCE)
    thread.join(PATIENCE)
    assert not thread.is_alive()
