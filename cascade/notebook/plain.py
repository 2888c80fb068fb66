"""Any text → bounded plain text; seconds → words.

In: names, errors and output of users, hostile ones included. Out: short strings that are safe to put in JSON and to
show as text. Invariant: the length of what is returned, and the time it takes, do not grow with what is given.
"""

from __future__ import annotations

import unicodedata

_CONTROLS = dict.fromkeys([0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF])
_CENTISECOND, _TENTHS, _SECONDS, _MINUTES = 0.00995, 0.995, 9.95, 59.5


def plain(text: str, limit: int = 200) -> str:
    """Return `text` on one line, at most `limit` characters long, without controls that could disturb or deceive.

    Indentation stays: it carries meaning in source lines and in printed tables.
    """
    if len(text) <= limit and text.isprintable():
        return text
    cut = text[: limit + 1].expandtabs(4).translate(_CONTROLS)
    shown = "".join(map(_printable, cut)).rstrip()
    if len(text) > limit or len(shown) > limit:
        return shown[: limit - 1].rstrip() + "…"
    return shown


def _printable(char: str) -> str:
    if char.isprintable():
        return char
    if char.isspace():
        return " "
    return char if unicodedata.category(char) in {"Cf", "Zs"} else "\ufffd"


def duration(seconds: float) -> str:
    """Return a length of time as people say it: ``3 ms``, ``0.18 s``, ``3.2 s``, ``3 min 05 s``, ``1 h 02 min``."""
    seconds = max(0.0, seconds)
    if seconds < _CENTISECOND:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.0005 else "under 1 ms"  # noqa: PLR2004 - half a millisecond
    if seconds < _TENTHS:
        return f"{seconds:.2f} s"
    if seconds < _SECONDS:
        return f"{seconds:.1f} s"
    if seconds < _MINUTES:
        return f"{seconds:.0f} s"
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    if hours:
        return f"{hours} h {rest // 60:02d} min"
    return f"{rest // 60} min {rest % 60:02d} s"


def plural(count: int, one: str, many: str = "") -> str:
    """Return ``1 node``, ``2 nodes``, ``2,000 nodes``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(names: tuple[str, ...] | list[str], shown: int = 3) -> str:
    """Return ``a, b, c and 4 more``; ``a and b``."""
    if len(names) > shown:
        return f"{', '.join(names[:shown])} and {len(names) - shown:,} more"
    if len(names) > 1:
        return f"{', '.join(names[:-1])} and {names[-1]}"
    return names[0] if names else ""
