"""What code is called, and what a class holds.

In: functions, classes and what wraps them. Out: names, and the members that the user wrote. Invariant: what Python,
`dataclass` and `Enum` put into a class by themselves is left out, since it follows from what is left in.
"""

from __future__ import annotations

from types import FunctionType, ModuleType
from typing import Any, Final

from cascade.identity.objects import CODE

__all__ = ["is_plain", "members_of", "name_of_code"]

# What a class holds about itself, beside all other dunder names that are not functions.
_TOLD: Final = frozenset({"__slots__", "__match_args__", "__hash__", "__attrs_attrs__", "__pydantic_fields__"})
_UNTOLD: Final = frozenset({"_abc_impl", "__dict__", "__weakref__", "__annotate__", "__annotate_func__"})
_MARKS: Final = ("default", "default_factory", "init", "repr", "compare", "hash", "kw_only")  # of a dataclass's field


def name_of_code(value: Any) -> str:
    """Return the name of code: that which its author gave it, not the one that a decorator copied."""
    if isinstance(value, FunctionType):
        return value.__code__.co_name
    for holder in ("__func__", "func", "fget", "__wrapped__"):
        held = getattr(value, holder, None)
        if held is not None and not isinstance(value, (type, ModuleType)):
            return name_of_code(held)
    return str(getattr(value, "__name__", type(value).__name__))


def is_plain(value: Any) -> bool:
    """Say whether a value is one of Python's plain types or containers."""
    return value is None or type(value) in (bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset)


def members_of(kind: type) -> dict[str, Any]:
    """Return what a class of the user's defines, without what Python keeps in it about itself."""
    found: dict[str, Any] = {}
    fields = vars(kind).get("__dataclass_fields__")
    members = vars(kind).get("_member_map_")
    for name, value in vars(kind).items():
        is_dunder = name.startswith("__") and name.endswith("__")
        is_code = isinstance(value, CODE) and not hasattr(value, "__objclass__")
        if name in _UNTOLD or (is_dunder and not is_code and name not in _TOLD):
            continue
        if members is not None and (name in members or _is_enum_machinery(name)):
            continue
        if "__create_fn__" not in getattr(getattr(_unwrapped(value), "__code__", None), "co_qualname", ""):
            found[name] = value
    if fields is not None:
        shown = {name: tuple(getattr(field, mark, None) for mark in _MARKS) for name, field in fields.items()}
        found["__dataclass_fields__"] = list(shown.items())
        found["__dataclass_params__"] = str(vars(kind).get("__dataclass_params__"))
    if members is not None:
        found["_member_map_"] = [(name, getattr(member, "_value_", member)) for name, member in members.items()]
    return found


def _is_enum_machinery(name: str) -> bool:
    is_known = name in {"__new__", "_generate_next_value_"}
    return is_known or (name.startswith("_") and name.endswith("_") and not name.startswith("__"))


def _unwrapped(value: Any) -> Any:
    return getattr(value, "__wrapped__", value)
