"""Types of Params ↔ words of a graph file.

In: a class or typing form. Out: a name, or an object with its parts. Invariant: a closed list; no name found in a file
is ever imported or looked up anywhere else.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from operator import or_
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin
from uuid import UUID

from cascade.graph.literals import Problem
from cascade.interfaces.exceptions import nearest

__all__ = ["EXCEPTIONS", "type_from_word", "type_to_word"]

_CLASSES: Final[tuple[type, ...]] = (
    str,
    int,
    float,
    bool,
    complex,
    bytes,
    list,
    tuple,
    set,
    frozenset,
    dict,
    object,
    date,
    datetime,
    time,
    timedelta,
    Decimal,
    Fraction,
    Path,
    UUID,
)
_WORDS: Final[dict[str, Any]] = {kind.__name__: kind for kind in _CLASSES} | {"None": NoneType, "Any": Any, "...": ...}
_NAMES: Final[dict[int, str]] = {id(kind): word for word, kind in _WORDS.items()} | {id(type(Path())): "Path"}
_FORMS: Final[dict[str, Any]] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset, "dict": dict}
_MOST_PARTS: Final = 1_000

EXCEPTIONS: Final[dict[str, type[BaseException]]] = {
    name: found
    for name, found in vars(builtins).items()
    if isinstance(found, type) and issubclass(found, BaseException) and found.__name__ == name
}
"""The exceptions that a graph file may name: the built-in ones."""


def type_to_word(kind: Any, write: Callable[[Any], object], depth: int = 0) -> object:
    """Return the word for `kind`; `write` writes the values of a Literal.

    Raises:
        Problem: when there is none.
    """
    if id(kind) in _NAMES:
        return _NAMES[id(kind)]
    origin, args = get_origin(kind), get_args(kind)
    if depth < 10 and origin is Literal:  # noqa: PLR2004 - types nest, but not like data
        return {"of": "Literal", "args": [write(value) for value in args]}
    if depth < 10 and origin in (Union, UnionType):  # noqa: PLR2004
        return {"of": "Union", "args": [type_to_word(part, write, depth + 1) for part in args]}
    if depth < 10 and args and origin in _FORMS.values():  # noqa: PLR2004
        return {"of": origin.__name__, "args": [type_to_word(part, write, depth + 1) for part in args]}
    name = getattr(kind, "__qualname__", None) or str(kind)
    raise Problem(f"a graph file has no word for the type {name}; use a built-in one")


def type_from_word(word: object, read: Callable[[object], Any], depth: int = 0) -> Any:
    """Return the type that `word` names; `read` reads the values of a Literal.

    Raises:
        Problem: when it names none.
    """
    if isinstance(word, str):
        if word not in _WORDS:
            raise Problem(f"no type is called {word[:60]!r}.{nearest(word[:60], _WORDS)}".rstrip("."))
        return _WORDS[word]
    if not isinstance(word, dict) or word.keys() != {"of", "args"} or type(word["args"]) is not list or depth > 10:  # noqa: PLR2004
        raise Problem("a type is a name, or an object with 'of' and 'args'")
    of, args = word["of"], word["args"]
    if not 0 < len(args) <= _MOST_PARTS:
        raise Problem("a type has between 1 and 1,000 parts")
    try:
        if of == "Literal":
            return Literal[tuple([read(value) for value in args])]
        parts = tuple([type_from_word(part, read, depth + 1) for part in args])
        if of == "Union":
            return reduce(or_, parts)
        if isinstance(of, str) and of in _FORMS:
            return _FORMS[of][parts]
    except TypeError as error:
        raise Problem(f"this is no type ({error})") from None
    raise Problem("'of' is Literal, Union, list, tuple, set, frozenset or dict")
