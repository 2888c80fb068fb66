"""Stores and cleans up in a forked child that is killed at the i-th fault point, for every i; prints the points."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from cascade.adapters.stores.file_ops import set_fault_hook
from cascade.adapters.stores.local import LocalStore
from cascade.interfaces.records import Draft, StoreMiss

PLACE = Path(sys.argv[1])
VALUES = {"a": 1, "b": bytes(range(256)) * 50, "c": ("x" * 30_000, 2), "d": [None]}


def open_store(number: int, reports: list[Any]) -> LocalStore:
    return LocalStore(PLACE / str(number), key_file=PLACE / "key", on_report=lambda *report: reports.append(report))


def work(store: LocalStore, promise: Any) -> None:
    """Store, promising each key when it is stored; then replace, clean up, and promise nothing any more."""
    for key in "ab":
        store.save(key, VALUES[key])
        promise(key)
    store.save_many([Draft("c", VALUES["c"]), Draft("d", VALUES["d"])])
    promise("cd")
    store.save("b", VALUES["b"])
    promise("!")
    store.gc(max_bytes=30_000)
    store.clear()


def crash(number: int) -> tuple[str, bool]:
    """Be killed at fault point `number`; return what was promised, and whether it was reached."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        count = 0

        def hook(name: str) -> None:
            nonlocal count
            count += 1
            if count == number:
                os.write(write, f"<{name}>".encode())
                os.kill(os.getpid(), signal.SIGKILL)

        set_fault_hook(hook)
        work(open_store(number, []), lambda keys: os.write(write, keys.encode()))
        os._exit(0)
    os.close(write)
    _, status = os.waitpid(child, 0)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    assert os.WIFSIGNALED(status) or status == 0, f"at point {number} the child failed"
    return said, os.WIFSIGNALED(status)


def check(number: int, said: str) -> None:
    """Reopen what was left."""
    reports: list[Any] = []
    store = open_store(number, reports)
    assert store.check() == [], (said, store.check())
    found = {key: store.load(entry) for key, entry in store.find(list(VALUES)).items()}
    assert not any(isinstance(value, StoreMiss) for value in found.values()), (said, found)
    assert all(VALUES[key] == value for key, value in found.items()), said
    if "!" not in said:
        assert set(said.partition("<")[0]) <= set(found), (said, set(found))
    assert all(store.save_many(Draft(key, value) for key, value in VALUES.items())), said
    assert store.check() == [], said
    assert reports == [], (said, reports)
    for folder in ("tmp", "objects"):
        for path in (store.folder / folder).rglob("*"):
            os.utime(path, (1, 1))
    store.gc()
    temporary = store.folder / "tmp"
    assert not temporary.exists() or not list(temporary.iterdir()), said
    named = {entry.content for entry in store.ls()}
    kept = {path.parent.name + path.name for path in (store.folder / "objects").rglob("*") if path.is_file()}
    assert kept <= named, said
    store.close()


number, reached = 0, True
while reached:
    number += 1
    said, reached = crash(number)
    check(number, said)
    if reached:
        print(said.partition("<")[2][:-1])
