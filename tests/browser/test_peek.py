"""Peek, retry and debug as a person meets them: in finished runs, with their kernel and without."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]

SETUP = '''
%load_ext cascade
import cascade as cs, pandas as pd
ready, counted = [], []

@cs.task
def load(n=40):
    """Reads the birds."""
    counted.append("load")
    return pd.DataFrame({"species": ["Adelie", "Gentoo"] * (n // 2), "mass": range(3000, 3000 + n)})

@cs.task
def sizes(birds, by: str = "mass"):
    counted.append("sizes")
    return list(birds[by])[:8]

@cs.task
def fit(mass, steps=200):
    if mass == 3003 and not ready:
        raise ValueError(f"no fit for {mass}")
    return mass / steps

@cs.task
def report(fits):
    return sum(fits)
'''
RUN = "%%cascade -o total\nreport(fit.map(sizes(load())))"


def run(page: Any, index: int) -> None:
    """Run one cell to its end."""
    page.run_cell(index)
    page.page.wait_for_function(
        """(n) => /\\[\\d+\\]/.test(
             document.querySelectorAll('.jp-Notebook .jp-Cell .jp-InputPrompt')[n].textContent)""",
        arg=index,
        timeout=60_000,
    )


def finished(page: Any, count: int = 1) -> Any:
    """Wait for the views of finished runs and return the first."""
    page.page.wait_for_function(
        "(n) => document.querySelectorAll('.cascade-view:not(.cascade-is-live)').length >= n", arg=count, timeout=60_000
    )
    return page.page.locator(".cascade-view").first


def test_a_failed_run_is_retried_in_its_place(either: Any) -> None:
    """The Retry of the finished view runs only what failed, in the same output, and the notebook keeps its end."""
    name = either.server.write("retry.ipynb", [SETUP, RUN, "ready.append(1)", "total, counted"])
    either.open(name)
    run(either, 0)
    run(either, 1)
    view = finished(either)
    retry = view.locator(".cascade-head button", has_text="Retry")
    retry.wait_for()
    assert "fit[3]" in view.locator(".cascade-failure-title").inner_text()
    either.picture("peek-failed", view)
    run(either, 2)
    retry.click()
    either.page.wait_for_function("() => document.querySelector('.cascade-status')?.textContent.startsWith('done')")
    view = finished(either)
    assert either.page.locator(".cascade-view").count() == 1
    assert view.locator(".cascade-failure").is_hidden()
    assert view.locator(".cascade-count", has_text="kept").count() == 1
    either.picture("peek-retried", view)
    run(either, 3)
    either.wait_for_text("(120.", cell=3)
    assert "['load', 'sizes']" in either.cell(3).inner_text()
    either.save()
    either.page.wait_for_timeout(500)
    saved = nbformat.read(either.server.root / name, as_version=4)
    outputs = [o for o in saved.cells[1].outputs if "application/vnd.cascade.run+json" in o.get("data", {})]
    assert [o.data["application/vnd.cascade.run+json"]["run"]["state"] for o in outputs] == ["completed"]


def test_a_page_that_was_loaded_again_still_finds_its_kernel(lab: Any) -> None:
    """After a reload the saved run is peeked at and retried through the kernel; without one, what is recorded stays."""
    name = lab.server.write("reload.ipynb", [SETUP, RUN, "ready.append(1)"])
    lab.open(name)
    run(lab, 0)
    run(lab, 1)
    finished(lab).locator(".cascade-head button", has_text="Retry").wait_for()
    lab.save()
    lab.page.reload()
    lab.page.wait_for_selector(".cascade-view", timeout=60_000)
    lab.wait_until_idle()
    view = finished(lab)
    view.get_by_label("Find a node").fill("fit[3]")
    lab.page.keyboard.press("Enter")
    view.locator(".cascade-part-head", has_text="no fit for 3003").wait_for()
    lab.picture("peek-item", view)
    run(lab, 2)
    view.locator(".cascade-head button", has_text="Retry").click()
    lab.page.wait_for_function("() => document.querySelector('.cascade-status')?.textContent.startsWith('done')")
    lab.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    view = finished(lab)
    view.locator("[data-index]").first.click()
    view.locator(".cascade-peek", has_text="Reads the birds.").wait_for()
    assert view.get_by_role("button", name="Retry").count() == 0
    assert lab.errors == []


MANY = """
import warnings
import cascade as cs
%load_ext cascade

@cs.task(mode="inline")
def step(x):
    return x

@cs.task
def gather(xs):
    warnings.warn("look out")
    return len(xs)
"""


def test_a_warning_is_no_retry_and_a_folded_task_is_no_map(lab: Any) -> None:
    """A warning has a sign of its own in the log; a box that stands for many calls says so."""
    name = lab.server.write("signs.ipynb", [MANY, "%%cascade\ngather([step(i) for i in range(2500)])"])
    lab.open(name).run_all()
    page = lab.page
    page.locator(".cascade-status", has_text="done").wait_for()
    line = page.locator(".cascade-line", has_text="UserWarning: look out")
    line.wait_for()
    assert line.locator(".cascade-icon path").get_attribute("d").startswith("M0,-5L")
    page.get_by_placeholder("Find a node").fill("step")
    page.get_by_placeholder("Find a node").press("Enter")
    page.locator(".cascade-detail-head .cascade-kind", has_text="nodes of one task").wait_for()
