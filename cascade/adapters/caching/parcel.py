"""A key and its bytes as one file, so that keys can be listed and half a file is seen.

In: a key and bytes. Out: the bytes of a file, and back. Invariant: what `unpack` returns is what was packed under
that key.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

__all__ = ["name_of", "pack", "read_key_of", "unpack"]

_MAGIC: Final = b"casc1\n"
_DIGEST: Final = 20
HEAD: Final = len(_MAGIC) + _DIGEST + 4


def name_of(key: str) -> str:
    """Return the file name of a key: any text has one, on any file system."""
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=_DIGEST).hexdigest()


def pack(key: str, value: bytes) -> bytes:
    """Return the file for a key and its bytes.

    Example:
        >>> unpack("k", pack("k", b"value")), unpack("k", pack("k", b"value")[:-1]), unpack("j", pack("k", b"value"))
        (b'value', None, None)
    """
    name = key.encode("utf-8", "surrogatepass")
    body = len(name).to_bytes(4, "big") + name + value
    return _MAGIC + blake2b(body, digest_size=_DIGEST).digest() + body


def unpack(key: str, data: bytes) -> bytes | None:
    """Return the bytes of a key; None when the file is torn, or another key's."""
    start = len(_MAGIC) + _DIGEST
    body = memoryview(data)[start:]
    if data[: len(_MAGIC)] != _MAGIC or blake2b(body, digest_size=_DIGEST).digest() != data[len(_MAGIC) : start]:
        return None
    found = read_key_of(data)
    return None if found != key else data[HEAD + int.from_bytes(body[:4], "big") :]


def read_key_of(data: bytes) -> str | None:
    """Return the key at the beginning of a file; None when it is none of ours."""
    length = int.from_bytes(data[HEAD - 4 : HEAD], "big")
    name = data[HEAD : HEAD + length]
    if data[: len(_MAGIC)] != _MAGIC or len(name) != length:
        return None
    try:
        return name.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None
