"""What people type by mistake: each error says what happened, where, and what to do, and nothing is half written."""

from __future__ import annotations

import pickle
import resource
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.providers.content import check_order
from cascade.providers.errors import PartError, ProviderError
from cascade.providers.http_errors import HttpError
from cascade.providers.storage import LocalSpot
from cascade.providers.storage_errors import PlaceError
from cascade.providers.storage_faults import FileFaultError
from cascade.providers.tables_errors import OptionError, TableError
from tests.providers.http_service import Service


def run(lazy: Any, **options: Any) -> Any:
    """What one call gives."""
    return cs.run(lazy, log_level=None, **options)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with some files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sales.csv").write_text("a;b\n1;2\n")
    (tmp_path / "latin.csv").write_bytes("name\nJos\xe9\n".encode("latin-1"))
    (tmp_path / "empty.csv").touch()
    (tmp_path / "data").mkdir()
    return tmp_path


# -- the path and the content ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [cs.write.text, cs.write.json, cs.io.local.write])
@pytest.mark.parametrize("text", ["hello world", "one\ntwo", "data/one\ntwo"])
def test_a_text_in_the_place_of_the_path_is_refused(work: Path, write: Any, text: str) -> None:
    """The error says which comes first, and no file is made."""
    before = sorted(work.iterdir())
    with pytest.raises(PlaceError, match="the path comes first"):
        run(write(text, "out.txt"))
    assert sorted(work.iterdir()) == before


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("out.txt", "hello world"), ("my notes", "see a.txt"), ("my notes.md", "out.txt"), ("CURRENT", "model-3.bin"),
        ("my notes", "The end."), ("data/my notes", "a.txt"), ("my notes", "v1.5 of it"), ("my notes", "1.5"),
        ("my notes", ""), (Path("latest model"), "model.bin"), ("taken name", "model.bin"),
    ],
)  # fmt: skip
def test_honest_paths_are_not_refused(work: Path, path: Any, content: str) -> None:
    """Names with spaces stay possible; whoever means what looks swapped gives a Path, or has the file already."""
    (work / "taken name").touch()
    check_order(path, content)
    run(cs.write.text(path, content))
    assert (work / path).read_text() == content


def test_what_is_no_content_is_told(work: Path) -> None:
    """A number would have become so many zero bytes; bytes before the path are told the order."""
    with pytest.raises(TypeError, match="takes bytes or a text, not int"):
        run(cs.io.local.write("n.bin", 3))  # type: ignore[arg-type]
    with pytest.raises(PlaceError, match="It comes first"):
        run(cs.write.bytes(b"x", "n.bin"))  # type: ignore[arg-type]
    with pytest.raises(TableError, match="'utf-8' takes any text"):
        run(cs.write.text("n.txt", "\u2603", encoding="latin-1"))
    with pytest.raises(TableError, match="unknown encoding"):
        run(cs.write.text("n.txt", "x", encoding="nope"))
    with pytest.raises(TableError, match="'x' has 2, 'y' has 1"):
        run(cs.write.csv("n.csv", {"x": [1, 2], "y": [1]}))
    with pytest.raises(TypeError, match=r"missing a required argument: 'path'. 'pth' is none of its own arguments"):
        cs.read.csv(pth="a.csv")
    with pytest.raises(TypeError, match="missing a required argument"):
        cs.read.text()
    with pytest.raises(PlaceError, match=r"For several, write .map"):
        run(cs.read.csv(["a.csv", "b.csv"]))  # type: ignore[arg-type]
    assert not [*work.glob("n.*")]


# -- what the disk says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["text", "bytes", "json", "csv", "parquet", "table"])
def test_a_missing_file_is_told_with_the_nearest_name(work: Path, name: str) -> None:
    """Each reader says where it looked, and what stands there under a similar name; the error travels."""
    with pytest.raises(FileNotFoundError) as caught:
        run(getattr(cs.read, name)("sale.csv"))
    said = f"There is no file 'sale.csv' in the working folder '{work}'. Did you mean 'sales.csv'?"
    assert str(caught.value) == said
    assert (caught.value.errno, caught.value.filename) == (2, "sale.csv")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), str(copy), copy.errno) == (type(caught.value), said, 2)


@pytest.mark.parametrize(
    ("lazy", "kind", "words"),
    [
        (lambda: cs.read.text("dta/a.csv"), FileNotFoundError, "no folder 'dta' in .* Did you mean 'data'"),
        (lambda: cs.read.text("*.csv"), FileNotFoundError, r"pattern: cs.read.csv.map\(cs.fs.glob"),
        (lambda: cs.read.text("sale.csv", root="."), FileNotFoundError, "under root='.*Did you mean 'sales.csv'"),
        (lambda: cs.read.text("lost"), FileNotFoundError, "is a link that leads nowhere"),
        (lambda: cs.read.text("data"), IsADirectoryError, "'data' is a folder. Name a file in it"),
        (lambda: cs.read.text("sales.csv/x"), NotADirectoryError, "nothing in 'sales.csv', which is a file"),
        (lambda: cs.write.text("sales.csv/x", "y"), NotADirectoryError, "'sales.csv/x' cannot be written"),
        (lambda: cs.write.text("new/", "y"), PlaceError, "Name a file in it: 'new/name'"),
        (lambda: cs.write.text("x" * 300, "y"), OSError, "cannot be written: File name too long"),
        (lambda: cs.fs.list("sales.csv"), NotADirectoryError, "is a file, no folder"),
        (lambda: cs.fs.list("dat"), FileNotFoundError, "Did you mean 'data'"),
        (lambda: cs.fs.mkdir("sales.csv"), FileExistsError, "there already, and is no folder"),
        (lambda: cs.fs.mkdir("sales.csv/x"), NotADirectoryError, "nothing in 'sales.csv'"),
        (lambda: cs.fs.copy("sale.csv", "b"), FileNotFoundError, "Did you mean 'sales.csv'"),
        (lambda: cs.fs.move("sale.csv", "b"), FileNotFoundError, "Did you mean 'sales.csv'"),
        (lambda: cs.fs.move("sales.csv", "new/"), PlaceError, "ends as the name of a folder"),
        (lambda: cs.fs.move("sales.csv", "data"), PlaceError, "is a folder"),
        (lambda: cs.fs.remove("sale.csv"), FileNotFoundError, "nothing to remove at 'sale.csv'.*missing_ok"),
        (lambda: cs.fs.glob(["*.csv"]), PlaceError, "For several, write .map"),  # type: ignore[arg-type]
        (lambda: cs.load_yaml("sales.yml"), FileNotFoundError, "write text="),
        (lambda: cs.load_yaml("http://me:pw@host/a.yml"), ProviderError, "me:•••@host.*Have it read first"),
        (lambda: cs.read.text("memory://no/such"), FileNotFoundError, "There is no file 'memory://no/such'"),
    ],
)  # fmt: skip
def test_what_the_disk_says_is_told_in_sentences(
    work: Path, lazy: Callable[[], Any], kind: type[Exception], words: str
) -> None:
    """The error is of the system's kind, names what was asked for, and says what to do; nothing has changed."""
    (work / "lost").symlink_to(work / "gone")
    before = sorted(work.iterdir())
    with pytest.raises(kind, match=words) as caught:
        run(lazy())
    assert "Errno" not in str(caught.value)
    assert ".tmp" not in str(caught.value)
    assert sorted(work.iterdir()) == before


def test_the_frames_of_an_error_are_none_of_a_library(work: Path) -> None:
    """What people read of a failure leads to their own lines, not into contextlib."""
    run_ = cs.start(cs.read.csv("sale.csv"), log_level=None)
    with pytest.raises(FileNotFoundError):
        run_.result()
    failed = next(event for event in run_.events if isinstance(event, ev.NodeFailed))
    assert not [frame for frame in failed.frames if "contextlib" in str(frame)]


def test_a_folder_that_takes_no_files_is_named_not_the_temporary_file() -> None:
    """The folder of processes is one."""
    with pytest.raises(OSError, match="'/proc/x' cannot be written") as caught:
        run(cs.write.text("/proc/x", "y"))
    assert ".tmp" not in str(caught.value)


def test_a_disk_that_is_full_leaves_what_was_there(work: Path) -> None:
    """The error names the file, the old content stays, and no part of the new one."""
    target = work / "out.txt"
    target.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(FileFaultError, match=r"out.txt' cannot be written: File too large"):
            LocalSpot(target).write(lambda file: file.write(bytes(100_000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert target.read_text() == "old"
    assert sorted(each.name for each in work.iterdir()) == ["data", "empty.csv", "latin.csv", "out.txt", "sales.csv"]


# -- tables ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "right"),
    [("pandas", "sep"), ("polars", "separator"), ("arrow", "sep"), ("rows", "delimiter"), (None, "sep")],
)
def test_a_misspelt_option_is_told_with_the_word_of_the_library(work: Path, kind: str | None, right: str) -> None:
    """Each library has its own word for the same; the error names that one, and is a TypeError."""
    with pytest.raises(OptionError, match=f"takes no option 'seperator'. Did you mean '{right}'"):
        run(cs.read.csv("sales.csv", seperator=";", as_=kind))
    assert issubclass(OptionError, TypeError)
    assert len(run(cs.read.csv("sales.csv", as_=kind, **{right: ";"}))) == 1


@pytest.mark.parametrize(
    ("table", "right"),
    [
        (pd.DataFrame({"x": [1]}), "sep"), (pl.DataFrame({"x": [1]}), "separator"), (pa.table({"x": [1]}), "delimiter"),
        ({"x": [1]}, "delimiter"),
    ],
)  # fmt: skip
def test_a_misspelt_option_of_writing_leaves_no_file(work: Path, table: Any, right: str) -> None:
    """The same for what writes."""
    with pytest.raises(OptionError, match=f"'seperator'. Did you mean '{right}'"):
        run(cs.write.csv("o.csv", table, seperator=";"))
    assert not (work / "o.csv").exists()


def test_options_that_nobody_takes_are_told(work: Path) -> None:
    """Lines of JSON have none, where they would have been passed over in silence."""
    with pytest.raises(OptionError, match=r"write\.jsonl takes no option 'sep'. It takes none"):
        run(cs.write.table("o.jsonl", {"x": [1]}, sep=";"))
    with pytest.raises(OptionError, match="Did you mean 'columns'"):
        run(cs.read.parquet(cs.write.parquet("o.parquet", {"x": [1]}), colums=["x"]))
    assert not (work / "o.jsonl").exists()


def test_an_error_of_the_library_is_one_sentence(work: Path) -> None:
    """No two full stops, no sign of a broken character; other encodings and empty files are told as such."""
    for kind in ("pandas", "polars", "arrow", "rows"):
        with pytest.raises(TableError) as caught:
            run(cs.read.parquet("sales.csv", as_=kind))
        assert ".." not in str(caught.value)
        assert "\ufffd" not in str(caught.value)
    for kind in ("pandas", "polars", "rows"):
        with pytest.raises(TableError, match="encoding='latin-1'"):
            run(cs.read.csv("latin.csv", as_=kind))
        with pytest.raises(TableError, match="is empty") if kind != "rows" else pytest.raises(AssertionError):
            assert run(cs.read.csv("empty.csv", as_=kind))
    with pytest.raises(TableError, match="is empty, which is not valid JSON"):
        run(cs.read.json("empty.csv"))
    with pytest.raises(TableError, match="cannot be written as parquet"):
        run(cs.write.parquet("o.parquet", pd.DataFrame({"x": [1, "a"]})))
    assert not (work / "o.parquet").exists()


# -- texts with places ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lazy", "words"),
    [
        (lambda: cs.shell("ls", cdw="/"), "Did you mean 'cwd'"),
        (lambda: cs.shell(["ls -l"]), r"\['ls', '-l'\]"),
        (lambda: cs.shell("echo x", show=False)["stdot"], "no part 'stdot'. Did you mean 'stdout'"),
        (lambda: cs.format("{fil}"), r"cs.format\(template, fil=…\)"),
        (lambda: cs.template("{{ fil }}"), r"Pass it: cs.template\(source, fil=…\)"),
        (lambda: cs.template(Path("a.j2")), r"cs.template\(cs.read.text\(path\)"),  # type: ignore[arg-type]
        (lambda: cs.template("{{ fil"), r"print statement'\.\n"),
        (lambda: cs.http.get("http://127.0.0.1:9", params="a=1"), "params of a request .* a dict"),
        (lambda: cs.http.get("http://127.0.0.1:9", headers=["a"]), "headers of a request .* a dict"),
        (lambda: cs.http.post("http://127.0.0.1:9", files=["a"]), "files of a request .* a dict"),
        (lambda: cs.http.post("http://127.0.0.1:9", json={"a": {1}}), "json= of a request cannot be sent"),
        (lambda: cs.read.text("http://127.0.0.1:9/a"), "service of .* is not reached: Connection refused"),
        (lambda: cs.http.post("http://127.0.0.1:9", content=cs.File("nope.bin")), "There is no file 'nope.bin'"),
    ],
)
def test_wrong_arguments_are_told_with_advice(work: Path, lazy: Callable[[], Any], words: str) -> None:
    """A misspelt name, a wrong type and a wrong form say what to write instead."""
    with pytest.raises((ProviderError, OSError, KeyError), match=words):
        run(lazy())


def _hang_up(server: socket.socket) -> None:
    connection, _ = server.accept()
    connection.close()


def test_what_a_service_refuses_is_told_with_advice(work: Path) -> None:
    """Who may not enter learns where to look; a part of an answer is asked for as JSON; a break is one sentence."""
    with Service() as service:
        for status in (401, 403):
            with pytest.raises(HttpError, match=f"answered with {status} .* Look at bearer= or auth="):
                run(cs.http.get(f"{service.url}/status/{status}"))
        with pytest.raises(HttpError, match="answered with 404") as caught:
            run(cs.http.get(f"{service.url}/status/404"))
        assert "bearer" not in str(caught.value)
        answer = run(cs.http.get(f"{service.url}/status/404", check=False))
        with pytest.raises(PartError, match=r"as_='json'\)\['stars'\]"):
            answer["stars"]
        with pytest.raises(TypeError, match="not iterable"):
            iter(answer)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        breaking = threading.Thread(target=_hang_up, args=(server,))
        breaking.start()
        with pytest.raises(HttpError, match="got no whole answer in 1 try") as caught:
            run(cs.http.get(url, max_attempts=1))
        breaking.join()
    assert ".." not in str(caught.value)
