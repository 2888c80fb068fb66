"""Where files are: a path of this machine, or an address that fsspec reaches.

In: a path or an address, perhaps with a root that it must stay under. Out: a `Spot` that can be read, listed and
written. Invariant: what is written is seen whole or not at all, and nothing under a root leads out of it: not ``..``,
no absolute path, no other scheme and no link.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from cascade.providers.errors import ProviderError
from cascade.providers.storage_errors import PlaceError
from cascade.providers.storage_faults import FileMissingError, fault_of_service, told_of

if TYPE_CHECKING:
    import cascade as cs

__all__ = ["LocalSpot", "Remote", "RemoteSpot", "Spot", "find_spot", "is_address", "shown_address"]

# Two letters at least: C:\ is a drive; before it, as in simplecache::https://…, what is put before the service. What is
# within data: stands after its first comma.
_SCHEME: Final = re.compile(
    r"(?:[A-Za-z]\w+::)*[A-Za-z][A-Za-z0-9+.-]+://|(?i:data):(?:[\w.+-]+/[\w.+-]+)?(?:;[\w=.+-]+)*,"
)
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/@]*@")
# Nothing can be changed there, or not by a file that takes another name first, as in archives.
_READ_ONLY: Final = frozenset(
    {"data", "gist", "git", "github", "http", "https", "ipfs", "ipns", "libarchive", "reference", "tar", "zip"}
)
# Services that show a file when it is complete; elsewhere it takes another name first.
_WHOLE: Final = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "memory"})
# What services say of a file that changes whenever its content does; the first that is there counts.
_MARKS: Final = ("ETag", "etag", "md5Hash", "Content-MD5", "generation", "crc32c", "VersionId", "CID", "CRC")
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
_TIMES: Final = ("LastModified", "Last-Modified", "mtime", "modified", "last_modified", "updated", "created")


def is_address(text: str) -> bool:
    """Say whether `text` is for fsspec, as ``s3://bucket/key`` and ``zip://a.csv::b.zip`` are; else it is a path.

    Example:
        >>> is_address("s3://bucket/a.csv"), is_address("data/a.csv"), is_address("file:///data/a.csv")
        (True, False, False)
    """
    return bool(_SCHEME.match(text)) and not text.lower().startswith(("file://", "local://"))


def shown_address(text: str) -> str:
    """Return an address without what stands before an @ in it.

    Example:
        >>> shown_address("sftp://ada:secret@host/a.csv")
        'sftp://host/a.csv'
    """
    return _CREDENTIALS.sub("", text)


@dataclass(frozen=True, slots=True)
class Remote:
    """A file elsewhere, in the version that was there when somebody looked.

    Args:
        address: for fsspec. version: what the service said of the content; a new one each time where it says nothing.
    """

    address: str
    version: str

    def __cascade_digest__(self) -> tuple[str, str]:
        """Count by the content: a task that takes this runs again when the service has something else."""
        return shown_address(self.address), self.version

    def __str__(self) -> str:
        """Show the address."""
        return shown_address(self.address)

    def __repr__(self) -> str:
        """Show the address; the version is for keys."""
        return f"Remote({shown_address(self.address)!r})"


# -- finding --------------------------------------------------------------------------------------------------------


def find_spot(
    given: str | os.PathLike[str] | Remote,
    root: str | os.PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    follows: bool = True,
) -> Spot:
    """Return the place that a path or an address names.

    Args:
        given: a path, an address, or what was found before.
        root: a folder that `given` is relative to and must stay under.
        options: for fsspec: keys, end points and the like.
        follows: whether a link stands for what it leads to; otherwise it is meant itself.

    Raises:
        PlaceError: when it is no place, or leads out of its root.

    Example:
        >>> find_spot("a/b.txt").name
        'b.txt'
    """
    if isinstance(given, Remote):
        return RemoteSpot.at(given.address, options)
    text = _text_of(given)
    if root is None:
        if is_address(text):
            return RemoteSpot.at(text, options)
        plain = _without_scheme(text)
        return LocalSpot(Path(plain), is_folder=_names_folder(plain))
    base = _text_of(root)
    if _SCHEME.match(text) or "::" in text:
        raise PlaceError.for_scheme(text, base)
    if is_address(base):
        return RemoteSpot.at(_joined(base, text), options)
    return _local_under(Path(_without_scheme(base)), text, follows=follows)


def _text_of(given: object) -> str:
    try:
        text = os.fspath(given)  # type: ignore[call-overload]
    except TypeError:
        raise PlaceError.for_kind(given) from None
    if not isinstance(text, str):
        raise PlaceError.for_kind(given)
    if not text:
        raise PlaceError.for_nothing()
    if "\0" in text:
        raise PlaceError.for_zero(text)
    is_home = text == "~" or text.startswith(("~/", "~\\"))
    return os.path.expanduser(text) if is_home else text  # noqa: PTH111 - it may be an address


def _without_scheme(text: str) -> str:
    """Return the path of ``file:///path``; any other text is a path already."""
    found = re.match(r"(?i)(?:file|local)://", text)
    return unquote(text[found.end() :]) if found else text


def _local_under(root: Path, text: str, *, follows: bool) -> LocalSpot:
    top = root.resolve()
    path = top / text
    try:
        path = path.resolve() if follows or path.name in ("", ".", "..") else path.parent.resolve() / path.name
    except (OSError, RuntimeError):  # a circle of links
        raise PlaceError.for_escape(text, str(root)) from None
    if not path.is_relative_to(top):
        raise PlaceError.for_escape(text, str(root))
    return LocalSpot(path, top, is_folder=_names_folder(text))


def _names_folder(text: str) -> bool:
    return text.endswith(("/", os.sep))


def _joined(root: str, text: str) -> str:
    """Return the address of `text` under `root`; refuse whatever a service might read as a way up."""
    plain, before = text, ""
    while plain != before:
        plain, before = unquote(plain), plain
    parts = re.split(r"[/\\]", plain)
    if ".." in parts or plain.startswith(("/", "\\")) or _SCHEME.match(plain) or "::" in plain:
        raise PlaceError.for_escape(text, shown_address(root))
    if re.match(r"(?i)https?://", root) and set(plain) & set("?#\r\n"):
        raise PlaceError.for_escape(text, shown_address(root))
    return f"{root.rstrip('/')}/{text}"


# -- spots ----------------------------------------------------------------------------------------------------------


class LocalSpot:
    """A file or folder of this machine, or a name where one can be.

    Args:
        path: as given, or resolved when there is a root. root: the folder that all names are told relative to.
        is_folder: it was given with a slash at its end, as only the name of a folder is.
    """

    def __init__(self, path: Path, root: Path | None = None, *, is_folder: bool = False) -> None:
        self.path = path
        self.root = root
        self.is_folder = is_folder

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.name

    @property
    def address(self) -> str:
        """The path, relative to the root if there is one."""
        return self.path.relative_to(self.root).as_posix() if self.root is not None else str(self.path)

    def source(self) -> cs.File:
        """Return the file as something whose identity is its content."""
        import cascade as cs

        return cs.File(self.path)

    def open(self) -> IO[bytes]:
        """Open for reading.

        Raises:
            FileFaultError: of the kind that `open` raises.
        """
        with self.told("read"):
            return self.path.open("rb")

    def read(self) -> bytes:
        """Return the content."""
        with self.told("read"):
            return self.path.read_bytes()

    def told(self, verb: str) -> AbstractContextManager[None]:
        """Say of this place what the system says within the ``with`` block."""
        return told_of(self.path, self.address, self.root, verb)

    def write(self, fill: Callable[[IO[bytes]], object], *, overwrite: bool = True) -> None:
        """Have `fill` write the content; see `begin`."""
        with self.begin(overwrite=overwrite) as file:
            fill(file)

    @contextmanager
    def begin(self, *, overwrite: bool = True) -> Iterator[IO[bytes]]:
        """Open for writing; the file is seen when the ``with`` block ends well, and else nothing is left.

        Raises:
            PlaceError: when there is a file and `overwrite` is off. FileFaultError: what the disk says.
        """
        with self.told("written"):
            target = self.replaceable()
            if target.is_dir():
                raise PlaceError.for_folder(str(self.path))
            if self.is_folder:
                raise PlaceError.for_folder_name(f"{self.address}/")
            if not overwrite and target.exists():
                raise PlaceError.for_taken(str(self.path))
            target.parent.mkdir(parents=True, exist_ok=True)
            new = target.parent / f".{secrets.token_hex(8)}.tmp"
            opened = new.open("xb")
        try:
            with opened as file:
                yield file
                with self.told("written"):
                    file.flush()
                    os.fsync(file.fileno())
            with self.told("written"):
                self._show(new, target, overwrite=overwrite)
        except BaseException as error:
            with suppress(OSError):
                new.unlink()
            if isinstance(error, OSError) and error.errno in _FULL:  # the disk's fault, not that of what is copied
                with self.told("written"):
                    raise
            raise

    def replaceable(self) -> Path:
        """Return what a file that is put here would replace: where a link leads.

        Raises:
            PlaceError: when that is no file. OSError: when links lead in a circle.
        """
        try:
            target = self.path.resolve() if self.path.is_symlink() else self.path
        except RuntimeError:  # as Python before 3.13 has it
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(self.path)) from None
        if target.exists() and not target.is_file() and not target.is_dir():
            raise PlaceError.for_device(str(self.path))
        return target

    def _show(self, new: Path, target: Path, *, overwrite: bool) -> None:
        """Give a complete file its name."""
        if not overwrite:
            try:
                os.link(new, target)  # unlike a rename, this fails when the name is taken
            except FileExistsError:
                raise PlaceError.for_taken(str(self.path)) from None
            new.unlink()
            return
        with suppress(FileNotFoundError):
            new.chmod(target.stat().st_mode & 0o7777)
        new.replace(target)

    def __repr__(self) -> str:
        """Show the path."""
        return f"<{self.path}>"


class RemoteSpot:
    """A file or folder that fsspec reaches.

    Args:
        address: with its scheme. system: of fsspec. path: as the system names it.
    """

    def __init__(self, address: str, system: Any, path: str) -> None:
        self.address = address
        self.system = system
        self.path = path

    @classmethod
    def at(cls, address: str, options: Mapping[str, Any] | None = None) -> RemoteSpot:
        """Find the file system for an address.

        Raises:
            PlaceError: when the scheme is unknown, or its library is not installed.
        """
        try:
            import fsspec
        except ImportError as error:
            raise PlaceError.for_library(shown_address(address), error) from None
        try:
            system, path = fsspec.core.url_to_fs(address, **(options or {}))
        except ImportError as error:
            raise PlaceError.for_library(shown_address(address), error) from None
        except (ValueError, TypeError, KeyError) as error:
            raise PlaceError.for_address(shown_address(address), error) from None
        except OSError as error:  # of services that are asked at once
            raise fault_of_service(shown_address(address), error) or error from None
        system.invalidate_cache()  # others write there, too
        return cls(address, system, address if system.protocol == "data" else str(path))

    @property
    def name(self) -> str:
        """The last part of the address."""
        return "data" if "data" in self._protocols else self.path.rstrip("/").rpartition("/")[2]

    @property
    def _protocols(self) -> frozenset[str]:
        protocol = self.system.protocol
        return frozenset({protocol} if isinstance(protocol, str) else protocol)

    def check_writable(self) -> None:
        """Refuse what can only be read, before anything is sent.

        Raises:
            PlaceError: when it is so.
        """
        schemes = {part.partition("://")[0].lower() for part in self.address.split("::")}  # as of cached::https://…
        if (self._protocols | schemes) & _READ_ONLY:
            raise PlaceError.for_reading_only(shown_address(self.address))

    def source(self) -> Remote:
        """Return the file in its present version; whoever reads it will hear what is wrong with it."""
        if "data" in self._protocols:  # the address is the content
            return Remote(self.address, sha256(self.address.encode("utf-8", "replace")).hexdigest())
        try:
            version = _version_of(self.system, self.path)
        except Exception:  # noqa: BLE001 - whatever it is, the read after this one meets it too, and can be retried
            version = ""
        return Remote(self.address, version or f"unknown {secrets.token_hex(16)}")

    def open(self) -> IO[bytes]:
        """Open for reading.

        Raises:
            OSError: what the service says. PlaceError: when it cannot read.
        """
        with self.told():
            file: IO[bytes] = self.system.open(self.path, "rb")
            return file

    def read(self) -> bytes:
        """Return the content."""
        with self.told():
            return bytes(self.system.cat_file(self.path))

    def write(self, fill: Callable[[IO[bytes]], object], *, overwrite: bool = True) -> None:
        """Have `fill` write the content; it is put in one piece, and seen when it is complete.

        Raises:
            PlaceError: when there is a file and `overwrite` is off, or the service takes no files.
        """
        import tempfile

        self.check_writable()
        with tempfile.TemporaryDirectory(prefix="cascade-") as folder, self.told():
            whole = Path(folder) / "whole"
            with whole.open("wb") as file:
                fill(file)
            if not overwrite and self.system.exists(self.path):
                raise PlaceError.for_taken(shown_address(self.address))
            with suppress(NotImplementedError, FileExistsError):  # where there are no folders
                self.system.makedirs(self.path.rpartition("/")[0], exist_ok=True)
            if self._protocols & _WHOLE:
                self.system.put_file(str(whole), self.path)
                return
            new = f"{self.path}.{secrets.token_hex(8)}.tmp"
            try:
                self.system.put_file(str(whole), new)
                self.system.mv(new, self.path)
            except BaseException:
                with suppress(Exception):
                    self.system.rm_file(new)
                raise

    def exists(self) -> bool:
        """Say whether there is something.

        Raises:
            OSError: when nobody can say it; fsspec would say of a service of the web that is away that it has no file.
        """
        with self.told():
            if self.system.exists(self.path):
                return True
            if self._protocols & {"http", "https"}:
                with suppress(FileMissingError), self.told():
                    self.system.info(self.path)
        return False

    @contextmanager
    def told(self, verb: str = "") -> Iterator[None]:  # noqa: ARG002 - as that of `LocalSpot`
        """Say of this place what a service says within the ``with`` block."""
        try:
            yield
        except ProviderError:
            raise
        except NotImplementedError:
            raise PlaceError.for_ability(shown_address(self.address)) from None
        except Exception as error:
            if "IPFS Gateway" in str(error):
                raise PlaceError.for_gateway(shown_address(self.address)) from None
            fault = fault_of_service(shown_address(self.address), error)
            if fault is None:
                raise
            raise fault from None

    def __repr__(self) -> str:
        """Show the address."""
        return f"<{shown_address(self.address)}>"


Spot = LocalSpot | RemoteSpot


def _version_of(system: Any, path: str) -> str:
    """Return a text that changes with the content of a file, or of all files of a folder; empty if nobody knows."""
    facts = system.info(path)
    if facts.get("type") == "directory":
        inside = [_mark_of(each) for _, each in sorted(system.find(path, detail=True).items())]
        return "\n".join(inside) if all(inside) else ""
    return _mark_of(facts)


def _mark_of(facts: Mapping[str, Any]) -> str:
    name, size = facts.get("name", ""), facts.get("size")
    for key in (*_MARKS, *_TIMES):
        if facts.get(key):
            return f"{name} {size} {key} {facts[key]}"
    return ""
