"""Names and values of users → pieces of a sentence.

In: any name or value, hostile ones included. Out: short text on one line. Invariant: nothing here fails, and the length
of what is returned does not grow with what is given.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["clip", "nearest", "short"]

LONGEST = 60  # characters of a name or a value in a sentence
MOST_COMPARED = 200  # characters of a name for which a similar one is looked for
MOST_KNOWN = 8  # names that are listed where none is similar


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the known name closest to `name`, or the list of known names, or nothing."""
    names = sorted({str(k) for k in known})
    close = difflib.get_close_matches(name[:MOST_COMPARED], names, n=1, cutoff=0.6)
    if close:
        return f" Did you mean '{clip(close[0])}'?"
    if names:
        shown = ", ".join(map(clip, names[:MOST_KNOWN])) + (", …" if len(names) > MOST_KNOWN else "")
        return f" Known: {shown}."
    return ""


def clip(name: object) -> str:
    """Return a name as a sentence may hold it: on one line, bounded, without what steers a terminal.

    Example:
        >>> clip("gpu"), clip("two words"), len(clip("x" * 1_000_000))
        ('gpu', 'two words', 60)
    """
    text = str(name)
    if len(text) > LONGEST:
        text = f"{text[: LONGEST - 1]}…"
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)


def short(value: object) -> str:
    """Return a repr that is never long and never fails."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a user's class may raise anything, and a huge int does
        return f"a {type(value).__name__}"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 4]}…"
