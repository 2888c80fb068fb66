"""Files whose identity is what they hold.

In: a path. Out: a `File`, to be passed where a path is. Invariant: two Files are equal when their paths are; their
digest is that of the content, never of name or time, and is read again whenever the file may have changed.
"""

from __future__ import annotations

import os
import time
from functools import lru_cache
from hashlib import blake2b
from typing import Final

__all__ = ["File"]

_BLOCK: Final = 1 << 20  # bytes read at once
_SIZE: Final = 20  # bytes of a digest
_FRESH: Final = 100_000_000  # nanoseconds: clocks of file systems are coarser than they look
_MOST_READS: Final = 3


class File(os.PathLike[str]):
    """A path that counts by the content of the file or folder behind it.

    A task that takes a ``File`` runs again when the content has changed, and only then: not when the file was merely
    touched, copied or moved. It can be opened and joined as any path can.

    Args:
        path: of a file or a folder; it need not exist yet.

    Raises:
        TypeError: when `path` is no path of text.

    Example:
        >>> from cascade.spec.file import File
        >>> File("no/such/file.csv").digest()
        'missing'
    """

    __slots__ = ("path",)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Keep the path as it is given."""
        text = os.fspath(path)
        if not isinstance(text, str):
            raise TypeError(f"A File takes a path of text, not {type(text).__name__}. Decode it with os.fsdecode.")
        self.path = text

    def digest(self) -> str:
        """Return ``file:…`` or ``folder:…`` with the digest of the content in hexadecimal, or ``missing``.

        The content of a file is read once, until its size, its times or the file itself change. A folder's digest is
        that of the names in it, at any depth, and of what the files hold; links to folders count by where they lead.

        Raises:
            OSError: when there is something that cannot be read.
        """
        if os.path.isdir(self.path):  # noqa: PTH112 - a Path would have to be made for it
            return f"folder:{_digest_folder(self.path)}"
        try:
            return f"file:{_digest_file(self.path)}"
        except (FileNotFoundError, NotADirectoryError):
            return "missing"

    def __fspath__(self) -> str:
        """Return the path."""
        return self.path

    def __str__(self) -> str:
        """Show the path, as paths do."""
        return self.path

    def __repr__(self) -> str:
        """Show the path."""
        return f"File({self.path!r})"

    def __eq__(self, other: object) -> bool:
        """Compare the paths."""
        return isinstance(other, File) and other.path == self.path

    def __hash__(self) -> int:
        """Fit the equality."""
        return hash((File, self.path))

    def __reduce__(self) -> tuple[type[File], tuple[str]]:
        """Travel as the path."""
        return File, (self.path,)


def _digest_file(path: str) -> str:
    for _ in range(_MOST_READS):
        before = os.stat(path)  # noqa: PTH116 - see above
        seen = _signature(before)
        if time.time_ns() - max(before.st_mtime_ns, before.st_ctime_ns) < _FRESH:
            digest = _read(path)  # a second write within one tick of the clock would go unseen
        else:
            digest = _remembered(path, seen)
        if _signature(os.stat(path)) == seen:  # noqa: PTH116 - see above
            return digest
        _remembered.cache_clear()  # written while it was read
    return _read(path)


def _signature(stat: os.stat_result) -> tuple[int, ...]:
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@lru_cache(maxsize=4096)
def _remembered(path: str, seen: tuple[int, ...]) -> str:  # noqa: ARG001 - part of the key
    return _read(path)


def _read(path: str) -> str:
    hasher = blake2b(digest_size=_SIZE)
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - see above
        while block := file.read(_BLOCK):
            hasher.update(block)
    return hasher.hexdigest()


def _digest_folder(path: str) -> str:
    hasher = blake2b(digest_size=_SIZE)

    def add(word: str, *texts: str) -> None:
        for text in (word, *texts):
            data = text.encode("utf-8", "surrogateescape")
            hasher.update(b"%x:" % len(data) + data)

    for folder, folders, files in os.walk(path, onerror=_refuse):
        folders.sort()
        inside = os.path.relpath(folder, path).replace(os.sep, "/")
        add("folder", inside)
        for name in folders:
            if os.path.islink(os.path.join(folder, name)):  # noqa: PTH114, PTH118 - see above
                add("link", inside, name, os.readlink(os.path.join(folder, name)))  # noqa: PTH115, PTH118 - see above
        for name in sorted(files):
            add("file", inside, name, _content(os.path.join(folder, name)))  # noqa: PTH118 - see above
    return hasher.hexdigest()


def _content(path: str) -> str:
    try:
        return _digest_file(path)
    except FileNotFoundError:
        return "missing"  # a link that leads nowhere


def _refuse(error: OSError) -> None:
    raise error
