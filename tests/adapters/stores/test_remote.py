from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cascade.adapters.caching.folder import FolderCache
from cascade.adapters.caching.memory import MemoryCache
from cascade.adapters.stores.remote import BackendStore
from cascade.interfaces.protocols import Store
from cascade.interfaces.records import Draft, NodeRow, StoreMiss
from tests.adapters.stores.test_trust import FIRED, Bomb

VALUES = {"small": (1, "two"), "none": None, "large": bytes(20_000)}


@pytest.fixture
def backend() -> MemoryCache:
    """Bytes by key."""
    return MemoryCache()


@pytest.fixture
def open_store(tmp_path: Path, backend: MemoryCache, reports: list[Any]) -> Callable[..., BackendStore]:
    """Open a store over the backend."""

    def make(**settings: Any) -> BackendStore:
        settings.setdefault("key_file", tmp_path / "key")
        return BackendStore(settings.pop("backend", backend), on_report=lambda *r: reports.append(r), **settings)

    return make


def as_protocol(store: BackendStore) -> Store:
    """Checked by mypy: the store keeps the protocol."""
    return store


def read(store: BackendStore) -> dict[str, Any]:
    """What is there."""
    values = {key: store.load(entry) for key, entry in store.find(list(VALUES)).items()}
    return {key: value for key, value in values.items() if not isinstance(value, StoreMiss)}


def test_values_recipes_and_texts(open_store: Callable[..., BackendStore]) -> None:
    """What one store puts into the backend, another one over it reads; the history too."""
    store = open_store()
    assert all(store.save_many(Draft(key, value, task="t") for key, value in VALUES.items()))
    store.save_recipes({"r": "small"})
    digest = store.put_text("half \ud800" * 100)
    store.begin_run("r", {})
    store.record_nodes("r", [NodeRow("r", "n", "t", "ran")])
    store.end_run("r", {})
    other = open_store()
    assert read(other) == VALUES
    assert other.find_recipes(["r", "s"]) == {"r": "small"}
    assert other.get_text(digest) == "half \ud800" * 100
    number = 1 if hasattr(other.backend, "count") else 0
    assert [(run.run_id, run.number) for run in other.runs()] == [("r", number)]
    assert other.run_numbers(["r", "x"]) == ({"r": 1} if number else {})
    assert [run.run_id for run in other.find_runs("1")] == (["r"] if number else [])
    assert other.nodes("r") == [other.latest("t")] == [NodeRow("r", "n", "t", "ran")]
    assert (other.durations(), other.costs(["t"])["t"].count) == ({"t": (0.0, 1, 0)}, 1)
    assert {entry.key for entry in other.ls("t")} == set(VALUES)
    assert other.check() == []
    assert other.size() > 20_000


def test_clean_up(open_store: Callable[..., BackendStore], backend: MemoryCache) -> None:
    """Old entries go, then the oldest beyond the limit, with values that nobody names; a dry run only counts."""
    now = 100.0
    store = open_store(clock=lambda: now)
    store.save("a", bytes(10_000))
    now = 200.0
    store.save("b", bytes(20_000))
    store.save("c", bytes(20_000))
    now = 300.0
    assert store.gc(max_age=150, dry_run=True).entries == 1
    assert len(store.ls()) == 3
    assert store.gc(max_age=150).entries == 1
    assert store.gc(max_bytes=20_000).entries == 0
    assert store.gc(max_bytes=5).size == 20_000
    assert not [key for key in backend.keys() if key.startswith("value/")]  # noqa: SIM118 - of a cache
    store.save_many([Draft("d", 1, task="x"), Draft("e", 1, task="y")])
    assert store.clear("x") == 1
    assert store.load(store.find(["e"])["e"]) == 1


def test_damage_is_a_miss(open_store: Callable[..., BackendStore], backend: MemoryCache, reports: list[Any]) -> None:
    """Each entry and value that is damaged, swapped or gone is a miss and a report, and never another value."""
    store = open_store()
    store.save_many(Draft(key, value) for key, value in VALUES.items())
    before = {key: backend.get(key) or b"" for key in backend.keys()}  # noqa: SIM118 - of a cache
    for key, data in before.items():
        others = [
            other for name, other in before.items() if name.partition("/")[0] == key.partition("/")[0] and name != key
        ]
        for bad in [b"", data[:-1], data + b"x", bytes(len(data)), data[:-1] + bytes([data[-1] ^ 1]), *others]:
            backend.put(key, bad)
            reports.clear()
            found = read(store)
            assert all(found[each] == VALUES[each] for each in found)
            if bad != data:
                assert len(found) == len(VALUES) - 1
                assert len(reports) == 1
            backend.put_many(before)
    assert read(store) == VALUES


def test_foreign_pickles_are_never_read(open_store: Callable[..., BackendStore], backend: MemoryCache) -> None:
    """A stranger's pickle in the backend is not read."""
    store = open_store()
    store.save_many(Draft(key, value) for key, value in VALUES.items())
    for key in backend.keys():  # noqa: SIM118 - of a cache
        backend.put(key, pickle.dumps(Bomb()))
    assert read(store) == {}
    assert FIRED == []


def test_another_key(open_store: Callable[..., BackendStore], tmp_path: Path, reports: list[Any]) -> None:
    """Results of another key do not serve, are told once, and stay."""
    open_store().save("small", 1)
    other = open_store(key_file=tmp_path / "other")
    assert read(other) == read(other) == {}
    assert [kind for kind, *_ in reports] == ["foreign"]
    assert read(open_store()) == {"small": 1}


class Broken(MemoryCache):
    """A backend whose server is away."""

    def get(self, key: str) -> bytes | None:
        raise ConnectionError("away")

    def put(self, key: str, value: bytes) -> None:
        raise ConnectionError("away")

    def keys(self) -> list[str]:
        raise ConnectionError("away")

    def lock(self, key: str, timeout: float) -> Any:
        raise ConnectionError("away")


def test_a_server_that_is_away_is_told_once(open_store: Callable[..., BackendStore], reports: list[Any]) -> None:
    """Whatever is asked of a store whose backend fails, nothing is raised, and it is told once."""
    store = open_store(backend=Broken())
    assert store.save("k", 1) is None
    assert store.find(["k"]) == {}
    store.save_recipes({"r": "k"})
    assert (store.find_recipes(["r"]), store.ls(), store.size(), store.check(), store.clear()) == ({}, [], 0, [], 0)
    assert store.get_text(store.put_text("x")) is None
    assert store.claim("k", 0) is not None
    assert store.gc(max_bytes=0).entries == 0
    assert [kind for kind, *_ in reports] == ["off"]
    assert "ConnectionError: away" in reports[0][2]


def test_what_cannot_be_stored(open_store: Callable[..., BackendStore], reports: list[Any]) -> None:
    """A value that cannot be pickled is told; those beside it are stored."""
    saved = open_store().save_many([Draft("a", threading.Lock()), Draft("b", 1)])
    assert [entry is None for entry in saved] == [True, False]
    assert [kind for kind, *_ in reports] == ["unsaved"]


def test_claims(open_store: Callable[..., BackendStore], tmp_path: Path) -> None:
    """One claim at a time, where the backend can lock."""
    store = open_store(backend=FolderCache(tmp_path / "cache"))
    held = store.claim("k", 0)
    assert held is not None
    assert store.claim("k", 0.01) is None
    held.release()
    held.release()
    with store.claim("k", 0) as again:  # type: ignore[union-attr]
        assert again.key == "k"
