"""Notebooks as nbconvert writes them, in a browser without scripts and network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.notebook.kernel import ROOT
from tests.notebook.test_everywhere import exported

__all__ = ["exported"]  # the fixture

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SEEN = """() => ({
  pictures: [...document.images].map((one) => one.complete && one.naturalWidth > 20 && one.alt.length > 10),
  hidden: [...document.images].filter((one) => one.getBoundingClientRect().width < 20).length,
  text: document.body.innerText,
})"""


def test_an_exported_notebook_reads_and_prints_without_scripts(exported: Path, chromium: Any) -> None:
    """With scripts and network off every picture is drawn, names and results can be read, and a PDF can be made."""
    context = chromium.new_context(viewport={"width": 1000, "height": 900}, java_script_enabled=False, offline=True)
    page = context.new_page()
    try:
        # The page asks for scripts of nbconvert's own from elsewhere; nothing of what it shows needs them.
        page.route("**/*", lambda route: route.abort() if route.request.url.startswith("http") else route.continue_())
        page.goto(exported.as_uri())
        seen = page.evaluate(SEEN)
        assert seen["pictures"]
        assert all(seen["pictures"])
        assert seen["hidden"] == 0
        assert re.search(r"done · [\d.]+ (ms|s) · \d+ done", seen["text"])
        assert len(page.pdf()) > 20_000
        page.screenshot(path=ROOT / "build" / "screenshots" / f"exported-{exported.stem}.png")
    finally:
        context.close()
