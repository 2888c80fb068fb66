"""Values that cannot be stored: the run goes on with them, says so once for each task, and leaves no litter."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.caching.folder import FolderCache
from cascade.adapters.stores.local import LocalStore
from cascade.adapters.stores.remote import BackendStore
from cascade.interfaces import events as ev

pytestmark = pytest.mark.usefixtures("own_context")


class Refuses:
    """Its pickling fails, in a way of its own."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        raise self.error


class OneWay:
    """Can be pickled, and not read again."""

    def __reduce__(self) -> Any:
        return int, ("no number",)


class Liar:
    """Pickles a claim of very much memory."""

    def __reduce__(self) -> Any:
        return bytes, (1 << 62,)


class Prickly:
    """Raises whatever one asks it."""

    def _refuse(self, *_: object) -> Any:
        raise RuntimeError("do not touch")

    __eq__ = __hash__ = __len__ = __bool__ = __repr__ = __str__ = __iter__ = __getitem__ = _refuse  # type: ignore[assignment]


class Unruly:
    """Lets nobody look at its attributes, not even at its class's names."""

    def __getattribute__(self, name: str) -> Any:
        raise OSError(f"no {name}")


def deep(levels: int) -> list[Any]:
    """A list in a list in a list, and so on."""
    made: list[Any] = []
    for _ in range(levels):
        made = [made]
    return made


def circle() -> list[Any]:
    """A list that holds itself."""
    made: list[Any] = [1]
    made.append(made)
    return made


def a_socket() -> socket.socket:
    """A socket that is bound to nothing."""
    return socket.socket()


STAY = {  # what can be in no store
    "lock": threading.Lock,
    "generator": lambda: (x for x in range(3)),
    "open file": lambda: Path(os.devnull).open("rb"),  # noqa: SIM115 - the value itself, closed later
    "socket": a_socket,
    "thread": threading.Thread,
    "lock within": lambda: {"rows": [1, 2], "lock": [threading.Lock()]},
    "failing reduce": lambda: Refuses(ValueError("not me")),
    "reduce that exits": lambda: Refuses(SystemExit(3)),
    "reduce that interrupts": lambda: Refuses(KeyboardInterrupt()),
    "reduce that recurses": lambda: Refuses(RecursionError("too deep")),
    "reduce without memory": lambda: Refuses(MemoryError()),
    "no attributes": Unruly,
}
GO = {  # what is odd, and may be stored or not, but comes out as it is
    "not to be read again": OneWay,
    "claims memory": Liar,
    "prickly": Prickly,
    "deep list": lambda: deep(100_000),
    "circle": circle,
    "NaN keys": lambda: {float("nan"): 1, float("nan"): 2},
    "lambda": lambda: lambda x: x + 1,
    "a class": lambda: type("Made", (), {}),
    "half a character": lambda: "\ud800",
    "huge number": lambda: 1 << 1_000_000,
    "exception": lambda: ValueError("a value"),
    "module": lambda: os,
}


def litter(folder: Path) -> list[str]:
    """What lies about in a store folder and is of no use."""
    return [path.name for path in folder.rglob("*") if ".tmp" in path.name or path.parent.name == "tmp"]


def told_of(run: Any) -> list[ev.StoreReported]:
    """The faults that a run told."""
    return [event for event in run.events if isinstance(event, ev.StoreReported)]


def make_target(make: Any) -> Any:
    """A task that returns the value, one that takes it, and one that is glad of both."""

    @cs.task(pure=True)
    def odd() -> Any:
        return make()

    @cs.task(pure=True)
    def take(value: Any) -> str:
        return "taken"

    @cs.task(pure=True)
    def plain() -> int:
        return 5

    @cs.task(mode="inline")
    def both(value: Any, taken: str, five: int) -> tuple[Any, str, int]:
        return value, taken, five

    value = odd()
    return both(value, take(value), plain())


def close(value: Any) -> None:
    """Close what is open."""
    with contextlib.suppress(Exception):
        value.close()


@pytest.fixture(params=["folder", "backend"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A store of each kind."""
    if request.param == "folder":
        made: Any = LocalStore(tmp_path / "store", key_file=tmp_path / "key")
    else:
        made = BackendStore(FolderCache(tmp_path / "store"), key_file=tmp_path / "key")
    yield made
    made.close()


@pytest.mark.parametrize("make", STAY.values(), ids=STAY)
def test_what_cannot_be_stored(make: Any, store: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The value is passed on as it is; one warning names the task and says what to do; the next run computes it."""
    for _ in range(2):
        run = cs.start(make_target(make), cache=store, log_level=None)
        value, taken, five = run.result(20)
        assert (taken, five) == ("taken", 5)
        close(value)
        told = [f"{event.kind} {event.task} {event.problem}" for event in told_of(run)]
        told += [line for line in caplog.messages if "'odd' is not remembered" in line]  # it has not even a key
        assert len(told) == 1, told
        assert "odd" in told[0]
        assert type(value).__name__ in told[0] or "dict" in told[0] or "no __class__" in told[0]
        caplog.clear()
    assert litter(tmp_path / "store") == []
    assert store.check() == []
    assert "odd" not in {entry.task for entry in store.ls()}
    assert "plain" in {entry.task for entry in store.ls()}


@pytest.mark.parametrize("make", GO.values(), ids=GO)
def test_what_is_odd(make: Any, store: Any, tmp_path: Path) -> None:
    """Stored or not, it comes out of the same type in each run, with one warning at most, and no litter."""
    for _ in range(2):
        run = cs.start(make_target(make), cache=store, log_level=None)
        value, taken, five = run.result(20)
        assert (taken, five) == ("taken", 5)
        assert type(value).__name__ == type(make()).__name__
        assert len([event for event in told_of(run) if event.kind == "unsaved"]) <= 1
    assert litter(tmp_path / "store") == []
    assert store.check() == []


def test_a_map_of_what_cannot_be_stored_is_told_once(store: Any) -> None:
    """A thousand locks are one warning."""

    @cs.task(pure=True)
    def lock(x: int) -> Any:
        return threading.Lock()

    run = cs.start(lock.map(x=list(range(1000))), cache=store, log_level=None)
    assert len(run.result(20)) == 1000
    assert [(event.kind, event.task) for event in told_of(run)] == [("unsaved", "lock")]


@pytest.mark.slow
def test_a_large_array_under_a_small_limit(tmp_path: Path) -> None:
    """An array above the limit of the store is passed on, and the store keeps to its limit."""
    numpy = pytest.importorskip("numpy", reason="numpy is not installed")

    @cs.task(pure=True)
    def large() -> Any:
        return numpy.zeros(500_000_000, dtype=numpy.uint8)

    @cs.task(pure=True)
    def small(x: Any) -> int:
        return int(x[-1]) + len(x)

    with LocalStore(tmp_path / "store", key_file=tmp_path / "key", max_bytes=1_000_000) as store:
        for _ in range(2):
            run = cs.start(small(large()), cache=store, log_level=None)
            assert run.result(30) == 500_000_000
        assert store.size() <= 1_000_000
        assert store.check() == []
        assert {entry.task for entry in store.ls()} == {"small"}
        assert [(event.kind, event.task) for event in told_of(run)] in ([], [("unsaved", "large")])
    sizes = [path.stat().st_size for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert sum(sizes) < 2_000_000
