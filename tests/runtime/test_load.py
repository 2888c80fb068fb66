"""Many tasks of all kinds under many limits at once: what is counted inside the bodies stays within them."""

from __future__ import annotations

import asyncio
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.spec.constraint import GlobalConstraint

CAPACITY = {"cpu": 4.0, "gpu": 1.0, "db": 2.5, "net": 8.0}


class Probe:
    """Counts what is in use from inside of the bodies."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.used: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self.done = 0

    @contextmanager
    def inside(self, amounts: dict[str, float]) -> Iterator[None]:
        with self.lock:
            for name, amount in amounts.items():
                self.used[name] += amount
                self.peak[name] = max(self.peak[name], self.used[name])
        try:
            yield
        finally:
            with self.lock:
                self.done += 1
                self.used.subtract(amounts)


def make_calls(probe: Probe, number: int, draw: random.Random) -> list[Any]:
    """Return calls and maps with random needs, timeouts and failures."""
    calls = []
    for n in range(number):
        names = draw.sample(sorted(CAPACITY), draw.choice([0, 1, 1, 2, 3]))
        amounts = {name: draw.choice([0.5, 1.0, CAPACITY[name]]) for name in names}
        fails, nap = draw.random() < 0.1, draw.choice([0, 0, 0.0002])

        def plain(x: Any, *, amounts: Any = amounts, fails: bool = fails, nap: float = nap) -> Any:
            with probe.inside({**amounts, "all": 1}):
                time.sleep(nap)
                if fails:
                    raise ValueError(x)
                return x

        async def later(x: Any, *, amounts: Any = amounts, fails: bool = fails, nap: float = nap) -> Any:
            with probe.inside({**amounts, "all": 1}):
                await asyncio.sleep(nap)
                if fails:
                    raise ValueError(x)
                return x

        made = draw.choice([cs.task(plain), cs.task(plain, mode="inline"), cs.task(later)])
        call = made.map(range(5), on_error="collect") if n % 10 == 0 else made(n)
        call = call.with_constraints(**amounts).with_fallback(n)
        calls.append(call.with_timeout(60) if draw.random() < 0.2 else call)
    return calls


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_limits_hold_under_load(seed: int) -> None:
    """Two thousand tasks with random needs: no capacity and no limit is exceeded, all end, nobody starves."""
    probe = Probe()
    calls = make_calls(probe, 2000, random.Random(seed))
    began = time.perf_counter()
    run = cs.start(calls, system_resources=CAPACITY, on_failure="continue", log_level=None)
    run.set_limit(GlobalConstraint("few", "task:later", "concurrency", {"limit": 5}))
    found = run.result(60)
    assert len(found) == 2000
    assert all(probe.peak[name] <= capacity for name, capacity in CAPACITY.items())
    assert not any(+probe.used)
    assert time.perf_counter() - began < 20
    taken = [e.elapsed for e in run.events if isinstance(e, ev.ResourceAcquired)]
    assert taken == sorted(taken)


@pytest.mark.slow
def test_equal_needs_wait_about_equally_long() -> None:
    """Among nodes with the same needs nobody waits far longer than the others."""
    waits: list[float] = []
    ready = time.perf_counter()

    def body(_: int) -> None:
        waits.append(time.perf_counter() - ready)
        time.sleep(0.0005)

    run = cs.start([cs.task(body)(n).with_constraints(cpu=1) for n in range(300)], None, {"cpu": 2}, log_level=None)
    run.result(30)
    assert max(waits) < 20 * statistics.median(waits)


@pytest.mark.slow
def test_cancel_and_timeouts_under_load() -> None:
    """Cancelled at random moments, with threads that run out of time, the books are balanced every time."""
    draw = random.Random(7)
    for _ in range(15):
        probe = Probe()
        calls = [c.with_timeout(draw.choice([0.0005, 0.001, 5])) for c in make_calls(probe, 150, draw)]
        run = cs.start(calls, system_resources=CAPACITY, on_failure="continue", log_level=None)
        run.wait(draw.random() * 0.03)
        run.cancel()
        run.wait(10)
        end = time.perf_counter() + 5
        while run._flow.running and time.perf_counter() < end:  # threads that were given up end on their own
            run._flow.wait_for_ends()
        assert not any(run._flow.core.ledger.used.values())
        assert not any(run._flow.held.values())
        assert all(probe.peak[name] <= capacity for name, capacity in CAPACITY.items())
