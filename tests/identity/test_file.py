from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest

from cascade.identity.data import data_key
from cascade.spec.file import File


def age(path: Path, seconds: int = 100) -> None:
    """Let a file look as if it had been written a while ago."""
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns - seconds * 1_000_000_000))


def test_a_file_is_what_it_holds(tmp_path: Path) -> None:
    """Files of the same content have one key, wherever they are and whenever they were written."""
    one, other = tmp_path / "a.csv", tmp_path / "b.csv"
    one.write_text("x")
    other.write_text("x")
    age(other)
    assert data_key(File(one)) == data_key(File(other))
    other.write_text("y")
    assert data_key(File(one)) != data_key(File(other))


def test_a_rewrite_of_the_same_size_is_seen(tmp_path: Path) -> None:
    """Same size and a restored time of modification do not hide a change."""
    path = tmp_path / "a"
    keys = []
    for text in ("aaa", "bbb", "ccc"):
        path.write_text(text)
        os.utime(path, ns=(10**18, 10**18))
        keys.append(data_key(File(path)))
    assert len(set(keys)) == 3


def test_a_coarse_clock_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where two writes fall into one tick of the file system's clock, the second one is seen, too."""
    import cascade.spec.file as module

    monkeypatch.setattr(module, "_signature", lambda stat: (stat.st_ino, stat.st_size))
    path = tmp_path / "a"
    digests = []
    for text in ("aaa", "bbb"):
        path.write_text(text)
        digests.append(File(path).digest())
    assert digests[0] != digests[1]


def test_the_content_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that has not changed for a while is not read again."""
    import cascade.spec.file as module

    path = tmp_path / "a"
    path.write_text("x")
    reads: list[str] = []
    real = module._read
    monkeypatch.setattr(module, "_read", lambda path: reads.append(path) or real(path))
    later = path.stat().st_ctime_ns + 10**9
    monkeypatch.setattr(module.time, "time_ns", lambda: later)
    assert File(path).digest() == File(path).digest()
    assert len(reads) == 1
    path.write_text("y")
    File(path).digest()
    assert len(reads) == 2


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    """Its key is that of something missing, and changes when it comes."""
    file = File(tmp_path / "later" / "a")
    assert file.digest() == "missing"
    before = data_key(file)
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "a").touch()
    assert data_key(file) != before
    assert data_key(File(tmp_path / "later" / "a" / "b")) == before


def test_a_folder_is_its_names_and_contents(tmp_path: Path) -> None:
    """Names at any depth and contents count, order and times do not."""
    keys = []
    for number, edit in enumerate(("", "content", "name", "empty", "link")):
        folder = tmp_path / str(number)
        (folder / "in").mkdir(parents=True)
        for name in ("b", "a") if number else ("a", "b"):
            (folder / "in" / name).write_text(name)
        if edit == "content":
            (folder / "in" / "a").write_text("z")
        elif edit == "name":
            (folder / "in" / "a").rename(folder / "in" / "c")
        elif edit == "empty":
            (folder / "more").mkdir()
        elif edit == "link":
            (folder / "up").symlink_to(folder)
        keys.append(data_key(File(folder)))
    assert len(set(keys)) == len(keys)
    again = tmp_path / "again"
    (again / "in").mkdir(parents=True)
    for name in "ba":
        (again / "in" / name).write_text(name)
    assert data_key(File(again)) == keys[0]


def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    """A folder with a broken link has a key."""
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    assert data_key(File(tmp_path)).startswith("v:")


def test_it_is_a_path(tmp_path: Path) -> None:
    """It can be opened and joined, is equal by path, and travels by pickle and as text."""
    path = tmp_path / "a"
    path.write_text("x")
    file = File(path)
    with open(file) as opened:  # noqa: PTH123 - that this works is the point
        assert opened.read() == "x"
    assert Path(file) == path
    assert os.path.join(file, "b") == str(path / "b")  # noqa: PTH118 - the same
    assert pickle.loads(pickle.dumps(file)) == file == File(str(path)) != File(tmp_path)
    assert hash(file) == hash(File(path))
    assert File(json.loads(json.dumps(file.path))) == file
    assert repr(File("a")) == "File('a')"
    assert f"{File('a')}" == "a"
    with pytest.raises(TypeError, match=r"takes a path of text, not bytes\. Decode it"):
        File(b"a")  # type: ignore[arg-type]
