"""What a run has done beside it, on a thread of its own: jobs in their order, as many at a time as have come.

In: jobs, from any thread. Out: lists of jobs, to one function on one thread. Invariant: no job is lost or done twice,
and no two lists are worked on at once; the thread begins with the first job and ends when it is told to.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from cascade.runtime.threads import run_in_thread

__all__ = ["MOST", "Errands"]

MOST: Final = 500  # jobs in one list
J = TypeVar("J")


class Errands(Generic[J]):
    """Hands jobs to `work`, all that have come since the last time at once.

    Args:
        work: takes a list of jobs. failed: hears what `work` raised; the jobs that come later are done all the same.
    """

    __slots__ = ("_bell", "_end", "_failed", "_has_rung", "_is_working", "_jobs", "_work")

    def __init__(self, work: Callable[[list[J]], None], failed: Callable[[BaseException], None]) -> None:
        """Start nothing yet."""
        self._work = work
        self._failed = failed
        self._jobs: deque[J | None] = deque()
        self._bell = threading.Lock()
        self._bell.acquire()
        self._has_rung = False
        self._is_working = False
        self._end = threading.Event()

    def add(self, job: J) -> None:
        """Have `job` done soon; from any thread, but the first one from one thread only."""
        self._jobs.append(job)
        if not self._is_working:
            self._is_working = True
            run_in_thread(self._serve)
        self._ring()

    def end(self) -> None:
        """Wait until all jobs are done, and let the thread go."""
        if not self._is_working:
            return
        self._jobs.append(None)
        self._ring()
        self._end.wait()

    def _ring(self) -> None:
        """Wake the thread. Where the bell has rung already, the thread has yet to look at what there is to do."""
        if self._has_rung:
            return
        self._has_rung = True
        try:  # noqa: SIM105 - a suppress() costs more than all the rest
            self._bell.release()
        except RuntimeError:
            pass  # another thread was faster

    def _serve(self) -> None:
        jobs = self._jobs
        while True:
            self._bell.acquire()
            self._has_rung = False  # before the first look: what comes from now on rings again
            while jobs:
                batch: list[J] = []
                is_last = False
                while jobs and len(batch) < MOST and not is_last:
                    job = jobs.popleft()
                    if job is None:
                        is_last = True
                    else:
                        batch.append(job)
                if batch:
                    try:
                        self._work(batch)
                    except BaseException as fault:  # noqa: BLE001 - whoever waits for the jobs must hear of it
                        self._failed(fault)
                if is_last:
                    self._end.set()
                    return
