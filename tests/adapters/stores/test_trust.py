from __future__ import annotations

import os
import pickle
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from cascade.adapters.stores.local import LocalStore
from cascade.interfaces.records import Draft, StoreMiss

VALUES = {"small": [1, "two"], "tuple": (1, 2), "large": bytes(range(256)) * 40, "big": "é" * 20_000}
FIRED: list[str] = []


class Bomb:
    """A pickle that tells when it is read."""

    def __reduce__(self) -> Any:
        return FIRED.append, ("boom",)


@pytest.fixture
def filled(make: Callable[..., LocalStore]) -> LocalStore:
    """A store with some values and a recipe, closed, so that its files are whole."""
    store = make()
    store.save_many(Draft(key, value) for key, value in VALUES.items())
    store.save_recipes({"r": "small"})
    store.close()
    return store


@pytest.fixture
def database(filled: LocalStore) -> Iterator[sqlite3.Connection]:
    """The index, opened by somebody else."""
    connection = sqlite3.connect(filled.folder / "index.db", isolation_level=None)
    yield connection
    connection.close()


def read_all(store: LocalStore) -> dict[str, Any]:
    """What the store gives for each key; nothing for a miss."""
    found = store.find(list(VALUES))
    values = {key: store.load(entry) for key, entry in found.items()}
    return {key: value for key, value in values.items() if not isinstance(value, StoreMiss)}


def expect_only_right_values(store: LocalStore, reports: list[Any]) -> set[str]:
    """Read everything: right values or none, a report for each that is lost; then it is stored again and there."""
    found = read_all(store)
    assert all(type(value) is type(VALUES[key]) and value == VALUES[key] for key, value in found.items())
    lost = set(VALUES) - set(found)
    told = len(reports)
    assert told or not lost
    assert read_all(store) == found  # each fault is told once
    assert len(reports) == told
    assert all(entry is not None for entry in store.save_many(Draft(key, VALUES[key]) for key in lost))
    assert read_all(store) == VALUES
    assert store.check() == []
    return lost


def blob_of(store: LocalStore, key: str) -> Path:
    """The file of a large value."""
    return store._blobs.path(store.find([key])[key].content)


def spoil(data: bytes, how: str) -> bytes:
    """Bytes that are damaged in one way."""
    middle = len(data) // 2
    return {
        "cut": data[:middle], "emptied": b"", "longer": data + b"\0", "zeros": bytes(len(data)),
        "flipped": data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :] if data else b"",
    }[how]  # fmt: skip


DAMAGES = ["cut", "emptied", "longer", "zeros", "flipped"]


# who may read everything cannot be kept from it
UNREADABLE = ["unreadable"] if hasattr(os, "geteuid") and os.geteuid() else []


@pytest.mark.parametrize("how", [*DAMAGES, "removed", "folder", "link", *UNREADABLE])
def test_damaged_files(make: Callable[..., LocalStore], filled: LocalStore, reports: list[Any], how: str) -> None:
    """A file that is damaged, gone, or something else, is one miss and one report, and is written anew."""
    path = blob_of(filled, "large")
    data = path.read_bytes()
    path.unlink()
    if how == "folder":
        path.mkdir()
        (path / "x").touch()
    elif how == "link":
        path.symlink_to("/dev/zero")
    elif how == "unreadable":
        path.write_bytes(data)
        path.chmod(0)
    elif how != "removed":
        path.write_bytes(spoil(data, how))
    assert expect_only_right_values(make(), reports) == {"large"}
    assert [(kind, key) for kind, key, _ in reports] == [("miss", "large")]


def test_swapped_files(make: Callable[..., LocalStore], filled: LocalStore, reports: list[Any]) -> None:
    """Two files in each other's place are two misses."""
    one, other = blob_of(filled, "large"), blob_of(filled, "big")
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)
    assert expect_only_right_values(make(), reports) == {"large", "big"}


@pytest.mark.slow
def test_every_bit_counts(make: Callable[..., LocalStore], filled: LocalStore, reports: list[Any]) -> None:
    """One bit flipped anywhere in a file, or the file cut anywhere, is seen."""
    path = blob_of(filled, "large")
    data, draw, store = path.read_bytes(), random.Random(1), make()
    spoilt = [data[:length] for length in range(0, len(data), 64)]
    for _ in range(200):
        place = draw.randrange(len(data))
        spoilt.append(data[:place] + bytes([data[place] ^ (1 << draw.randrange(8))]) + data[place + 1 :])
    for bad in spoilt:
        path.write_bytes(bad)
        assert isinstance(store.load(store.find(["large"])["large"]), StoreMiss)
        store.save("large", VALUES["large"])
    assert len(reports) == len(spoilt)
    assert read_all(store) == VALUES


COLUMNS = ["key", "sealed", "content", "data"]


@pytest.mark.parametrize("how", [*DAMAGES, "number", "text"])
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("key", ["small", "large"])
def test_damaged_rows(
    make: Callable[..., LocalStore], database: sqlite3.Connection, reports: list[Any], key: str, column: str, how: str
) -> None:
    """Damage to any column of a row gives no wrong value and no error: a miss, or nothing where it does not count."""
    (value,) = database.execute(f"SELECT {column} FROM entries WHERE key = ?", (key,)).fetchone()
    raw = value.encode() if isinstance(value, str) else value or b""
    bad: Any = {"number": 5, "text": "odd"}.get(how) or spoil(raw, how)
    if isinstance(value, str) and isinstance(bad, bytes):
        database.execute(f"UPDATE entries SET {column} = CAST(? AS TEXT) WHERE key = ?", (bad, key))  # not always UTF-8
    else:
        database.execute(f"UPDATE entries SET {column} = ? WHERE key = ?", (bad, key))
    store = make()
    found = read_all(store)
    assert all(found[each] == VALUES[each] for each in found)
    assert set(VALUES) - set(found) <= {key}
    for each, right in VALUES.items():
        store.save(each, right)
    assert read_all(store) == VALUES


def test_swapped_rows(make: Callable[..., LocalStore], database: sqlite3.Connection, reports: list[Any]) -> None:
    """A truly signed entry under another key does not serve: neither its value nor its digest."""
    rows = dict(database.execute("SELECT key, sealed FROM entries").fetchall())
    database.execute("UPDATE entries SET sealed = ? WHERE key = 'small'", (rows["tuple"],))
    database.execute("UPDATE entries SET sealed = ? WHERE key = 'tuple'", (rows["small"],))
    assert expect_only_right_values(make(), reports) == {"small", "tuple"}
    assert all("signature does not fit" in problem for _, _, problem in reports)


def test_swapped_data(make: Callable[..., LocalStore], database: sqlite3.Connection, reports: list[Any]) -> None:
    """The bytes of one small value in the row of another do not serve."""
    database.execute("UPDATE entries SET data = (SELECT data FROM entries WHERE key = 'tuple') WHERE key = 'small'")
    assert expect_only_right_values(make(), reports) == {"small"}


def test_replayed_entries(make: Callable[..., LocalStore], filled: LocalStore, reports: list[Any]) -> None:
    """A row copied whole under a new key does not serve there, and neither does a recipe."""
    with closing(sqlite3.connect(filled.folder / "index.db")) as database, database:
        columns = "sealed, signer, content, size, task, made_at, used_at, data"
        database.execute(f"INSERT INTO entries SELECT 'new', {columns} FROM entries WHERE key = 'small'")
        database.execute("INSERT INTO recipes SELECT 'new', sealed, signer, key FROM recipes WHERE recipe = 'r'")
        database.execute(
            "UPDATE recipes SET sealed = substr(sealed, 1, 16) || CAST('large' AS BLOB) WHERE recipe = 'r'"
        )
    database.close()
    store = make()
    assert store.find(["new"]) == {}
    assert store.find_recipes(["new", "r"]) == {}
    assert [key for _, key, _ in reports] == ["new", "new", "r"]
    assert store.check() == []
    assert read_all(store) == VALUES


def forge(store: LocalStore, *, mark: str | None = None) -> None:
    """Put a pickle that does harm where a stranger with write access could."""
    data = pickle.dumps(Bomb()) + bytes(9000)
    content = blake2b(data, digest_size=20).hexdigest()
    path = store._blobs.path(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    fields = "\x1f".join(["v:1", "pickle", str(len(data)), "x", "", "", "1.0", "1.0", "", "", content, ""]).encode()
    with closing(sqlite3.connect(store.folder / "index.db")) as database, database:
        if mark is None:
            (mark,) = database.execute("SELECT signer FROM entries").fetchone()
        change = "UPDATE entries SET sealed = ?, signer = ?, content = ?, data = NULL"
        database.execute(change, (bytes(16) + fields, mark, content))
    database.close()


@pytest.mark.parametrize("mark", [None, "00000000", "not a mark"])
def test_foreign_pickles_are_never_read(
    make: Callable[..., LocalStore], filled: LocalStore, reports: list[Any], mark: str | None
) -> None:
    """A stranger's pickle is a miss, whoever it says it is from, and is not read, not even by check and gc."""
    forge(filled, mark=mark)
    store = make()
    problems = store.check()
    assert len(problems) == len(VALUES)
    assert read_all(store) == {}
    assert reports
    store.save_many(Draft(key, value) for key, value in VALUES.items())
    assert read_all(store) == VALUES
    store.gc(max_bytes=0)
    assert FIRED == []


def test_names_in_rows_lead_nowhere_else(make: Callable[..., LocalStore], filled: LocalStore, tmp_path: Path) -> None:
    """A row that names a file outside of the folder cannot make a clean-up remove it."""
    precious = tmp_path / "precious"
    precious.write_text("mine")
    with closing(sqlite3.connect(filled.folder / "index.db")) as database, database:
        database.execute("UPDATE entries SET size = 99999, content = 'aa/../../../precious'")
    database.close()
    store = make()
    assert store.gc(max_bytes=0).entries == len(VALUES)
    store.clear()
    assert precious.read_text() == "mine"


def test_another_users_key(
    make: Callable[..., LocalStore], filled: LocalStore, reports: list[Any], tmp_path: Path
) -> None:
    """Results of another key do not serve, are told once and left alone: they serve their owner still."""
    other = make(key_file=tmp_path / "other" / "key")
    assert read_all(other) == {}
    assert other.find_recipes(["r"]) == {}
    assert [kind for kind, *_ in reports] == ["foreign"]
    assert {problem.kind for problem in other.check()} == {"foreign"}
    other.save("small", "theirs")
    assert read_all(make()) == {key: VALUES[key] for key in VALUES if key != "small"}


# -- the index file ---------------------------------------------------------------------------------------------------


def index_files(folder: Path) -> list[str]:
    """The names of index files that were moved aside."""
    return sorted(
        path.name for path in folder.glob("index.db.torn-*") if "-wal" not in path.name and "-shm" not in path.name
    )


@pytest.mark.parametrize(
    "content", [b"not SQLite at all, but long enough to be looked at" * 50, b"SQLite format 3\0" + bytes(5000)]
)
def test_foreign_index_is_moved_aside(
    make: Callable[..., LocalStore], reports: list[Any], tmp_path: Path, content: bytes
) -> None:
    """A file that is no index of ours gets another name, whole, with a report; a new index is begun."""
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "index.db").write_bytes(content)
    store = make()
    assert store.find(["k"]) == {}
    store.save("k", 1)
    assert list(store.find(["k"])) == ["k"]
    (aside,) = index_files(folder)
    assert (folder / aside).read_bytes() == content
    assert [kind for kind, *_ in reports] == ["index"]


def test_another_programs_index_is_moved_aside(
    make: Callable[..., LocalStore], reports: list[Any], tmp_path: Path
) -> None:
    """An SQLite file of another program gets another name and keeps its rows."""
    folder = tmp_path / "store"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "index.db")) as database, database:
        database.execute("CREATE TABLE theirs (x)")
    database.close()
    assert make().save("k", 1) is not None
    (aside,) = index_files(folder)
    with closing(sqlite3.connect(folder / aside)) as database, database:
        assert database.execute("SELECT count(*) FROM theirs").fetchone() == (0,)
    database.close()
    assert len(reports) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_torn_index(make: Callable[..., LocalStore], filled: LocalStore, reports: list[Any], seed: int) -> None:
    """An index that is cut or damaged anywhere gives right values or none, never an error, and works on."""
    draw, path = random.Random(seed), filled.folder / "index.db"
    data = bytearray(path.read_bytes())
    if seed % 2:
        del data[draw.randrange(len(data)) :]
    else:
        for _ in range(draw.choice([1, 20, 400])):
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    path.write_bytes(data)
    store = make()
    found = read_all(store)
    assert all(found[key] == VALUES[key] for key in found)
    store.runs(), store.durations(), store.nodes("r"), store.check()
    for _ in range(2):  # damage may be met by the first write only
        store.begin_run("r", {})
        store.save_many(Draft(key, value) for key, value in VALUES.items())
    if store.off is None:
        found = read_all(store)
        assert all(found[key] == VALUES[key] for key in found)


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
@pytest.mark.parametrize("size", [0, 40, 5000])
def test_torn_journal(
    make: Callable[..., LocalStore], reports: list[Any], tmp_path: Path, suffix: str, size: int
) -> None:
    """After a crash, a journal that was cut costs results at most."""
    store = make()
    store.save_many(Draft(key, value) for key, value in VALUES.items())
    copy = tmp_path / "copy"
    shutil.copytree(store.folder, copy)  # as after a kill: the journal is not part of the file yet
    with (copy / f"index.db{suffix}").open("r+b") as file:
        file.truncate(size)
    again = LocalStore(copy, key_file=store.key_file, on_report=lambda *report: reports.append(report))
    found = read_all(again)
    assert all(found[key] == VALUES[key] for key in found)
    again.save_many(Draft(key, value) for key, value in VALUES.items())
    assert read_all(again) == VALUES
    assert again.check() == []
    again.close()


def test_newer_index_is_left_alone(make: Callable[..., LocalStore], filled: LocalStore, reports: list[Any]) -> None:
    """An index of a newer cascade is neither written nor moved; the store is off, and says to install it."""
    path = filled.folder / "index.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA user_version = 2000")
    database.close()
    before = path.read_bytes()
    store = make()
    assert store.find(["small"]) == {}
    assert store.save("k", 1) is None
    assert path.read_bytes() == before
    ((kind, _, problem),) = reports
    assert kind == "off"
    assert "has the form 2.0, and this cascade knows 1.3. Install a newer cascade" in problem


def test_older_index_is_brought_up_to_date(
    make: Callable[..., LocalStore], filled: LocalStore, reports: list[Any]
) -> None:
    """An index of an older minor form gets what it lacks and keeps its results."""
    path = filled.folder / "index.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DROP INDEX nodes_by_node")
        database.execute("DROP INDEX nodes_by_task")
        database.execute("DROP TABLE run_numbers")
        database.execute("ALTER TABLE nodes DROP COLUMN items")
        database.execute("PRAGMA user_version = 1000")
    database.close()
    assert read_all(make()) == VALUES
    with closing(sqlite3.connect(path)) as database, database:
        names = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        assert {"nodes_by_node", "nodes_by_task"} <= names
        assert database.execute("PRAGMA user_version").fetchone() == (1003,)
    database.close()
    assert reports == []


@pytest.mark.slow
def test_forged_texts_are_not_returned(make: Callable[..., LocalStore]) -> None:
    """A text that is not the one its digest names is not there; one that unpacks without end neither."""
    import zlib

    store = make()
    digest = store.put_text("printed")
    for text in (b"rother", b"z" + zlib.compress(bytes(200_000_000)), b"zrubbish", "text", 5, b""):
        with closing(sqlite3.connect(store.folder / "index.db")) as database, database:
            database.execute("UPDATE texts SET text = ?", (text,))
        database.close()
        assert store.get_text(digest) is None
        assert [problem.key for problem in store.check()] == [digest]
