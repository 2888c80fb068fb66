"""Old runs, texts that nothing names and claims of the dead go; what a kept result needs stays."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from pathlib import Path

import pytest

from cascade.adapters.stores.local import LocalStore
from cascade.interfaces.records import Freed, NodeRow


@pytest.fixture
def clock() -> list[float]:
    """The time, in seconds since the epoch."""
    return [1000.0]


@pytest.fixture
def timed(make: Callable[..., LocalStore], clock: list[float]) -> LocalStore:
    """A store with that clock."""
    return make(clock=lambda: clock[0])


def past(store: LocalStore, run: str, clock: list[float], key: str = "", **more: str) -> None:
    """A run of one node, an hour after the one before; with a key, its result is stored."""
    clock[0] += 3600
    store.begin_run(run, {"host": platform.node(), "pid": os.getpid()})
    row = {"inputs": "[]", "reason": "", **more}
    store.record_nodes(run, [NodeRow(run, "n", "t", "stored" if row["reason"] else "ran", key, **row)])
    if key and not row["reason"]:
        store.save(key, f"value of {key}", run_id=run, task="t")
    store.end_run(run, {"status": "completed"})


def ids(store: LocalStore) -> list[str]:
    """The runs that are known, the latest first."""
    return [run.run_id for run in store.runs()]


def test_old_runs_go_but_for_those_that_made_what_stays(timed: LocalStore, clock: list[float]) -> None:
    """An age takes runs and their rows; the maker of a result that is young stays, and so does the latest run."""
    past(timed, "idle", clock)
    past(timed, "maker", clock, "k")
    past(timed, "idle too", clock)
    past(timed, "last", clock)
    clock[0] += 10
    timed.save("k", "value of k", run_id="maker", task="t")  # as new as can be
    expected = timed.gc(max_age=5000, dry_run=True)
    assert timed.gc(max_age=5000) == expected
    assert expected.runs == 1
    assert ids(timed) == ["last", "idle too", "maker"]
    assert timed.gc(max_age=100).runs == 1
    assert ids(timed) == ["last", "maker"]
    assert timed.nodes("idle") == []
    assert [row.key for row in timed.nodes("maker")] == ["k"]


def test_runs_that_handed_a_value_on_stay_with_what_was_made_of_it(timed: LocalStore, clock: list[float]) -> None:
    """Where a kept result comes from can be told to the end: the makers of what its run found stay, of items too."""
    past(timed, "first", clock)
    past(timed, "items", clock)
    past(timed, "unrelated", clock)
    made = json.dumps({"total": 2, "stored": 2, "ran": [], "made": [["items", 2]], "elements": ""})
    past(timed, "maker", clock, reason="made in run first", items=made)
    past(timed, "last", clock)
    timed.save("k", 1, run_id="maker")
    assert timed.gc(max_age=1).runs == 1
    assert ids(timed) == ["last", "maker", "items", "first"]


def test_a_size_takes_the_oldest_history_first(timed: LocalStore, clock: list[float]) -> None:
    """Runs and texts have a quarter of the limit at most; results have what is left, and the limit is for all."""
    for n in range(20):
        past(timed, f"r{n}", clock, inputs=json.dumps(["x" * 5000]))
    timed.save("k", b"x" * 30_000, run_id="r3")
    assert timed.gc(max_bytes=80_000).entries == 0
    assert sum(part.size for part in timed.parts() if part.name != "results" and "disk" not in part.name) < 60_000
    known = ids(timed)
    assert known[0] == "r19"
    assert known[-1] == "r3", "it made what stays"
    assert 3 <= len(known) <= 5
    assert timed.gc(max_bytes=30_000).entries == 1


def test_limits_of_the_store_are_kept_after_each_run(make: Callable[..., LocalStore], clock: list[float]) -> None:
    """A store with limits cleans its history by itself."""
    store = make(max_age=10_000, clock=lambda: clock[0])
    for n in range(10):
        past(store, f"r{n}", clock)
    assert ids(store) == ["r9", "r8", "r7"]


def test_texts_go_when_nothing_names_them(timed: LocalStore, clock: list[float]) -> None:
    """Code of rows, what it names in turn, outputs of results and elements of maps stay; the rest goes."""
    source, lost = timed.put_text("def f(): ..."), timed.put_text("nobody names this")
    code = timed.put_text(json.dumps({"parts": [source]}))
    output, elements = timed.put_text("it printed this"), timed.put_text("a,b")
    past(timed, "r", clock, code=code, items=json.dumps({"elements": elements}))
    timed.save("k", 1, outputs=output, run_id="r")
    freed = timed.gc()
    assert (freed.texts, freed.entries, freed.runs) == (1, 0, 0)
    assert timed.get_text(lost) is None
    assert all(timed.get_text(digest) for digest in (source, code, output, elements))
    past(timed, "later", clock)
    timed.gc(max_age=1)
    assert [timed.get_text(digest) for digest in (source, code, output, elements)] == [None] * 4
    assert timed.check() == []


def test_while_a_run_goes_on_no_text_goes(timed: LocalStore) -> None:
    """A run of a process that lives may be about to name a text; one whose process is gone does not matter."""
    lost = timed.put_text("named by nobody yet")
    timed.begin_run("r", {"host": platform.node(), "pid": os.getpid()})
    assert timed.gc().texts == 0
    assert timed.get_text(lost)
    timed.begin_run("r", {"host": platform.node(), "pid": 2**22 + 12345})
    assert timed.gc().texts == 1


def test_claims_of_the_dead_go(store: LocalStore, tmp_path: Path) -> None:
    """Lock files that nobody holds and that are an hour old go; one that is held stays, however old."""
    held = store.claim("k", 0.0)
    assert held is not None
    locks = tmp_path / "store" / "locks"
    left, young = locks / "left", locks / "young"
    for path in (left, young):
        path.touch()
    for path in (left, *set(locks.iterdir()) - {young}):
        os.utime(path, (1.0, 1.0))
    assert store.gc() == Freed(claims=1)
    assert not left.exists()
    assert young.exists()
    assert store.claim("k", 0.0) is None, "it is held still"
    held.release()


def test_parts_tell_what_takes_the_room(timed: LocalStore, clock: list[float]) -> None:
    """Results, runs, their nodes, texts, and the files on the disk, each with a number and bytes."""
    assert {part.name: (part.count, part.size) for part in timed.parts()}["results"] == (0, 0)
    timed.put_text("x" * 100)
    past(timed, "r", clock, "k")
    timed.save("big", os.urandom(20_000), run_id="r")
    parts = {part.name: part for part in timed.parts()}
    assert parts["results"].count == 2
    assert parts["results"].size == timed.size() > 20_000
    assert (parts["runs"].count, parts["nodes of runs"].count, parts["texts of code and output"].count) == (1, 1, 1)
    assert parts["files"].count == 1
    assert parts["files"].size >= 20_000
    assert parts["index on disk"].size > 4096


@pytest.mark.slow
def test_a_large_index_becomes_smaller(timed: LocalStore, clock: list[float], tmp_path: Path) -> None:
    """When clean-up leaves most of the index empty, the room goes back to the disk."""
    for n in range(40):
        past(timed, f"r{n}", clock, inputs=json.dumps(["x" * 200_000]))
    timed.gc(max_age=1)
    files = [(tmp_path / "store" / name) for name in ("index.db", "index.db-wal")]
    assert sum(file.stat().st_size for file in files if file.exists()) < 1_000_000, "of eight that were written"
    assert ids(timed) == ["r39"]
    assert timed.check() == []
