"""A run goes on while nobody looks: hidden tabs, second views, outputs out of sight, and the same cell thirty times."""

from __future__ import annotations

import json
import time
from typing import Any

import nbformat
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]

SETUP = """
import time
import cascade as cs
%load_ext cascade

@cs.task
def load(n):
    return list(range(n))

@cs.task
def step(i, seconds=0.25):
    time.sleep(seconds)
    return i

@cs.task
def total(xs):
    open("over.txt", "w").close()
    return sum(xs)

steps = step.map(i=load(10)).with_constraints(seat=1)
"""
BACKGROUND = "%%cascade --bg -r seat=1\ntotal(steps)"
# What a browser does with a hidden tab: it draws no frame until someone looks again.
HIDE = """() => {
  const held = window.heldFrames = [];
  window.ownFrame = window.requestAnimationFrame;
  window.requestAnimationFrame = (draw) => { held.push(draw); return -held.length; };
  Object.defineProperty(document, "hidden", {get: () => true, configurable: true});
  Object.defineProperty(document, "visibilityState", {get: () => "hidden", configurable: true});
  document.dispatchEvent(new Event("visibilitychange"));
}"""
SHOW = """() => {
  delete document.hidden;
  delete document.visibilityState;
  window.requestAnimationFrame = window.ownFrame;
  document.dispatchEvent(new Event("visibilitychange"));
  for (const draw of window.heldFrames) window.requestAnimationFrame(draw);
}"""
TOLD = """() => [...document.querySelectorAll(".cascade-view")].map((view) => ({
  status: view.querySelector(".cascade-status").textContent,
  nodes: [...view.querySelectorAll(".cascade-node")].map((node) => node.getAttribute("aria-label")),
}))"""
OVER = """() => { const views = [...document.querySelectorAll(".cascade-view")];
  const isDone = (view) => view.querySelector(".cascade-status").textContent.startsWith("done");
  return views.length && views.every(isDone); }"""
WIDGETS = "len(__import__('ipywidgets').widgets.widget._instances)"


def assert_true_end(page: Any, views: int = 1) -> None:
    """Every view on the page says that the run is done, and so does each of its nodes."""
    page.page.wait_for_function(OVER, timeout=30_000)
    told = page.page.evaluate(TOLD)
    assert len(told) == views
    for view in told:
        assert len(view["nodes"]) == 3
        assert all(": done" in label for label in view["nodes"])


def test_a_hidden_tab_ends_true(lab: Any) -> None:
    """No frame of the screen is drawn while the tab is hidden; when it is shown again, the view is up to date."""
    lab.open(lab.server.write("hidden.ipynb", [SETUP, BACKGROUND, "import time; time.sleep(3.5)\nprint('waited')"]))
    lab.run_all()
    lab.page.wait_for_selector(".cascade-is-live .cascade-s-running")
    lab.page.evaluate(HIDE)
    lab.wait_for_text("waited", cell=2)
    lab.page.evaluate(SHOW)
    assert_true_end(lab)


def test_a_second_view_of_an_output_ends_true(lab: Any) -> None:
    """*Create New View for Cell Output* in mid-run: both follow the run to its end."""
    lab.open(lab.server.write("second.ipynb", [SETUP, BACKGROUND])).run_all()
    lab.page.wait_for_selector(".cascade-is-live .cascade-s-running")
    lab.page.evaluate("() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 1; }")
    lab.command("notebook:create-output-view")
    lab.page.wait_for_function("() => document.querySelectorAll('.cascade-view').length === 2", timeout=15_000)
    assert_true_end(lab, views=2)


def test_an_output_that_scrolled_away_ends_true(lab: Any) -> None:
    """Out of sight, and in the strictest mode of JupyterLab out of the page, while the run goes on and ends."""
    over = lab.server.root / "over.txt"
    over.unlink(missing_ok=True)
    far = [nbformat.v4.new_markdown_cell("\n\n".join(["a line of prose"] * 60)) for _ in range(8)]
    lab.open(lab.server.write("scrolled.ipynb", [SETUP, BACKGROUND, *far]))
    lab.page.evaluate(
        "() => { const one = window.jupyterapp.shell.currentWidget.content;"
        " one.notebookConfig = {...one.notebookConfig, windowingMode: 'full'}; }"
    )
    lab.run_cell(0)
    lab.run_cell(1)
    lab.page.wait_for_selector(".cascade-is-live .cascade-s-running")
    to = "(place) => window.jupyterapp.shell.currentWidget.content.scrollToItem(place, 'start')"
    lab.page.evaluate(to, 9)
    lab.page.wait_for_function(
        """() => { const view = document.querySelector('.cascade-view')?.getBoundingClientRect();
          return !view || view.bottom < 0 || view.top > innerHeight; }""",
        timeout=10_000,
    )
    until = time.monotonic() + 60
    while not over.exists() and time.monotonic() < until:  # what is not on the page cannot be waited for there
        lab.page.wait_for_timeout(100)
    assert over.exists()
    lab.page.wait_for_timeout(1_000)  # for the page to hear of it
    lab.page.evaluate(to, 1)
    assert_true_end(lab)


def test_thirty_runs_of_a_cell_leave_the_page_and_the_file_as_one_does(lab: Any) -> None:
    """One view on the page, as many widgets in the kernel, a notebook file of the same size, no error on the page."""
    lab.open(lab.server.write("thirty.ipynb", [SETUP, "%%cascade\ntotal(load(5))", WIDGETS])).run_all()
    lab.wait_for_text("10", cell=1)
    lab.page.wait_for_selector(".cascade-view:not(.cascade-is-live)")
    lab.save()
    file = lab.server.root / "thirty.ipynb"
    first = file.stat().st_size
    for number in range(2, 31):
        lab.run_cell(1)
        lab.page.wait_for_function(
            "([cell, told]) => document.querySelectorAll('.jp-InputPrompt')[cell].textContent === told",
            arg=[1, f"[{number + 2}]:"],
        )
    lab.page.wait_for_timeout(3_000)  # a widget is closed when the page has had time to open it
    lab.run_cell(2)
    lab.page.wait_for_function(
        "([cell, told]) => document.querySelectorAll('.jp-InputPrompt')[cell].textContent === told", arg=[2, "[33]:"]
    )
    assert int(lab.cell(2).first.inner_text()) <= 4
    assert lab.page.locator(".cascade-view").count() == 1
    lab.save()
    assert file.stat().st_size < first * 1.05 + 500
    assert "state" not in json.dumps(nbformat.read(file, as_version=4).metadata.get("widgets", {}))
    assert [error for error in lab.errors if "schema" not in error] == []
