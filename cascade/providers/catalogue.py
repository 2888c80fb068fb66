"""Which ready-made tasks come with cascade.

In: nothing. Out: for each name after ``cs.``, where it stands and what it needs. Invariant: reading this table imports
no page and no library.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["BUILT_IN", "Place"]


class Place(NamedTuple):
    """Where a ready-made task is found.

    Args:
        target: ``module:attribute``. needs: top-level modules that must be installed; ``a|b``: one of them is enough.
        extra: of cascade-notebook, that installs what is needed.
    """

    target: str
    needs: tuple[str, ...] = ()
    extra: str = ""


# One row for each name; a dot in a name makes a namespace.
BUILT_IN: Final[dict[str, Place]] = {
    "dict": Place("cascade.providers.gather:dict"),
    "format": Place("cascade.providers.format:format"),
    "fs.copy": Place("cascade.providers.fs:copy"),
    "fs.exists": Place("cascade.providers.fs:exists"),
    "fs.glob": Place("cascade.providers.fs:glob"),
    "fs.list": Place("cascade.providers.fs:list"),
    "fs.mkdir": Place("cascade.providers.fs:mkdir"),
    "fs.move": Place("cascade.providers.fs:move"),
    "fs.remove": Place("cascade.providers.fs:remove"),
    "http.delete": Place("cascade.providers.http:delete", ("httpx",), "http"),
    "http.get": Place("cascade.providers.http:get", ("httpx",), "http"),
    "http.post": Place("cascade.providers.http:post", ("httpx",), "http"),
    "http.put": Place("cascade.providers.http:put", ("httpx",), "http"),
    "http.request": Place("cascade.providers.http:request", ("httpx",), "http"),
    "io.local.read": Place("cascade.providers.io_local:read"),
    "io.local.write": Place("cascade.providers.io_local:write"),
    "io.s3.exists": Place("cascade.providers.io_s3:exists", ("fsspec", "s3fs"), "s3"),
    "io.s3.list": Place("cascade.providers.io_s3:list", ("fsspec", "s3fs"), "s3"),
    "io.s3.read": Place("cascade.providers.io_s3:read", ("fsspec", "s3fs"), "s3"),
    "io.s3.remove": Place("cascade.providers.io_s3:remove", ("fsspec", "s3fs"), "s3"),
    "io.s3.write": Place("cascade.providers.io_s3:write", ("fsspec", "s3fs"), "s3"),
    "io.stdin": Place("cascade.providers.streams:stdin"),
    "io.stdout": Place("cascade.providers.streams:stdout"),
    "load_yaml": Place("cascade.providers.load_yaml:load_yaml", ("yaml",), "text"),
    "lookup": Place("cascade.providers.lookup:lookup"),
    "read.bytes": Place("cascade.providers.read:bytes"),
    "read.csv": Place("cascade.providers.read:csv"),
    "read.json": Place("cascade.providers.read:json"),
    "read.parquet": Place("cascade.providers.read:parquet"),
    "read.table": Place("cascade.providers.read:table"),
    "read.text": Place("cascade.providers.read:text"),
    "recv": Place("cascade.providers.recv:recv"),
    "shell": Place("cascade.providers.shell:shell"),
    "sql": Place("cascade.providers.sql:sql", ("duckdb|sqlalchemy",), "sql"),
    "subflow": Place("cascade.providers.subflow:subflow"),
    "template": Place("cascade.providers.template:template", ("jinja2",), "text"),
    "wait": Place("cascade.providers.wait:wait"),
    "write.bytes": Place("cascade.providers.write:bytes"),
    "write.csv": Place("cascade.providers.write:csv"),
    "write.json": Place("cascade.providers.write:json"),
    "write.parquet": Place("cascade.providers.write:parquet"),
    "write.table": Place("cascade.providers.write:table"),
    "write.text": Place("cascade.providers.write:text"),
}
