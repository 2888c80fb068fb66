"""`cs.controls` as a person uses it: move, see what it would cost, let go, see it run, and open the saved notebook."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

SETUP = """
import datetime, time
import cascade as cs
%load_ext cascade

def note(name):
    with open("ran.txt", "a") as file:
        print(name, file=file)

@cs.task(pure=True)
def load(rows):
    note("load"); time.sleep(0.3)
    return list(range(rows))

@cs.task(pure=True)
def clean(raw, threshold):
    note("clean"); time.sleep(0.2)
    return [x for x in raw if x >= threshold]

@cs.task(pure=True)
def report(kept, title, mode, loud):
    note("report")
    return f"{title}: {sum(kept) if mode == 'sum' else len(kept)}{'!' if loud else ''}"

target = report(
    clean(load(cs.Param("rows", default=10, description="how many rows are read", bounds=(1, 100))),
          cs.Param("threshold", default=3.0, bounds=(0, 10), description="smaller values are dropped")),
    cs.Param("title", default="total"), cs.Param("mode", default="sum", choices=["sum", "count"]),
    cs.Param("loud", default=False))
"""
RAN = "import pathlib\nfile = pathlib.Path('ran.txt')\nprint('RAN', file.read_text().split() if file.exists() else [])"
CONTROLS = "ui = cs.controls(target)"
STALE = ".cascade-control-run .cascade-node.cascade-is-stale .cascade-node-name"
MARKS = f"() => [...document.querySelectorAll('{STALE}')].map((name) => name.textContent).sort().join(',')"


def forecast(page: Any) -> Any:
    """The line that says what a run would do."""
    return page.page.locator(".cascade-forecast")


def say(page: Any, cell: int, words: str) -> str:
    """Run a cell that prints one line after `words`, and return that line."""
    page.run_cell(cell)
    page.wait_for_text(words, cell=cell)
    return str(page.cell(cell).first.inner_text().split(words, 1)[1].strip())


def wait_for_marks(page: Any, names: str) -> None:
    page.page.wait_for_function(f"(names) => ({MARKS})() === names", arg=names, timeout=10_000)


def test_dragging_marks_and_releasing_runs(either: Any) -> None:
    """Nothing runs at first; dragging marks what would run with its cost; letting go runs only that, in one place."""
    (either.server.root / "ran.txt").unlink(missing_ok=True)
    name = either.server.write(
        "controls.ipynb", [SETUP, CONTROLS, RAN, "print('ASKED', ui.params, ui.value, ui.run.state)"]
    )
    either.open(name).run_all()
    page = either.page
    page.wait_for_selector(".cascade-controls")
    forecast(either).filter(has_text="3 of 3 nodes would run").wait_for()
    wait_for_marks(either, "clean,load,report")
    assert say(either, 2, "RAN") == "[]"
    page.get_by_role("button", name="Run", exact=True).click()
    page.locator(".cascade-control-run .cascade-status", has_text="done").wait_for()
    forecast(either).filter(has_text="nothing would run").wait_for()
    wait_for_marks(either, "")
    slider = page.get_by_role("slider", name="threshold slider")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] / 2, steps=8)
    forecast(either).filter(has_text="up to 2 of 3 nodes would run, about").wait_for()
    wait_for_marks(either, "clean,report")
    either.picture("controls-drag", page.locator(".cascade-control-shell"))
    assert page.locator(".cascade-control-run .cascade-status").inner_text().startswith("done")
    page.mouse.up()
    page.locator(".cascade-result", has_text="total: 24").or_(
        page.locator(".cascade-result", has_text="total: 17")
    ).wait_for()
    wait_for_marks(either, "")
    assert json.loads(say(either, 2, "RAN").replace("'", '"')) == ["load", "clean", "report", "clean", "report"]
    assert "'completed'" not in say(either, 3, "ASKED")
    assert page.locator(".cascade-control-shell").count() == 1
    assert either.errors == [] or all("schema" in error for error in either.errors)
    assert either.foreign_requests() == []


def test_the_keyboard_stays_where_it_is_and_the_notebook_keeps_the_values(lab: Any) -> None:
    """Arrow keys run; what is saved is brought up to date without a new rendering; the file has values and picture."""
    name = lab.server.write("controls-saved.ipynb", [SETUP, CONTROLS])
    lab.open(name).run_all()
    page = lab.page
    slider = page.get_by_role("slider", name="rows slider")
    slider.click(position={"x": 3, "y": 10})  # JupyterLab skips what is scrolled out of sight: a person looks first
    for _ in range(10):
        slider.press("ArrowRight")
    page.locator(".cascade-result", has_text="total: 52").wait_for()
    page.evaluate("() => { window.before = document.querySelector('.cascade-control-shell'); }")
    kept = """() => { for (const cell of window.jupyterapp.shell.currentWidget.content.widgets)
        for (const output of cell.model.outputs?.toJSON() ?? [])
          if (output.data?.["text/plain"]?.includes("rows = 11")) return true;
      return false; }"""
    page.wait_for_function(kept)
    is_one = "() => [...document.querySelectorAll('.cascade-control-shell')].every((one) => one === window.before)"
    page.wait_for_function(is_one)
    page.wait_for_function("() => document.activeElement?.closest('.cascade-control')?.textContent.includes('rows')")
    assert page.get_by_role("spinbutton", name="rows", exact=True).input_value() == "11"
    lab.save()
    saved = json.loads((lab.server.root / name).read_text())["cells"][1]["outputs"][0]["data"]
    assert "rows = 11" in "".join(saved["text/plain"])
    assert "data:image/svg+xml;base64," in "".join(saved["text/html"])
    page.reload()
    page.wait_for_selector(".cascade-control-shell", timeout=60_000)
    page.locator(".cascade-control-shell").first.evaluate("(shell) => shell.scrollIntoView()")
    page.wait_for_selector(".cascade-control-shell input:enabled", timeout=60_000)
    page.wait_for_function("() => document.querySelectorAll('.cascade-control-shell').length === 1")
    assert page.get_by_role("spinbutton", name="rows", exact=True).input_value() == "11"
    page.locator(".cascade-control-run .cascade-status", has_text="done").wait_for()
    lab.picture("controls-reloaded", page.locator(".cascade-control-shell"))


def test_controls_stay_controls_on_a_slow_page(lab: Any) -> None:
    """A page that shows what was saved, since its widgets are not there yet, is not given the run in its place."""
    name = lab.server.write("controls-slow.ipynb", [SETUP, CONTROLS])
    lab.open(name).run_all()
    page = lab.page
    page.get_by_role("slider", name="rows slider").wait_for()
    page.get_by_role("button", name="Run", exact=True).click()
    page.locator(".cascade-control-run .cascade-status", has_text="done").wait_for()
    lab.save()
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 8})
    page.reload()
    page.wait_for_selector(".cascade-control-shell input:enabled", timeout=90_000)
    rows = page.get_by_role("spinbutton", name="rows", exact=True)
    rows.fill("11")
    rows.press("Enter")
    page.locator(".cascade-result", has_text="total: 52").wait_for()
    assert page.locator(".cascade-control-shell").count() == 1


def test_auto_brings_outputs_up_to_date_where_they_stand(lab: Any) -> None:
    """A cheap change of another cell redraws the shown run; a dear one marks its nodes and says so in a line."""
    flow = "%%cascade\nreport(clean(load(ROWS), 3), 'total', 'sum', False)"
    cells = [
        f"{SETUP}\nROWS = 10", flow, "%cascade auto --under 2s", "ROWS = 12", "%cascade auto --under 50ms", "ROWS = 40"
    ]  # fmt: skip
    name = lab.server.write("auto.ipynb", cells)
    lab.open(name)
    for cell in range(3):
        lab.run_cell(cell)
    lab.wait_for_text("Auto is on", cell=2)
    page = lab.page
    lab.run_cell(3)
    page.locator(".cascade-status", has_text="ran by itself: ROWS changed").wait_for()
    page.locator(".cascade-result", has_text="total: 63").wait_for()
    assert page.locator(".cascade-view").count() == 1
    lab.run_cell(4)
    lab.run_cell(5)
    page.locator(".cascade-status", has_text="stale: ROWS changed · about 0.").wait_for()
    stale = page.locator(".cascade-node.cascade-is-stale .cascade-node-name")
    assert sorted(stale.all_text_contents()) == ["clean", "load", "report"]
    lab.picture("auto-stale", page.locator(".cascade-view"))
    assert page.locator(".cascade-view").count() == 1
