"""A disk of which the i-th step fails."""

from __future__ import annotations

import errno
import os
import sqlite3
from typing import Any

from cascade.adapters.stores.file_ops import FileOps

STEPS = [
    "mkdir",
    "open",
    "write",
    "fsync",
    "close",
    "replace",
    "unlink",
    "size",
    "read",
    "scan",
    "begin",
    "execute",
    "commit",
]


class FaultyFiles(FileOps):
    """The real disk, but step number `nth` (from 1; 0: none) fails as `kind` says: an errno's name, or ``short``.

    With `lasting`, all steps after it that write fail too, as on a disk that is full.
    """

    def __init__(self, nth: int, kind: str, *, lasting: bool = False) -> None:
        self.nth, self.kind, self.lasting = nth, kind, lasting
        self.count = 0
        self.struck = ""


def _make(name: str) -> Any:
    real = getattr(FileOps, name)

    def step(self: FaultyFiles, *args: Any) -> Any:
        self.count += 1
        reads = name in {"size", "read", "scan", "unlink"}
        if self.count != self.nth and not (self.lasting and self.nth and self.count > self.nth and not reads):
            return None if name == "fsync" else real(self, *args)  # the real one only takes time
        self.struck = self.struck or name
        if self.kind == "short":
            if name == "write":
                return real(self, args[0], args[1][: len(args[1]) // 2])
            if name == "read":
                return real(self, *args)[:-1]
            return real(self, *args)
        code = getattr(errno, self.kind)
        if name in {"begin", "execute", "commit"}:
            error = sqlite3.OperationalError("database or disk is full" if code == errno.ENOSPC else "disk I/O error")
            error.sqlite_errorname = "SQLITE_FULL" if code == errno.ENOSPC else "SQLITE_IOERR_WRITE"
            raise error
        if name == "write":
            real(self, args[0], args[1][: len(args[1]) // 2])
        raise OSError(code, os.strerror(code))

    return step


for _name in STEPS:
    setattr(FaultyFiles, _name, _make(_name))
