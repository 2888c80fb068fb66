"""Questions to databases: ``cs.sql``.

In: a statement with ``$name`` where values belong, and the values; frames and files for DuckDB, or a database. Out: a
table of pandas, polars or Arrow, rows, one value, or how many rows changed. Invariant: values are bound and never
become part of the text, there is one statement at a time, and nothing is changed unless ``write=True`` says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import cascade as cs
from cascade.providers.sql_database import (
    Engines,
    Transaction,
    ask_database,
    is_sqlalchemy,
    plain_value,
)
from cascade.providers.sql_duckdb import ask_duckdb, closed_off, is_duckdb, open_duckdb, show_frame
from cascade.providers.sql_errors import SqlError
from cascade.providers.sql_files import files_of
from cascade.providers.sql_stopping import Stop, in_thread
from cascade.providers.sql_text import Statement, read_statement
from cascade.providers.sql_transaction import begun
from cascade.providers.storage import Remote, find_spot
from cascade.providers.tables import choose_kind, format_of, is_table, read_table
from cascade.providers.tables_packed import unpacked

__all__ = ["Sql", "Transaction", "ask", "engines", "query", "sql"]

Params = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
_FRAMES: Final[dict[str, tuple[str, ...]]] = {"pandas": (), "polars": (), "arrow": ()}
_DUCKDB_FILES: Final = (".duckdb", ".ddb")


@cs.resource(name="sql_engines")
def engines() -> Iterator[Engines]:
    """The databases that a run speaks to, each with its pool of connections; closed when the run is over."""
    made = Engines()
    try:
        yield made
    finally:
        made.close()


@cs.task(name="sql", pure=True)
async def query(
    text: str,
    /,
    *,
    as_: str | None = None,
    params: Params = None,
    files: Mapping[str, cs.File | Sequence[cs.File]] | None = None,
    **values: Any,
) -> Any:
    """Ask DuckDB, in memory, over the tables and files among `values`; see `cs.sql`."""

    def work(stop: Stop) -> Any:
        tables = _tables(values)
        rows = _rows(params, {name: value for name, value in values.items() if name not in tables})
        statement = _read(text, rows, tables)
        with open_duckdb(None, write=True) as connection:
            closed_off(connection, tables, files or {})
            stop.by(connection.interrupt)
            return ask_duckdb(connection, statement, rows, as_)

    return await in_thread(work)


@cs.task(name="sql")
async def ask(
    text: str,
    /,
    *,
    on: Any,
    as_: str | None = None,
    params: Params = None,
    write: bool = False,
    engines: Any = cs.inject(engines),
    **values: Any,
) -> Any:
    """Ask a database; see `cs.sql`."""

    def work(stop: Stop) -> Any:
        tables = _tables(values)
        rows = _rows(params, {name: value for name, value in values.items() if name not in tables})
        statement = _read(text, rows, tables)
        if _duckdb_path(on) is not None or is_duckdb(on) or is_duckdb(getattr(on, "connection", None)):
            return _ask_duckdb(on, statement, rows, tables, as_, stop, write=write)
        if tables:
            raise SqlError.for_table(next(iter(tables)), "this database")
        return ask_database(_database(on, engines), statement, rows, as_, stop, write=write)

    return await in_thread(work)


def _ask_duckdb(
    on: Any,
    statement: Statement,
    rows: Sequence[Mapping[str, Any]],
    tables: Mapping[str, Any],
    kind: str | None,
    stop: Stop,
    *,
    write: bool,
) -> Any:
    """Ask a file of DuckDB, a connection of the user's own, or a transaction."""
    path = _duckdb_path(on)
    if path is not None:
        with open_duckdb(path, write=write) as connection:
            closed_off(connection, tables, {})
            stop.by(connection.interrupt)
            return ask_duckdb(connection, statement, rows, kind, reads=not write)
    if isinstance(on, Transaction):
        if tables:
            raise SqlError.for_table(next(iter(tables)), "a transaction")
        with on.lock:
            stop.by(on.connection.interrupt)
            return ask_duckdb(on.connection, statement, rows, kind)
    connection = on.cursor()
    for name, table in tables.items():
        if isinstance(table, cs.File):
            raise SqlError.for_table(name, "a connection of your own")
        show_frame(connection, name, table)
    stop.by(connection.interrupt)
    return ask_duckdb(connection, statement, rows, kind)


def _tables(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tables among the values; those of elsewhere are fetched."""
    found = {name: value for name, value in values.items() if is_table(value) or isinstance(value, (cs.File, Remote))}
    return {name: _fetched(value) if isinstance(value, Remote) else value for name, value in found.items()}


def _fetched(remote: Remote) -> Any:
    spot = find_spot(remote)
    with spot.open() as file, unpacked(spot.name, file) as inside:
        return read_table(format_of(spot.name), inside, choose_kind(None, _FRAMES), {})


def _rows(params: Params, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the values for each time that the statement is run."""
    given: list[Mapping[str, Any]] = [{}] if params is None else [params] if isinstance(params, Mapping) else [*params]
    for each in given:
        if not isinstance(each, Mapping):
            raise SqlError.for_params(each)
    return [{name: plain_value(value) for name, value in {**each, **values}.items()} for each in given]


def _read(text: str, rows: Sequence[Mapping[str, Any]], tables: Mapping[str, Any]) -> Statement:
    names = dict.fromkeys(name for row in rows for name in row)
    statement = read_statement(text, {**names, **tables})
    for row in rows:
        statement.check(row)
    return statement


def _duckdb_path(on: Any) -> str | None:
    if isinstance(on, (str, os.PathLike)):
        text = os.fspath(on)
        if text.startswith("duckdb:///"):
            return text.removeprefix("duckdb:///")
        if Path(text).suffix.lower() in _DUCKDB_FILES and "://" not in text:
            return text
    return None


def _text_of(on: Any) -> str:
    """Return the URL or path that `on` is, or that the environment has under its name."""
    if isinstance(on, cs.Env):
        text = os.environ.get(on.name, on.default)
        if not isinstance(text, str):
            raise SqlError.for_url(f"the environment variable {on.name} is not set.")
        return text
    if isinstance(on, (str, os.PathLike)):
        return os.fspath(on)
    raise SqlError.for_on(on)


def _database(on: Any, engines: Engines) -> Any:
    """Return what SQLAlchemy speaks through."""
    if isinstance(on, (str, os.PathLike)) and os.fspath(on):
        return engines.engine(os.fspath(on))
    if isinstance(on, Transaction) or is_sqlalchemy(on, "Engine") or is_sqlalchemy(on, "Connection"):
        return on
    raise SqlError.for_on(on)


# -- the name after ``cs.`` ------------------------------------------------------------------------------------------


class Sql:
    """Asks a database; calling it records a call of `query` or `ask`."""

    name: Final = "sql"

    def __call__(
        self,
        text: Any,
        /,
        *,
        on: Any = None,
        as_: str | None = None,
        params: Any = None,
        write: bool = False,
        **values: Any,
    ) -> cs.LazyResult[Any]:
        """Ask DuckDB over frames and files, or a database.

        A call without `on` depends on its arguments alone: it is pure, and the statement sees nothing else. Files are
        given as `cs.File`, or stand in quotes after ``from`` and ``join``; there, a pattern as ``'data/*.csv'`` stands
        for all that fit it under the working folder when the run looks for them.

        Args:
            text: one statement of SQL, with ``$name`` (or ``:name``) where values belong.
            on: a database: a URL for SQLAlchemy, the path of a file of SQLite or DuckDB, ``cs.sql.transaction(…)``, or
                a resource that gives an engine or connection. For passwords, use ``cs.Env("URL", secret=True)``.
            as_: ``pandas``, ``polars``, ``arrow``, ``rows`` (a list of dicts), ``value`` (the only one there is), or
                None for the first library that is there.
            params: values by name, also those that are no keyword; a list of such dicts runs the statement for each.
            write: let it change the database, and commit; without it, changes are refused and rolled back.
            values: by name. Frames, Arrow tables and `cs.File` are tables of that name.

        Raises:
            SqlError: what the database says, with the place in the statement.

        Example:
            >>> import cascade as cs
            >>> cs.run(cs.sql("select $x * 2 as y", x=21, as_="rows"), log_level="ERROR")
            [{'y': 42}]
        """
        made: cs.LazyResult[Any] = self._task(on, write)(text, **self._given(text, on, as_, params, write, values))
        return made

    def map(self, text: Any, /, *, on: Any = None, as_: Any = None, params: Any = None, **values: Any) -> Any:
        """Ask once for each item of `values`; text, frames and single values go to every one. See `cs.sql`.

        Example:
            >>> import cascade as cs
            >>> cs.run(cs.sql.map("select $x * 2", x=[1, 2], as_="value"), log_level="ERROR")
            [2, 4]
        """
        write = values.pop("write", False)
        given = self._given(text, on, as_, params, write, values)
        return self._task(on, write).map(text, **given)

    def transaction(self, on: Any, *, name: str = "transaction") -> Any:
        """Make a resource: a transaction that commits when the run is done, and rolls back when it fails.

        Args:
            on: a URL, a path, or a `cs.Env` that holds one. name: of the resource; unique in a run.

        Example:
            >>> import cascade as cs, tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     changes = cs.inject(cs.sql.transaction(f"{folder}/a.db"))
            ...     made = cs.sql("create table t (x integer)", on=changes)
            ...     cs.run(cs.sql("insert into t values ($x)", x=1, on=changes).after(made), log_level="ERROR")
            1
        """

        def transaction() -> Iterator[Transaction]:
            url = _text_of(on)
            with begun(url, _duckdb_path(url)) as made:
                yield made

        return cs.resource(name=name)(transaction)

    def _task(self, on: Any, write: Any) -> Any:
        if on is None:
            if write is not False:
                raise SqlError.for_no_database()
            return query
        return ask

    def _given(
        self, text: Any, on: Any, as_: Any, params: Any, write: Any, values: Mapping[str, Any]
    ) -> dict[str, Any]:
        given = {**values, **{key: value for key, value in (("as_", as_), ("params", params)) if value is not None}}
        if on is not None:
            return {**given, "on": on, **({"write": write} if write is not False else {})}
        if isinstance(text, str) and (paths := read_statement(text, ()).files):
            given["files"] = {path: files_of(path) for path in paths}
        return given

    def __repr__(self) -> str:
        """Show the name."""
        return "<cs.sql>"


sql: Final = Sql()
