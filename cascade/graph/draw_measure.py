"""Text → the text that fits: cleaned, measured and cut.

In: any string, hostile ones included. Out: a bounded string without control characters, and its width in pixels.
Invariant: the time taken and the length returned do not grow with the text.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from cascade.graph.draw_shapes import looks

ELLIPSIS = "…"
_BIDI = dict.fromkeys([0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF])


def clean(text: str, limit: int = 200) -> str:
    """The text on one line, at most `limit` characters, safe to stand in XML, DOT and JSON.

    White space of any kind becomes one space; bidirectional controls, which could make a name read as another one,
    go; control characters, lone surrogates and non-characters become U+FFFD.
    """
    cut = text[: 4 * limit]
    shown = "".join(map(_printable, " ".join(cut.translate(_BIDI).split())))
    if len(shown) > limit or len(text) > len(cut):
        return shown[: limit - 1].rstrip() + ELLIPSIS
    return shown


def _printable(char: str) -> str:
    if char < "\x7f":
        return char if char >= " " else "\ufffd"
    if unicodedata.category(char) in {"Cc", "Cs", "Cn"}:
        return "\ufffd"
    return char


def width(text: str, size: float) -> float:
    """How wide the text is, in pixels, at a font size in pixels. Never too small for the common interface fonts."""
    return sum(map(_advance, text)) * size / 1000


def fit(text: str, size: float, room: float) -> str:
    """The text, or as much of it as `room` pixels hold with an ellipsis at its end."""
    text = clean(text)
    if width(text, size) <= room:
        return text
    room = room * 1000 / size - _advance(ELLIPSIS)
    for place, char in enumerate(text):
        room -= _advance(char)
        if room < 0:
            return text[:place].rstrip() + ELLIPSIS
    return text


@lru_cache(maxsize=4096)
def _advance(char: str) -> int:
    widths = looks()["widths"]
    place = ord(char) - widths["first"]
    if 0 <= place < len(widths["ascii"]):
        advance = widths["ascii"][place]
    elif char == "·":
        advance = widths["dot"]
    elif unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        advance = 0
    elif unicodedata.east_asian_width(char) in "WF" or char == ELLIPSIS:
        advance = widths["wide"]
    else:
        advance = widths["upper"] if char.isupper() else widths["other"]
    return int(advance)
