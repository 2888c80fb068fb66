"""Values ↔ what JSON can hold: a closed vocabulary of plain Python types.

In: values that stand in a graph. Out: JSON values; what JSON has no word for is an object with the key ``$``, its
tag. Invariant: reading makes only the types of this page, imports nothing, and gives back exactly what was written,
type included. Subclasses are not their base class: a named tuple is not written as a tuple.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from functools import cache
from math import isfinite
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from types import EllipsisType
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from cascade.spec.file import File

__all__ = [
    "EXACT",
    "LONGEST_INT",
    "MOST_DEPTH",
    "TAG",
    "Problem",
    "check_spread",
    "from_tagged",
    "is_text",
    "shorten",
    "to_tagged",
]

TAG: Final = "$"
MOST_DEPTH: Final = 100  # containers in containers; far beyond what people write
EXACT: Final = 1 << 53  # beyond it, other readers of JSON round whole numbers
LONGEST_INT: Final = 100_000  # hexadecimal digits
_LONGEST_PART: Final = 5_000  # of a fraction, which Python reduces in quadratic time
_SMALL: Final = 1_000  # keys that may have one hash: what they cost is not worth a look

Write = Callable[[Any], object]
Read = Callable[[object], Any]


class Problem(Exception):  # noqa: N818 - never leaves the package; it becomes a GraphFormatError with its place
    """Something that cannot be written or read; `steps` lead to it, innermost first."""

    def __init__(self, text: str) -> None:
        """Say what is wrong, without a full stop."""
        super().__init__(text)
        self.steps: list[str] = []


# -- writing --------------------------------------------------------------------------------------------------------


def to_tagged(value: Any, write: Write) -> object:
    """Return `value` for JSON; `write` does the same for the values in it.

    Raises:
        Problem: when the vocabulary has no word for its type.
    """
    kind = type(value)
    if kind in _PLAIN or (kind is int and -EXACT < value < EXACT) or (kind is float and isfinite(value)):
        return value
    if kind is str:
        return value if is_text(value) else {TAG: "str", "utf8": _armour(value.encode("utf-8", "surrogatepass"))}
    if kind is list:
        return [write(item) for item in value]
    if kind is dict:
        if all(type(key) is str and key != TAG and is_text(key) for key in value):
            return {key: write(item) for key, item in value.items()}
        return {TAG: "dict", "items": [[write(key), write(item)] for key, item in value.items()]}
    writer = _WRITERS.get(kind)
    if writer is None:
        raise Problem(_no_word_for(value))
    return writer(value, write)


def _no_word_for(value: object) -> str:
    kind = type(value)
    if hasattr(kind, "__dataclass_fields__"):
        return (
            f"a graph file cannot hold the dataclass {kind.__name__}, which is more than its fields; pass those instead"
        )
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    return f"a graph file cannot hold a {name}; make it in a task, or pass it as a Param"


def is_text(value: str) -> bool:
    """Say whether `value` has no lone surrogates, which JSON readers join or refuse."""
    return value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value)


def _armour(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _write_int(value: int, _: Write) -> object:
    text = f"{value:x}"
    if len(text) > LONGEST_INT:
        raise Problem(f"a whole number of {len(text):,} hexadecimal digits is too long for a graph file")
    return {TAG: "int", "hex": text}


def _write_fraction(value: Fraction, write: Write) -> object:
    _check_part(value.numerator)
    _check_part(value.denominator)
    return {TAG: "fraction", "parts": [write(value.numerator), write(value.denominator)]}


def _check_part(value: int) -> None:
    if value.bit_length() > 4 * _LONGEST_PART:
        raise Problem(f"the parts of a fraction have at most {_LONGEST_PART:,} hexadecimal digits")


def _write_set(value: set[Any] | frozenset[Any], write: Write) -> object:
    items = [write(item) for item in value]
    return {TAG: type(value).__name__, "items": sorted(items, key=repr)}  # the order of a set is no part of it


def _write_datetime(value: datetime, _: Write) -> object:
    naive = value.replace(tzinfo=None, fold=0).isoformat()
    return {TAG: "datetime", "iso": naive, **_zone_fields(value)}


def _write_time(value: time, _: Write) -> object:
    return {TAG: "time", "iso": value.replace(tzinfo=None, fold=0).isoformat(), **_zone_fields(value)}


def _zone_fields(value: datetime | time) -> dict[str, object]:
    fields: dict[str, object] = {"fold": 1} if value.fold else {}
    if value.tzinfo is not None:
        fields["zone"] = _zone_word(value.tzinfo)
    return fields


def _zone_word(zone: tzinfo) -> object:
    """Return ``UTC``, the name of a zone, or seconds east of Greenwich."""
    if zone is UTC:
        return "UTC"
    if type(zone) is ZoneInfo and zone.key is not None:
        return f"zone {zone.key}"
    if type(zone) is timezone:
        offset = zone.utcoffset(None)
        if timezone(offset) == zone and timezone(offset).tzname(None) == zone.tzname(None):
            return offset.total_seconds()
    raise Problem(f"a graph file cannot hold the time zone {zone!r}; use zoneinfo.ZoneInfo or datetime.UTC")


_PLAIN: Final = frozenset({type(None), bool})
_WRITERS: Final[dict[type, Callable[[Any, Write], object]]] = {
    int: _write_int,
    float: lambda value, _: {TAG: "float", "text": repr(value)},
    complex: lambda value, write: {TAG: "complex", "parts": [write(value.real), write(value.imag)]},
    bytes: lambda value, _: {TAG: "bytes", "base64": _armour(value)},
    bytearray: lambda value, _: {TAG: "bytearray", "base64": _armour(value)},
    tuple: lambda value, write: {TAG: "tuple", "items": [write(item) for item in value]},
    set: _write_set,
    frozenset: _write_set,
    slice: lambda value, write: {TAG: "slice", "items": [write(i) for i in (value.start, value.stop, value.step)]},
    range: lambda value, write: {TAG: "range", "items": [write(i) for i in (value.start, value.stop, value.step)]},
    EllipsisType: lambda _, __: {TAG: "ellipsis"},
    datetime: _write_datetime,
    date: lambda value, _: {TAG: "date", "iso": value.isoformat()},
    time: _write_time,
    timedelta: lambda value, _: {TAG: "timedelta", "parts": [value.days, value.seconds, value.microseconds]},
    Decimal: lambda value, _: {TAG: "decimal", "text": str(value)},
    Fraction: _write_fraction,
    UUID: lambda value, _: {TAG: "uuid", "text": str(value)},
    type(Path()): lambda value, write: {TAG: "path", "of": "Path", "text": write(str(value))},
    File: lambda value, write: {TAG: "file", "path": write(value.path)},
    PurePosixPath: lambda value, write: {TAG: "path", "of": "PurePosixPath", "text": write(str(value))},
    PureWindowsPath: lambda value, write: {TAG: "path", "of": "PureWindowsPath", "text": write(str(value))},
}

# -- reading --------------------------------------------------------------------------------------------------------


def from_tagged(fields: Mapping[str, object], read: Read) -> Any:
    """Return the value that the object `fields` stands for; `read` does the same for the values in it.

    Raises:
        Problem: when the tag is unknown or its fields are not what they should be.
    """
    tag = fields[TAG]
    reader = _READERS.get(tag) if isinstance(tag, str) else None
    if reader is None:
        raise Problem(f"{TAG!r} is {shorten(tag)}, which is no known kind of value")
    needed, optional, make = reader
    missing = needed - fields.keys()
    extra = fields.keys() - needed - optional - {TAG}
    if missing or extra:
        raise Problem(
            f"a value of kind '{tag}' has {', '.join(sorted(needed | optional)) or 'no fields'} and nothing else"
        )
    try:
        return make(fields, read)
    except Problem:
        raise
    except (ValueError, TypeError, OverflowError, ArithmeticError, binascii.Error) as error:
        raise Problem(f"this is not a valid {tag} ({shorten(str(error))})") from None


def shorten(value: object) -> str:
    """Return a short text of something from a file; of a list or object, which may be deep, only the word."""
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    text = repr(value[:80] if isinstance(value, str) else value)
    return text if len(text) <= 60 else f"{text[:56]}…"  # noqa: PLR2004


def check_spread(keys: Collection[Any]) -> None:
    """Refuse keys that were chosen to have one hash, with which a set or dict takes quadratic time.

    Raises:
        Problem: when that is so. TypeError: when one of them has no hash.
    """
    if len(keys) > _SMALL and len(keys) - len(set(map(hash, keys))) > _SMALL:
        raise Problem(f"more than {_SMALL:,} of these {len(keys):,} keys have the same hash as others")


def _text(value: object) -> str:
    if type(value) is not str:
        raise TypeError(f"{type(value).__name__} instead of text")
    return value


def _items(value: object, count: int | None = None) -> list[Any]:
    if type(value) is not list or (count is not None and len(value) != count):
        raise TypeError("a list" if count is None else f"a list of {count}")
    return value


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError(f"{type(value).__name__} instead of a whole number")
    return value


def _bytes(value: object) -> bytes:
    return base64.b64decode(_text(value), validate=True)


def _read_int(fields: Mapping[str, object], _: Read) -> int:
    digits = _text(fields["hex"])
    body = digits.removeprefix("-")
    if not body or len(body) > LONGEST_INT or not all(c in "0123456789abcdef" for c in body):
        raise Problem("a long whole number is written in at most 100,000 hexadecimal digits")
    return int(digits, 16)


def _read_float(fields: Mapping[str, object], _: Read) -> float:
    text = _text(fields["text"])
    if text not in ("nan", "inf", "-inf"):
        raise ValueError("only nan, inf and -inf are written like this")
    return float(text)


def _read_set(make: Callable[[list[Any]], Any]) -> Callable[[Mapping[str, object], Read], Any]:
    def read_set(fields: Mapping[str, object], read: Read) -> Any:
        items = [read(item) for item in _items(fields["items"])]
        check_spread(items)
        made = make(items)
        if len(made) != len(items):
            raise ValueError("two equal items")
        return made

    return read_set


def _read_dict(fields: Mapping[str, object], read: Read) -> dict[Any, Any]:
    pairs = [(read(key), read(item)) for key, item in [_items(pair, 2) for pair in _items(fields["items"])]]
    check_spread([key for key, _ in pairs])
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("two equal keys")
    return made


def _three(fields: Mapping[str, object], read: Read) -> list[Any]:
    return [read(item) for item in _items(fields["items"], 3)]


def _read_moment(kind: type[datetime | time]) -> Callable[[Mapping[str, object], Read], Any]:
    def read_moment(fields: Mapping[str, object], _: Read) -> Any:
        naive = kind.fromisoformat(_text(fields["iso"]))
        if naive.tzinfo is not None:
            raise ValueError("its zone is a field of its own")
        fold = _whole(fields.get("fold", 0))
        zone = _read_zone(fields["zone"]) if "zone" in fields else None
        return naive.replace(fold=fold, tzinfo=zone)

    return read_moment


def _read_zone(word: object) -> tzinfo:
    if word == "UTC":
        return UTC
    if isinstance(word, str) and word.startswith("zone "):
        name = word.removeprefix("zone ")
        if name not in _zones():
            raise Problem(f"this machine knows no time zone {shorten(name)}")
        return ZoneInfo(name)
    if type(word) not in (int, float):
        raise TypeError("a time zone is UTC, 'zone NAME' or a number of seconds")
    return timezone(timedelta(seconds=word))  # type: ignore[arg-type]


@cache
def _zones() -> frozenset[str]:
    """Return the names of this machine's time zones; for any other name, Python would look among the packages."""
    from zoneinfo import available_timezones

    return frozenset(available_timezones())


def _read_file(fields: Mapping[str, object], read: Read) -> File:
    return File(_text(read(fields["path"])))


def _read_path(fields: Mapping[str, object], read: Read) -> PurePath:
    return _PATHS[_choice(fields["of"], _PATHS)](_text(read(fields["text"])))


def _choice(value: object, known: Mapping[str, object]) -> str:
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"one of {', '.join(known)}")
    return value


def _read_fraction(fields: Mapping[str, object], read: Read) -> Fraction:
    top, bottom = (_whole(read(part)) for part in _items(fields["parts"], 2))
    _check_part(top)
    _check_part(bottom)
    return Fraction(top, bottom)


def _read_complex(fields: Mapping[str, object], read: Read) -> complex:
    real, imaginary = (read(part) for part in _items(fields["parts"], 2))
    if type(real) is not float or type(imaginary) is not float:
        raise TypeError("two numbers with a fraction")
    return complex(real, imaginary)


def _read_decimal(fields: Mapping[str, object], _: Read) -> Decimal:
    text = _text(fields["text"])
    if len(text) > LONGEST_INT:
        raise ValueError("too long")
    return Decimal(text)


def _read_str(fields: Mapping[str, object], _: Read) -> str:
    return _bytes(fields["utf8"]).decode("utf-8", "surrogatepass")


_PATHS: Final[dict[str, type[PurePath]]] = {
    "Path": Path,
    "PurePosixPath": PurePosixPath,
    "PureWindowsPath": PureWindowsPath,
}
_ITEMS: Final = frozenset({"items"})
_TEXT: Final = frozenset({"text"})
_PARTS: Final = frozenset({"parts"})
_NONE: Final[frozenset[str]] = frozenset()
_ZONE: Final = frozenset({"fold", "zone"})
_READERS: Final[dict[str, tuple[frozenset[str], frozenset[str], Callable[[Mapping[str, object], Read], Any]]]] = {
    "int": (frozenset({"hex"}), _NONE, _read_int),
    "float": (_TEXT, _NONE, _read_float),
    "complex": (_PARTS, _NONE, _read_complex),
    "str": (frozenset({"utf8"}), _NONE, _read_str),
    "bytes": (frozenset({"base64"}), _NONE, lambda fields, _: _bytes(fields["base64"])),
    "bytearray": (frozenset({"base64"}), _NONE, lambda fields, _: bytearray(_bytes(fields["base64"]))),
    "tuple": (_ITEMS, _NONE, lambda fields, read: tuple([read(item) for item in _items(fields["items"])])),
    "set": (_ITEMS, _NONE, _read_set(set)),
    "frozenset": (_ITEMS, _NONE, _read_set(frozenset)),
    "dict": (_ITEMS, _NONE, _read_dict),
    "slice": (_ITEMS, _NONE, lambda fields, read: slice(*_three(fields, read))),
    "range": (_ITEMS, _NONE, lambda fields, read: range(*map(_whole, _three(fields, read)))),
    "ellipsis": (_NONE, _NONE, lambda _, __: ...),
    "datetime": (frozenset({"iso"}), _ZONE, _read_moment(datetime)),
    "date": (frozenset({"iso"}), _NONE, lambda fields, _: date.fromisoformat(_text(fields["iso"]))),
    "time": (frozenset({"iso"}), _ZONE, _read_moment(time)),
    "timedelta": (_PARTS, _NONE, lambda fields, _: timedelta(*map(_whole, _items(fields["parts"], 3)))),
    "decimal": (_TEXT, _NONE, _read_decimal),
    "fraction": (_PARTS, _NONE, _read_fraction),
    "uuid": (_TEXT, _NONE, lambda fields, _: UUID(_text(fields["text"]))),
    "path": (frozenset({"of", "text"}), _NONE, _read_path),
    "file": (frozenset({"path"}), _NONE, _read_file),
}
