"""Looks for a secret in everything that a run leaves behind, also where it is packed, escaped or encoded."""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import lzma
import re
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import unquote_to_bytes
from uuid import uuid4

from cascade.identity.data import data_key

DEEPEST = 3  # encodings within encodings
_TOKENS = re.compile(rb"[A-Za-z0-9+/_\-]{16,}")
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2}){12,}")
_PACKED = {b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"}


class Planted:
    """A secret whose every part can be told from chance.

    Attributes:
        value: with everything in it that some writer escapes. core: the part that no writer changes.
    """

    def __init__(self) -> None:
        """Make a new one."""
        self.core = uuid4().hex
        self.value = f"S3CR3T/{self.core}+\"é'\\ & <x>"
        pieces = (self.core[:12], self.core[10:22], self.core[-12:])  # also where it was cut
        self._needles = {
            coded
            for piece in pieces
            for coded in (piece.encode(), piece.encode("utf-16-le"), piece.encode("utf-32-le"), piece[::-1].encode())
        }
        self._digests = dict(self._plain_digests())

    def _plain_digests(self) -> Iterator[tuple[bytes, str]]:
        """Yield the digests by which somebody could try secrets one after the other."""
        for text in (self.value, repr(self.value)):
            data = text.encode()
            for name in ("md5", "sha1", "sha256", "sha512", "blake2b"):
                yield hashlib.new(name, data).digest(), name
            for size in (16, 20, 32):
                yield hashlib.blake2b(data, digest_size=size).digest(), f"blake2b of {size} bytes"
        yield bytes.fromhex(data_key(self.value).partition(":")[2]), "the plain data key"

    def found_in(self, data: bytes | str, depth: int = DEEPEST) -> str:
        """Say how the secret is in `data`; empty when it is not."""
        data = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
        for needle in self._needles:
            if needle in data:
                at = data.index(needle)
                return f"…{data[max(0, at - 60) : at + 60]!r}…"
        for digest, name in self._digests.items():
            if digest in data or digest.hex().encode() in data:
                return f"its digest ({name})"
        if depth:
            for how, inner in _unwrapped(data):
                found = self.found_in(inner, depth - 1)
                if found:
                    return f"{how}: {found}"
        return ""

    def _found_in_cells(self, path: Path) -> str:
        for name, cell in _cells_of(path):
            how = self.found_in(cell)
            if how:
                return f"{name}: {how}"
        return ""

    def files_with_it(self, *folders: Path) -> dict[str, str]:
        """Return the files under `folders` whose bytes, or name, tell the secret."""
        found = {}
        for folder in folders:
            for path in folder.rglob("*"):
                how = self.found_in(str(path.relative_to(folder)), 0)
                if not how and path.is_file():
                    data = path.read_bytes()
                    how = self.found_in(data)
                    if not how and data.startswith(b"SQLite format 3"):
                        how = self._found_in_cells(path)
                if how:
                    found[str(path)] = how
        return found


def _cells_of(path: Path) -> Iterator[tuple[str, bytes | str]]:
    """Yield every cell of a database: a long one lies in pieces in the file."""
    with closing(sqlite3.connect(path)) as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            cursor = database.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in cursor.description]
            for row in cursor:
                yield from (
                    (f"{table}.{name}", cell)
                    for name, cell in zip(names, row, strict=True)
                    if isinstance(cell, (bytes, str))
                )


def _unwrapped(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield what `data`, or parts of it, may stand for."""
    for at in range(len(data) - 2):
        if data[at : at + 2] in _PACKED:
            with suppress(zlib.error):
                yield "packed by zlib", zlib.decompressobj().decompress(data[at:], 1 << 20)
    for mark, name, unpack in ((b"\x1f\x8b\x08", "gzip", gzip), (b"BZh", "bz2", bz2), (b"\xfd7zXZ", "lzma", lzma)):
        for match in re.finditer(re.escape(mark), data):
            with suppress(Exception):
                yield f"packed by {name}", unpack.decompress(data[match.start() :])
    if b"%" in data:
        yield "in a URL", unquote_to_bytes(data)
    for match in _TOKENS.finditer(data):
        token = match.group().replace(b"-", b"+").replace(b"_", b"/")
        for skipped in range(4):
            part = token[skipped:]
            yield "in base 64", base64.b64decode(part[: len(part) // 4 * 4])
    for match in _HEX.finditer(data):
        yield "in hexadecimal", bytes.fromhex(match.group().decode())
