from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cascade.adapters.stores import index as index_module
from cascade.adapters.stores import index_file, upkeep
from cascade.adapters.stores.file_ops import FileOps
from cascade.adapters.stores.index import Index
from cascade.adapters.stores.local import LocalStore
from cascade.interfaces.store_errors import StoreFault
from cascade.tools.storage import storage


@pytest.fixture
def index(tmp_path: Path) -> Any:
    """An index in a folder of its own."""
    made = Index(tmp_path / "index.db", FileOps(), lambda: None, lambda _: None)
    yield made
    made.close()


def put(index: Index, digest: str) -> None:
    """Write one row."""
    index.change(lambda execute, _: execute("INSERT INTO texts VALUES (?, ?)", [(digest, b"")]))


def test_readers_and_a_writer_side_by_side(index: Index) -> None:
    """Where the disk can, readers need not wait for a writer."""
    put(index, "a")
    assert index.rows("PRAGMA journal_mode") == [("wal",)]
    with closing(sqlite3.connect(index.path, isolation_level=None)) as other, other:
        other.execute("BEGIN IMMEDIATE")
        assert index.rows("SELECT digest FROM texts") == [("a",)]
        other.execute("ROLLBACK")
    other.close()


def test_disks_without_shared_memory(tmp_path: Path) -> None:
    """Where SQLite cannot have its write-ahead log, it works with a journal that is deleted."""
    path = tmp_path / "index.db"
    connection = sqlite3.connect(f"{path.as_uri()}?vfs=unix-dotfile", uri=True, isolation_level=None)
    index_file._prepare(connection, path, FileOps())
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.execute("INSERT INTO texts VALUES ('a', x'00')")
    connection.close()


def test_a_change_is_whole_or_nothing(index: Index) -> None:
    """What is raised in a change comes out, and nothing of the change stays."""

    def work(execute: Any, _: Any) -> None:
        execute("INSERT INTO texts VALUES (?, ?)", [("a", b"")])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        index.change(work)
    put(index, "b")
    assert index.rows("SELECT digest FROM texts") == [("b",)]


@pytest.mark.slow
def test_waits_for_another_writer(index: Index) -> None:
    """A change waits for the transaction of another and is then made."""
    put(index, "a")
    other = sqlite3.connect(index.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.3, lambda: other.execute("COMMIT"))
    timer.start()
    put(index, "b")
    timer.join()
    other.close()
    assert len(index.rows("SELECT digest FROM texts")) == 2


def test_a_place_that_cannot_be(tmp_path: Path) -> None:
    """Where no file can be made, the fault names the place and says what to look at."""
    index = Index(tmp_path / "none" / "index.db", FileOps(), lambda: None, lambda _: None)
    with pytest.raises(StoreFault, match=r"index\.db cannot be used: .* Look at the disk's space"):
        put(index, "a")


def test_a_folder_that_is_removed_meanwhile(store: LocalStore, reports: list[Any]) -> None:
    """Who deletes the folder loses what was in it, and nothing else: the store begins anew."""
    store.save("a", 1)
    shutil.rmtree(store.folder)
    assert store.save("b", bytes(10_000)) is not None
    assert list(store.find(["a", "b"])) == ["b"]
    assert (store.folder / ".gitignore").exists()
    assert store.check() == []
    assert reports == []


@pytest.mark.slow
def test_many_begin_at_once(make: Callable[..., LocalStore], reports: list[Any]) -> None:
    """Eight stores that make the same folder and key at the same moment all work."""
    for _ in range(5):
        stores = [make() for _ in range(8)]
        barrier = threading.Barrier(8)

        def work(number: int, store: LocalStore, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            store.save(str(number), number)

        threads = [threading.Thread(target=work, args=each) for each in enumerate(stores)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(stores[0].find([str(n) for n in range(8)])) == 8
        for store in stores:
            store.close()
        shutil.rmtree(stores[0].folder)
        shutil.rmtree(stores[0].key_file.parent)
    assert reports == []


def test_only_large_values_are_looked_up_by_content(tmp_path: Path) -> None:
    """What a clean-up asks for each file is answered by an index in which small values have no place."""
    with LocalStore(tmp_path / "store", key_file=tmp_path / "key") as store:
        store.save("small", 1)
        store.save("large", bytes(20_000))
        with closing(sqlite3.connect(store.folder / "index.db")) as database, database:
            asked = upkeep._IS_NAMED  # what is asked decides whether the index serves
            plan = database.execute(f"EXPLAIN QUERY PLAN {asked}", ("x",)).fetchall()
            assert "USING INDEX entries_by_file" in str(plan)
            names = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
            assert names.isdisjoint({"entries_by_content", "entries_by_use"})
        database.close()
        assert store.clear() == 2
        assert not [file for file in (store.folder / "objects").rglob("*") if file.is_file()]


def test_an_index_that_another_program_holds(
    make: Callable[..., LocalStore], reports: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who finds the index locked is told so, not to look at the disk's space; what is stored still serves."""
    for module in (index_module, index_file):
        monkeypatch.setattr(module, "PATIENCE", 0.05)
    make().save("a", 1)
    store = make()
    other = sqlite3.connect(store.folder / "index.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert store.save("b", 2) is None
    assert store.load(store.find(["a"])["a"]) == 1
    assert "another program held index.db" in storage("gc", cache=store)
    assert "Close that program" in reports[-1][2]
    other.execute("ROLLBACK")
    other.close()


@pytest.mark.parametrize("what", ["a link that leads nowhere", "no folder"])
def test_something_else_stands_where_the_folder_should_be(
    make: Callable[..., LocalStore], tmp_path: Path, reports: list[Any], what: str
) -> None:
    """A file or a dead link at the place of the folder is left alone, and whoever asks the store is told."""
    place = tmp_path / "store"
    if what == "no folder":
        place.write_text("mine")
    else:
        place.symlink_to(tmp_path / "nowhere")
    for action in ("ls", "size", "check", "gc", "clear"):
        assert f"it is {what}. Move it away" in storage(action, cache=make()), action
    assert make().save("k", 1) is None
    assert f"it is {what}. Move it away" in reports[-1][2]
    assert place.is_symlink() or place.read_text() == "mine"
