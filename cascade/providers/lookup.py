"""``cs.lookup``: a path into a nested value → the part that it leads to.

In: dicts, lists and objects within each other, and a path. Out: the part. Invariant: looking runs nothing and finds no
more than the value shows: names that begin with ``_``, methods, and what classes, functions and modules hold are
refused; where a path ends too early, the error says how far it led.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, Final

import cascade as cs
from cascade.providers.errors import ProviderError, clip, nearest, short

__all__ = ["LookupPathError", "lookup"]

_STEP: Final = re.compile(
    r"""\.?(?P<name>[^.\[\]]+)|\[(?P<place>-?\d{1,18})\]|\[(?P<mark>["'])(?P<key>.*?)(?P=mark)\]"""
)
_HIDDEN: Final = (type, ModuleType, FunctionType, BuiltinFunctionType)
_NO_DEFAULT: Final = object()


class LookupPathError(ProviderError, LookupError):
    """A path leads nowhere."""

    @classmethod
    def for_step(cls, path: object, done: str, step: object, inside: Any) -> LookupPathError:
        """One of its steps finds nothing."""
        where = f"'{clip(done)}'" if done else "The value"
        if isinstance(inside, Mapping):
            what = f"is a mapping without {short(step)}.{nearest(step, inside)}"
        elif _is_row(inside):
            what = f"is a {type(inside).__name__} of {len(inside)}, without {short(step)}."
        else:
            what = f"is of type {type(inside).__name__}, without {short(step)}."
        return cls(f"The path {short(path)} leads nowhere: {where} {what} Pass default=… where it may be missing.")


@cs.task(name="lookup", pure=True, mode="inline")
def lookup(source: Any, path: str | int | Iterable[str | int], /, default: Any = _NO_DEFAULT) -> Any:
    """Return a part of a nested value.

    Args:
        source: dicts, lists, tuples, objects and data frames (columns), at any depth.
        path: ``"servers[0].name"``, with ``["…"]`` around keys that have dots, or a list of keys and places. A number
            between dots is a place where a list is, and a key elsewhere.
        default: the answer where a step finds nothing.

    Raises:
        LookupPathError: when a step finds nothing, or would look behind the value. ProviderError: when it is no path.

    Example:
        >>> import cascade as cs
        >>> config = {"servers": [{"name": "alpha"}, {"name": "beta"}]}
        >>> cs.run([cs.lookup(config, "servers[-1].name"), cs.lookup(config, "port", default=80)], log_level="ERROR")
        ['beta', 80]
    """
    at, done = source, ""
    for step in _steps(path):
        found = _part(at, step)
        if found is _NO_DEFAULT:
            if default is not _NO_DEFAULT:
                return default
            raise LookupPathError.for_step(path, done, step, at)
        at = found
        done = f"{done}[{step}]" if isinstance(step, int) else f"{done}.{step}".lstrip(".")
    return at


def _steps(path: object) -> list[str | int]:
    if isinstance(path, int) and not isinstance(path, bool):
        return [path]
    if isinstance(path, str):
        return _steps_of_text(path)
    steps: list[Any] = list(path) if isinstance(path, Iterable) and not isinstance(path, (bytes, Mapping)) else [None]
    if not all(isinstance(step, (str, int)) for step in steps):
        raise ProviderError(f"A path of cs.lookup is text, a number, or a list of keys and places, not {short(path)}.")
    return steps


def _steps_of_text(path: str) -> list[str | int]:
    steps: list[str | int] = []
    at = 0
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None or (found[0].startswith(".") and not steps):
            raise ProviderError(f"The path {short(path)} cannot be read from character {at + 1} on.")
        steps.append(found["name"] or (int(found["place"]) if found["place"] else found["key"]))
        at = found.end()
    return steps


def _part(inside: Any, step: str | int) -> Any:
    """Return what one step leads to, `_NO_DEFAULT` if nothing."""
    if isinstance(inside, Mapping):
        if step in inside:
            return inside[step]
        number = _number(step)
        return inside[number] if number is not None and number in inside else _NO_DEFAULT
    if _is_row(inside):
        number = _number(step)
        if number is not None:
            return inside[number] if -len(inside) <= number < len(inside) else _NO_DEFAULT
    if hasattr(inside, "columns") and hasattr(type(inside), "__getitem__"):  # a data frame
        return inside[step] if step in list(inside.columns) else _NO_DEFAULT
    return _attribute(inside, step)


def _attribute(inside: Any, step: str | int) -> Any:
    if not isinstance(step, str) or step.startswith("_") or isinstance(inside, _HIDDEN):
        return _NO_DEFAULT
    found = getattr(inside, step, _NO_DEFAULT)
    return _NO_DEFAULT if callable(found) else found


def _is_row(inside: object) -> bool:
    return isinstance(inside, Sequence) and not isinstance(inside, (str, bytes, bytearray))


def _number(step: str | int) -> int | None:
    if isinstance(step, int):
        return step
    return int(step) if re.fullmatch(r"-?\d{1,18}", step, re.ASCII) else None
