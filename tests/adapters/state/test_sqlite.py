from __future__ import annotations

import gc
import pickle
import sqlite3
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from cascade.adapters.state.errors import StateError
from cascade.adapters.state.sqlite import SqliteStateBackend
from cascade.testing.conformance import STATE_BACKEND_CASES, Case

ROOT = Path(__file__).resolve().parents[3]


def python(code: str, *arguments: object, stdin: str = "") -> str:
    """What another Python process prints."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, input=stdin)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.mark.parametrize("case", STATE_BACKEND_CASES, ids=str)
def test_promises(case: Case, path: Path) -> None:
    """The SQLite backend keeps every promise of a state backend, all its runs in one file."""
    case(partial(SqliteStateBackend, path))


# -- other processes ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_another_process_reads_while_the_run_goes_on(path: Path) -> None:
    """What was put and flushed can be read by another process while this one has the file open."""
    with SqliteStateBackend(path, "r1") as state:
        state.put_result("load", {"rows": 3})
        state.mark_skipped("plot", "its run_if is false")
        state.put_metadata("status", "running")
        state.flush()
        told = python(
            "import sys; from cascade.adapters.state.sqlite import SqliteStateBackend\n"
            "with SqliteStateBackend(sys.argv[1], 'r1', read_only=True) as s:\n"
            "    print(s.get_result('load'), s.results(), s.skips(), s.metadata(), s.runs())",
            path,
        )
        assert told.strip() == "{'rows': 3} ['load'] {'plot': 'its run_if is false'} {'status': 'running'} ['r1']"
        state.put_result("fit", 1)  # a reader harms no writer


@pytest.mark.slow
def test_what_is_put_arrives_without_a_flush(path: Path) -> None:
    """Another connection sees a value soon after it was put, though nobody flushed."""
    with SqliteStateBackend(path, "r1") as state, SqliteStateBackend(path, "r1", read_only=True) as reader:
        state.put_result("load", 1)
        until = time.monotonic() + 10
        while not reader.has_result("load") and time.monotonic() < until:
            pass
        assert reader.get_result("load") == 1


@pytest.mark.slow
def test_values_outlive_their_process(path: Path) -> None:
    """A value of a class that only the other process had is read here, since it travels with its class."""
    python(
        "import sys; from cascade.adapters.state.sqlite import SqliteStateBackend\n"
        "class Model:\n    def predict(self): return 42\n"
        "s = SqliteStateBackend(sys.argv[1], 'r1'); s.put_result('fit', Model())",  # not even closed
        path,
    )
    with SqliteStateBackend(path, "r1") as state:
        assert state.get_result("fit").predict() == 42


@pytest.mark.slow
def test_many_open_a_new_file_at_once(path: Path) -> None:
    """Threads and a process that all make the same new file end up with one good file and all their runs."""
    barrier = threading.Barrier(9)
    errors: list[BaseException] = []

    def write(number: int) -> None:
        try:
            barrier.wait(10)
            with SqliteStateBackend(path, f"t{number}") as state:
                for n in range(20):
                    state.put_result(str(n), n)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    barrier.wait(10)
    python(
        "import sys; from cascade.adapters.state.sqlite import SqliteStateBackend\n"
        "with SqliteStateBackend(sys.argv[1], 'p') as s: [s.put_result(str(n), n) for n in range(20)]",
        path,
    )
    for thread in threads:
        thread.join(30)
    assert not errors
    with SqliteStateBackend(path) as state:
        runs = state.runs()
    assert set(runs) == {"p", *[f"t{n}" for n in range(8)]}
    for run in runs:
        with SqliteStateBackend(path, run) as state:
            assert len(state.results()) == 20


# -- runs -----------------------------------------------------------------------------------------------------------


def test_runs_are_listed_and_forgotten(path: Path) -> None:
    """The file knows its runs, the oldest first, and forgets one without touching the others."""
    for run in ("r1", "r2", "r3"):
        with SqliteStateBackend(path, run) as state:
            state.put_result("node", run)
            state.mark_skipped("other", run)
            state.put_metadata("name", run)
    with SqliteStateBackend(path) as state:
        assert state.runs() == ["r1", "r2", "r3"]
        state.forget_run("r2")
        state.forget_run("unknown")
        assert state.runs() == ["r1", "r3"]
    for run, known in (("r1", True), ("r2", False), ("r3", True)):
        with SqliteStateBackend(path, run) as state:
            assert state.has_result("node") is known
            assert bool(state.skips()) is bool(state.metadata()) is known


def test_a_run_may_begin_again_after_it_was_forgotten(path: Path) -> None:
    """Forgetting the run that is being written starts it afresh."""
    with SqliteStateBackend(path, "r1") as state:
        state.put_result("old", 1)
        state.forget_run("r1")
        state.put_result("new", 2)
        assert (state.runs(), state.results()) == (["r1"], ["new"])


def test_without_a_run_it_asks_which(path: Path) -> None:
    """Reading without saying which run is an error that lists the runs."""
    with SqliteStateBackend(path) as state, pytest.raises(StateError, match="It holds no run yet"):
        state.results()
    with SqliteStateBackend(path, "r1") as state:
        state.put_result("node", 1)
    with SqliteStateBackend(path) as state, pytest.raises(StateError, match=r"Known: r1\. Name one"):
        state.results()


def test_what_is_put_again_keeps_its_place(path: Path) -> None:
    """Values and facts come in the order in which they were first put, as in memory."""
    with SqliteStateBackend(path, "r1") as state:
        for node in ("a", "b", "a"):
            state.put_result(node, node)
            state.put_metadata(node, node)
            state.mark_skipped(node, node)
        assert state.results() == list(state.metadata()) == list(state.skips()) == ["a", "b"]


# -- values ---------------------------------------------------------------------------------------------------------


def test_values_are_copies(path: Path) -> None:
    """A value is what it was when it was put, whatever becomes of the object."""
    value = [1]
    with SqliteStateBackend(path, "r1") as state:
        state.put_result("node", value)
        value.append(2)
        assert state.get_result("node") == [1]


class Stubborn:
    """A value that raises when it is pickled."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getstate__(self) -> object:
        raise self.error


@pytest.mark.parametrize("error", [pickle.PicklingError("no"), TypeError("no"), ZeroDivisionError("no"), ValueError()])
def test_what_cannot_be_pickled_is_noted(path: Path, error: Exception) -> None:
    """A value that cannot be pickled, for whatever reason, is noted with the reason; asking for it says so."""
    with SqliteStateBackend(path, "r1") as state:
        state.put_result("model", Stubborn(error))
        state.put_result("score", 0.5)
        assert state.unkept() == {"model": f"{type(error).__name__}: {error}"}
        assert (state.has_result("model"), state.results()) == (False, ["score"])
        with pytest.raises(StateError, match=r"'model' has a value that could not be kept: .*Error: .* can be pickled"):
            state.get_result("model")
        state.put_result("model", "later one that can")
        assert state.unkept() == {}
        assert state.get_result("model") == "later one that can"


def test_values_too_large_for_sqlite_are_noted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value beyond what SQLite keeps in one place is noted; nothing else is lost."""
    with SqliteStateBackend(path, "r1") as state:
        monkeypatch.setattr(state, "_longest", 100)
        state.put_result("big", b"x" * 200)
        state.put_result("small", 1)
        assert list(state.unkept()) == ["big"]
        assert "SQLite keeps 100 in one place" in state.unkept()["big"]
        assert state.get_result("small") == 1


def test_nothing_is_unpickled_unless_asked_for(path: Path) -> None:
    """Bytes that would do harm when decoded lie there unharmed until their own value is asked for."""
    with SqliteStateBackend(path, "r1") as state:
        state.put_result("good", 1)
        state.flush()
        writer = sqlite3.connect(path)
        writer.execute("INSERT INTO results VALUES ('r1', 'bomb', ?, NULL, NULL)", (b"cos\n_exit\n(I3\ntR.",))
        writer.commit()
        writer.close()
        assert state.results() == ["good", "bomb"]
        assert state.has_result("bomb")
        assert state.get_result("good") == 1
        with pytest.raises(StateError, match="kept value of 'bomb' cannot be read: its bytes are not those"):
            state.get_result("bomb")  # nor then, since their digest does not fit


def test_bytes_that_cannot_be_decoded_here_are_named(path: Path) -> None:
    """A value whose module is not there is an error that names node and module."""
    from hashlib import blake2b

    data = b"cno_such_module\nThing\n."
    with SqliteStateBackend(path, "r1") as state:
        state.put_result("good", 1)
        state.flush()
        writer = sqlite3.connect(path)
        digest = blake2b(data, digest_size=16).digest()
        writer.execute("INSERT INTO results VALUES ('r1', 'alien', ?, ?, NULL)", (data, digest))
        writer.commit()
        writer.close()
        with pytest.raises(StateError, match=r"'alien' cannot be read: ModuleNotFoundError: .*no_such_module"):
            state.get_result("alien")


# -- ends -----------------------------------------------------------------------------------------------------------


def test_use_after_close_says_so(path: Path) -> None:
    """Reading and writing after the close are errors that say how to go on; closing again is none."""
    state = SqliteStateBackend(path, "r1")
    state.put_result("node", 1)
    state.close()
    state.close()
    for use in (lambda: state.get_result("node"), lambda: state.put_result("node", 2), state.runs):
        with pytest.raises(StateError, match=r"has been closed here\. Open it again"):
            use()


def test_close_leaves_one_file(path: Path) -> None:
    """After the close nothing lies beside the file, and it can be read where nothing may be written."""
    with SqliteStateBackend(path, "r1") as state:
        state.put_result("node", 1)
    assert list(path.parent.iterdir()) == [path]


def test_a_reader_writes_nothing(path: Path) -> None:
    """A backend for reading refuses to write, and makes no file where there is none."""
    with pytest.raises(StateError, match=r"There is no state file .*runs\.db\. Check the path"):
        SqliteStateBackend(path, "r1", read_only=True)
    assert not path.exists()
    with SqliteStateBackend(path, "r1") as state:
        state.put_result("node", 1)
    with SqliteStateBackend(path, "r2", read_only=True) as reader:
        for use in (
            lambda: reader.put_result("node", 1),
            lambda: reader.mark_skipped("node", ""),
            lambda: reader.put_metadata("key", 1),
            lambda: reader.begin_run("r3"),
            lambda: reader.forget_run("r1"),
        ):
            with pytest.raises(StateError, match="open for reading only"):
                use()
        assert reader.runs() == ["r1"]


def test_one_that_nobody_closes_is_written_and_let_go(path: Path) -> None:
    """A backend that is dropped without a close writes what it has and leaves no thread."""
    state = SqliteStateBackend(path, "r1")
    state.put_result("node", 1)
    (thread,) = [t for t in threading.enumerate() if t.name == "cascade-state"]
    del state
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()
    with SqliteStateBackend(path, "r1") as again:
        assert again.get_result("node") == 1


def test_a_disk_that_fails_is_told(path: Path) -> None:
    """When the file can no longer be written to, flush and close say so in words; a second close is quiet."""
    state = SqliteStateBackend(path, "r1")
    state.put_result("node", 1)
    state.flush()
    saboteur = sqlite3.connect(path)
    saboteur.execute("DROP TABLE results")
    saboteur.commit()
    saboteur.close()
    state.put_result("node", 2)
    with pytest.raises(StateError, match=r"runs.db cannot be used: no such table: results\. Look at the disk"):
        state.flush()
    with pytest.raises(StateError, match="no such table"):
        state.put_result("node", 3)
    with pytest.raises(StateError, match="no such table"):
        state.close()
    state.close()
