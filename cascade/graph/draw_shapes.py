"""What a drawing is made of: boxes, arrows and states, in pixels at 100 %, with no opinion on colour or markup.

In: the layout's numbers. Out: one `Picture` that the SVG writer, the front end and a saved document all draw alike.
Invariant: every text in here is bounded and free of control characters; nothing here is markup.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from cascade.graph.model import EdgeKind, NodeKind


@dataclass(frozen=True, slots=True)
class Box:
    """One node's place. `x` and `y` are the top left corner; `id` is the node's id.

    For a map, `w` and `h` are of the front card; the card behind it peeks out at the top right by `stack_offset`.
    """

    id: str
    name: str
    kind: NodeKind
    note: str
    x: float
    y: float
    w: float
    h: float


@dataclass(frozen=True, slots=True)
class Arrow:
    """One edge's way. `d` is an SVG path from the source's border to the target's; (`lx`, `ly`) the label's centre."""

    source: str
    target: str
    kind: EdgeKind
    label: str
    d: str
    lx: float
    ly: float


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that a graph's drawing needs, before any state is known."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]

    def to_dict(self) -> dict[str, Any]:
        """The picture as the JSON of a run document: numbers rounded to a tenth of a pixel, every text plain text."""
        return {
            "width": tidy(self.width),
            "height": tidy(self.height),
            "boxes": [
                {
                    "id": box.id,
                    "name": box.name,
                    "kind": box.kind,
                    "note": box.note,
                    "x": tidy(box.x),
                    "y": tidy(box.y),
                    "w": tidy(box.w),
                    "h": tidy(box.h),
                }
                for box in self.boxes
            ],
            "arrows": [
                {
                    "source": arrow.source,
                    "target": arrow.target,
                    "kind": arrow.kind,
                    "label": arrow.label,
                    "d": arrow.d,
                    "lx": tidy(arrow.lx),
                    "ly": tidy(arrow.ly),
                }
                for arrow in self.arrows
            ],
        }


@dataclass(frozen=True, slots=True)
class NodeState:
    """What is known of a node at one moment of a run.

    Args:
        state: a key of ``states`` in ``looks.json``; an unknown word is drawn as ``pending``.
        detail: the line under the name (``0.18 s``, ``try 2 of 3``, ``waits for db``); the note stands in when empty.
        done, running, failed, stored: items of a map; `done` counts those computed now, `stored` those from the store.
        total: items of a map, None while it is unknown.
    """

    state: str
    detail: str = ""
    done: int = 0
    running: int = 0
    failed: int = 0
    stored: int = 0
    total: int | None = None


@lru_cache(maxsize=1)
def looks() -> dict[str, Any]:
    """Colours, icons and measures: the one file that Python and the front end both read. Treat it as read-only."""
    parsed: dict[str, Any] = json.loads(files("cascade.graph").joinpath("looks.json").read_text("utf-8"))
    return parsed


def tidy(number: float) -> float | int:
    """A pixel number short enough to write two thousand times: rounded to a tenth, whole where it is whole."""
    rounded = round(number, 1)
    whole = int(rounded)
    return whole if whole == rounded else rounded
