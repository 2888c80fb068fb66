"""A cache in a folder with an index: small values in SQLite, large ones in files, all signed.

In: bytes by key. Out: the same, from any process of this user. Invariant: as of the store that it is made of: bytes
that are torn or somebody else's are not there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cascade.adapters.stores.local import LocalStore
from cascade.interfaces.records import Draft

__all__ = ["LocalCache"]


class LocalCache:
    """Keeps bytes in a `LocalStore`.

    Args:
        folder: made when the first value is put. settings: as of `LocalStore`: max_bytes, max_age, key_file, on_report.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as place:
        ...     cache = LocalCache(f"{place}/cache", key_file=f"{place}/key")
        ...     cache.put("a", b"1")
        ...     cache.get("a"), cache.keys(), cache.close()
        (b'1', ['a'], None)
    """

    def __init__(self, folder: str | os.PathLike[str] = ".cascade/cache", **settings: Any) -> None:
        """Touch nothing yet."""
        self._store = LocalStore(folder, **settings)

    def get(self, key: str) -> bytes | None:
        """Return what is stored, or None."""
        return self.get_many([key]).get(key)

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return what is stored under those of `keys` that are there."""
        found = {key: self._store.load(entry) for key, entry in self._store.find(list(keys)).items()}
        return {key: value for key, value in found.items() if isinstance(value, bytes)}

    def put(self, key: str, value: bytes) -> None:
        """Store `value`; where that cannot be done, it is not there, and the store has told why."""
        self.put_many({key: value})

    def put_many(self, items: Mapping[str, bytes]) -> None:
        """Store each value, in one transaction."""
        self._store.save_many([Draft(key, bytes(value)) for key, value in items.items()])

    def delete(self, key: str) -> None:
        """Forget a key; an unknown one is no error."""
        self._store.forget([key])

    def keys(self) -> list[str]:
        """Return the keys, the latest first."""
        return [entry.key for entry in self._store.ls()]

    def size(self) -> int:
        """Return the bytes of all values, each content once."""
        return self._store.size()

    def clear(self) -> None:
        """Forget everything."""
        self._store.clear()

    @contextmanager
    def lock(self, key: str, timeout: float) -> Iterator[bool]:
        """Hold `key` alone; give False when that was not so within `timeout` seconds."""
        held = self._store.claim(key, timeout)
        try:
            yield held is not None
        finally:
            if held is not None:
                held.release()

    def close(self) -> None:
        """Let go of files; closing twice is fine."""
        self._store.close()

    def __repr__(self) -> str:
        """Show the folder."""
        return f"<local cache in {str(self._store.folder)!r}>"
