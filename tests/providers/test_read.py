from __future__ import annotations

import os
import pickle
import threading
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.providers.storage import Remote
from cascade.providers.storage_errors import PlaceError
from cascade.providers.tables_errors import TableError
from tests.providers.http_service import Service

ROWS = [{"a": 1, "b": "x"}, {"a": 2, "b": 'é,\n"'}]


def run(lazy: Any, **options: Any) -> Any:
    """What one call gives."""
    return cs.run(lazy, log_level=None, **options)


def ran(lazy: Any, store: Path) -> tuple[Any, list[str]]:
    """The value, and the names of the nodes that ran and did not come from the store."""
    made = cs.start(lazy, cache=store, log_level=None)
    return made.result(20), [event.name for event in made.events if isinstance(event, ev.NodeStarted)]


def rows_of(table: Any) -> list[dict[str, Any]]:
    """Any table as plain rows."""
    if isinstance(table, pd.DataFrame):
        return table.to_dict("records")
    if isinstance(table, pl.DataFrame):
        return table.to_dicts()
    return table.to_pylist() if isinstance(table, pa.Table) else table


# -- round trips ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["{folder}/new/{name}", "memory://trips/{name}", "file://{folder}/{name}"])
def test_what_is_written_is_read(tmp_path: Path, place: str) -> None:
    """Texts, bytes and JSON come back the same, here and elsewhere; the next task reads what write returned."""

    def at(name: str) -> str:
        return place.format(folder=tmp_path, name=name)

    assert run(cs.read.text(cs.write.text(at("a.txt"), "é\nü"))) == "é\nü"
    assert run(cs.read.bytes(cs.write.bytes(at("b.bin"), b"\x00\xff"))) == b"\x00\xff"
    assert run(cs.read.json(cs.write.json(at("c.json"), {"x": [1, None, "é"]}, indent=2))) == {"x": [1, None, "é"]}
    assert run(cs.read.text(at("a.txt"))) == "é\nü"


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet", "feather"])
@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pl.LazyFrame, pa.Table.from_pylist, list])
def test_tables_of_every_kind(tmp_path: Path, suffix: str, make: Any) -> None:
    """Whatever library a table is of, each library reads it again, from here and from elsewhere."""
    table = make(ROWS)
    for path in (str(tmp_path / f"t.{suffix}"), f"memory://tables/t.{suffix}"):
        written = cs.write.table(path, table)
        kinds = ["pandas", "polars", "arrow"]
        for found in run([cs.read.table(written, as_=kind) for kind in kinds]):
            assert rows_of(found) == ROWS
    texts = run(cs.read.table(written, as_="rows"))
    assert texts == (ROWS if suffix not in ("csv", "tsv") else [{**row, "a": str(row["a"])} for row in ROWS])


@pytest.mark.parametrize("pack", ["gz", "bz2", "xz"])
def test_packed_tables(tmp_path: Path, pack: str) -> None:
    """A name that ends with .gz and the like packs what is written, the same bytes each time; DuckDB reads .gz, too."""
    path = tmp_path / f"a.csv.{pack}"
    once = [run(cs.read.bytes(cs.write.csv(path, make(ROWS)))) for make in (pd.DataFrame, pd.DataFrame)]
    assert once[0] == once[1] != b""
    assert b"x" not in once[0][:4]
    for kind in ("pandas", "polars", "arrow"):
        assert rows_of(run(cs.read.table(path, as_=kind))) == ROWS
    if pack == "gz":
        assert run(cs.sql("select sum(a) from t", t=cs.File(path), as_="value")) == 3


def test_options_go_to_the_library(tmp_path: Path) -> None:
    """Columns, separators and the like are those of the library that reads."""
    run(cs.write.csv(tmp_path / "a.csv", pd.DataFrame(ROWS), sep=";"))
    assert list(run(cs.read.csv(tmp_path / "a.csv", sep=";", usecols=["a"])).columns) == ["a"]
    run(cs.write.parquet(tmp_path / "a.parquet", {"a": [1], "b": [2]}))
    assert run(cs.read.parquet(tmp_path / "a.parquet", columns=["b"], as_="polars")).to_dicts() == [{"b": 2}]
    assert rows_of(run(cs.read.csv(cs.write.text(tmp_path / "bom.csv", "\ufeffx,y\n1,2\n"), as_="rows"))) == [
        {"x": "1", "y": "2"}
    ]


def test_what_is_not_what_it_should_be(tmp_path: Path) -> None:
    """Broken files and values that no file can hold are named, with the place."""
    (tmp_path / "a").write_bytes(b'{"x": \xff')
    (tmp_path / "j.json").write_text('{"x": 1,\n "y": }')
    (tmp_path / "p.parquet").write_text("no")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    for lazy, words in (
        (cs.read.text(tmp_path / "a"), "'a' is not text in utf-8"),
        (cs.read.json(tmp_path / "j.json"), "line 2 column 7"),
        (cs.read.parquet(tmp_path / "p.parquet"), "could not be read as parquet"),
        (cs.read.json(tmp_path / "deep.json"), "not valid JSON"),
        (cs.write.json(tmp_path / "n", float("nan")), "cannot be written as JSON"),
        (cs.write.json(tmp_path / "n", object()), "as JSON"), (cs.write.csv(tmp_path / "n", 3), "not 3"),
        (cs.write.csv(tmp_path / "n", {"a": [1], "b": []}), "'a' has 1, 'b' has 0"),
        (cs.read.csv(tmp_path / "a", as_="xls"), "as_ cannot be 'xls'"),
    ):  # fmt: skip
        with pytest.raises(TableError) as caught:
            run(lazy)
        assert words in str(caught.value)
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    with pytest.raises(PlaceError, match="does not tell"):
        run(cs.read.table(tmp_path / "a"))
    for wrong in (cs.write.text(tmp_path / "n", b"x"), cs.write.bytes(tmp_path / "n", "x")):  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="Use write"):
            run(wrong)
    assert not (tmp_path / "n").exists()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The error is the system's, with the path; of an address, too."""
    with pytest.raises(FileNotFoundError, match="nope"):
        run(cs.read.text(tmp_path / "nope"))
    with pytest.raises(FileNotFoundError):
        run(cs.read.text("memory://no/such"))


def test_a_wrong_argument_fails_at_its_line() -> None:
    """A misspelt word is a TypeError before any run."""
    with pytest.raises(TypeError, match="encodng"):
        cs.read.text("a", encodng="utf-8")
    with pytest.raises(TypeError, match="path"):
        cs.write.text()


# -- what counts ----------------------------------------------------------------------------------------------------


def test_a_read_counts_by_content(tmp_path: Path) -> None:
    """A touched, renamed or copied file is not read again; a changed one is."""
    file, store = tmp_path / "a.csv", tmp_path / "store"
    file.write_text("x\n1\n")
    assert ran(cs.read.csv(file, as_="rows"), store) == ([{"x": "1"}], ["read.csv"])
    os.utime(file, (1, 1))
    assert ran(cs.read.csv(str(file), as_="rows"), store) == ([{"x": "1"}], [])
    (tmp_path / "b.csv").write_text("x\n1\n")
    assert ran(cs.read.csv(tmp_path / "b.csv", as_="rows"), store)[1] == []
    file.write_text("x\n2\n")
    assert ran(cs.read.csv(file, as_="rows"), store) == ([{"x": "2"}], ["read.csv"])


@pytest.mark.parametrize("place", ["{folder}/a.txt", "memory://counts/a.txt"])
def test_a_path_that_only_the_run_knows_counts_by_content_too(tmp_path: Path, place: str) -> None:
    """The file is looked at in each run, and read only when it is another one."""
    path, store = place.format(folder=tmp_path), tmp_path / "store"

    @cs.task
    def where() -> str:
        return path

    run(cs.write.text(path, "one"))
    assert ran(cs.read.text(where()), store) == ("one", ["where", "locate", "read.text"])
    assert ran(cs.read.text(where()), store) == ("one", ["where", "locate"])
    run(cs.write.text(path, "two"))
    assert ran(cs.read.text(where()), store) == ("two", ["where", "locate", "read.text"])


def test_a_param_may_be_the_path(tmp_path: Path) -> None:
    """The file that a Param names is located by the run."""
    (tmp_path / "a").write_text("1")
    assert run(cs.read.text(cs.Param("path")), params={"path": str(tmp_path / "a")}) == "1"


def test_maps_read_many(tmp_path: Path) -> None:
    """Lists, lazy lists and patterns; with on_error='collect' a missing one stands in the list."""
    for n in range(3):
        (tmp_path / f"{n}.txt").write_text(str(n))
    paths = [tmp_path / f"{n}.txt" for n in range(3)]
    assert run(cs.read.text.map(paths)) == ["0", "1", "2"]
    assert run(
        cs.read.text.map(path=[*map(str, paths), "memory://maps/x"]).after(cs.write.text("memory://maps/x", "m"))
    ) == ["0", "1", "2", "m"]
    assert run(cs.read.text.map(cs.fs.glob(f"{tmp_path}/*.txt"))) == ["0", "1", "2"]
    assert run(cs.read.text.map(path=["0.txt", "2.txt"], root=str(tmp_path))) == ["0", "2"]
    assert run(cs.read.text.map(path=paths[0], encoding=["utf-8", "ascii"])) == ["0", "0"]
    found = run(cs.read.text.map(path=["0.txt", "../x"], root=str(tmp_path), on_error="collect"))
    assert found[0] == "0"
    assert isinstance(found[1], PlaceError)
    written = cs.write.text.map(path=[str(tmp_path / f"w{n}") for n in range(3)], text=cs.unmapped("same"))
    assert run(cs.read.text.map(written, max_concurrency=2)) == ["same"] * 3


def test_a_provider_keeps_what_a_task_has(tmp_path: Path) -> None:
    """Name, signature, text and capacities are those of the task behind it."""
    assert cs.read.csv.__doc__.startswith("Return the table in a CSV file.")
    assert list(cs.read.csv.signature.parameters)[:2] == ["path", "as_"]
    (tmp_path / "a").write_text("1")
    lazy = cs.read.text.with_constraints(disk=1)(tmp_path / "a")
    assert run(lazy, system_resources={"disk": 1}) == "1"
    assert run(cs.read.text(tmp_path / "no").with_fallback("none")) == "none"


def test_reads_go_through_a_graph_file(tmp_path: Path) -> None:
    """JSON keeps the file as one that counts by its content."""
    (tmp_path / "a").write_text("1")
    assert run(cs.from_json(cs.to_json(cs.read.text(tmp_path / "a")))) == "1"
    assert run(cs.from_json(cs.to_json(cs.read.text(cs.write.text("memory://json/a", "2"))))) == "2"


@pytest.mark.slow
def test_reads_and_writes_survive_processes(tmp_path: Path) -> None:
    """With processes in the place of threads, values and errors come back."""
    loky = pytest.importorskip("loky", reason="loky is not installed")
    with loky.ProcessPoolExecutor(1) as pool:
        written = cs.write.csv(str(tmp_path / "a.csv"), pd.DataFrame(ROWS))
        assert rows_of(run(cs.read.csv(written), executor=pool)) == ROWS
        with pytest.raises(PlaceError, match="leads out"):
            run(cs.read.text("../x", root=str(tmp_path)), executor=pool)


# -- elsewhere ------------------------------------------------------------------------------------------------------


def test_an_archive_is_a_folder(tmp_path: Path) -> None:
    """Fsspec's chains work: a file inside of a zip."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in/a.csv", "x\n1\n")
    assert run(cs.read.csv(f"zip://in/a.csv::{tmp_path}/a.zip", as_="rows")) == [{"x": "1"}]


@pytest.mark.slow
def test_files_of_the_web() -> None:
    """An http address is read over fsspec; it cannot be written, and the error says so."""
    with Service() as service:
        service.stored["a.csv"] = b"x\n1\n"
        assert run(cs.read.csv(f"{service.url}/store/a.csv", as_="rows")) == [{"x": "1"}]
        with pytest.raises((PlaceError, OSError)):
            run(cs.write.text(f"{service.url}/store/b", "x"))


def test_secrets_in_options_do_not_show() -> None:
    """Storage options may hold secret Params; no event and no error has them, and they do not count."""
    secret = cs.Param("pw", secret=True)
    lazy = cs.read.text(
        "ftp://127.0.0.1:1/x", storage={"host": "127.0.0.1", "port": 1, "password": secret, "timeout": 1}
    )
    made = cs.start(lazy, params={"pw": "S3CR3T-ab12"}, log_level=None)
    with pytest.raises(Exception, match=r".") as caught:
        made.result(20)
    assert "S3CR3T" not in str(caught.value) + repr(made.events)


@pytest.mark.slow
def test_half_written_files_are_never_read(tmp_path: Path) -> None:
    """While one task writes again and again, another reads whole files only."""
    path, done = tmp_path / "a", threading.Event()
    whole = {b"a" * 200_000, b"b" * 100_000}
    path.write_bytes(b"a" * 200_000)

    def write() -> None:
        for n in range(40):
            run(cs.write.bytes(path, b"b" * 100_000 if n % 2 else b"a" * 200_000))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert path.read_bytes() in whole
    writer.join()
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_what_was_found_can_be_passed_on() -> None:
    """A Remote is an address with a version, and stands where an address does."""
    found = run(cs.write.text("memory://passed/a", "1"))
    assert isinstance(found, Remote)
    assert run(cs.read.text(found)) == "1"
