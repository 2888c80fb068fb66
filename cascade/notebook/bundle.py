"""A record → what is kept in the notebook: the document, a picture with text for places without a renderer, plain text.

In: a run document and the shape of its graph. Out: a MIME bundle. Invariant: no script, no address, no widget; a bundle
can always be made, if need be of text alone.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping
from typing import Any

from cascade.graph.draw import Picture
from cascade.graph.markup import Markup, element
from cascade.notebook.card import Card, draw_card, draw_graph, run_state, told_counts
from cascade.notebook.document import MIME
from cascade.notebook.figures import static_figures, static_image
from cascade.notebook.folding import Drawing
from cascade.notebook.plain import duration, plain, plural
from cascade.notebook.summary import headline, summarize

__all__ = ["LIVE_MIME", "SAVED", "WIDGET_MIME", "finished_bundle", "graph_bundle", "live_bundle", "static_bundle"]

LIVE_MIME = "application/vnd.cascade.live+json"
WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
SAVED = "Saved while it ran."

_ALT = 700
_FONT = "font-family:system-ui,sans-serif;font-size:13px"


def finished_bundle(document: Mapping[str, Any], shape: Picture) -> dict[str, Any]:
    """Return what a cell holds when its run is over: the document first, for those who can draw it."""
    return {MIME: dict(document), **static_bundle(document, shape)}


def static_bundle(document: Mapping[str, Any], shape: Picture, note: str = "") -> dict[str, Any]:
    """Return the picture and the text of a run as it stands; `note` is one line under them."""
    text = summarize(document)
    try:
        html = _run_html(document, shape, note)
    except Exception:  # noqa: BLE001 - a picture that cannot be drawn must not fail the cell
        html = str(element("pre", None, text))
    return {"text/html": html, "text/plain": f"{text}\n{note}" if note else text}


def live_bundle(model_id: str, document: Mapping[str, Any], picture: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a cell holds while a widget lives: the widget, and what is there without it.

    Our renderer shows the widget while its model lives and the document when it is opened later; where that renderer is
    missing, the widget is shown.
    """
    reference = {"version_major": 2, "version_minor": 0, "model_id": model_id}
    return {LIVE_MIME: dict(document), WIDGET_MIME: reference, **picture}


def graph_bundle(drawing: Drawing, name: str) -> dict[str, Any]:
    """Return the picture of a graph before any run."""
    nodes = len(drawing.boxes)
    told = f"graph of {plain(name, 80)}: {plural(nodes, 'node')}"
    card = draw_graph(drawing.shape, None, name, _new_prefix())
    names = ", ".join(plain(box.name, 40) for box in drawing.shape.boxes)
    picture = _image(card, plain(f"{told}: {names}", _ALT))
    return {"text/html": str(element("div", None, picture)), "text/plain": told}


def _image(card: Card, alt: str) -> Markup:
    """An ``<img>`` that carries its SVG in itself: it survives where inline SVG, styles and scripts are removed."""
    data = base64.b64encode(card.svg.encode("utf-8", "replace")).decode("ascii")
    style = "max-width:100%;height:auto"
    source = f"data:image/svg+xml;base64,{data}"
    return element("img", {"alt": alt, "width": round(card.width), "style": style, "src": source})


def _new_prefix() -> str:
    return f"cs{uuid.uuid4().hex[:8]}"


def _run_html(document: Mapping[str, Any], shape: Picture, note: str) -> str:
    card = draw_card(document, shape, _new_prefix())
    parts = [_image(card, _alt(document)), _counts(document["run"]), *static_figures(document["log"])]
    if document["failure"]:
        parts += _failure(document["failure"])
    elif document["result"]:
        parts.append(_result(document["result"]))
    if note:
        parts.append(element("p", {"style": "margin:4px 0;opacity:.75;font-size:12px"}, note))
    return str(element("div", {"style": _FONT}, *parts))


def _alt(document: Mapping[str, Any]) -> str:
    names = {box["id"]: box["name"] for box in document["picture"]["boxes"]}
    nodes = ", ".join(f"{names.get(box, box)} {entry['s']}" for box, entry in document["nodes"].items())
    return plain(f"{headline(document)}. Graph: {nodes}", _ALT)


def _counts(run: Mapping[str, Any]) -> Markup:
    told: list[str] = [element("b", None, run["name"]), f" {run_state(run)[1]} · {duration(run['elapsed'])}"]
    told += [f" · {count:,} {word}" for _, count, word in told_counts(run["counts"])]
    if run["message"]:
        told.append(f" · {run['message']}")
    return element("p", {"style": "margin:6px 0 2px;font-size:13px"}, *told)


def _result(result: Mapping[str, Any]) -> Markup:
    caption = element("p", {"style": "margin:6px 0 2px;font-size:13px"}, "Result: ", element("b", None, result["type"]))
    if result.get("picture"):
        return element("div", None, caption, static_image(result["picture"], f"{result['type']}: {result['text']}"))
    if not result["table"]:
        return element("div", None, caption, element("pre", {"style": "margin:2px 0"}, result["text"]))
    table = result["table"]
    head = element("tr", None, *(element("th", None, column) for column in table["columns"]))
    rows = [element("tr", None, *(element("td", None, cell) for cell in row)) for row in table["rows"]]
    more = (
        [element("p", {"style": "margin:2px 0;font-size:12px"}, plural(table["more"], "more row"))]
        if table["more"]
        else []
    )
    return element(
        "div", None, caption, element("table", None, element("thead", None, head), element("tbody", None, *rows)), *more
    )


def _failure(failure: Mapping[str, Any]) -> list[Markup]:
    error = f"{failure['error_type']}: {failure['error']}".rstrip(": ")
    parts = [
        element("p", {"style": "margin:6px 0 2px"}, element("b", None, f"{failure['label']} failed"), f": {error}")
    ]
    if failure["frames"]:
        lines = [f"{f['file']}, line {f['line']}, in {f['function']}\n    {f['code']}" for f in failure["frames"]]
        parts.append(element("pre", {"style": "margin:2px 0"}, "\n".join(lines)))
    for cause in failure.get("causes", ()):
        told = f"{cause['how']} {cause['error_type']}: {cause['error']}".rstrip(": ")
        parts.append(element("p", {"style": "margin:2px 0;font-size:12px"}, told))
    if failure["inputs"]:
        given = "\n".join(f"{one['name']} = {one['preview']}" for one in failure["inputs"])
        parts.append(element("pre", {"style": "margin:2px 0"}, given))
    for other in failure.get("more", ()):
        told = f"{other['label']} failed, too: {other['error_type']}: {other['error']}".rstrip(": ")
        parts.append(element("p", {"style": "margin:2px 0;font-size:12px"}, told))
    if failure["good"]:
        parts.append(element("p", {"style": "margin:2px 0;font-size:12px"}, failure["good"]))
    return parts
