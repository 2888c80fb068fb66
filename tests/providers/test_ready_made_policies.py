"""Every ready-made task in a world that is out of order at first: its policies have to act, or the test fails.

(`cs.io.s3` needs a service of its own, which `test_io.py` has; `cs.subflow` is in `test_ready_made.py`.)
"""

from __future__ import annotations

import asyncio
import io
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

import cascade as cs
from cascade.adapters.connectors.inprocess import InProcessConnector
from cascade.interfaces.exceptions import NodeTimeoutError
from cascade.providers.catalogue import BUILT_IN
from cascade.providers.shell import ShellResult
from tests.providers.http_service import Service

ELSEWHERE = {"subflow", *(name for name in BUILT_IN if name.startswith("io.s3."))}
IS_MENDED = {"yes": False}


def need_order() -> None:
    """Fail as long as nobody has mended the world."""
    if not IS_MENDED["yes"]:
        raise OSError("out of order")


class Values(Mapping[str, int]):
    """A mapping that can be read when the world is in order."""

    def __getitem__(self, key: str) -> int:
        need_order()
        return {"a": 1}[key]

    def __iter__(self) -> Iterator[str]:
        need_order()
        return iter(("a",))

    def __len__(self) -> int:
        return 1


class Word:
    """A value that shows itself when the world is in order."""

    def __str__(self) -> str:
        need_order()
        return "word"

    def __format__(self, spec: str) -> str:
        return str(self)

    def __eq__(self, other: object) -> bool:
        return type(other) is Word

    __hash__ = object.__hash__


class Moment(float):
    """Seconds that can be compared when the world is in order."""

    def __ge__(self, other: object) -> bool:
        need_order()
        return True

    __le__ = __gt__ = __lt__ = __ge__  # type: ignore[assignment]


class Place:
    """A path that can be told when the world is in order."""

    def __fspath__(self) -> str:
        need_order()
        return "*.none"


class Input(io.StringIO):
    """Standard input that can be read when the world is in order."""

    def read(self, size: int | None = -1) -> str:
        need_order()
        return "typed"


@dataclass
class World:
    """A folder, a web service and a topic, all out of order until somebody mends them."""

    folder: Path
    url: str
    times: int = 1
    speaker: Any = None

    def mend(self) -> None:
        """Bring everything in order; twice does no harm."""
        if IS_MENDED["yes"]:
            return
        for name, text in (("in.csv", "x\n1\n"), ("in.json", "[1]"), ("in.yml", "a: 1"), ("in.txt", "hello")):
            (self.folder / name).write_text(text)
        (self.folder / "way").unlink()
        (self.folder / "there").mkdir()
        (self.folder / "mark").touch()
        parquet.write_table(pa.table({"x": [1]}), self.folder / "in.parquet")
        with closing(sqlite3.connect(self.folder / "a.db")) as database, database:
            database.execute("create table t as select 7 as x")
        database.close()
        speaking = threading.Thread(target=lambda: asyncio.run(self._say()))
        speaking.start()
        speaking.join()
        IS_MENDED["yes"] = True

    async def _say(self) -> None:
        self.speaker = InProcessConnector("policies")
        await self.speaker.connect()
        await self.speaker.publish(self.topic, {"n": 1}, retain=True)

    @property
    def topic(self) -> str:
        """Where somebody speaks when all is well, in this world alone."""
        return f"ready/{self.folder.parent.name}"

    def at(self, name: str) -> str:
        """Return a path in the folder."""
        return str(self.folder / name)

    def web(self, name: str) -> str:
        """Return an address that refuses one request, or all where nothing is to be mended."""
        return f"{self.url}/flaky?times={self.times}&status=503&name={name}-{self.folder.name}"


ROWS = [{"x": "1"}]
ONCE = {"max_attempts": 1}  # of the request itself: the node tries again
# For each: a call that fails until the world is mended, or once on the web; and what it gives then.
CASES: dict[str, tuple[Callable[[World], Any], Any]] = {
    "dict": (lambda _: cs.dict(Values()), {"a": 1}),
    "format": (lambda _: cs.format("{}", Word()), "word"),
    "fs.copy": (lambda w: cs.fs.copy(w.at("in.txt"), w.at("out.txt")), cs.File),
    "fs.exists": (lambda w: cs.fs.exists(Place()), False),
    "fs.glob": (lambda w: cs.fs.glob(Place()), []),
    "fs.list": (lambda w: cs.fs.list(w.at("there")), []),
    "fs.mkdir": (lambda w: cs.fs.mkdir(w.at("way/in")), str),
    "fs.move": (lambda w: cs.fs.move(w.at("in.txt"), w.at("out.txt")), cs.File),
    "fs.remove": (lambda w: cs.fs.remove(w.at("in.txt")), True),
    "http.delete": (lambda w: cs.http.delete(w.web("d"), as_="text", **ONCE), "after 2"),
    "http.get": (lambda w: cs.http.get(w.web("g"), as_="text", **ONCE), "after 2"),
    "http.post": (lambda w: cs.http.post(w.web("p"), json=1, as_="text", **ONCE), "after 2"),
    "http.put": (lambda w: cs.http.put(w.web("u"), json=1, as_="text", **ONCE), "after 2"),
    "http.request": (lambda w: cs.http.request("GET", w.web("r"), as_="text", **ONCE), "after 2"),
    "io.local.read": (lambda w: cs.io.local.read(w.at("in.txt")), b"hello"),
    "io.local.write": (lambda w: cs.io.local.write(w.at("way/out.txt"), "x"), cs.File),
    "io.stdin": (lambda _: cs.io.stdin(), "typed"),
    "io.stdout": (lambda _: cs.io.stdout(Word(), end=""), Word()),
    "load_yaml": (lambda w: cs.load_yaml(w.at("in.yml")), {"a": 1}),
    "lookup": (lambda _: cs.lookup(Values(), "a"), 1),
    "read.bytes": (lambda w: cs.read.bytes(w.at("in.txt")), b"hello"),
    "read.csv": (lambda w: cs.read.csv(w.at("in.csv"), as_="rows"), ROWS),
    "read.json": (lambda w: cs.read.json(w.at("in.json")), [1]),
    "read.parquet": (lambda w: cs.read.parquet(w.at("in.parquet"), as_="rows"), [{"x": 1}]),
    "read.table": (lambda w: cs.read.table(w.at("in.csv"), as_="rows"), ROWS),
    "read.text": (lambda w: cs.read.text(w.at("in.txt")), "hello"),
    "recv": (lambda w: cs.recv(w.topic, timeout=0.05), {"n": 1}),
    "shell": (
        lambda w: cs.shell("test -e {file} && echo done", file=w.at("mark"), show=False),
        ShellResult(0, "done\n", ""),
    ),
    "sql": (lambda w: cs.sql("select x from t", on=w.at("a.db"), as_="value"), 7),
    "template": (lambda _: cs.template("{{ word }}", word=Word()), "word"),
    "wait": (lambda _: cs.wait(Moment(0), "over"), "over"),
    "write.bytes": (lambda w: cs.write.bytes(w.at("way/out.bin"), b"x"), cs.File),
    "write.csv": (lambda w: cs.write.csv(w.at("way/out.csv"), {"x": [1]}), cs.File),
    "write.json": (lambda w: cs.write.json(w.at("way/out.json"), [1]), cs.File),
    "write.parquet": (lambda w: cs.write.parquet(w.at("way/out.parquet"), {"x": [1]}), cs.File),
    "write.table": (lambda w: cs.write.table(w.at("way/out.csv"), {"x": [1]}), cs.File),
    "write.text": (lambda w: cs.write.text(w.at("way/out.txt"), "x"), cs.File),
}
each_provider = pytest.mark.parametrize("name", CASES)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """A web service of this machine."""
    with Service() as running:
        yield running


@pytest.fixture
def world(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world out of order."""
    IS_MENDED["yes"] = False
    folder = tmp_path / "world"
    folder.mkdir()
    (folder / "way").write_text("a file where a folder should be")
    monkeypatch.setattr("sys.stdin", Input())
    return World(folder, service.url)


def start(target: Any, **options: Any) -> Any:
    """Start quietly, with a connector for who needs one."""
    return cs.start(target, log_level=None, connector="inprocess:policies", **options)


def of(run: Any, kind: str) -> list[Any]:
    """The events of a kind."""
    return [event for event in run.events if type(event).__name__ == kind]


def is_right(value: Any, expected: Any) -> bool:
    """Compare with a value, or with the type of one that depends on the place."""
    return isinstance(value, expected) if isinstance(expected, type) else bool(value == expected)


def test_every_ready_made_task_is_here() -> None:
    """Who adds one says how it fails."""
    assert {*CASES} | ELSEWHERE == {*BUILT_IN}


@each_provider
def test_a_retry_that_is_needed(name: str, world: World) -> None:
    """The first attempt fails; when the world is in order, the same node succeeds."""
    call, expected = CASES[name]

    def mend(event: Any) -> None:
        if type(event).__name__ == "NodeRetrying":
            world.mend()

    run = start(call(world).with_retry(max_attempts=50, delay=0.02), subscribers=[mend])
    assert is_right(run.result(20), expected)
    assert of(run, "NodeRetrying")


@each_provider
def test_a_fallback_that_is_taken(name: str, world: World) -> None:
    """As often as was said it is tried in vain; then the fallback is the value, and without one the run fails."""
    world.times = 99
    call = CASES[name][0]
    run = start(call(world).with_retry(max_attempts=2).with_fallback("instead"))
    assert run.result(20) == "instead"
    assert [event.attempt for event in of(run, "NodeRetrying")] == [1]
    assert isinstance(start(call(world)).exception(20), Exception)


@each_provider
def test_a_second_run_that_is_recalled(name: str, world: World, tmp_path: Path) -> None:
    """What was given is given again from the store; nothing starts, also where the world would refuse it now."""
    world.mend()
    world.times = 0
    call, expected = CASES[name]
    expected = expected.replace("2", "1") if name.startswith("http.") else expected
    target = call(world).with_cache(cs.cache.ttl(3600))
    first = start(target, cache=tmp_path / "c")
    assert is_right(first.result(20), expected)
    assert not of(first, "NodeRecalled")
    world.times = 99
    (world.folder / "there").rename(world.folder / "gone")
    second = start(target, cache=tmp_path / "c")
    assert is_right(second.result(20), expected)
    assert [event.name for event in of(second, "NodeStarted")] == []
    assert of(second, "NodeRecalled")


SLOW: dict[str, Callable[[World], Any]] = {
    "http.delete": lambda w: cs.http.delete(f"{w.url}/silent"),
    "http.get": lambda w: cs.http.get(f"{w.url}/silent"),
    "http.post": lambda w: cs.http.post(f"{w.url}/silent", json=1),
    "http.put": lambda w: cs.http.put(f"{w.url}/silent", json=1),
    "http.request": lambda w: cs.http.request("GET", f"{w.url}/silent"),
    "recv": lambda _: cs.recv("silent"),
    "shell": lambda _: cs.shell(["sleep", "60"]),
    "sql": lambda _: cs.sql("select count(*) from range(10000000000000) as r where hash(r.range) = 1", as_="value"),
    "wait": lambda _: cs.wait(60),
}


@pytest.mark.parametrize("name", SLOW)
def test_a_timeout_that_fires(name: str, world: World) -> None:
    """What waits for others is ended by the timeout of its node, each try anew; then its fallback serves."""
    late = SLOW[name](world).with_timeout(0.1)
    assert isinstance(start(late).exception(20), NodeTimeoutError)
    run = start(late.with_retry(max_attempts=2).with_fallback("late"))
    assert run.result(20) == "late"
    assert [event.attempt for event in of(run, "NodeRetrying")] == [1]
