"""Param → the field of a form, and what a person put into it → the value of a run.

In: Params, texts and marks of a browser. Out: fields as JSON, values. Invariant: a value is converted and checked by
the Param itself, exactly as a run does it; the value of a secret never goes back to the browser.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args, get_origin

from cascade.notebook.plain import plain
from cascade.spec.conversion import describe_type
from cascade.spec.input import Param, describe_bounds

__all__ = ["Field", "make_field"]

Kind = Literal["slider", "number", "check", "radio", "select", "text", "password", "date", "fixed"]
MOST_RADIO: Final = 4  # choices that stand side by side; more of them open on demand
MOST_CHOICES: Final = 500
LONGEST: Final = 10_000  # characters of a text that goes to the browser
_STEPS: Final = 100  # of a slider, about
_JSON: Final = (list, tuple, set, frozenset, dict)


@dataclass(frozen=True, slots=True)
class Field:
    """One control.

    Args:
        param: what it sets. kind: how it looks. choices: the values to choose from, in the order shown.
        step: of a slider or a number; 0: any.
    """

    param: Param
    kind: Kind
    choices: tuple[Any, ...] = ()
    step: float = 0.0

    @property
    def low(self) -> Any:
        """The least value, None for none."""
        return self.param.bounds[0] if self.param.bounds is not None else None

    @property
    def high(self) -> Any:
        """The greatest value, None for none."""
        return self.param.bounds[1] if self.param.bounds is not None else None

    def describe(self) -> dict[str, Any]:
        """Return what the browser draws, without any value."""
        param = self.param
        bounds = describe_bounds(*param.bounds) if param.bounds is not None else ""
        return {
            "name": plain(param.name, 80),
            "kind": self.kind,
            "help": plain(param.description, 300),
            "type": plain(" · ".join(part for part in (describe_type(param.type), bounds) if part), 80),
            "choices": [plain(_label(choice), 80) for choice in self.choices],
            "low": _text_of(self.low),
            "high": _text_of(self.high),
            "step": self.step,
            "required": param.required,
        }

    def to_browser(self, value: Any) -> Any:
        """Return a value as the control shows it; of a secret nothing but whether there is one."""
        if self.kind == "password":
            return ""
        if self.kind == "check":
            return value if isinstance(value, bool) else None
        if self.choices:
            return next((place for place, choice in enumerate(self.choices) if _same(choice, value)), None)
        return plain(_text_of(value), LONGEST) if self.kind == "fixed" else _text_of(value)[:LONGEST]

    def read(self, raw: Any) -> Any:
        """Return the value that the browser's `raw` means.

        Raises:
            ValueError: with one sentence that says what is wrong.
        """
        if self.choices:
            if isinstance(raw, bool) or not isinstance(raw, int) or not 0 <= raw < len(self.choices):
                raise ValueError("choose one of them")
            return self.param.read(self.choices[raw])
        if self.kind == "fixed":
            raise ValueError("it is given in Python")
        if self.kind in {"slider", "number", "date"} and isinstance(raw, str) and not raw.strip():
            if _takes_none(self.param):
                return self.param.read(None)
            raise ValueError("it needs a value")
        return self.param.read(raw)


def make_field(param: Param) -> Field:
    """Return the control that fits a Param.

    Example:
        >>> make_field(Param("share", default=0.3, bounds=(0, 1))).kind, make_field(Param("who", default="Ada")).kind
        ('slider', 'text')
    """
    if param.secret:
        return Field(param, "password")
    choices = _choices(param)
    if choices and len(choices) <= MOST_CHOICES:
        return Field(param, "radio" if len(choices) <= MOST_RADIO else "select", choices)
    kind = _base(param.type)
    if kind is bool:
        return Field(param, "check" if isinstance(param.default, bool) or param.required else "text")
    if kind in {int, float}:
        return _number_field(param, kind)
    if _is_date(kind):
        return Field(param, "date")
    return Field(param, "text" if _is_text(kind, param) else "fixed")


def _number_field(param: Param, kind: type) -> Field:
    low, high = param.bounds if param.bounds is not None else (None, None)
    if not all(_is_finite(number) for number in (low, high, param.default) if _is_number(number)):
        return Field(param, "text")
    step = 1.0 if kind is int else 0.0
    if low is None or high is None or not (_is_number(low) and _is_number(high) and low < high):
        return Field(param, "number", step=step)
    if _takes_none(param):
        return Field(param, "number", step=step)
    return Field(param, "slider", step=step or 10.0 ** math.floor(math.log10((high - low) / _STEPS) + 1e-9))


def _choices(param: Param) -> tuple[Any, ...]:
    if param.choices:
        return param.choices
    if get_origin(param.type) is Literal:
        return get_args(param.type)
    members = getattr(param.type, "__members__", None)
    return tuple(members.values()) if isinstance(param.type, type) and members else ()


def _base(kind: Any) -> Any:
    """Return ``int`` for ``int | None``; any other form as it is."""
    parts = [part for part in get_args(kind) if part is not type(None)]
    is_optional = get_origin(kind) not in {None, Literal} and len(parts) == 1 and type(None) in get_args(kind)
    return parts[0] if is_optional else kind


def _takes_none(param: Param) -> bool:
    return param.default is None or type(None) in get_args(param.type)


def _is_date(kind: Any) -> bool:
    from datetime import date, datetime

    return isinstance(kind, type) and issubclass(kind, date) and not issubclass(kind, datetime)


def _is_text(kind: Any, param: Param) -> bool:
    """Whether a person can write a value of this kind: what the Param makes of the text of its default is its default.

    Without a default, every class is asked when there is a text.
    """
    if kind is str or kind in _JSON or get_origin(kind) is not None or param.required:
        return True
    try:
        return _same(param.read(_text_of(param.default)), param.default)
    except ValueError:
        return False


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int) or math.isfinite(value)


def _same(one: Any, other: Any) -> bool:
    try:
        return one is other or (type(one) is type(other) and bool(one == other))
    except Exception:  # noqa: BLE001 - the equality of a user's class, or of an array, may raise anything
        return False


def _label(choice: Any) -> str:
    name = getattr(choice, "name", None)
    return name if isinstance(name, str) and hasattr(type(choice), "__members__") else _text_of(choice)


def _text_of(value: Any) -> str:
    """Return a value as a person would write it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, _JSON):
        items = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value
        try:
            return json.dumps(items if isinstance(items, dict) else list(items), ensure_ascii=False)
        except (TypeError, ValueError):
            return plain(repr(value), 200)
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    try:
        has_text = any("__str__" in vars(kind) for kind in type(value).__mro__[:-1])
        return str(value) if has_text else plain(repr(value), 200)
    except Exception:  # noqa: BLE001 - a user's class may raise anything
        return f"a {type(value).__name__}"
