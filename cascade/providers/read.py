"""Files → values: ``cs.read.text``, ``bytes``, ``json``, ``csv``, ``parquet`` and ``table``.

In: a path, a `cs.File` or an address that fsspec reaches. Out: what is in it. Invariant: a read counts by the content
of the file, never by its name: a path becomes a `cs.File` where the call is recorded, and an address, or a path that
only the run knows, is looked at first by a node of its own, `locate`. So a stored read serves until the file changes.
"""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable, Mapping
from functools import update_wrapper
from io import TextIOWrapper
from typing import Any, Final, Generic, ParamSpec, TypeVar

import cascade as cs
from cascade.providers.storage import Remote, find_spot, is_address
from cascade.providers.tables import format_of, read_table
from cascade.providers.tables_errors import TableError
from cascade.providers.tables_packed import unpacked

__all__ = ["Reader", "bytes", "csv", "json", "locate", "parquet", "table", "text"]

P = ParamSpec("P")
R = TypeVar("R")
Path = str | os.PathLike[str] | Remote
Storage = Mapping[str, Any] | None


# -- what counts ----------------------------------------------------------------------------------------------------


@cs.task(name="locate")
def locate(path: Path, root: str | None = None, storage: Storage = None) -> object:
    """Return the file that a path means as something whose identity is its content: a `cs.File` or a `Remote`.

    Args:
        path, root, storage: as those who read take them.

    Example:
        >>> import cascade as cs
        >>> from cascade.providers.read import locate
        >>> cs.run(locate("data.csv"), log_level="ERROR")
        File('data.csv')
    """
    try:
        return find_spot(path, root, storage).source()
    except Exception:  # noqa: BLE001 - whoever reads it meets the same, says so under its own name, and can be retried
        return path


class Reader(Generic[P, R]):
    """A task that reads a file; its first argument stands for the content.

    Args:
        task: with the parameters `path`, `root` and `storage`; the last does not count.
    """

    task: Any

    def __init__(self, task: Callable[P, cs.LazyResult[R]]) -> None:
        self.task = task
        self.name: str = self.task.name
        self.signature = self.task.signature
        update_wrapper(self, self.task.func)

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> cs.LazyResult[R]:
        """Record a read; see the task."""
        made: cs.LazyResult[R]
        if not args and "path" not in kwargs:
            made = self.task(**kwargs)  # which says at this line what is missing
            return made
        first, given = _split(args, kwargs)
        made = self.task(_content_of(first, given), *args[1:], **given)
        return made

    def map(self, /, *args: Any, **kwargs: Any) -> Any:
        """Record a read of each of several files, as one node; takes what `map` of a task takes."""
        if not args and "path" not in kwargs:
            return self.task.map(**kwargs)
        first, given = _split(args, kwargs)
        how: dict[str, Any] = {key: given[key] for key in ("max_concurrency", "on_error") if key in given}
        return self.task.map(_contents_of(first, given, how), *args[1:], **given)

    def with_constraints(self, **amounts: object) -> Reader[P, R]:
        """Return the same, whose every call takes these amounts of the run's capacities."""
        return Reader(self.task.with_constraints(**amounts))

    def __repr__(self) -> str:
        """Show the name."""
        return f"<task {self.name} (reads files)>"


def _split(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    given = dict(kwargs)
    return (args[0] if args else given.pop("path", ""), given)


def _content_of(path: Any, given: Mapping[str, Any]) -> Any:
    """Return a path as what it holds, now if that can be known now."""
    if isinstance(path, cs.File):
        return path
    if isinstance(path, (str, os.PathLike)) and given.get("root") is None:
        plain = os.fspath(path)
        if isinstance(plain, str) and not is_address(plain) and not plain.lower().startswith(("file:", "local:")):
            return cs.File(os.path.expanduser(plain) if plain.startswith("~") else plain)  # noqa: PTH111 - text stays
    return locate(path, **_where(given))


def _contents_of(paths: Any, given: Mapping[str, Any], how: Mapping[str, Any]) -> Any:
    """Return the paths of a map as what they hold."""
    if isinstance(paths, (str, os.PathLike)):
        return _content_of(paths, given)
    if not isinstance(paths, cs.LazyResult) and hasattr(paths, "__iter__"):
        listed = [*paths]
        contents = [_content_of(path, given) for path in listed]
        if all(isinstance(content, cs.File) for content in contents):
            return contents
        paths = listed
    return locate.map(paths, **_where(given), **how)


def _where(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: given[key] for key in ("root", "storage") if given.get(key) is not None}


# -- what can be read -----------------------------------------------------------------------------------------------


@cs.task(name="read.bytes", pure=True, ignore=("storage",))
def read_bytes(path: Path, *, root: str | None = None, storage: Storage = None) -> builtins.bytes:
    r"""Return what a file holds.

    Args:
        path: of this machine, a `cs.File`, or an address for fsspec as ``s3://bucket/key``.
        root: a folder, or an address, that `path` is relative to and must stay under.
        storage: options for fsspec: keys, end points and the like; a secret Param keeps them hidden.

    Raises:
        OSError: when it cannot be read. PlaceError: when `path` is none, or leads out of `root`.

    Example:
        >>> import cascade as cs
        >>> cs.run(cs.read.bytes(cs.write.bytes("memory://doc/a", b"\x00\x01")), log_level="ERROR")
        b'\x00\x01'
    """
    return find_spot(path, root, storage).read()


@cs.task(name="read.text", pure=True, ignore=("storage",))
def read_text(
    path: Path, *, encoding: str = "utf-8", errors: str = "strict", root: str | None = None, storage: Storage = None
) -> str:
    """Return the text in a file; line ends become newlines, as Python's `open` has it.

    Args:
        path, root, storage: see `cs.read.bytes`. encoding, errors: as `open` takes them.

    Raises:
        TableError: when it is no text in this encoding. OSError, PlaceError: see `cs.read.bytes`.

    Example:
        >>> import cascade as cs
        >>> cs.run(cs.read.text(cs.write.text("memory://doc/note.txt", "hello")), log_level="ERROR")
        'hello'
    """
    spot = find_spot(path, root, storage)
    try:
        with spot.open() as raw, TextIOWrapper(raw, encoding=encoding, errors=errors) as file:
            return file.read()
    except (UnicodeError, LookupError) as error:  # of the bytes, or of the name of the encoding
        raise TableError.for_text(spot.name, encoding, error) from None


@cs.task(name="read.json", pure=True, ignore=("storage",))
def read_json(path: Path, *, root: str | None = None, storage: Storage = None) -> Any:
    """Return the value that a JSON file holds.

    Args:
        path, root, storage: see `cs.read.bytes`.

    Raises:
        TableError: when it is not JSON, with line and column. OSError, PlaceError: see `cs.read.bytes`.

    Example:
        >>> import cascade as cs
        >>> cs.run(cs.read.json(cs.write.json("memory://doc/a.json", {"x": [1, None]})), log_level="ERROR")
        {'x': [1, None]}
    """
    from json import loads

    spot = find_spot(path, root, storage)
    content = spot.read()
    try:
        return loads(content.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        raise TableError.for_json(spot.name, error) from None


@cs.task(name="read.csv", pure=True, ignore=("storage",))
def read_csv(
    path: Path, *, as_: str | None = None, root: str | None = None, storage: Storage = None, **options: Any
) -> Any:
    r"""Return the table in a CSV file.

    Args:
        path, root, storage: see `cs.read.bytes`.
        as_: ``pandas``, ``polars``, ``arrow``, ``rows`` (a list of dicts of texts), or None for whichever is there.
        options: for the ``read_csv`` of that library.

    Raises:
        TableError: when the file is no such table. OSError, PlaceError: see `cs.read.bytes`.

    Example:
        >>> import cascade as cs
        >>> written = cs.write.text("memory://doc/a.csv", "x,y\n1,2\n")
        >>> cs.run(cs.read.csv(written, as_="rows"), log_level="ERROR")
        [{'x': '1', 'y': '2'}]
    """
    return _table(path, "csv", as_, root, storage, options)


@cs.task(name="read.parquet", pure=True, ignore=("storage",))
def read_parquet(
    path: Path, *, as_: str | None = None, root: str | None = None, storage: Storage = None, **options: Any
) -> Any:
    """Return the table in a Parquet file.

    Args:
        path, root, storage: see `cs.read.bytes`. as_: see `cs.read.csv`.
        options: for the function of that library, as ``columns=["x"]``.

    Raises:
        TableError: when the file is no such table. OSError, PlaceError: see `cs.read.bytes`.

    Example:
        >>> import cascade as cs
        >>> written = cs.write.parquet("memory://doc/a.parquet", {"x": [1, 2], "y": [3, 4]})
        >>> cs.run(cs.read.parquet(written, as_="rows", columns=["x"]), log_level="ERROR")
        [{'x': 1}, {'x': 2}]
    """
    return _table(path, "parquet", as_, root, storage, options)


@cs.task(name="read.table", pure=True, ignore=("storage",))
def read_any_table(
    path: Path, *, as_: str | None = None, root: str | None = None, storage: Storage = None, **options: Any
) -> Any:
    """Return the table in a file whose name tells the format: csv, tsv, parquet, feather, arrow, jsonl; also packed.

    Args:
        path, root, storage: see `cs.read.bytes`. as_, options: see `cs.read.csv`.

    Raises:
        PlaceError: when the name tells no format. TableError: when the file is no such table.

    Example:
        >>> import cascade as cs
        >>> written = cs.write.table("memory://doc/a.jsonl", [{"x": 1}])
        >>> cs.run(cs.read.table(written, as_="rows"), log_level="ERROR")
        [{'x': 1}]
    """
    return _table(path, "", as_, root, storage, options)


def _table(
    path: Path, form: str, kind: str | None, root: str | None, storage: Storage, options: Mapping[str, Any]
) -> Any:
    spot = find_spot(path, root, storage)
    form = form or format_of(spot.name)
    with spot.open() as file, unpacked(spot.name, file) as inside:
        return read_table(form, inside, kind, options)


# The names after ``cs.read.``
text: Final = Reader(read_text)
bytes: Final = Reader(read_bytes)  # noqa: A001 - the word that users look for
json: Final = Reader(read_json)
csv: Final = Reader(read_csv)
parquet: Final = Reader(read_parquet)
table: Final = Reader(read_any_table)
