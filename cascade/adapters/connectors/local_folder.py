"""The user's own folder for what runs say while they go on.

In: the environment. Out: a folder that only this user can enter, and the bells in it. Invariant: a folder that
somebody else made, owns or may enter is refused, never used; a bell that nobody answers is taken away.
"""

from __future__ import annotations

import os
import secrets
import socket
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from cascade.interfaces.remote_errors import ConnectorError

__all__ = ["HAS_SOCKETS", "Bell", "is_answered", "open_folder", "runtime_folder"]

HAS_SOCKETS: Final = hasattr(socket, "AF_UNIX")
LONGEST: Final = 100  # bytes of the path of a Unix socket, on every system


def runtime_folder() -> Path:
    """Return CASCADE_RUNTIME_DIR, or the folder ``cascade`` in XDG_RUNTIME_DIR or in the temporary folder."""
    given = os.environ.get("CASCADE_RUNTIME_DIR")
    if given:
        return Path(given)
    session = os.environ.get("XDG_RUNTIME_DIR")
    if session and Path(session).is_dir():
        return Path(session) / "cascade"
    owner = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return Path(tempfile.gettempdir()) / f"cascade-{owner}"


def open_folder(folder: Path) -> Path:
    """Make the folder if there is none, with mode 0700; return it with its links resolved.

    Raises:
        ConnectorError: when it is not this user's alone, or cannot be made.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
    except OSError as error:
        raise ConnectorError.for_folder(folder, str(error)) from None
    if not stat.S_ISDIR(found.st_mode):
        raise ConnectorError.for_folder(folder, "it is not a folder")
    if hasattr(os, "getuid"):
        if found.st_uid != os.getuid():
            raise ConnectorError.for_folder(folder, "it belongs to another user")
        if found.st_mode & 0o077:
            raise ConnectorError.for_folder(folder, "other users may enter it (its mode must be 0700)")
    with suppress(FileExistsError):
        (folder / "bells").mkdir(mode=0o700)
    return folder.resolve()


class Bell:
    """A socket that others ring when there is something new; it carries no message.

    Attributes:
        name: of its file in the folder ``bells``.
    """

    def __init__(self, folder: Path) -> None:
        """Hang it up, under a name that nobody else has.

        Raises:
            ConnectorError: when the path of the folder is too long for a socket.
        """
        self.name = f"{os.getpid()}-{secrets.token_hex(3)}.sock"
        self.path = folder / "bells" / self.name
        if len(os.fsencode(self.path)) > LONGEST:
            raise ConnectorError.for_folder(folder, f"its path is too long for a socket (at most {LONGEST - 30} bytes)")
        self._folder = self.path.parent
        self._listed: tuple[int, list[str]] = (-1, [])
        self.socket = self._hang()
        self._hand = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._hand.settimeout(0)

    def _hang(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        made.settimeout(0)
        made.bind(str(self.path))
        return made

    def ring_own(self) -> None:
        """Wake whoever waits for this bell."""
        with suppress(OSError):
            self._hand.sendto(b"!", str(self.path))

    def ring_others(self) -> list[str]:
        """Wake everybody else in the folder; return the names of bells that nobody answers."""
        silent = []
        for name in self.others():
            try:
                self._hand.sendto(b"!", str(self._folder / name))
            except (ConnectionRefusedError, FileNotFoundError):
                silent.append(name)
            except OSError:
                continue  # its queue is full: it has been rung already
        return silent

    def others(self) -> list[str]:
        """Return the names of the other bells."""
        try:
            changed = self._folder.stat().st_mtime_ns
            if changed != self._listed[0]:
                names = [name for name in os.listdir(self._folder) if name.endswith(".sock") and name != self.name]  # noqa: PTH208 - names, not paths, for every batch of messages
                self._listed = (changed, names)
        except OSError:
            return []
        return self._listed[1]

    def forget_listing(self) -> None:
        """Look again at the next question: a folder's time of change is coarse on some disks."""
        self._listed = (-1, [])

    def hear(self) -> None:
        """Take all that was rung so far."""
        with suppress(OSError):
            while self.socket.recv(64):
                pass

    def is_hung(self) -> bool:
        """Whether its file is still there."""
        return self.path.exists()

    def hang_again(self) -> None:
        """Somebody tidied the folder: make the file anew."""
        self.socket.close()
        self.socket = self._hang()

    def take_down(self) -> None:
        """Close it and remove its file."""
        for each in (self.socket, self._hand):
            each.close()
        with suppress(OSError):
            self.path.unlink()


def is_answered(path: Path) -> bool:
    """Say whether somebody waits for the bell at `path`; rings nothing."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
        return True
