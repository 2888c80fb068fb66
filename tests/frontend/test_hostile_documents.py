"""Documents that someone else wrote: whatever stands in them, the view makes the same elements and runs nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cascade.notebook.display import run_bundle
from cascade.notebook.document import MIME
from tests.notebook.hostile import ALARM, HARMLESS, STRINGS, play

SOURCES = Path(__file__).parents[2] / "cascade" / "notebook" / "frontend"
# Ways to make markup, or code, of a text.
MAKERS = re.compile(
    r"\b(innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|setHTMLUnsafe|setHTML|srcdoc|DOMParser"
    r"|document\.write(ln)?|parseHTMLUnsafe|eval|importScripts|new Function)\b"
)
KINDS = """() => {
  const ours = (each) => ["one", "two"].includes(each.id) || each.localName === "script";
  const outside = [...document.body.children].filter((each) => !ours(each));
  const all = [...outside, ...document.querySelectorAll("#one, #one *")];
  const names = (each) => [...each.attributes].map((one) => one.name).sort().join(" ");
  return [...new Set(all.map((each) => `${each.namespaceURI.split("/").pop()} ${each.localName}: ${names(each)}`))];
}"""
ADDRESSES = """() => [...document.querySelectorAll("#one *")].flatMap((each) =>
  [...each.attributes].filter((one) => /^(src|href|xlink:href|action|formaction|srcdoc|style|on.*)$/.test(one.name))
    .map((one) => one.value))"""
OPEN = {"open": dict.fromkeys(("graph", "lanes", "log", "table", "params"), True)}


@pytest.mark.browser
def test_no_source_makes_markup_of_text() -> None:
    """The front end has no word by which a text could become markup or code; elements are made by name."""
    files = [path for path in SOURCES.rglob("*.js") if not {"node_modules", "build"} & set(path.parts)]
    assert len(files) > 20
    found = [
        f"{path.name}: {hit.group()}"
        for path in files
        for hit in MAKERS.finditer(re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(encoding="utf-8"), flags=re.DOTALL))
    ]
    assert found == []


def raw(samples: Any, text: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A document in which `text` stands as it is, as no run would write it."""
    monkeypatch.setattr(samples, "HOSTILE", text)
    return dict(samples.hostile())


def look(one: Any, document: dict[str, Any], *, live: bool) -> set[str]:
    """The kinds of elements of a view in which everything is open and some nodes were looked at."""
    view = one.show(document, live=live, memory=OPEN)
    for node in range(min(3, view.locator("[data-index]").count())):
        view.locator(f'[data-index="{node}"]').dispatch_event("click")
        one.settle()
    assert one.page.evaluate("window.hacked === undefined")
    assert [value for value in one.page.evaluate(ADDRESSES) if ALARM in value] == []
    return set(one.page.evaluate(KINDS))


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize(("way", "live"), [("run", True), ("raw", False)], ids=["live run", "saved document"])
def test_the_view_makes_no_other_elements(
    stage: Callable[..., Any], samples: Any, monkeypatch: pytest.MonkeyPatch, way: str, *, live: bool
) -> None:
    """Of documents of runs, and of documents that nobody cleaned, with every part open and nodes looked at."""

    def document(text: str) -> dict[str, Any]:
        if way == "run":
            return dict(run_bundle(play(text, fails=True))[0][MIME])
        return raw(samples, text[:5_000], monkeypatch)

    one = stage(height=1600)
    calm = look(one, document(HARMLESS), live=live)
    assert any("button" in kind for kind in calm)
    for name, text in STRINGS.items():
        if way == "raw" and text in {"__proto__", "constructor"}:
            continue  # nodes of that document have these names already
        assert look(one, document(text), live=live) <= calm, name
