"""A run and a cell that waits for it → its value, or a prompt that is back within a second.

In: a job. Out: the run's value, its task's error, or `RunInterrupt`. Invariant: an Interrupt always
cancels the run, and the wait for the cancel to land is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from cascade.notebook.cell import HeldInterrupts
from cascade.notebook.errors import RunInterrupt
from cascade.notebook.plain import listed
from cascade.notebook.session import Job

__all__ = ["wait", "wait_async"]

POLL = 0.05
WAKE = 0.1
LANDING = 0.7
LAST_PICTURE = 3.0


def wait(job: Job, held: HeldInterrupts) -> Any:
    """Block until the run is over and return its value; an Interrupt, also one held so far, cancels it."""
    try:
        held.release()
        while not job.run.done():
            job.run.wait(POLL)
        _wait_for_picture(job, LAST_PICTURE)
    except KeyboardInterrupt:
        job.run.cancel("the kernel was interrupted")
        _land(job)
        raise _interrupt(job) from None
    return job.run.result(0)


async def wait_async(job: Job, held: HeldInterrupts) -> Any:
    """The same for a cell that awaits: the kernel's loop stays free for clicks, and wakes so that Interrupt is seen."""
    over = _end_of(job)
    try:
        held.release()
        while not job.run.done():
            await asyncio.wait({over}, timeout=WAKE)
        await _until_shown(job, time.monotonic() + LAST_PICTURE)
    except (asyncio.CancelledError, KeyboardInterrupt):
        job.run.cancel("the kernel was interrupted")
        await _land_async(job)
        raise _interrupt(job) from None
    return job.run.result(0)


def _end_of(job: Job) -> asyncio.Future[None]:
    """A future of this loop that is done when the run is over."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()

    def end() -> None:
        if not over.done():
            over.set_result(None)

    def tell() -> None:
        # The loop may be closed by the time a run in the background ends.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(end)

    job.run.add_done_callback(tell)
    return over


def _wait_for_picture(job: Job, most: float) -> None:
    until = time.monotonic() + most
    for view in job.views:
        view.wait(max(0.0, until - time.monotonic()))


def _land(job: Job) -> None:
    """Wait, bounded, for a cancelled run to end; a second Interrupt ends the wait at once."""
    try:
        until = time.monotonic() + LANDING
        while not job.run.done() and time.monotonic() < until:
            job.run.wait(POLL)
        _wait_for_picture(job, max(0.05, until - time.monotonic()))
    except KeyboardInterrupt:
        return


async def _land_async(job: Job) -> None:
    try:
        await _until_shown(job, time.monotonic() + LANDING)
    except (asyncio.CancelledError, KeyboardInterrupt):
        return


async def _until_shown(job: Job, until: float) -> None:
    """Wait for the end of the run and its last picture, in short steps: events of threads do not wake a loop."""
    pause = 0.002
    while not (job.run.done() and all(view.wait(0) for view in job.views)) and time.monotonic() < until:
        await asyncio.sleep(pause)
        pause = min(2 * pause, POLL)


def _interrupt(job: Job) -> RunInterrupt:
    """Tell in one line what was kept, what was cancelled, what still runs."""
    job.views[0].catch_up()
    record = job.views[0].record
    if job.run.done() and job.run.state != "cancelled":
        return RunInterrupt(f"{job.called} was over by then: {job.run.state}.")
    if not job.run.done():
        running = [unit.name for unit in record.units.values() if unit.state == "running"]
        threads = f" Still running, since a thread cannot be stopped: {listed(running)}." if running else ""
        return RunInterrupt(f"{job.called} is being cancelled.{threads}")
    kept = record.counts["done"] + record.counts["stored"] + record.counts["kept"]
    told = f"{job.called} was cancelled: {kept:,} kept, {record.counts['cancelled']:,} cancelled."
    if record.abandoned:
        told += f" Still running, since a thread cannot be stopped: {listed(record.abandoned)}."
    return RunInterrupt(told)
