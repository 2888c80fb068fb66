"""Pickle for everything else, with large buffers beside it instead of copied into it.

In: any value that pickle or cloudpickle writes. Out: a head with lengths, the pickle, the buffers. Invariant: nothing
is unpickled here that was not signed before: the store checks digest and signature first.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections import ChainMap
from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar, Final

__all__ = ["PickleCodec"]

_PROTOCOL: Final = 5
_ALIGN: Final = 64  # arrays like their memory to begin at such a multiple
_COUNT: Final = struct.Struct("<Q")
_PLAIN: Final = frozenset({bool, bytes, complex, float, int, range, str, type(None)})
_FULL: Final = frozenset({dict, frozenset, list, set, tuple})
_MOST_PLAIN: Final = 64  # items that are looked at before cloudpickle, which is ten times slower to begin, is asked


class PickleCodec:
    """cloudpickle, so that what was defined in a notebook goes along; the plain pickler where that is enough."""

    name = "pickle"

    def encode(self, value: Any) -> Sequence[bytes | memoryview] | None:
        """Take whatever can be pickled; what cannot raises."""
        buffers: list[pickle.PickleBuffer] = []
        stream = io.BytesIO()
        pickler = _pickler() if not _is_plain(value) else pickle.Pickler
        pickler(stream, protocol=_PROTOCOL, buffer_callback=buffers.append).dump(value)
        views = [buffer.raw() for buffer in buffers]
        pieces: list[bytes | memoryview] = [stream.getvalue(), *views]
        sizes = [len(piece) if isinstance(piece, bytes) else piece.nbytes for piece in pieces]
        head = b"".join(map(_COUNT.pack, [len(sizes), *sizes]))
        parts: list[bytes | memoryview] = []
        for piece, size in zip([head, *pieces], [len(head), *sizes], strict=True):
            parts += [piece, bytes(-size % _ALIGN)] if views and size % _ALIGN else [piece]
        return parts

    def decode(self, data: memoryview) -> Any:
        """Read it; buffers stay where they are in `data`."""
        (count,) = _COUNT.unpack_from(data)
        if not 1 <= count <= len(data) // _COUNT.size:
            raise ValueError(f"its head names {count} pieces")
        sizes = struct.unpack_from(f"<{count}Q", data, _COUNT.size)
        align = _ALIGN if count > 1 else 1
        place = _COUNT.size * (count + 1)
        place += -place % align
        pieces = []
        for size in sizes:
            pieces.append(data[place : place + size])
            place += size + -size % align
        return pickle.loads(pieces[0], buffers=pieces[1:])  # noqa: S301 - signed by this user, see the invariant


def _is_plain(value: object) -> bool:
    """Say whether a small value is made of built-in types alone, so that the plain pickler writes the same."""
    kind = type(value)
    if kind in _PLAIN:
        return True
    if kind not in _FULL or len(value) > _MOST_PLAIN:  # type: ignore[arg-type]
        return False
    items = [*value, *value.values()] if isinstance(value, dict) else value
    return all(type(item) in _PLAIN for item in items)  # type: ignore[attr-defined]


@cache
def _pickler() -> type[Any]:
    """Return cloudpickle's pickler, without the values of which it would silently make something else."""
    import cloudpickle

    class StorePickler(cloudpickle.Pickler):  # type: ignore[misc]
        """Refuses open files (cloudpickle makes a StringIO of some) and views of memory (it makes bytes of them)."""

        dispatch_table: ClassVar[Any] = ChainMap(
            dict.fromkeys((io.TextIOWrapper, memoryview), _refuse), cloudpickle.Pickler.dispatch_table
        )

    return StorePickler


def _refuse(value: object) -> str:
    raise pickle.PicklingError(f"cannot pickle '{type(value).__name__}' object")
