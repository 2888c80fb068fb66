"""A thousand tasks that always fail, on a clock that skips waits."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.testing import virtual_clock

QUIET: dict[str, Any] = {"log_level": None, "on_failure": "continue"}


@cs.task
def never(x):
    raise ConnectionError(str(x))


@cs.task(mode="inline")
def wrong(x):
    raise ValueError(str(x))


@pytest.mark.slow
def test_a_thousand_failing_tasks_are_tried_as_often_and_as_late_as_was_said():
    """Retries spread over their delays, the totals are as computed, and nothing is tried again that must not be."""
    policy: dict[str, Any] = {
        "max_attempts": 5, "delay": 1.0, "backoff": 2.0, "jitter": 0.5, "max_delay": 5.0, "retry_on": ConnectionError
    }  # fmt: skip
    longest = [1.0, 2.0, 4.0, 5.0]
    calls = [task(n).named(f"{task.name}{n}").with_retry(**policy) for n in range(500) for task in (never, wrong)]
    with virtual_clock() as clock:
        run = cs.start(calls, **QUIET)
        error = run.exception(60)
        took = clock.now()
    assert isinstance(error, ExceptionGroup)
    assert Counter(type(each) for each in error.exceptions) == {ConnectionError: 500, ValueError: 500}
    retries = [e for e in run.events if isinstance(e, ev.NodeRetrying)]
    assert Counter(e.attempt for e in retries) == {1: 500, 2: 500, 3: 500, 4: 500}
    assert {e.name[:5] for e in retries} == {"never"}
    failed = {e.name: e.attempt for e in run.events if isinstance(e, ev.NodeFailed)}
    assert Counter(failed.values()) == {5: 500, 1: 500}
    for attempt, most in enumerate(longest, 1):
        delays = [e.delay for e in retries if e.attempt == attempt]
        assert all(most / 2 <= delay <= most for delay in delays)
        tenths = Counter(int((delay - most / 2) / (most / 2) * 9.999) for delay in delays)
        assert len(tenths) == 10, "they spread over the whole width"
        assert max(tenths.values()) < 500 / 10 * 2
    ends: dict[str, float] = {}
    for e in retries:
        ends[e.name] = ends.get(e.name, 0.0) + e.delay
    assert took == pytest.approx(max(ends.values()), rel=0.01)


def test_a_run_s_timeout_ends_it_on_the_clock_too():
    """An hour of waiting is over at once, and the timeout of the run holds in that time."""
    with virtual_clock() as clock:
        with pytest.raises(TimeoutError):
            cs.run(never(1).with_retry(max_attempts=1000, delay=60.0), timeout=3600, log_level=None)
        assert 3600 <= clock.now() < 3700
