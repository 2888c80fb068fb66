"""A transaction as a resource: commit when all went well, roll back when not.

In: a URL or a path. Out: a `Transaction` that tasks share. Invariant: what a failed run has done is not there
afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cascade.providers.sql_database import Transaction, make_engine
from cascade.providers.sql_duckdb import closed_off, open_duckdb
from cascade.providers.sql_errors import SqlError

__all__ = ["begun"]


@contextmanager
def begun(url: str, duckdb_path: str | None) -> Iterator[Transaction]:
    """Begin a transaction; it ends with the ``with`` block.

    Args:
        url: for SQLAlchemy. duckdb_path: of a file of DuckDB instead.

    Raises:
        SqlError: when the database cannot be reached, or refuses to commit.
    """
    if duckdb_path is not None:
        with open_duckdb(duckdb_path, write=True, for_transaction=True) as connection:
            closed_off(connection, {}, {})
            connection.begin()
            try:
                yield Transaction(connection, "duckdb")
            except BaseException:
                connection.rollback()
                raise
            connection.commit()
        return
    from sqlalchemy import exc

    engine = make_engine(url)
    try:
        try:
            connection = engine.connect()
        except exc.DBAPIError as error:
            raise SqlError.for_connection(error.orig) from None
        with connection, connection.begin():
            yield Transaction(connection, engine.dialect.name)
    finally:
        engine.dispose()
