"""Files that are packed, as ``sales.csv.gz``: read and written through what unpacks them.

In: the name of a file, and the file. Out: a file of what is inside. Invariant: equal content packs to equal bytes; the
time and the name do not stand in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import IO, Any, Final

__all__ = ["packed", "plain_name", "unpacked"]

_PACKS: Final = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma"}


def plain_name(name: str) -> str:
    """Return the name of what is inside.

    Example:
        >>> plain_name("sales.csv.gz"), plain_name("sales.csv")
        ('sales.csv', 'sales.csv')
    """
    suffix = PurePath(name).suffix
    return name[: -len(suffix)] if suffix.lower() in _PACKS else name


@contextmanager
def unpacked(name: str, file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Give what is inside of a file that is open for reading; the file itself if it is not packed."""
    kind = _PACKS.get(PurePath(name).suffix.lower())
    if kind is None:
        yield file
        return
    from importlib import import_module

    with import_module(kind).open(file, "rb") as inside:
        yield inside


@contextmanager
def packed(name: str, file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Give a file whose content is packed into one that is open for writing; the file itself if its name says so."""
    kind = _PACKS.get(PurePath(name).suffix.lower())
    if kind is None:
        yield file
        return
    inside: Any
    if kind == "gzip":
        from gzip import GzipFile

        inside = GzipFile("", "wb", fileobj=file, mtime=0)
    else:
        from importlib import import_module

        inside = import_module(kind).open(file, "wb")
    with inside:
        yield inside
