"""A `.cascade/` that a stranger has had in hands: runs execute nothing of it, give right values, and tell."""

from __future__ import annotations

import logging
import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.stores.blobs import digest_of
from cascade.adapters.stores.local import LocalStore
from cascade.adapters.stores.remote import BackendStore
from cascade.interfaces import events as ev

LARGE = 20_000  # bytes; values of this size have files of their own
RIGHT = ("end", 3 * LARGE + 6)


class Canary:
    """A pickle that makes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


class Place:
    """A store in a folder, the runs that use it, and what they ran."""

    def __init__(self, folder: Path) -> None:
        """Nothing has been stored."""
        self.folder, self.key, self.canary = folder / ".cascade", folder / "config" / "key", folder / "canary"
        self.ran: list[str] = []

    def target(self) -> Any:
        """Two large values, a small one, a map, and what is made of them."""
        log = self.ran

        @cs.task(pure=True, ignore=("log",))
        def large(x: int, log: list[str]) -> tuple[str, bytes]:
            log.append(f"large{x}")
            return f"large{x}", bytes([x]) * LARGE * x

        @cs.task(pure=True, ignore=("log",))
        def item(x: int, log: list[str]) -> tuple[str, int]:
            log.append(f"item{x}")
            return f"item{x}", x

        @cs.task(pure=True, ignore=("log",))
        def end(one: Any, two: Any, items: Any, log: list[str]) -> tuple[str, int]:
            log.append("end")
            return "end", len(one[1]) + len(two[1]) + sum(x for _, x in items)

        return end(large(1, log), large(2, log), item.map(x=[1, 2, 3], log=cs.unmapped(log)), log)

    def run(self, key: Path | None = None) -> tuple[Any, list[ev.StoreReported], list[str]]:
        """Run; return the value, what was told of the store, and what ran."""
        self.ran.clear()
        with LocalStore(self.folder, key_file=key or self.key) as store:
            run = cs.start(self.target(), cache=store, log_level=None)
            value = run.result(20)
        return value, [event for event in run.events if isinstance(event, ev.StoreReported)], sorted(self.ran)

    def blobs(self) -> list[Path]:
        """The files of large values, the smaller first."""
        found = [path for path in (self.folder / "objects").rglob("*") if path.is_file()]
        return sorted(found, key=lambda path: path.stat().st_size)

    def change(self, statement: str, *values: Any) -> None:
        """Write into the index."""
        with closing(sqlite3.connect(self.folder / "index.db")) as index, index:
            index.execute(statement, values)

    def forget_recipes(self) -> None:
        """Have the next run look at every node: a recipe would lead past what was changed."""
        self.change("DELETE FROM recipes")
        self.change("DELETE FROM entries WHERE task = 'end'")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A store that holds a run; afterwards nobody has made the canary."""
    made = Place(tmp_path)
    value, told, _ = made.run()
    assert (value, told) == (RIGHT, [])
    yield made
    assert not made.canary.exists()


def expect_recovery(place: Place, *, ran: int, kinds: set[str]) -> None:
    """The next run is right, computes `ran` bodies and tells `kinds`; the one after that finds everything again."""
    value, told, bodies = place.run()
    assert value == RIGHT
    assert {event.kind for event in told} == kinds, told
    assert len(bodies) == ran, bodies
    value, told, bodies = place.run()
    assert (value, told, bodies) == (RIGHT, [], [])
    with LocalStore(place.folder, key_file=place.key) as store:
        assert store.check() == []


def test_foreign_pickles_in_files(place: Place) -> None:
    """A pickle in the place of a value is not read, also where its name is the digest of its bytes."""
    bad = pickle.dumps(Canary(place.canary)) + bytes(LARGE)
    for path in place.blobs():
        path.write_bytes(bad)
    content = digest_of([bad])
    path = place.folder / "objects" / content[:2] / content[2:]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bad)
    place.forget_recipes()
    place.change("UPDATE entries SET content = ? WHERE key = (SELECT key FROM entries WHERE task = 'item')", content)
    expect_recovery(place, ran=3, kinds={"miss"})


def test_foreign_pickles_in_rows(place: Place) -> None:
    """A pickle in the place of a small value, under any codec and signature that a stranger can write, is not read."""
    bad = pickle.dumps(Canary(place.canary))
    fields = ["v:1", "pickle", str(len(bad)), "x", "", "", "1.0", "1.0", "", "item", digest_of([bad]), ""]
    sealed = bytes(16) + "\x1f".join(fields).encode()
    place.forget_recipes()
    place.change("UPDATE entries SET data = ?, sealed = ?, content = ?", bad, sealed, digest_of([bad]))
    expect_recovery(place, ran=6, kinds={"miss"})


def test_another_users_entries(place: Place) -> None:
    """Entries that somebody signed with a key of his own, pickles among them, do not serve; they are told once."""
    with LocalStore(place.folder, key_file=place.canary.with_name("their key")) as theirs:
        keys = [row[0] for row in theirs._index.rows("SELECT key FROM entries")]
        place.change("DELETE FROM entries")
        for key in keys:
            assert theirs.save(key, ("end", -1)) is not None
    place.change("DELETE FROM recipes")
    expect_recovery(place, ran=6, kinds={"foreign"})


def test_swapped_and_replayed_files(place: Place) -> None:
    """Values in each other's place, and an old value in the place of a new one, are misses."""
    one, two = place.blobs()
    data = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(data)
    place.forget_recipes()
    expect_recovery(place, ran=3, kinds={"miss"})


def test_swapped_and_replayed_rows(place: Place) -> None:
    """A row that is truly signed serves under its own key alone."""
    place.forget_recipes()
    with closing(sqlite3.connect(place.folder / "index.db")) as index, index:
        rows = index.execute("SELECT key, sealed, content, data FROM entries WHERE task = 'item'").fetchall()
        (one, *first), (two, *second), (three, *_) = rows
        for key, columns in ((one, second), (two, first), (three, first)):
            index.execute("UPDATE entries SET sealed = ?, content = ?, data = ? WHERE key = ?", (*columns, key))
    expect_recovery(place, ran=4, kinds={"miss"})


def test_a_replayed_recipe(place: Place) -> None:
    """A recipe that leads to the result of another call is not followed."""
    other = "CAST((SELECT key FROM entries WHERE task = 'item') AS BLOB)"
    place.change(f"UPDATE recipes SET sealed = substr(sealed, 1, 16) || {other}")
    value, told, ran = place.run()
    assert (value, ran) == (RIGHT, [])
    assert {event.kind for event in told} == {"miss"}


@pytest.mark.skipif(os.name != "posix", reason="only on systems with file modes")
def test_a_key_that_others_can_read(place: Place) -> None:
    """A key that others may know proves nothing: the store is off, and says what to do, until the key is private."""
    place.key.chmod(0o644)
    value, told, ran = place.run()
    assert (value, len(ran)) == (RIGHT, 6)
    assert [event.kind for event in told] == ["key"]
    assert "chmod" in told[0].problem or "0600" in told[0].problem or "600" in told[0].problem
    place.key.chmod(0o600)
    assert place.run() == (RIGHT, [], [])


def test_another_key(place: Place) -> None:
    """With another key nothing serves, and with the first one everything does again."""
    other = place.key.with_name("other")
    value, told, ran = place.run(other)
    assert (value, [event.kind for event in told], len(ran)) == (RIGHT, ["foreign"], 6)


DATABASES = {
    "text": b"this is no database, but long enough to be looked at" * 100,
    "header": b"SQLite format 3\0" + bytes(5000),
    "empty": b"",
    "pickle": pickle.dumps(Canary(Path("canary"))) * 100,
}


@pytest.mark.parametrize("content", DATABASES.values(), ids=DATABASES)
def test_a_database_that_is_none(place: Place, content: bytes) -> None:
    """Garbage in the place of the index is moved aside, whole, and a new index is begun."""
    for name in ("index.db-wal", "index.db-shm"):
        (place.folder / name).unlink(missing_ok=True)
    (place.folder / "index.db").write_bytes(content)
    expect_recovery(place, ran=6, kinds={"index"} if content else set())


@pytest.mark.parametrize("name", ["index.db", "objects", "tmp", "locks", ".gitignore"])
def test_a_folder_or_a_file_where_the_other_should_be(place: Place, name: str) -> None:
    """Whatever stands in the way, the value is right, and the run does not fail."""
    place.forget_recipes()
    path = place.folder / name
    if path.is_dir():
        shutil.rmtree(path)
        path.write_text("in the way")
    else:
        path.unlink(missing_ok=True)
        for beside in ("index.db-wal", "index.db-shm"):
            (place.folder / beside).unlink(missing_ok=True)
        path.mkdir()
        (path / "content").touch()
    value, told, _ = place.run()
    assert value == RIGHT
    if name in {"index.db", "objects"}:
        assert told


@pytest.mark.skipif(os.name != "posix", reason="only on systems with links")
@pytest.mark.parametrize("what", ["values", "objects", "index"])
def test_links_out_of_the_folder(place: Place, tmp_path: Path, what: str) -> None:
    """Links to the outside neither give a wrong value nor have anything outside changed or removed."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_bytes(b"mine" * 10_000)
    if what == "values":
        for path in place.blobs():
            path.unlink()
            path.symlink_to(precious / "file")
    elif what == "objects":
        shutil.rmtree(place.folder / "objects")
        (place.folder / "objects").symlink_to(precious)
    else:
        for beside in ("index.db-wal", "index.db-shm"):
            (place.folder / beside).unlink(missing_ok=True)
        (place.folder / "index.db").unlink()
        (place.folder / "index.db").symlink_to(precious / "file")
    for _ in range(2):
        assert place.run()[0] == RIGHT
    with LocalStore(place.folder, key_file=place.key) as store:
        store.gc(max_bytes=0)
        store.clear()
    assert (precious / "file").read_bytes() == b"mine" * 10_000


def test_a_folder_that_is_gone_while_the_run_goes_on(place: Place) -> None:
    """Somebody removes `.cascade/` in the middle: the run goes on, and the next one stores again."""

    @cs.task
    def remove(x: int) -> int:
        shutil.rmtree(place.folder)
        return x

    @cs.task(pure=True)
    def after(x: int) -> bytes:
        return bytes([x]) * LARGE

    with LocalStore(place.folder, key_file=place.key) as store:
        value = cs.run(after(remove(1)), cache=store, log_level=None)
    assert value == bytes([1]) * LARGE
    assert place.run()[0] == RIGHT
    assert place.run() == (RIGHT, [], [])
    with LocalStore(place.folder, key_file=place.key) as store:
        assert store.check() == []


def test_a_backend_full_of_foreign_pickles(tmp_path: Path) -> None:
    """The same of a cache backend, which everybody may write: nothing is executed, and what was told is told once."""

    class Shelf(dict):
        put = dict.__setitem__
        delete = dict.pop

        def get_many(self, keys: Any) -> dict[str, bytes]:
            return {key: self[key] for key in keys if key in self}

        def put_many(self, items: Any) -> None:
            self.update(items)

    canary, shelf = tmp_path / "canary", Shelf()

    @cs.task(pure=True)
    def make(x: int) -> tuple[str, int]:
        return "made", x

    target = [make(1), make(2)]
    for spoil in (lambda data: pickle.dumps(Canary(canary)), lambda data: data[:8] + pickle.dumps(Canary(canary))):
        assert cs.run(target, cache=BackendStore(shelf, key_file=tmp_path / "key"), log_level=None)
        for name in list(shelf):
            shelf[name] = spoil(shelf[name])
        run = cs.start(target, cache=BackendStore(shelf, key_file=tmp_path / "key"), log_level=None)
        assert run.result(5) == [("made", 1), ("made", 2)]
        assert {event.kind for event in run.events if isinstance(event, ev.StoreReported)} <= {"miss", "foreign"}
        assert any(isinstance(event, ev.StoreReported) for event in run.events)
    assert not canary.exists()


SCRIPT = """
import sys, cascade as cs
@cs.task(pure=True)
def one(): return ("one", 1)
print(cs.run(one(), cache=sys.argv[1]))
"""


@pytest.mark.slow
def test_a_script_says_what_it_met(tmp_path: Path) -> None:
    """A plain `cs.run` tells a fault of its store on the console, in one line, and gives its value."""
    folder = tmp_path / ".cascade"
    folder.mkdir()
    (folder / "index.db").write_bytes(b"garbage" * 1000)
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[3])}
    command: Callable[..., Any] = subprocess.run
    answer = command(
        [sys.executable, "-c", SCRIPT, folder], capture_output=True, text=True, env=environment, check=True
    )
    assert answer.stdout.strip() == "('one', 1)"
    told = [line for line in answer.stderr.splitlines() if "store:" in line]
    assert len(told) == 1, answer.stderr
    assert "moved to index.db.torn-" in told[0]
    assert logging.getLogger("cascade").level <= logging.WARNING
