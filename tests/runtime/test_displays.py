"""What tasks display is read, bounded and checked: markup becomes text, a picture is what its bytes say."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from io import BytesIO
from typing import Any

import pytest

from cascade.runtime.displays import Display, bundle_of, from_bundle, from_json, to_json
from cascade.runtime.html_text import read_html
from cascade.runtime.keepsakes import MOST_PICTURES, Keepsakes
from cascade.runtime.pictures import LARGEST, MIMES, THUMBNAIL, look_at, shrink

SVG = b"<svg xmlns='http://www.w3.org/2000/svg' width='60' height='40'><circle r='9'/></svg>"


def png(width: int = 3, height: int = 2, shade: bytes = b"\x80") -> bytes:
    """A grey PNG, made by hand."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + shade * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def noise(side: int, form: str = "PNG") -> bytes:
    """A picture that cannot be packed well."""
    import random

    from PIL import Image

    out = BytesIO()
    Image.frombytes("RGB", (side, side), random.Random(side).randbytes(side * side * 3)).save(out, form)
    return out.getvalue()


# -- pictures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF"])
def test_kind_and_size_of_a_picture_are_read_from_its_bytes(form: str) -> None:
    """Not from what anyone says of it."""
    found = look_at(noise(37, form))
    assert found is not None
    assert (found.mime, found.width, found.height) == (f"image/{form.lower()}", 37, 37)


@pytest.mark.parametrize(
    ("head", "size"),
    [
        (b"<svg width='60' height='40'>", (60, 40)),
        (b"<?xml version='1.0'?>\n<!-- made -->\n<svg width='45pt' height='30pt'>", (60, 40)),
        (b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "svg11.dtd">\n<svg viewBox="0 0 60 40">', (60, 40)),
        (b"<svg>", (0, 0)),
    ],
)
def test_svg_is_known_by_its_first_element(head: bytes, size: tuple[int, int]) -> None:
    """With a declaration, comments and a document type before it, as matplotlib and Graphviz write it."""
    found = look_at(head + b"</svg>")
    assert found is not None
    assert (found.mime, found.width, found.height) == ("image/svg+xml", *size)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html><svg></svg></html>",
        b"<script>alert(1)</script>",
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 100_000, 100_000),
        b"GIF89a",
        b"\xff\xd8\xff",
    ],
)
def test_what_is_no_picture_is_none_and_a_bomb_neither(data: bytes) -> None:
    """Markup, torn headers and a header that promises ten thousand million pixels."""
    found = look_at(data)
    assert found is None or (found.width, found.height) == (0, 0)
    assert found is None or found.mime == "image/jpeg"


def test_a_picture_is_made_as_small_as_it_must_be() -> None:
    """In bytes and in pixels; one that fits is left alone, a damaged one is none."""
    source = look_at(noise(500))
    assert source is not None
    small = shrink(source, THUMBNAIL, 320)
    assert small is not None
    assert len(small.data) <= THUMBNAIL
    assert max(small.width, small.height) <= 320
    assert shrink(small, THUMBNAIL, 320) is small
    torn = look_at(noise(500)[:3_000])
    assert torn is not None
    assert shrink(torn, 1_000, 100) is None


# -- bundles ----------------------------------------------------------------------------------------------------------


def test_a_picture_comes_with_its_thumbnail_and_its_words() -> None:
    """Given as bytes or as base64, as notebooks do."""
    for given in (png(), base64.b64encode(png()).decode(), base64.encodebytes(png()).decode()):
        shown = from_bundle({"image/png": given, "text/plain": "<Figure size 3x2>"})
        assert shown.picture is not None
        assert shown.thumbnail == shown.picture
        assert shown.text == "picture of 3 × 2 pixels"


def test_a_mime_type_that_lies_shows_no_picture() -> None:
    """SVG that says it is a PNG, markup that says it is SVG, base64 that is none."""
    for mime, data in [
        ("image/png", SVG),
        ("image/svg+xml", b"<p>hi</p>"),
        ("image/png", "no base64!"),
        ("image/png", 3),
    ]:
        shown = from_bundle({mime: data, "text/plain": "words"})
        assert shown.picture is None
        assert shown.text == "words"


def test_a_huge_picture_is_kept_smaller() -> None:
    """Beyond what is kept whole, it is drawn anew; what cannot be is told."""
    shown = from_bundle({"image/png": noise(700)})
    assert shown.picture is not None
    assert len(shown.picture.data) <= LARGEST
    drawn = from_bundle({"image/svg+xml": SVG.replace(b"<circle", b"<!--" + b"x" * LARGEST + b"--><circle").decode()})
    assert drawn.picture is None
    assert "too large" in drawn.text


def test_html_is_read_for_its_text_and_its_first_table() -> None:
    """Scripts and styles say nothing; entities are text."""
    text, table = read_html(
        "<style>p {}</style><p>one &lt;b&gt;</p><script>x()</script><table><tr><th>n<td>m</tr>"
        "<tr><td><b>1</b></td><td>&amp;</td></tr><tr><td>2</table><p>end"
    )
    assert text == "one <b>\nend"
    assert table.rows == (("n", "m"), ("1", "&"), ("2", ""))


def test_html_of_any_size_is_read_in_bounds() -> None:
    """A million cells, a thousand nested tables and a text that never ends."""
    _, table = read_html("<table>" + "<tr><td>x</td></tr>" * 20_000 + "</table>")
    assert len(table.rows) == 6
    assert table.more > 100
    read_html("<table>" * 5_000 + "<td>")
    assert len(read_html("a" * 1_000_000)[0]) <= 2_000


@pytest.mark.slow
def test_a_frame_shows_as_a_table_that_says_how_long_it_is() -> None:
    """Those of pandas and polars; the rows that are left out count those that the markup leaves out too."""
    import pandas as pd
    import polars as pl

    for frame in (pd.DataFrame({"a": range(100), "b": ["<i>"] * 100}), pl.DataFrame({"a": range(100)})):
        shown = from_bundle(bundle_of(frame))
        assert len(shown.table.rows) == 6
        assert shown.table.more == 95
        assert shown.picture is None


def test_an_object_that_cannot_show_itself_shows_its_class() -> None:
    """Whatever its methods raise."""

    class Broken:
        def _repr_html_(self) -> str:
            raise RuntimeError

        def __repr__(self) -> str:
            raise SystemError

    assert from_bundle(bundle_of(Broken())).text == "Broken that cannot be shown (SystemError)"


def test_secrets_are_taken_out_of_words_cells_and_drawings() -> None:
    """Also where they are the text of an SVG."""

    def redact(text: str) -> str:
        return text.replace("hunter2", "•••")

    table = "<table><tr><th>k</th></tr><tr><td>hunter2</td></tr></table>"
    drawing = "<svg width='9' height='9'><text>hunter2</text></svg>"
    for bundle in ({"text/html": table}, {"image/svg+xml": drawing}, {"text/plain": "hunter2"}):
        shown = from_bundle(bundle, redact=redact)
        assert "hunter2" not in repr(shown)


# -- in a store -------------------------------------------------------------------------------------------------------


def test_what_the_store_keeps_is_what_was_shown() -> None:
    """Pictures, tables and texts come back, with the moment at which they were shown first."""
    displays = [from_bundle({"image/png": png()}), from_bundle(bundle_of(3)), Display("then", made_at=1.7e9)]
    kept = Keepsakes()
    kept.note((1, None), "stdout", "before\n", "")
    for display in displays:
        kept.note_display((1, None), display)
    kept.note_display((1, 4), Display("of an item"))
    assert list(Keepsakes.unpack(kept.pack((1, None)))) == [("stdout", "before\n", ""), *displays]
    assert list(Keepsakes.unpack(kept.pack((1, 4)))) == [Display("of an item")]


@pytest.mark.slow
def test_the_pictures_of_one_node_are_kept_up_to_a_size() -> None:
    """The first of them; a node that draws for hours does not fill the disk."""
    kept = Keepsakes()
    for side in range(200, 240):
        kept.note_display((1, None), from_bundle({"image/png": noise(side)}, thumbnail=False))
    found = list(Keepsakes.unpack(kept.pack((1, None))))
    assert 5 < len(found) < 40
    assert sum(len(one.picture.data) for one in found if isinstance(one, Display) and one.picture) <= MOST_PICTURES


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {"text": 3},
        {"text": "x", "picture": base64.b64encode(b"<script>alert(1)</script>").decode()},
        {"text": "x", "picture": "A" * 1_000_000},
        {"text": "x", "table": [[["deep"]], "no row", [1] * 1_000], "more": -5, "made_at": 1e300},
        {"text": "x" * 100_000, "table": {"a": 1}, "more": "many", "made_at": "now"},
    ],
)
def test_a_foreign_keepsake_is_read_with_care(told: Any) -> None:
    """What is no display is none; what is too large or no picture is left out."""
    shown = from_json(told)
    if shown is not None:
        assert shown.picture is None
        assert len(shown.text) <= 2_000
        assert shown.table.more >= 0
        assert shown.made_at == 0.0
        assert all(isinstance(cell, str) for row in shown.table.rows for cell in row)
    assert list(Keepsakes.unpack(json.dumps([["display", told, ""]]))) == ([] if shown is None else [shown])


def test_json_of_a_display_is_plain_and_complete() -> None:
    """Every kind of picture survives."""
    for data in (png(), SVG, noise(20, "JPEG"), noise(20, "GIF")):
        picture = look_at(data)
        assert picture is not None
        assert picture.mime in MIMES
        shown = Display("words", picture, picture)
        assert from_json(json.loads(json.dumps(to_json(shown)))) == shown
