"""What a task displays → a `Display`: a picture, a table or a text, bounded and checked.

In: a MIME bundle, or an object that can make one. Out: plain data that travels between processes and lies in stores.
Invariant: markup never gets further than here: HTML is read for its text and its first table, a picture is what its
bytes say and not what its MIME type says, and everything has a largest size.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

from cascade.runtime.html_text import CELL, COLUMNS, ROWS, Table, read_html
from cascade.runtime.pictures import LARGEST, LARGEST_SOURCE, MIMES, SVG, THUMBNAIL, Picture, look_at, shrink

__all__ = ["Display", "bundle_of", "from_bundle", "from_json", "to_json"]

SIDE: Final = 1600  # pixels of a picture that is too large to be kept as it is
THUMBNAIL_SIDE: Final = 320
LONGEST: Final = 2_000  # characters of text
_TEXTS: Final = ("text/markdown", "text/latex", "text/plain")
_METHODS: Final = {
    "text/html": "_repr_html_",
    "text/markdown": "_repr_markdown_",
    "text/latex": "_repr_latex_",
    "image/svg+xml": "_repr_svg_",
    "image/png": "_repr_png_",
    "image/jpeg": "_repr_jpeg_",
}


@dataclass(frozen=True, slots=True)
class Display:
    """Something that a task showed.

    Args:
        text: in words; the description of a picture. picture: whole, None where there is none. thumbnail: of it.
        table: the first cells. made_at: when it was shown first, seconds since the epoch; 0: only now.
    """

    text: str
    picture: Picture | None = None
    thumbnail: Picture | None = None
    table: Table = field(default_factory=Table)
    made_at: float = 0.0

    @property
    def id(self) -> str:
        """What names the picture: a digest of its bytes, empty without one."""
        return blake2b(self.picture.data, digest_size=12).hexdigest() if self.picture is not None else ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.text or self.picture or self.table.rows)


# -- from what was displayed ------------------------------------------------------------------------------------------


def from_bundle(
    bundle: Mapping[str, Any], alt: str = "", redact: Callable[[str], str] = str, *, thumbnail: bool = True
) -> Display:
    """Return what a MIME bundle shows.

    Args:
        bundle: data by MIME type, as ``_repr_mimebundle_`` gives it. alt: a description of its picture.
        redact: takes secrets out of a text. thumbnail: whether to make a small version of the picture.

    Example:
        >>> from_bundle({"text/html": "<b>3</b> rows", "text/plain": "<HTML object>"}).text
        '3 rows'
    """
    text, table = _read_texts(bundle)
    text = redact(alt or text)[:LONGEST]
    table = Table(tuple(tuple(redact(cell) for cell in row) for row in table.rows), table.more)
    source = _find_picture(bundle, redact)
    if source is None:
        return Display(text or _unshown(bundle), table=table)
    picture = shrink(source, LARGEST, max(source.width, source.height) if len(source.data) <= LARGEST else SIDE)
    words = _words(text, source)
    if picture is None:
        return Display(f"{words}, {len(source.data):,} bytes: too large to be shown here", table=table)
    return Display(words, picture, shrink(picture, THUMBNAIL, THUMBNAIL_SIDE) if thumbnail else None, table)


def _read_texts(bundle: Mapping[str, Any]) -> tuple[str, Table]:
    """Return the best text of a bundle, and its table if its HTML has one."""
    found = [text for mime in _TEXTS if (text := _to_text(bundle.get(mime))) and not _says_nothing(text)]
    markup = _to_text(bundle.get("text/html"))
    read, table = read_html(markup) if markup else ("", Table())
    if table.rows:
        return read or "table", table
    return (found[0] if found else read), table


def _says_nothing(text: str) -> bool:
    """Whether a text only names the class of an object: ``<IPython.core.display.HTML object>``."""
    return text.startswith("<") and text.endswith(">") and " object" in text[:200]


def _to_text(value: object) -> str:
    if isinstance(value, list):  # notebooks keep texts as lists of lines
        value = "".join(part for part in value if isinstance(part, str))
    return value[:LARGEST_SOURCE] if isinstance(value, str) else ""


def _find_picture(bundle: Mapping[str, Any], redact: Callable[[str], str]) -> Picture | None:
    for mime in MIMES:
        value = bundle.get(mime)
        if mime == SVG:
            text = _to_text(value) if not isinstance(value, bytes) else value.decode("utf-8", "replace")
            data = redact(text).encode("utf-8", "replace")
        else:
            data = _to_bytes(value)
        picture = look_at(data) if data else None
        if picture is not None and picture.mime == mime:
            return picture
    return None


def _to_bytes(value: object) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    text = _to_text(value)
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _words(text: str, picture: Picture) -> str:
    """Return the description of a picture; the bare repr of its object says no more than its size does."""
    size = f" of {picture.width} × {picture.height} pixels" if picture.width else ""
    if not text or (text.startswith("<") and text.endswith(">")) or text.startswith("Figure("):
        return f"picture{size}"
    return text


def _unshown(bundle: Mapping[str, Any]) -> str:
    """Return what is said of a bundle in which nothing can be shown."""
    kinds = [str(mime)[:60] for mime in bundle if mime != "text/plain"]
    plain = _to_text(bundle.get("text/plain"))[:LONGEST]
    return plain or (f"output of type {kinds[0]}, which cannot be shown here" if kinds else "")


# -- from an object, where no IPython makes the bundle ----------------------------------------------------------------


def bundle_of(shown: object) -> dict[str, Any]:
    """Return the MIME bundle of an object by its own methods; a method that fails is left out.

    Example:
        >>> bundle_of(3)
        {'text/plain': '3'}
    """
    bundle: dict[str, Any] = {}
    if not isinstance(shown, type):
        made = _call(shown, "_repr_mimebundle_")
        made = made[0] if isinstance(made, tuple) and made else made
        bundle.update(made if isinstance(made, Mapping) else {})
        for mime, method in _METHODS.items():
            if mime not in bundle and (value := _call(shown, method)) is not None:
                bundle[mime] = value[0] if isinstance(value, tuple) else value
    if "text/plain" not in bundle:
        bundle["text/plain"] = _repr(shown)
    return bundle


def _call(shown: object, method: str) -> Any:
    try:
        made = getattr(shown, method, None)
        return made() if callable(made) else None
    except Exception:  # noqa: BLE001 - how an object shows itself is its own matter
        return None


def _repr(shown: object) -> str:
    try:
        return shown if isinstance(shown, str) else repr(shown)[:LONGEST]
    except Exception as error:  # noqa: BLE001 - the repr of a user's object may do anything
        return f"{type(shown).__name__} that cannot be shown ({type(error).__name__})"


# -- in a store -------------------------------------------------------------------------------------------------------


def to_json(display: Display) -> dict[str, Any]:
    """Return `display` as plain JSON."""
    return {
        "text": display.text,
        "picture": _packed(display.picture),
        "thumbnail": _packed(display.thumbnail),
        "table": [list(row) for row in display.table.rows],
        "more": display.table.more,
        "made_at": display.made_at,
    }


def from_json(told: object) -> Display | None:
    """Return the display that `to_json` wrote, checked as if a stranger had written it; None where it is none."""
    if not isinstance(told, dict) or not isinstance(told.get("text"), str):
        return None
    picture = _unpacked(told.get("picture"), LARGEST)
    thumbnail = _unpacked(told.get("thumbnail"), THUMBNAIL)
    rows = told.get("table")
    cells = (
        tuple(tuple(str(cell)[:CELL] for cell in row[:COLUMNS]) for row in rows[:ROWS] if isinstance(row, list))
        if isinstance(rows, list)
        else ()
    )
    more, made_at = told.get("more"), told.get("made_at")
    table = Table(cells, more if isinstance(more, int) and more > 0 else 0)
    moment = float(made_at) if isinstance(made_at, int | float) and 0 <= made_at < 1e11 else 0.0  # noqa: PLR2004
    return Display(told["text"][:LONGEST], picture, thumbnail if picture else None, table, moment)


def _packed(picture: Picture | None) -> str:
    return base64.b64encode(picture.data).decode("ascii") if picture is not None else ""


def _unpacked(text: object, most: int) -> Picture | None:
    data = _to_bytes(text) if isinstance(text, str) and len(text) <= most * 3 // 2 else b""
    return look_at(data) if data and len(data) <= most else None
