"""Runs have numbers, and what tasks cost is told without reading everything."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cascade.adapters.stores.history import LOOK_BACK
from cascade.adapters.stores.local import LocalStore
from cascade.interfaces.records import Cost, NodeRow


def numbers(store: LocalStore) -> dict[str, int]:
    """The number of each run."""
    return {run.run_id: run.number for run in store.runs()}


def test_runs_are_numbered_from_one(make: Callable[..., LocalStore]) -> None:
    """Each run has the next number and keeps it: begun twice, ended unseen, read by another store."""
    store = make()
    store.begin_run("a1", {})
    store.begin_run("b2", {})
    store.begin_run("a1", {})
    store.end_run("a1", {})
    store.end_run("c3", {})
    assert numbers(make()) == {"a1": 1, "b2": 2, "c3": 3}
    assert make().run_numbers(["c3", "a1", "unknown"]) == {"c3": 3, "a1": 1}


def test_runs_are_found_by_number_id_or_beginning(store: LocalStore) -> None:
    """A whole id comes first, then a number, then the beginning of an id; an id may be all digits."""
    for run in ("12ab", "12cd", "9999"):
        store.begin_run(run, {})

    def found(word: str) -> list[str]:
        return [run.run_id for run in store.find_runs(word)]

    assert (found("2"), found("9999"), found("12c")) == (["12cd"], ["9999"], ["12cd"])
    assert found("12") == ["12cd", "12ab"]
    assert found("99") == ["9999"]
    assert (found(""), found("%"), found("²"), found("9" * 40)) == ([], [], [], [])


def test_a_number_is_never_used_twice(make: Callable[..., LocalStore]) -> None:
    """Clearing results keeps the numbers; when clean-up takes runs away, the next one still counts on."""
    times = iter(range(100, 200))
    store = make(clock=lambda: float(next(times)))
    for run in ("a", "b", "c"):
        store.begin_run(run, {})
        store.end_run(run, {})
    store.clear()
    assert store.gc(max_age=0).runs == 2
    assert numbers(store) == {"c": 3}
    assert store.run_numbers(["a"]) == {"a": 1}, "what is told of a run by its number stays true"
    store.begin_run("d", {})
    assert numbers(store) == {"d": 4, "c": 3}


def test_an_index_of_before_gets_numbers(make: Callable[..., LocalStore], tmp_path: Path) -> None:
    """The runs of an older index are numbered in their order; rows that it has say nothing of items."""
    times = iter(range(100, 200))
    store = make(clock=lambda: float(next(times)))
    for run in ("x", "y"):
        store.begin_run(run, {})
        store.record_nodes(run, [NodeRow(run, "n", "t", "ran", items="{}")])
    store.close()
    with closing(sqlite3.connect(tmp_path / "store" / "index.db")) as database, database:
        database.execute("DROP TABLE run_numbers")
        database.execute("ALTER TABLE nodes DROP COLUMN items")
        database.execute("PRAGMA user_version = 1001")
    database.close()
    later = make()
    assert numbers(later) == {"x": 1, "y": 2}
    assert [row.items for row in later.nodes("x")] == [""]


@pytest.mark.slow
def test_several_processes_number_their_runs(make: Callable[..., LocalStore], tmp_path: Path) -> None:
    """Four processes that begin runs at once: every number once, none left out."""
    code = (
        "import sys; from cascade.adapters.stores.local import LocalStore\n"
        "with LocalStore(sys.argv[1], key_file=sys.argv[2]) as store:\n"
        "    for n in range(20): store.begin_run(f'{sys.argv[3]}-{n}', {})\n"
    )
    command = [sys.executable, "-c", code, tmp_path / "store", tmp_path / "config" / "key"]
    processes = [subprocess.Popen([*command, str(n)]) for n in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    found = numbers(make())
    assert sorted(found.values()) == list(range(1, 81))
    for n in range(4):
        own = [found[f"{n}-{k}"] for k in range(20)]
        assert own == sorted(own)


def rows(run: str, task: str, seconds: list[float], **more: Any) -> list[NodeRow]:
    """Rows of one task."""
    return [NodeRow(run, f"{task}{k}", task, "ran", duration=s, **more) for k, s in enumerate(seconds)]


def test_costs_are_those_of_the_last_times(store: LocalStore) -> None:
    """What came long ago, failed, or was stored does not count; the size is the middle one of those that are known."""
    store.begin_run("r", {})
    store.record_nodes("r", rows("r", "old", [100.0] * 50 + [1.0] * LOOK_BACK))
    sized = [NodeRow("r", f"s{size}", "sized", "ran", duration=2.0, memory=size) for size in (10, 0, 1000, 30)]
    other = [NodeRow("r", "f", "sized", "failed", duration=99.0), NodeRow("r", "g", "sized", "stored", duration=99.0)]
    store.record_nodes("r", [*sized, *other])
    assert store.costs(["old", "sized", "none"]) == {"old": Cost(1.0, LOOK_BACK), "sized": Cost(2.0, 4, 30)}
    assert store.durations() == {"old": (1.0, LOOK_BACK, 0), "sized": (2.0, 4, 1000)}


def test_costs_are_looked_up_not_searched(store: LocalStore) -> None:
    """However many rows there are, those of a task are found by an index, and the names of tasks one by one."""
    from cascade.adapters.stores.history import _LAST, _TASKS

    store.begin_run("r", {})
    store.record_nodes("r", rows("r", "t", [1.0] * 10))
    for statement, values in ((_LAST, ("t", 5)), (_TASKS, ())):
        steps = store._index.rows(f"EXPLAIN QUERY PLAN {statement}", values)
        told = [step[3] for step in steps if "nodes" in step[3]]
        assert told
        assert all("INDEX nodes_by_task" in line and line.startswith("SEARCH") for line in told), told
        assert not [step for step in steps if "TEMP B-TREE" in step[3]], "nothing is sorted"


def test_a_clock_that_was_set_back(make: Callable[..., LocalStore]) -> None:
    """The last run is the one that began last, whatever the clock said."""
    store = make(clock=lambda: 2_000_000.0)
    store.begin_run("first", {})
    store.record_nodes("first", [NodeRow("first", "fit", "fit", "ran")])
    later = make(clock=lambda: 1_000_000.0)
    later.begin_run("second", {})
    later.record_nodes("second", [NodeRow("second", "fit", "fit", "stored")])
    assert [run.run_id for run in later.runs()] == ["second", "first"]
    found = later.latest("fit")
    assert found is not None
    assert found.run_id == "second"
    before = later.latest("fit", "second")
    assert before is not None
    assert before.run_id == "first"
    assert later.latest("fit", "first") is None
