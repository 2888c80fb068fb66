"""What nodes displayed → what the run document and the pages without a renderer show of it.

In: `DisplayShown` events and the pictures that a run keeps. Out: the ``figure`` of a line of the log, and images for
the static bundle. Invariant: a document stays within its size whatever was displayed: the oldest pictures leave it
first, and their lines stay. A picture goes into ``<img>`` elements only, as data of one of the types in
`pictures.MIMES`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from cascade.graph.markup import Markup, element
from cascade.interfaces.events import DisplayShown
from cascade.notebook.folding import weight
from cascade.notebook.plain import plain
from cascade.runtime.pictures import MIMES, Picture, look_at, shrink

__all__ = [
    "describe_figure",
    "enlarge",
    "figures_of",
    "lighten",
    "picture_entry",
    "show_figure",
    "static_figures",
    "static_image",
]

ROOM: Final = 96_000  # characters of thumbnails in a document
ENLARGED: Final = 140_000  # bytes of a finished document up to which pictures are put in whole
MOST_REDRAWN: Final = 8  # pictures that are made smaller when a run ends: each takes some 50 ms
STATIC: Final = 80_000  # characters of pictures in the static picture of a run
MOST_STATIC: Final = 8
_STATIC_SIDE: Final = 640  # pixels: they are shown half as wide
ALT: Final = 300
_CELL: Final = 40
_SIDES: Final = ((720, 60_000), (480, 24_000))  # pixels and bytes of a picture that is made smaller, best first

Line = dict[str, Any]
Find = Callable[[str], Picture | None]


def describe_figure(event: DisplayShown) -> dict[str, Any]:
    """Return the ``figure`` of a line: a thumbnail, or the first cells of a table.

    ``id`` asks for the picture itself; ``made`` is when it was shown first, of a node from the store, else 0.
    """
    is_old = bool(event.made_at) and event.made_at < event.at - event.elapsed
    rows = [] if event.figure else [[plain(cell, _CELL) for cell in row] for row in event.table]
    return {
        "id": plain(event.figure, 40),
        "mime": event.thumbnail_mime if event.thumbnail_mime in MIMES else "",
        "data": event.thumbnail,
        "w": event.width,
        "h": event.height,
        "bytes": event.size,
        "whole": False,
        "made": round(event.made_at, 3) if is_old else 0,
        "columns": rows[0] if rows else [],
        "rows": rows[1:],
        "more": event.more if rows else 0,
    }


def figures_of(log: list[Line]) -> Iterator[Line]:
    """Yield the lines that have a picture in them, the latest first."""
    for line in reversed(log):
        figure = line.get("figure")
        if figure and figure["data"]:
            yield line


def lighten(log: list[Line], surplus: int) -> None:
    """Take the oldest pictures out of lines until `surplus` bytes are gone, and what is beyond `ROOM` in any case."""
    lines = list(figures_of(log))
    total = sum(len(line["figure"]["data"]) for line in lines)
    surplus = max(surplus, total - ROOM)
    for line in reversed(lines):
        if surplus <= 0:
            return
        surplus -= len(line["figure"]["data"])
        _empty(line)


def _empty(line: Line) -> None:
    line["figure"] = {**line["figure"], "data": "", "mime": "", "whole": False}


def enlarge(document: Mapping[str, Any], find: Find) -> None:
    """Put larger pictures in the place of thumbnails as far as there is room: nobody can ask for them later.

    Args:
        document: of a run that is over; its lines are changed. find: gives a picture as it was shown.
    """
    room, redrawn = ENLARGED - weight(document), 0
    lines = list(figures_of(document["log"]))
    for position, line in enumerate(lines):
        figure = line["figure"]
        source = find(figure["id"])
        if source is None:
            continue
        share = max(0, room) // (len(lines) - position) + len(figure["data"])
        larger = _largest(source, share * 3 // 4, may_redraw=redrawn < MOST_REDRAWN)
        redrawn += larger is not source
        if larger is None or len(larger.data) * 4 // 3 <= len(figure["data"]):
            continue
        entry = picture_entry(larger)
        room -= len(entry["data"]) - len(figure["data"])
        line["figure"] = {**figure, "mime": entry["mime"], "data": entry["data"], "whole": larger is source}


def _largest(source: Picture, most: int, *, may_redraw: bool) -> Picture | None:
    """Return `source`, or the largest smaller version of it that has at most `most` bytes."""
    if len(source.data) <= most:
        return source
    for side, size in _SIDES if may_redraw else ():
        made = shrink(source, min(most, size), side)
        if made is not None:
            return made
    return None


def picture_entry(picture: Picture) -> dict[str, Any]:
    """Return a picture as JSON: what an ``<img>`` needs."""
    data = base64.b64encode(picture.data).decode("ascii")
    return {"mime": picture.mime, "data": data, "w": picture.width, "h": picture.height}


def show_figure(run: object, name: str) -> dict[str, Any]:
    """Return the answer to a view that asks for a whole picture."""
    find = getattr(run, "figure", None)
    picture = find(name) if find is not None else None
    if picture is None:
        return {"error": "The kernel does not keep this picture any more."}
    return {"figure": {"id": name, **picture_entry(picture)}}


# -- without a renderer -----------------------------------------------------------------------------------------------


def static_figures(log: list[Line]) -> list[Markup]:
    """Return what nodes displayed as images with captions, the earliest first; those that fit."""
    lines = list(figures_of(log))[:MOST_STATIC]
    parts = []
    for line in reversed(lines):
        figure = _within(line["figure"], STATIC // len(lines))
        if figure is not None:
            parts.append(static_image(figure, line["text"], line["label"]))
    if not parts:
        return []
    return [element("div", {"style": "margin:6px 0;display:flex;flex-wrap:wrap;gap:12px"}, *parts)]


def _within(figure: Line, most: int) -> Line | None:
    """Return `figure` with at most `most` characters of data, None if it cannot be made so small."""
    if len(figure["data"]) <= most:
        return figure
    source = look_at(base64.b64decode(figure["data"]))
    made = shrink(source, most * 3 // 4, _STATIC_SIDE) if source is not None else None
    return {**figure, **picture_entry(made)} if made is not None else None


def static_image(figure: Mapping[str, Any], alt: str, caption: str = "") -> Markup:
    """Return an image that carries its data in itself, with its caption below; nothing where it is no picture."""
    try:
        picture = look_at(base64.b64decode(figure["data"], validate=True))
    except ValueError:
        picture = None
    if picture is None or picture.mime != figure["mime"]:
        return element("span", None, plain(alt, ALT))
    source = f"data:{picture.mime};base64,{figure['data']}"
    attributes = {"alt": plain(alt, ALT), "src": source, "style": "max-width:100%;height:auto;background:#fff"}
    image = element("img", attributes)
    if not caption:
        return image
    told = element("div", {"style": "font-size:12px"}, element("b", None, plain(caption, 60)))
    return element("div", {"style": "max-width:320px"}, image, told)
