"""Classes ↔ words of a graph file: types of Params, exceptions, classes of the user's own.

In: a class or typing form. Out: a name, or an object with its parts. Invariant: closed lists; no name found in a file
is ever imported, called or looked up anywhere else.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import cached_property, reduce
from inspect import getattr_static
from operator import or_
from pathlib import Path
from types import MemberDescriptorType, NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin
from uuid import UUID

from cascade.context import get_current_context
from cascade.graph.literals import TAG, Problem, shorten
from cascade.interfaces.exceptions import nearest
from cascade.spec.task import Task

__all__ = ["EXCEPTIONS", "Classes", "owns", "type_from_word", "type_to_word"]

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
_MOST_DEPTH: Final = 10  # types nest, but not like data
_MOST_PARTS: Final = 1_000
_MOST_CHOICES: Final = 50  # of a union, which Python makes by comparing each part with each

EXCEPTIONS: Final[dict[str, type[BaseException]]] = {
    name: found
    for name, found in vars(builtins).items()
    if isinstance(found, type) and issubclass(found, BaseException) and found.__name__ == name
}
"""The exceptions that a graph file may name: the built-in ones."""


def type_to_word(kind: Any, write: Callable[[Any], object], classes: Classes, depth: int = 0) -> object:
    """Return the word for `kind`; `write` writes the values of a Literal.

    Raises:
        Problem: when there is none.
    """
    if id(kind) in _NAMES:
        return _NAMES[id(kind)]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return classes.word(kind)
    origin, args = get_origin(kind), get_args(kind)
    if depth < _MOST_DEPTH and origin is Literal:
        return {"of": "Literal", "args": [write(value) for value in args]}
    if depth < _MOST_DEPTH and origin in (Union, UnionType) and len(args) <= _MOST_CHOICES:
        return {"of": "Union", "args": [type_to_word(part, write, classes, depth + 1) for part in args]}
    if depth < _MOST_DEPTH and args and origin in _FORMS.values():
        return {"of": origin.__name__, "args": [type_to_word(part, write, classes, depth + 1) for part in args]}
    name = getattr(kind, "__qualname__", None) or str(kind)
    raise Problem(f"a graph file has no word for the type {name}; use a built-in one, or an enumeration")


def type_from_word(word: object, read: Callable[[object], Any], classes: Classes, depth: int = 0) -> Any:
    """Return the type that `word` names; `read` reads the values of a Literal.

    Raises:
        Problem: when it names none.
    """
    if isinstance(word, str):
        if ":" in word:
            return classes.enumeration(word)
        if word not in _WORDS:
            raise Problem(f"no type is called {word[:60]!r}.{nearest(word[:60], _WORDS)}".rstrip("."))
        return _WORDS[word]
    if not isinstance(word, dict) or word.keys() != {"of", "args"} or type(word["args"]) is not list:
        raise Problem("a type is a name, or an object with 'of' and 'args'")
    of, args = word["of"], word["args"]
    if depth > _MOST_DEPTH or not 0 < len(args) <= (_MOST_CHOICES if of == "Union" else _MOST_PARTS):
        raise Problem(
            f"a type has between 1 and {_MOST_PARTS:,} parts (a Union {_MOST_CHOICES}), "
            f"and is nested at most {_MOST_DEPTH} deep"
        )
    try:
        if of == "Literal":
            return Literal[tuple([read(value) for value in args])]
        parts = tuple([type_from_word(part, read, classes, depth + 1) for part in args])
        if of == "Union" and all(get_origin(part) not in (Union, UnionType) for part in parts):
            return reduce(or_, parts)
        if isinstance(of, str) and of in _FORMS:
            return _FORMS[of][parts]
    except TypeError as error:
        raise Problem(f"this is no type ({error})") from None
    raise Problem("'of' is Literal, Union (of what is no Union), list, tuple, set, frozenset or dict")


# -- classes of one's own -------------------------------------------------------------------------------------------


class Classes:
    """The classes of the user's own that a graph file may name.

    Those that stand at the top level of a module in which a task is registered, defined or imported there. So the table
    is made of what the reader's own session has, never of what a file says: a name in a file can only pick from it.
    Responsible for: enumerations, dataclasses and named tuples as values. Refuses: running any code of theirs.
    """

    def __init__(self) -> None:
        """Look at nothing before somebody asks; most files name no class."""
        self._table: dict[str, type] | None = None

    @property
    def table(self) -> dict[str, type]:
        """The classes by ``module:qualname``."""
        if self._table is None:
            self._table = {}
            spaces = [_namespace(task.func) for task in get_current_context().tasks.values()]
            for space in {id(space): space for space in spaces}.values():
                for found in list(space.values()):
                    if issubclass(type(found), type):  # isinstance would ask proxies, which may raise anything
                        word = _word_of(found)
                        if word not in self._table or space.get(found.__name__) is found:
                            self._table[word] = found
        return self._table

    def word(self, kind: type) -> str:
        """Return the name of a class.

        Raises:
            Problem: when a reader would not find it.
        """
        word = _word_of(kind)
        if self.table.get(word) is not kind:
            raise Problem(
                f"a graph file can name a class such as {kind.__name__} only if it stands, as it is now, "
                "at the top level of a module that defines a task"
            )
        return word

    def find(self, word: object) -> type:
        """Return the class that `word` names.

        Raises:
            Problem: when it names none that may be named.
        """
        if not isinstance(word, str) or word not in self.table:
            hint = nearest(word[:200], self.table).rstrip(".") if isinstance(word, str) else ""
            raise Problem(f"no class beside a registered task is called {shorten(word)}.{hint}".rstrip("."))
        return self.table[word]

    def enumeration(self, word: object) -> type:
        """Return the enumeration that `word` names, for the type of a Param."""
        kind = self.find(word)
        if not issubclass(kind, Enum):
            raise Problem(f"{kind.__name__} is no enumeration")
        return kind

    def exception(self, word: object) -> type[BaseException]:
        """Return the exception that `word` names, built in or the user's own."""
        if isinstance(word, str) and word in EXCEPTIONS:
            return EXCEPTIONS[word]
        if isinstance(word, str) and ":" not in word:
            raise Problem(f"{shorten(word)} is no built-in exception.{nearest(word[:60], EXCEPTIONS)}".rstrip("."))
        kind = self.find(word)
        if not issubclass(kind, BaseException):
            raise Problem(f"{kind.__name__} is no exception")
        return kind

    def write(self, value: Any, write: Callable[[Any], object]) -> object:
        """Return `value` for JSON, None when its class is not of a kind that can be written.

        Raises:
            Problem: when it could be, and this one cannot.
        """
        kind = type(value)
        if isinstance(value, Enum):
            if kind.__members__.get(value._name_) is not value:
                raise Problem(f"{kind.__name__} has no single member for this value; pass its number")
            return {TAG: "enum", "of": self.word(kind), "name": value._name_}
        if _is_named_tuple(kind):
            if getattr(value, "__dict__", None):
                raise Problem(f"this {kind.__name__} has attributes beyond its items, which would be lost")
            return {TAG: "named", "of": self.word(kind), "items": [write(item) for item in value]}
        names = _field_names(kind)
        if names is None:
            return None
        extra = {name for name in getattr(value, "__dict__", ()) if not _is_cached(kind, name)} - set(names)
        if extra or not all(hasattr(value, name) for name in names):
            raise Problem(f"this {kind.__name__} has other attributes than its fields, which would be lost")
        fields = {name: write(getattr(value, name)) for name in names}
        return {TAG: "data", "of": self.word(kind), "fields": fields}

    def read(self, fields: Mapping[str, Any], read: Callable[[Any], Any]) -> Any:
        """Return the value that an object of the file stands for, None when its tag is none of these.

        Nothing of the class is called, as pickle does it: `__init__` and `__post_init__` ran when the value was made.

        Raises:
            Problem: when the class is not known, or not of the kind that the tag says.
        """
        tag = fields[TAG]
        if tag not in ("enum", "named", "data"):
            return None
        rest = {"enum": "name", "named": "items", "data": "fields"}[tag]
        if fields.keys() != {TAG, "of", rest}:
            raise Problem(f"a value of kind '{tag}' has of and {rest} and nothing else")
        kind, content = self.find(fields["of"]), fields[rest]
        if tag == "enum" and issubclass(kind, Enum) and isinstance(content, str) and content in kind.__members__:
            return kind.__members__[content]
        if tag == "named" and _is_named_tuple(kind) and type(content) is list and len(content) == len(kind._fields):  # type: ignore[attr-defined]
            return tuple.__new__(kind, [read(item) for item in content])
        if tag == "data" and isinstance(content, dict) and list(content) == _field_names(kind):
            made: object = object.__new__(kind)
            for name, item in content.items():
                object.__setattr__(made, name, read(item))
            return made
        raise Problem(f"this is not a valid {kind.__name__}")


def owns(kind: type, task: Task[..., Any]) -> bool:
    """Say whether a class, or one of its bases, has `task` as a method."""
    for base in kind.__mro__:
        for found in list(vars(base).values()):
            method = found.__func__ if type(found) is classmethod else found
            if isinstance(method, Task) and method.key == task.key:
                return True
    return False


def _namespace(func: Any) -> Mapping[str, Any]:
    """Return the top level of the module in which a function stands."""
    found = getattr(func, "__globals__", None)
    if isinstance(found, dict):
        return found
    module = sys.modules.get(str(getattr(func, "__module__", "")))
    return vars(module) if module is not None else {}


def _word_of(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _is_named_tuple(kind: type) -> bool:
    return issubclass(kind, tuple) and isinstance(getattr(kind, "_fields", None), tuple)


def _field_names(kind: type) -> list[str] | None:
    """Return the names of a dataclass's fields; None for others, and for those that are more than their fields."""
    known = getattr_static(kind, "__dataclass_fields__", None)
    if not isinstance(known, dict) or getattr(kind, "__new__", None) is not object.__new__:
        return None
    names = [field.name for field in fields(kind)]
    owned = [getattr_static(kind, name, None) for name in names]
    if any(hasattr(type(each), "__set__") and not isinstance(each, MemberDescriptorType) for each in owned):
        return None  # a property in the place of a field would run
    return names


def _is_cached(kind: type, name: str) -> bool:
    return isinstance(getattr_static(kind, name, None), cached_property)
