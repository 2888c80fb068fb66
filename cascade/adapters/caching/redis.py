"""A cache in Redis, shared by whoever reaches the server.

In: bytes by key. Out: the same. Invariant: only keys with the prefix are ever read, listed or removed; a call ends
within bounded time, whatever the server does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from cascade.adapters.caching.redis_lease import Leases
from cascade.adapters.caching.redis_link import TIMEOUT, RedisLink

__all__ = ["RedisCache"]

BATCH: Final = 500  # keys in one command
MOST_BYTES: Final = 8 << 20  # that are sent before the server is heard
LEASE: Final = 10.0  # seconds
_SPECIAL: Final = str.maketrans({c: f"\\{c}" for c in r"\*?[]^-"})


class RedisCache:
    """Keeps bytes in a Redis server.

    Args:
        url: as redis-py takes it: ``redis://host:6379/0``, ``rediss://…`` for TLS, ``unix://…``.
        prefix: of all keys, so that several projects can share a server.
        lease: seconds after which the lock of a holder that has died is free again; while it lives, it is renewed.
        timeout: seconds for a connection, and for each answer.

    Raises:
        RedisAddressError: when redis-py is not installed, or `url` is no address. Later: `RedisError`, when the server
            does not do what it is asked.

    Example:
        >>> RedisCache("redis://:hush@localhost:6379/0", "lab:")
        <redis cache 'lab:' at redis://:***@localhost:6379/0>
    """

    def __init__(self, url: str, prefix: str = "cascade:", *, lease: float = LEASE, timeout: float = TIMEOUT) -> None:
        """Connect at the first use."""
        self._link = RedisLink(url, "A cache in Redis", timeout)
        self.prefix = prefix
        self.lease = lease
        self._leases = Leases(self._link, prefix.encode(), lease)

    def get(self, key: str) -> bytes | None:
        """Return what is stored, or None."""
        found: bytes | None = self._link.ask(lambda to: to.get(self._name(key)))
        return found

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return what is stored under those of `keys` that are there."""
        wanted = list(keys)
        found: dict[str, bytes] = {}
        for start in range(0, len(wanted), BATCH):
            step = wanted[start : start + BATCH]
            values = self._read_all([self._name(key) for key in step])
            found |= {key: value for key, value in zip(step, values, strict=True) if value is not None}
        return found

    def _read_all(self, names: list[bytes]) -> list[bytes | None]:
        found: list[bytes | None] = self._link.ask(lambda to: to.mget(names))
        return found

    def put(self, key: str, value: bytes) -> None:
        """Store `value`."""
        self._link.ask(lambda to: to.set(self._name(key), value))

    def put_many(self, items: Mapping[str, bytes]) -> None:
        """Store each value, in their order, in few round trips."""
        waiting: dict[bytes, bytes] = {}
        size = 0
        for key, value in items.items():
            waiting[self._name(key)] = value
            size += len(value)
            if len(waiting) >= BATCH or size > MOST_BYTES:
                self._put_all(waiting)
                waiting, size = {}, 0
        if waiting:
            self._put_all(waiting)

    def _put_all(self, values: dict[bytes, bytes]) -> None:
        """Store values with one command, all or none: to read one answer is ten times cheaper than to read many."""
        self._link.ask(lambda to: to.mset(values))

    def delete(self, key: str) -> None:
        """Forget a key; an unknown one is no error."""
        self._link.ask(lambda to: to.unlink(self._name(key)))

    def keys(self) -> Iterator[str]:
        """Go over the keys."""
        start = len(self._name(""))
        for name in self._names():
            yield name[start:].decode("utf-8", "surrogatepass")

    def size(self) -> int:
        """Return the bytes of all values."""
        names, total = list(self._names()), 0
        for start in range(0, len(names), BATCH):
            total += sum(self._measure_all(names[start : start + BATCH]))
        return total

    def _measure_all(self, names: list[bytes]) -> list[int]:
        return self._link.pipe(lambda pipe: [pipe.strlen(name) for name in names])

    def clear(self) -> None:
        """Forget everything under the prefix."""
        names = list(self._names())
        for start in range(0, len(names), BATCH):
            self._remove_all(names[start : start + BATCH])

    def _remove_all(self, names: list[bytes]) -> None:
        self._link.ask(lambda to: to.unlink(*names))

    def count(self, key: str) -> int:
        """Return 1 at the first call for `key`, then 2, and so on: no number twice anywhere, nor after `clear`."""
        name = f"{self.prefix}count:".encode() + _to_bytes(key)
        return int(self._link.ask(lambda to: to.incr(name)))

    @contextmanager
    def lock(self, key: str, timeout: float) -> Iterator[bool]:
        """Hold `key` alone, on all machines; give False when that was not so within `timeout` seconds.

        It is renewed while it is held. Who is killed, or sleeps for longer than the lease, loses it to the next one.
        """
        lease = self._leases.take(_to_bytes(key), timeout)
        try:
            yield lease is not None
        finally:
            if lease is not None:
                self._leases.give_back(lease)

    def close(self) -> None:
        """Close the connections."""
        self._link.close()

    def __repr__(self) -> str:
        """Show the prefix, and the address without its password."""
        return f"<redis cache {self.prefix!r} at {self._link.shown}>"

    def _name(self, key: str) -> bytes:
        return f"{self.prefix}value:".encode() + _to_bytes(key)

    def _names(self) -> Iterator[bytes]:
        pattern = f"{self.prefix}value:".translate(_SPECIAL) + "*"
        seen: set[bytes] = set()  # a key may be told twice while the server grows its table
        cursor = 0
        while True:
            cursor, names = self._scan(cursor, pattern)
            new = set(names) - seen
            seen |= new
            yield from new
            if not cursor:
                return

    def _scan(self, cursor: int, pattern: str) -> tuple[int, list[bytes]]:
        found: tuple[int, list[bytes]] = self._link.ask(lambda to: to.scan(cursor, match=pattern, count=1000))
        return found


def _to_bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")
