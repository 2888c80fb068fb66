"""A notebook that was saved while a widget lived: opened again without its kernel it shows what was there."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

LIVE, RUN = "application/vnd.cascade.live+json", "application/vnd.cascade.run+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
SETUP = """
import time
import cascade as cs
%load_ext cascade

@cs.task
def load(n):
    return list(range(n))

@cs.task
def step(i, seconds=0.4):
    while i == 5 and HELD:
        time.sleep(0.05)
    return i

@cs.task
def total(xs):
    return sum(xs)

HELD = True
steps = step.map(i=load(10)).with_constraints(seat=1)
"""
BACKGROUND = "%%cascade --bg -r seat=1\ntotal(steps)"
LET_GO = "HELD = False\nprint('let go')"
CONTROLS = """
target = total(load(cs.Param("rows", default=4, bounds=(1, 20), description="how many rows")))
ui = cs.controls(target)
"""
SHELL = ".cascade-control-shell"


def saved(page: Any, name: str, cell: int = 1) -> dict[str, Any]:
    """The bundle that the notebook file holds for a cell."""
    page.save()
    outputs = json.loads((page.server.root / name).read_text(encoding="utf-8"))["cells"][cell]["outputs"]
    data: dict[str, Any] = outputs[0]["data"]
    return data


def cell_of(page: Any, index: int) -> Any:
    """The whole cell number `index`."""
    return page.page.locator(".jp-Notebook .jp-Cell").nth(index)


def reopen(page: Any, name: str, *, trusted: bool) -> None:
    """Open the saved notebook again, as its author or as someone who does not trust it."""
    if not trusted:
        file = page.server.root / name
        held = json.loads(file.read_text(encoding="utf-8"))
        held["cells"][0]["source"] = [*held["cells"][0]["source"], "\n# by someone else"]
        file.write_text(json.dumps(held), encoding="utf-8")
    page.page.goto("about:blank")
    page.server.end_kernels()
    page.open(name)


def assert_no_error(page: Any) -> None:
    """No output says that a widget is missing, also once the kernel has had time to say so."""
    page.page.wait_for_timeout(3_500)  # the widget manager looks for a model for two seconds
    shown = page.page.locator(".jp-OutputArea-output").all_inner_texts()
    assert not any("Error displaying widget" in text or "Loading widget" in text for text in shown), shown


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "untrusted"])
def test_what_was_live_when_saved_is_there_as_it_stood(either: Any, *, trusted: bool) -> None:
    """Live at first; opened again with its kernel gone, a run and controls as they were, and a line that says so."""
    name = either.server.write(f"saved-live-{trusted}.ipynb", [SETUP, BACKGROUND, CONTROLS])
    either.open(name).run_all()
    page, run, controls = either.page, cell_of(either, 1), cell_of(either, 2)
    page.wait_for_selector(".cascade-is-live .cascade-s-running")
    run.locator(".cascade-is-live .cascade-node", has_text="5 of 10").wait_for()
    field = controls.get_by_role("spinbutton", name="rows", exact=True)
    field.fill("7")
    field.press("Tab")
    controls.locator(".cascade-control-run .cascade-status", has_text="done").wait_for()
    controls.locator(".cascade-result", has_text="21").wait_for()
    bundle = saved(either, name, cell=1)
    assert {WIDGET, LIVE} <= set(bundle)
    assert bundle[LIVE]["run"]["state"] == "running"
    assert "Saved while it ran." in "".join(bundle["text/plain"])
    assert saved(either, name, cell=2)[LIVE]["controls"]["values"] == ["7"]
    run.locator(".cascade-is-live").get_by_role("button", name="Pause").wait_for()  # saving leaves it live
    assert run.locator(".cascade-view").count() == 1
    assert field.is_enabled()
    reopen(either, name, trusted=trusted)
    run.locator(".cascade-saved-note", has_text="Saved while it ran").wait_for(timeout=30_000)
    run.locator(".cascade-view .cascade-node", has_text="5 of 10").wait_for()
    assert "running when this was saved" in run.locator(".cascade-status").inner_text()
    controls.locator(".cascade-saved-note", has_text="Not live").wait_for(timeout=30_000)
    assert field.input_value() == "7"
    assert field.is_disabled()
    assert page.get_by_role("button", name="Run", exact=True).count() == 0
    controls.locator(".cascade-result", has_text="21").wait_for()
    assert_no_error(either)
    assert page.locator(".cascade-is-live").count() == 0
    assert run.locator(".cascade-node").count() == 3
    assert controls.locator(SHELL).count() == 1
    assert controls.locator(".cascade-control-run .cascade-status").inner_text().startswith("done")
    kind = f"{either.server.application}-{'trusted' if trusted else 'untrusted'}"
    either.picture(f"saved-live-{kind}", run)
    either.picture(f"saved-controls-{kind}", controls)
    assert [error for error in either.errors if "schema" not in error] == []


def test_what_lives_is_live_after_a_reload(either: Any) -> None:
    """With the kernel still there, a run that goes on and controls are widgets again, and end true."""
    name = either.server.write("reload-live.ipynb", [SETUP, BACKGROUND, CONTROLS, LET_GO])
    either.open(name)
    for cell in range(3):
        either.run_cell(cell)
    page = either.page
    page.locator(".cascade-is-live .cascade-node", has_text="5 of 10").wait_for()
    page.wait_for_selector(SHELL)
    either.save()
    page.reload()
    either.open(name)
    page.locator(".cascade-is-live", has_text="step").get_by_role("button", name="Pause").first.wait_for(timeout=30_000)
    field = page.get_by_role("spinbutton", name="rows", exact=True)
    page.wait_for_function("() => !document.querySelector('.cascade-saved-note')", timeout=10_000)
    assert field.is_enabled()
    field.fill("9")
    field.press("Tab")
    page.locator(".cascade-result", has_text="36").wait_for()
    either.run_cell(3)
    either.cell(1).locator(".cascade-status", has_text="done").wait_for()
    assert RUN in saved(either, name)


def test_a_run_that_ended_while_nobody_looked_is_there(either: Any) -> None:
    """Saved live, the page closed, the run over: the kernel still knows it, so the last picture takes its place."""
    name = either.server.write("ended-unseen.ipynb", [SETUP, BACKGROUND, LET_GO])
    either.open(name)
    either.run_cell(0)
    either.run_cell(1)
    either.page.locator(".cascade-is-live .cascade-node", has_text="5 of 10").wait_for()
    assert LIVE in saved(either, name)
    file = either.server.root / name
    then = file.read_text(encoding="utf-8")
    either.run_cell(2)
    either.page.locator(".cascade-status", has_text="done").wait_for()
    either.page.goto("about:blank")
    file.write_text(then, encoding="utf-8")
    either.open(name)
    either.cell(1).locator(".cascade-status", has_text="done").wait_for(timeout=20_000)
    either.page.locator(".cascade-result", has_text="45").wait_for()
    assert set(saved(either, name)) == {RUN, "text/html", "text/plain"}


def test_a_kernel_that_goes_leaves_what_was_there(lab: Any) -> None:
    """Restarted under a live view: the buttons go, the picture stays and says that it is not live."""
    name = lab.server.write("restarted.ipynb", [SETUP, BACKGROUND])
    lab.open(name).run_all()
    page = lab.page
    page.locator(".cascade-is-live .cascade-node", has_text="5 of 10").wait_for()
    page.evaluate("() => { window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart(); }")
    page.locator(".cascade-saved-note", has_text="Its kernel ended while it ran").wait_for(timeout=20_000)
    page.locator(".cascade-view .cascade-node", has_text="5 of 10").wait_for()
    assert page.locator(".cascade-is-live").count() == 0
    assert "running when its kernel ended" in page.locator(".cascade-view .cascade-status").inner_text()
    assert_no_error(lab)
