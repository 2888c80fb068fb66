"""The functions that every engine calls: as small as can be, so that what is measured is the engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

NAP = 0.02  # seconds
SPINS = 5_000_000  # some 0.2 s of one core
PRIME = 1_000_003
TICK = 0.001  # seconds
BLOB = 5_000_000  # bytes


def inc(x: int) -> int:
    """The cheapest task."""
    return x + 1


def add(x: int, y: int) -> int:
    """A task with two inputs; the modulus keeps the numbers small however deep the graph."""
    return (x + y) % PRIME


def total(values: Iterable[int]) -> int:
    """A task that reads many."""
    return sum(values)


def nap(x: int) -> int:
    """A task that waits in a thread."""
    time.sleep(NAP)
    return x


async def anap(x: int) -> int:
    """A task that waits on the event loop."""
    await asyncio.sleep(NAP)
    return x


def spin(x: int) -> int:
    """A task that computes, and holds the interpreter while it does."""
    number = x
    for step in range(SPINS):
        number = (number + step) & 0xFFFF
    return number


def spun(x: int) -> int:
    """What `spin` gives, without the work."""
    return (x + SPINS * (SPINS - 1) // 2) & 0xFFFF


def grind(x: int) -> int:
    """A task that computes for some 20 ms: a tenth of `spin`."""
    number = x
    for step in range(SPINS // 10):
        number = (number + step) & 0xFFFF
    return number


def ground(x: int) -> int:
    """What `grind` gives, without the work."""
    steps = SPINS // 10
    return (x + steps * (steps - 1) // 2) & 0xFFFF


def tick(x: int, y: int = 0) -> int:
    """A task that computes for a millisecond."""
    return hold(TICK, x, y)


def tock(x: int, y: int = 0) -> int:
    """A task that computes for ten milliseconds."""
    return hold(10 * TICK, x, y)


def blob(x: int) -> bytes:
    """A task that makes 5 MB."""
    return bytes([x % 256]) * BLOB


def weigh(blob: bytes) -> int:
    """A task that reads a large value."""
    return len(blob) + blob[-1]


def hold(seconds: float, x: int, y: int) -> int:
    """Keep a core busy for so long; the value is that of `add`, one more."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass
    return (x + y + 1) % PRIME
