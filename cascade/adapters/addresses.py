"""Addresses as they stand in ``cache="redis://…"`` and ``state_backend="redis://…"``.

In: text. Out: the backend that it names. Invariant: nothing is asked of a server here: only what can never work is
refused at once, and a server that is away is told by the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cascade.interfaces.protocols import CacheBackend, StateBackend

__all__ = ["cache_at", "is_address", "state_at"]

_REDIS: Final = ("redis://", "rediss://", "unix://")


def is_address(text: str) -> bool:
    """Say whether a text is the address of something else than a path of this machine.

    Example:
        >>> is_address("redis://host:6379/0"), is_address("s3://bucket/folder"), is_address(".cascade")
        (True, True, False)
    """
    return "://" in text or "::" in text


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

        return FolderCache(address)
    from cascade.adapters.caching.redis import LEASE, RedisCache
    from cascade.adapters.caching.redis_link import seconds_in, take_options

    url, options = take_options(address, "prefix", "lease")
    return RedisCache(url, options.get("prefix", "cascade:"), lease=seconds_in(options, "lease", LEASE, url))


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
