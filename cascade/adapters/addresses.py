"""Addresses as they stand in ``cache="redis://…"`` and ``state_backend="redis://…"``.

In: text. Out: the backend that it names. Invariant: nothing is asked of a server here: only what can never work is
refused at once, and a server that is away is told by the run.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeVar

from cascade.interfaces.naming import nearest
from cascade.interfaces.store_errors import StoreError

if TYPE_CHECKING:
    from cascade.interfaces.protocols import CacheBackend, StateBackend

__all__ = ["cache_at", "folder_at", "is_address", "state_at"]

T = TypeVar("T")
_REDIS: Final = ("redis://", "rediss://", "unix://")
_SLIP: Final = re.compile(
    r"(rediss?|unix|s3|gs|gcs|https?|ipfs|sftp|memory|file):/?(?!/)(.*)", re.ASCII | re.IGNORECASE
)
_HOST: Final = re.compile(r"[\w.-]+:\d{2,5}(/\d*)?", re.ASCII)


def is_address(text: str) -> bool:
    """Say whether a text is the address of something else than a path of this machine.

    Example:
        >>> is_address("redis://host:6379/0"), is_address("s3://bucket/folder"), is_address(".cascade")
        (True, True, False)
    """
    return "://" in text or "::" in text


def folder_at(place: T) -> T:
    """Return the path of a folder as it was given, unless it is a slip of the hand for something else.

    Raises:
        StoreError: for nothing, ``redis:/host`` and ``host:6379``; a `pathlib.Path` is never refused.

    Example:
        >>> folder_at("results")
        'results'
    """
    if not isinstance(place, str):
        return place
    if not place.strip():
        raise StoreError("The place of a store is empty. Write '.cascade' for the folder of that name.")
    slip = _SLIP.fullmatch(place)
    if slip is not None:
        from cascade.adapters.caching.redis_link import masked

        meant = masked(f"{slip[1]}://{slip[2].lstrip('/')}")
        raise StoreError(f"The address of a store has two slashes after its first word: {meant}.")
    if _HOST.fullmatch(place):
        raise StoreError(
            f"'{place}' is no folder by its looks. Write redis://{place} for a Redis server, ./{place} for a folder."
        )
    return place


def cache_at(address: str) -> CacheBackend:
    """Return the cache at an address: a Redis server, or any folder that fsspec reaches.

    Args:
        address: for Redis with the options ``?prefix=name:`` and ``lease=`` (seconds).

    Raises:
        StoreError: when a library is missing, or the address is none.

    Example:
        >>> cache_at("redis://me:hush@localhost/0?prefix=lab:")
        <redis cache 'lab:' at redis://me:***@localhost/0>
    """
    if not address.lower().startswith(_REDIS):
        from cascade.adapters.caching.folder import FolderCache

        _check_scheme(address)
        return FolderCache(address)
    from cascade.adapters.caching.redis import LEASE, RedisCache
    from cascade.adapters.caching.redis_link import seconds_in, take_options

    url, options = take_options(address, "prefix", "lease")
    return RedisCache(url, options.get("prefix", "cascade:"), lease=seconds_in(options, "lease", LEASE, url))


def _check_scheme(address: str) -> None:
    """Refuse an address that neither Redis nor fsspec knows, with the nearest that one of them does."""
    try:
        from fsspec import available_protocols
    except ImportError:
        return  # who opens the folder says what to install
    scheme = address.partition("::")[0].partition("://")[0].lower()
    known = [*available_protocols(), "redis", "rediss", "unix"]
    if "://" in address and scheme not in known:
        raise StoreError(f"No store is known for addresses that begin with {scheme}://.{nearest(scheme, known)}")


def state_at(address: str, run_id: str | None = None) -> StateBackend:
    """Return what keeps the state of a run at an address: a Redis server, or an SQLite file.

    Args:
        address: a path; or for Redis with the options ``?prefix=name:`` and ``ttl=`` (seconds).

    Raises:
        StoreError: when redis-py is missing, or the address is none.
        StateError: when the file is not ours.

    Example:
        >>> state_at("redis://me:hush@localhost/0?ttl=60", "r1")
        <state of run 'r1' at redis://me:***@localhost/0>
    """
    if not is_address(address):
        from cascade.adapters.state.sqlite import SqliteStateBackend

        return SqliteStateBackend(address, run_id)
    from cascade.adapters.caching.redis_link import seconds_in, take_options
    from cascade.adapters.state.redis import TTL, RedisStateBackend

    url, options = take_options(address, "prefix", "ttl")
    return RedisStateBackend(
        url, run_id, prefix=options.get("prefix", "cascade:"), ttl=seconds_in(options, "ttl", TTL, url)
    )
