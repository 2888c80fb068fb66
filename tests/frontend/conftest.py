"""A real Chromium with the built view in it, and the documents to show."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

STATIC = Path(__file__).parents[2] / "cascade" / "notebook" / "static"
SHELL = """<!doctype html><html lang="en" data-theme="{theme}">
<body style="margin:8px"><div id="one"></div><div id="two"></div></body></html>"""
MOUNT = """([place, shown, live, memory]) => {
  const send = (message) => (window.sent ??= []).push(message);
  (window.views ??= {})[place] = cascadeView.createView(document.getElementById(place), shown, {live, send, memory});
}"""
# One frame of the screen is when a change is drawn; the second one is after it.
DRAWN = "() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve())))"


@pytest.fixture(scope="package")
def samples() -> ModuleType:
    """The documents of `samples.py`."""
    spec = importlib.util.spec_from_file_location("frontend_samples", Path(__file__).with_name("samples.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="package")
def static() -> Path:
    """The folder of the built files."""
    return STATIC


@pytest.fixture(scope="session")
def browser(chromium: Any) -> Any:
    """The Chromium of the whole session."""
    return chromium


class Stage:
    """One page with up to two views (`one`, `two`) and what went wrong on it."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.troubles: list[str] = []
        self.requests: list[str] = []
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("console", lambda message: self.troubles.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: self.requests.append(request.url))

    def show(self, document: dict[str, Any], *, live: bool = False, place: str = "one", memory: Any = None) -> Any:
        """Make a view and give its element."""
        self.page.evaluate(MOUNT, [place, document, live, memory or {}])
        self.settle()
        return self.page.locator(f"#{place} .cascade-view")

    def apply(self, frame: dict[str, Any], place: str = "one") -> str:
        """Give the view a frame, wait until it is drawn, and say what became of it."""
        answer = self.page.evaluate("([place, frame]) => window.views[place].apply(frame)", [place, frame])
        self.settle()
        return str(answer)

    def settle(self) -> None:
        """Wait until what was asked for is drawn."""
        self.page.evaluate(DRAWN)

    @property
    def sent(self) -> list[dict[str, Any]]:
        """What the views said to the kernel."""
        return list(self.page.evaluate("window.sent ?? []"))


@pytest.fixture
def stage(browser: Any) -> Iterator[Callable[..., Stage]]:
    """Makes pages with the view's script; at the end none may have had an error or asked the network for anything."""
    stages: list[Stage] = []

    def make(*, width: int = 900, height: int = 900, theme: str = "light", **options: Any) -> Stage:
        page = browser.new_page(viewport={"width": width, "height": height}, **options)
        one = Stage(page)
        page.set_content(SHELL.format(theme=theme))
        page.add_script_tag(content=(STATIC / "page.js").read_text(encoding="utf-8"))
        stages.append(one)
        return one

    yield make
    for one in stages:
        one.page.close()
        assert one.troubles == []
        assert one.requests == []
