"""Text, bytes and JSON: the forms that anybody can read, for values that come back from them exactly.

In: values of exactly the built-in types. Out: their bytes. Invariant: no subclass, no tuple, no key but text, no
number and no text that JSON would change, and no object that stands in two places.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import isfinite
from typing import Any, Final

__all__ = ["BytesCodec", "JsonCodec", "TextCodec", "is_exact_json"]

MOST_ITEMS: Final = 20_000  # beyond it, pickle is several times faster than looking at each
MOST_DEPTH: Final = 100
MOST_BITS: Final = 10_000  # Python refuses to read longer numbers from text
_WRITER: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"))
_SCALARS: Final = frozenset({bool, type(None)})


class TextCodec:
    """Text as UTF-8; halves of pairs are kept as they are."""

    name = "text"

    def encode(self, value: Any) -> Sequence[bytes] | None:
        """Take text."""
        return [value.encode("utf-8", "surrogatepass")] if type(value) is str else None

    def decode(self, data: memoryview) -> str:
        """Read text."""
        return str(data, "utf-8", "surrogatepass")


class BytesCodec:
    """Bytes as they are."""

    name = "bytes"

    def encode(self, value: Any) -> Sequence[bytes] | None:
        """Take bytes."""
        return [value] if type(value) is bytes else None

    def decode(self, data: memoryview) -> bytes:
        """Read bytes."""
        return bytes(data)


class JsonCodec:
    """Lists and dicts of plain values, and plain values."""

    name = "json"

    def encode(self, value: Any) -> Sequence[bytes] | None:
        """Take what JSON gives back exactly, but for bare text, which has a form of its own."""
        kind = type(value)
        if kind is str or not is_exact_json(value):
            return None
        if kind is int:  # a writer of anything takes ten times as long
            return [b"%d" % value]
        # A lone half of a pair of surrogates raises here, and pickle gets its turn: JSON would join two halves.
        return [_WRITER.encode(value).encode()]

    def decode(self, data: memoryview) -> Any:
        """Read it."""
        return json.loads(str(data, "utf-8"))


def is_exact_json(value: object) -> bool:
    """Say whether JSON gives `value` back with all its types, and its parts as the same or other objects as they are.

    Example:
        >>> is_exact_json([1, "a"]), is_exact_json((1, "a")), is_exact_json({1: "a"})
        (True, False, False)
    """
    kind = type(value)
    if kind is not list and kind is not dict:
        return _is_exact_scalar(value)
    seen: set[int] = set()
    level: list[object] = [value]
    count = depth = 0
    while level:
        depth += 1
        below: list[object] = []
        for each in level:
            if not _opens(each, below, seen):
                return False
        count += len(below)
        if depth > MOST_DEPTH or count > MOST_ITEMS:
            return False
        level = below
    return True


def _opens(each: object, below: list[object], seen: set[int]) -> bool:
    """Put the parts of a list or dict among those `below`; False when one of its own kind is not exact."""
    kind = type(each)
    if kind is list:
        parts: Any = each
    elif kind is dict:
        if not all(type(key) is str for key in each):  # type: ignore[attr-defined]
            return False
        parts = each.values()  # type: ignore[attr-defined]
    else:
        return _is_exact_scalar(each)
    if id(each) in seen:
        return False
    seen.add(id(each))
    below.extend(parts)
    return True


def _is_exact_scalar(value: object) -> bool:
    kind = type(value)
    if kind is str or kind in _SCALARS:
        return True
    if kind is int:
        return value.bit_length() < MOST_BITS  # type: ignore[attr-defined, no-any-return]
    return kind is float and isfinite(value)  # type: ignore[arg-type]
