"""Everything that a store does to the disk goes through here, so that tests can make the i-th step fail.

In: paths, bytes, an SQLite connection. Out: the same, on the disk. Invariant: no other module of the store opens,
renames or removes a file, or commits; `fault_point` does nothing unless a test says what.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["FileOps", "fault_point", "set_fault_hook"]

_hook: Callable[[str], object] | None = None


def fault_point(name: str) -> None:
    """Name a place where a process may die; a test's hook may make it so."""
    if _hook is not None:
        _hook(name)


def set_fault_hook(hook: Callable[[str], object] | None) -> None:
    """Call `hook` with the name of every fault point from now on; None: no more."""
    global _hook  # noqa: PLW0603 - a seam for tests, one per process
    _hook = hook


class FileOps:
    """The real disk. Each method is one step that can fail by itself."""

    def mkdir(self, path: Path) -> None:
        """Make a folder and those above it."""
        path.mkdir(parents=True, exist_ok=True)

    def open(self, path: Path) -> BinaryIO:
        """Open a new file for writing; one that exists is an error."""
        return path.open("xb", buffering=0)

    def write(self, file: BinaryIO, data: memoryview) -> int:
        """Write some of `data`; return how many bytes."""
        return file.write(data)

    def fsync(self, file: BinaryIO) -> None:
        """Wait for the disk."""
        os.fsync(file.fileno())

    def close(self, file: BinaryIO) -> None:
        """Close it; some disks say no only now."""
        file.close()

    def replace(self, source: Path, target: Path) -> None:
        """Put `source` in the place of `target` in one step."""
        source.replace(target)

    def unlink(self, path: Path) -> None:
        """Remove a file; one that is not there is no error."""
        path.unlink(missing_ok=True)

    def size(self, path: Path) -> int | None:
        """Return the bytes of a file, None if there is none."""
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_size

    def read(self, path: Path, expected: int) -> bytearray:
        """Return the bytes of a file into memory that may be written to, so that arrays need no copy.

        Args:
            expected: bytes that it should have; of a longer file, one byte more than that is read.
        """
        with path.open("rb", buffering=0) as file:
            found = os.fstat(file.fileno()).st_size
            data = bytearray(min(found, expected + 1))
            view, done = memoryview(data), 0
            while done < len(data):
                count = file.readinto(view[done:])
                if not count:
                    break
                done += count
            view.release()
            return data if done == len(data) else data[:done]

    def scan(self, folder: Path) -> Iterator[os.DirEntry[str]]:
        """Go over what lies in a folder; none that is not there."""
        try:
            with os.scandir(folder) as found:
                yield from found
        except (FileNotFoundError, NotADirectoryError):
            return

    def begin(self, connection: sqlite3.Connection) -> None:
        """Begin a transaction that writes."""
        connection.execute("BEGIN IMMEDIATE")

    def execute(self, connection: sqlite3.Connection, statement: str, rows: list[tuple[Any, ...]]) -> int:
        """Run one statement for many rows; return how many rows it changed."""
        return connection.executemany(statement, rows).rowcount

    def commit(self, connection: sqlite3.Connection) -> None:
        """End the transaction."""
        connection.execute("COMMIT")
