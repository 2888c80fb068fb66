"""What the disk or a service says → what happened to which file, and what to do.

In: an error of the system or of a service, and the path or address that the user gave. Out: an error of the same kind,
in sentences, which travels between processes. Invariant: it names the file that was asked for, never one that was made
on the way.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from difflib import get_close_matches
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from socket import gaierror
from typing import Final

from cascade.providers.errors import ProviderError
from cascade.providers.storage_errors import shown

__all__ = [
    "FileFaultError",
    "FileForbiddenError",
    "FileIsFolderError",
    "FileMissingError",
    "FileTakenError",
    "NoFolderError",
    "ServiceAwayError",
    "fault_of_service",
    "no_remote_file",
    "nothing_to_remove",
    "told_of",
]

_MOST_LOOKED_AT: Final = 500  # names in a folder among which a similar one is looked for
_MOST_NAMED: Final = 3
_PATTERN: Final = frozenset("*?[")
# How libraries that are not loaded here call it when nobody answers.
_AWAY: Final = frozenset({"ConnectionError", "ClientConnectionError", "ServerTimeoutError", "FSTimeoutError"})


class FileFaultError(ProviderError, OSError):
    """A file or folder of this machine cannot be used as asked."""

    def __str__(self) -> str:
        """Show the sentence, without the number and the path that it holds already."""
        return str(self.strerror)


class FileMissingError(FileFaultError, FileNotFoundError):
    """There is none."""

    def with_hint(self, hint: str) -> FileMissingError:
        """Return the same with another sentence."""
        return FileMissingError(self.errno, f"{self.strerror} {hint}", self.filename)


class FileIsFolderError(FileFaultError, IsADirectoryError):
    """A folder, where a file is asked for."""


class NoFolderError(FileFaultError, NotADirectoryError):
    """A file, where a folder is asked for."""


class FileTakenError(FileFaultError, FileExistsError):
    """There is one already."""


class FileForbiddenError(FileFaultError, PermissionError):
    """This user may not."""


class ServiceAwayError(FileFaultError, ConnectionError):
    """Nobody answers, or the connection broke."""


def no_remote_file(address: str) -> FileFaultError:
    """Return the error for an address where nothing is."""
    is_web = address.lower().startswith(("http:", "https:"))
    hint = "cs.http.get tells what the service says." if is_web else "Look at cs.fs.list of its folder."
    return FileMissingError(errno.ENOENT, f"There is no file '{shown(address)}'. {hint}", address)


def fault_of_service(address: str, error: BaseException) -> FileFaultError | None:
    """Return what a service, or nobody in its place, said when it was asked for a file; None for any other error.

    Libraries tell all of it in their own ways, and that of fsspec for the web calls each of them a missing file, of
    which the cause says more.
    """
    cause: BaseException | None = error
    while cause is not None:
        said = getattr(cause, "status", None) or getattr(getattr(cause, "response", None), "status_code", None)
        if isinstance(said, int) and said >= HTTPStatus.BAD_REQUEST:
            return _about_answer(address, said)
        if isinstance(cause, gaierror) or _AWAY & {each.__name__ for each in type(cause).__mro__}:
            return _about_absence(address, cause)
        cause = cause.__cause__
    return no_remote_file(address) if isinstance(error, FileNotFoundError) else None


def _about_answer(address: str, status: int) -> FileFaultError:
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        return no_remote_file(address)
    words = f"{status} {HTTPStatus(status).phrase}" if status in {*HTTPStatus} else str(status)
    what = f"The service answered {words} for '{shown(address)}'."
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        hint = "Say who asks: for fsspec in storage=, on the web with cs.http.get(url, bearer=…, to=file)."
        return FileForbiddenError(errno.EACCES, f"{what} {hint}", address)
    hint = "Ask again later, as with_retry does." if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "Look at it again."
    return FileFaultError(errno.EIO, f"{what} {hint}", address)


def _about_absence(address: str, error: BaseException) -> FileFaultError:
    inner = getattr(error, "os_error", error)
    number = getattr(inner, "errno", None) or 0
    said = getattr(inner, "strerror", None) or str(inner) or "it does not answer"
    said = os.strerror(number) if number in errno.errorcode else shown(said).rstrip(".")
    text = f"The service of '{shown(address)}' is not reached: {said}. Look whether it is there, and at the address."
    return ServiceAwayError(number if number in errno.errorcode else errno.EHOSTUNREACH, text, address)


def nothing_to_remove(address: str) -> FileFaultError:
    """Return the error for removing what is not there."""
    text = f"There is nothing to remove at '{shown(address)}'. With missing_ok=True that is no error."
    return FileMissingError(errno.ENOENT, text, address)


class told_of:  # noqa: N801 - reads as a verb: with told_of(path, …)
    """Say in sentences what the system says of a path within the ``with`` block.

    A class, so that no frames of a library stand between the task and the error that people read.

    Args:
        path: that is used. address: as the user knows it. root: that it must stay under. verb: as ``read``.

    Raises:
        FileFaultError: of the kind of the error that the system raised.
    """

    def __init__(self, path: Path, address: str, root: Path | None, verb: str) -> None:
        self._place = (path, address, root, verb)

    def __enter__(self) -> None:
        """Begin to listen."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Put the sentences in the place of what the system said."""
        if isinstance(error, OSError) and not isinstance(error, ProviderError):
            raise _explained(error, *self._place) from None


def _explained(error: OSError, path: Path, address: str, root: Path | None, verb: str) -> FileFaultError:
    name = f"'{shown(address)}'"
    if isinstance(error, FileNotFoundError) and verb == "written" and path.parent.is_dir():  # as that of processes
        text = f"{name} cannot be written: no file can be made in '{shown(path.parent)}'. Take another folder."
        return FileMissingError(errno.ENOENT, text, address)
    if isinstance(error, FileNotFoundError):
        return FileMissingError(errno.ENOENT, _about_missing(path, address, root), address)
    if isinstance(error, IsADirectoryError):
        return FileIsFolderError(errno.EISDIR, f"{name} is a folder. Name a file in it{_some_of(path)}.", address)
    if isinstance(error, (NotADirectoryError, FileExistsError)):
        above = next((each for each in path.parents if each.is_file()), None)
        if above is not None:
            text = f"There is nothing in '{shown(_told(above, root))}', which is a file: {name} cannot be {verb}."
            return NoFolderError(errno.ENOTDIR, text, address)
        if isinstance(error, NotADirectoryError):
            return NoFolderError(errno.ENOTDIR, f"{name} is a file, no folder: it cannot be {verb}.", address)
        return FileTakenError(errno.EEXIST, f"{name} is there already, and is no folder. Take another name.", address)
    said = os.strerror(error.errno) if error.errno else str(error)
    if isinstance(error, PermissionError):
        text = f"{name} cannot be {verb}: {said}. Look who owns it and its folder, or take another place."
        return FileForbiddenError(error.errno or errno.EACCES, text, address)
    return FileFaultError(error.errno or errno.EIO, f"{name} cannot be {verb}: {said}.", address)


def _about_missing(path: Path, address: str, root: Path | None) -> str:
    """Return what is not there, where it was looked for, and what stands there under a similar name."""
    missing, kind = path, "file"
    while not os.path.lexists(missing.parent) and missing.parent != missing:
        missing, kind = missing.parent, "folder"
    where = f" under root='{shown(root)}'" if root is not None else "" if path.is_absolute() else _here()
    name = _told(missing, root) if missing != path else address
    hint = ""
    kind = f"{kind} or folder" if kind == "file" and not path.suffix else kind
    close = get_close_matches(missing.name, _names_in(missing.parent), n=1)
    if missing.is_symlink():
        hint = " It is a link that leads nowhere."
    elif close:
        hint = f" Did you mean '{shown(_told(missing.with_name(close[0]), root))}'?"
    elif _PATTERN & set(address):
        hint = " Files that fit a pattern: cs.read.csv.map(cs.fs.glob('*.csv'))."
    return f"There is no {kind} '{shown(name)}'{where}.{hint}"


def _here() -> str:
    with suppress(OSError):  # it may have been removed
        return f" in the working folder '{shown(Path.cwd())}'"
    return ""


def _told(path: Path, root: Path | None) -> str:
    return path.relative_to(root).as_posix() if root is not None and path.is_relative_to(root) else str(path)


def _names_in(folder: Path) -> list[str]:
    with suppress(OSError), os.scandir(folder) as found:
        return [each.name for each in islice(found, _MOST_LOOKED_AT)]
    return []


def _some_of(folder: Path) -> str:
    names = sorted(name for name in _names_in(folder) if not name.startswith("."))[:_MOST_NAMED]
    return f", such as {', '.join(repr(shown(name)) for name in names)}" if names else ""
