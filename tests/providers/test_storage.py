from __future__ import annotations

import os
import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.providers.storage import LocalSpot, Remote, RemoteSpot, find_spot, shown_address
from cascade.providers.storage_errors import PlaceError
from tests.providers.hostile import HOSTILE, Canary

CLIMBING = [
    "..", "../x", "a/../../x", "a/b/../../../x", "/etc/passwd", "//etc/passwd", "/", "~/../../etc/passwd",
    "file:///etc/passwd", "FILE:///etc/passwd", "local:///etc/passwd", "s3://bucket/x", "memory://x",
    "http://127.0.0.1:1/x", "simplecache::file:///etc/passwd", "link/x", "link", "loop", "./../x", "a/./../../x",
]  # fmt: skip
REMOTE_CLIMBING = [
    "..", "../x", "a/../../x", "%2e%2e/x", "%2E%2E%2Fx", "%252e%252e/x", "..%2fx", "..\\x", "/x", "\\x",
    "s3://other/x", "x::file:///etc/passwd", "file:///etc/passwd",
]  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a folder, a link out of it, and a circle of links."""
    made = tmp_path / "root"
    (made / "a" / "b").mkdir(parents=True)
    (made / "link").symlink_to(tmp_path)
    (made / "loop").symlink_to(made / "loop")
    (made / "inner").symlink_to(made / "a")
    (tmp_path / "x").write_text("outside")
    return made


@pytest.mark.parametrize("text", CLIMBING)
def test_nothing_leads_out_of_a_root(root: Path, text: str) -> None:
    """Dots, absolute paths, other schemes and links stay under the root or are refused; a link may lead within it."""
    with suppress(PlaceError):
        spot = find_spot(text, str(root))
        assert isinstance(spot, LocalSpot)
        assert spot.path.resolve().is_relative_to(root.resolve())
        assert spot.path.resolve() != root.parent / "x"
    assert find_spot("inner/b", root).path == root / "a" / "b"


@pytest.mark.parametrize("base", ["memory://top/root", "http://127.0.0.1:1/root"])
@pytest.mark.parametrize("text", REMOTE_CLIMBING)
def test_nothing_leads_out_of_an_address(base: str, text: str) -> None:
    """The same for a root elsewhere, also for what a service would decode first."""
    with pytest.raises(PlaceError, match="root="):
        find_spot(text, base)


def test_names_under_an_address() -> None:
    """Ordinary names are put behind the root."""
    assert find_spot("a/b.csv", "memory://top/root/").address == "memory://top/root/a/b.csv"  # type: ignore[union-attr]
    with pytest.raises(PlaceError):
        find_spot("a?b", "https://127.0.0.1:1/root")


def test_what_is_no_path() -> None:
    """Nothing, numbers, bytes and zero bytes are said in words."""
    for given, words in (("", "empty"), (3, "not int"), (b"x", "not bytes"), ("a\0b", "zero byte")):
        with pytest.raises(PlaceError, match=words):
            find_spot(given)  # type: ignore[arg-type]
    with pytest.raises(PlaceError, match="no address that fsspec knows"):
        find_spot("nosuchscheme://x")


def test_file_addresses_are_paths(tmp_path: Path) -> None:
    """file:// stands for a path of this machine, also with blanks."""
    assert find_spot(f"file://{tmp_path}/a%20b").path == tmp_path / "a b"  # type: ignore[union-attr]


def test_a_file_is_seen_whole(tmp_path: Path) -> None:
    """While it is written the old one stands, when writing fails nothing is left, and rights and links stay."""
    target = tmp_path / "t"
    target.write_bytes(b"old")
    target.chmod(0o640)
    (tmp_path / "link").symlink_to(target)

    def fill(file: Any) -> None:
        file.write(b"new")
        file.flush()
        assert target.read_bytes() == b"old"

    LocalSpot(tmp_path / "link").write(fill)
    assert (target.read_bytes(), target.stat().st_mode & 0o777, (tmp_path / "link").is_symlink()) == (
        b"new",
        0o640,
        True,
    )

    def fail(file: Any) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LocalSpot(target).write(fail)
    assert target.read_bytes() == b"new"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link", "t"]


def test_overwrite_off(tmp_path: Path) -> None:
    """A name that is taken, also in the last moment, is an error, and nothing is left."""
    spot = LocalSpot(tmp_path / "new")

    def fill(file: Any) -> None:
        (tmp_path / "new").write_text("another's")

    with pytest.raises(PlaceError, match="exists already"):
        spot.write(fill, overwrite=False)
    with pytest.raises(PlaceError, match="exists already"):
        spot.write(lambda file: file.write(b"x"), overwrite=False)
    assert [each.name for each in tmp_path.iterdir()] == ["new"]
    LocalSpot(tmp_path / "other").write(lambda file: file.write(b"x"), overwrite=False)
    assert (tmp_path / "other").read_bytes() == b"x"
    with pytest.raises(PlaceError, match="is a folder"):
        LocalSpot(tmp_path).write(lambda file: file.write(b"x"))


def test_a_remote_file_is_put_whole() -> None:
    """Elsewhere nothing is put when writing fails; the version changes with the content."""
    spot = find_spot("memory://whole/a")
    assert isinstance(spot, RemoteSpot)
    spot.write(lambda file: file.write(b"one"))
    first = spot.source()

    def fail(file: Any) -> None:
        file.write(b"half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        spot.write(fail)
    assert (spot.read(), spot.source()) == (b"one", first)
    spot.write(lambda file: file.write(b"two"))
    assert spot.source() != first
    with pytest.raises(PlaceError, match="exists already"):
        spot.write(lambda file: file.write(b"x"), overwrite=False)


def test_what_nobody_can_tell_is_new_each_time() -> None:
    """A file of which the service says nothing, or that is not there, has no version that would serve again."""
    spot = find_spot("memory://none/at/all")
    assert spot.source() != spot.source()


def test_remote_files_show_no_passwords() -> None:
    """Neither repr nor the key has what stands before an @; they travel."""
    made = Remote("sftp://ada:hunter22@host/a", "v1")
    assert "hunter22" not in repr(made) + str(made) + repr(made.__cascade_digest__()) + shown_address(made.address)
    assert pickle.loads(pickle.dumps(made)) == made
    assert "hunter22" not in repr(RemoteSpot(made.address, None, "a"))


@pytest.mark.slow
def test_hostile_paths_stay_under_their_root(canary: Canary) -> None:
    """Sixty texts through every provider of files: what is made is under the root, what was there is as it was."""
    root = canary.cage / "root"
    at = str(root)
    for text in [*HOSTILE, *CLIMBING, *REMOTE_CLIMBING]:
        root.mkdir(exist_ok=True)
        (root / "seed").write_text("seed")
        for make in (
            lambda t: cs.write.text(t, "made", root=at), lambda t: cs.write.json(t, {}, root=at),
            lambda t: cs.write.csv(t, {"x": [1]}, root=at),
            lambda t: cs.write.bytes(t, b"", root=at, overwrite=False),
            lambda t: cs.write.table(t, {"x": [1]}, root=at), lambda t: cs.read.text(t, root=at),
            lambda t: cs.read.bytes(t, root=at), lambda t: cs.read.csv(t, root=at),
            lambda t: cs.read.json(t, root=at), lambda t: cs.read.table(t, root=at),
            lambda t: cs.read.text.map(path=[t, "seed"], root=at),
            lambda t: cs.read.text("seed", encoding=t, root=at), lambda t: cs.read.csv("seed", as_=t, root=at),
            lambda t: cs.fs.exists(t, root=at), lambda t: cs.fs.glob(t, root=at), lambda t: cs.fs.list(t, root=at),
            lambda t: cs.fs.mkdir(t, root=at), lambda t: cs.fs.copy("seed", t, root=at),
            lambda t: cs.fs.copy(t, "copied", root=at), lambda t: cs.fs.move(t, "moved", root=at),
            lambda t: cs.fs.remove(t, root=at, recursive=True), lambda t: cs.fs.move("seed", t, root=at),
            lambda t: cs.io.local.write(t, "x", root=at), lambda t: cs.io.local.read(t, root=at),
        ):  # fmt: skip
            try:
                found = cs.run(make(text), log_level=None)
            except (ValueError, OSError, LookupError, ImportError):
                continue
            assert "root:" not in str(found)  # of /etc/passwd
            assert "sings" not in str(found)
        assert root.is_dir()
        for folder, _, names in os.walk(root):
            assert all(Path(folder, name).resolve().is_relative_to(root) for name in names)
    import shutil

    shutil.rmtree(root)


def test_a_table_in_the_place_of_the_path_is_told_which_comes_first() -> None:
    """Pandas has the table first; who writes it so here learns the order."""
    with pytest.raises(PlaceError, match=r"not list\. It comes first: .* cs\.write\.csv\('out\.csv', table\)"):
        find_spot([{"a": 1}])  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path) -> None:
    """A pipe, as a device of the machine, stays what it is, also behind a link and where something moves onto it."""
    pipe, link, file = tmp_path / "pipe", tmp_path / "link", tmp_path / "file"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    file.write_text("kept")
    for call in (
        cs.write.text(str(pipe), "x"),
        cs.write.json(str(link), 1),
        cs.fs.copy(str(file), str(pipe)),
        cs.fs.move(str(file), str(pipe)),
    ):
        with pytest.raises(PlaceError, match="a device, a pipe or a socket, and is not replaced"):
            cs.run(call, log_level=None)
    assert pipe.is_fifo()
    assert file.read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link", "pipe"]


def test_writing_where_links_lead_in_a_circle(tmp_path: Path) -> None:
    """A circle of links is told as the system tells it, whether one reads or writes."""
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for call in (cs.write.text(str(loop), "x"), cs.read.text(str(loop))):
        with pytest.raises(OSError, match="Too many levels of symbolic links"):
            cs.run(call, log_level=None)
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]
