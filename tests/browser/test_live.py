"""What a person sees and clicks while a cell runs, in a real JupyterLab and Notebook 7."""

from __future__ import annotations

import json
import time
from typing import Any

import nbformat
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

SETUP = """
import json, time
import cascade as cs
%load_ext cascade

@cs.task
def load(n):
    return list(range(n))

@cs.task
def step(i, seconds=0.4):
    print("step", i)
    time.sleep(seconds)
    return i

@cs.task
def total(xs):
    return sum(xs)

steps = step.map(i=load(10)).with_constraints(seat=1)
"""
BLOCKING = "%%cascade -r seat=1\ntotal(steps)"
EVENTS = """
from cascade.notebook.session import current_session
run = list(current_session().jobs.values())[-1].run
print("EVENTS", json.dumps([[type(e).__name__, e.at] for e in run.events]), run.state)
"""
WATCH = """() => {
  window.firstNode = null;
  const look = () => {
    if (window.firstNode === null && document.querySelector('.cascade-view.cascade-is-live .cascade-node'))
      window.firstNode = performance.timeOrigin + performance.now();
  };
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true});
}"""
STATES = """() => [...document.querySelectorAll('.cascade-view .cascade-node')].map((node) =>
  node.getAttribute('aria-label'))"""
# The moment of a click is noted where it happens: Playwright may wait long before it clicks.
NOTE_CLICKS = """() => document.addEventListener("click", () => {
    (window.clicks ||= []).push((performance.timeOrigin + performance.now()) / 1000);
}, true)"""


def events_of(page: Any, cell: int) -> tuple[dict[str, float], str]:
    """First time of each kind of event, and the run's state, as the cell with EVENTS printed them."""
    page.wait_for_text("EVENTS", cell=cell)
    text = page.cell(cell).first.inner_text()
    listed, state = text.split("EVENTS ", 1)[1].rsplit(" ", 1)
    first: dict[str, float] = {}
    for kind, at in json.loads(listed):
        first.setdefault(kind, at)
    return first, state.strip()


def run_documents(page: Any, name: str) -> list[dict[str, Any]]:
    """The finished runs in the saved notebook."""
    page.save()
    notebook = nbformat.read(page.server.root / name, as_version=4)
    kind = "application/vnd.cascade.run+json"
    return [o.data[kind] for c in notebook.cells for o in c.get("outputs", []) if kind in o.get("data", {})]


def test_graph_appears_at_once_and_changes_while_the_cell_runs(either: Any) -> None:
    """The graph is on the page within 300 ms of the run's start, and its nodes change state before the cell ends."""
    name = either.server.write("appears.ipynb", [SETUP, "%%cascade\nload(3)", BLOCKING])
    either.open(name)
    either.page.evaluate(WATCH)
    either.command("notebook:run-cell-and-select-next")
    either.command("notebook:run-cell-and-select-next")
    either.wait_for_text("done", cell=1)
    either.page.evaluate("() => { window.firstNode = null; }")
    either.command("notebook:run-cell-and-select-next")
    either.page.wait_for_selector(".cascade-is-live .cascade-s-running")
    seen = {tuple(either.page.evaluate(STATES))}
    until = time.monotonic() + 20
    while either.page.locator(".cascade-is-live").count() and time.monotonic() < until:
        seen.add(tuple(either.page.evaluate(STATES)))
    either.wait_for_text("45", cell=2)
    assert len(seen) >= 3
    document = run_documents(either, name)[-1]
    shown_after = either.page.evaluate("() => window.firstNode") / 1000 - document["run"]["started"]
    assert shown_after < 0.3
    assert either.foreign_requests() == []
    assert [e for e in either.errors if "schema" not in e] == []


def test_cancel_works_while_the_cell_blocks(either: Any) -> None:
    """A click on Cancel reaches the run within 500 ms although the cell blocks the kernel; the next cell works."""
    name = either.server.write("cancel.ipynb", [SETUP, BLOCKING, EVENTS])
    either.open(name).run_all()
    either.page.wait_for_selector(".cascade-is-live .cascade-s-running")
    either.page.evaluate(NOTE_CLICKS)
    either.page.get_by_role("button", name="Cancel", exact=True).click()
    either.page.wait_for_selector(".cascade-view:not(.cascade-is-live)", timeout=20_000)
    # The cancelled cell stopped Run All; the last cell is run by hand.
    either.run_cell(2)
    first, state = events_of(either, 2)
    assert state == "cancelled"
    assert first["RunCancelRequested"] - either.page.evaluate("() => window.clicks[0]") < 0.5


def test_pause_and_resume_work_while_the_cell_blocks(lab: Any) -> None:
    """Pause holds the next items back within 500 ms, Resume lets them go on, and the result is the same."""
    name = lab.server.write("pause.ipynb", [SETUP, BLOCKING, EVENTS])
    lab.open(name).run_all()
    lab.page.wait_for_selector(".cascade-is-live .cascade-s-running")
    lab.page.evaluate(NOTE_CLICKS)
    lab.page.get_by_role("button", name="Pause", exact=True).click()
    lab.page.get_by_role("button", name="Resume", exact=True).wait_for(timeout=5000)
    lab.page.wait_for_function("() => document.querySelector('.cascade-status').textContent.startsWith('paused')")
    lab.page.get_by_role("button", name="Resume", exact=True).click()
    first, state = events_of(lab, 2)
    assert state == "completed"
    assert first["RunPaused"] - lab.page.evaluate("() => window.clicks[0]") < 0.5
    assert first["RunResumed"] > first["RunPaused"]


def test_two_views_do_not_disturb_each_other(lab: Any) -> None:
    """Two runs side by side in the background each show their own states, and no id stands twice on the page."""
    slow = "%%cascade --bg -r seat=1\ntotal(steps)"
    quick = "%%cascade --bg\ntotal(load(4))"
    name = lab.server.write("two.ipynb", [SETUP, slow, quick])
    lab.open(name).run_all()
    lab.wait_for_text("done", cell=2)
    lab.page.wait_for_selector(".jp-Cell:nth-of-type(2) .cascade-view, .cascade-is-live")
    assert lab.page.locator(".cascade-view").count() == 2
    lab.page.wait_for_function("() => !document.querySelector('.cascade-is-live')", timeout=30_000)
    ids = lab.page.evaluate("() => [...document.querySelectorAll('.cascade-view [id]')].map((e) => e.id)")
    assert ids
    assert len(ids) == len(set(ids))
    assert [d["run"]["state"] for d in run_documents(lab, name)] == ["completed", "completed"]


def test_reload_in_mid_run_shows_the_truth(lab: Any) -> None:
    """A page that is loaded again while a background run goes on ends with the run's true end."""
    cells = [SETUP, "%%cascade --bg -r seat=1\ntotal(steps)"]
    name = lab.server.write("reload.ipynb", cells)
    lab.open(name).run_all()
    lab.page.wait_for_selector(".cascade-is-live .cascade-s-running")
    lab.save()
    lab.page.reload()
    lab.page.wait_for_selector(".cascade-view", timeout=60_000)
    until = time.monotonic() + 30
    shown = ""
    while time.monotonic() < until and "done" not in shown:
        shown = lab.page.locator(".cascade-view .cascade-status").first.inner_text()
        time.sleep(0.2)
    assert "done" in shown
    assert all("done" in label for label in lab.page.evaluate(STATES))


def test_a_failure_is_told_in_the_card(lab: Any) -> None:
    """A failing task fails the cell; the card names the node, the error, the user's line and the inputs."""
    code = """
@cs.task
def divide(x, by):
    return x / by

divide(total(load(3)), 0)
"""
    name = lab.server.write("failure.ipynb", [SETUP, "%%cascade\n" + code, "print('the cell that follows')"])
    lab.open(name).run_all()
    lab.wait_for_text("ZeroDivisionError", cell=1)
    card = lab.page.locator(".cascade-failure")
    card.wait_for()
    text = card.inner_text()
    assert "division by zero" in text
    assert "return x / by" in text
    assert "divide" in text
    lab.picture("failure", lab.page.locator(".cascade-view"))
    assert lab.page.locator(".jp-OutputArea-output", has_text="the cell that follows").count() == 0
