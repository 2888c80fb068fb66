"""DuckDB: a database in this process, over frames and files that it is given, or in a file of its own.

In: a statement, its values, tables by name. Out: a table. Invariant: a statement sees what it was given and nothing
else: no variable of the program, no other file, no network, no extension that is not built in.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import cascade as cs
from cascade.providers.registry import require
from cascade.providers.sql_errors import SqlError
from cascade.providers.sql_text import Statement
from cascade.providers.storage import find_spot, is_address
from cascade.providers.storage_errors import PlaceError
from cascade.providers.tables import choose_kind, from_arrow, from_rows

__all__ = ["ask_duckdb", "closed_off", "form_of", "is_duckdb", "open_duckdb", "show_frame"]

_READS: Final = {
    ".csv": "read_csv", ".tsv": "read_csv", ".parquet": "read_parquet", ".pq": "read_parquet", ".json": "read_json",
    ".jsonl": "read_json", ".ndjson": "read_json",
}  # fmt: skip
_OF_ITS_OWN: Final = re.compile(r"\nDid you mean \"(?:pg_|sqlite_|duckdb_|information_schema)\w*\"\?")
# Built without these, a statement could fetch code from the network.
_CONFIG: Final = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
# By path: DuckDB opens a file once in a process, to read or to write. A transaction holds its file until the run ends.
_locks: Final[dict[str, threading.Lock]] = {}
_in_transaction: Final[set[str]] = set()
_locks_lock: Final = threading.Lock()


def is_duckdb(value: object) -> bool:
    """Say whether `value` is a connection of DuckDB; loads nothing."""
    return type(value).__name__ == "DuckDBPyConnection"


@contextmanager
def open_duckdb(path: str | None, *, write: bool, for_transaction: bool = False) -> Iterator[Any]:
    """Open a database file, or None for one in memory; one at a time opens the same file.

    Raises:
        SqlError: when there is no such file to read, it is no database, or a transaction has it.
    """
    duckdb = require("duckdb", provider="sql", extra="sql")
    if path is None:
        with duckdb.connect(":memory:", config=_CONFIG) as connection:
            yield connection
        return
    whole = str(Path(path).resolve())
    if not write and not Path(whole).is_file():
        raise SqlError.for_no_file(path)
    with _alone(whole, path, for_transaction=for_transaction):
        try:
            connection = duckdb.connect(whole, read_only=not write, config=_CONFIG)
        except duckdb.Error as error:
            raise SqlError.for_connection(error) from None
        with connection:
            yield connection


@contextmanager
def _alone(whole: str, path: str, *, for_transaction: bool) -> Iterator[None]:
    """Hold a file; whoever would wait for the end of the run is told."""
    with _locks_lock:
        if whole in _in_transaction:
            raise SqlError.for_transaction(path)
        lock = _locks.setdefault(whole, threading.Lock())
        if for_transaction:
            _in_transaction.add(whole)
    try:
        with lock:
            yield
    finally:
        if for_transaction:
            _in_transaction.discard(whole)


def closed_off(connection: Any, tables: Mapping[str, Any], files: Mapping[str, cs.File | Sequence[cs.File]]) -> None:
    """Show a connection its tables, then close the door behind it.

    Args:
        tables: frames, Arrow tables and files, by the names that the statement has for them.
        files: those that the statement names by their paths; of a pattern, those that fit it.
    """
    patterns = {name: [*found] for name, found in files.items() if not isinstance(found, cs.File)}
    single = [each for each in (*tables.values(), *files.values()) if isinstance(each, cs.File)]
    paths = [os.fspath(each) for each in (*single, *(each for found in patterns.values() for each in found))]
    for each in single:
        _check_there(each.path, tables)
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET enable_progress_bar = false")  # it would write into whatever cell comes next
    if paths:
        allowed = ", ".join(_quoted(each) for path in paths for each in dict.fromkeys((path, _whole(path))))
        connection.execute(f"SET allowed_paths = [{allowed}]")
    for pattern, found in patterns.items():  # a view of that name comes before what DuckDB would look for itself
        _show_files(connection, pattern, found)
    for name, table in tables.items():
        if isinstance(table, cs.File):
            _show_files(connection, name, [table])
        else:
            show_frame(connection, name, table)
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def show_frame(connection: Any, name: str, frame: Any) -> None:
    """Make a frame, or an Arrow table, a table of that name.

    DuckDB takes a frame of polars with the help of pyarrow; where that is not installed, by way of a Parquet file,
    which both know by themselves.
    """
    frame = frame.collect() if type(frame).__name__ == "LazyFrame" else frame
    if type(frame).__module__.partition(".")[0] != "polars" or _has_arrow():
        connection.register(name, frame)
        return
    from tempfile import TemporaryDirectory

    table = name.replace('"', '""')
    with TemporaryDirectory(prefix="cascade-") as folder:
        path = Path(folder) / "frame.parquet"
        frame.write_parquet(path)
        connection.execute(f'CREATE TEMP TABLE "{table}" AS FROM read_parquet({_quoted(str(path))})')


def _check_there(path: str, tables: Mapping[str, Any]) -> None:
    """Tell a file that is not there from one that was not given; what only looks like a path is left to DuckDB."""
    is_file = form_of(path) is not None and path not in tables and not is_address(path)
    if is_file and not os.path.exists(path):  # noqa: PTH110 - a Path would have to be made for it
        find_spot(path).read()


def form_of(path: str) -> str | None:
    """Return the function of DuckDB that reads a file of this name, None if none does."""
    return _READS.get(Path(path.removesuffix(".gz")).suffix.lower())


def _show_files(connection: Any, name: str, files: Sequence[cs.File]) -> None:
    """Make files a table of that name."""
    duckdb = require("duckdb", provider="sql", extra="sql")
    reads = {form_of(file.path) for file in files}
    if len(reads) != 1 or None in reads:
        raise PlaceError.for_suffix(name if len(files) != 1 else files[0].path, tuple(_READS))
    whole = ", ".join(_quoted(_whole(file.path)) for file in files)  # DuckDB takes no bound values here
    view = name.replace('"', '""')
    try:
        connection.execute(f'CREATE TEMP VIEW "{view}" AS FROM {reads.pop()}([{whole}])')
    except duckdb.Error as error:
        raise SqlError.for_files(name, str(error)) from None


def _whole(path: str) -> str:
    return str(Path(path).resolve())


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def ask_duckdb(
    connection: Any, statement: Statement, rows: Sequence[Mapping[str, Any]], kind: str | None, *, reads: bool = False
) -> Any:
    """Run a statement, once for each of `rows`, and return the table, or the number of rows that it changed.

    Args:
        rows: values by name. kind: as `choose_kind` has it, or ``value``. reads: changes are refused by the database.

    Raises:
        SqlError: what DuckDB says, with the place in the statement.
    """
    duckdb = require("duckdb", provider="sql", extra="sql")
    text = statement.render(lambda name, _: f"${name}")
    try:
        if len(rows) > 1:
            return _run_many(duckdb, connection, text, rows)
        values = dict(rows[0]) if rows and rows[0] else None
        wanted = kind if kind == "value" else choose_kind(kind)
        if wanted in ("polars", "arrow") and _has_arrow() and _only_selects(duckdb, connection, text):
            return from_arrow(connection.sql(text, params=values).to_arrow_table(), wanted)
        connection.execute(text, values)
        return _taken(connection, wanted)
    except duckdb.Error as error:
        raise _explained(duckdb, statement.text, error, reads=reads) from None
    except (TypeError, OverflowError, RuntimeError, UnicodeError) as error:  # from the bindings, for odd values
        raise SqlError.for_kind(error) from None


def _run_many(duckdb: Any, connection: Any, text: str, rows: Sequence[Mapping[str, Any]]) -> int:
    """Run a statement for each of `rows`, all of them or none."""
    try:
        connection.begin()
    except duckdb.TransactionException:  # there is one already, whose owner decides
        connection.executemany(text, [dict(row) for row in rows])
        return len(rows)
    try:
        connection.executemany(text, [dict(row) for row in rows])
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    return len(rows)


def _explained(duckdb: Any, text: str, error: Exception, *, reads: bool) -> SqlError:
    said = _OF_ITS_OWN.sub("", str(error))
    if isinstance(error, getattr(duckdb, "PermissionException", ())):
        return SqlError.for_file(text, said)
    if reads and "read-only" in said:
        return SqlError.for_write(text, said)
    if isinstance(error, duckdb.IOException):
        return SqlError.for_file(text, said)
    return SqlError.for_database(text, said)


def _taken(connection: Any, kind: str) -> Any:
    described = connection.description or []
    names = [column[0] for column in described]
    if [(column[0], str(column[1])) for column in described] == [("Count", "BIGINT")]:  # what a change gives
        rows = connection.fetchall()
        return int(rows[0][0]) if rows and kind != "value" else one_value(names, rows) if rows else 0
    if kind == "value":
        return one_value(names, connection.fetchall())
    if kind == "pandas":
        return connection.df()
    return from_rows(names, connection.fetchall(), kind)


def _only_selects(duckdb: Any, connection: Any, text: str) -> bool:
    return all(each.type == duckdb.StatementType.SELECT for each in connection.extract_statements(text))


def _has_arrow() -> bool:
    from importlib.util import find_spec

    return find_spec("pyarrow") is not None


def one_value(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    """Return the only value of a table.

    Raises:
        SqlError: when there are none or several.
    """
    if len(rows) != 1 or len(names) != 1:
        raise SqlError.for_value(len(rows), len(names))
    return rows[0][0]
