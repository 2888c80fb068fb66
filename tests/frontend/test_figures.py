"""Pictures and tables in the log and at their node: small, large on demand, and never markup."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from cascade.graph.model import Node

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Document = dict[str, Any]
ALTS = "(root) => [...root.querySelectorAll('.cascade-log img')].map((img) => [img.alt, img.naturalWidth])"
SVG = "<svg xmlns='http://www.w3.org/2000/svg' width='60' height='40'><script>window.hacked = 1</script></svg>"


def png(width: int = 320, height: int = 200, shade: int = 160) -> str:
    """A grey PNG in base64."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes([shade]) * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return base64.b64encode(data).decode()


def figure(**more: Any) -> Document:
    """The picture of a line."""
    plain = {"id": "abc", "mime": "image/png", "data": png(), "w": 640, "h": 400, "bytes": 9_000, "whole": False}
    return {**plain, "made": 0, "columns": [], "rows": [], "more": 0, **more}


def document(samples: Any, *figures: Document, text: str = "figure: sample") -> Document:
    """A run of two nodes, the first of which showed `figures`."""
    nodes = [Node("plot", "plot"), Node("fit", "fit")]
    states = {"plot": samples.entry("done", 0.0, 1.0), "fit": samples.entry("running", 1.0)}
    lines = [
        {**samples.line(0.5 + k, "", "plot", "plot", text, stream="display"), "figure": one}
        for k, one in enumerate(figures)
    ]
    return samples.document(nodes, [], states, log=lines)  # type: ignore[no-any-return]


def test_a_picture_stands_under_its_line_and_opens_large(stage: Callable[..., Any], samples: Any) -> None:
    """By click and by Enter; Esc, the button and another picture close it, and the focus goes back."""
    one = stage()
    view = one.show(document(samples, figure(), figure(data=png(shade=90))))
    thumbnails = view.locator(".cascade-log .cascade-thumbnail")
    assert thumbnails.count() == 2
    image = thumbnails.first.locator("img")
    assert image.get_attribute("alt") == "plot: figure: sample"
    box = image.bounding_box()
    assert box["height"] <= 120
    assert box["width"] <= 220
    thumbnails.first.focus()
    one.page.keyboard.press("Enter")
    viewer = view.get_by_role("dialog", name="picture of plot")
    assert viewer.count() == 1
    assert viewer.locator("img").bounding_box()["width"] > 400
    assert "small version of 640 × 400" in viewer.inner_text()
    assert one.page.evaluate("document.activeElement.getAttribute('aria-label')") == "close"
    inside, outside = viewer.bounding_box(), view.bounding_box()
    assert inside["y"] >= outside["y"]
    assert inside["y"] + inside["height"] <= outside["y"] + outside["height"]
    one.page.keyboard.press("Escape")
    assert viewer.count() == 0
    assert one.page.evaluate("document.activeElement.className").startswith("cascade-thumbnail")
    thumbnails.first.click()
    one.page.keyboard.press("Escape")
    thumbnails.nth(1).click()
    assert viewer.count() == 1
    viewer.get_by_role("button", name="close").click()
    assert viewer.count() == 0


def test_escape_closes_the_picture_and_leaves_the_selection(stage: Callable[..., Any], samples: Any) -> None:
    """One Esc, one step back."""
    one = stage()
    view = one.show(document(samples, figure()))
    view.locator(".cascade-node").first.click()
    strip = view.locator(".cascade-detail .cascade-figures")
    assert strip.locator(".cascade-thumbnail").count() == 1
    strip.locator(".cascade-thumbnail").click()
    one.page.keyboard.press("Escape")
    assert view.locator(".cascade-viewer").count() == 0
    assert view.locator(".cascade-detail").is_visible()


def test_a_picture_that_comes_later_joins_the_strip_of_its_node(stage: Callable[..., Any], samples: Any) -> None:
    """Without a change of the node itself."""
    one = stage()
    view = one.show(document(samples), live=True)
    view.locator(".cascade-node").first.click()
    assert view.locator(".cascade-figures").count() == 0
    line = {**samples.line(2.0, "", "plot", "plot", "late", stream="display"), "figure": figure()}
    assert one.apply({"seq": 1, "log": [line]}) == "next"
    assert view.locator(".cascade-figures .cascade-thumbnail").count() == 1
    assert view.locator(".cascade-log .cascade-thumbnail").count() == 1


def test_the_kernel_is_asked_for_the_whole_picture(stage: Callable[..., Any], samples: Any) -> None:
    """Its answer takes the place of the small one; without an answer, the small one stays and says what it is."""
    one = stage()
    shown = document(samples, figure(), figure(id="gone"))
    one.page.evaluate(
        """([shown, whole]) => { const ask = async (question) => { window.asked = question;
             const figure = {id: 'abc', mime: 'image/png', data: whole};
             return question.figure === 'abc' ? {figure} : {error: 'no'}; };
           window.view = cascadeView.createView(document.getElementById('one'), shown, {live: true, ask}); }""",
        [shown, png(640, 400)],
    )
    view = one.page.locator("#one .cascade-view")
    view.locator(".cascade-log .cascade-thumbnail").first.click()
    one.page.wait_for_function("() => document.querySelector('.cascade-viewer img')?.naturalWidth === 640")
    assert one.page.evaluate("window.asked") == {"what": "figure", "figure": "abc"}
    assert view.locator(".cascade-shown-note").inner_text() == "640 × 400"
    one.page.keyboard.press("Escape")
    view.locator(".cascade-log .cascade-thumbnail").nth(1).click()
    one.page.wait_for_function(
        "() => document.querySelector('.cascade-shown-note')?.textContent.startsWith('a small version')"
    )
    assert one.page.evaluate("document.querySelector('.cascade-viewer img').naturalWidth") == 320


HOSTILE = [
    {"mime": "text/html", "data": base64.b64encode(b"<script>window.hacked = 1</script>").decode()},
    {"mime": "image/png", "data": base64.b64encode(SVG.encode()).decode()},
    {"mime": "image/svg+xml", "data": png()},
    {"mime": "image/svg+xml", "data": SVG},
    {"mime": 'image/png" onerror="window.hacked = 1', "data": png()},
    {"mime": "image/png", "data": png() + '" onerror="window.hacked = 1'},
    {"mime": "image/png", "data": "iVBORw0KGgo" + "A" * 500_000},
    {"mime": "__proto__", "data": png()},
    {"mime": "constructor", "data": png()},
    {"mime": None, "data": None},
    {"mime": "image/png", "data": {"length": 3}},
    {"mime": "image/png", "data": "javascript:window.hacked=1"},
]


def test_hostile_pictures_are_not_drawn(stage: Callable[..., Any], samples: Any) -> None:
    """A type that lies, markup instead of data, too much of it: the line stays, the picture does not."""
    one = stage()
    view = one.show(document(samples, *[figure(**hostile) for hostile in HOSTILE]))
    assert view.locator(".cascade-log .cascade-line").count() == len(HOSTILE)
    assert view.locator("img").count() == 0
    assert one.page.evaluate("window.hacked") is None


def test_markup_in_words_and_cells_is_text_and_svg_runs_nothing(stage: Callable[..., Any], samples: Any) -> None:
    """Alt texts, captions, cells; an SVG is drawn as an image, in which no script runs."""
    one = stage()
    words = '"><img src=x onerror="window.hacked = 1"><b id=bold>'
    table = figure(id="", data="", mime="", columns=[words], rows=[[words]], more=1_000)
    drawing = figure(mime="image/svg+xml", data=base64.b64encode(SVG.encode()).decode(), w=60, h=40)
    view = one.show(document(samples, drawing, table, figure(w="1e999", h=words), text=words))
    view.locator(".cascade-log .cascade-thumbnail").first.click()
    assert view.locator(".cascade-log img").count() == 2
    assert dict(view.evaluate(ALTS))[f"plot: {words}"] > 0
    assert view.locator(".cascade-shown-table td").inner_text() == words
    assert "1,000 more rows" in view.locator(".cascade-shown-table").inner_text()
    assert one.page.evaluate("[window.hacked, document.getElementById('bold')]") == [None, None]


def test_a_picture_of_another_day_tells_when_it_was_made(stage: Callable[..., Any], samples: Any) -> None:
    """In its line and when it is large."""
    one = stage()
    view = one.show(document(samples, figure(made=1_700_000_000.0)))
    assert "first shown" in view.locator(".cascade-log .cascade-line").inner_text()
    view.locator(".cascade-log .cascade-thumbnail").click()
    assert "2023" in view.locator(".cascade-shown-note").inner_text()


def test_a_result_that_is_a_picture_is_drawn(stage: Callable[..., Any], samples: Any) -> None:
    """With its words beside it; a lie is only words."""
    one = stage()
    shown = document(samples)
    result = {"type": "Figure", "text": "figure: mine", "table": None}
    shown["result"] = {**result, "picture": {"mime": "image/png", "data": png(), "w": 320, "h": 200}}
    view = one.show(shown)
    assert view.locator(".cascade-result img").get_attribute("alt") == "Figure: figure: mine"
    shown["result"] = {**result, "picture": {"mime": "text/html", "data": png(), "w": 1, "h": 1}}
    view = one.show(shown)
    assert view.locator(".cascade-result img").count() == 0
    assert "figure: mine" in view.locator(".cascade-result").inner_text()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_view_smaller_than_the_picture_makes_room(stage: Callable[..., Any], samples: Any, theme: str) -> None:
    """And takes it back; nothing is cut off."""
    one = stage(theme=theme, width=500)
    view = one.show(document(samples, figure(h=640)), memory={"open": {"log": True}})
    before = view.bounding_box()["height"]
    view.locator(".cascade-log .cascade-thumbnail").click()
    one.settle()
    inside, outside = view.locator(".cascade-viewer").bounding_box(), view.bounding_box()
    assert inside["y"] + inside["height"] <= outside["y"] + outside["height"]
    one.page.keyboard.press("Escape")
    assert view.bounding_box()["height"] == before
