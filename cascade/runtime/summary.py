"""One short line about a value, cheap for any size.

In: any value. Out: text of at most 80 characters. Invariant: never calls the ``str`` or ``repr`` of something whose
size is not known to be small, and never raises.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cascade.identity.origin import library_of_class
from cascade.identity.showing import show_value
from cascade.runtime.cluster_values import RemoteValue
from cascade.spec.file import File
from cascade.spec.logins import hide_logins

__all__ = ["describe", "preview_arguments", "summarize"]

MOST = 80
_CONTAINERS = (list, tuple, set, frozenset, dict)
LONGEST_PATH = 48


def summarize(value: Any) -> str:
    """Return what a person would say of `value`: ``344 rows × 8 columns``, ``list of 3``, ``0.87``.

    Example:
        >>> summarize([1, 2, 3])
        'list of 3'
    """
    try:
        return _summarize(value)
    except Exception:  # noqa: BLE001 - a summary is a courtesy; a value's own faults must not matter
        return type(value).__name__


def describe(value: Any) -> str:
    """Return the same of an argument, but what is in it where that fits into the line: who asks why wants to see it.

    Example:
        >>> describe({"degree": 2}), describe(list(range(1000)))
        ("{'degree': 2}", 'list of 1,000')
    """
    kind = type(value)
    if kind not in _CONTAINERS and library_of_class(kind) is not None:
        return summarize(value)
    shown = show_value(value)
    return summarize(value) if "…" in shown else shown


def _summarize(value: Any) -> str:  # noqa: PLR0911 - one for each kind of value
    kind = type(value)
    if value is None or kind is bool:
        return str(value)
    if kind is RemoteValue:
        return str(value.summary) or value.label
    if kind is float:
        return f"{value:.6g}"
    if kind is int:
        return str(value) if value.bit_length() < 200 else f"int of {value.bit_length()} bits"  # noqa: PLR2004
    if kind is str:
        return repr(hide_logins(value)) if len(value) <= MOST - 4 else f"text of {len(value):,} characters"
    if kind is bytes:
        return f"{len(value):,} bytes"
    if kind is File:
        return _summarize_file(value)
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and all(isinstance(n, int) for n in shape):
        return _shaped(value, shape)
    if isinstance(value, (list, tuple, set, frozenset, dict)):
        return f"{kind.__name__} of {len(value):,}"
    return kind.__name__


def _summarize_file(file: File) -> str:
    path = Path(file.path)
    shown = _short_path(path)
    if path.is_dir():
        return f"folder {shown}"
    try:
        return f"file {shown}, {path.stat().st_size:,} bytes"
    except FileNotFoundError:
        return f"file {shown}, missing"


def _short_path(path: Path) -> str:
    """Return a path as it was given, or, of one that is far from here, its end: a summary may be published."""
    if path.is_absolute():
        here = Path.cwd()
        path = path.relative_to(here) if path.is_relative_to(here) else Path("…", *path.parts[-2:])
    text = path.as_posix()
    return text if len(text) <= LONGEST_PATH else f"…{text[1 - LONGEST_PATH :]}"


def _shaped(value: Any, shape: tuple[int, ...]) -> str:
    if hasattr(value, "columns") and len(shape) == 2:  # noqa: PLR2004
        return f"{shape[0]:,} rows × {shape[1]:,} columns"
    if hasattr(value, "index") and len(shape) == 1:
        return f"{shape[0]:,} values"
    if not shape and hasattr(value, "item"):
        return summarize(value.item())
    sides = " × ".join(f"{n:,}" for n in shape)
    return f"{sides} {getattr(value, 'dtype', '')} array".replace("  ", " ")[:MOST]


def preview_arguments(names: tuple[str, ...], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, str]:
    """Return a summary of each argument by parameter name, at most twelve of them."""
    shown: dict[str, str] = {}
    for k, value in enumerate(args):
        shown[names[k] if k < len(names) else f"argument {k + 1}"] = summarize(value)
    shown.update({k: summarize(v) for k, v in kwargs.items()})
    return dict(list(shown.items())[:12])
