"""Values → files: ``cs.write.text``, ``bytes``, ``json``, ``csv``, ``parquet`` and ``table``.

In: a path or an address, and a value. Out: the file, as something that counts by its content, for those who read it
next. Invariant: a file is seen whole or not at all; what stood there stays until the new one is complete.
"""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable, Mapping
from typing import IO, Any

import cascade as cs
from cascade.providers.content import check_order, encoded
from cascade.providers.storage import Remote, find_spot
from cascade.providers.tables import format_of
from cascade.providers.tables_errors import TableError
from cascade.providers.tables_packed import packed
from cascade.providers.tables_write import write_table

__all__ = ["bytes", "csv", "json", "parquet", "table", "text"]

Path = str | os.PathLike[str] | Remote
Storage = Mapping[str, Any] | None
Written = cs.File | Remote


def _put(
    path: Path, fill: Callable[[IO[builtins.bytes]], object], root: str | None, storage: Storage, *, overwrite: bool
) -> Written:
    spot = find_spot(path, root, storage)
    spot.write(fill, overwrite=overwrite)
    return spot.source()


@cs.task(name="write.text")
def text(
    path: Path,
    text: str,
    *,
    encoding: str = "utf-8",
    overwrite: bool = True,
    root: str | None = None,
    storage: Storage = None,
) -> Written:
    """Write a text to a file, as it is; folders on the way are made.

    Args:
        path: of this machine, or an address for fsspec as ``s3://bucket/key``.
        text: what the file will hold. overwrite: take the place of a file that is there.
        root: a folder, or an address, that `path` is relative to and must stay under.
        storage: options for fsspec: keys, end points and the like; a secret Param keeps them hidden.

    Raises:
        PlaceError: when `path` is none, is taken, or leads out of `root`. OSError: what the disk or the service says.

    Example:
        >>> import cascade as cs
        >>> cs.run(cs.write.text("memory://doc/hello.txt", "hello"), log_level="ERROR")
        Remote('memory://doc/hello.txt')
    """
    if not isinstance(text, str):
        raise TypeError(
            f"write.text takes a text, not {type(text).__name__}. Use write.bytes or write.json for others."
        )
    check_order(path, text)
    data = encoded(text, encoding)
    return _put(path, lambda file: file.write(data), root, storage, overwrite=overwrite)


@cs.task(name="write.bytes")
def bytes(  # noqa: A001 - the word that users look for
    path: Path, data: builtins.bytes, *, overwrite: bool = True, root: str | None = None, storage: Storage = None
) -> Written:
    r"""Write bytes to a file.

    Args:
        path, overwrite, root, storage: see `cs.write.text`. data: what the file will hold.

    Raises:
        PlaceError, OSError: see `cs.write.text`.

    Example:
        >>> import cascade as cs
        >>> cs.run(cs.write.bytes("memory://doc/a.bin", b"\x00"), log_level="ERROR")
        Remote('memory://doc/a.bin')
    """
    find_spot(path, root, storage)  # bytes in the place of the path are told first
    if not isinstance(data, (builtins.bytes, bytearray, memoryview)):
        raise TypeError(f"write.bytes takes bytes, not {type(data).__name__}. Use write.text for texts.")
    return _put(path, lambda file: file.write(data), root, storage, overwrite=overwrite)


@cs.task(name="write.json")
def json(
    path: Path,
    value: Any,
    *,
    indent: int | None = None,
    overwrite: bool = True,
    root: str | None = None,
    storage: Storage = None,
) -> Written:
    """Write a value as JSON.

    Args:
        path, overwrite, root, storage: see `cs.write.text`.
        value: lists, dicts, texts, finite numbers, truth and None. indent: spaces for each level; None: one line.

    Raises:
        TableError: when JSON cannot say it. PlaceError, OSError: see `cs.write.text`.

    Example:
        >>> import cascade as cs
        >>> cs.run(cs.write.json("memory://doc/a.json", {"x": 1}), log_level="ERROR")
        Remote('memory://doc/a.json')
    """
    from json import dumps

    check_order(path, value)
    try:
        data = dumps(value, indent=indent, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise TableError.for_json_value(error) from None
    return _put(path, lambda file: file.write(data), root, storage, overwrite=overwrite)


@cs.task(name="write.csv")
def csv(
    path: Path,
    table: Any,
    *,
    overwrite: bool = True,
    root: str | None = None,
    storage: Storage = None,
    **options: Any,
) -> Written:
    r"""Write a table as CSV.

    Args:
        path, overwrite, root, storage: see `cs.write.text`.
        table: a frame of pandas or polars, an Arrow table, a list of dicts or a dict of lists.
        options: for the function of its library; pandas writes no index unless asked. A name that ends with .gz, .bz2
            or .xz packs it.

    Raises:
        TableError: when it is no table. PlaceError, OSError: see `cs.write.text`.

    Example:
        >>> import cascade as cs
        >>> cs.run(cs.read.text(cs.write.csv("memory://doc/b.csv", {"x": [1, 2]})), log_level="ERROR")
        'x\n1\n2\n'
    """
    return _put_table("csv", path, table, root, storage, options, overwrite=overwrite)


@cs.task(name="write.parquet")
def parquet(
    path: Path,
    table: Any,
    *,
    overwrite: bool = True,
    root: str | None = None,
    storage: Storage = None,
    **options: Any,
) -> Written:
    """Write a table as Parquet.

    Args:
        path, overwrite, root, storage: see `cs.write.text`. table, options: see `cs.write.csv`.

    Raises:
        TableError: when it is no table. PlaceError, OSError: see `cs.write.text`.

    Example:
        >>> import cascade as cs
        >>> cs.run(cs.write.parquet("memory://doc/b.parquet", {"x": [1, 2]}), log_level="ERROR")
        Remote('memory://doc/b.parquet')
    """
    return _put_table("parquet", path, table, root, storage, options, overwrite=overwrite)


@cs.task(name="write.table")
def table(
    path: Path,
    table: Any,
    *,
    overwrite: bool = True,
    root: str | None = None,
    storage: Storage = None,
    **options: Any,
) -> Written:
    """Write a table in the format that the name tells: csv, tsv, parquet, feather, arrow, jsonl.

    Args:
        path, overwrite, root, storage: see `cs.write.text`. table, options: see `cs.write.csv`.

    Raises:
        PlaceError: when the name tells no format. TableError: when it is no table.

    Example:
        >>> import cascade as cs
        >>> cs.run(cs.write.table("memory://doc/c.jsonl", [{"x": 1}]), log_level="ERROR")
        Remote('memory://doc/c.jsonl')
    """
    return _put_table("", path, table, root, storage, options, overwrite=overwrite)


def _put_table(
    form: str,
    path: Path,
    table: Any,
    root: str | None,
    storage: Storage,
    options: Mapping[str, Any],
    *,
    overwrite: bool,
) -> Written:
    name = find_spot(path, root, storage).name
    chosen = form or format_of(name)

    def fill(file: IO[builtins.bytes]) -> None:
        with packed(name, file) as inside:
            write_table(chosen, table, inside, options)

    return _put(path, fill, root, storage, overwrite=overwrite)
