"""What files, services and databases can do as every task can: one test for each promise."""

from __future__ import annotations

import doctest
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

import cascade as cs
from cascade.identity.code import code_key
from cascade.providers import registry
from cascade.providers.catalogue import BUILT_IN
from tests.providers.http_service import Service

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    "fs", "http", "http_errors", "http_response", "io_local", "io_s3", "read", "sql", "sql_database", "sql_stopping",
    "sql_text", "storage", "tables", "tables_packed", "write",
)  # fmt: skip

# For each: a call on a folder and a service, what it gives, and a map of two such calls.
Call = Callable[[str, str], Any]
CALLS: dict[str, tuple[Call, Any, Call]] = {
    "read.text": (lambda d, _: cs.read.text(f"{d}/t"), "text", lambda d, _: cs.read.text.map([f"{d}/t", f"{d}/t"])),
    "read.bytes": (lambda d, _: cs.read.bytes(f"{d}/t"), b"text", lambda d, _: cs.read.bytes.map([f"{d}/t"] * 2)),
    "read.json": (lambda d, _: cs.read.json(f"{d}/j"), [1], lambda d, _: cs.read.json.map([f"{d}/j"] * 2)),
    "read.csv": (
        lambda d, _: cs.read.csv(f"{d}/c.csv", as_="rows"),
        [{"x": "1"}],
        lambda d, _: cs.read.csv.map([f"{d}/c.csv"] * 2, as_="rows"),
    ),
    "read.table": (
        lambda d, _: cs.read.table("c.csv", root=d, as_="rows"),
        [{"x": "1"}],
        lambda d, _: cs.read.table.map(["c.csv"] * 2, root=d, as_="rows"),
    ),
    "write.text": (
        lambda d, _: cs.read.text(cs.write.text(f"{d}/w", "text")),
        "text",
        lambda d, _: cs.read.text.map(cs.write.text.map(path=[f"{d}/w1", f"{d}/w2"], text="text")),
    ),
    "fs.exists": (lambda d, _: cs.fs.exists(f"{d}/t"), True, lambda d, _: cs.fs.exists.map([f"{d}/t"] * 2)),
    "fs.glob": (lambda d, _: cs.fs.glob("t*", root=d), ["t"], lambda d, _: cs.fs.glob.map(["t*", "t*"], root=d)),
    "io.local.read": (
        lambda d, _: cs.io.local.read(f"{d}/t"),
        b"text",
        lambda d, _: cs.io.local.read.map([f"{d}/t"] * 2),
    ),
    "http.get": (
        lambda _, u: cs.http.get(f"{u}/json", as_="json")["x"],
        [1, None, "é"],
        lambda _, u: cs.http.get.map([f"{u}/latin"] * 2, as_="text"),
    ),
    "http.post": (
        lambda _, u: cs.http.post(f"{u}/latin", json=1, as_="text"),
        "é",
        lambda _, u: cs.http.post.map([f"{u}/latin"] * 2, as_="text"),
    ),
    "sql": (
        lambda d, _: cs.sql("select x + $y from t", t=cs.File(f"{d}/c.csv"), y=1, as_="value"),
        2,
        lambda d, _: cs.sql.map("select x + $y from t", t=cs.File(f"{d}/c.csv"), y=[1, 1], as_="value"),
    ),
    "sql on": (
        lambda d, _: cs.sql("select $y", y=1, on=f"{d}/a.db", write=True, as_="value"),
        1,
        lambda d, _: cs.sql.map("select $y", y=[1, 1], on=f"{d}/b.db", write=True, as_="value"),
    ),
}
EXPECTED_OF_MAP = {"http.get": ["é", "é"]}
each_provider = pytest.mark.parametrize("name", CALLS)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A service."""
    with Service() as service:
        yield service.url


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A folder with files."""
    for name, text in (("t", "text"), ("j", "[1]"), ("c.csv", "x\n1\n")):
        (tmp_path / name).write_text(text)
    return str(tmp_path)


def both(name: str, folder: str, url: str) -> tuple[Any, Any]:
    """A call and a map of one provider, and what they give."""
    call, expected, mapped = CALLS[name]
    target = [call(folder, url).with_retry(2).with_timeout(60), mapped(folder, url)]
    return target, [expected, EXPECTED_OF_MAP.get(name, [expected, expected])]


@each_provider
def test_it_runs_maps_and_goes_into_graph_files(name: str, folder: str, url: str) -> None:
    """A call gives its value, a map a list of such; graph files hold both, and what they give back runs the same."""
    target, expected = both(name, folder, url)
    assert cs.run(target, log_level=None) == expected
    assert cs.run(cs.from_json(cs.to_json(target)), log_level=None) == expected


@each_provider
def test_it_is_stored(name: str, folder: str, url: str, tmp_path: Path) -> None:
    """With a cache policy the second run takes the value from the store, of the type that it had."""
    call, expected, _ = CALLS[name]
    for stored in (False, True):
        made = cs.start(call(folder, url).with_cache(cs.cache.ttl(3600)), cache=tmp_path / "store", log_level=None)
        value = made.result(timeout=20)
        assert (value, type(value)) == (expected, type(expected))
        assert any(type(event).__name__ == "NodeRecalled" for event in made.events) is stored


@pytest.mark.slow
def test_graph_files_in_a_fresh_process(folder: str, url: str) -> None:
    """A process that has used no provider yet reads and runs a file with all of them."""
    targets = [both(name, folder, url) for name in CALLS]
    code = "import sys, cascade as cs; print(cs.run(cs.from_json(sys.stdin.read()), log_level=None))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        input=cs.to_json([target for target, _ in targets]),
        capture_output=True, text=True, check=False, timeout=60, cwd=ROOT,
    )  # fmt: skip
    assert done.stdout.strip() == str([expected for _, expected in targets]), done.stderr


@pytest.mark.slow
def test_it_survives_processes(folder: str, url: str) -> None:
    """With processes in the place of threads everything gives the same, and results travel back whole."""
    loky = pytest.importorskip("loky", reason="loky is not installed")
    with loky.ProcessPoolExecutor(1) as pool:
        for name in CALLS:
            target, expected = both(name, folder, url)
            assert cs.run(target, log_level=None, executor=pool) == expected


def test_each_has_a_code_key_and_travels() -> None:
    """The code key counts the version of cascade, and the task is itself again after a journey."""
    mine = [
        name
        for name in BUILT_IN
        if name.partition(".")[0] in {"fs", "http", "read", "write"} or name[:5] in {"io.lo", "io.s3"}
    ]
    assert len(mine) > 25
    for name in mine:
        found = registry.find(name)
        task = getattr(found, "task", found)
        key = code_key(task)
        assert not key.warnings
        assert any(cs.__version__ in part.source for part in key.parts if part.kind == "library")
        for pack in (pickle, cloudpickle):
            assert pickle.loads(pack.dumps(task)) is task


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_examples_hold(page: str) -> None:
    """Each example in a docstring gives what it says."""
    result = doctest.testmod(import_module(f"cascade.providers.{page}"))
    assert result.attempted
    assert not result.failed


@pytest.mark.slow
def test_recording_a_call_loads_no_library() -> None:
    """Composing a graph of these needs neither httpx nor pandas, DuckDB, SQLAlchemy or fsspec."""
    code = """import sys, cascade as cs
before = set(sys.modules)
cs.http.get("http://h/"), cs.read.csv("a.csv"), cs.write.csv("a", []), cs.sql("select 1"), cs.sql("select 1", on="a.db")
cs.fs.list("."), cs.io.local.read("a"), cs.read.text("s3://bucket/key"), cs.io.s3.read("bucket", "key")
heavy = {"httpx", "pandas", "polars", "pyarrow", "duckdb", "sqlalchemy", "fsspec", "asyncio"}
print(sorted(heavy & set(sys.modules)))"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"
