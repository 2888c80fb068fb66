"""The calls that a call returned, as JSON with arrays and frames beside it.

In: a `Grown`. Out: a head with the codecs and the lengths of the parts, the parts. Invariant: nothing is ever
pickled or unpickled, and nothing here looks a task up: who reads it gets a text.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from cascade.interfaces.records import GROWTH, Grown

if TYPE_CHECKING:
    from cascade.adapters.stores.codecs import Buffer, Codec

__all__ = ["GrowthCodec"]

_COUNT: Final = struct.Struct("<Q")


class GrowthCodec:
    """What a call returned instead of a value.

    Args:
        codecs: of the values that JSON cannot hold.
    """

    name = GROWTH

    def __init__(self, codecs: Sequence[Codec]) -> None:
        """Take them in the order in which they are asked."""
        self._codecs = {codec.name: codec for codec in codecs}

    def encode(self, value: Any) -> Sequence[Buffer] | None:
        """Take a `Grown`.

        Raises:
            TypeError: when one of its values cannot be written.
        """
        if type(value) is not Grown:
            return None
        written = [("", [value.text.encode()]), *map(self._encode, value.leaves)]
        parts = [b"".join(pieces) for _, pieces in written]
        names = [name for name, _ in written]
        head = json.dumps([[name, len(part)] for name, part in zip(names, parts, strict=True)]).encode()
        return [_COUNT.pack(len(head)), head, *parts]

    def _encode(self, leaf: object) -> tuple[str, Sequence[Buffer]]:
        for name, codec in self._codecs.items():
            parts = codec.encode(leaf)
            if parts is not None:
                return name, parts
        raise TypeError(f"a {type(leaf).__name__} cannot stand among the arguments of calls that are stored")

    def decode(self, data: memoryview) -> Grown:
        """Read it.

        Raises:
            ValueError: when the bytes are not what `encode` makes.
        """
        (size,) = _COUNT.unpack_from(data)
        place = _COUNT.size + size
        parts: list[tuple[str, memoryview]] = []
        for name, length in json.loads(bytes(data[_COUNT.size : place])):
            if type(name) is not str or type(length) is not int or not 0 <= length <= len(data) - place:
                raise ValueError("its head does not fit its parts")
            parts.append((name, data[place : place + length]))
            place += length
        if not parts or parts[0][0] or place != len(data):
            raise ValueError("its head does not fit its parts")
        leaves = [self._codecs[name].decode(memoryview(bytearray(part))) for name, part in parts[1:]]
        return Grown(str(parts[0][1], "utf-8"), tuple(leaves))
