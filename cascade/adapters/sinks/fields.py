"""Annotations of a record → what its fields may hold.

In: a class of plain data. Out: for each field a check of a value that was read from a file. Invariant: what passes can
be given to the class, and to all who read its fields, as if the program itself had made it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

__all__ = ["misfit"]

Check = Callable[[Any], bool]
LARGEST: Final = 2.0**63  # of a number
LATEST: Final = 1e11  # of times, in seconds: some three thousand years, which calendars still know
_TIMES: Final = frozenset({"at", "elapsed"})
_COUNTS: Final = frozenset({"amount", "count", "first", "index"})  # never below 0


def misfit(kind: type, found: Mapping[str, Any]) -> str:
    """Return the name of a field of `found` that `kind` could not have, empty if all fit.

    Example:
        >>> from cascade.interfaces.events import NodeSkipped
        >>> misfit(NodeSkipped, {"reason": "no", "because": "a"}), misfit(NodeSkipped, {"reason": 1})
        ('', 'reason')
    """
    checks = _checks(kind)
    return next((name for name, value in found.items() if name not in checks or not checks[name](value)), "")


@cache
def _checks(kind: type) -> dict[str, Check]:
    checks = {name: _is_time if name in _TIMES else _check(hint) for name, hint in get_type_hints(kind).items()}
    return checks | {name: _not_negative(checks[name]) for name in _COUNTS & checks.keys()}


def _check(hint: Any) -> Check:
    if hint is float:
        return _is_number
    if hint is int:
        return _is_whole
    if hint in (object, Any):
        return lambda _: True
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        checks = [_check(each) for each in args]
        return lambda value: any(check(value) for check in checks)
    if origin is Literal:
        return lambda value: isinstance(value, str) and value in args
    if origin is tuple:
        return _tuple_check(args)
    if origin is not None:  # mappings; JSON has texts as keys
        of_value = _check(args[1])
        return lambda value: isinstance(value, dict) and all(map(of_value, value.values()))
    return lambda value: isinstance(value, hint)


def _tuple_check(args: tuple[Any, ...]) -> Check:
    if args[-1] is Ellipsis:
        each = _check(args[0])
        return lambda value: isinstance(value, list) and all(map(each, value))
    checks = [_check(arg) for arg in args]
    return lambda value: (
        isinstance(value, list)
        and len(value) == len(checks)
        and all(check(part) for check, part in zip(checks, value, strict=True))
    )


def _not_negative(check: Check) -> Check:
    return lambda value: check(value) and (value is None or value >= 0)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -LARGEST < value < LARGEST


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and _is_number(value)


def _is_time(value: Any) -> bool:
    return _is_number(value) and 0 <= value < LATEST
