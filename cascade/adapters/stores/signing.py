"""The signature that tells our results from everybody else's.

In: a key file that nobody else can read, and messages. Out: keyed digests (BLAKE2b with a key, which is a MAC).
Invariant: no key, no signature: a key that others can read counts as none.
"""

from __future__ import annotations

import os
import secrets
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from hmac import compare_digest
from pathlib import Path
from typing import Final, Literal

from cascade.interfaces.store_errors import StoreFault

__all__ = ["Signer", "default_key_file", "read_key"]

Kind = Literal["entry", "recipe", "state"]
_KINDS: Final[tuple[Kind, ...]] = ("entry", "recipe", "state")
KEY_BYTES: Final = 32
MAC_BYTES: Final = 16
MARK_LENGTH: Final = 8  # characters
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_HAS_MODES: Final = os.name == "posix"


def default_key_file(environment: Mapping[str, str] | None = None) -> Path:
    """Return where the user's key lives: beside other settings, never beside what it protects."""
    known = os.environ if environment is None else environment
    if sys.platform == "win32":
        base = known.get("APPDATA") or str(Path.home() / "AppData" / "Roaming")
    else:
        base = known.get("XDG_CONFIG_HOME", "")
        base = base if os.path.isabs(base) else str(Path.home() / ".config")  # noqa: PTH117 - relative ones do not count
    return Path(base) / "cascade" / "key"


def read_key(path: Path) -> bytes:
    """Return the key in `path`; make one when there is none.

    Raises:
        StoreFault: when others can read it, or it cannot be read or made.
    """
    try:
        if not path.exists():
            _make_key(path)
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            key = file.read(KEY_BYTES + 1)
    except OSError as error:
        raise StoreFault.for_bad_key(path, error) from None
    if _HAS_MODES and mode & _OTHERS:
        raise StoreFault.for_open_key(path, mode)
    if len(key) != KEY_BYTES:
        raise StoreFault.for_bad_key(path, f"it has {len(key)} bytes or more, not {KEY_BYTES}")
    return key


def _make_key(path: Path) -> None:
    """Make the key under another name and link it into place: it is whole from the first moment, and one wins."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(file, "wb") as stream:  # noqa: PTH123 - an open descriptor
            stream.write(secrets.token_bytes(KEY_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(new, path)
        except FileExistsError:
            return
        except OSError:  # a file system without links
            if not path.exists():
                new.replace(path)
    finally:
        with suppress(OSError):
            new.unlink(missing_ok=True)


class Signer:
    """Signs messages of a few kinds with one key; a signature of one kind says nothing about another.

    Args:
        key: the secret bytes.

    Attributes:
        mark: says which key it is, and nothing about it. entry: the state that signs entries, to be copied.
        secret: makes the keys of secret values; who has a folder of results, but not the key, cannot guess by it.

    Example:
        >>> signer = Signer(b"k" * 32)
        >>> made = signer.sign(b"message", "recipe")
        >>> signer.fits(b"message", made, "recipe"), signer.fits(b"other", made, "recipe")
        (True, False)
    """

    __slots__ = ("_states", "entry", "mark", "secret")

    def __init__(self, key: bytes) -> None:
        """Prepare each keyed state once; each message copies it."""
        self._states = {
            kind: blake2b(key=key, digest_size=MAC_BYTES, person=f"cascade/{kind}".encode()) for kind in _KINDS
        }
        self.entry = self._states["entry"]
        self.secret = blake2b(key=key, digest_size=KEY_BYTES, person=b"cascade/secret").digest()
        self.mark = blake2b(key=key, digest_size=MARK_LENGTH // 2, person=b"cascade/mark").hexdigest()

    def sign(self, message: bytes, kind: Kind) -> bytes:
        """Return the signature of `message`."""
        state = self._states[kind].copy()
        state.update(message)
        return state.digest()

    def fits(self, message: bytes, signature: bytes, kind: Kind) -> bool:
        """Say whether `signature` is that of `message`; takes the same time for any wrong one."""
        return compare_digest(self.sign(message, kind), signature)
