"""Text → JSON values, of text that anybody may have written.

In: text or bytes. Out: dicts, lists, text, numbers, truth values and None. Invariant: what is not exactly JSON is one
error; time and memory are linear in the length, which is bounded, whatever stands in the text.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final, NoReturn

from cascade.graph.literals import Problem, is_text, shorten
from cascade.interfaces.exceptions import GraphFormatError, nearest

__all__ = ["MOST_TEXT", "Record", "as_list", "as_name", "as_text", "parse", "word_for"]

MOST_TEXT: Final = 1 << 27  # characters
_MOST_OBJECTS: Final = 10_000_000  # and lists; each takes some 50 times the memory of its two characters
_LONGEST_NUMBER: Final = 4_300  # digits; `to_json` writes whole numbers beyond 2**53 as text


def parse(text: str | bytes) -> object:
    """Return the values that `text` holds.

    Raises:
        GraphFormatError: when it is not JSON, or more than anybody means.
    """
    if not isinstance(text, (str, bytes)):
        raise GraphFormatError.at("the file", f"text is needed, not {type(text).__name__}")
    if len(text) > MOST_TEXT:
        raise GraphFormatError.at("the file", f"it is longer than {MOST_TEXT:,} characters")
    try:
        return _load(text.decode(json.detect_encoding(text)) if isinstance(text, bytes) else text)
    except Problem as problem:
        raise GraphFormatError.at("the file", str(problem)) from None
    except RecursionError:
        raise GraphFormatError.at("the file", "it is nested too deeply") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise GraphFormatError.at("the file", f"it is not JSON ({error})") from None
    except ValueError:
        raise GraphFormatError.at("the file", f"a number has more than {_LONGEST_NUMBER:,} digits") from None


def _load(text: str) -> object:
    if text.count("{") + text.count("[") > _MOST_OBJECTS:
        raise Problem(f"it has more than {_MOST_OBJECTS:,} objects and lists")
    # Python refuses long whole numbers itself, unless somebody has told it not to.
    ints = None if sys.get_int_max_str_digits() else _parse_int
    return json.loads(
        text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=ints, parse_float=_parse_float
    )


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise Problem(f"the key {shorten(name)} stands twice in one object")
            seen.add(name)
    return made


def _no_constant(name: str) -> NoReturn:
    raise Problem(f"{name} is not JSON")


def _parse_int(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise Problem(f"a number has more than {_LONGEST_NUMBER:,} digits")
    return int(digits)


def _parse_float(digits: str) -> float:
    number = float(digits)
    if not abs(number) < float("inf"):
        raise Problem(f"the number {digits[:40]} is too large")
    return number


class Record(dict[str, Any]):
    """An object of the file, all of whose keys are known and none that is needed is missing.

    Args:
        value: what the file has. place: where. needed, optional: the names of its keys.

    Raises:
        GraphFormatError: when it is not so.
    """

    def __init__(self, value: object, place: str, needed: frozenset[str], optional: frozenset[str]) -> None:
        if not isinstance(value, dict):
            raise GraphFormatError.at(place, f"an object is needed, not {word_for(value)}")
        keys = value.keys()
        if not needed <= keys:
            raise GraphFormatError.at(place, f"{', '.join(sorted(needed - keys))} is missing")
        if len(keys) > len(needed) and not keys <= (known := needed | optional):
            name = next(name for name in value if name not in known)
            hint = nearest(name[:60], known).strip().rstrip(".")
            raise GraphFormatError.at(place, f"{shorten(name)} means nothing here. {hint}".rstrip(". "))
        super().__init__(value)


def word_for(value: object) -> str:
    """Return what JSON calls a value."""
    words = {dict: "an object", list: "a list", str: "text", bool: "a truth value", type(None): "null"}
    return words.get(type(value), "a number")


def as_list(value: object, place: str) -> list[Any]:
    """Return a list as it is.

    Raises:
        GraphFormatError: when it is none.
    """
    if not isinstance(value, list):
        raise GraphFormatError.at(place, f"a list is needed, not {word_for(value)}")
    return value


def as_text(value: object, place: str) -> str:
    """Return a text as it is.

    Raises:
        GraphFormatError: when it is none.
    """
    if not isinstance(value, str):
        raise GraphFormatError.at(place, f"text is needed, not {word_for(value)}")
    return value


def as_name(value: object, place: str) -> str:
    """Return a text that any reader and writer of JSON gives back as it is.

    Raises:
        GraphFormatError: when it is none.
    """
    if not is_text(name := as_text(value, place)):
        raise GraphFormatError.at(place, f"{shorten(name)} cannot be a name in a graph file")
    return name
