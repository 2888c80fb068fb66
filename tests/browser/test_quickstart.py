"""The quickstart as a newcomer runs it: every cell, in a real JupyterLab, and a look at the result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]

QUICKSTART = Path(__file__).parents[2] / "notebooks" / "01_quickstart.ipynb"


def test_quickstart_runs_from_top_to_bottom(lab: Any) -> None:
    """Run All ends without an error, the last run shows its lanes, its retry and its result; pictures are taken."""
    notebook = nbformat.read(QUICKSTART, as_version=4)
    cells = [
        nbformat.v4.new_code_cell(c.source) if c.cell_type == "code" else nbformat.v4.new_markdown_cell(c.source)
        for c in notebook.cells
    ]
    last = max(i for i, c in enumerate(cells) if c.source.startswith("%%cascade"))
    lab.page.set_viewport_size({"width": 1180, "height": 1500})
    lab.open(lab.server.write("quickstart.ipynb", cells)).run_all()
    lab.page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
    lab.wait_for_text("mass_g", cell=last + 1, timeout=90)
    lab.page.locator(".jp-Notebook .jp-Cell").nth(last).scroll_into_view_if_needed()
    view = lab.page.locator(".jp-Notebook .jp-Cell").nth(last).locator(".cascade-view")
    view.wait_for()
    names = view.locator(".cascade-lane-name").evaluate_all("(all) => all.map((e) => e.firstChild.textContent)")
    assert {"seat 1", "seat 2", "database"} <= set(names)
    assert "try 2" in (view.text_content() or "")
    assert lab.page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']").count() == 0
    assert lab.foreign_requests() == []
    lab.picture("run-light", view)
    lab.dark()
    view.scroll_into_view_if_needed()
    lab.picture("run-dark", view)
    lab.dark(on=False)
