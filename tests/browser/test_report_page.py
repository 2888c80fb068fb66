"""The report in a browser, from the disk, with no network: with scripts, without them, and on paper."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.notebook.test_report import finished

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def opened(chromium: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens the report of a run from the disk; nothing may be asked for and no script may fail."""
    contexts, troubles, asked = [], [], []

    def show(**options: Any) -> Any:
        path = Path(finished().report(tmp_path / "report.html"))
        context = chromium.new_context(viewport={"width": 1100, "height": 1000}, offline=True, **options)
        contexts.append(context)
        one = context.new_page()
        one.on("pageerror", lambda error: troubles.append(str(error)))
        one.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        one.on("request", lambda request: asked.append(request.url))
        one.goto(path.as_uri())
        return one

    yield show
    for context in contexts:
        context.close()
    assert troubles == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_has_the_view_and_its_replay(opened: Callable[..., Any], scheme: str) -> None:
    """Opened from the disk, it draws the view in the theme of the system; the scrubber moves it."""
    one = opened(color_scheme=scheme)
    one.wait_for_selector(".cascade-view .cascade-node")
    assert one.locator(".cascade-view").get_attribute("data-cascade-theme") == scheme
    assert not one.locator(".picture").is_visible()
    assert not one.get_by_role("heading", name="Log").is_visible()
    assert one.get_by_role("heading", name="Environment").is_visible()
    one.get_by_role("slider", name="moment of the run").press("Home")
    one.wait_for_function("() => document.querySelector('.cascade-status').textContent.includes('replay')")
    labels = one.evaluate(
        "() => [...document.querySelectorAll('.cascade-node')].map((n) => n.getAttribute('aria-label'))"
    )
    assert any("load: pending" in label or "load: queued" in label for label in labels)


def test_it_reads_without_script(opened: Callable[..., Any]) -> None:
    """With scripts forbidden, the picture, the table of nodes and the log are visible."""
    one = opened(java_script_enabled=False)
    assert one.locator(".picture img").is_visible()
    assert one.get_by_role("heading", name="Nodes").is_visible()
    assert one.get_by_role("heading", name="Log").is_visible()


def test_it_prints_whole(opened: Callable[..., Any]) -> None:
    """On A4 paper: the picture instead of the view, every section, no control, nothing wider than the paper, light."""
    one = opened(color_scheme="dark")
    one.wait_for_selector(".cascade-view .cascade-node")
    one.set_viewport_size({"width": 688, "height": 1000})  # A4 without its margins
    one.emulate_media(media="print")
    assert one.locator(".picture img").is_visible()
    assert not one.locator(".cascade-view").is_visible()
    for name in ("Nodes", "Log", "Params", "Environment"):
        assert one.get_by_role("heading", name=name).is_visible()
    assert one.evaluate("() => document.documentElement.scrollWidth") <= 688
    assert one.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert one.locator("button:visible, input:visible, select:visible").count() == 0
    assert len(one.pdf(prefer_css_page_size=True)) > 10_000
