"""A cache in a folder: on this machine, on a network disk, or wherever fsspec reaches (S3, SFTP, …).

In: bytes by key. Out: the same, from anywhere the folder is seen. Invariant: a file is whole or not there: it is
written under another name and renamed, or put by a service that shows it when it is complete; its digest is checked
anyway.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Protocol

from cascade.adapters.caching.parcel import name_of, pack, read_key_of, unpack
from cascade.adapters.stores.claims import hold
from cascade.interfaces.store_errors import StoreError

__all__ = ["FolderCache"]

_HEAD: Final = 4096  # bytes in which a key of usual length is found
_OLD: Final = 3600.0  # seconds after which a temporary file is nobody's
# Services that show a file when it is complete; elsewhere it takes another name first.
_WHOLE: Final = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "memory", "http", "https"})


class _Files(Protocol):
    """Files by name, each read and written as a whole."""

    def read(self, name: str, length: int | None = None) -> bytes | None:
        """Return a file, or its first bytes; None if there is none."""

    def write(self, name: str, data: bytes) -> None:
        """Put a whole file."""

    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is no error."""

    def names(self) -> list[tuple[str, int]]:
        """Return the files that are whole, with their bytes."""


class FolderCache:
    """Keeps each value in a file of its own.

    Args:
        place: a path, or a URL for fsspec as in ``s3://bucket/folder``; made when the first value is put.
        options: for fsspec: keys, end points and the like.

    Raises:
        StoreError: when fsspec, or what it needs for this URL, is not installed.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     cache = FolderCache(folder)
        ...     cache.put("any key/at all", b"1")
        ...     cache.get("any key/at all"), list(cache.keys())
        (b'1', ['any key/at all'])
    """

    def __init__(self, place: str | os.PathLike[str], **options: Any) -> None:
        """Make nothing yet."""
        text = os.fspath(place)
        self.place = text
        self._local = None if "://" in text or "::" in text else _LocalFiles(Path(text).absolute())
        self._files: _Files = self._local or _FsspecFiles(text, options)

    def get(self, key: str) -> bytes | None:
        """Return what is stored, or None; half a file counts as none."""
        data = self._files.read(name_of(key))
        return None if data is None else unpack(key, data)

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return what is stored under those of `keys` that are there."""
        found = {key: self.get(key) for key in keys}
        return {key: value for key, value in found.items() if value is not None}

    def put(self, key: str, value: bytes) -> None:
        """Store `value`.

        Raises:
            OSError: what the disk or the service says; nothing is left then.
        """
        self._files.write(name_of(key), pack(key, value))

    def put_many(self, items: Mapping[str, bytes]) -> None:
        """Store each value."""
        for key, value in items.items():
            self.put(key, value)

    def delete(self, key: str) -> None:
        """Forget a key; an unknown one is no error."""
        self._files.remove(name_of(key))

    def keys(self) -> Iterator[str]:
        """Go over the keys; reads the beginning of each file."""
        for name, _ in self._files.names():
            key = read_key_of(self._files.read(name, _HEAD) or b"")
            if key is None:
                key = read_key_of(self._files.read(name) or b"")
            if key is not None and name_of(key) == name:
                yield key

    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(size for _, size in self._files.names())

    def clear(self) -> None:
        """Forget everything; files of others stay."""
        for name, _ in self._files.names():
            self._files.remove(name)

    @contextmanager
    def lock(self, key: str, timeout: float) -> Iterator[bool]:
        """Hold `key` alone; give False when that was not so within `timeout` seconds.

        Only a local folder can: with a URL, True is given to everybody.
        """
        if self._local is None:
            yield True
            return
        self._local.folder.mkdir(parents=True, exist_ok=True)
        with hold(self._local.folder / f"{name_of(key)}.lock", timeout) as is_held:
            yield is_held

    def __repr__(self) -> str:
        """Show the place, without what stands before an @ in it."""
        scheme, mark, rest = self.place.rpartition("://")
        return f"<folder cache in {scheme + mark + rest.rpartition('@')[2]!r}>"


def _is_ours(name: str) -> bool:
    return len(name) == 40 and not name.strip("0123456789abcdef")  # noqa: PLR2004 - as `name_of` makes them


class _LocalFiles:
    """A folder of this machine, two levels deep."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, name: str) -> Path:
        return self.folder / name[:2] / name

    def read(self, name: str, length: int | None = None) -> bytes | None:
        """Return a file, or its first bytes; None if there is none, or it cannot be read."""
        try:
            with self._path(name).open("rb") as file:
                return file.read() if length is None else file.read(length)
        except OSError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Write under another name, then rename."""
        target = self._path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        new = target.with_name(f"{os.getpid()}-{threading.get_ident()}-{secrets.token_hex(4)}.tmp")
        try:
            new.write_bytes(data)
            new.replace(target)
        except BaseException:
            with suppress(OSError):
                new.unlink()
            raise

    def remove(self, name: str) -> None:
        """Remove a file."""
        self._path(name).unlink(missing_ok=True)

    def names(self) -> list[tuple[str, int]]:
        """Return the files; on the way, remove what writers who were killed have left."""
        found = []
        for path in self.folder.glob("[0-9a-f][0-9a-f]/*"):
            with suppress(OSError):  # removed meanwhile
                stat = path.stat()
                if _is_ours(path.name):
                    found.append((path.name, stat.st_size))
                elif path.suffix == ".tmp" and time.time() - stat.st_mtime > _OLD:
                    path.unlink()
        return found


class _FsspecFiles:
    """A folder that fsspec reaches."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        try:
            import fsspec
        except ImportError:
            raise StoreError.for_missing_library(f"The folder {url}", "fsspec", "s3") from None
        try:
            self._system, self._root = fsspec.core.url_to_fs(url, **options)
        except ImportError as error:
            raise StoreError.for_missing_library(f"The folder {url}", str(error), "s3") from None
        self._root = self._root.rstrip("/")
        protocol = self._system.protocol
        kinds = {protocol} if isinstance(protocol, str) else set(protocol)
        self._is_whole = bool(kinds & _WHOLE)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name[:2]}/{name}"

    def read(self, name: str, length: int | None = None) -> bytes | None:
        """Return a file, or its first bytes; None if there is none."""
        try:
            return bytes(self._system.cat_file(self._path(name), start=None if length is None else 0, end=length))
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Put a file; where half of one could be seen, under another name first."""
        path = self._path(name)
        self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
        if self._is_whole:
            self._system.pipe_file(path, data)
            return
        new = f"{path}.{secrets.token_hex(8)}.tmp"
        self._system.pipe_file(new, data)
        self._system.mv(new, path)

    def remove(self, name: str) -> None:
        """Remove a file."""
        with suppress(FileNotFoundError):
            self._system.rm_file(self._path(name))

    def names(self) -> list[tuple[str, int]]:
        """Return the files."""
        self._system.invalidate_cache()
        try:
            found = self._system.find(self._root, detail=True)
        except FileNotFoundError:
            return []
        named = ((path.rpartition("/")[2], int(facts.get("size") or 0)) for path, facts in found.items())
        return [(name, size) for name, size in named if _is_ours(name)]
