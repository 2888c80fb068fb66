"""Export, verify and doctor as a person meets them in JupyterLab and Notebook 7."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]

SETUP = "%load_ext cascade\nimport cascade as cs\nhidden = 3"
TASKS = """
@cs.task(pure=True)
def load(n):
    return list(range(n))

@cs.task
def grow(xs):
    return [x + 1 for x in xs]
"""
RUN = "%%cascade --view none\ngrow(load(4))"


def type_into(page: Any, index: int, text: str) -> None:
    """Replace the text of a cell."""
    cell = "window.jupyterapp.shell.currentWidget.content.widgets[n]"
    page.page.evaluate(f"([n, text]) => {{ {cell}.model.sharedModel.setSource(text); }}", [index, text])


def test_the_notebook_verifies_itself_by_the_name_that_jupyter_gives(either: Any) -> None:
    """No file name is needed; an edit that is not saved is told; the table names each node and stands in the output."""
    name = either.server.write("verify.ipynb", [SETUP, TASKS, RUN, "%cascade verify"])
    either.open(name).run_all()
    either.wait_for_text("verify.ipynb in a fresh kernel: 4 cells", cell=3, timeout=90)
    table = either.cell(3).last
    assert "everything is the same" in table.inner_text()
    rows = table.locator("tbody tr")
    assert rows.count() == 2
    assert {rows.nth(n).locator("td").nth(0).inner_text() for n in range(2)} == {"✓ same"}
    either.picture(f"verify-{either.server.application}", table)
    type_into(either, 0, SETUP + "\nonly_here = 1")
    either.run_cell(0)
    type_into(either, 1, TASKS.replace("x + 1", "x + 2"))
    either.run_cell(1)
    either.run_cell(2)
    either.run_cell(3)
    either.wait_for_text("node differs or fails", cell=3, timeout=90)
    text = either.cell(3).last.inner_text()
    assert "at [0]: 2 here, 1 in the fresh kernel" in text
    assert "1 name exists only in this kernel: only_here." in text
    assert "did not run in this kernel. Save the notebook if you changed it" in text
    assert [e for e in either.errors if "schema" not in e] == []


def test_the_doctor_and_the_export_are_at_hand(either: Any) -> None:
    """Doctor shows a table of what to do; export writes beside the notebook and says how to run it."""
    name = either.server.write(
        "leave.ipynb", [SETUP, TASKS, RUN, "%cascade doctor", "%cascade export out.py --check --force"]
    )
    either.open(name).run_all()
    either.wait_for_text("Nothing to say.", cell=3, timeout=60)
    either.wait_for_text("out.py in a fresh process: 2 same", cell=4, timeout=60)
    assert "def grow(xs):" in (either.server.root / "out.py").read_text()
    type_into(either, 1, TASKS.replace("[x + 1", "[x + hidden").replace("def load(n)", "def load(n=5)"))
    type_into(either, 0, SETUP.replace("hidden", "other"))
    either.run_cell(1)
    either.run_cell(0)
    either.run_cell(3)
    either.wait_for_text("to look at", cell=3, timeout=60)
    table = either.cell(3).last
    assert "hidden state" in table.inner_text()
    assert "'grow' (In[6]) uses 'hidden', which no cell makes any more; it is left from In[1]." in table.inner_text()
    either.picture(f"doctor-{either.server.application}", table)
    assert [e for e in either.errors if "schema" not in e] == []
