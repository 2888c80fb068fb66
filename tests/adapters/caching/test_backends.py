from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cascade.adapters.caching.folder import FolderCache
from cascade.adapters.caching.local import LocalCache
from cascade.adapters.caching.memory import MemoryCache
from cascade.interfaces.protocols import CacheBackend
from cascade.interfaces.store_errors import StoreError
from cascade.testing.conformance import CACHE_BACKEND_CASES, Case

Factory = Callable[[], CacheBackend]


@pytest.fixture(params=["memory", "folder", "url of a folder", "fsspec memory", "fsspec files", "local", "redis"])
def factory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Factory]:
    """Makes backends of each kind; all that one factory makes share what is stored, but those in memory."""
    if request.param == "memory":
        yield MemoryCache
    elif request.param == "folder":
        yield lambda: FolderCache(tmp_path / "cache")
    elif request.param == "local":
        yield lambda: LocalCache(tmp_path / "cache", key_file=tmp_path / "key")
    elif request.param == "redis":
        from cascade.adapters.caching.redis import RedisCache

        url, prefix = request.getfixturevalue("redis_url"), f"test-{secrets.token_hex(4)}[*]:"
        yield lambda: RedisCache(url, prefix)
    else:
        pytest.importorskip("fsspec", reason="fsspec is not installed")
        url = {
            "url of a folder": f"file://{tmp_path}/cache", "fsspec files": f"dir::file://{tmp_path}/cache",
            "fsspec memory": f"memory://cache-{secrets.token_hex(4)}",
        }[request.param]  # fmt: skip
        yield lambda: FolderCache(url)


@pytest.fixture
def backend(factory: Factory) -> Iterator[Any]:
    """One backend."""
    made = factory()
    yield made
    getattr(made, "close", lambda: None)()


@pytest.mark.slow
@pytest.mark.parametrize("case", CACHE_BACKEND_CASES, ids=str)
def test_promises_of_the_protocol(case: Case, factory: Factory) -> None:
    """Every backend keeps every promise."""
    case(factory)


def test_many_at_once(backend: Any) -> None:
    """Many values are put and read at once; those that are not there are left out."""
    items = {f"k{n}": str(n).encode() for n in range(60)}
    backend.put_many(items)
    assert dict(backend.get_many([*items, "other"])) == items
    assert sorted(backend.keys()) == sorted(items)
    assert backend.get_many([]) == {}


def test_keys_and_size(backend: Any) -> None:
    """Keys come back as the text that they are, also long ones; the size grows and shrinks with the values."""
    assert (list(backend.keys()), backend.size()) == ([], 0)
    keys = ["a/b", "é", "x" * 6000, "", "line\n"]
    for number, key in enumerate(keys):
        backend.put(key, secrets.token_bytes(1000 + number))
    assert sorted(backend.keys()) == sorted(keys)
    assert 5010 <= backend.size() <= 20_000
    backend.clear()
    assert (list(backend.keys()), backend.size()) == ([], 0)


def test_locks(backend: Any, request: pytest.FixtureRequest) -> None:
    """One holder of a key at a time where the backend can; the next one gets it afterwards."""
    if "url" in request.node.callspec.id or "fsspec" in request.node.callspec.id:
        with backend.lock("k", 0) as held:
            assert held
        return
    with backend.lock("k", 0) as held, backend.lock("other", 0) as free:
        assert held
        assert free
        with backend.lock("k", 0.01) as second:
            assert not second
    with backend.lock("k", 0) as held:
        assert held


def test_it_says_what_it_is(backend: Any) -> None:
    """The repr names the kind of cache."""
    assert "cache" in repr(backend)


# -- memory -----------------------------------------------------------------------------------------------------------


def test_memory_keeps_its_limit() -> None:
    """What was used longest ago goes first; what is larger than the limit is not kept, and drives nothing out."""
    cache = MemoryCache(max_bytes=100)
    for name in "abc":
        cache.put(name, bytes(40))
        cache.get("a")
    assert sorted(cache.keys()) == ["a", "c"]
    cache.put("a", bytes(10))
    assert cache.size() == 50
    cache.put("huge", bytes(101))
    assert cache.get("huge") is None
    assert cache.size() == 50
    with pytest.raises(StoreError, match="max_bytes is -1"):
        MemoryCache(-1)


def test_memory_lock_in_threads() -> None:
    """Of several threads one at a time holds a key, and nothing is left of it afterwards."""
    cache, inside, most = MemoryCache(), 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(50):
            with cache.lock("k", 10) as held:
                assert held
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert cache._held == {}


# -- folder -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spoil", [lambda d: d[:-1], lambda d: d[:10], lambda _: b"", lambda d: d[:-1] + b"x", lambda d: b"x" + d[1:]]
)
def test_a_damaged_file_is_not_there(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    """A file that is cut, empty or changed is no value, and can be put again."""
    cache = FolderCache(tmp_path)
    cache.put("k", b"0" * 100)
    (path,) = tmp_path.glob("*/*")
    path.write_bytes(spoil(path.read_bytes()))
    assert cache.get("k") is None
    list(cache.keys())
    cache.put("k", b"1")
    assert cache.get("k") == b"1"


def test_a_file_of_another_key_is_not_there(tmp_path: Path) -> None:
    """A whole file in the place of another key's is neither that key's value nor listed."""
    cache = FolderCache(tmp_path)
    cache.put("a", b"1")
    (one,) = tmp_path.glob("*/*")
    cache.put("b", b"2")
    other = next(path for path in tmp_path.glob("*/*") if path != one)
    other.write_bytes(one.read_bytes())
    assert cache.get("b") is None
    assert list(cache.keys()) == ["a"]


def test_a_folder_leaves_others_files_alone(tmp_path: Path) -> None:
    """Clearing removes what the cache made; half-written files go when they are an hour old."""
    cache = FolderCache(tmp_path)
    cache.put("k", b"1")
    (path,) = tmp_path.glob("*/*")
    fresh, old, theirs = path.with_name("1.tmp"), path.with_name("2.tmp"), tmp_path / "notes.txt"
    for each in (fresh, old, theirs):
        each.touch()
    os.utime(old, (time.time() - 4000,) * 2)
    cache.clear()
    assert sorted(each.name for each in tmp_path.rglob("*") if each.is_file()) == ["1.tmp", "notes.txt"]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Where a folder stands in the place of the file, the error comes out and no half file stays."""
    cache = FolderCache(tmp_path)
    cache.put("k", b"1")
    (path,) = tmp_path.glob("*/*")
    path.unlink()
    (path / "x").mkdir(parents=True)
    with pytest.raises(OSError, match=r"."):
        cache.put("k", b"2")
    assert not list(path.parent.glob("*.tmp"))
    assert cache.get("k") is None


def test_missing_libraries_are_named() -> None:
    """A URL that fsspec needs another library for says which extra to install."""
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    import fsspec

    fsspec.register_implementation(
        "casctest", "no_such_module.FileSystem", clobber=True, errtxt="install no_such_module"
    )
    with pytest.raises(StoreError, match=r"needs .*no_such_module.*cascade-notebook\[s3\]"):
        FolderCache("casctest://bucket/folder")


def test_passwords_in_urls_are_not_shown() -> None:
    """The repr of a folder cache has no user and password."""
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    assert "hush" not in repr(FolderCache("memory://user:hush@host/folder"))
