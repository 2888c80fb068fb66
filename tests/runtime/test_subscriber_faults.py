"""Subscribers that misbehave: the run's value, its time and what others hear stay the same."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.runtime import handle

SOON = 10.0


@cs.task(mode="inline")
def one(x: int = 0) -> int:
    return x + 1


@cs.task
def two(x: int = 0) -> int:
    return x + 2


TARGET = [two(one(one(n))) for n in range(20)]
VALUE = [n + 4 for n in range(20)]


@pytest.fixture
def free() -> Iterator[threading.Event]:
    """Ends what blocks when the test is over."""
    made = threading.Event()
    yield made
    made.set()


def shape(events: list[ev.Event]) -> list[Any]:
    """What was heard, without what differs from run to run."""
    return sorted((type(e).__name__, getattr(e, "node", ""), getattr(e, "attempt", 0)) for e in events)


def hear_beside(bad: Any) -> list[ev.Event]:
    """Run with a bad subscriber between two good ones; return what the good ones heard, which must be the same."""
    first: list[ev.Event] = []
    second: list[ev.Event] = []
    assert cs.run(TARGET, log_level=None, subscribers=[first.append, bad, second.append]) == VALUE
    assert first == second
    assert [e.seq for e in first] == list(range(len(first)))
    assert isinstance(first[-1], ev.RunFinished)
    assert first[-1].status == "completed"
    return first


EXPECTED = shape(hear_beside(lambda _: None))


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit, RecursionError])
def test_subscriber_that_raises(kind: type[BaseException], caplog: pytest.LogCaptureFixture) -> None:
    """Whatever it raises, it is reported and detached after three times; the others hear everything."""
    calls: list[int] = []

    def bad(_: ev.Event) -> None:
        calls.append(1)
        raise kind("bad")

    assert shape(hear_beside(bad)) == EXPECTED
    assert len(calls) == 3
    assert f"bad raised {kind.__name__}: bad; it is detached" in caplog.text


def test_subscriber_whose_exception_has_no_words(caplog: pytest.LogCaptureFixture) -> None:
    """Reporting a subscriber's exception cannot fail on the exception's own text, nor end the delivery to others."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    def bad(_: ev.Event) -> None:
        raise Mute

    assert shape(hear_beside(bad)) == EXPECTED
    assert "raised Mute" in caplog.text


@pytest.mark.slow
def test_subscriber_that_blocks_for_ever(free: threading.Event) -> None:
    """One that never returns holds up the end of the run by `FLUSH` seconds, however many there are of its kind."""
    heard: list[ev.Event] = []
    blocked = [(ev.RunStarted, lambda _: free.wait(3 * SOON)) for _ in range(5)]
    began = time.perf_counter()
    assert cs.run(TARGET, log_level=None, subscribers=[*blocked, heard.append]) == VALUE
    assert handle.FLUSH <= time.perf_counter() - began < handle.FLUSH + 0.5
    assert shape(heard) == EXPECTED


def test_slow_subscriber_hears_everything() -> None:
    """A slow one is waited for at the end, and has heard all in order."""
    heard: list[ev.Event] = []

    def slow(event: ev.Event) -> None:
        time.sleep(0.0005)
        heard.append(event)

    hear_beside(slow)
    assert shape(heard) == EXPECTED


def test_subscriber_that_unsubscribes_itself() -> None:
    """One that ends its subscription in the middle hears nothing more; the others everything."""
    bus = cs.MessageBus()
    heard: list[ev.Event] = []
    others: list[ev.Event] = []

    def thrice(event: ev.Event) -> None:
        heard.append(event)
        if len(heard) == 3:
            stop()

    bus.subscribe(ev.Event, others.append)
    stop = bus.subscribe(ev.Event, thrice)
    assert cs.run(TARGET, log_level=None, subscribers=bus.subscriptions) == VALUE
    assert len(heard) == 3
    assert shape(others) == EXPECTED


def test_subscriber_that_publishes() -> None:
    """One that publishes on the bus it hears does not drown in its own events, nor do the others."""
    bus = cs.MessageBus()
    heard: list[ev.Event] = []

    def echo(event: ev.NodeStarted) -> None:
        bus.publish(ev.LimitRemoved(run_id="echo", seq=0, at=event.at, elapsed=0.0, limit_id=event.node))

    bus.subscribe(ev.NodeStarted, echo)
    bus.subscribe(ev.Event, heard.append)
    assert cs.run(TARGET, log_level=None, subscribers=bus.subscriptions) == VALUE
    assert shape([e for e in heard if e.run_id != "echo"]) == EXPECTED
    assert sum(e.run_id == "echo" for e in heard) == 60


def test_subscriber_that_runs_another_graph() -> None:
    """One that starts runs of its own, waits for them and subscribes to them, harms nobody."""
    inner: list[Any] = []

    def nested(event: ev.Event) -> None:
        if isinstance(event, ev.NodeCompleted) and event.name == "two" and len(inner) < 5:
            inner.append(cs.run([two(1), one(2)], log_level=None, subscribers=[lambda _: None]))

    assert shape(hear_beside(nested)) == EXPECTED
    assert inner == [[3, 3]] * 5


def test_subscriber_that_waits_for_its_own_run() -> None:
    """One that asks for the result of the run it listens to is not answered by a dead-lock."""
    made: list[cs.Run] = []
    found: list[Any] = []
    ready = threading.Event()

    def ask(event: ev.RunFinished) -> None:
        assert ready.wait(SOON)
        try:
            found.append(made[0].result(0.05))
        except TimeoutError as error:
            found.append(error)

    run = cs.start(TARGET, log_level=None, subscribers=[(ev.RunFinished, ask)])
    made.append(run)
    ready.set()
    assert run.result(SOON) == VALUE
    assert len(found) == 1


def test_subscriber_that_cancels_twice_and_again_after_the_end() -> None:
    """Each cancel but the first is without effect, whoever asks and when."""
    made: list[cs.Run] = []
    ready = threading.Event()

    def cancel(_: ev.Event) -> None:
        assert ready.wait(SOON)
        made[0].cancel("heard enough")
        made[0].pause()
        made[0].resume()

    run = cs.start(TARGET, log_level=None, subscribers=[cancel])
    made.append(run)
    ready.set()
    run.wait(SOON)
    assert run.state in {"cancelled", "completed"}
    state = run.state
    run.cancel()
    run.pause()
    assert run.state == state
    assert sum(isinstance(e, ev.RunCancelRequested) for e in run.events) <= 1


def measure(target: Any, subscribers: list[Any]) -> float:
    """Seconds of processor time of one run, subscribers included, which other programs disturb less than the clock."""
    gc.collect()
    began = time.process_time()
    cs.run(target, log_level=None, subscribers=subscribers)
    return time.process_time() - began


@pytest.mark.slow
@pytest.mark.parametrize("manner", ["blocks", "raises", "unsubscribes"])
def test_bad_subscriber_costs_the_run_next_to_nothing(
    manner: str, free: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run beside one that blocks, raises or goes away takes no more work than without (as far as can be measured).

    Other programs only ever make a run dearer: the cheapest of a few counts, and more are made only where few are not
    enough to tell.
    """
    monkeypatch.setattr(handle, "FLUSH", 0.001)
    bus = cs.MessageBus()

    def bad(_: ev.Event) -> None:
        if manner == "blocks":
            free.wait(3 * SOON)
        elif manner == "unsubscribes":
            bus.unsubscribe(bad)
        else:
            raise ValueError("bad")

    target = [one(one(n)) for n in range(5_000)]
    alone, beside = [], []
    share = 1.0
    while len(alone) < 3 or (share >= 0.25 and len(alone) < 12):
        bus.subscribe(ev.Event, bad)
        beside.append(measure(target, list(bus.subscriptions)))
        bus.unsubscribe(bad)
        alone.append(measure(target, []))
        share = min(beside) / min(alone) - 1
    sys.stdout.write(f"beside one that {manner}: {100 * share:+.1f} %\n")
    assert share < 0.25


@pytest.mark.slow
@pytest.mark.parametrize("batched", [False, True])
def test_subscriber_that_lags_far_behind_is_told_what_it_missed(batched: bool) -> None:
    """One that sleeps through 50,000 records hears of the run's life, how many it missed, and all that comes later."""
    asleep, lag, told, over = [threading.Event() for _ in range(4)]
    heard: list[ev.Event] = []

    def hear(given: Any) -> None:
        if not heard:
            asleep.set()
            assert lag.wait(SOON)
        heard.extend(given if batched else [given])
        if isinstance(heard[-1], ev.RunFinished):
            over.set()
        if any(isinstance(e, ev.EventsDropped) for e in heard):
            told.set()

    hear.batched = batched  # type: ignore[attr-defined]

    @cs.task
    def last(_: Any) -> bool:
        lag.set()
        return told.wait(SOON)

    first = cs.task(asleep.wait, name="first")(SOON)
    run = cs.start(last([one(first) for _ in range(30_000)]), log_level=None, subscribers=[hear])
    assert run.result(3 * SOON) is True
    assert over.wait(SOON)
    [dropped] = [e for e in heard if isinstance(e, ev.EventsDropped)]
    others = [e for e in heard if e is not dropped]
    assert dropped.count + len(others) == len(run.events)
    assert dropped.count > 5_000
    assert [type(others[0]), type(others[-1])] == [ev.RunStarted, ev.RunFinished]
    assert [e.seq for e in others] == sorted(e.seq for e in others)
