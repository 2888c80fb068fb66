"""A run → what its record has not been told yet.

In: a run of this process, or one that tells its events. Out: the record, brought up to now when its view asks.
Invariant: a run of this process does nothing for those who watch it; its journal is read, at the reader's own pace.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any, Protocol

from cascade.interfaces.events import Event, RunFinished
from cascade.notebook.intake import Intake
from cascade.notebook.record import RunRecord
from cascade.runtime.journal import Journal

__all__ = ["Feed", "open_feed"]

LOOK = 0.05  # seconds between two looks at a journal
WORTH = 2_000  # records that are folded before a frame is due, so that the frame waits for few


class Feed(Protocol):
    """Where a view has the news of its run from.

    Attributes:
        period: seconds after which to look again, if nobody rings. worth: how much news is worth a fold before a frame
            is due. is_busy: whether there may be as much of it before the next one.
    """

    period: float
    worth: int
    is_busy: bool

    @property
    def waiting(self) -> int:
        """How much news waits."""

    @property
    def is_over(self) -> bool:
        """Whether the end of the run has been told."""

    def fold(self, record: RunRecord) -> None:
        """Tell `record` what waits."""

    def begin_again(self, record: RunRecord) -> bool:
        """Tell `record`, which is new, everything so far; say whether that is known."""

    def close(self) -> None:
        """Hear nothing more."""


class JournalFeed:
    """Reads the journal of a run of this process."""

    period, worth = LOOK, WORTH

    def __init__(self, journal: Journal, record: RunRecord) -> None:
        """Begin with the first record."""
        self._journal = journal
        self._intake = Intake(record, journal)
        self.is_busy = False

    @property
    def waiting(self) -> int:
        """How many records have not been read."""
        return len(self._journal.records) - self._intake.next

    @property
    def is_over(self) -> bool:
        """Whether the end of the run was among those that were read."""
        return self._intake.is_over

    def fold(self, record: RunRecord) -> None:
        """Read the records that are there."""
        del record  # the intake has it
        begun = self._intake.next
        self._intake.catch_up()
        self.is_busy = 2 * (self._intake.next - begun) > WORTH

    def begin_again(self, record: RunRecord) -> bool:
        """Read all records once more."""
        self._intake = Intake(record, self._journal)
        self.fold(record)
        return True

    def close(self) -> None:
        """Let the journal go: what is kept of the run does not need it any more."""
        self._intake.close()


class ToldFeed:
    """Takes the events of a run that tells them: one of another process."""

    period, worth, is_busy = 60.0, 1, True

    def __init__(self, run: Any, wake: threading.Event) -> None:
        """Listen; `wake` is set when there is news."""
        self.is_over = False
        self._run = run
        self._wake = wake
        self._inbox: deque[list[Event]] = deque()
        self._unsubscribe = run.subscribe(self._receive)

    def _receive(self, events: list[Event]) -> None:
        """Queue a batch; runs on the run's delivery thread."""
        self._inbox.append(events)
        self.is_over = self.is_over or any(type(event) is RunFinished for event in reversed(events[-8:]))
        self._wake.set()

    @property
    def waiting(self) -> int:
        """How many batches wait."""
        return len(self._inbox)

    def fold(self, record: RunRecord) -> None:
        """Take the batches that are there."""
        while self._inbox:
            record.apply(self._inbox.popleft())

    def begin_again(self, record: RunRecord) -> bool:
        """Take all events from the beginning, if they are there and not older than what was known."""
        events = list(self._run.events)
        if not events or events[0].seq != 0:
            return False
        record.apply(events)
        return True

    def close(self) -> None:
        """Hear nothing more."""
        self._unsubscribe()


def open_feed(run: Any, record: RunRecord, wake: threading.Event) -> Feed:
    """Return the feed of a run; `wake` is set when it is over, and when there is news that nobody would find."""
    journal = getattr(getattr(run, "_flow", None), "journal", None)
    if journal is None:
        return ToldFeed(run, wake)
    run.add_done_callback(wake.set)
    return JournalFeed(journal, record)
