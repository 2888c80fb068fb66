"""Claims: one process, and one thread in it, at a time for a key.

In: a path for the key. Out: a claim that is held until it is released, or its process is gone. Invariant: the lock is
the operating system's, on a file of its own, so that a killed holder frees it; nobody holds a lock on a file that has
been removed.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

__all__ = ["Claim", "claim", "hold"]

FIRST_PAUSE, LONGEST_PAUSE = 0.001, 0.05  # seconds between two tries
_FLAGS: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)

if os.name == "nt":  # pragma: no cover - only on Windows
    import msvcrt

    def _lock(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]

    def _unlock(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined, unused-ignore]
else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)


class Claim:
    """A key that is held. Made by `claim`.

    A process that was forked while it was held, and still lives, keeps it from others if the holder is killed.

    Attributes:
        key: what is claimed.
    """

    __slots__ = ("_file", "_path", "_process", "key")

    def __init__(self, key: str, path: Path | None, file: int) -> None:
        """Own the open and locked `file`; below 0: nothing is locked."""
        self.key = key
        self._path = path
        self._file = file
        self._process = os.getpid()

    def release(self) -> None:
        """Let others have it; a second release does nothing."""
        file, self._file = self._file, -1
        if file < 0:
            return
        if self._path is not None and self._process == os.getpid():
            with contextlib.suppress(OSError):
                self._path.unlink()  # while it is locked, so that who comes next makes a new one
            with contextlib.suppress(OSError):
                _unlock(file)
        os.close(file)

    def __enter__(self) -> Self:
        """Hold it for a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release it."""
        self.release()

    def __del__(self) -> None:
        """Release what was forgotten."""
        self.release()


def claim(key: str, path: Path, timeout: float) -> Claim | None:
    """Return the claim of `key` by a lock on `path`; None when another holds it for `timeout` seconds on.

    Raises:
        OSError: where files cannot be made or locked.
    """
    until = time.monotonic() + timeout
    pause = FIRST_PAUSE
    while True:
        file = _try(path)
        if file is not None:
            return Claim(key, path, file)
        left = until - time.monotonic()
        if left <= 0:
            return None
        time.sleep(min(left, pause * random.uniform(0.5, 1.0)))  # noqa: S311 - spreads the tries, keeps no secret
        pause = min(2 * pause, LONGEST_PAUSE)


def _try(path: Path) -> int | None:
    """Return the locked file, None when another holds it."""
    try:
        file = os.open(path, _FLAGS, 0o600)
    except PermissionError:  # Windows: it is being removed
        if os.name == "nt" and path.parent.is_dir():
            return None
        raise
    try:
        _lock(file)
        here, there = os.fstat(file), path.stat()
    except (BlockingIOError, FileNotFoundError):  # held by another, or removed before we had it
        os.close(file)
        return None
    except OSError:
        os.close(file)
        if os.name == "nt":
            return None
        raise
    if (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino):
        os.close(file)
        return None
    return file


@contextmanager
def hold(path: Path, timeout: float) -> Iterator[bool]:
    """Hold a lock on `path` for a block; give False, and go on without, when it cannot be had."""
    try:
        held = claim("", path, timeout)
    except OSError:
        held = None
    try:
        yield held is not None
    finally:
        if held is not None:
            held.release()
