"""Values as bytes and back: safe forms first, signed pickle last.

In: a value. Out: the name of a codec and buffers, and back. Invariant: what comes back has the type and content of what
was put in; a codec that cannot promise that for a value says no, and the next one is asked.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

from cascade.interfaces.store_errors import CodecError, StoreError

__all__ = ["Buffer", "Codec", "Codecs", "default_codecs"]

Buffer = bytes | bytearray | memoryview
_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,60}", re.ASCII)


class Codec(Protocol):
    """One way to write some values. Register yours with ``Codecs.register``.

    Attributes:
        name: stands in each entry; a changed form takes a new name.
    """

    @property
    def name(self) -> str:
        """The name."""

    def encode(self, value: Any) -> Sequence[Buffer] | None:
        """Return the bytes of `value` in any number of pieces; None: not one for this codec."""

    def decode(self, data: memoryview) -> Any:
        """Return the value of bytes that `encode` made; `data` may be kept, and may be written to."""


class Codecs:
    """The codecs of a store, in the order in which they are asked.

    Args:
        codecs: the first that takes a value writes it.

    Example:
        >>> codecs = default_codecs()
        >>> name, parts = codecs.encode({"a": [1, 2.5]})
        >>> name, codecs.decode(name, memoryview(b"".join(parts)))
        ('json', {'a': [1, 2.5]})
    """

    __slots__ = ("_by_name", "_order")

    def __init__(self, codecs: Iterable[Codec]) -> None:
        """Take them in order."""
        self._order: list[Codec] = []
        self._by_name: dict[str, Codec] = {}
        for codec in codecs:
            self._add(codec, len(self._order))

    def register(self, codec: Codec) -> None:
        """Ask `codec` before all others.

        Raises:
            StoreError: when its name is taken or cannot stand in an entry.
        """
        self._add(codec, 0)

    def _add(self, codec: Codec, place: int) -> None:
        name: object = codec.name
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise StoreError.for_codec_name(name)
        if name in self._by_name:
            raise StoreError.for_codec(name, self._by_name)
        self._by_name[name] = codec
        self._order.insert(place, codec)

    def names(self) -> list[str]:
        """Return the names, first asked first."""
        return [codec.name for codec in self._order]

    def encode(self, value: object) -> tuple[str, Sequence[Buffer]]:
        """Return the codec's name and the bytes of `value`.

        Raises:
            CodecError: when no codec can write it.
        """
        problem: object = "no codec takes it"
        for codec in self._order:
            try:
                parts = codec.encode(value)
            except BaseException as error:  # noqa: BLE001 - a user's class may raise anything; the next codec is asked
                _let_interrupts_through(error)
                problem = _words(error)
                continue
            if parts is not None:
                return codec.name, parts
        raise CodecError.for_value(value, problem)

    def decode(self, name: str, data: memoryview) -> Any:
        """Return the value that the codec called `name` wrote.

        Raises:
            CodecError: when there is no such codec, or it cannot read the bytes.
        """
        codec = self._by_name.get(name)
        if codec is None:
            raise CodecError.for_unknown(name, self._by_name)
        try:
            return codec.decode(data)
        except BaseException as error:
            _let_interrupts_through(error)
            raise CodecError.for_bytes(name, _words(error)) from error


def _let_interrupts_through(error: BaseException) -> None:
    """Raise what somebody at the keyboard has sent: it comes to the main thread alone, elsewhere a class raised it."""
    if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
        raise error


def _words(error: BaseException) -> str:
    """Return an error in at most 200 characters, also if its own text cannot be made."""
    try:
        first = (str(error).splitlines() or [""])[0][:200]
    except BaseException:  # noqa: BLE001 - the text of a user's error may raise anything
        first = ""
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def default_codecs() -> Codecs:
    """Return the codecs of a new store: text, bytes, JSON, arrays, frames, calls, and pickle for the rest."""
    from cascade.adapters.stores.array_codec import ArrayCodec
    from cascade.adapters.stores.frame_codecs import PandasCodec, PolarsCodec, TableCodec
    from cascade.adapters.stores.growth_codec import GrowthCodec
    from cascade.adapters.stores.pickle_codec import PickleCodec
    from cascade.adapters.stores.plain_codecs import BytesCodec, JsonCodec, TextCodec

    safe: list[Codec] = [ArrayCodec(), PandasCodec(), PolarsCodec(), TableCodec()]
    return Codecs([JsonCodec(), TextCodec(), BytesCodec(), *safe, GrowthCodec(safe), PickleCodec()])
