from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import cascade as cs
from cascade.context import get_current_context
from cascade.interfaces import events as ev
from cascade.interfaces.exceptions import NodeTimeoutError, RunTimeoutError
from cascade.spec.constraint import GlobalConstraint
from cascade.testing import EventSpy, Fault, VirtualClock, inject_faults, virtual_clock

PATIENCE = 10.0  # real seconds after which a test gives up


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    """A virtual clock for every run of a test, which has to end soon on the real one."""
    began = time.monotonic()
    with virtual_clock() as clock:
        yield clock
    assert time.monotonic() - began < PATIENCE


def run(target: object, **options: Any) -> Any:
    return cs.start(target, log_level=None, **options).result(PATIENCE)


def tick() -> Any:
    """The clock of the context, as tasks see it."""
    return get_current_context().clock


@cs.task
def give(value: object = None) -> object:
    return value


@cs.task
def sleep(seconds: float) -> float:
    tick().sleep(seconds)
    return seconds


@cs.task
async def sleep_async(seconds: float) -> float:
    await tick().sleep_async(seconds)
    return seconds


@cs.task(mode="inline")
def sleep_inline(seconds: float) -> float:
    tick().sleep(seconds)
    return seconds


def test_delays_of_retries_pass_at_once(clock: VirtualClock) -> None:
    """A task that is tried four times with growing delays takes seven seconds, and no time."""
    spy = EventSpy()
    target = give(5).with_retry(4, delay=1.0, backoff=2.0)
    with inject_faults(give, Fault.fail(nth=(1, 2, 3))):
        assert run(target, subscribers=[spy]) == 5
    assert clock.slept == [1.0, 2.0, 4.0]
    assert [event.delay for event in spy.of(ev.NodeRetrying)] == [1.0, 2.0, 4.0]
    assert spy.of(ev.RunFinished)[0].duration == 7.0


def test_events_tell_the_clocks_time(clock: VirtualClock) -> None:
    """The times of events are those of the clock, of the wall too."""
    spy, wall = EventSpy(), clock.wall()
    run(sleep(60), subscribers=[spy])
    assert spy.of(ev.NodeStarted)[0].at == wall
    (completed,) = spy.of(ev.NodeCompleted)
    assert (completed.duration, completed.elapsed, completed.at) == (60.0, 60.0, wall + 60)


@pytest.mark.parametrize("task", [sleep, sleep_async])
def test_timeouts_pass_at_once(clock: VirtualClock, task: Any) -> None:
    """A task that sleeps on the clock for longer than its timeout is timed out, at that time and now."""
    with pytest.raises(NodeTimeoutError):
        run(task(3600).with_timeout(600))
    assert clock.now() == 600


@pytest.mark.parametrize("task", [sleep, sleep_async])
def test_sleeps_within_a_timeout_are_no_timeout(clock: VirtualClock, task: Any) -> None:
    """What sleeps for less than its timeout ends well."""
    assert run(task(599).with_timeout(600)) == 599
    assert clock.now() == 599


@pytest.mark.parametrize("name", ["give", "fetch"])
def test_a_hang_ends_with_its_timeout(clock: VirtualClock, name: str) -> None:
    """A call that never ends is timed out at once, and tried again after its delay."""

    @cs.task
    async def fetch(value: int) -> int:
        return value

    task = fetch if name == "fetch" else give
    with inject_faults(task, Fault.hang(nth=1)):
        assert run(task(5).with_timeout(60).with_retry(2, delay=100)) == 5
    assert clock.now() == 160


def test_a_run_times_out(clock: VirtualClock) -> None:
    """The timeout of a whole run passes at once too."""
    with inject_faults(give, Fault.hang()), pytest.raises(RunTimeoutError):
        run(give(), timeout=86_400)
    assert clock.now() >= 86_400


def test_sleeps_go_side_by_side(clock: VirtualClock) -> None:
    """Two hundred sleeps in threads and on the loop take as long as the longest of them."""
    target = [sleep(n % 9) for n in range(100)] + [sleep_async(n % 9) for n in range(100)]
    assert run(target) == [n % 9 for n in range(100)] * 2
    assert clock.now() == 8


def test_bounded_maps_take_their_time(clock: VirtualClock) -> None:
    """Ten pairs of items that sleep for five seconds take fifty."""
    assert run(sleep_async.map([5] * 20, max_concurrency=2)) == [5] * 20
    assert clock.now() == 50


def test_inline_sleeps(clock: VirtualClock) -> None:
    """An inline task moves the time for everybody, at once, also as the first of a run."""
    began = time.monotonic()
    assert run(sleep_inline(7)) == 7
    assert clock.now() == 7
    assert time.monotonic() - began < 0.9  # nobody had to notice that it waited


def test_rates_and_expiries_pass_at_once(clock: VirtualClock) -> None:
    """Twenty starts at ten a minute, and a pause of an hour, are over at once."""
    go = threading.Event()

    @cs.task
    def hold() -> None:
        go.wait(PATIENCE)

    @cs.task
    def gather(values: list[object]) -> int:
        return len(values)

    held = hold()
    handle = cs.start(gather([give(n).after(held) for n in range(20)]), log_level=None)
    handle.set_limit(GlobalConstraint("rate", "task:give", "rate_limit", {"rate": "10/m"}))
    handle.set_limit(GlobalConstraint("pause", "task:gather", "pause", expires_at=clock.wall() + 3600))
    go.set()
    assert handle.result(PATIENCE) == 20
    assert clock.now() == 3600
    assert clock.slept[:3] == [6.0, 6.0, 6.0]


def test_what_really_computes_is_waited_for(clock: VirtualClock) -> None:
    """While a task computes, time does not run away from it."""

    @cs.task(timeout=5)
    def compute() -> int:
        threading.Event().wait(0.05)
        return 1

    assert run([compute(), sleep(9), sleep_async(8)]) == [1, 9, 8]


def test_what_is_really_stuck_is_timed_out(clock: VirtualClock) -> None:
    """A task that computes for longer than its timeout is timed out after that real time."""
    go = threading.Event()

    @cs.task(timeout=0.05)
    def stuck() -> None:
        go.wait(PATIENCE)

    with pytest.raises(NodeTimeoutError):
        run(stuck())
    go.set()


def test_runs_after_the_block_take_real_time() -> None:
    """The machine's clock is back after the block."""
    with virtual_clock():
        pass
    began = time.monotonic()
    with inject_faults(give, Fault.fail(nth=1)):
        run(give(1).with_retry(2, delay=0.05))
    assert time.monotonic() - began >= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
def test_the_same_story_each_time(seed: int) -> None:
    """Random programs of sleeps, retries, timeouts and injected failures end alike, at the same time, every time."""
    import random

    tasks = [sleep, sleep_async]

    def outcome() -> tuple[object, float]:
        draw = random.Random(seed)
        calls: list[Any] = [give(1)]
        for number in range(25):
            task = draw.choice(tasks)
            call = task(draw.randint(0, 5) + number / 100).after(*draw.sample(calls, min(len(calls), 2)))
            calls.append(call.with_timeout(3) if draw.random() < 0.2 else call)
        with virtual_clock() as clock, inject_faults(tasks, Fault.fail(probability=0.1), seed=seed):
            error = cs.start(calls, log_level=None, on_failure="continue").exception(PATIENCE)
        return type(error), clock.now()

    assert outcome() == outcome()
