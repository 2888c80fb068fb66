"""Five hundred runs of every kind in one process: memory, threads and open files are those of the fiftieth."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import tracemalloc
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import cascade as cs

QUIET: dict[str, Any] = {"log_level": None}
SOON = 10.0
WARM, RUNS = 50, 500
FILES = Path("/proc/self/fd")


@cs.task
def plain(x: Any = 0, *_: Any) -> Any:
    return x


@cs.task(mode="inline")
def inline(x: Any = 0) -> Any:
    return x


@cs.task
async def later(x: Any = 0, *_: Any) -> Any:
    await asyncio.sleep(0)
    return x


@cs.task
async def for_ever() -> None:
    await asyncio.Event().wait()


@cs.task
def boom(x: Any = 0) -> None:
    raise ValueError(bytearray(100_000))


@cs.task(mode="compute")
def square(x: int) -> int:
    return x * x


def make_resources() -> list[Any]:
    @cs.resource
    async def client() -> AsyncIterator[bytearray]:
        yield bytearray(100_000)

    @cs.resource
    def db(client: Any = cs.inject("client")) -> Iterator[bytearray]:
        yield bytearray(100_000)

    @cs.resource(scope="task")
    def own() -> Iterator[bytearray]:
        yield bytearray(100_000)

    return [client, db, own]


def run_once(number: int, seen: list[Any]) -> None:
    """One run of the kind that its number says."""
    resources = make_resources()
    kind = number % 10
    everything = [plain.map(range(5)), later.map(range(5)), inline(later(1)), plain(2, cs.inject("db"))]
    if kind in (0, 1, 2):
        target = [*everything, later(3, cs.inject("own")), plain(bytearray(100_000))]
        seen.append(weakref.ref(start(target, resources, 0)))
    elif kind in (3, 4):
        run = start([*everything, for_ever()], resources, None)
        run.cancel()
        assert run.exception(SOON) is not None
    elif kind == 5:
        run = start([boom(), plain(1, cs.inject("db")), boom.map(range(3), on_error="collect")], resources, None)
        assert run.exception(SOON) is not None
        seen.append(weakref.ref(run))
    elif kind == 6:
        assert (
            start([for_ever().with_timeout(0.001).with_fallback(1), boom().with_fallback(2)], resources, 0) is not None
        )
    elif kind == 7:
        heard: list[Any] = []
        cs.run(everything, resources=resources, subscribers=[heard.append, lambda _: 1 / 0], **QUIET)
    elif kind == 8:
        asyncio.run(cs.arun([later(1), later(2, cs.inject("client"))], resources=resources, **QUIET))
    elif number % 50 == 9:
        with suppress(ZeroDivisionError):
            cs.run([square(3), cs.task(lambda: 1 / 0, mode="compute")()], **QUIET)
    else:
        assert cs.run(plain([later(n) for n in range(10)]), **QUIET) == list(range(10))


def start(target: Any, resources: Any, fine: int | None) -> cs.Run:
    run = cs.start(target, resources=resources, on_failure="continue", **QUIET)
    if fine is not None:
        run.result(SOON)
    return run


def count_files() -> int:
    return len(list(FILES.iterdir())) if FILES.is_dir() else 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_five_hundred_runs_leave_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    """After fifty runs of all modes, with resources, failures, timeouts and cancels, the next 450 take nothing more."""
    caplog.set_level("CRITICAL", "cascade")
    handles: list[Any] = []
    for number in range(WARM):
        run_once(number, handles)
    gc.collect()
    threads, files = threading.active_count(), count_files()
    tracemalloc.start()
    try:
        for number in range(WARM, 2 * WARM):
            run_once(number, handles)
        handles.clear()
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        for number in range(2 * WARM, RUNS):
            run_once(number, handles)
        until = time.perf_counter() + SOON
        while any(handle() is not None for handle in handles) and time.perf_counter() < until:
            gc.collect()
            time.sleep(0.01)  # a thread that has just ended its run may hold it for a moment
        assert not [handle for handle in handles if handle() is not None]
        handles.clear()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 300_000, f"{(after - before) / (RUNS - 2 * WARM):.0f} bytes a run"
    # What other tests have left in this process, such as a warm cluster, may open a few more meanwhile.
    assert threading.active_count() <= threads + 12
    assert count_files() <= files + 30
