from __future__ import annotations

import time
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces.exceptions import NodeTimeoutError, RunCancelledError
from cascade.providers.errors import ProviderError
from cascade.testing import virtual_clock
from tests.providers.hostile import HOSTILE


def test_it_goes_by_the_clock_of_the_context() -> None:
    """With a virtual clock an hour passes at once, in order, and the value is passed on."""
    with virtual_clock() as clock:
        calls = [cs.wait(3600 * n, n) for n in (3, 1, 2)]
        assert cs.run(calls, log_level=None) == [3, 1, 2]
        assert clock.now() == pytest.approx(3 * 3600)


def test_it_really_waits() -> None:
    """Without one, the seconds pass; a thousand waits at once hold no thread."""
    began = time.monotonic()
    assert cs.run(cs.wait.map([0.05] * 1000), log_level=None) == [None] * 1000
    assert 0.05 <= time.monotonic() - began < 2


def test_it_can_be_cancelled_and_timed_out() -> None:
    """A cancel ends it at once, and so does its node's own timeout."""
    handle = cs.start(cs.wait(60), log_level=None)
    handle.cancel()
    began = time.monotonic()
    with pytest.raises(RunCancelledError):
        handle.result(timeout=10)
    assert time.monotonic() - began < 1
    with virtual_clock(), pytest.raises(NodeTimeoutError):
        cs.run(cs.wait(60).with_timeout(30), log_level=None)


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "1", None, True, *HOSTILE[:3]])
def test_what_is_no_time(seconds: Any) -> None:
    """Only numbers of seconds from 0 on are meant."""
    with pytest.raises(ProviderError, match="a number of seconds of at least 0"):
        cs.run(cs.wait(seconds), log_level=None)
