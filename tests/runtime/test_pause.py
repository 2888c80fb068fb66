"""A paused run waits without working."""

from __future__ import annotations

import threading
import time

import pytest

import cascade as cs

LONG = 0.2  # seconds of waiting


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["blocking", "inline"])
def test_a_paused_run_uses_no_processor(mode: str) -> None:
    """While paused with nodes ready, neither the driver nor a worker spins; resumed, the run ends as ever."""
    started, go_on = threading.Event(), threading.Event()

    @cs.task(mode=mode)  # type: ignore[call-overload]
    def step(x: int) -> int:
        started.set()
        go_on.wait(5)
        return x + 1

    run = cs.start(step(step(step(0))), log_level=None)
    assert started.wait(5)
    run.pause()
    go_on.set()
    run.wait(0.05)
    before = time.process_time()
    assert not run.wait(LONG)
    assert time.process_time() - before < LONG / 2
    assert run.state == "paused"
    run.resume()
    assert run.result(timeout=5) == 3
