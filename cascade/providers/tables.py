"""Tables: pandas, polars or Arrow, whichever is there, and files of them.

In: an open file or rows, and the library that is wanted, if any. Out: a table of that library, or a file. Invariant: no
format that runs code when it is read (pickles and their like) is known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from io import TextIOWrapper
from pathlib import PurePath
from typing import IO, Any, Final

from cascade.providers.errors import ExtraMissingError
from cascade.providers.storage_errors import PlaceError
from cascade.providers.tables_errors import OptionError, TableError
from cascade.providers.tables_packed import plain_name

__all__ = ["KINDS", "choose_kind", "format_of", "from_arrow", "from_rows", "is_table", "read_table"]

# What a table can be, in the order in which it is looked for. "rows": a list of dicts, which needs no library.
KINDS: Final = {"pandas": "pandas", "polars": "polars", "arrow": "pyarrow", "rows": ""}
_SUFFIXES: Final = {
    ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet", ".pq": "parquet", ".feather": "feather", ".arrow": "feather",
    ".jsonl": "jsonl", ".ndjson": "jsonl",
}  # fmt: skip


def format_of(name: str) -> str:
    """Return the format that the name of a file tells.

    Raises:
        PlaceError: when it tells none.

    Example:
        >>> format_of("s3://bucket/sales.parquet"), format_of("a.CSV.gz")
        ('parquet', 'csv')
    """
    found = _SUFFIXES.get(PurePath(plain_name(name)).suffix.lower())
    if found is None:
        raise PlaceError.for_suffix(name, tuple(_SUFFIXES))
    return found


def choose_kind(wanted: str | None, needs: Mapping[str, tuple[str, ...]] | None = None) -> str:
    """Return the kind of table to make: the wanted one, or the first whose library is installed.

    Args:
        wanted: ``pandas``, ``polars``, ``arrow``, ``rows`` or None for whichever is there.
        needs: kinds that can be made here, with the modules of which one is needed beside their own.

    Raises:
        TableError: for an unknown kind. ExtraMissingError: when its library is not installed.
    """
    possible = KINDS if needs is None else needs
    if wanted is not None and wanted not in possible:
        raise TableError.for_kind(wanted, possible)
    tried = possible if wanted is None else (wanted,)
    found = next((kind for kind in tried if not _missing(kind, needs)), None)
    if found is not None:
        return found
    libraries = [KINDS[kind] for kind in tried if KINDS[kind]]
    # of a library that is there, what it lacks; else which of them would do
    there = wanted or next((kind for kind in tried if KINDS[kind] and _has(KINDS[kind])), None)
    missing = _missing(there, needs) if there is not None else ["|".join(libraries)]
    raise ExtraMissingError.for_provider("read", missing, "data")


def _missing(kind: str, needs: Mapping[str, tuple[str, ...]] | None) -> list[str]:
    """Return what has to be installed for a kind of table; of several between bars one is enough."""
    beside = (needs or {}).get(kind, ())
    own = [KINDS[kind]] if KINDS[kind] and not _has(KINDS[kind]) else []
    return [*own, *(["|".join(beside)] if beside and not any(map(_has, beside)) else [])]


def _has(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


# -- from what databases and services give --------------------------------------------------------------------------


def from_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]], kind: str) -> Any:
    """Return a table of `rows`; a column's name that comes again gets a number.

    Example:
        >>> from_rows(["a", "a"], [(1, 2)], "rows")
        [{'a': 1, 'a_2': 2}]
    """
    names = _distinct(columns)
    if kind == "pandas":
        import pandas as pd

        return pd.DataFrame.from_records([tuple(row) for row in rows], columns=names)
    listed = [tuple(row) for row in rows]
    if kind == "polars":
        import polars as pl

        return pl.DataFrame(listed, schema=names, orient="row", infer_schema_length=None)
    if kind == "arrow":
        import pyarrow as pa

        return pa.table({name: [row[k] for row in listed] for k, name in enumerate(names)})
    return [dict(zip(names, row, strict=True)) for row in listed]


def _distinct(columns: Sequence[str]) -> list[str]:
    names: list[str] = []
    for column in map(str, columns):
        name, count = column, 1
        while name in names:
            count += 1
            name = f"{column}_{count}"
        names.append(name)
    return names


def from_arrow(table: Any, kind: str) -> Any:
    """Return an Arrow table as another kind."""
    if kind == "pandas":
        return table.to_pandas()
    if kind == "polars":
        import polars as pl

        return pl.from_arrow(table)
    return table if kind == "arrow" else table.to_pylist()


def is_table(value: object) -> bool:
    """Say whether `value` is a frame of pandas or polars, or an Arrow table; loads none of them.

    Example:
        >>> is_table([1, 2])
        False
    """
    top, name = type(value).__module__.partition(".")[0], type(value).__name__
    return (top, name) in {
        ("pandas", "DataFrame"), ("polars", "DataFrame"), ("polars", "LazyFrame"), ("pyarrow", "Table"),
        ("pyarrow", "RecordBatch"),
    }  # fmt: skip


# -- files ----------------------------------------------------------------------------------------------------------


def read_table(form: str, file: IO[bytes], kind: str | None, options: Mapping[str, Any]) -> Any:
    """Return the table that an open file holds.

    Args:
        form: ``csv``, ``tsv``, ``jsonl``, ``parquet`` or ``feather``. file: open for reading bytes.
        kind: see `choose_kind`. options: for the function of the library that reads it.

    Raises:
        TableError: when the file is not what it should be.
    """
    if form == "tsv":
        form, options = "csv", {_separator(choose_kind(kind)): "\t", **options}
    chosen = choose_kind(kind, _NEEDS.get(form))
    try:
        return _READERS[form, chosen](file, **options)
    except (OSError, MemoryError):
        raise  # the disk's fault
    except TypeError as error:
        raise OptionError.for_call(f"read.{form} as {chosen}", error, options, _options_of(form, chosen)) from None
    except Exception as error:
        name = getattr(file, "name", "")
        if _is_empty(file):
            raise TableError.for_empty(form, name) from None
        raise TableError.for_content(form, name, error) from error


def _is_empty(file: IO[bytes]) -> bool:
    try:
        return not file.closed and file.seek(0, 2) == 0
    except (OSError, ValueError):
        return False


def _options_of(form: str, kind: str) -> set[str]:
    """Return the names of the options that a reader takes; of one written in C without them, those that matter."""
    if kind == "rows" and form in ("parquet", "feather"):
        kind = "arrow" if _has("pyarrow") else "polars"
    module, name = _FUNCTIONS.get((form, kind), ("", ""))
    found = {"read_options", "parse_options", "convert_options", "sep"} if (form, kind) == ("csv", "arrow") else set()
    if (form, kind) == ("csv", "rows"):
        found = {"encoding", "fieldnames", "restkey", "restval", "dialect", "delimiter", "quotechar", "escapechar",
                 "doublequote", "skipinitialspace", "quoting", "strict"}  # fmt: skip
    if module and name:
        with suppress(ValueError, TypeError):
            found |= {each.name for each in signature(getattr(import_module(module), name)).parameters.values()
                      if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)}  # fmt: skip
    return found - {"source", "path", "filepath_or_buffer", "input_file", "path_or_buf", "lines"}


_FUNCTIONS: Final = {
    ("csv", "pandas"): ("pandas", "read_csv"), ("csv", "polars"): ("polars", "read_csv"),
    ("jsonl", "pandas"): ("pandas", "read_json"), ("jsonl", "polars"): ("polars", "read_ndjson"),
    ("jsonl", "arrow"): ("pyarrow.json", "read_json"), ("parquet", "pandas"): ("pandas", "read_parquet"),
    ("parquet", "polars"): ("polars", "read_parquet"), ("parquet", "arrow"): ("pyarrow.parquet", "read_table"),
    ("feather", "pandas"): ("pandas", "read_feather"), ("feather", "polars"): ("polars", "read_ipc"),
    ("feather", "arrow"): ("pyarrow.feather", "read_table"),
}  # fmt: skip


def _separator(kind: str) -> str:
    return {"polars": "separator", "rows": "delimiter"}.get(kind, "sep")


# Beside their own library, these need one that knows the format.
_NEEDS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "parquet": {"pandas": ("pyarrow", "fastparquet"), "polars": (), "arrow": (), "rows": ("pyarrow", "polars")},
    "feather": {"pandas": ("pyarrow",), "polars": (), "arrow": (), "rows": ("pyarrow", "polars")},
}


def _with_pandas(name: str, **fixed: Any) -> Callable[..., Any]:
    def read(file: IO[bytes], **options: Any) -> Any:
        import pandas as pd

        return getattr(pd, name)(file, **{**fixed, **options})

    return read


def _with_polars(name: str) -> Callable[..., Any]:
    def read(file: IO[bytes], **options: Any) -> Any:
        import polars as pl

        return getattr(pl, name)(file.read(), **options)

    return read


def _csv_with_arrow(file: IO[bytes], *, sep: str = ",", **options: Any) -> Any:
    from pyarrow import csv

    return csv.read_csv(file, parse_options=csv.ParseOptions(delimiter=sep, newlines_in_values=True), **options)


def _csv_to_rows(file: IO[bytes], *, encoding: str = "utf-8-sig", **options: Any) -> list[dict[str, str]]:
    import csv

    with file, TextIOWrapper(file, encoding=encoding, newline="") as text:
        return list(csv.DictReader(text, **options))


def _lines_with_arrow(file: IO[bytes], **options: Any) -> Any:
    from pyarrow import json

    return json.read_json(file, **options)


def _lines_to_rows(file: IO[bytes]) -> list[Any]:
    import json

    return [json.loads(line) for line in file if line.strip()]


def _parquet_with_arrow(file: IO[bytes], **options: Any) -> Any:
    from pyarrow import parquet

    return parquet.read_table(file, **options)


def _feather_with_arrow(file: IO[bytes], **options: Any) -> Any:
    from pyarrow import feather

    return feather.read_table(file, **options)


def _to_rows(form: str) -> Callable[..., Any]:
    def read(file: IO[bytes], **options: Any) -> Any:
        if _has("pyarrow"):
            return _READERS[form, "arrow"](file, **options).to_pylist()
        return _READERS[form, "polars"](file, **options).to_dicts()

    return read


_READERS: Final[dict[tuple[str, str], Callable[..., Any]]] = {
    ("csv", "pandas"): _with_pandas("read_csv"),
    ("csv", "polars"): _with_polars("read_csv"),
    ("csv", "arrow"): _csv_with_arrow,
    ("csv", "rows"): _csv_to_rows,
    ("jsonl", "pandas"): _with_pandas("read_json", lines=True),
    ("jsonl", "polars"): _with_polars("read_ndjson"),
    ("jsonl", "arrow"): _lines_with_arrow,
    ("jsonl", "rows"): _lines_to_rows,
    ("parquet", "pandas"): _with_pandas("read_parquet"),
    ("parquet", "polars"): _with_polars("read_parquet"),
    ("parquet", "arrow"): _parquet_with_arrow,
    ("parquet", "rows"): _to_rows("parquet"),
    ("feather", "pandas"): _with_pandas("read_feather"),
    ("feather", "polars"): _with_polars("read_ipc"),
    ("feather", "arrow"): _feather_with_arrow,
    ("feather", "rows"): _to_rows("feather"),
}
