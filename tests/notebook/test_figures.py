"""What nodes displayed, in the run document: light while it goes on, as good as there is room for at the end."""

from __future__ import annotations

import base64
import random
import threading
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest

import cascade as cs
from cascade.graph.model import Node
from cascade.interfaces import events as e
from cascade.notebook import document as documents
from cascade.notebook.bundle import static_bundle
from cascade.notebook.figures import ROOM, enlarge, figures_of, show_figure, static_image
from cascade.notebook.output import capture
from cascade.notebook.preview import preview
from cascade.notebook.record import RunRecord
from cascade.runtime.displays import from_bundle
from cascade.runtime.pictures import Picture
from cascade.runtime.run import start
from tests.notebook.script import FakeGraph, Script, merge, weight

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.notebook.kernel import Kernel

GRAPH = FakeGraph([Node("plot", "plot"), Node("fit", "fit", "map")])


def noise(side: int, seed: int = 0) -> bytes:
    """A PNG that cannot be packed well."""
    from PIL import Image

    out = BytesIO()
    Image.frombytes("RGB", (side, side), random.Random(seed).randbytes(side * side * 3)).save(out, "PNG")
    return out.getvalue()


def show(script: Script, data: bytes, number: int = 0, **more: Any) -> Picture:
    """Tell of a picture that `plot` showed; return it as the run keeps it."""
    shown = from_bundle({"image/png": data}, f"picture {number}")
    picture, small = shown.picture, shown.thumbnail
    assert picture is not None
    assert small is not None
    fields: Mapping[str, Any] = {
        "figure": shown.id,
        "text": shown.text,
        "mime": picture.mime,
        "width": picture.width,
        "height": picture.height,
        "size": len(picture.data),
        "thumbnail": base64.b64encode(small.data).decode(),
        "thumbnail_mime": small.mime,
    }
    script.tell(e.DisplayShown, node="plot", name="plot", **{**fields, **more})
    return picture


def finished(count: int, side: int = 90) -> tuple[RunRecord, dict[str, Picture]]:
    """The record of a run that showed `count` pictures, and the pictures."""
    script = Script()
    script.begin()
    kept = {}
    for number in range(count):
        picture = show(script, noise(side, number), number)
        kept[show_id(picture)] = picture
    script.finish()
    record = RunRecord(GRAPH)
    record.apply(script.events)
    return record, kept


def show_id(picture: Picture) -> str:
    return from_bundle({picture.mime: picture.data}, thumbnail=False).id


# -- the document -----------------------------------------------------------------------------------------------------


def test_a_picture_has_a_line_with_its_thumbnail() -> None:
    """Who showed it, when, in words, and small."""
    record, _ = finished(1)
    [line] = [line for line in record.document()["log"] if line["stream"] == "display"]
    assert (line["label"], line["text"], line["node"]) == ("plot", "picture 0", "plot")
    figure = line["figure"]
    assert (figure["w"], figure["h"], figure["made"], figure["whole"]) == (90, 90, 0, False)
    assert len(figure["data"]) <= 12_000


def test_a_table_has_a_line_with_its_first_cells_and_a_text_its_lines() -> None:
    """Cells are cut; a text without picture or table reads as if it had been printed."""
    script = Script()
    script.begin()
    rows = (("a", "b"), ("x" * 500, "\x1b[31m"))
    script.tell(e.DisplayShown, node="fit", name="fit", index=2, text="3 rows", table=rows, more=2)
    script.tell(e.DisplayShown, node="plot", name="plot", text="one\n\n  two")
    record = RunRecord(GRAPH)
    record.apply(script.events)
    table, one, two = [line for line in record.document()["log"] if line["stream"] == "display"]
    assert table["label"] == "fit[2]"
    assert table["figure"]["columns"] == ["a", "b"]
    assert [len(cell) <= 40 for cell in table["figure"]["rows"][0]] == [True, True]
    assert table["figure"]["more"] == 2
    assert (one["text"], two["text"]) == ("one", "  two")
    assert "figure" not in one


def test_the_moment_of_an_old_picture_is_told() -> None:
    """Of one that was made before this run; of a new one nothing."""
    script = Script()
    script.begin()
    show(script, noise(9), made_at=1.0)
    show(script, noise(9, 1), made_at=4e9)
    record = RunRecord(GRAPH)
    record.apply(script.events)
    assert [line["figure"]["made"] for line in record.document()["log"]] == [1.0, 0]


@pytest.mark.slow
def test_a_document_with_many_pictures_keeps_its_size_and_its_lines() -> None:
    """The oldest pictures leave first; what is said of them stays."""
    record, kept = finished(60, side=200)
    document = record.document()
    assert weight(document) <= 200_000
    lines = [line for line in document["log"] if "figure" in line]
    assert len(lines) == 40
    with_data = [bool(line["figure"]["data"]) for line in lines]
    assert with_data == sorted(with_data)
    assert 5 <= sum(with_data) <= ROOM // 8_000
    enlarge(document, kept.get)
    assert weight(document) <= 200_000
    static = static_bundle(document, record.drawing.shape)
    assert weight(static) <= 200_000
    assert static["text/html"].count("<img") > 5


@pytest.mark.slow
def test_frames_with_pictures_keep_their_size_and_add_up() -> None:
    """One picture a frame at most; nodes and lines go on beside it, and nothing is lost or stuck."""
    script = Script()
    script.begin()
    record = RunRecord(GRAPH)
    documents.catch_up(record)
    seen = record.snapshot()
    for number in range(30):
        show(script, noise(250, number), number)
        script.tell(e.OutputWritten, node="plot", name="plot", stream="stdout", text=f"line {number}\n")
    script.complete("plot")
    record.apply(script.events)
    frames = 0
    while (frame := record.take_frame()) is not None:
        assert weight(frame) <= 20_000
        assert sum(bool(line.get("figure")) for line in frame.get("log", [])) <= 1
        merge(seen, frame)
        frames += 1
    assert frames >= 30
    pictures = [line["text"] for line in seen["log"] if line.get("figure")]
    assert pictures == [f"picture {number}" for number in range(30)]
    assert seen["nodes"]["plot"]["s"] == "done"


def test_a_finished_document_has_the_pictures_as_large_as_there_is_room() -> None:
    """One small picture whole; of many, smaller versions; without the picture itself, the thumbnail stays."""
    record, kept = finished(1, side=120)
    document = record.document()
    enlarge(document, kept.get)
    [line] = figures_of(document["log"])
    assert line["figure"]["whole"]
    assert base64.b64decode(line["figure"]["data"]) == next(iter(kept.values())).data
    document = record.document()
    before = next(figures_of(document["log"]))["figure"]
    enlarge(document, lambda _name: None)
    assert next(figures_of(document["log"]))["figure"] == before


def test_a_view_that_asks_gets_the_whole_picture_or_a_sentence() -> None:
    """Also when the run is gone or never kept it."""
    picture = Picture("image/png", noise(5), 5, 5)

    class Kept:
        def figure(self, name: str) -> Picture | None:
            return picture if name == "abc" else None

    assert show_figure(Kept(), "abc")["figure"]["id"] == "abc"
    assert "not keep" in show_figure(Kept(), "other")["error"]
    assert "not keep" in show_figure(object(), "abc")["error"]


# -- without a renderer -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "figure",
    [
        {"mime": "text/html", "data": base64.b64encode(b"<script>alert(1)</script>").decode()},
        {"mime": "image/svg+xml", "data": base64.b64encode(noise(5)).decode()},
        {"mime": 'image/png" onerror="alert(1)', "data": base64.b64encode(noise(5)).decode()},
        {"mime": "image/png", "data": '"><script>alert(1)</script>'},
        {"mime": "image/png", "data": ""},
    ],
)
def test_a_hostile_picture_becomes_its_words(figure: dict[str, str]) -> None:
    """In the page without a renderer there is no element that the data asked for."""
    made = str(static_image(figure, 'a "quoted" <b>name</b>', "<i>x</i>"))
    assert "<img" not in made
    assert "<script" not in made
    assert "<b>name" not in made
    good = str(
        static_image({"mime": "image/png", "data": base64.b64encode(noise(5)).decode()}, '" onload="x', "<i>x</i>")
    )
    assert good.count("<img") == 1
    assert "<i>" not in good
    assert 'onload="' not in good


# -- results that are pictures ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_result_that_is_a_picture_is_shown_as_one() -> None:
    """A figure of matplotlib, an image of Pillow, anything with ``_repr_png_``; within bounds."""
    from matplotlib.figure import Figure
    from PIL import Image

    drawn = Figure()
    drawn.subplots().set_title("mine")

    class Own:
        def _repr_png_(self) -> bytes:
            return noise(300)

    for value in (drawn, Image.new("RGB", (30, 20)), Own()):
        shown = preview(value)
        assert shown["picture"]["mime"] in {"image/png", "image/jpeg"}
        assert len(shown["picture"]["data"]) <= 60_000
        assert "picture" not in preview(value, table=False)
    assert preview(drawn)["text"] == "figure: mine"


def test_a_result_that_lies_about_its_picture_is_text() -> None:
    """And one whose method fails says so."""

    class Liar:
        def _repr_png_(self) -> bytes:
            return b"<script>alert(1)</script>"

    class Broken:
        def _repr_png_(self) -> bytes:
            raise OSError

    assert "picture" not in preview(Liar())
    assert preview(Broken())["text"] == "cannot be shown: OSError"


# -- in a kernel ------------------------------------------------------------------------------------------------------

PLOTS = """
import matplotlib.pyplot as plt
from IPython.display import display, HTML, clear_output

@cs.task
def draw(i):
    plt.plot([1, i]); plt.title(f"mine {i}")
    if i % 2:
        plt.show()
    clear_output()
    display(HTML("<b>bold</b>"))
    handle = display("starting", display_id=True)
    for k in range(5):
        handle.update(f"step {k}")
    return i
"""


@pytest.mark.slow
def test_in_a_kernel_what_tasks_display_is_nowhere_but_in_their_view(kernel: Kernel) -> None:
    """Not in the cell itself, nor in the one that runs meanwhile; of a display that is updated, the last state."""
    assert kernel.run(PLOTS).ok
    cell = kernel.run("%%cascade --view static\n[draw(1), draw(2)]")
    assert cell.ok, cell.error
    assert not [data for data in cell.of("display_data") if "image/png" in data["data"]]
    assert not cell.of("clear_output")
    lines = [(line["label"], line["text"]) for line in cell.document["log"] if line["stream"] == "display"]
    assert sorted(lines) == [
        *[("draw", "'step 4'")] * 2,
        *[("draw", "bold")] * 2,
        ("draw", "figure: mine 1"),
        ("draw", "figure: mine 2"),
    ]
    after = kernel.run("plt.plot([3]); plt.show(); display('own')")
    assert len([data for data in after.of("display_data") if "image/png" in data["data"]]) == 1
    assert kernel.run("plt.get_fignums()").value == "[]"


def test_what_the_shell_displays_is_restored_after_the_run() -> None:
    """Publisher and formatter are those of before, and who replaced them meanwhile keeps theirs."""
    from IPython.core.interactiveshell import InteractiveShell

    had_shell = InteractiveShell.initialized()
    shell = InteractiveShell.instance()
    try:
        capture.acquire()
        assert "publish" in shell.display_pub.__dict__
        capture.release()
        assert "publish" not in shell.display_pub.__dict__
        assert "format" not in shell.display_formatter.__dict__
    finally:
        if not had_shell:
            InteractiveShell.clear_instance()


def test_hostile_displays_of_a_task_reach_the_document_as_text(tmp_path: object) -> None:
    """Forty lines of markup, lies and bombs, through a real run."""
    import itertools

    hostile = [
        {"text/html": "<img src=x onerror=alert(1)>", "text/plain": "<img src=x onerror=alert(1)>"},
        {"image/png": "A" * 100_000, "text/plain": "no picture"},
        {"image/svg+xml": "<html><script>alert(1)</script></html>", "text/plain": "no drawing"},
        {"application/javascript": "alert(1)", "text/plain": "<IPython.core.display.Javascript object>"},
        {"text/markdown": "[x](javascript:alert(1))"},
        {"text/plain": "\u202egnp.exe"},
        {"image/png": b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "text/plain": None},
        {},
    ]
    together = threading.Lock()
    numbers = itertools.count()

    @cs.task
    def attack() -> None:
        from cascade.runtime.attempts import current_attempt

        attempt = current_attempt.get()
        assert attempt is not None
        for bundle in hostile:
            with together:
                next(numbers)
            attempt.show(from_bundle(bundle))

    run = start([attack() for _ in range(5)], log_level=None, capture_output=True)
    run.result(30)
    record = RunRecord(run.graph)
    record.apply(run.events)
    document = record.document()
    assert not list(figures_of(document["log"]))
    assert next(numbers) == 40
    assert all("\u202e" not in line["text"] for line in document["log"])
    html = static_bundle(document, record.drawing.shape)["text/html"]
    assert html.count("<img") == 1
    assert "onerror" not in html
