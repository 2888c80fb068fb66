"""A cache in memory: as long as the process, shared by its threads.

In: bytes by key. Out: the same. Invariant: never more than `max_bytes`; what was used longest ago goes first.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from cascade.interfaces.store_errors import StoreError

__all__ = ["MemoryCache"]


class MemoryCache:
    """Keeps bytes in a dict.

    Args:
        max_bytes: of all values together; a larger value is not kept at all. None: no limit.

    Raises:
        StoreError: when the limit is no number of at least 0.

    Example:
        >>> cache = MemoryCache(max_bytes=10)
        >>> cache.put("a", b"12345678"); cache.put("b", b"1234")
        >>> cache.get("a"), cache.get("b")
        (None, b'1234')
    """

    def __init__(self, max_bytes: int | None = None) -> None:
        """Begin empty."""
        limit: object = max_bytes
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, (int, float)) or limit < 0):
            raise StoreError.for_limit("max_bytes", limit)
        self.max_bytes = max_bytes
        self._values: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()
        self._held: dict[str, tuple[threading.Lock, int]] = {}
        self._counts: dict[str, int] = {}

    def get(self, key: str) -> bytes | None:
        """Return what is stored, or None."""
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return what is stored under those of `keys` that are there."""
        found = {key: self.get(key) for key in keys}
        return {key: value for key, value in found.items() if value is not None}

    def put(self, key: str, value: bytes) -> None:
        """Store `value`."""
        with self._lock:
            self._remove(key)
            if self.max_bytes is not None and len(value) > self.max_bytes:
                return  # rather than all others going for it
            self._values[key] = bytes(value)
            self._size += len(value)
            while self.max_bytes is not None and self._size > self.max_bytes:
                self._remove(next(iter(self._values)))

    def put_many(self, items: Mapping[str, bytes]) -> None:
        """Store each value."""
        for key, value in items.items():
            self.put(key, value)

    def delete(self, key: str) -> None:
        """Forget a key; an unknown one is no error."""
        with self._lock:
            self._remove(key)

    def keys(self) -> list[str]:
        """Return the keys, those used longest ago first."""
        with self._lock:
            return list(self._values)

    def size(self) -> int:
        """Return the bytes of all values."""
        return self._size

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values.clear()
            self._size = 0

    def count(self, key: str) -> int:
        """Return 1 at the first call for `key`, then 2, and so on: no number twice."""
        with self._lock:
            number = self._counts[key] = self._counts.get(key, 0) + 1
            return number

    @contextmanager
    def lock(self, key: str, timeout: float) -> Iterator[bool]:
        """Hold `key` alone among the threads; give False when that was not so within `timeout` seconds."""
        with self._lock:
            lock, waiting = self._held.get(key) or (threading.Lock(), 0)
            self._held[key] = lock, waiting + 1
        is_held = lock.acquire(timeout=max(0.0, timeout))
        try:
            yield is_held
        finally:
            if is_held:
                lock.release()
            with self._lock:
                lock, waiting = self._held[key]
                if waiting == 1:
                    del self._held[key]
                else:
                    self._held[key] = lock, waiting - 1

    def __repr__(self) -> str:
        """Show how full it is."""
        return f"<memory cache: {len(self._values)} values, {self._size:,} bytes>"

    def _remove(self, key: str) -> None:
        value = self._values.pop(key, None)
        self._size -= len(value) if value is not None else 0
