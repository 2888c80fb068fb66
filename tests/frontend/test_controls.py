"""The form of `cs.controls` with a model that stands for JupyterLab's: every kind of control, by mouse and by keys."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.frontend.test_axe import AXE
from tests.frontend.test_axe import RUN as RUN_AXE
from tests.frontend.test_widget import HOST

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HOSTILE = "<img src=x onerror=alert(1)>\u202e"


def field(name: str, kind: str, **more: Any) -> dict[str, Any]:
    plain = {"help": f"what {name} does", "type": "int", "choices": [], "low": "", "high": "", "step": 0}
    return {"name": name, "kind": kind, **plain, "required": False, **more}


FIELDS = [
    (field("rows", "slider", low="0", high="10", step=1), "3"),
    (field("most", "number"), "7"),
    (field("loud", "check"), False),
    (field("mode", "radio", choices=["sum", "count"]), 0),
    (field("city", "select", choices=["Rom", "Oslo", HOSTILE]), 1),
    (field("title", "text"), "total"),
    (field("key", "password"), ""),
    (field("day", "date"), "2024-02-29"),
    (field("frame", "fixed"), "a DataFrame"),
    (field(HOSTILE, "text", help=HOSTILE), HOSTILE),
]


def form(**more: Any) -> dict[str, Any]:
    return {
        "name": "report",
        "fields": [one for one, _ in FIELDS],
        "values": [value for _, value in FIELDS],
        "errors": [""] * len(FIELDS),
        "note": "3 of 5 nodes would run, about 2.1 s",
        **more,
    }


@pytest.fixture
def host(stage: Callable[..., Any], samples: Any, static: Path) -> Callable[..., Any]:
    """Makes a page that shows the controls above five nodes."""

    def make(**options: Any) -> Any:
        one = stage(height=1600, **options)
        code = (static / "controls.js").read_text("utf-8")
        one.page.evaluate(HOST, [code, {"form": form(), "run": samples.small("completed")}])
        one.requests.clear()  # the module's own blob
        one.settle()
        return one

    return make


def tell(host: Any, content: dict[str, Any]) -> None:
    """A custom message from the kernel."""
    host.page.evaluate("(content) => tell('msg:custom', content)", content)
    host.settle()


def wait_for(host: Any, message: dict[str, Any]) -> None:
    """Wait until the page has sent `message`, as the last one."""
    host.page.wait_for_function(
        """(wanted) => {
          const {at: _, ...last} = window.sent.at(-1) ?? {};
          return JSON.stringify(last) === JSON.stringify(wanted);
        }""",
        arg=message,
        timeout=5000,
    )


def test_the_module_is_small(static: Path) -> None:
    """Each widget carries it whole: under 50 KB gzipped, style sheet included."""
    assert len(gzip.compress((static / "controls.js").read_bytes(), mtime=0)) < 50_000


def test_every_control_tells_what_a_person_does(host: Any) -> None:
    """Moving is `input`, letting go is `change`; choices go by their place, ticks as truth, the rest as text."""
    one = host()
    page = one.page
    page.get_by_role("slider", name="rows slider").press("ArrowRight")
    wait_for(one, {"type": "change", "field": 0, "value": "4"})
    assert page.get_by_role("spinbutton", name="rows", exact=True).input_value() == "4"
    page.get_by_role("spinbutton", name="most").fill("9")
    wait_for(one, {"type": "input", "field": 1, "value": "9"})
    page.get_by_role("spinbutton", name="most").press("Enter")
    wait_for(one, {"type": "change", "field": 1, "value": "9"})
    page.get_by_role("checkbox", name="loud").check()
    wait_for(one, {"type": "change", "field": 2, "value": True})
    page.get_by_role("radio", name="count").check()
    wait_for(one, {"type": "change", "field": 3, "value": 1})
    page.get_by_label("city").select_option("Rom")
    wait_for(one, {"type": "change", "field": 4, "value": 0})
    page.get_by_label("title").fill("mean")
    page.get_by_label("title").blur()
    wait_for(one, {"type": "change", "field": 5, "value": "mean"})
    page.get_by_label("key", exact=True).fill("swordfish")
    page.get_by_label("key", exact=True).press("Enter")
    wait_for(one, {"type": "change", "field": 6, "value": "swordfish"})
    page.get_by_label("day").fill("2024-03-01")
    wait_for(one, {"type": "change", "field": 7, "value": "2024-03-01"})
    assert page.get_by_label("frame").get_attribute("readonly") is not None
    page.get_by_role("button", name="Run", exact=True).click()
    wait_for(one, {"type": "run"})
    page.get_by_role("button", name="Reset", exact=True).click()
    wait_for(one, {"type": "reset"})


def test_dragging_tells_the_last_value_and_then_the_release(host: Any) -> None:
    """Many moves are few messages; the release comes last, at once."""
    one = host()
    one.page.evaluate("window.sent.length = 0")
    slider = one.page.get_by_role("slider", name="rows slider")
    box = slider.bounding_box()
    middle = box["y"] + box["height"] / 2
    one.page.mouse.move(box["x"] + box["width"] * 0.32, middle)
    one.page.mouse.down()
    one.page.mouse.move(box["x"] + box["width"] * 0.92, middle, steps=40)
    one.page.wait_for_function("() => window.sent.some((m) => m.type === 'input')")
    assert not [message for message in one.sent if message["type"] == "change"]
    one.page.mouse.up()
    wait_for(one, {"type": "change", "field": 0, "value": "9"})
    assert len(one.sent) < 20


def test_what_the_kernel_says_is_shown_but_not_over_what_is_written(host: Any) -> None:
    """Values, errors at their fields and the line; a field that a person is in keeps what they wrote."""
    one = host()
    page = one.page
    title = page.get_by_label("title")
    title.fill("half a wo")
    errors = [""] * len(FIELDS)
    errors[1] = "99 is not from 0 to 50"
    values = [value for _, value in FIELDS]
    values[1], values[5] = "99", "total"
    wait_for(one, {"type": "input", "field": 5, "value": "half a wo"})
    tell(one, {"type": "form", "form": {"values": values, "errors": errors, "note": "most: not a valid value yet"}})
    assert title.input_value() == "half a wo"
    most = page.get_by_role("spinbutton", name="most")
    assert most.input_value() == "99"
    assert most.get_attribute("aria-invalid") == "true"
    described = page.locator(f"#{most.get_attribute('aria-describedby').split(' ')[0]}")
    assert described.inner_text() == "99 is not from 0 to 50."
    assert page.locator(".cascade-forecast").inner_text() == "most: not a valid value yet"


def test_an_answer_to_something_older_does_not_set_back(host: Any) -> None:
    """What a person did last stands until the kernel has heard of it; then the kernel's word counts."""
    one = host()
    loud = one.page.get_by_role("checkbox", name="loud")
    loud.check()
    wait_for(one, {"type": "change", "field": 2, "value": True})
    said = one.sent[-1]["at"]
    values = [value for _, value in FIELDS]
    tell(one, {"type": "form", "form": {**form(), "values": values, "heard": said - 1}})
    assert loud.is_checked()
    tell(one, {"type": "form", "form": {**form(), "values": values, "heard": said}})
    assert not loud.is_checked()


def test_runs_and_marks_are_drawn_below(host: Any, samples: Any) -> None:
    """A frame marks a node of the finished run, a snapshot of another run takes its place."""
    one = host()
    entry = {**samples.entry("done", 0.4, 1.0, "0.6 s"), "m": "run ~0.60 s"}
    tell(one, {"type": "frame", "nodes": {"clean": entry}})
    assert one.page.locator(".cascade-node.cascade-is-stale").count() == 1
    another = samples.small()
    another["run"] = {**another["run"], "id": "another", "name": "second"}
    tell(one, {"type": "snapshot", "snapshot": another | {"seq": 0}})
    assert one.page.locator(".cascade-node.cascade-is-stale").count() == 0
    assert one.page.locator(".cascade-control-run .cascade-name").inner_text() == "second"
    one.page.get_by_role("button", name="Cancel").click()
    assert one.sent[-1] == {"type": "command", "command": "cancel"}


def test_rendered_again_a_person_goes_on_where_they_were(host: Any) -> None:
    """When JupyterLab draws the output anew, the focus is at the same control and nothing of the old view stays."""
    one = host()
    one.page.get_by_role("slider", name="rows slider").focus()
    listening = one.page.evaluate("listening()")
    one.page.evaluate("() => { document.getElementById('one').textContent = ''; window.render(); }")
    one.page.wait_for_function("() => document.activeElement?.type === 'number'")
    assert one.page.evaluate("listening()") == listening
    assert one.page.locator(".cascade-control-shell").count() == 1
    one.page.evaluate("leave()")
    assert one.page.evaluate("listening()") == 0


def test_hostile_names_stay_texts(host: Any) -> None:
    """Names, help, choices and values are text: no element comes of them."""
    one = host()
    assert one.page.locator("#one img").count() == 0
    assert one.page.locator(".cascade-control-name").last.inner_text() == HOSTILE
    assert one.page.get_by_label("city").locator("option").last.inner_text().startswith("<img")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_violation(host: Callable[..., Any], theme: str) -> None:
    """With every kind of control and an error, in light and dark; at a narrow width nothing is cut off."""
    one = host(theme=theme)
    one.page.evaluate("(theme) => { document.body.style.background = theme === 'dark' ? '#111' : '#fff'; }", theme)
    errors = ["it needs a value", *[""] * (len(FIELDS) - 1)]
    tell(one, {"type": "form", "form": {**form(), "errors": errors}})
    one.page.add_script_tag(content=AXE.read_text(encoding="utf-8"))
    assert one.page.evaluate(RUN_AXE) == []
    one.page.set_viewport_size({"width": 340, "height": 1600})
    one.settle()
    assert one.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
