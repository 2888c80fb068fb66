"""The event bus: delivery that can neither fail nor slow a run."""

from __future__ import annotations

import threading
import time

import pytest

import cascade as cs
from cascade.interfaces.events import Event, LifecycleEvent, NodeCompleted, NodeStarted, RunFinished, RunStarted
from cascade.runtime.bus import Subscription


@cs.task(mode="inline")
def one(x: int = 0) -> int:
    """A node that costs nothing."""
    return x + 1


def test_every_event_comes_once_in_one_order() -> None:
    """A subscriber hears all events of a run, numbered without gaps, the first and last being the run's own."""
    heard: list[Event] = []
    assert cs.run(one(one(1)), log_level=None, subscribers=[heard.append]) == 3
    assert [e.seq for e in heard] == list(range(len(heard)))
    assert isinstance(heard[0], RunStarted)
    assert isinstance(heard[-1], RunFinished)
    assert heard[-1].status == "completed"
    assert len({e.run_id for e in heard}) == 1


def test_a_subscription_to_a_base_class_hears_its_kinds() -> None:
    """A pair of a type and a function hears that type and what derives from it, nothing else."""
    completed: list[Event] = []
    lifecycle: list[Event] = []
    cs.run(
        one(one(1)), log_level=None, subscribers=[(NodeCompleted, completed.append), (LifecycleEvent, lifecycle.append)]
    )
    assert [e.name for e in completed if isinstance(e, NodeCompleted)] == ["one", "one"]
    assert [type(e) for e in lifecycle] == [RunStarted, RunFinished]


def test_short_and_long_form_of_completion_are_equal_but_for_the_node() -> None:
    """The event made in the quick way has every field that the class has."""
    heard: list[Event] = []
    cs.run(one(), log_level=None, subscribers=[(NodeCompleted, heard.append)])
    (event,) = heard
    assert isinstance(event, NodeCompleted)
    assert event == NodeCompleted(
        run_id=event.run_id, seq=event.seq, at=event.at, elapsed=event.elapsed, node="one", name="one", index=None,
        attempt=1, duration=event.duration, summary="",
    )  # fmt: skip
    assert event.duration >= 0


@pytest.mark.filterwarnings("ignore")
def test_a_subscriber_that_raises_is_detached_and_the_run_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """After three failures a handler hears nothing more, the log says so, and the value is right."""
    calls: list[Event] = []

    def broken(event: Event) -> None:
        calls.append(event)
        raise SystemExit("no")

    subscription = Subscription(Event, broken)
    for _ in range(4):
        assert cs.run(one(), log_level=None, subscribers=[subscription]) == 1
    assert not subscription.active
    assert len(calls) == 3
    assert "it is detached" in caplog.text


def test_a_subscriber_that_blocks_does_not_hold_the_run() -> None:
    """A handler that never returns costs the end of the run at most the flush, not the run itself."""
    release = threading.Event()
    started = time.perf_counter()
    run = cs.start(one(), log_level=None, subscribers=[lambda _event: release.wait(20)])
    assert run.result(timeout=10) == 1
    assert time.perf_counter() - started < 5
    release.set()


def test_unsubscribing_in_the_middle_is_heeded() -> None:
    """A handler that ends its own subscription hears nothing more."""
    bus = cs.MessageBus()
    heard: list[Event] = []

    def once(event: Event) -> None:
        heard.append(event)
        bus.unsubscribe(once)

    bus.subscribe(Event, once)
    cs.run(one(one()), log_level=None, subscribers=bus.subscriptions)
    assert len(heard) == 1
    assert bus.subscriptions == []


def test_a_late_subscriber_hears_everything_from_the_start() -> None:
    """`Run.subscribe` after the end replays the whole run."""
    run = cs.start(one(one()), log_level=None)
    run.result(timeout=10)
    heard: list[Event] = []
    done = threading.Event()

    def take(batch: list[Event]) -> None:
        heard.extend(batch)
        if isinstance(heard[-1], RunFinished):
            done.set()

    run.subscribe(take)
    assert done.wait(5)
    assert [type(e) for e in heard if isinstance(e, NodeStarted)] == [NodeStarted, NodeStarted]


def test_publish_delivers_at_once() -> None:
    """A bus can be used without a run; a subscriber that publishes does not recurse into itself for ever."""
    bus = cs.MessageBus()
    heard: list[str] = []
    event = RunFinished(run_id="r", seq=0, at=0.0, elapsed=0.0, status="completed", duration=0.0)
    bus.subscribe(RunFinished, lambda e: heard.append(e.status))
    bus.publish(event)
    assert heard == ["completed"]


def test_something_that_is_no_subscriber_is_refused() -> None:
    """The error says what a subscriber is."""
    with pytest.raises(TypeError, match="A subscriber is a function"):
        cs.start(one(), log_level=None, subscribers=[3])
