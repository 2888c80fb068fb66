"""Bytes that are said to be a picture → what they really are, how large, and a small version of them.

In: bytes and the MIME type that someone gave them. Out: a `Picture` that an ``<img>`` can show, or none. Invariant: the
type comes from the bytes and never from what is said of them; the work does not grow with what a header promises.

Only Pillow can make a picture smaller, and matplotlib brings it along. Without it a picture is taken as it is or not.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["LARGEST", "MIMES", "SVG", "THUMBNAIL", "Picture", "look_at", "shrink"]

SVG: Final = "image/svg+xml"
MIMES: Final = ("image/png", "image/jpeg", "image/gif", "image/webp", SVG)
LARGEST: Final = 200_000  # bytes of a picture that are kept whole
LARGEST_SOURCE: Final = 40_000_000  # bytes that are looked at at all
THUMBNAIL: Final = 9_000  # bytes, which are 12,000 characters of base64
MOST_PIXELS: Final = 40_000_000  # a header may promise more than any memory holds
_SMALLEST_SIDE: Final = 48
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SVG_START: Final = re.compile(rb"\s*(?:<\?xml[^>]*>\s*|<!--.*?-->\s*|<!DOCTYPE[^>\[]*>\s*)*<svg[\s>]", re.DOTALL)
_LENGTH: Final = re.compile(rb"""\b(width|height)\s*=\s*["']\s*([0-9.]{1,12})\s*(pt|px)?\s*["']""")
_VIEW_BOX: Final = re.compile(rb"""\bviewBox\s*=\s*["']\s*\S+\s+\S+\s+([0-9.]{1,12})\s+([0-9.]{1,12})\s*["']""")


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as it can be shown.

    Args:
        mime: one of `MIMES`. width, height: pixels, 0 where the bytes do not say.
    """

    mime: str
    data: bytes
    width: int
    height: int


def look_at(data: bytes) -> Picture | None:
    """Return what `data` is by its own bytes, None where it is no picture of a known kind.

    Example:
        >>> look_at(b"<svg xmlns='http://www.w3.org/2000/svg' width='30' height='20'/>").width
        30
        >>> look_at(b"<script>alert(1)</script>") is None
        True
    """
    if len(data) > LARGEST_SOURCE:
        return None
    try:
        return _read(data)
    except (struct.error, ValueError, IndexError):
        return None


def _read(data: bytes) -> Picture | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
        width, height = struct.unpack(">II", data[16:24])
        return _sized("image/png", data, width, height)
    if data.startswith((b"GIF87a", b"GIF89a")):
        width, height = struct.unpack("<HH", data[6:10])
        return _sized("image/gif", data, width, height)
    if data.startswith(b"\xff\xd8\xff"):
        width, height = _jpeg_size(data)
        return _sized("image/jpeg", data, width, height)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return Picture("image/webp", data, 0, 0)
    if _SVG_START.match(data[:4_000]):
        width, height = _svg_size(data)
        return Picture(SVG, data, width, height)
    return None


def _sized(mime: str, data: bytes, width: int, height: int) -> Picture | None:
    return Picture(mime, data, width, height) if 0 < width * height <= MOST_PIXELS else None


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Return width and height, from the first frame header."""
    place = 2
    while place + 9 < len(data):
        if data[place] != 0xFF:  # noqa: PLR2004 - each segment begins with it
            break
        kind, length = data[place + 1], struct.unpack(">H", data[place + 2 : place + 4])[0]
        if kind in _JPEG_FRAMES:
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            return width, height
        place += 2 + length
    return 0, 0


def _svg_size(data: bytes) -> tuple[int, int]:
    head = data[: data.find(b">", data.find(b"<svg")) + 1][:4_000]
    found = {name: float(size) * (4 / 3 if unit == b"pt" else 1) for name, size, unit in _LENGTH.findall(head)}
    if len(found) < 2 and (box := _VIEW_BOX.search(head)):  # noqa: PLR2004 - width and height
        found = {b"width": float(box[1]), b"height": float(box[2])}
    return round(min(found.get(b"width", 0), 1e5)), round(min(found.get(b"height", 0), 1e5))


def shrink(picture: Picture, most: int, side: int) -> Picture | None:
    """Return `picture` in at most `most` bytes and `side` pixels wide and high; itself, where it fits already.

    Returns:
        None where it cannot be made so small: without Pillow, or because the bytes are damaged.
    """
    if len(picture.data) <= most and max(picture.width, picture.height) <= side:
        return picture
    if picture.mime == SVG:
        return picture if len(picture.data) <= most else None
    try:
        return _redraw(picture.data, most, side)
    except Exception:  # noqa: BLE001 - decoders raise anything; then there is no small version
        return None


def _redraw(data: bytes, most: int, side: int) -> Picture | None:
    """Draw it smaller and smaller until it fits; each size first in few colours, then as a photograph."""
    from io import BytesIO

    from PIL import Image

    with Image.open(BytesIO(data)) as opened:
        if opened.width * opened.height > MOST_PIXELS:
            return None
        image: Any = opened.convert("RGBA" if _is_transparent(opened) else "RGB")
    while side >= _SMALLEST_SIDE:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        for made in (_as_png(image), _as_jpeg(image)):
            if len(made) <= most:
                return look_at(made)
        side = side * 3 // 4
    return None


def _is_transparent(image: Any) -> bool:
    """Whether a pixel really is transparent: an alpha channel without one only costs bytes."""
    if image.mode not in ("RGBA", "LA", "PA") and "transparency" not in image.info:
        return False
    return bool(image.convert("RGBA").getextrema()[3][0] < 255)  # noqa: PLR2004 - opaque


def _as_png(image: Any) -> bytes:
    from io import BytesIO

    from PIL import Image

    fast = Image.Quantize.FASTOCTREE
    out = BytesIO()
    image.quantize(128, method=fast).save(out, "PNG", optimize=True)
    return out.getvalue()


def _as_jpeg(image: Any) -> bytes:
    from io import BytesIO

    from PIL import Image

    if image.mode == "RGBA":  # a photograph has no transparency: on white
        ground = Image.new("RGB", image.size, "white")
        ground.paste(image, mask=image.getchannel("A"))
        image = ground
    out = BytesIO()
    image.save(out, "JPEG", quality=72, optimize=True)
    return out.getvalue()
