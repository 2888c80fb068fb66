"""Step mode as a person uses it: a blocking cell, ready nodes marked, Next by button, by key and for a chosen node."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

SETUP = """
import json, time
import cascade as cs
%load_ext cascade

@cs.task
def load(n):
    time.sleep(0.05)
    return n

@cs.task
def clean(x):
    return x

@cs.task
def plot(x):
    return x

@cs.task
def report(a, b):
    return a + b
"""
STEP = "%%cascade --step\nraw = load(3)\nreport(clean(raw), plot(raw))"
EVENTS = """
from cascade.notebook.session import current_session
run = list(current_session().jobs.values())[-1].run
print("EVENTS", json.dumps([[type(e).__name__, getattr(e, "label", "")] for e in run.events]))
"""
NEXT = """() => [...document.querySelectorAll('.cascade-view .cascade-is-next .cascade-node-name')].map((name) =>
  name.textContent)"""


def wait_for_next(page: Any, *names: str) -> None:
    """Wait until exactly the nodes `names` are marked as next."""
    page.page.wait_for_function(f"(names) => ({NEXT})().sort().join(',') === names", arg=",".join(sorted(names)))


def events_of(page: Any, cell: int) -> list[list[str]]:
    """Kind and label of each event, as the cell with EVENTS printed them."""
    page.wait_for_text("EVENTS", cell=cell)
    return list(json.loads(page.cell(cell).first.inner_text().split("EVENTS ", 1)[1]))


def test_a_blocking_cell_goes_step_by_step(either: Any) -> None:
    """Nothing starts before Next; the button, the key n and a chosen node each start one; Run on ends it."""
    name = either.server.write("step.ipynb", [SETUP, STEP, EVENTS])
    either.open(name).run_all()
    page = either.page
    page.wait_for_selector(".cascade-is-live .cascade-next:not([hidden])")
    wait_for_next(either, "load")
    node = page.locator(".cascade-node", has_text="load")
    assert node.get_attribute("aria-label").startswith("load, next: queued")
    assert node.locator(".cascade-node-line").text_content() == "next"
    button = page.get_by_role("button", name="Next", exact=True)
    button.click()
    wait_for_next(either, "clean", "plot")
    either.picture("step-mode", page.locator(".cascade-view"))
    page.locator(".cascade-node", has_text="plot").click()
    button.click()
    wait_for_next(either, "clean")
    button.press("n")
    wait_for_next(either, "report")
    page.get_by_role("button", name="Run on", exact=True).click()
    events = events_of(either, 2)
    assert [label for kind, label in events if kind == "NodeStarted"] == ["load", "plot", "clean", "report"]
    assert [kind for kind, _ in events if kind.startswith("StepMode")] == ["StepModeEntered", "StepModeLeft"]
    either.wait_for_text("6", cell=1)
    assert either.foreign_requests() == []


def test_step_mode_ends_with_cancel(lab: Any) -> None:
    """A cell that waits for Next is not stuck: Cancel gives the prompt back."""
    name = lab.server.write("step-cancel.ipynb", [SETUP, STEP, "print('the prompt', 'is back')"])
    lab.open(name).run_all()
    wait_for_next(lab, "load")
    lab.page.get_by_role("button", name="Cancel", exact=True).click()
    lab.page.wait_for_selector(".cascade-view:not(.cascade-is-live)", timeout=20_000)
    lab.run_cell(2)
    lab.wait_for_text("the prompt is back", cell=2)


def test_replay_of_a_saved_notebook_needs_no_kernel(lab: Any) -> None:
    """In a notebook that was saved and opened again without a kernel, the scrubber moves graph, lanes and log."""
    slow = "%%cascade\nraw = load(3)\nreport(clean(raw), plot(raw))"
    name = lab.server.write("replay.ipynb", [SETUP, slow])
    lab.open(name).run_all()
    lab.wait_for_text("6", cell=1)
    lab.save()
    lab.page.evaluate("() => window.jupyterapp.serviceManager.sessions.shutdownAll()")
    lab.page.reload()
    lab.page.wait_for_selector(".cascade-replay:not([hidden])", timeout=60_000)
    scrubber = lab.page.get_by_role("slider", name="moment of the run")
    states = (
        "() => [...document.querySelectorAll('.cascade-view .cascade-node')].map((n) => n.getAttribute('aria-label'))"
    )
    end = lab.page.evaluate(states)
    height = lab.page.locator(".cascade-view").bounding_box()["height"]
    scrubber.press("Home")
    lab.page.wait_for_function("() => document.querySelector('.cascade-status').textContent.includes('replay')")
    start = lab.page.evaluate(states)
    assert all(": pending" in label or ": queued" in label for label in start)
    assert lab.page.locator(".cascade-view").bounding_box()["height"] == height
    scrubber.press("End")
    lab.page.wait_for_function("() => !document.querySelector('.cascade-status').textContent.includes('replay')")
    assert lab.page.evaluate(states) == end
