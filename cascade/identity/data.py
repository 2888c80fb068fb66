"""Value → key: equal for values that are equal in type and content, in every process.

In: any value. Out: ``v:`` and a digest of the content in hexadecimal, or ``o:`` and what stands in the way. Invariant:
two different values never share an encoding: every part has a tag for its type and says how long it is. Nothing is
sampled, nothing is taken from ``repr``, ``hash`` or an address.

The order of dicts and sets does not count, and neither does whether two equal parts are one object. ``1``, ``1.0`` and
``True`` differ, and so do ``0.0`` and ``-0.0``; every NaN is the same one (in an array, NaNs count by their bits).
Arrays and frames are in `arrays` and `frames`; an object of another class counts by its class and by what pickling
would save of it, see `objects`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from hashlib import blake2b
from types import EllipsisType, NotImplementedType
from typing import Any, Final

from cascade.identity.buffers import SIZE, digest_bytes
from cascade.identity.errors import IdentityError

__all__ = ["Encoder", "Opaque", "TooLarge", "data_key", "encode_value", "secret_key", "sized"]

Token = Callable[[Any], bytes]

_LONG: Final = 4096  # bytes of an encoding beyond which its digest stands for it
_SEED: Final = blake2b(digest_size=SIZE, person=b"cascade/data/1")


class Opaque(Exception):  # noqa: N818 - never leaves the package; it becomes a key that says so
    """Something that cannot be keyed by value."""

    def __init__(self, kind: str) -> None:
        """Name the type."""
        super().__init__(kind)
        self.kind = kind


class TooLarge(Exception):  # noqa: N818 - see Opaque
    """More bytes than the caller wants to read."""


def data_key(value: Any, *, limit: int | None = None) -> str:
    """Return the key of a value: ``v:…`` by content, ``o:…`` where there is no such thing.

    Args:
        value: anything. limit: bytes; the key of a value whose arrays, frames and texts take more is ``o:size``.

    Raises:
        OSError: when the value holds a `File` that exists and cannot be read.

    Example:
        >>> data_key({"a": 1, "b": 2}) == data_key({"b": 2, "a": 1})
        True
        >>> data_key(1) == data_key(1.0)
        False
        >>> data_key(open)[:2], data_key(iter([]))[:2], data_key((n for n in ()))
        ('v:', 'v:', 'o:generator')
    """
    kind = type(value)
    try:
        if limit is not None:
            encoded = encode_value(value, limit=limit)
        elif kind is list or kind is tuple:
            encoded = _write_flat(value) or encode_value(value)
        else:
            encoded = (_PLAIN.get(kind) or encode_value)(value)
    except Opaque as found:
        return f"o:{found.kind}"
    except TooLarge:
        return "o:size"
    hasher = _SEED.copy()
    hasher.update(encoded)
    return "v:" + hasher.hexdigest()


def secret_key(value: Any, key: bytes) -> str:
    """Return the key of a secret: ``s:…``, from which nobody without `key` can find out the value by trying.

    Args:
        value: the secret. key: at least one byte; those of the user's key file.

    Raises:
        IdentityError: when `key` is empty.

    Example:
        >>> secret_key("hunter2", b"mine") == secret_key("hunter2", b"mine")
        True
        >>> secret_key("hunter2", b"mine") == secret_key("hunter2", b"yours")
        False
    """
    if not key:
        raise IdentityError.for_secret()
    try:
        encoded = encode_value(value)
    except Opaque as found:
        return f"o:{found.kind}"
    strong = blake2b(key).digest()  # a key file may be longer than BLAKE2b takes
    return "s:" + blake2b(encoded, digest_size=SIZE, key=strong, person=b"cascade/secret").hexdigest()


def encode_value(value: Any, *, limit: int | None = None) -> bytes:
    """Return the canonical bytes of a value.

    Raises:
        Opaque: when it cannot be keyed by value. TooLarge: when it takes more than `limit` bytes.
    """
    encoder = Encoder(limit=limit)
    try:
        encoded = encoder.encode(value)
        if encoder.is_unsure and Encoder().encode(value) != encoded:
            raise Opaque(name_of(type(value)))
    except RecursionError:
        raise Opaque("value nested too deeply") from None
    return encoded


def sized(tag: bytes, data: bytes) -> bytes:
    """Return `data` after its tag and its length."""
    return b"%s%x:%s" % (tag, len(data), data)


def name_of(kind: type) -> str:
    """Return the full name of a type; that of a builtin is short."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


# -- leaves -----------------------------------------------------------------------------------------------------------


def _write_str(value: str) -> bytes:
    return _fold(b"s", value.encode("utf-8", "surrogatepass"))


def _write_float(value: float) -> bytes:
    return b"fnan" if value != value else b"f" + struct.pack(">d", value)  # noqa: PLR0124 - NaN is what differs from itself


def _write_complex(value: complex) -> bytes:
    return b"c" + _write_float(value.real) + _write_float(value.imag)


def _fold(tag: bytes, data: bytes | bytearray) -> bytes:
    """Return the tagged data, or their digest in their place: two forms that begin differently."""
    size = len(data)
    if size <= _LONG:
        return b"%s%x:%s" % (tag, size, data)
    return b"%s#%x:%s" % (tag, size, digest_bytes(data))


_PLAIN: Final[dict[type, Token]] = {
    type(None): lambda _: b"N",
    bool: lambda value: b"T" if value else b"F",
    int: lambda value: b"i%x;" % value,
    float: _write_float,
    complex: _write_complex,
    str: _write_str,
    bytes: lambda value: _fold(b"b", value),
    bytearray: lambda value: _fold(b"B", value),
    EllipsisType: lambda _: b"E",
    NotImplementedType: lambda _: b"M",
    range: lambda value: b"r%x;%x;%x;" % (value.start, value.stop, value.step),
}


def _write_flat(value: list[Any] | tuple[Any, ...]) -> bytes | None:
    """Return what `Encoder` would of a sequence without containers in it, in a third of the time; None for others."""
    try:
        parts = b"".join([_PLAIN[type(item)](item) for item in value])
    except KeyError:
        return None
    return _fold(b"%s%x;" % (b"l" if type(value) is list else b"t", len(value)), parts)


# -- containers -------------------------------------------------------------------------------------------------------


class Encoder:
    """Turns one value into its canonical bytes.

    Args:
        code_of: gives the token of a function, class or module that is part of the value; by default its code key.
        limit: bytes after which it gives up. met: takes what was written with cascade (tasks, Params, lazy results …).

    Attributes:
        is_unsure: whether a class had its own say in what is saved of it, which need not be the same twice.
    """

    __slots__ = ("_code_of", "_depths", "_left", "classes", "is_unsure", "met")

    def __init__(self, code_of: Token | None = None, limit: int | None = None, met: list[Any] | None = None) -> None:
        """Begin with nothing seen."""
        self._code_of = code_of
        self.met = met
        self._depths: dict[int, int] = {}
        self._left = limit
        self.classes: dict[type, bytes] = {}
        self.is_unsure = False

    def encode(self, value: Any) -> bytes:
        """Return the canonical bytes of a value.

        Raises:
            Opaque: when it cannot be keyed by value. TooLarge: when the limit is reached.
        """
        kind = type(value)
        plain = _PLAIN.get(kind)
        if plain is not None:
            if self._left is not None and kind in _SPACIOUS:
                self.spend(len(value))
            return plain(value)
        depth = self._depths.get(id(value))
        if depth is not None:
            return b"@%x;" % (len(self._depths) - depth)  # so many levels up: the value holds itself
        self._depths[id(value)] = len(self._depths)
        try:
            container = _CONTAINERS.get(kind)
            if container is not None:
                return container(self, value)
            from cascade.identity.objects import encode_object

            return encode_object(self, value)
        finally:
            del self._depths[id(value)]

    def code_token(self, value: Any) -> bytes:
        """Return the token of a function, class or module."""
        if self._code_of is None:
            from cascade.identity.code import token_maker

            self._code_of = token_maker()
        return self._code_of(value)

    def spend(self, size: int) -> None:
        """Take bytes off the limit, before they are read."""
        if self._left is not None:
            self._left -= size
            if self._left < 0:
                raise TooLarge

    def sequence(self, tag: bytes, items: Iterable[Any]) -> bytes:
        """Return the encodings of items in their order."""
        encode, plain = self.encode, _PLAIN
        if self._left is None:
            parts = [(plain.get(type(item)) or encode)(item) for item in items]
        else:
            parts = [encode(item) for item in items]
        return _fold(b"%s%x;" % (tag, len(parts)), b"".join(parts))

    def mapping(self, tag: bytes, value: Any) -> bytes:
        """Return the encodings of keys and values; their order does not count."""
        encode = self.encode
        parts = sorted([encode(key) + encode(item) for key, item in value.items()])
        return _fold(b"%s%x;" % (tag, len(parts)), b"".join(parts))

    def collection(self, tag: bytes, items: Iterable[Any]) -> bytes:
        """Return the encodings of items whose order does not count."""
        parts = list(items)
        if any(type(part) not in _PLAIN for part in parts):
            # Code is walked in an order that does not depend on addresses: of two functions that call each other,
            # the first one walked shows the other as a part of itself.
            parts.sort(key=lambda part: (name_of(type(part)), str(getattr(part, "__qualname__", ""))))
        encoded = sorted([self.encode(part) for part in parts])
        return _fold(b"%s%x;" % (tag, len(encoded)), b"".join(encoded))


_SPACIOUS: Final = frozenset({str, bytes, bytearray})
_CONTAINERS: Final[dict[type, Callable[[Encoder, Any], bytes]]] = {
    list: lambda encoder, value: encoder.sequence(b"l", value),
    tuple: lambda encoder, value: encoder.sequence(b"t", value),
    dict: lambda encoder, value: encoder.mapping(b"d", value),
    set: lambda encoder, value: encoder.collection(b"e", value),
    frozenset: lambda encoder, value: encoder.collection(b"z", value),
}
