"""``cs.io.local``: files of this machine, and nothing else.

In: a path. Out: its content, or the file. Invariant: an address of anywhere else is refused, whoever gives it.
"""

from __future__ import annotations

import builtins
import os
from typing import Final

import cascade as cs
from cascade.providers.content import as_bytes, check_order
from cascade.providers.read import Reader
from cascade.providers.storage import LocalSpot, find_spot, is_address
from cascade.providers.storage_errors import PlaceError
from cascade.providers.tables_errors import TableError

__all__ = ["read", "write"]

Path = str | os.PathLike[str]


@cs.task(name="io.local.read", pure=True)
def read_local(path: Path, *, encoding: str | None = None, root: str | None = None) -> builtins.bytes | str:
    r"""Return what a file of this machine holds: its bytes, or with an encoding its text.

    Args:
        path: of the file. encoding: as ``utf-8``; None: bytes.
        root: a folder that `path` is relative to and must stay under.

    Raises:
        OSError: when it cannot be read. PlaceError: when `path` is none of this machine, or leads out of `root`.

    Example:
        >>> import cascade as cs, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     cs.run(cs.io.local.read(cs.io.local.write(f"{folder}/a", "hello")), log_level="ERROR")
        b'hello'
    """
    content = _local(path, root).read()
    try:
        return content if encoding is None else content.decode(encoding)
    except (UnicodeError, LookupError) as error:
        raise TableError.for_text(os.fspath(path), str(encoding), error) from None


@cs.task(name="io.local.write")
def write(
    path: Path, data: builtins.bytes | str, *, encoding: str = "utf-8", overwrite: bool = True, root: str | None = None
) -> cs.File:
    """Write bytes or a text to a file of this machine; it is seen when it is complete.

    Args:
        path, root: see `cs.io.local.read`. data: what the file will hold. encoding: of a text.
        overwrite: take the place of a file that is there.

    Raises:
        OSError: what the disk says. PlaceError: as `cs.io.local.read`, and when the name is taken.

    Example:
        >>> import cascade as cs, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     cs.run(cs.io.local.write("a.txt", "hello", root=folder), log_level="ERROR").digest()[:5]
        'file:'
    """
    spot = _local(path, root)
    check_order(path, data)
    content = as_bytes(data, encoding, "io.local.write")
    spot.write(lambda file: file.write(content), overwrite=overwrite)
    return spot.source()


def _local(path: Path, root: str | None) -> LocalSpot:
    for given in (path, root):
        if isinstance(given, str) and is_address(given):
            raise PlaceError.for_elsewhere(given)
    spot = find_spot(path, root)
    if not isinstance(spot, LocalSpot):
        raise PlaceError.for_elsewhere(path)
    return spot


read: Final = Reader(read_local)
