"""Value → short text, to be shown in an explanation.

In: a value that code uses, and its name. Out: a few words. Invariant: the text is short, never fails, and shows
nothing whose name says that it is secret.
"""

from __future__ import annotations

import re
from typing import Any, Final

from cascade.spec.logins import hide_logins

__all__ = ["show_constants", "show_value"]

_LONGEST: Final = 60
_PLAIN: Final = (bool, int, float, complex, str, bytes, type(None), list, tuple, dict, set, frozenset, range)
_SECRET: Final = re.compile(r"passw|pwd|secret|token|credential|private|api_?key|_key$|^key$", re.IGNORECASE)


def show_value(value: Any, name: str = "") -> str:
    """Return a short text of a value.

    Example:
        >>> show_value(0.3, "THRESHOLD"), show_value("hunter2", "password")
        ('0.3', '•••')
    """
    if _SECRET.search(name):
        return "•••"
    kind = type(value)
    if kind in _PLAIN:
        return _cut(_repr(value))
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return _cut(f"{kind.__name__} {' × '.join(map(str, shape)) or 'scalar'}")
    if kind.__module__ in {"decimal", "fractions", "datetime", "pathlib", "uuid", "cascade.spec.file"}:
        return _cut(str(value))
    return kind.__name__


def show_constants(constants: tuple[object, ...]) -> str:
    """Return the constants of code in their order, as short texts with a comma between them."""
    return ", ".join(show_value(constant) for constant in constants)[:1000]


def _repr(value: Any) -> str:
    try:
        return hide_logins(repr(value))
    except Exception:  # noqa: BLE001 - what a list holds may raise anything, and a huge int does
        return f"a {type(value).__name__}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]}…"
