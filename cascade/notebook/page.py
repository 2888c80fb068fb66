"""Markup → one HTML page in one piece: the only maker of pages.

In: a title and what stands on the page. Out: HTML text. Invariant: the page loads nothing and may reach nothing: its
policy forbids every address and every script but its own; each run on it is a picture before it is a view, so that
it can be read without a script and printed.

Text becomes markup in `cascade.graph.markup` only; what stands raw here (styles, scripts, documents) is our own or
JSON.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from cascade.graph.markup import Markup, element

__all__ = ["make_page", "run_place"]

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5d6875; --paper: #ffffff; --line: #dfe4ea; --code: #f6f8fa; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ee; --soft: #9aa5b1; --paper: #14181d; --line: #2d343c; --code: #1b2027; }
}
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.6 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 5rem; }
h1, h2, h3 { line-height: 1.25; margin: 2.2em 0 .6em; }
h1 { margin-top: 0; overflow-wrap: anywhere; }
a { color: inherit; }
pre, code { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.output { margin: 1rem 0; overflow-x: auto; }
.output img { max-width: 100%; height: auto; }
.is-drawn > .picture { display: none; }
@media print {
  :root { color-scheme: light; --ink: #1c2430; --soft: #4d5865; --paper: #ffffff; --line: #ccd3da; --code: #f6f8fa; }
  @page { size: A4; margin: 16mm 14mm; }
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  .output { overflow: visible; }
  .is-drawn > .picture { display: block; }
  .is-drawn > .drawn { display: none; }
  h1, h2, h3 { break-after: avoid; }
  img, tr, .keep { break-inside: avoid; }
}
"""

MOUNT = """
for (const holder of document.querySelectorAll("[data-run]")) {
  const place = document.createElement("div");
  place.className = "drawn";
  holder.append(place);
  try {
    cascadeView.mount(place, JSON.parse(document.getElementById(holder.dataset.run).textContent));
    holder.classList.add("is-drawn");
    document.documentElement.classList.add("has-views");
  } catch (error) {
    console.error(error);
    place.remove(); // the picture stays
  }
}
"""


def make_page(title: str, body: str, *, style: str = "") -> str:
    """Return a page.

    Args:
        title: plain text. body: markup; runs in it are made by `run_place`. style: more rules.
    """
    scripts = [raw("script", None, text) for text in (shipped("page.js"), MOUNT)]
    head = element(
        "head",
        None,
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": _policy(scripts)}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"name": "referrer", "content": "no-referrer"}),
        element("title", None, title),
        raw("style", None, STYLE + style),
        raw("style", None, shipped("view.css")),
    )
    page = element("html", {"lang": "en"}, head, element("body", None, element("main", None, Markup(body)), *scripts))
    return f"<!doctype html>\n{page}\n"


def run_place(document: Mapping[str, Any], picture: str, name: str) -> Markup:
    """Return the place of a run: its picture as markup, and the document from which the page's script draws the view.

    Args:
        name: what the document is called on the page; no other place may be called so.
    """
    held = element("div", {"class": "output", "data-run": name}, element("div", {"class": "picture"}, Markup(picture)))
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return Markup(f"{held}\n{raw('script', {'type': 'application/json', 'id': name}, text)}")


def raw(name: str, attributes: Mapping[str, object] | None, text: str) -> Markup:
    """Return an element whose text browsers do not read as markup: a script or a style."""
    inside = text.replace("</script", "<\\/script").replace("</style", "<\\/style").replace("<!--", "<\\!--")
    return element(name, attributes, Markup(inside.encode("utf-8", "replace").decode("utf-8")))


def _policy(scripts: list[Markup]) -> str:
    """Return the policy that lets the page use what it holds, and nothing else."""
    own = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {own}; style-src 'unsafe-inline'; img-src data:; "
        "connect-src 'none'; base-uri 'none'; form-action 'none'"
    )


def _digest(script: Markup) -> str:
    inside = script.removeprefix("<script>").removesuffix("</script>")
    return base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode("ascii")


def shipped(name: str) -> str:
    """Return one of the built files of the front end; empty when it is not built: then the pictures stay pictures."""
    path = files("cascade") / "notebook" / "static" / name
    return path.read_text(encoding="utf-8") if path.is_file() else ""
