"""The body of an answer → what was packed into it, piece by piece.

In: an open answer of httpx. Out: its content, unpacked as its Content-Encoding says. Invariant: a packed body that was
cut short is an error and never a shorter body; a piece has 1 MB at most, whatever it was packed into.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

from cascade.providers.http_errors import HttpError
from cascade.providers.registry import require

__all__ = ["unpacked"]

_PIECE: Final = 1 << 20  # bytes
_MOST_LAYERS: Final = 4
_GZIP_BITS: Final = 16 + zlib.MAX_WBITS
_GZIP_MAGIC: Final = b"\x1f\x8b"


async def unpacked(answer: Any) -> AsyncIterator[bytes]:
    """Yield the content of an answer; what is packed otherwise than by gzip and deflate is left to httpx.

    Raises:
        HttpError: when it is not packed as it says. RemoteProtocolError: of httpx, when it ends too early.
    """
    told = [name.strip().lower() for name in answer.headers.get("content-encoding", "").split(",")]
    names = [name for name in told if name not in ("", "identity")]
    if not names or not {"gzip", "x-gzip", "deflate"}.issuperset(names):
        async for chunk in answer.aiter_bytes():
            yield chunk
        return
    if len(names) > _MOST_LAYERS:
        raise HttpError.for_content(answer.url, f"it is packed {len(names)} times over")
    layers = [_Layer(name) for name in reversed(names)]
    try:
        async for chunk in answer.aiter_raw():
            for piece in _through(layers, chunk):
                yield piece
    except zlib.error as error:
        raise HttpError.for_content(answer.url, error) from None
    if any(layer.is_open for layer in layers):
        httpx = require("httpx", provider="http", extra="http")
        raise httpx.RemoteProtocolError(f"what is packed by {', '.join(names)} ends too early")


def _through(layers: Sequence[_Layer], data: bytes) -> Iterator[bytes]:
    if not layers:
        yield data
        return
    for piece in layers[0].feed(data):
        yield from _through(layers[1:], piece)


class _Layer:
    """One packing, taken off piece by piece.

    Args:
        name: ``gzip`` or ``deflate``; the latter with its header or, as some services send it, without.

    Attributes:
        is_open: something came, and not its end.
    """

    def __init__(self, name: str) -> None:
        self.is_open = False
        self._is_gzip = name != "deflate"
        self._work: Any = None
        self._over = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what is in more of the packed data."""
        while data and not self._over:
            if self._work is None:
                self._work = zlib.decompressobj(_GZIP_BITS if self._is_gzip else self._deflate_bits(data))
                self.is_open = True
            yield from self._take(data)
            data = self._next_member()

    @staticmethod
    def _deflate_bits(data: bytes) -> int:
        try:
            zlib.decompressobj().decompress(data, 1)
        except zlib.error:
            return -zlib.MAX_WBITS
        return zlib.MAX_WBITS

    def _take(self, data: bytes) -> Iterator[bytes]:
        while True:
            piece = self._work.decompress(data, _PIECE)
            data = self._work.unconsumed_tail
            if piece:
                yield piece
            if self._work.eof or (not data and len(piece) < _PIECE):
                return

    def _next_member(self) -> bytes:
        """Return what stands behind the end of a gzip member, where another one begins; else all is over there."""
        if not self._work.eof:
            return b""
        rest = bytes(self._work.unused_data)
        self.is_open = False
        if self._is_gzip and (not rest or rest.startswith(_GZIP_MAGIC)):
            self._work = None
            return rest
        self._over = True
        return b""
