from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cascade.adapters.stores.local import LocalStore
from cascade.interfaces.records import Draft, NodeRow, StoreMiss
from tests.adapters.stores.faulty_files import STEPS, FaultyFiles

VALUES = {"small": (1, "two"), "large": bytes(range(256)) * 40, "big": "é" * 20_000}
HERE = Path(__file__).parent


def appending(reports: list[Any]) -> Callable[..., None]:
    """Gathers reports."""
    return lambda *report: reports.append(report)


def work(store: LocalStore) -> None:
    """What runs do with a store; whatever comes out of it is right."""
    store.begin_run("r", {"a": 1})
    for key, value in VALUES.items():
        store.save(key, value)
    store.save_many(Draft(f"m-{key}", value) for key, value in VALUES.items())
    store.save_recipes({"r": "small"})
    store.record_nodes("r", [NodeRow("r", "n", "t", "ran")])
    store.put_text("printed " * 100)
    expect_right(store)
    store.gc(max_bytes=50_000)
    store.gc(max_bytes=0)
    store.end_run("r", {})
    held = store.claim("k", 0)
    assert held is not None
    held.release()
    store.close()


def expect_right(store: LocalStore) -> int:
    """Each value that is there is the right one; return how many are."""
    found = store.find([*VALUES, *(f"m-{key}" for key in VALUES)])
    values = {key: store.load(entry) for key, entry in found.items()}
    whole = {key: value for key, value in values.items() if not isinstance(value, StoreMiss)}
    assert all(value == VALUES[key.removeprefix("m-")] for key, value in whole.items())
    assert store.find_recipes(["r"]) in ({}, {"r": "small"})
    return len(whole)


def steps_of_work(tmp_path: Path) -> int:
    """How many steps the work takes on a disk without faults."""
    files = FaultyFiles(0, "EIO")
    reports: list[Any] = []
    work(
        LocalStore(
            tmp_path / "counted",
            key_file=tmp_path / "key",
            files=files,
            fsync=True,
            on_report=appending(reports),
        )
    )
    assert reports == []
    return files.count


@pytest.mark.slow
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("kind", ["ENOSPC", "EIO", "short"])
def test_every_step_may_fail(tmp_path: Path, kind: str, lasting: bool) -> None:
    """Whichever step on the disk fails, nothing is raised, no wrong value comes, and it is told; later all is well."""
    struck = set()
    for nth in range(1, steps_of_work(tmp_path) + 1):
        reports: list[Any] = []
        files = FaultyFiles(nth, kind, lasting=lasting)
        folder = tmp_path / f"{nth}"
        store = LocalStore(folder, key_file=tmp_path / "key", files=files, fsync=True, on_report=appending(reports))
        work(store)
        struck.add(files.struck)
        offs = [report for report in reports if report[0] == "off"]
        assert len(offs) <= 1, f"step {nth} ({files.struck}): {reports}"
        is_healed = files.struck == "read" and not lasting  # the second look finds the right bytes
        if kind != "short" and not is_healed and files.struck not in {"unlink", "scan", "size"}:
            assert reports, f"step {nth} ({files.struck}) failed and nobody heard of it"
        again = LocalStore(folder, key_file=tmp_path / "key", on_report=appending(reports))
        expect_right(again)
        before = len(reports)
        again.begin_run("r2", {})
        assert all(again.save_many(Draft(key, value) for key, value in VALUES.items()))
        assert expect_right(again) >= len(VALUES)
        assert again.check() == []
        assert len(reports) == before
        left = list((folder / "tmp").iterdir()) if (folder / "tmp").exists() else []
        assert not left or lasting or files.struck in {"close", "unlink"}, f"step {nth} ({files.struck}) left {left}"
        again.close()
    assert struck >= set(STEPS) - {"size", "scan"}


def test_a_full_disk_is_told_once_and_tried_again(make: Callable[..., LocalStore], reports: list[Any]) -> None:
    """A full disk switches writing off with one report; stored results serve on; the next run tries again."""
    make().save("old", 1)
    files = FaultyFiles(0, "ENOSPC", lasting=True)
    store = make(files=files)
    assert store.find(["old"])
    files.nth = files.count + 1
    assert [store.save(f"k{n}", VALUES["large"]) for n in range(5)] == [None] * 5
    assert store.load(store.find(["old"])["old"]) == 1
    ((kind, _, problem),) = reports
    assert kind == "off"
    assert "Make space, or make the folder writable" in problem
    assert store.off == problem
    files.nth = 0
    assert store.save("k", 2) is None
    store.begin_run("r", {})
    assert store.save("k", 2) is not None
    assert len(reports) == 1


READ_ONLY = """
import os, sys
from cascade.adapters.stores.local import LocalStore
folder, key = sys.argv[1:]
reports = []
store = LocalStore(folder, key_file=key, on_report=lambda *r: reports.append(r))
if os.geteuid() == 0:
    os.setuid(65534)
entry = store.find(["small", "large"])
assert len(entry) == 2, (entry, reports)
assert store.load(entry["small"]) == 1 and store.load(entry["large"]) == bytes(10_000), reports
assert store.save("other", 2) is None and store.save("more", bytes(20_000)) is None
store.record_nodes("r", [])
store.put_text("x")
with store.claim("k", 0):
    pass
store.close()
assert [kind for kind, *_ in reports] == ["off", "lock"], reports
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="only on systems with file modes")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """In a folder without the right to write, results serve, nothing is stored, and that is told once."""
    place = tmp_path / "place"
    store = LocalStore(place / "store", key_file=place / "config" / "key")
    store.save("small", 1)
    store.save("large", bytes(10_000))
    store.close()
    root = os.geteuid() == 0
    if root:
        (place / "config" / "key").chmod(0o600)
        os.chown(place / "config" / "key", 65534, -1)
    for path in [
        tmp_path,
        *tmp_path.parents[:3],  # with pytest-xdist, a folder for each process is among them
        place,
        place / "config",
        *[p for p in (place / "store").rglob("*") if p.is_dir()],
    ]:
        path.chmod(path.stat().st_mode | 0o055)
    for path in (place / "store").rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    (place / "store").chmod(0o555)
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", READ_ONLY, place / "store", place / "config" / "key"],
        capture_output=True, text=True, check=False, cwd=HERE.parents[2],
    )  # fmt: skip
    (place / "store").chmod(0o755)
    assert answer.returncode == 0, answer.stderr


@pytest.mark.slow
def test_killed_at_every_point(tmp_path: Path) -> None:
    """Killed at any point of storing and cleaning up, it leaves right values, what was promised, and no problem."""
    script = [sys.executable, "-W", "error", HERE / "crash_child.py", tmp_path]
    answer = subprocess.run(script, capture_output=True, text=True, check=False, cwd=HERE.parents[2])
    assert answer.returncode == 0, answer.stdout + answer.stderr
    points = set(answer.stdout.split())
    assert points == {
        "blob.opened", "blob.written", "blob.renamed", "save.before_rows", "index.before_commit", "index.committed",
        "gc.rows_removed", "gc.file_removed",
    }  # fmt: skip


@pytest.mark.slow
def test_four_processes(tmp_path: Path) -> None:
    """Four processes with two threads each, 10,000 operations on 200 keys: right values, no report, all whole."""
    command = [sys.executable, "-W", "error", HERE / "stress_child.py", tmp_path / "store", tmp_path / "key", "1250"]
    children = [
        subprocess.Popen([*command, str(n)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=HERE.parents[2])
        for n in range(4)
    ]
    for child in children:
        out, err = child.communicate()
        assert child.returncode == 0, (out + err).decode()
    store = LocalStore(tmp_path / "store", key_file=tmp_path / "key")
    assert store.check() == []
    assert store.gc(max_bytes=0).entries >= 0
    assert store.size() == 0
    store.close()


CLAIM = """
import sys, os, signal
from cascade.adapters.stores.local import LocalStore
held = LocalStore(sys.argv[1], key_file=sys.argv[2]).claim("k", 0)
print("held" if held else "not held", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_a_killed_holder_frees_its_claim(make: Callable[..., LocalStore], tmp_path: Path) -> None:
    """A key claimed in another process is refused here, until that process is killed."""
    store = make()
    command = [sys.executable, "-W", "error", "-c", CLAIM, tmp_path / "store", tmp_path / "config" / "key"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=HERE.parents[2]) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        assert store.claim("k", 0.05) is None
        child.kill()
        held = store.claim("k", 2)
        assert held is not None
        held.release()
