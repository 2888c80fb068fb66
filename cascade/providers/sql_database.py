"""Databases that SQLAlchemy speaks to: SQLite, PostgreSQL, MariaDB, and all the others.

In: a URL, a path, an engine, a connection or a transaction; a statement and its values. Out: a table, or the number of
rows that changed. Invariant: values are bound by the driver; unless asked to write, the database itself refuses changes
where it can, and whatever was done is rolled back.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

from cascade.providers.registry import require
from cascade.providers.sql_duckdb import one_value
from cascade.providers.sql_errors import SqlError
from cascade.providers.sql_stopping import Stop
from cascade.providers.sql_text import Statement
from cascade.providers.tables import choose_kind, from_rows

__all__ = ["Engines", "Transaction", "ask_database", "is_sqlalchemy", "make_engine", "plain_value"]

# How a change is refused: by the words of each database.
_REFUSALS: Final = ("readonly database", "read-only transaction", "READ ONLY transaction", "query_only")


class Transaction:
    """A connection in the middle of a transaction; those who use it take turns.

    Args:
        connection: of SQLAlchemy or DuckDB. words: of the database, for errors.
    """

    def __init__(self, connection: Any, words: str) -> None:
        self.connection = connection
        self.lock = threading.RLock()
        self.words = words

    def __repr__(self) -> str:
        """Show the kind of database."""
        return f"<transaction on {self.words}>"


class Engines:
    """The engines of a run, by URL: one pool of connections for each database."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engines: dict[str, Any] = {}

    def engine(self, url: str) -> Any:
        """Return the engine for a URL, made when it is first asked for."""
        with self._lock:
            found = self._engines.get(url)
            if found is None:
                found = self._engines[url] = make_engine(url)
            return found

    def close(self) -> None:
        """Close all connections."""
        for engine in self._engines.values():
            engine.dispose()


def is_sqlalchemy(value: object, kind: str) -> bool:
    """Say whether `value` is an ``Engine`` or a ``Connection`` of SQLAlchemy; loads nothing."""
    return any(c.__name__ == kind and c.__module__.startswith("sqlalchemy.") for c in type(value).__mro__)


def make_engine(url: str) -> Any:
    """Return an engine for a URL, or for the path of an SQLite file.

    Raises:
        SqlError: when the URL cannot be meant, or its driver is not installed.
    """
    sqlalchemy = require("sqlalchemy", provider="sql", extra="sql")
    from sqlalchemy import event, exc

    try:
        parsed = sqlalchemy.make_url(url) if "://" in url else sqlalchemy.URL.create("sqlite", database=url)
        if parsed.get_backend_name() != "sqlite":
            return sqlalchemy.create_engine(parsed)
        engine = sqlalchemy.create_engine(parsed, connect_args={"check_same_thread": False})
    except (exc.ArgumentError, exc.NoSuchModuleError, ValueError, TypeError, UnicodeError) as error:
        raise SqlError.for_url(error) from None
    except ImportError as error:
        raise SqlError.for_url(f"the driver is not installed ({error}).") from None

    # Left alone, the driver begins transactions when it likes, and leaves some statements out of them.
    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begun(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def ask_database(
    on: Any, statement: Statement, rows: Sequence[Mapping[str, Any]], kind: str | None, stop: Stop, *, write: bool
) -> Any:
    """Run a statement, once for each of `rows`.

    Args:
        on: an engine, a connection or a `Transaction`. rows: values by name. stop: is told how the database is stopped.
        write: commit what it changes; on a
            connection or in a transaction, that is for whoever opened it to say.

    Raises:
        SqlError: what the database says, with the place in the statement.
    """
    with _connected(on, statement, write=write) as connection:
        stop.by(_interruption(connection))
        prepared = [_prepare(statement, row, connection.dialect) for row in rows or [{}]]
        with _explained(statement.text):
            if len(prepared) > 1:
                result = connection.exec_driver_sql(prepared[0][0], [values for _, values in prepared])
            else:
                text, values = prepared[0]
                result = connection.execution_options(no_parameters=not values).exec_driver_sql(text, values or None)
            if not result.returns_rows:
                return max(result.rowcount, 0)
            names, found = list(result.keys()), result.fetchall()
    if kind == "value":
        return one_value(names, found)
    return from_rows(names, found, choose_kind(kind))


@contextmanager
def _connected(on: Any, statement: Statement, *, write: bool) -> Iterator[Any]:
    """Give a connection in a transaction that ends as it should."""
    from sqlalchemy import exc

    if isinstance(on, Transaction):
        with on.lock, on.connection.begin_nested():  # so that what fails can be tried again
            yield on.connection
        return
    if is_sqlalchemy(on, "Connection"):
        lock: AbstractContextManager[Any] = on.info.setdefault("cascade_lock", threading.RLock())
        with lock:
            yield on
        return
    if not write:
        _check_file(on)
    try:
        connection = on.connect()
    except exc.DBAPIError as error:
        raise SqlError.for_connection(error.orig) from None
    except ImportError as error:
        raise SqlError.for_url(f"the driver is not installed ({error}).") from None
    with connection:
        with nullcontext() if write else _reading(connection):
            yield connection
        with _explained(statement.text):
            connection.commit() if write else connection.rollback()


def _check_file(engine: Any) -> None:
    """Refuse to read an SQLite file that is not there: the driver would make an empty one."""
    path = engine.url.database
    is_file = engine.dialect.name == "sqlite" and path and path != ":memory:" and not path.startswith("file:")
    if is_file and not os.path.exists(path):  # noqa: PTH110 - a path of the driver's
        raise SqlError.for_no_file(path)


@contextmanager
def _reading(connection: Any) -> Iterator[None]:
    """Have the database refuse changes, where it can."""
    name = connection.dialect.name
    driver = connection.connection.dbapi_connection
    if name == "sqlite":
        connection.exec_driver_sql("PRAGMA query_only = ON")
        if hasattr(driver, "set_authorizer"):
            driver.set_authorizer(_authorize_reading)
    elif name == "postgresql":
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
    elif name in ("mysql", "mariadb"):
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        connection.rollback()  # it holds from the next transaction on
    try:
        yield
    finally:
        if name == "sqlite":
            if hasattr(driver, "set_authorizer"):
                driver.set_authorizer(None)
            connection.rollback()
            connection.exec_driver_sql("PRAGMA query_only = OFF")


def _authorize_reading(action: int, first: str | None, *_: object) -> int:
    """Refuse what query_only leaves open: other files, which attaching would even make, and turning it off."""
    import sqlite3

    if action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH) or (
        action == sqlite3.SQLITE_PRAGMA and first == "query_only"
    ):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _interruption(connection: Any) -> Callable[[], object] | None:
    """Return what stops the statement that a connection runs, from another thread."""
    driver = connection.connection.dbapi_connection
    return getattr(driver, "interrupt", None) or getattr(driver, "cancel", None)  # of SQLite; of PostgreSQL


@contextmanager
def _explained(text: str) -> Iterator[None]:
    """Say what the database said without the values, which SQLAlchemy would list."""
    from sqlalchemy import exc

    try:
        yield
    except exc.DBAPIError as error:
        said = str(error.orig)
        if any(words in said for words in _REFUSALS):
            raise SqlError.for_write(text, said) from None
        raise SqlError.for_database(text, said) from None
    except (exc.StatementError, exc.InvalidRequestError) as error:
        raise SqlError.for_kind(getattr(error, "orig", None) or error.args[0]) from None
    except (OverflowError, TypeError, UnicodeError, ValueError) as error:
        if isinstance(error, SqlError):
            raise
        raise SqlError.for_kind(error) from None


# -- binding --------------------------------------------------------------------------------------------------------


def _prepare(statement: Statement, row: Mapping[str, Any], dialect: Any) -> tuple[str, Any]:
    """Return the text with the driver's own marks, and the values as the driver takes them."""
    style = dialect.paramstyle
    values: dict[str, Any] = {}
    order: list[Any] = []

    def mark(name: str, value: Any) -> str:
        order.append(value)
        values[name] = value
        return {
            "named": f":{name}", "pyformat": f"%({name})s", "qmark": "?", "format": "%s", "numeric": f":{len(order)}",
            "numeric_dollar": f"${len(order)}",
        }[style]  # fmt: skip

    def place(name: str, is_after_in: bool) -> str:  # noqa: FBT001 - as `render` calls it
        value = row[name]
        if not is_after_in or not isinstance(value, (list, tuple, set, frozenset)):
            return mark(name, plain_value(value, dialect.name))
        if not value and dialect.name != "sqlite":
            raise SqlError.for_list(name)
        return f"({', '.join(mark(f'{name}__{k}', plain_value(v, dialect.name)) for k, v in enumerate(value))})"

    escape: Callable[[str], str] = str
    if row and style in ("format", "pyformat"):
        escape = _with_two_percents
    text = statement.render(place, escape)
    return text, (values if style in ("named", "pyformat") else tuple(order))


def _with_two_percents(text: str) -> str:
    return text.replace("%", "%%")


def plain_value(value: Any, database: str = "") -> Any:
    """Return a value as drivers know it: numbers of NumPy as Python's, times as SQLite writes them.

    Example:
        >>> import datetime
        >>> plain_value(datetime.date(2026, 1, 2), "sqlite"), plain_value(3)
        ('2026-01-02', 3)
    """
    top = type(value).__module__.partition(".")[0]
    if top == "numpy" and hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if type(value).__name__ in ("NAType", "NaTType") and top == "pandas":
        return None
    if database == "sqlite":
        import datetime as dt
        import decimal
        import uuid

        if isinstance(value, dt.datetime):
            return value.isoformat(" ")
        if isinstance(value, (dt.date, dt.time)):
            return value.isoformat()
        if isinstance(value, (decimal.Decimal, uuid.UUID)):
            return str(value)
    return value
