"""Cells as tasks as a person meets them: run a cell, edit it, be told what was wrong, in a real JupyterLab."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]

CELLS = [
    "%load_ext cascade\nimport cascade as cs\nimport matplotlib.pyplot as plt\nlimit = cs.Param('limit', default=40.0)",
    "%%cascade task data\nfrom palmerpenguins import load_penguins\npenguins = load_penguins()\npenguins.head(3)",
    (
        "%%cascade task clean\ntidy = penguins.dropna()\nlong = tidy[tidy['bill_length_mm'] > limit]\n"
        "print(len(long), 'kept')"
    ),
    "%%cascade task plot\nfig, ax = plt.subplots(figsize=(4, 2))\nax.hist(long['bill_length_mm'])\nplt.show()",
    "%cascade run plot -p limit=45",
    "%%cascade task spoil\npenguins.dropna(inplace=True)",
    "len(long)",
]


def test_exploratory_cells_become_a_graph(lab: Any) -> None:
    """Each cell shows its graph and its value; names are there for ordinary cells; a mistake is one sentence."""
    lab.page.set_viewport_size({"width": 1180, "height": 1500})
    lab.open(lab.server.write("cell_tasks.ipynb", CELLS)).run_all()
    lab.wait_for_text("Adelie", cell=1, timeout=90)
    lab.wait_for_text("Cell 'spoil' changes 'penguins' in place in line 2", cell=5, timeout=90)
    view = lab.page.locator(".jp-Notebook .jp-Cell").nth(4).locator(".cascade-view")
    view.wait_for()
    for name in ("data", "clean", "plot", "limit"):
        assert name in (view.text_content() or "")
    told = lab.page.locator(".jp-Notebook .jp-Cell").nth(5).locator(".jp-OutputArea").text_content() or ""
    assert "penguins_spoil = penguins.copy()" in told
    assert "Traceback" not in told
    lab.picture("cell-task", lab.page.locator(".jp-Notebook .jp-Cell").nth(1))
    lab.picture("cell-task-run", lab.page.locator(".jp-Notebook .jp-Cell").nth(4))
    lab.picture("cell-task-spoil", lab.page.locator(".jp-Notebook .jp-Cell").nth(5))


PLOT = """%%cascade task plot
import matplotlib.pyplot as plt
for i in range(15):
    print("line", i)
fig, ax = plt.subplots(figsize=(3, 2))
ax.plot([1, 4, 9])
ax.set_title("squares")
plt.show()"""


def test_a_cell_that_draws_shows_its_picture_without_scrolling(either: Any) -> None:
    """Below the result, live and in the saved notebook; the log has it too, further down than one sees."""
    name = either.server.write("drawn.ipynb", ["%load_ext cascade", PLOT])
    either.open(name).run_all()
    picture = either.page.locator(".cascade-result .cascade-figures img")
    picture.wait_for(timeout=60_000)
    assert "squares" in picture.get_attribute("alt")
    either.page.locator(".cascade-status", has_text="done").wait_for()
    either.save()
    either.page.reload()
    picture.wait_for(timeout=60_000)
