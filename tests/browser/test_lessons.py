"""Lessons 5 and 6 as a reader does them in a real JupyterLab: what the texts promise to a mouse is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]

LESSONS = Path(__file__).parents[2] / "notebooks"
SEEN = "(element) => element.checkVisibility({opacityProperty: true, visibilityProperty: true})"


def begin(lab: Any, name: str, last: str) -> int:
    """Open a lesson without its outputs, run it down to the cell with the id `last`, and return that cell's place."""
    cells = nbformat.read(LESSONS / f"{name}.ipynb", as_version=4).cells
    for cell in cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    lab.open(lab.server.write(f"{name}.ipynb", cells))
    place = next(place for place, cell in enumerate(cells) if cell.id == last)
    for number, cell in enumerate(cells[: place + 1]):
        if cell.cell_type == "code":
            lab.run_cell(number)
    return place


def test_the_steps_of_lesson_5_are_taken_with_the_mouse(lab: Any) -> None:
    """Nothing starts before Next; after `clean` there are two to choose from; Run on does the rest."""
    place = begin(lab, "05_watch_and_steer", "watch-05")
    page = lab.page
    marked = page.locator(".cascade-view .cascade-is-next .cascade-node-name")
    following = page.get_by_role("button", name="Next", exact=True)
    for names in (["load"], ["clean"], ["by_airport", "by_distance"]):
        page.wait_for_function(
            "(names) => [...document.querySelectorAll('.cascade-view .cascade-is-next .cascade-node-name')]"
            ".map((one) => one.textContent).sort().join() === names",
            arg=",".join(names),
        )
        assert marked.count() == len(names)
        if len(names) == 1:
            following.click()
    page.get_by_role("button", name="Run on", exact=True).click()
    lab.wait_for_text("farther", cell=place)
    assert lab.errors == []


def test_the_controls_of_lesson_6_are_seen_and_moved(lab: Any) -> None:
    """The sliders can be seen before anything has run; one step with a key runs the node, and tells its value."""
    place = begin(lab, "06_explore_to_pipeline", "pipe-24")
    slider = lab.page.get_by_role("slider", name="sight slider")
    slider.wait_for(timeout=60_000)
    assert slider.evaluate(SEEN)
    slider.press("ArrowLeft")
    lab.wait_for_text("of the flights left in bad weather", cell=place)
    assert lab.errors == []
