"""The steps in their order, for each unconnected part, and the parts side by side.

In: sizes and links. Out: a `Layout`. Invariant: places and routes come out in the order in which boxes and links
came in, and nothing reaches beyond the layout's width and height.
"""

from __future__ import annotations

from collections.abc import Sequence

from cascade.graph.layout.packing import pack
from cascade.graph.layout.part import Part
from cascade.graph.layout.shapes import Layout, Link, Place, Route, Size, Spacing
from cascade.graph.layout.topology import backward_pairs, components


def lay_out(sizes: Sequence[Size], links: Sequence[Link], spacing: Spacing | None = None) -> Layout:
    """Place boxes in columns from left to right and draw a path for each link.

    Args:
        sizes: of the boxes.
        links: between them; cycles and loops are drawn, though no graph that runs has any.
        spacing: distances, the usual ones by default.

    Example:
        >>> layout = lay_out([Size(100, 17, 17), Size(80, 17, 17)], [Link(0, 1)])
        >>> layout.places[1].x, layout.routes[0].d
        (134.0, 'M100,17H134')
    """
    spacing = spacing or Spacing()
    pairs = [(link.source, link.target) for link in links]
    backward = backward_pairs(len(sizes), [pair for pair in pairs if pair[0] != pair[1]])
    boxes_of = components(len(sizes), pairs)
    number_of = {box: number for number, boxes in enumerate(boxes_of) for box in boxes}
    links_of: list[list[int]] = [[] for _ in boxes_of]
    for index, link in enumerate(links):
        links_of[number_of[link.source]].append(index)
    parts = [
        Part.of(boxes, {index: links[index] for index in own}, sizes, backward, spacing)
        for boxes, own in zip(boxes_of, links_of, strict=True)
    ]
    corners = pack([(part.width, part.height) for part in parts], spacing.part, spacing.aspect)
    places = [Place(0.0, 0.0, 0.0)] * len(sizes)
    routes = [Route("", 0.0, 0.0)] * len(links)
    margin = spacing.margin
    width = height = 0.0
    for part, (x, y) in zip(parts, corners, strict=True):
        width, height = max(width, x + part.width), max(height, y + part.height)
        for box, place in part.places(x + margin, y + margin):
            places[box] = place
        for index, route in part.routes(x + margin, y + margin):
            routes[index] = route
    return Layout(width + 2 * margin, height + 2 * margin, tuple(places), tuple(routes))
