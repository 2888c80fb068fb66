"""The numbers that go into a layout and the numbers that come out; no names, no text.

In: how big each box is and which boxes are linked. Out: where each box stands and the path of each link.
Invariant: links and boxes are told apart by their place in the list alone.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """What one box needs: its least width, and how far it reaches above and below the line where arrows meet it."""

    w: float
    up: float
    down: float


@dataclass(frozen=True, slots=True)
class Link:
    """One arrow to be: two places in the list of boxes.

    Args:
        source: index of the box that it leaves.
        target: index of the box that it reaches.
        style: links of different styles never share a line.
        label: width in pixels of the text on it, 0 for none.
    """

    source: int
    target: int
    style: int = 0
    label: float = 0.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where one box stands: its left edge, the line where arrows meet it, and the width of its column."""

    x: float
    y: float
    w: float


@dataclass(frozen=True, slots=True)
class Route:
    """The way of one link: an SVG path and the centre of its label."""

    d: str
    lx: float
    ly: float


@dataclass(frozen=True, slots=True)
class Layout:
    """A finished layout, its margin included; `places` and `routes` are in the order of the input."""

    width: float
    height: float
    places: tuple[Place, ...]
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class Spacing:
    """Distances in pixels.

    Args:
        row: between two boxes of one column.
        line: between two lines that pass through one column.
        column: least distance between two columns.
        part: between unconnected parts, and between the rows of a folded long graph.
        aspect: width over height that folding, wrapping and packing aim at.
        fold_above: a part narrower than this is never folded into rows.
        margin: around everything.
    """

    row: float = 26
    line: float = 12
    column: float = 34
    part: float = 36
    aspect: float = 1.9
    fold_above: float = 1500
    margin: float = 0
