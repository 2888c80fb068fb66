"""A cache in Redis, shared by whoever reaches the server.

In: bytes by key. Out: the same. Invariant: only keys with the prefix are ever read, listed or removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

from cascade.interfaces.store_errors import StoreError

__all__ = ["RedisCache"]

BATCH: Final = 500  # keys in one command
_SPECIAL: Final = str.maketrans({c: f"\\{c}" for c in r"\*?[]^-"})


class RedisCache:
    """Keeps bytes in a Redis server.

    Args:
        url: as redis-py takes it: ``redis://host:6379/0``, ``rediss://…``, ``unix://…``.
        prefix: of all keys, so that several projects can share a server.
        lease: seconds after which the lock of a holder that has died is free again.

    Raises:
        StoreError: when redis-py is not installed. Later: what redis-py raises when the server does not answer.
    """

    def __init__(self, url: str, prefix: str = "cascade:", *, lease: float = 60.0) -> None:
        """Connect at the first use."""
        try:
            import redis
        except ImportError:
            raise StoreError.for_missing_library("A cache in Redis", "redis-py", "redis") from None
        self.prefix = prefix
        self.lease = lease
        self._errors = redis.exceptions
        self._client: Any = redis.Redis.from_url(url)

    def get(self, key: str) -> bytes | None:
        """Return what is stored, or None."""
        found: bytes | None = self._client.get(self._name(key))
        return found

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return what is stored under those of `keys` that are there."""
        wanted = list(keys)
        found: dict[str, bytes] = {}
        for start in range(0, len(wanted), BATCH):
            step = wanted[start : start + BATCH]
            values = self._client.mget([self._name(key) for key in step])
            found |= {key: value for key, value in zip(step, values, strict=True) if value is not None}
        return found

    def put(self, key: str, value: bytes) -> None:
        """Store `value`."""
        self._client.set(self._name(key), value)

    def put_many(self, items: Mapping[str, bytes]) -> None:
        """Store each value, in few round trips."""
        with self._client.pipeline(transaction=False) as pipe:
            for key, value in items.items():
                pipe.set(self._name(key), value)
            pipe.execute()

    def delete(self, key: str) -> None:
        """Forget a key; an unknown one is no error."""
        self._client.unlink(self._name(key))

    def keys(self) -> Iterator[str]:
        """Go over the keys."""
        start = len(self._name(""))
        for name in self._names():
            yield name[start:].decode("utf-8", "surrogatepass")

    def size(self) -> int:
        """Return the bytes of all values."""
        names, total = list(self._names()), 0
        for start in range(0, len(names), BATCH):
            with self._client.pipeline(transaction=False) as pipe:
                for name in names[start : start + BATCH]:
                    pipe.strlen(name)
                total += sum(pipe.execute())
        return total

    def clear(self) -> None:
        """Forget everything under the prefix."""
        names = list(self._names())
        for start in range(0, len(names), BATCH):
            self._client.unlink(*names[start : start + BATCH])

    @contextmanager
    def lock(self, key: str, timeout: float) -> Iterator[bool]:
        """Hold `key` alone; give False when that was not so within `timeout` seconds.

        Who computes for longer than the lease may find that another has begun too.
        """
        name = f"{self.prefix}lock:".encode() + key.encode("utf-8", "surrogatepass")
        lock = self._client.lock(name, timeout=self.lease, sleep=0.02, blocking_timeout=timeout, thread_local=False)
        is_held = bool(lock.acquire())
        try:
            yield is_held
        finally:
            if is_held:
                with suppress(self._errors.LockError):  # the lease was over
                    lock.release()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __repr__(self) -> str:
        """Show the prefix; the URL may hold a password."""
        return f"<redis cache {self.prefix!r}>"

    def _name(self, key: str) -> bytes:
        return f"{self.prefix}value:".encode() + key.encode("utf-8", "surrogatepass")

    def _names(self) -> Iterator[bytes]:
        pattern = f"{self.prefix}value:".translate(_SPECIAL) + "*"
        yield from dict.fromkeys(self._client.scan_iter(match=pattern, count=1000))
