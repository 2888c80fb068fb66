from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.providers.storage_errors import PlaceError


def run(lazy: Any, **options: Any) -> Any:
    """What one call gives."""
    return cs.run(lazy, log_level=None, **options)


@pytest.fixture(params=["{folder}", "memory://fs-{name}"])
def base(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A folder with files, here and elsewhere."""
    made = request.param.format(folder=tmp_path, name=tmp_path.name)
    for name in ("a.txt", "b.txt", "c.csv", "in/d.txt", "in/deep/e.txt", "st*r.txt"):
        run(cs.write.text(f"{made}/{name}", name))
    return str(made)


def test_looking(base: str) -> None:
    """exists, list and glob tell what there is, sorted; with root= all is relative to it."""
    assert run([cs.fs.exists(f"{base}/a.txt"), cs.fs.exists(f"{base}/in"), cs.fs.exists(f"{base}/no")]) == [
        True,
        True,
        False,
    ]
    assert run(cs.fs.list(base)) == [f"{base}/{name}" for name in ("a.txt", "b.txt", "c.csv", "in", "st*r.txt")]
    assert run(cs.fs.glob(f"{base}/?.txt")) == [f"{base}/a.txt", f"{base}/b.txt"]
    assert run(cs.fs.glob(f"{base}/**/*.txt")) == [
        f"{base}/{name}" for name in ("a.txt", "b.txt", "in/d.txt", "in/deep/e.txt", "st*r.txt")
    ]
    assert run(cs.fs.exists("a.txt", root=base))
    assert run(cs.fs.list("in", root=base)) == ["in/d.txt", "in/deep"]
    assert run(cs.fs.glob("in/*.txt", root=base)) == ["in/d.txt"]
    assert run(cs.read.text.map(cs.fs.glob("?.txt", root=base), root=base)) == ["a.txt", "b.txt"]


def test_copy_and_move(base: str, tmp_path: Path) -> None:
    """Files go between here and elsewhere; folders on the way are made; a taken name is kept where asked."""
    other = str(tmp_path / "other") if base.startswith("memory") else "memory://fs-other"
    for target in (f"{base}/new/x.txt", f"{other}/x.txt"):
        assert run(cs.read.text(cs.fs.copy(f"{base}/a.txt", target))) == "a.txt"
        with pytest.raises(PlaceError, match="exists already"):
            run(cs.fs.copy(f"{base}/b.txt", target, overwrite=False))
        assert run(cs.read.text(cs.fs.move(target, f"{base}/moved.txt"))) == "a.txt"
        assert not run(cs.fs.exists(target))
    with pytest.raises(PlaceError, match="exists already"):
        run(cs.fs.move(f"{base}/b.txt", f"{base}/c.csv", overwrite=False))
    assert run(cs.read.text(f"{base}/c.csv")) == "c.csv"
    with pytest.raises(FileNotFoundError):
        run(cs.fs.copy(f"{base}/no", f"{base}/x"))
    with pytest.raises(PlaceError, match="is a folder"):
        run(cs.fs.copy(f"{base}/in", f"{base}/x"))
    assert not run(cs.fs.exists(f"{base}/x"))


def test_remove(base: str) -> None:
    """A file goes, a folder where asked, a star in a name is no pattern, and a root stays."""
    assert run(cs.fs.remove(f"{base}/st*r.txt")) is True
    assert run(cs.fs.exists(f"{base}/a.txt"))
    with pytest.raises(FileNotFoundError, match="nothing to remove"):
        run(cs.fs.remove(f"{base}/st*r.txt"))
    assert run(cs.fs.remove(f"{base}/st*r.txt", missing_ok=True)) is False
    with pytest.raises(PlaceError, match="recursive=True"):
        run(cs.fs.remove(f"{base}/in"))
    assert run(cs.fs.remove(f"{base}/in", recursive=True))
    assert run(cs.fs.list(base)) == [f"{base}/{name}" for name in ("a.txt", "b.txt", "c.csv")]
    for root in (".", "in/..", "./"):
        with pytest.raises(PlaceError):
            run(cs.fs.remove(root, root=base, recursive=True))
    assert run(cs.fs.exists(f"{base}/a.txt"))


@pytest.mark.parametrize("path", ["/", "~", "~/", "/..", "memory://", "s3://bucket", "s3://bucket/", "gs://bucket"])
def test_nobody_removes_everything(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk, a home folder, a bucket are not removed, whoever says so."""
    monkeypatch.setenv("NO_GCE_CHECK", "true")  # gcsfs would look for a while whether this is a machine of Google's
    with pytest.raises((PlaceError, ImportError)):
        run(cs.fs.remove(path, recursive=True))


@pytest.mark.parametrize("path", [".", "..", "../..", "../../../a", "{top}/a"])
def test_the_working_folder_stays(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the working folder nor a folder that holds it is removed or moved; all that is in them stays."""
    inner = tmp_path / "a" / "b" / "c"
    inner.mkdir(parents=True)
    canaries = [each / "canary.txt" for each in (inner, inner.parent, inner.parent.parent)]
    for canary in canaries:
        canary.write_text("alive")
    monkeypatch.chdir(inner)
    place = path.format(top=tmp_path)
    with pytest.raises(PlaceError, match="working folder"):
        run(cs.fs.remove(place, recursive=True))
    with pytest.raises(PlaceError, match="working folder"):
        run(cs.fs.move(place, str(tmp_path / "gone")))
    assert [canary.read_text() for canary in canaries] == ["alive"] * 3


def test_of_a_link_the_link_goes(tmp_path: Path) -> None:
    """What a link leads to stays, also when the link leads out of the root or to a folder."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "keep").write_text("1")
    (root / "link").symlink_to(outside)
    (root / "a").symlink_to(outside / "keep")
    assert run(cs.fs.remove("link", root=str(root), recursive=True))
    run(cs.fs.move("a", "b", root=str(root)))
    assert (root / "b").is_symlink()
    assert (outside / "keep").read_text() == "1"
    (root / "out").symlink_to(outside)
    assert run(cs.fs.glob("**/keep", root=str(root))) == []
    with pytest.raises(PlaceError, match="leads out"):
        run(cs.fs.list("out", root=str(root)))


def test_mkdir(base: str) -> None:
    """Folders are made with those above them, again without harm; the path comes back."""
    for _ in range(2):
        assert run(cs.fs.mkdir("new/er", root=base)) == "new/er"
    assert run(cs.fs.exists(f"{base}/new/er"))


def test_a_map_of_changes(base: str) -> None:
    """Each of several files is removed by one map."""
    assert run(cs.fs.remove.map(path=[f"{base}/a.txt", f"{base}/b.txt"])) == [True, True]


def test_looking_is_never_remembered(base: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What there is is asked in each run, whatever the store knows."""
    store = tmp_path_factory.mktemp("store")
    assert run(cs.fs.exists(f"{base}/new"), cache=store) is False
    run(cs.write.text(f"{base}/new", "1"))
    assert run(cs.fs.exists(f"{base}/new"), cache=store) is True
