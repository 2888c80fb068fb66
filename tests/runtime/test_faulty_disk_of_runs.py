"""Whichever step on the disk fails while a run uses its store, the run has the right value, tells it, and heals."""

from __future__ import annotations

import errno
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.stores.local import LocalStore
from cascade.interfaces import events as ev
from tests.adapters.stores.faulty_files import FaultyFiles

LARGE = 20_000  # bytes; values of this size have files of their own
RIGHT = 15 + LARGE + 3 * 10
KINDS = ["ENOSPC", "EIO", "EACCES", "EROFS", "EDQUOT", "short"]
QUIET_STEPS = {"unlink", "scan", "size"}  # what fails to be cleaned up is cleaned up later


@cs.task(pure=True)
def rows(n: int) -> list[int]:
    return list(range(n))


@cs.task(pure=True)
def large(n: int) -> bytes:
    return bytes(n)


@cs.task(pure=True)
def item(x: int) -> tuple[int, ...]:
    return (x,) * 10


@cs.task(pure=True)
def end(small: list[int], blob: bytes, items: list[tuple[int, ...]]) -> int:
    return sum(small) + len(blob) + sum(map(len, items))


def target() -> Any:
    """Small values, a large one, a map, and what is made of them."""
    return end(rows(6), large(LARGE), item.map(x=[1, 2, 3]))


def run(folder: Path, files: FaultyFiles | None = None, **settings: Any) -> tuple[Any, list[ev.StoreReported], Counter]:
    """Run the graph; return its value, what was told of the store, and what became of the nodes."""
    with LocalStore(folder / "store", key_file=folder / "key", files=files, **settings) as store:
        made = cs.start(target(), cache=store, log_level=None)
        value = made.result(20)
        events = made.events
    told = [event for event in events if isinstance(event, ev.StoreReported)]
    assert isinstance(events[-1], ev.RunFinished)  # what was told was told in time
    ends = Counter("stored" if isinstance(e, ev.NodeRecalled) else "ran" for e in events if type(e).__name__ in ENDS)
    return value, told, ends


ENDS = {"NodeCompleted", "NodeRecalled", "ItemsCompleted", "ItemsRecalled"}


def prepare(folder: Path, *, warm: bool) -> None:
    """Make a folder; `warm`: with the results of a run, one of them lost, so that the next run reads and writes."""
    folder.mkdir()
    if warm:
        assert run(folder)[0] == RIGHT
        with LocalStore(folder / "store", key_file=folder / "key") as store:
            store.clear("end")


def steps_of(folder: Path, *, warm: bool) -> int:
    """How many steps a run takes on a disk without faults."""
    prepare(folder, warm=warm)
    files = FaultyFiles(0, "EIO")
    value, told, _ = run(folder, files)
    assert (value, told) == (RIGHT, [])
    return files.count


def fail_at(folder: Path, nth: int, kind: str, *, warm: bool, lasting: bool) -> str:
    """Fail one step of a run (and, `lasting`, all that write after it); return which was struck."""
    prepare(folder, warm=warm)
    files = FaultyFiles(nth, kind, lasting=lasting)
    value, told, _ = run(folder, files)
    where = f"step {nth} ({files.struck}) failed with {kind}"
    assert value == RIGHT, where
    assert [event.kind for event in told].count("off") <= 1, f"{where}: {told}"
    assert len(told) <= 2, (
        f"{where}: {told}"
    )  # a large value that was not written, and what was the matter with the rest
    is_healed = files.struck == "read" and not lasting  # the second look finds the right bytes
    if files.struck and kind != "short" and not is_healed and files.struck not in QUIET_STEPS:
        assert told, f"{where}, and nobody heard of it"
    if kind == "short" and not lasting:
        assert not told or files.struck == "read", f"{where}: {told}"  # half a write is gone on with
    value, told, _ = run(folder)
    assert (value, told) == (RIGHT, []), where
    value, told, ends = run(folder)
    assert (value, told) == (RIGHT, []), where
    assert ends == {"stored": 1}, where
    with LocalStore(folder / "store", key_file=folder / "key") as store:
        assert store.check() == [], where
    temporary = folder / "store" / "tmp"
    left = list(temporary.iterdir()) if temporary.exists() else []
    assert not left or lasting or files.struck in {"close", "unlink"}, f"{where} and left {left}"
    return files.struck


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_that_fails_in_the_middle(tmp_path: Path, kind: str) -> None:
    """Each kind of fault at other steps, all over a run: right value, told, and all is found again afterwards."""
    struck = set()
    for warm in (False, True):
        steps = steps_of(tmp_path / f"counted-{warm}", warm=warm)
        for nth in range(1 + KINDS.index(kind), steps + 1, len(KINDS)):
            struck.add(fail_at(tmp_path / f"{warm}-{nth}", nth, kind, warm=warm, lasting=nth % 2 == 0))
    assert len(struck) >= 3, struck


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_step_may_fail(tmp_path: Path, kind: str, lasting: bool) -> None:
    """The same for each step."""
    struck = set()
    for warm in (False, True):
        steps = steps_of(tmp_path / f"counted-{warm}", warm=warm)
        for nth in range(1, steps + 1):
            struck.add(fail_at(tmp_path / f"{warm}-{nth}", nth, kind, warm=warm, lasting=lasting))
    assert struck >= {"mkdir", "open", "write", "close", "replace", "begin", "execute", "commit", "read"}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork") or os.geteuid() != 0, reason="only on systems where root can mount")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """A file system that is full is told once; with space again, everything is stored."""
    import subprocess

    place = tmp_path / "small"
    place.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", place], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("only on systems where this test may mount a file system")
    try:
        ballast = place / "ballast"
        assert run(place)[:2] == (RIGHT, [])
        with LocalStore(place / "store", key_file=place / "key") as store:
            store.clear()
        with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            while True:
                file.write(bytes(4096))
        value, told, _ = run(place)
        assert (value, [event.kind for event in told]) == (RIGHT, ["off"])
        ballast.unlink()
        assert run(place)[:2] == (RIGHT, [])
        assert run(place)[2] == {"stored": 1}
    finally:
        subprocess.run(["umount", place], check=True)
