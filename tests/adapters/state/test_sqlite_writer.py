from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from cascade.adapters.state import batches, sqlite_writer
from cascade.adapters.state.errors import StateError
from cascade.adapters.state.sqlite_file import open_file
from cascade.adapters.state.sqlite_writer import SqliteWriter

PUT = "INSERT INTO runs VALUES (?, ?)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "runs.db"
    open_file(path, read_only=False).close()
    return path


def rows(path: Path) -> list[tuple[str, float]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT run_id, begun_at FROM runs ORDER BY rowid").fetchall()


def test_rows_are_written_in_order_and_in_batches(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand rows are there after a flush, in their order, and took few transactions."""
    batches: list[int] = []
    write = sqlite_writer._write

    def count(connection: sqlite3.Connection, batch: list[sqlite_writer.Row]) -> None:
        batches.append(len(batch))
        write(connection, batch)

    monkeypatch.setattr(sqlite_writer, "_write", count)
    writer = SqliteWriter(path)
    for n in range(1000):
        writer.put((PUT, (f"r{n}", n)))
    writer.flush()
    assert rows(path) == [(f"r{n}", n) for n in range(1000)]
    writer.close()
    assert sum(batches) == 1000
    assert len(batches) < 20


def test_a_row_does_not_wait_for_a_flush(path: Path) -> None:
    """A row is written within some milliseconds, by itself."""
    writer = SqliteWriter(path)
    written = threading.Event()
    real = sqlite_writer._write
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite_writer, "_write", lambda c, b: (real(c, b), written.set()))
        writer.put((PUT, ("r", 1)))
        assert written.wait(10)
        assert rows(path) == [("r", 1)]
    writer.close()


def test_close_writes_what_is_left_and_ends_the_thread(path: Path) -> None:
    """Rows that were put are there after the close, the thread is gone; a second close does no harm."""
    writer = SqliteWriter(path)
    for n in range(10):
        writer.put((PUT, (f"r{n}", n)))
    writer.close()
    writer.close()
    assert len(rows(path)) == 10
    assert not [t for t in threading.enumerate() if t.name == "cascade-state"]
    SqliteWriter(path).close()
    with pytest.raises(StateError, match="has been closed"):
        writer.put((PUT, ("late", 1)))


def test_who_brings_too_much_waits(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When more bytes wait than there may, putting one more returns only after all are on the disk."""
    monkeypatch.setattr(batches, "MOST_BYTES", 100)
    monkeypatch.setattr(batches, "PERIOD", 60.0)
    writer = SqliteWriter(path)
    writer.put((PUT, ("r1", 1)), size=60)
    assert rows(path) == []
    writer.put((PUT, ("r2", 2)), size=60)
    assert rows(path) == [("r1", 1), ("r2", 2)]
    writer.close()


def test_a_batch_is_whole_or_not_at_all(path: Path) -> None:
    """When one row of a batch cannot be written, none of it is, and the fault is told from then on."""
    writer = SqliteWriter(path)
    writer.put((PUT, ("r1", 1)))
    writer.put((PUT, ("r1", 2)))  # the same key again
    with pytest.raises(StateError, match="UNIQUE constraint failed"):
        writer.flush()
    assert rows(path) == []
    assert isinstance(writer.fault, StateError)
    with pytest.raises(StateError, match="UNIQUE"):
        writer.put((PUT, ("r2", 1)))
    writer.close()


def test_values_that_sqlite_does_not_take_are_told(path: Path) -> None:
    """A value of a type that cannot be written is told in words too, and nobody waits for ever."""
    writer = SqliteWriter(path)
    writer.put((PUT, ("\ud800", 1)))
    with pytest.raises(StateError, match=r"cannot be used: .*surrogates not allowed"):
        writer.flush()
    writer.close()


def test_many_threads_lose_nothing(path: Path) -> None:
    """Rows of several threads are all written, those of each in its order."""
    writer = SqliteWriter(path)

    def put(number: int) -> None:
        for n in range(50):
            writer.put((PUT, (f"{number}-{n}", n)))
            if n % 10 == number:
                writer.flush()

    threads = [threading.Thread(target=put, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    writer.close()
    found = rows(path)
    assert len(found) == 300
    for number in range(6):
        mine = [n for name, n in found if name.startswith(f"{number}-")]
        assert mine == sorted(mine)
