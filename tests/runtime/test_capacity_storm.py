"""Ten thousand tasks that want some of everything while a third of them fails: within the capacities, in fair turns."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import cascade as cs
from cascade.graph.ledger import PATIENCE
from cascade.interfaces import events as ev

CAPACITY = {"cpu": 8.0, "gpu": 2.0, "db": 2.5, "net": 4.0, "disk": 0.3}
SOON = 10.0
SLACK = 1e-6


class Books:
    """What is in use, counted from inside of the bodies: a thread that outlives its timeout counts until it ends."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.used: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self.entered = 0

    @contextmanager
    def inside(self, amounts: dict[str, float]) -> Iterator[None]:
        with self.lock:
            self.entered += 1
            for name, amount in amounts.items():
                self.used[name] += amount  # type: ignore[assignment]
                self.peak[name] = max(self.peak[name], self.used[name])
        try:
            yield
        finally:
            with self.lock:
                self.used.subtract(amounts)  # type: ignore[arg-type]


def draw_amounts(draw: random.Random) -> dict[str, float]:
    names = draw.sample(sorted(CAPACITY), draw.choice([1, 1, 1, 2, 2, 3]))
    return {name: CAPACITY[name] * draw.choice([0.05, 0.1, 1 / 7, 0.25, 0.5, 1.0]) for name in names}


def make_call(books: Books, number: int, amounts: dict[str, float], draw: random.Random) -> Any:
    """One call: a fifth cancels itself, a tenth runs out of time, the rest gives its number."""
    fate = draw.choices(["good", "gives up", "late"], [7, 2, 1])[0]

    def plain() -> int:
        with books.inside(amounts):
            if fate == "late":
                time.sleep(0.0015)
            if fate == "gives up":
                raise asyncio.CancelledError
            return number

    async def later() -> int:
        with books.inside(amounts):
            await asyncio.sleep(0)
            if fate == "late":
                await asyncio.Event().wait()
            if fate == "gives up":
                raise asyncio.CancelledError
            return number

    call = cs.task(draw.choice([plain, later]))().with_constraints(**amounts).with_fallback(-number)
    return call.with_timeout(0.001) if fate == "late" else call


def count_passed(events: list[ev.Event]) -> int:
    """Return how often, at most, a waiting node was passed by nodes that came later and took some of the same."""
    order: dict[str, int] = {}
    passed: Counter[str] = Counter()
    waiting: dict[str, None] = {}
    most = 0
    taken: dict[str, set[str]] = {}
    for event in events:
        if isinstance(event, ev.ResourceAcquired):
            taken.setdefault(event.node, set()).add(event.resource)
    wants = {node: frozenset(names) for node, names in taken.items()}
    for number, event in enumerate(events):
        if isinstance(event, ev.NodeWaiting) and event.node in wants:
            order.setdefault(event.node, number)
            waiting[event.node] = None
        elif isinstance(event, ev.NodeStarted):
            arrived = order.get(event.node, number)
            waiting.pop(event.node, None)
            mine = wants.get(event.node, frozenset())
            for other in waiting:
                if order[other] > arrived:
                    break  # those behind came later still
                if mine & wants[other]:
                    passed[other] += 1
                    most = max(most, passed[other])
    return most


@pytest.mark.slow
def test_ten_thousand_tasks_stay_within_five_capacities() -> None:
    """Never more in use than there is, counted in the bodies; everything ends; every amount is given back."""
    books, draw = Books(), random.Random(11)
    calls = [make_call(books, n, draw_amounts(draw), draw) for n in range(1, 10_001)]
    run = cs.start(calls, system_resources=CAPACITY, on_failure="continue", log_level=None)
    found = run.result(60)
    assert [abs(value) for value in found] == list(range(1, 10_001))
    assert 2_000 < sum(value < 0 for value in found) < 4_000
    assert all(books.peak[name] <= capacity + SLACK for name, capacity in CAPACITY.items()), books.peak
    assert books.peak["cpu"] > CAPACITY["cpu"] / 2
    until = time.perf_counter() + SOON
    while run._flow.running and time.perf_counter() < until:  # threads that outlived their timeouts
        run._flow.wait_for_ends()
    assert 9_000 < books.entered <= 10_000  # some were late before they had entered
    assert all(abs(used) < SLACK for used in books.used.values())
    assert not any(run._flow.core.ledger.used.values())
    assert not any(run._flow.held.values())
    last = {e.resource: e.usage for e in run.events if isinstance(e, ev.ResourceAcquired | ev.ResourceReleased)}
    assert last == dict.fromkeys(CAPACITY, 0.0)


@pytest.mark.slow
def test_nobody_is_passed_for_ever() -> None:
    """However many small tasks come, one that wants everything is passed a bounded number of times."""
    draw = random.Random(5)

    async def body(x: int) -> int:
        await asyncio.sleep(0)
        return x

    task = cs.task(body)
    small = [
        {name: CAPACITY[name] * draw.choice([0.1, 0.25]) for name in draw.sample(sorted(CAPACITY), 2)}
        for _ in range(600)
    ]
    # the big ones come first, when the small ones that were ready before them hold something already
    first = [task(n).with_constraints(**amounts) for n, amounts in enumerate(small[:20])]
    big = [task(n).with_constraints(**CAPACITY) for n in range(5)]
    later = [task(n).with_constraints(**amounts) for n, amounts in enumerate(small)]
    run = cs.start([first, big, later], system_resources=CAPACITY, log_level=None)
    run.result(60)
    assert sum(isinstance(event, ev.NodeWaiting) for event in run.events) > 100
    assert 0 < count_passed(run.events) <= (PATIENCE + 1) * 2
