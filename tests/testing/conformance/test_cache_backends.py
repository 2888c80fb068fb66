from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cascade.testing import check_cache_backend
from cascade.testing.conformance import CACHE_BACKEND_CASES, Case
from tests.testing.conformance.broken import check_coverage, expect_broken, pairs


class Base:
    """Bytes in a dict; what is broken is in the classes under it."""

    def __init__(self) -> None:
        self.table: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self.table.get(key)

    def put(self, key: str, value: bytes) -> None:
        self.table[key] = value

    def delete(self, key: str) -> None:
        self.table.pop(key, None)

    def clear(self) -> None:
        self.table.clear()


class Plain:
    """Only what the protocol asks for, in files, as a cache on a disk would do."""

    folder = Path()

    def get(self, key: str) -> bytes | None:
        try:
            return self.path(key).read_bytes()
        except FileNotFoundError:
            return None

    def put(self, key: str, value: bytes) -> None:
        path = self.path(key)
        new = path.with_suffix(f".{threading.get_ident()}")
        new.write_bytes(value)
        new.replace(path)

    def path(self, key: str) -> Path:
        return self.folder / hashlib.sha256(key.encode()).hexdigest()


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Plain, "folder", tmp_path)


@pytest.mark.parametrize("factory", [Base, Plain])
@pytest.mark.parametrize("case", CACHE_BACKEND_CASES, ids=str)
def test_whole_backends_keep_every_promise(case: Case, factory: Callable[[], Any]) -> None:
    """A dict passes, and so does a folder of files, without the methods that nobody has to have."""
    case(factory)


class RaisesForUnknown(Base):
    def get(self, key: str) -> bytes | None:
        return self.table[key]


class GivesEmpty(Base):
    def get(self, key: str) -> bytes | None:
        return self.table.get(key, b"")


class AsText(Base):
    def put(self, key: str, value: bytes) -> None:
        self.table[key] = value.decode("latin-1").replace("\r\n", "\n").encode("latin-1")


class GivesViews(Base):
    def get(self, key: str) -> Any:
        found = self.table.get(key)
        return None if found is None else memoryview(found)


class GivesOnce(Base):
    def get(self, key: str) -> bytes | None:
        return self.table.pop(key, None)


class TakesEmptyForMissing(Base):
    def get(self, key: str) -> bytes | None:
        return self.table.get(key) or None


class CutsOff(Base):
    def put(self, key: str, value: bytes) -> None:
        self.table[key] = value[:1_000_000]


class KeepsTheFirst(Base):
    def put(self, key: str, value: bytes) -> None:
        self.table.setdefault(key, value)


class WritesOver(Base):
    """Writes a new value over the old one, and forgets to cut off what stays of it."""

    def put(self, key: str, value: bytes) -> None:
        self.table[key] = value + self.table.get(key, b"")[len(value) :]


class KeysAsPaths(Plain):
    """Takes keys for file names."""

    def path(self, key: str) -> Path:
        return self.folder / key


class FoldsKeys(Base):
    def put(self, key: str, value: bytes) -> None:
        self.table[key.lower().strip()] = value

    def get(self, key: str) -> bytes | None:
        return self.table.get(key.lower().strip())


class OneBuffer(Base):
    """Puts every value through one buffer, and lets others in between."""

    def __init__(self) -> None:
        super().__init__()
        self.meeting = threading.Barrier(2)
        self.buffer = b""

    def put(self, key: str, value: bytes) -> None:
        self.buffer = value
        try:
            self.meeting.wait(0.01)
        except threading.BrokenBarrierError:
            self.meeting.reset()
        super().put(key, self.buffer)


class WritesInPlace(Plain):
    """Writes straight into the file that others read."""

    def put(self, key: str, value: bytes) -> None:
        with self.path(key).open("wb", buffering=0) as file:
            for start in range(0, len(value), 4096):
                file.write(value[start : start + 4096])


class RemovesFirst(Plain):
    """Removes the old value before it writes the new one."""

    def put(self, key: str, value: bytes) -> None:
        path = self.path(key)
        if path.exists():
            path.unlink(missing_ok=True)
        time.sleep(0.001)  # for the reader that comes just then
        super().put(key, value)


class DeletesNothing(Base):
    def delete(self, key: str) -> None:
        pass


class DeletesAll(Base):
    def delete(self, key: str) -> None:
        self.table.clear()


class DeletesOnce(Base):
    def delete(self, key: str) -> None:
        del self.table[key]


class ClearsSome(Base):
    def clear(self) -> None:
        self.table.popitem()


class ClearsForEver(Base):
    def clear(self) -> None:
        self.table = type("Void", (dict,), {"__setitem__": lambda *_: None})()


BROKEN = {
    "does_not_know": [RaisesForUnknown, GivesEmpty],
    "gives_bytes_back": [AsText, GivesViews, GivesOnce],
    "keeps_empty_values": [TakesEmptyForMissing],
    "keeps_large_values": [CutsOff],
    "replaces_values": [KeepsTheFirst, WritesOver],
    "keeps_odd_keys_apart": [KeysAsPaths, FoldsKeys],
    "works_in_threads": [OneBuffer],
    "is_never_torn": [WritesInPlace, RemovesFirst],
    "deletes": [DeletesNothing, DeletesAll, DeletesOnce],
    "clears": [ClearsSome, ClearsForEver],
}


def test_every_case_can_fail() -> None:
    """Each case has a backend that breaks it."""
    check_coverage(CACHE_BACKEND_CASES, BROKEN)


@pytest.mark.parametrize(("name", "factory"), pairs(BROKEN))
def test_broken_backends_are_found(name: str, factory: type[Base]) -> None:
    """A backend that breaks a promise is found by the case that is about it."""
    assert expect_broken(CACHE_BACKEND_CASES, name, factory, 5.0)


def test_kit_in_one_line() -> None:
    """The whole kit says nothing when all is well."""
    check_cache_backend(Base)
