"""Faults of a store, told as events of the run that met them.

In: what a store reports while a run uses it, from any thread. Out: `StoreReported` events, without secrets. Invariant:
a fault never fails the run; a map of a million values that cannot be stored makes one event, and no flood of faults
makes more than a page of them.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from cascade.interfaces.events import StoreReported

if TYPE_CHECKING:
    from cascade.runtime.journal import Journal
    from cascade.runtime.redaction import Redactor

__all__ = ["StoreWatch"]

MOST: Final = 100  # faults of one run that are told one by one


class StoreWatch:
    """Hears one store for one run. What is said after the run's last event is not told.

    Args:
        store: one that has no ``listen`` is not heard.
    """

    __slots__ = ("_count", "_journal", "_lock", "_redact", "_stop", "_unsaved")

    def __init__(self, store: Any, journal: Journal, redact: Redactor) -> None:
        """Listen from now on."""
        self._journal = journal
        self._redact = redact
        self._count = 0
        self._unsaved: set[str] = set()
        self._lock = threading.Lock()
        listen = getattr(store, "listen", None)
        self._stop = listen(self._hear) if callable(listen) else lambda: None

    def end(self) -> None:
        """Hear no more; say how much was not told."""
        self._stop()
        if self._count > MOST:
            left = self._count - MOST
            self._journal.tell(StoreReported, kind="more", problem=f"{left:,} more faults of the store are not told.")

    def _hear(self, kind: str, _key: str, problem: str, task: str) -> None:
        with self._lock:
            if kind == "unsaved" and task:  # the items of a map are alike
                if task in self._unsaved:
                    return
                self._unsaved.add(task)
            self._count += 1
            is_told = self._count <= MOST
        if is_told:
            self._journal.tell(StoreReported, kind=kind, problem=self._redact(problem), task=task)
