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
RUN = """async () => {
  const outcome = await axe.run(".cascade-view", {
    resultTypes: ["violations"],
    rules: {region: {enabled: true}, "label-content-name-mismatch": {enabled: true}},
  });
  return outcome.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(" ") + " " + n.failureSummary)
    .slice(0, 3).join(" | ")}`);
}"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("name", "code"), [("live", LIVE), ("failed", FAILED)], ids=["live", "failed"])
def test_axe_finds_no_violation_in_the_notebook(either: Any, name: str, code: str, *, dark: bool) -> None:
    """With the notebook's own colours, fonts and styles around the view."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed (npm ci in cascade/notebook/frontend)")
    either.open(either.server.write(f"axe-{name}-{dark}.ipynb", [SETUP, code]))
    either.dark(on=dark)
    either.run_all()
    end = ".cascade-is-live .cascade-s-running" if name == "live" else ".cascade-failure"
    either.page.wait_for_selector(end, timeout=60_000)
    either.page.add_style_tag(content="* { transition: none !important; animation: none !important; }")
    either.page.add_script_tag(content=AXE.read_text(encoding="utf-8"))
    try:
        assert either.page.evaluate(RUN) == []
        either.picture(f"{either.server.application}-{name}-{'dark' if dark else 'light'}")
    finally:
        either.dark(on=False)
