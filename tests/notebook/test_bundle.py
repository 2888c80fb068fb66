"""What stays in the notebook: document, picture and text, with nothing that runs or reaches out."""

from __future__ import annotations

import base64
import re
from xml.etree import ElementTree as ET

import pytest

from cascade.graph.model import Edge, Node
from cascade.notebook.bundle import finished_bundle, graph_bundle, static_bundle
from cascade.notebook.document import MIME
from cascade.notebook.folding import draw
from cascade.notebook.preview import preview
from cascade.notebook.record import RunRecord
from tests.notebook.script import FakeGraph, Script

EVIL = "<script>alert('x')</script>\"&'"


def record_of(*, fails: bool = False, name: str = "report") -> RunRecord:
    script = Script()
    record = RunRecord(FakeGraph([Node("load", "load"), Node("fit", name)], [Edge("load", "fit")], name))
    script.begin({"cpu": 2})
    script.hold("load")
    script.do("load")
    script.release("load")
    if fails:
        script.fail("fit", error=EVIL, frames=(("cell.py", 3, "fit", EVIL),), inputs={"a": EVIL})
        script.finish("failed", error_type="ValueError", error=EVIL)
    else:
        script.do("fit")
        script.finish()
        record.set_result(preview(EVIL))
    record.apply(script.events)
    return record


def images(html: str) -> list[str]:
    return [base64.b64decode(data).decode() for data in re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', html)]


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("name", ["report", EVIL])
def test_a_finished_bundle_has_a_document_a_picture_and_text(name: str, fails: bool) -> None:
    """Three types; the HTML has an image with alt text; neither has a script, a widget or an address."""
    record = record_of(fails=fails, name=name)
    bundle = finished_bundle(record.document(), record.drawing.shape)
    assert list(bundle) == [MIME, "text/html", "text/plain"]
    html = bundle["text/html"]
    assert "<script" not in html
    assert "http" not in html
    assert "<img alt=" in html
    assert record.state in html.replace("done", "completed")
    (svg,) = images(html)
    ET.fromstring(svg)
    assert "<script" not in svg
    assert set(re.findall(r"https?://[^\s\"'<]+", svg)) == {"http://www.w3.org/2000/svg"}


def test_every_class_and_id_of_a_picture_bears_its_own_prefix() -> None:
    """Two pictures on one page do not disturb each other."""
    record = record_of()
    prefixes = []
    for _ in range(2):
        (svg,) = images(static_bundle(record.document(), record.drawing.shape)["text/html"])
        names = re.findall(r'\b(?:class|id)="([^"]+)"', svg)
        prefix = names[0].split("-")[0]
        assert all(word.startswith(prefix) for name in names for word in name.split())
        prefixes.append(prefix)
    assert prefixes[0] != prefixes[1]


def test_the_text_tells_what_the_picture_tells() -> None:
    """State, counts, each node and the result, as plain lines."""
    record = record_of()
    text = static_bundle(record.document(), record.drawing.shape)["text/plain"].splitlines()
    assert text[0] == "report: done in 0.20 s · 2 done"
    assert text[1].split() == ["load", "done", "0.10", "s"]
    assert text[-1].startswith("result: str")


def test_the_text_of_a_failure_has_frames_and_inputs() -> None:
    """Who reads only text learns the same as from the card."""
    record = record_of(fails=True)
    text = static_bundle(record.document(), record.drawing.shape)["text/plain"]
    assert "cell.py, line 3, in fit" in text
    assert "load is done and not affected." in text


def test_a_picture_that_cannot_be_drawn_leaves_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundle can always be made."""
    import cascade.notebook.bundle as module

    monkeypatch.setattr(module, "draw_card", lambda *_: 1 / 0)
    record = record_of()
    bundle = static_bundle(record.document(), record.drawing.shape)
    assert bundle["text/html"].startswith("<pre>report: done")


def test_a_graph_alone_has_a_picture_and_a_line_of_text() -> None:
    """Before any run there is the graph."""
    drawing = draw([Node("load", EVIL)], [])
    bundle = graph_bundle(drawing, EVIL)
    assert "<script" not in bundle["text/html"]
    assert bundle["text/plain"].endswith("1 node")
    ET.fromstring(images(bundle["text/html"])[0])
