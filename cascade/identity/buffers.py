"""Memory → digest, at the speed of memory.

In: buffers of any size. Out: a digest of 20 bytes for each. Invariant: the digest depends on the bytes alone, not on
how many threads made it or how the memory lies.

BLAKE2b does about 1 GB/s on one core, and the interpreter's lock is free while it works. So a buffer of more than one
chunk is a tree of two levels: its chunks of 1 MiB are leaves that several threads hash side by side, and its digest is
that of its leaves' digests and its length. The buffers of one data frame are hashed together, so that a frame of many
narrow columns is as fast as one wide array.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count
from typing import Any, Final

__all__ = ["CHUNK", "SIZE", "Source", "digest_bytes", "digest_sources", "from_buffer"]

CHUNK: Final = 1 << 20  # bytes of a leaf
SIZE: Final = 20  # bytes of a digest
_ALONE: Final = 4 * CHUNK  # below it, starting threads costs more than they save
_MOST_THREADS: Final = 8


@dataclass(frozen=True, slots=True)
class Source:
    """A sequence of bytes that is read in leaves.

    Args:
        size: bytes in all.
        leaf: bytes of each leaf but the last.
        read: gives the bytes of the leaf with this number; called from several threads.
    """

    size: int
    leaf: int
    read: Callable[[int], Any]

    @property
    def leaves(self) -> int:
        """How many leaves there are; an empty source has one."""
        return max(1, -(-self.size // self.leaf))


def from_buffer(buffer: Any) -> Source:
    """Return the source of contiguous memory, without a copy."""
    view = memoryview(buffer)
    if view.nbytes == 0:
        return Source(0, CHUNK, lambda _: b"")
    flat = view.cast("B")
    return Source(flat.nbytes, CHUNK, lambda number: flat[number * CHUNK : (number + 1) * CHUNK])


def digest_bytes(buffer: bytes | bytearray | memoryview) -> bytes:
    """Return the digest of one buffer."""
    if len(buffer) <= CHUNK:
        return blake2b(buffer, digest_size=SIZE).digest()
    return digest_sources([from_buffer(buffer)])[0]


def digest_sources(sources: Sequence[Source]) -> list[bytes]:
    """Return the digest of each source; their leaves share the threads."""
    leaves: list[list[bytes]] = [[b""] * source.leaves for source in sources]
    jobs = [(which, number) for which, source in enumerate(sources) for number in range(source.leaves)]

    def hash_leaf(job: tuple[int, int]) -> None:
        which, number = job
        leaves[which][number] = blake2b(sources[which].read(number), digest_size=SIZE).digest()

    if sum(source.size for source in sources) < _ALONE or len(jobs) == 1:
        for job in jobs:
            hash_leaf(job)
    else:
        _share(hash_leaf, jobs)
    return [_root(source, own) for source, own in zip(sources, leaves, strict=True)]


def _root(source: Source, leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    return blake2b(b"tree%x:" % source.size + b"".join(leaves), digest_size=SIZE).digest()


def _share(work: Callable[[tuple[int, int]], None], jobs: list[tuple[int, int]]) -> None:
    """Do all jobs in this thread and a few others; raise what the first failing one raised."""
    from threading import Thread

    numbers: Iterator[int] = count()  # its `next` is one step under the interpreter's lock
    failures: list[BaseException] = []

    def take() -> None:
        try:
            while not failures and (number := next(numbers)) < len(jobs):
                work(jobs[number])
        except BaseException as failure:  # noqa: BLE001 - carried to the caller, whatever it is
            failures.append(failure)

    threads: list[Thread] = []
    for _ in range(min(_cores(), _MOST_THREADS, len(jobs)) - 1):
        thread = Thread(target=take, name="cascade-digest", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending, or there are too many: this thread does it alone
            break
        threads.append(thread)
    take()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
