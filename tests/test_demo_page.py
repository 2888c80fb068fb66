"""The page that `make demo` writes: complete in itself, and text stays text."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

ROOT = Path(__file__).resolve().parent.parent
RUN = "application/vnd.cascade.run+json"


def load_page_module():
    """scripts/demo_page.py, which lies in no package."""
    spec = importlib.util.spec_from_file_location("demo_page", ROOT / "scripts" / "demo_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def html() -> str:
    """The page of a small notebook with everything in it that a notebook can hold."""
    document = {"run": {"name": "</script><script>alert(1)</script>"}}
    cells = [
        v4.new_markdown_cell("# A & B\n\nprose with <script>alert(2)</script> and **weight**"),
        v4.new_code_cell(
            "x = '<i>'",
            outputs=[
                v4.new_output("stream", name="stdout", text="\x1b[31m<u>red</u>\x1b[0m"),
                v4.new_output("display_data", data={RUN: document, "text/html": "<em>picture</em>"}),
                v4.new_output("execute_result", data={"image/png": "QUJD\n", "text/plain": '<Figure "1">'}),
                v4.new_output("execute_result", data={"text/html": "<b>table</b>", "text/plain": "table"}),
            ],
        ),
    ]
    page: str = load_page_module().page(v4.new_notebook(cells=cells))
    return page


def test_text_stays_text(html: str) -> None:
    """Prose, output and the document of a run cannot make markup; colours of a terminal are gone."""
    assert "alert(2)</script>" not in html
    assert "alert(1)</script>" not in html
    assert "&lt;u&gt;red&lt;/u&gt;" in html
    assert "<title>A &amp; B</title>" in html


def test_outputs_are_shown_in_their_richest_form(html: str) -> None:
    """A run is its picture and its document for the view, an image an image with its text, a table a table."""
    place = r'data-run="(run-1-1)"><div class="picture"><em>picture</em>.*\n<script type="application/json" id="\1">'
    assert re.search(place, html)
    assert '<img alt="&lt;Figure &quot;1&quot;&gt;" src="data:image/png;base64,QUJD">' in html
    assert "<b>table</b>" in html


def test_page_loads_nothing(html: str) -> None:
    """No address but the name of SVG, no script or style from elsewhere."""
    assert set(re.findall(r"https?://[^\s\"'<)]+", html)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(script|img|link|iframe)[^>]+(src|href)=\"(?!data:)", html)


def test_committed_quickstart_makes_a_page() -> None:
    """The page can be made of the committed notebook, with all of its runs."""
    notebook = nbformat.read(ROOT / "notebooks" / "01_quickstart.ipynb", as_version=4)
    runs = sum(RUN in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", []))
    assert load_page_module().page(notebook).count("data-run=") == runs > 0
