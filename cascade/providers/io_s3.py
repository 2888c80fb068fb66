"""``cs.io.s3``: objects of S3, by bucket and key.

In: a bucket, a key, and how to reach the service. Out: bytes, or names of keys. Invariant: a bucket and a key are two
arguments and never one text: no key leads into another bucket, and none is taken for a pattern.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import cascade as cs
from cascade.providers.content import as_bytes
from cascade.providers.registry import require
from cascade.providers.storage import Remote
from cascade.providers.storage_errors import PlaceError

__all__ = ["exists", "list", "read", "remove", "write"]

Storage = Mapping[str, Any] | None
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_LONGEST_KEY: Final = 1024  # bytes
_VERSION: Final = "?versionId="  # s3fs takes what follows for a version, and what stands before for the key


@cs.task(name="io.s3.read")
def read(bucket: str, key: str, *, storage: Storage = None) -> builtins.bytes:
    """Return what an object holds.

    Args:
        bucket, key: of the object.
        storage: for s3fs, as ``{"key": …, "secret": cs.Param("secret", secret=True), "endpoint_url": …}``; without it,
            what the environment says.

    Raises:
        FileNotFoundError: when there is none. PlaceError: when a name cannot be meant. OSError: what the service says.

    Example:
        >>> import cascade as cs
        >>> cs.io.s3.read("my-bucket", "sales/2026.csv", storage={"anon": True})
        <lazy io.s3.read('my-bucket', 'sales/2026.csv', storage=<dict>)>
    """
    return builtins.bytes(_system(storage).cat_file(_path(bucket, key)))


@cs.task(name="io.s3.write")
def write(bucket: str, key: str, data: builtins.bytes | str, *, storage: Storage = None) -> Remote:
    """Put an object in one piece; a text becomes UTF-8.

    Args:
        bucket, key, storage: see `cs.io.s3.read`. data: what it will hold.

    Returns:
        what `cs.read.csv` and the like take, as ``s3://bucket/key`` in this version.

    Raises:
        PlaceError, OSError: see `cs.io.s3.read`.
    """
    system, path = _system(storage), _path(bucket, key)
    content = as_bytes(data, "utf-8", "io.s3.write")
    system.pipe_file(path, content)
    facts = system.info(path)
    return Remote(f"s3://{path}", f"{len(content)} {facts.get('ETag') or facts.get('LastModified')}")


@cs.task(name="io.s3.exists")
def exists(bucket: str, key: str, *, storage: Storage = None) -> bool:
    """Say whether there is such an object.

    Args:
        bucket, key, storage: see `cs.io.s3.read`.
    """
    return bool(_system(storage).exists(_path(bucket, key)))


@cs.task(name="io.s3.remove")
def remove(bucket: str, key: str, *, storage: Storage = None) -> None:
    """Remove an object; one that is not there is no error, as S3 has it.

    Args:
        bucket, key, storage: see `cs.io.s3.read`.
    """
    _system(storage).rm_file(_path(bucket, key))


@cs.task(name="io.s3.list")
def list(  # noqa: A001 - the word that users look for
    bucket: str, prefix: str = "", *, storage: Storage = None
) -> builtins.list[str]:
    """Return the keys that begin with `prefix`, sorted.

    Args:
        bucket, storage: see `cs.io.s3.read`. prefix: of keys, as ``sales/``; empty for all.

    Raises:
        FileNotFoundError: when there is no such bucket.
    """
    name = _bucket(bucket)
    if not isinstance(prefix, str) or any(ord(c) < 32 for c in prefix):  # noqa: PLR2004 - control characters
        raise PlaceError.for_key(prefix)
    folder, _, start = prefix.rpartition("/")
    system, found = _system(storage), []
    with suppress(FileNotFoundError):
        found = system.find(f"{name}/{folder}" if folder else name)
    if not found:  # s3fs finds nothing in a bucket that does not exist, either
        system.call_s3("head_bucket", Bucket=name)
    keys = [path.partition("/")[2] for path in found]
    return sorted(key for key in keys if key.startswith(prefix if start or folder else ""))


def _system(storage: Storage) -> Any:
    fsspec = require("fsspec", provider="io.s3", extra="s3")
    require("s3fs", provider="io.s3", extra="s3")
    system = fsspec.filesystem("s3", **(storage or {}))
    system.invalidate_cache()  # others write there, too
    return system


def _bucket(bucket: object) -> str:
    if not isinstance(bucket, str) or not _BUCKET.fullmatch(bucket) or ".." in bucket:
        raise PlaceError.for_bucket(bucket)
    return bucket


def _path(bucket: object, key: object) -> str:
    name = _bucket(bucket)
    if not isinstance(key, str) or not key or len(key.encode("utf-8", "surrogatepass")) > _LONGEST_KEY:
        raise PlaceError.for_key(key)
    has_controls = any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in key)  # noqa: PLR2004 - and half characters
    if has_controls or _VERSION in key or not all(part not in ("", ".", "..") for part in key.split("/")):
        raise PlaceError.for_key(key)
    return f"{name}/{key}"
