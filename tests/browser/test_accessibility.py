"""axe-core in a real JupyterLab and Notebook 7, light and dark: the live card, and the finished one as it is saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

AXE = Path(__file__).parents[2] / "cascade" / "notebook" / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
SETUP = """
import time
import cascade as cs
%load_ext cascade

@cs.task
def load(n):
    return list(range(n))

@cs.task
def step(i, seconds=0.0):
    time.sleep(seconds)
    return i

@cs.task
def divide(xs, by):
    return sum(xs) / by
"""
LIVE = "%%cascade --bg -r seat=1\ndivide(step.map(i=load(400), seconds=0.2).with_constraints(seat=1), 2)"
FAILED = "%%cascade\ndivide(step.map(i=load(cs.Param('rows', 4))), 0)"
RUN = """async (card) => {
  const outcome = await axe.run(card, {
    resultTypes: ["violations"],
    rules: {region: {enabled: true}, "label-content-name-mismatch": {enabled: true}},
  });
  return outcome.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(" ") + " " + n.failureSummary)
    .slice(0, 3).join(" | ")}`);
}"""


def test_axe_finds_no_violation_in_the_notebook(either: Any) -> None:
    """A live card and a failed one, light and dark, with the notebook's own colours, fonts and styles around them."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed (npm ci in cascade/notebook/frontend)")
    page = either.page
    either.open(either.server.write("axe.ipynb", [SETUP, LIVE, FAILED])).run_all()
    page.wait_for_selector(".cascade-is-live .cascade-s-running", timeout=60_000)
    page.wait_for_selector(".cascade-failure:not([hidden])", timeout=60_000)
    page.add_style_tag(content="* { transition: none !important; animation: none !important; }")
    page.add_script_tag(content=AXE.read_text(encoding="utf-8"))
    cards = {"live": page.locator(".cascade-view.cascade-is-live"), "failed": page.locator(".cascade-view").last}
    try:
        for theme in ("light", "dark"):
            either.dark(on=theme == "dark")
            for name, card in cards.items():
                assert card.evaluate(RUN) == [], (theme, name)
                either.picture(f"{either.server.application}-{name}-{theme}", card)
            assert page.evaluate(f"() => ({RUN})([...document.querySelectorAll('.cascade-view')])") == [], theme
    finally:
        either.dark(on=False)
