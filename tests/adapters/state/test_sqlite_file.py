from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from cascade.adapters.state.errors import StateError
from cascade.adapters.state.sqlite import SqliteStateBackend
from cascade.adapters.state.sqlite_file import APPLICATION, open_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


def test_a_new_file_has_our_form(path: Path) -> None:
    """A new file says whose it is, is in WAL mode, and is found again."""
    with closing(open_file(path, read_only=False)) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with closing(open_file(path, read_only=True)) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (0,)


def test_folders_are_made(tmp_path: Path) -> None:
    """The folders above a new file are made; one that cannot be is an error that names the file."""
    path = tmp_path / "a" / "b" / "runs 100%?#.db"
    with SqliteStateBackend(path, "r1") as state:
        state.put_result("node", 1)
    assert path.exists()
    with pytest.raises(StateError, match="its folder cannot be made"):
        SqliteStateBackend(path / "below.db", "r1")


def test_an_empty_file_becomes_ours(path: Path) -> None:
    """A file of no bytes, as `tempfile` makes them, is taken; for reading it is not enough."""
    path.touch()
    with pytest.raises(StateError, match="does not hold the state of runs: it is empty"):
        SqliteStateBackend(path, "r1", read_only=True)
    with SqliteStateBackend(path, "r1") as state:
        state.put_result("node", 1)
        assert state.get_result("node") == 1


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("content", [b"name,age\nann,4\n" * 100, b"\x00" * 5000, b"SQLite format 3\x00 and so on" * 50])
def test_a_file_of_something_else_is_left_alone(path: Path, content: bytes, read_only: bool) -> None:
    """A file that is not SQLite's is an error that says so, and not a byte of it changes."""
    path.write_bytes(content)
    with pytest.raises(StateError, match=r"runs.db (does not hold the state of runs|cannot be used)"):
        SqliteStateBackend(path, "r1", read_only=read_only)
    assert path.read_bytes() == content


@pytest.mark.parametrize("read_only", [False, True])
def test_a_database_of_another_program_is_left_alone(path: Path, read_only: bool) -> None:
    """An SQLite file of another program is an error, and not a byte of it changes, not even its journal mode."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE results (id)")
        other.commit()
    content = path.read_bytes()
    with pytest.raises(StateError, match=r"it is an SQLite file of another program\. It was left as it is"):
        SqliteStateBackend(path, "r1", read_only=read_only)
    assert path.read_bytes() == content


def test_a_newer_form_is_told(path: Path) -> None:
    """A file of a later cascade names both forms."""
    with closing(open_file(path, read_only=False)) as connection:
        connection.execute("PRAGMA user_version = 7")
    with pytest.raises(StateError, match=r"has the form 7, and this cascade reads forms up to 1\. Install a newer"):
        SqliteStateBackend(path, "r1")


def test_torn_files_never_crash(path: Path) -> None:
    """A file that was cut off or overwritten anywhere gives its values or a clear error, nothing else."""
    values = {f"node{n}": b"x" * 3000 for n in range(20)}
    with SqliteStateBackend(path, "r1") as state:
        for node, value in values.items():
            state.put_result(node, value)
    content = path.read_bytes()
    torn = [content[:size] for size in range(100, len(content), len(content) // 12)]
    torn += [content[:at] + b"\xa5" * 600 + content[at + 600 :] for at in range(0, len(content), len(content) // 12)]
    told: list[str] = []
    for broken in torn:
        path.write_bytes(broken)
        try:
            with SqliteStateBackend(path, "r1", read_only=True) as state:
                for node in state.results():
                    assert values.get(node) == state.get_result(node)
        except StateError as error:
            told.append(str(error))
    assert len(told) >= len(torn) // 2
    assert all("runs.db" in each or "node" in each for each in told)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """A folder in place of the file is an error in words."""
    with pytest.raises(StateError, match="unable to open database file"):
        SqliteStateBackend(tmp_path, "r1")


def test_a_writer_waits_for_the_writer_of_another(path: Path) -> None:
    """While another process writes, opening and reading go on, and writing waits its turn."""
    with SqliteStateBackend(path, "r1") as state:
        state.put_result("first", 1)
        state.flush()
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        state.put_result("second", 2)
        with SqliteStateBackend(path, "r1", read_only=True) as reader:
            assert reader.results() == ["first"]
        flushing = threading.Thread(target=state.flush)
        flushing.start()
        other.execute("COMMIT")
        flushing.join(10)
        other.close()
        assert state.results() == ["first", "second"]
