"""Tables → files of them.

In: a frame of pandas or polars, an Arrow table, a list of dicts or a dict of lists; a file that is open for writing.
Out: the file's content. Invariant: a table is written by the library that it is of; no other has to be there for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from inspect import signature
from io import TextIOWrapper
from typing import IO, Any, Final

from cascade.providers.registry import require
from cascade.providers.tables_errors import OptionError, TableError

__all__ = ["write_table"]


def write_table(form: str, table: Any, file: IO[bytes], options: Mapping[str, Any]) -> None:
    """Write `table` into an open file.

    Args:
        form: ``csv``, ``tsv``, ``jsonl``, ``parquet`` or ``feather``. options: for the function that writes it.

    Raises:
        TableError: when `table` is none. ExtraMissingError: when no library is there that writes this format.
    """
    try:
        _write(form, table, file, options)
    except TypeError as error:
        raise OptionError.for_call(f"write.{form}", error, options, _options_of(form, table)) from None
    except Exception as error:
        if type(error).__module__.startswith(("pyarrow", "polars")) and not isinstance(error, OSError):
            raise TableError.for_writing(form, error) from error
        raise


def _write(form: str, table: Any, file: IO[bytes], options: Mapping[str, Any]) -> None:
    top, name = type(table).__module__.partition(".")[0], type(table).__name__
    if top == "pandas" and name in ("DataFrame", "Series"):
        _write_pandas(form, table.to_frame() if name == "Series" else table, file, options)
    elif top == "polars" and name in ("DataFrame", "LazyFrame"):
        _write_polars(form, table.collect() if name == "LazyFrame" else table, file, options)
    elif top == "pyarrow" and name in ("Table", "RecordBatch"):
        _write_arrow(form, table, file, options)
    else:
        _write_rows(form, _rows_of(table), file, options)


def _options_of(form: str, table: Any) -> set[str]:
    """Return the names of the options that the function takes which writes this table."""
    top = type(table).__module__.partition(".")[0]
    if form == "csv" and top not in _METHODS:
        return {"delimiter", "include_header", "quoting_style"} if top == "pyarrow" else _OF_CSV
    if form == "jsonl" and top not in _METHODS:
        return set()
    name = _METHODS.get(top, {}).get(form, "")
    if top not in _METHODS and form == "parquet":
        from pyarrow import parquet

        return {*signature(parquet.write_table).parameters} - {"table", "where", "kwargs"}
    return {*signature(getattr(type(table), name)).parameters} - {"self", "kwargs"} if name else set()


_OF_CSV: Final = {"delimiter", "quotechar", "escapechar", "doublequote", "quoting", "lineterminator", "extrasaction"}
_METHODS: Final = {
    "pandas": {"csv": "to_csv", "tsv": "to_csv", "jsonl": "to_json", "parquet": "to_parquet", "feather": "to_feather"},
    "polars": {
        "csv": "write_csv", "tsv": "write_csv", "jsonl": "write_ndjson", "parquet": "write_parquet",
        "feather": "write_ipc",
    },
}  # fmt: skip


def _write_pandas(form: str, table: Any, file: IO[bytes], options: Mapping[str, Any]) -> None:
    if form in ("csv", "tsv"):
        table.to_csv(file, **{"index": False, **({"sep": "\t"} if form == "tsv" else {}), **options})
    elif form == "jsonl":
        table.to_json(file, **{"orient": "records", "lines": True, **options})
    else:
        require("pyarrow", provider=f"write.{form}", extra="data")
        (table.to_parquet if form == "parquet" else table.to_feather)(file, **options)


def _write_polars(form: str, table: Any, file: IO[bytes], options: Mapping[str, Any]) -> None:
    if form in ("csv", "tsv"):
        table.write_csv(file, **{**({"separator": "\t"} if form == "tsv" else {}), **options})
    else:
        name = {"jsonl": "write_ndjson", "parquet": "write_parquet", "feather": "write_ipc"}[form]
        getattr(table, name)(file, **options)


def _write_arrow(form: str, table: Any, file: IO[bytes], options: Mapping[str, Any]) -> None:
    if type(table).__name__ == "RecordBatch":
        import pyarrow as pa

        table = pa.Table.from_batches([table])
    if form in ("csv", "tsv"):
        from pyarrow import csv

        given = {**({"delimiter": "\t"} if form == "tsv" else {}), **options}
        csv.write_csv(table, file, csv.WriteOptions(**given))
    elif form == "jsonl":
        _write_lines(table.to_pylist(), file, options)
    elif form == "parquet":
        from pyarrow import parquet

        parquet.write_table(table, file, **options)
    else:
        from pyarrow import feather

        feather.write_feather(table, file, **options)


def _rows_of(table: Any) -> list[dict[str, Any]]:
    """Return what plain lists and dicts say as a list of dicts, one for each row."""
    if isinstance(table, Mapping) and all(isinstance(column, (list, tuple)) for column in table.values()):
        if len({len(column) for column in table.values()}) > 1:
            raise TableError.for_lengths({name: len(column) for name, column in table.items()})
        return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    if isinstance(table, (list, tuple)) and all(isinstance(row, Mapping) for row in table):
        return [dict(row) for row in table]
    raise TableError.for_value(table)


def _write_rows(form: str, rows: list[dict[str, Any]], file: IO[bytes], options: Mapping[str, Any]) -> None:
    if form in ("csv", "tsv"):
        import csv

        names = list(dict.fromkeys(name for row in rows for name in row))
        given = {**({"delimiter": "\t"} if form == "tsv" else {}), "lineterminator": "\n", **options}
        text = TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        writer = csv.DictWriter(text, names, **given)
        writer.writeheader()
        writer.writerows(rows)
        text.detach()
    elif form == "jsonl":
        _write_lines(rows, file, options)
    else:
        from cascade.providers.tables import choose_kind, from_rows

        kind = choose_kind(None, {"arrow": (), "polars": ()})
        names = list(dict.fromkeys(name for row in rows for name in row))
        made = from_rows(names, [[row.get(name) for name in names] for row in rows], kind)
        write_table(form, made, file, options)


def _write_lines(rows: list[dict[str, Any]], file: IO[bytes], options: Mapping[str, Any]) -> None:
    for name in options:
        raise OptionError.for_name("write.jsonl", name, ())
    try:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    except (TypeError, ValueError) as error:
        raise TableError.for_json_value(error) from error
