"""The garbage collector while big graphs grow.

In: how many nodes. Out: a calmer collector inside a ``with`` block. Invariant: the thresholds that were there before
the first of several overlapping blocks are there again after the last.
"""

from __future__ import annotations

import gc
import threading
from types import TracebackType

__all__ = ["SOME", "UNKNOWN", "calm_collector"]

LARGE = 10_000  # nodes from which on the collector's many small rounds cost more than they find
SOME = 500  # nodes from which on that is so for its smallest rounds
UNKNOWN = 1 << 62  # a graph that is being built may be of any size

Thresholds = tuple[int, int, int]
_lock = threading.Lock()
_before: list[Thresholds] = []  # at most one; the collector is the whole process's
_open: list[Thresholds] = []  # one for each block that is open


class calm_collector:  # noqa: N801 - used as a function
    """Make the garbage collector less eager while a graph of `nodes` nodes is built or runs.

    Example:
        >>> before = gc.get_threshold()
        >>> with calm_collector(1_000_000):
        ...     gc.get_threshold() == before
        False
        >>> gc.get_threshold() == before
        True
    """

    def __init__(self, nodes: int) -> None:
        self.thresholds = (50_000, 20, 100) if nodes > LARGE else (20_000, 5, 5) if nodes >= SOME else None

    def __enter__(self) -> None:
        if self.thresholds is not None:
            with _lock:
                if not _open:
                    _before[:] = [gc.get_threshold()]
                _open.append(self.thresholds)
                gc.set_threshold(*max(_open))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.thresholds is not None:
            with _lock:
                _open.remove(self.thresholds)
                gc.set_threshold(*(max(_open) if _open else _before[0]))
