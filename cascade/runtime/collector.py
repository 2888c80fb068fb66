"""The garbage collector while big graphs grow.

In: how many nodes. Out: a calmer collector inside a ``with`` block. Invariant: the thresholds that were there before
the first of several overlapping blocks are there again after the last.
"""

from __future__ import annotations

import gc
import threading
from types import TracebackType

__all__ = ["UNKNOWN", "calm_collector"]

LARGE = 10_000  # nodes from which on the collector's many small rounds cost more than they find
UNKNOWN = 1 << 62  # a graph that is being built may be of any size

_lock = threading.Lock()
_before: list[tuple[int, int, int]] = []  # one entry for each block that is open; the collector is the process's too


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
        self.large = nodes > LARGE

    def __enter__(self) -> None:
        if self.large:
            with _lock:
                _before.append(_before[0] if _before else gc.get_threshold())
                gc.set_threshold(50_000, 20, 100)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.large:
            with _lock:
                before = _before.pop()
                if not _before:
                    gc.set_threshold(*before)
