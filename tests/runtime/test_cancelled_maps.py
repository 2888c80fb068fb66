"""A map that is cancelled half-way has no value."""

from __future__ import annotations

import asyncio
import threading

import pytest

import cascade as cs
from cascade.interfaces.events import NodeCancelled, NodeCompleted
from cascade.interfaces.exceptions import RunCancelledError


@pytest.mark.parametrize("mode", ["blocking", "async", "inline"])
def test_a_map_that_is_cut_short_is_cancelled_not_done(mode: str) -> None:
    """When a cancel lands between two items, the map ends as cancelled although every item that began is done."""
    begun, go_on = threading.Event(), threading.Event()

    def item(i: int) -> int:
        begun.set()
        go_on.wait(5)
        return i

    async def async_item(i: int) -> int:
        begun.set()
        await asyncio.sleep(0)
        return await asyncio.to_thread(lambda: go_on.wait(5) and i) or i

    task = cs.task(async_item) if mode == "async" else cs.task(mode=mode)(item)  # type: ignore[call-overload]
    told = threading.Event()
    total = cs.task(sum)(task.map(i=range(1000), max_concurrency=1))
    run = cs.start(total, log_level=None, subscribers=[(NodeCancelled, lambda _: told.set())])
    assert begun.wait(5)
    run.cancel("enough")
    if mode != "inline":  # an inline item keeps the driver from obeying until it ends
        assert told.wait(5)
    go_on.set()
    with pytest.raises(RunCancelledError, match="enough"):
        run.result(timeout=10)
    whole = [e for e in run.events if isinstance(e, (NodeCompleted, NodeCancelled)) and e.index is None]
    assert {type(e) for e in whole} == {NodeCancelled}
    assert len(whole) == 2
