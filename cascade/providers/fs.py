"""Files and folders as a whole: ``cs.fs.exists``, ``glob``, ``list``, ``copy``, ``move``, ``remove``, ``mkdir``.

In: paths, or addresses that fsspec reaches. Out: what there is, as sorted paths. Invariant: with ``root=``, nothing
outside of it is seen, made or removed, and all paths, given and returned, are relative to it. Nothing here is pure:
each run looks anew.
"""

from __future__ import annotations

import builtins
import errno
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path as LocalPath
from typing import IO, Any, Final

import cascade as cs
from cascade.providers.storage import LocalSpot, Remote, RemoteSpot, Spot, find_spot, shown_address
from cascade.providers.storage_errors import PlaceError
from cascade.providers.storage_faults import nothing_to_remove

__all__ = ["copy", "exists", "glob", "list", "mkdir", "move", "remove"]

Path = str | os.PathLike[str] | Remote
Storage = Mapping[str, Any] | None
_BLOCK: Final = 1 << 20  # bytes that are copied at once
_WITH_BUCKETS: Final = ("s3:", "s3a:", "gs:", "gcs:", "az:", "abfs:", "abfss:", "oss:")


# -- looking --------------------------------------------------------------------------------------------------------


@cs.task(name="fs.exists")
def exists(path: Path, *, root: str | None = None, storage: Storage = None) -> bool:
    """Say whether there is a file or folder.

    Args:
        path: of this machine, or an address for fsspec. root: what `path` is relative to and must stay under.
        storage: options for fsspec: keys, end points and the like.

    Raises:
        PlaceError: when `path` is none, or leads out of `root`.

    Example:
        >>> import cascade as cs
        >>> cs.run([cs.fs.exists("."), cs.fs.exists("no/such/file")], log_level="ERROR")
        [True, False]
    """
    return _is_there(find_spot(path, root, storage))


@cs.task(name="fs.glob")
def glob(pattern: str, *, root: str | None = None, storage: Storage = None) -> builtins.list[str]:
    """Return the paths that fit a pattern, sorted; ``**`` stands for folders at any depth.

    Args:
        pattern: as ``data/*.csv`` or ``s3://bucket/**/*.parquet``. root, storage: see `cs.fs.exists`.

    Raises:
        PlaceError: when `pattern` leads out of `root`.

    Example:
        >>> import cascade as cs
        >>> made = cs.write.text("memory://globbed/a.txt", "")
        >>> cs.run(cs.fs.glob("memory://globbed/*.txt").after(made), log_level="ERROR")
        ['memory://globbed/a.txt']
    """
    if isinstance(pattern, Remote) or not isinstance(pattern, (str, os.PathLike)):
        raise PlaceError.for_pattern(pattern)
    spot = find_spot(pattern, root, storage)
    if isinstance(spot, RemoteSpot):
        with spot.told():
            found = [_address_of(spot, path) for path in spot.system.glob(spot.path)]
        return sorted(_relative(address, root) for address in found)
    if root is None:
        return sorted(_matches(str(spot.path)))
    top = LocalPath(find_spot(".", root).path)
    inside = [top / path for path in _matches(pattern, str(top))]
    return sorted(path.relative_to(top).as_posix() for path in inside if path.resolve().is_relative_to(top))


@cs.task(name="fs.list")
def list(  # noqa: A001 - the word that users look for
    path: Path = ".", *, root: str | None = None, storage: Storage = None
) -> builtins.list[str]:
    """Return the paths of what is in a folder, sorted.

    Args:
        path, root, storage: see `cs.fs.exists`.

    Raises:
        OSError: when there is no such folder. PlaceError: see `cs.fs.exists`.

    Example:
        >>> import cascade as cs
        >>> made = cs.write.text("memory://listed/a.txt", "")
        >>> cs.run(cs.fs.list("memory://listed").after(made), log_level="ERROR")
        ['memory://listed/a.txt']
    """
    spot = find_spot(path, root, storage)
    if isinstance(spot, RemoteSpot):
        with spot.told():
            found = [_address_of(spot, each) for each in spot.system.ls(spot.path, detail=False)]
        return sorted(_relative(address, root) for address in found)
    with spot.told("listed"):
        return sorted(LocalSpot(each, spot.root).address for each in spot.path.iterdir())


# -- changing -------------------------------------------------------------------------------------------------------


@cs.task(name="fs.mkdir")
def mkdir(path: Path, *, root: str | None = None, storage: Storage = None) -> str:
    """Make a folder, and those above it; one that is there is left as it is. Returns its path.

    Args:
        path, root, storage: see `cs.fs.exists`.

    Raises:
        OSError: when a file has that name. PlaceError: see `cs.fs.exists`.

    Example:
        >>> import cascade as cs
        >>> cs.run(cs.fs.mkdir("memory://made/folder"), log_level="ERROR")
        'memory://made/folder'
    """
    spot = find_spot(path, root, storage)
    if isinstance(spot, RemoteSpot):
        spot.check_writable()
        spot.system.makedirs(spot.path, exist_ok=True)
    else:
        with spot.told("made"):
            spot.path.mkdir(parents=True, exist_ok=True)
    return _relative(spot.address, root)


@cs.task(name="fs.copy")
def copy(
    source: Path, target: Path, *, overwrite: bool = True, root: str | None = None, storage: Storage = None
) -> cs.File | Remote:
    """Copy a file, also between this machine and elsewhere; the copy is seen when it is complete.

    Args:
        source, target: paths or addresses; both relative to `root` if there is one.
        overwrite: take the place of a file that is there. root, storage: see `cs.fs.exists`.

    Raises:
        OSError: when there is no such file. PlaceError: when `target` is taken, or one of both leads out of `root`.

    Example:
        >>> import cascade as cs
        >>> made = cs.write.text("memory://copied/a.txt", "hello")
        >>> cs.run(cs.read.text(cs.fs.copy(made, "memory://copied/b.txt")), log_level="ERROR")
        'hello'
    """
    here, there = find_spot(source, root, storage), find_spot(target, root, storage)
    _copy(here, there, overwrite=overwrite)
    return there.source()


@cs.task(name="fs.move")
def move(
    source: Path, target: Path, *, overwrite: bool = True, root: str | None = None, storage: Storage = None
) -> cs.File | Remote:
    """Give a file another name or place; where that cannot be done at once, it is copied first, then removed.

    Args:
        source, target, overwrite, root, storage: see `cs.fs.copy`.

    Raises:
        OSError, PlaceError: see `cs.fs.copy`.

    Example:
        >>> import cascade as cs
        >>> made = cs.write.text("memory://moved/a.txt", "hello")
        >>> cs.run(cs.read.text(cs.fs.move(made, "memory://moved/b.txt")), log_level="ERROR")
        'hello'
    """
    here = find_spot(source, root, storage, follows=False)
    there = find_spot(target, root, storage, follows=False)
    if isinstance(here, LocalSpot) and isinstance(there, LocalSpot):
        _guard(here)
        _move(here, there, overwrite=overwrite)
    else:
        if isinstance(here, RemoteSpot):
            here.check_writable()
        _copy(here, there, overwrite=overwrite)
        _unlink(here)
    return there.source()


@cs.task(name="fs.remove")
def remove(
    path: Path,
    *,
    recursive: bool = False,
    missing_ok: bool = False,
    root: str | None = None,
    storage: Storage = None,
) -> bool:
    """Remove a file, or a folder with all that is in it; say whether there was one. Of a link, the link goes.

    Args:
        path, root, storage: see `cs.fs.exists`. recursive: remove folders, too. missing_ok: nothing there is no error.

    Raises:
        FileNotFoundError: when there is nothing. PlaceError: for a folder without `recursive`, and always for the root
            of a disk or bucket, the home and the working folder, what they stand in, and `root` itself.

    Example:
        >>> import cascade as cs
        >>> made = cs.write.text("memory://removed/a.txt", "hello")
        >>> cs.run(cs.fs.remove("memory://removed/a.txt").after(made), log_level="ERROR")
        True
    """
    spot = find_spot(path, root, storage, follows=False)
    _guard(spot, root)
    if isinstance(spot, RemoteSpot):
        spot.check_writable()
    if not _is_there(spot):
        if missing_ok:
            return False
        raise nothing_to_remove(_relative(shown_address(spot.address), root))
    if not _is_folder(spot):
        _unlink(spot)
    elif not recursive:
        raise PlaceError.for_full_folder(_relative(spot.address, root))
    elif isinstance(spot, RemoteSpot):
        _remove_inside(spot)
    else:
        with spot.told("removed"):
            shutil.rmtree(spot.path)
    return True


# -- both kinds of places -------------------------------------------------------------------------------------------


def _is_there(spot: Spot) -> bool:
    if isinstance(spot, RemoteSpot):
        return spot.exists()
    return os.path.lexists(spot.path)


def _is_folder(spot: Spot) -> bool:
    if isinstance(spot, RemoteSpot):
        with spot.told():
            return bool(spot.system.isdir(spot.path))
    return spot.path.is_dir() and not spot.path.is_symlink()


def _remove_inside(spot: RemoteSpot) -> None:
    """Remove a folder with all that is in it; ``rm`` of fsspec would take stars in a name for a pattern."""
    found = spot.system.find(spot.path, withdirs=True, detail=True)
    folders = [path for path, facts in found.items() if facts.get("type") == "directory"]
    for path in found:
        if path not in folders:
            spot.system.rm_file(path)
    for path in (*sorted(folders, key=len, reverse=True), spot.path):
        with suppress(FileNotFoundError):  # most services have no folders
            if spot.system.exists(path):
                spot.system.rmdir(path)


def _unlink(spot: Spot) -> None:
    if isinstance(spot, RemoteSpot):
        spot.system.rm_file(spot.path)
    else:
        with spot.told("removed"):
            spot.path.unlink()


def _copy(here: Spot, there: Spot, *, overwrite: bool) -> None:
    if _is_folder(here):
        raise PlaceError.for_folder(here.address if isinstance(here, LocalSpot) else shown_address(here.address))

    def fill(file: IO[builtins.bytes]) -> None:
        with here.open() as source:
            shutil.copyfileobj(source, file, _BLOCK)

    there.write(fill, overwrite=overwrite)


def _move(here: LocalSpot, there: LocalSpot, *, overwrite: bool) -> None:
    if not _is_there(here):
        with here.told("moved"):
            here.path.lstat()
    if not overwrite and _is_there(there):
        raise PlaceError.for_taken(there.address)
    if not _is_folder(here) and _is_folder(there):
        raise PlaceError.for_folder(there.address)
    if not _is_folder(here) and there.is_folder:
        raise PlaceError.for_folder_name(f"{there.address}/")
    with there.told("written"):
        there.path.parent.mkdir(parents=True, exist_ok=True)
        if not there.path.is_symlink():  # a link is replaced itself
            there.replaceable()
        try:
            here.path.replace(there.path)
        except OSError as error:
            if error.errno == errno.ENOTEMPTY:
                raise PlaceError.for_taken_folder(there.address) from None
            if error.errno != errno.EXDEV:
                raise
            _copy(here, there, overwrite=overwrite)
            here.path.unlink()


def _guard(spot: Spot, root: str | None = None) -> None:
    """Refuse what nobody means to take away: a disk, a bucket, the root; home, working folder and what holds them."""
    if isinstance(spot, LocalSpot):
        if spot.path.is_symlink():
            return  # the link goes, not what it leads to
        here = spot.path.resolve()
        # What the home or the working folder stands in goes with them: ".." is seldom meant to be taken away whole.
        kept = (LocalPath.home().resolve(), LocalPath.cwd().resolve())
        if here == spot.root or any(each.is_relative_to(here) for each in kept):
            raise PlaceError.for_root(spot.address)
        return
    inside = spot.path.strip("/")
    if root is not None:
        inside = spot.address.removeprefix(root.rstrip("/")).strip("/.")
    elif spot.address.lower().startswith(_WITH_BUCKETS):
        inside = inside.partition("/")[2]
    if not inside:
        raise PlaceError.for_root(shown_address(spot.address))


def _matches(pattern: str, top: str | None = None) -> builtins.list[str]:
    from glob import glob as find

    return find(pattern, root_dir=top, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute patterns


def _address_of(spot: RemoteSpot, path: str) -> str:
    """Return the address of what a file system named by a path of its own."""
    scheme, mark, _ = spot.address.partition("://")
    if "::" in spot.address:  # what is inside of an archive
        return f"{scheme}://{path}::{spot.address.partition('::')[2]}"
    return path if path.startswith(f"{scheme}://") else f"{scheme}{mark}{path.lstrip('/')}"


def _relative(address: str, root: str | None) -> str:
    """Return an address relative to a root; a path that is relative already stays."""
    top = None if root is None else f"{os.fspath(root).rstrip('/')}/"
    return address[len(top) :] if top is not None and address.startswith(top) else address
