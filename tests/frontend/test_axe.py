"""axe-core finds nothing to complain of in the main states of the view, in light and dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AXE = Path(__file__).parents[2] / "cascade" / "notebook" / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
# The view is a landmark of its own, and the name of a node begins with the words that its box shows: both rules are on,
# though axe leaves the second one off by itself.
RUN = """async () => {
  const outcome = await axe.run(document.getElementById("one"), {
    resultTypes: ["violations"],
    rules: {region: {enabled: true}, "label-content-name-mismatch": {enabled: true}},
  });
  return outcome.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(" ") + " " + n.failureSummary)
    .slice(0, 3).join(" | ")}`);
}"""
TABS = ("Graph", "Lanes", "Log", "Table", "Params")


def everything(view: Any) -> None:
    """Open every part of the view, and a node."""
    for tab in TABS:
        button = view.get_by_role("button", name=tab, exact=True)
        if button.count() and button.is_visible() and button.get_attribute("aria-pressed") == "false":
            button.click()
    view.locator("[data-index]").nth(2).click()


def with_peek(document: dict[str, Any]) -> dict[str, Any]:
    """The document with what peek needs for its third node."""
    box = document["picture"]["boxes"][2]["id"]
    table = {"columns": ["species", "n"], "rows": [["Adelie", "1"]], "more": 3}
    task = {"signature": "clean(x)", "doc": "Cleans.", "where": "Cell In[3], line 2"}
    given = [{"name": "x", "text": "load", "node": "load"}]
    head = {"type": "DataFrame", "text": "", "table": table, "size": 2000}
    rows = [[f"{box}[1]", "failed", 0.1, "ValueError: no", box]]
    node = {"task": 0, "arguments": given, "head": head, "parts": {"rows": rows, "more": 0}}
    return {**document, "peek": {"tasks": [task], "nodes": {box: node}}}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("state", ["penguins", "finished", "failed", "large"])
def test_axe_finds_no_violation(stage: Callable[..., Any], samples: Any, theme: str, state: str) -> None:
    """Running, finished, failed, and a large graph; every part open, a node selected."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed (npm ci in cascade/notebook/frontend)")
    one = stage(theme=theme, height=2400)
    one.page.evaluate("(theme) => { document.body.style.background = theme === 'dark' ? '#111' : '#fff'; }", theme)
    shown = samples.layered(900) if state == "large" else getattr(samples, state)()
    if state == "failed":
        shown["failure"]["more"] = [{**shown["failure"], "label": "fit[3]"}]
        shown["failure"]["others"] = 2
        shown["nodes"]["load"]["m"] = "would run, ~2.1 s"
    view = one.show(with_peek(shown), live=state == "penguins")
    if state != "large":
        everything(view)
        view.get_by_role("button", name="Critical path").click()
    one.page.add_script_tag(content=AXE.read_text(encoding="utf-8"))
    # Parts that fade in are measured when they stand.
    one.page.add_style_tag(content="* { transition: none !important; animation: none !important; }")
    one.settle()
    assert one.page.evaluate(RUN) == []
