"""Tasks for other processes, which find them here by name."""

from __future__ import annotations

import time

import cascade as cs


@cs.task(mode="compute")
def sleep_long():
    """Take longer than any test."""
    time.sleep(120)
