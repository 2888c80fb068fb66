"""Text or value → the type that a Param asks for.

In: what a person typed or passed. Out: a value of the type, or one sentence about what is wrong. Invariant: nothing is
lost silently; 2.5 never becomes 2.
"""

from __future__ import annotations

import json
from typing import Any, get_args, get_origin

__all__ = ["convert", "describe_type"]

_TRUE = {"true", "yes", "on", "1", "y", "t"}
_FALSE = {"false", "no", "off", "0", "n", "f"}


def describe_type(kind: Any) -> str:
    """Return how to call a type in a sentence: ``int``, ``list[int]``."""
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind).replace("typing.", "")


def convert(value: object, kind: Any, shown: str | None = None) -> Any:
    """Return `value` as `kind`.

    Args:
        value: text from a command line or a Python value.
        kind: a class, or a typing form such as ``list[int]`` or ``int | None``.
        shown: how to name the value in an error; by default its repr, shortened.

    Raises:
        ValueError: with one sentence, without a full stop.
    """
    try:
        return _convert(value, kind)
    except Exception as error:  # noqa: BLE001 - the constructor of a user's class may raise anything
        what = shown or _short(value)
        detail = f" ({error})" if isinstance(error, _RefusedError) and not shown else ""
        raise ValueError(f"{what} is not a valid {describe_type(kind)}{detail}") from None


class _RefusedError(ValueError):
    """A conversion that would lose something."""


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:56]}…"  # noqa: PLR2004


def _convert(value: object, kind: Any) -> Any:  # noqa: C901, PLR0911, PLR0912 - one branch per type
    if kind is Any or kind is object:
        return value
    origin = get_origin(kind)
    if origin is not None or not isinstance(kind, type):
        return _convert_form(value, kind, origin)
    if kind is bool:
        return _to_bool(value)
    if kind is int:
        return _to_int(value)
    if kind is float:
        if isinstance(value, bool):
            raise _RefusedError("a truth value is not a number")
        return float(value)  # type: ignore[arg-type]
    if isinstance(value, kind):
        return value
    if kind is str:
        if value is None:
            raise _RefusedError("it is nothing")
        return value.decode() if isinstance(value, bytes) else str(value)
    if kind in (list, tuple, set, frozenset, dict):
        return _from_json(value, kind)
    if kind is type(None):
        if value is None or value in ("", "none", "None", "null"):
            return None
        raise ValueError
    if isinstance(value, str) and hasattr(kind, "fromisoformat"):
        return kind.fromisoformat(value)
    if hasattr(kind, "__members__"):
        members: dict[str, Any] = kind.__members__
        return members[value] if isinstance(value, str) and value in members else kind(value)
    return kind(value)


def _convert_form(value: object, kind: Any, origin: Any) -> Any:
    from types import UnionType
    from typing import Literal, Union

    args = get_args(kind)
    if origin is Literal:
        for allowed in args:
            if value == allowed or (isinstance(value, str) and value == str(allowed)):
                return allowed
        raise ValueError
    if origin in (Union, UnionType):
        return _to_union(value, args)
    if origin in (list, set, frozenset):
        return origin(_convert(item, args[0]) for item in _from_json(value, list))
    if origin is tuple:
        items = _from_json(value, list)
        parts = [args[0]] * len(items) if len(args) == 2 and args[1] is Ellipsis else list(args)  # noqa: PLR2004
        return tuple(_convert(i, p) for i, p in zip(items, parts, strict=True))
    if origin is dict:
        return {_convert(k, args[0]): _convert(v, args[1]) for k, v in _from_json(value, dict).items()}
    return value


def _to_union(value: object, parts: tuple[Any, ...]) -> Any:
    """Return `value` as the first part that takes it; text comes last, since it takes everything."""
    if type(value) in parts:
        return value
    for part in sorted(parts, key=lambda part: part is str):
        try:
            return _convert(value, part)
        except Exception:  # noqa: BLE001, S112 - the next part may take it
            continue
    raise ValueError


def _to_bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise _RefusedError("say true or false")


def _to_int(value: object) -> int:
    if isinstance(value, bool):
        raise _RefusedError("a truth value is not a number")
    number = int(value)  # type: ignore[call-overload]
    if not isinstance(value, (str, bytes)) and number != value:
        raise _RefusedError("it has a fraction")
    return number  # type: ignore[no-any-return]


def _from_json(value: object, kind: type) -> Any:
    """Return a list (or dict) of `value`: JSON, or for lists text with commas."""
    if isinstance(value, (str, bytes)):
        text = value if isinstance(value, str) else value.decode()
        try:
            value = json.loads(text)
        except ValueError:
            if kind is dict:
                raise
        if kind is not dict and not isinstance(value, list):
            value = [part.strip() for part in text.split(",")] if text.strip() else []
    return kind(value)
