"""The states of a node in a run.

In: nothing. Out: numbers. Invariant: whoever asks what became of a node knows these, and need not know the scheduler.
"""

from __future__ import annotations

from typing import Final

__all__ = ["CANCELLED", "DONE", "FAILED", "PENDING", "RUNNING", "SKIPPED"]

PENDING: Final = 0
RUNNING: Final = 1
DONE: Final = 2
FAILED: Final = 3
SKIPPED: Final = 4
CANCELLED: Final = 5
