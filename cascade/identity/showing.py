"""Value → short text, to be shown in an explanation.

In: a value that code uses, and its name. Out: a few words. Invariant: the text is short and takes no longer for a large
value, never fails, holds no address, and shows nothing whose name says that it is secret. No `repr` of the user's is
called.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from itertools import islice
from types import BuiltinFunctionType, FunctionType, MappingProxyType, ModuleType
from typing import Any, Final

from cascade.identity.origin import library_of_class
from cascade.spec.logins import hide_logins

__all__ = ["show_constants", "show_value"]

_LONGEST: Final = 60
_LONGEST_TEXT: Final = 4096  # characters of a text that are looked at
_MOST_SORTED: Final = 1000  # elements of a set that are put in order
_DEEPEST: Final = 6
_HIDDEN: Final = "•••"
_SAID: Final = (bool, int, float, complex, type(None), range, slice, type(...), type(NotImplemented))
_BRACKETS: Final[dict[type, tuple[str, str]]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
}
# Modules of Python's whose objects say what they hold in a line, and nothing of other objects.
_TOLD: Final = frozenset({"decimal", "fractions", "datetime", "pathlib", "uuid", "cascade.spec.file"})
_TOLD_IN_CODE: Final = frozenset({"re", "operator", "typing", "itertools", "pydantic.fields"})
_ALIASES: Final = frozenset({"GenericAlias", "UnionType"})
_SECRET: Final = re.compile(r"passw|pwd|secret|token|credential|private|api_?key|_key$|^key$", re.IGNORECASE)


def show_value(value: Any, name: str = "") -> str:
    """Return a short text of a value.

    Example:
        >>> show_value(0.3, "THRESHOLD"), show_value("hunter2", "password"), show_value({"b", "a"})
        ('0.3', '•••', "{'a', 'b'}")
    """
    if _SECRET.search(name):
        return _HIDDEN
    try:
        if name == "_member_map_":
            return _cut(", ".join(f"{member}={_Text().show(own)}" for member, own in value))
        return _cut(_fields(value) if name == "__dataclass_fields__" else _Text().show(value))
    except Exception:  # noqa: BLE001 - an object may raise anything where it is looked at, and a huge int does
        return f"a {type(value).__name__}"


def show_constants(constants: tuple[object, ...]) -> str:
    """Return the constants of code in their order, as short texts with a comma between them."""
    return ", ".join(show_value(constant) for constant in constants)[:1000]


def _fields(marks: Iterable[tuple[str, tuple[Any, ...]]]) -> str:
    """Return the fields of a dataclass, as `members_of` lists them, with their defaults."""
    from dataclasses import MISSING

    shown = []
    for name, (default, factory, *_) in marks:
        made = "" if factory is MISSING else f"={_Text().show(factory)}()"
        own = _HIDDEN if _SECRET.search(name) else _Text().show(default)
        shown.append(name + (made if default is MISSING else f"={own}"))
    return ", ".join(shown)


class _Text:
    """Writes one value until there is more than anybody will see."""

    def __init__(self) -> None:
        self.left = 2 * _LONGEST
        self.around: list[int] = []

    def show(self, value: Any) -> str:
        if self.left < 0 or len(self.around) > _DEEPEST or id(value) in self.around:
            return "…"
        self.around.append(id(value))
        text = self._show(value)
        self.around.pop()
        self.left -= len(text)
        return text

    def _show(self, value: Any) -> str:
        kind = type(value)
        if kind in (str, bytes, bytearray):
            return hide_logins(repr(value[:_LONGEST_TEXT]))
        if kind in _SAID:
            return repr(value)
        if kind in (dict, MappingProxyType):
            return "{" + ", ".join(self._pairs(value.items())) + "}"
        if kind in _BRACKETS:
            return self._show_items(kind, value)
        if isinstance(value, (type, FunctionType, BuiltinFunctionType, ModuleType)):
            return str(value.__name__)
        return self._show_object(kind, value)

    def _show_object(self, kind: type, value: Any) -> str:
        if isinstance(value, Enum):
            return f"{kind.__name__}.{value.name}"
        shape = getattr(value, "shape", None) if library_of_class(kind) is not None else None
        if isinstance(shape, tuple):
            return f"{kind.__name__} {' × '.join(map(str, shape)) or 'scalar'}"
        if kind.__module__ in _TOLD:
            return str(value)
        if kind.__module__ in _TOLD_IN_CODE or kind.__name__ in _ALIASES:
            return hide_logins(repr(value))
        if library_of_class(kind) is not None:
            return kind.__name__
        return f"{kind.__name__}({', '.join(self._attributes(value))})"

    def _show_items(self, kind: type, value: Any) -> str:
        opening, closing = _BRACKETS[kind]
        if not value and kind in (set, frozenset):
            return f"{kind.__name__}()"
        if "{" in opening:  # their order says nothing: what is seen of them must not depend on it
            shown = sorted(_Text().show(item) for item in islice(value, _MOST_SORTED))
        else:
            shown = [self.show(item) for item in islice(value, _LONGEST)]
        return f"{opening}{', '.join(shown)}{',' if kind is tuple and len(shown) == 1 else ''}{closing}"

    def _pairs(self, pairs: Iterable[tuple[Any, Any]]) -> Iterator[str]:
        for key, item in islice(pairs, _LONGEST):
            is_secret = isinstance(key, str) and _SECRET.search(key)
            yield f"{self.show(key)}: {_HIDDEN if is_secret else self.show(item)}"

    def _attributes(self, value: Any) -> Iterator[str]:
        """Yield what an object holds by itself; the user's `repr` might do anything."""
        if isinstance(value, (str, bytes, int, float, list, tuple, dict, set, frozenset)):
            base = next(each for each in type(value).__mro__ if each.__module__ == "builtins")
            yield self.show(base(value))
        own = dict(getattr(value, "__dict__", {}))
        slots = [vars(each).get("__slots__", ()) for each in type(value).__mro__]
        for name in [name for names in slots for name in ([names] if isinstance(names, str) else names)]:
            if name not in {"__dict__", "__weakref__"} and hasattr(value, name):
                own[name] = getattr(value, name)
        said = [(name, item) for name, item in own.items() if not str(name).startswith("__")]
        for name, item in said[:_LONGEST]:
            yield f"{name}={_HIDDEN if _SECRET.search(str(name)) else self.show(item)}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]}…"
