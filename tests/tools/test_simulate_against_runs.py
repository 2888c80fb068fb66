"""Predictions held against real runs: threads, processes and coroutines that really sleep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest

import cascade as cs
from cascade.tools.simulate import simulate

pytestmark = pytest.mark.slow

CLOSE = 0.15
TRIES = 4  # a machine that is busy with something else makes a run longer, never shorter


@cs.task
def work(seconds: float, *needs: Any) -> float:
    """Take that long in a thread."""
    time.sleep(seconds)
    return seconds


@cs.task(mode="compute")
def crunch(seconds: float, *needs: Any) -> float:
    """Take that long in a process."""
    time.sleep(seconds)
    return seconds


@cs.task
async def nap(seconds: float, *needs: Any) -> float:
    """Take that long on the event loop."""
    await asyncio.sleep(seconds)
    return seconds


@cs.task(mode="inline")
def tick(seconds: float, *needs: Any) -> float:
    """Take that long on the run's own thread."""
    time.sleep(seconds)
    return seconds


def said(node: Any) -> float:
    """Return the seconds that stand in the name of a node: ``fit 0.2``."""
    return float(node.name.rpartition(" ")[2])


def named(task: Any, seconds: float, *needs: Any) -> Any:
    return task(seconds, *needs).named(f"{task.name} {seconds}")


def chain() -> Any:
    last = named(work, 0.05)
    for _ in range(11):
        last = named(work, 0.05, last)
    return last


def fan_in() -> Any:
    return named(work, 0.1, *[named(work, 0.1 + 0.02 * (i % 5)) for i in range(24)])


def layered() -> Any:
    draw, layer = Random(3), [named(work, 0.1) for _ in range(6)]
    for _ in range(4):
        layer = [named(work, draw.choice([0.06, 0.1, 0.16]), a, draw.choice(layer)) for a in layer]
    return [call.with_constraints(gpu=1) for call in layer]


def crowded() -> Any:
    draw = Random(5)
    return [named(work, draw.choice([0.05, 0.1, 0.2])).with_constraints(gpu=draw.randint(1, 3)) for _ in range(24)]


def maps() -> Any:
    held = work.map(seconds=[0.08] * 18).with_constraints(gpu=1).named("held 0.08")
    few = work.map(seconds=[0.1] * 10, max_concurrency=3).named("few 0.1")
    return named(work, 0.1, held, few)


def mixed() -> Any:
    naps = [named(nap, 0.2) for _ in range(10)]
    ticks = [named(tick, 0.03) for _ in range(6)]
    works = [named(work, 0.12, need).with_constraints(gpu=2) for need in [*naps[:4], *ticks[:4]]]
    return named(work, 0.1, *works, *naps, *ticks)


def processes() -> Any:
    first = [named(crunch, 0.15) for _ in range(5)]
    return named(work, 0.1, *[named(crunch, 0.2, call) for call in first])


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    """Four threads that are there already."""
    with ThreadPoolExecutor(4) as made:
        list(made.map(time.sleep, [0.01] * 4))
        yield made


def assert_predicted(predicted: float, run: Callable[[], object]) -> None:
    """Run until one run is as long as predicted; the shortest counts."""
    shortest = float("inf")
    for _ in range(TRIES):
        began = time.perf_counter()
        run()
        shortest = min(shortest, time.perf_counter() - began)
        if abs(predicted / shortest - 1) <= CLOSE:
            return
    assert predicted == pytest.approx(shortest, rel=CLOSE)


@pytest.mark.parametrize("shape", [chain, fan_in, layered, crowded, maps, mixed, processes])
def test_a_run_takes_as_long_as_predicted(shape: Callable[[], Any]) -> None:
    """Within 15 %, with a run's own threads, processes and loop, under the same capacities."""
    made = simulate(shape(), said, {"gpu": 4}, cache=False)
    if shape is processes:
        cs.run([crunch(0.0) for _ in range(8)], log_level=None)  # processes that are there already
    assert_predicted(made.makespan, lambda: cs.run(shape(), None, {"gpu": 4}, log_level=None))


@pytest.mark.parametrize("shape", [chain, fan_in, layered, crowded, maps])
def test_a_run_on_so_many_workers_takes_as_long_as_predicted(
    shape: Callable[[], Any], pool: ThreadPoolExecutor
) -> None:
    """Within 15 %, on an executor of four."""
    made = simulate(shape(), said, {"gpu": 4}, workers=4, cache=False)
    assert_predicted(made.makespan, lambda: cs.run(shape(), None, {"gpu": 4}, log_level=None, executor=pool))


def test_the_history_predicts_the_next_run(tmp_path: Path) -> None:
    """Durations as the store has them from one run make the length of the next, under another capacity, too."""
    naps = [0.05 + 0.01 * i for i in range(8)]

    @cs.task(pure=True)
    def fetch(seconds: float) -> float:
        time.sleep(0.1)
        return seconds

    def target(start: float) -> Any:
        return [fetch(start + seconds).with_constraints(net=1) for seconds in naps]

    cs.run(target(0), None, {"net": 8}, log_level=None, cache=tmp_path)
    made = simulate(target(0), None, {"net": 2}, cache=tmp_path)
    starts = iter(range(1, 100))  # other arguments each time, so that nothing is stored
    assert_predicted(
        made.makespan, lambda: cs.run(target(next(starts)), None, {"net": 2}, log_level=None, cache=tmp_path)
    )


@pytest.mark.parametrize("is_pure", [False, True])
def test_the_history_predicts_maps_over_lists_that_only_a_run_makes(tmp_path: Path, is_pure: Any) -> None:
    """How many items there are, and what one takes, is known from a run with two workers; so other numbers are, too."""

    @cs.task
    def load() -> list[float]:
        time.sleep(0.05)
        return [0.08 + 0.01 * (n % 3) for n in range(12)]

    @cs.task(pure=is_pure)
    def nap_for(seconds: float, salt: int) -> float:
        time.sleep(seconds)
        return seconds

    def target(salt: int) -> Any:
        return work(0.1, nap_for.map(seconds=load(), salt=salt))

    starts = iter(range(1, 100))  # other arguments each time, so that nothing is stored
    for count in (2, 4, None):
        with ThreadPoolExecutor(count or 1) as pool:
            executor = pool if count else None

            def run(executor: Any = executor) -> None:
                cs.run(target(next(starts)), log_level=None, cache=tmp_path, executor=executor)

            if count == 2:
                run()
            made = simulate(target(0), workers=count, cache=tmp_path)
            assert "only the run knows" not in str(made)
            assert_predicted(made.makespan, run)


def test_retries_take_as_long_as_predicted() -> None:
    """Attempts, and the growing waits between them."""
    left = {"n": 0}

    @cs.task
    def flaky() -> int:
        time.sleep(0.1)
        left["n"] -= 1
        if left["n"] >= 0:
            raise ValueError(left["n"])
        return 1

    target = flaky().with_retry(max_attempts=3, delay=0.15, backoff=2.0)
    made = simulate(target, {"flaky": 0.1}, failures={"flaky": 2}, cache=False)

    def run() -> None:
        left["n"] = 2
        cs.run(target, log_level=None)

    assert made.makespan == pytest.approx(0.75)
    assert_predicted(made.makespan, run)
