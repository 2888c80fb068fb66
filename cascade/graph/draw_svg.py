"""Picture and states → one SVG that needs nothing else.

In: a `Picture` and, if there is a run, the state of each node. Out: SVG text for a page, a file or a data-URI image.
Invariant: every id and class bears the prefix; every text is escaped (`markup`); a state is told by icon, shape and
words, never by colour alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from cascade.graph.draw_measure import clean, fit, width
from cascade.graph.draw_shapes import Arrow, Box, NodeState, Picture, looks
from cascade.graph.draw_style import style_sheet
from cascade.graph.markup import Markup, element

Theme = Literal["auto", "light", "dark"]

_NAMED_IN_DESCRIPTION = 12
_COUNT_SHARE = 0.62


def to_svg(
    picture: Picture,
    states: Mapping[str, NodeState] | None = None,
    *,
    title: str = "",
    prefix: str = "cs1",
    theme: Theme = "auto",
) -> str:
    """Draw a picture as SVG.

    Args:
        picture: boxes and arrows.
        states: by node id; nodes without one are pending. None draws the graph alone, with an icon for each kind.
        title: for screen readers and for hovering.
        prefix: begins every id and class, so that several pictures live on one page.
        theme: ``auto`` follows the reader's system setting.

    Raises:
        ValueError: the prefix is no identifier, or the theme is unknown.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,40}", prefix):
        raise ValueError(f"{clean(prefix)!r} cannot begin an id. Use a letter, then letters, digits, - and _.")
    if theme not in {"auto", "light", "dark"}:
        raise ValueError(f"There is no theme {clean(str(theme))!r}. Use 'auto', 'light' or 'dark'.")
    pen = _Pen(prefix, states)
    size = {"width": picture.width, "height": picture.height}
    arrows = sorted(picture.arrows, key=pen.depth)
    return element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            **size,
            "viewBox": f"0 0 {picture.width:.10g} {picture.height:.10g}",
            "role": "img",
            "aria-labelledby": f"{prefix}-title {prefix}-desc",
            "class": f"{prefix}-picture",
            "style": "max-width:100%;height:auto",
        },
        element("title", {"id": f"{prefix}-title"}, clean(title) or "Workflow graph"),
        element("desc", {"id": f"{prefix}-desc"}, pen.description(picture)),
        element("style", None, Markup(style_sheet(prefix, theme))),
        element("defs", None, *pen.definitions(picture)),
        element("rect", {"class": f"{prefix}-card", "x": 0.5, "y": 0.5, "rx": 10, **_shrunk(picture)}),
        *map(pen.arrow, arrows),
        *map(pen.label, filter(lambda arrow: arrow.label, arrows)),
        *map(pen.box, picture.boxes),
    )


def _shrunk(picture: Picture) -> dict[str, float]:
    return {"width": picture.width - 1, "height": picture.height - 1}


class _Pen:
    """Draws the pieces of one picture. It decides what a state looks like, not where anything stands."""

    __slots__ = ("_looks", "_metrics", "_prefix", "_states")

    def __init__(self, prefix: str, states: Mapping[str, NodeState] | None) -> None:
        self._prefix = prefix
        self._states = states
        self._looks = looks()
        self._metrics: dict[str, Any] = self._looks["metrics"]

    def description(self, picture: Picture) -> str:
        """What a reader who cannot see the picture is told."""
        boxes = [box for box in picture.boxes if box.kind not in {"param", "env"}]
        if not boxes:
            return "An empty graph."
        words = Counter(self._state_of(box)["word"] for box in boxes) if self._states is not None else {}
        counts = ", ".join(f"{count} {word}" for word, count in words.items())
        names = ", ".join(box.name for box in boxes[:_NAMED_IN_DESCRIPTION])
        more = len(boxes) - _NAMED_IN_DESCRIPTION
        tail = f" and {more} more" if more > 0 else ""
        nodes = f"{len(boxes)} nodes" if len(boxes) > 1 else "1 node"
        return f"{nodes}{': ' if counts else ''}{counts}. From left to right: {names}{tail}."

    def definitions(self, picture: Picture) -> Iterable[Markup]:
        """Arrow heads and the icons that this picture uses, each once."""
        size = self._metrics["arrow_size"]
        for name in ("head", "head-flow", "head-off"):
            yield element(
                "marker",
                {
                    "id": f"{self._prefix}-{name}",
                    "viewBox": "0 0 8 8",
                    "refX": 7,
                    "refY": 4,
                    "markerWidth": size,
                    "markerHeight": size,
                    "markerUnits": "userSpaceOnUse",
                    "orient": "auto",
                },
                element("path", {"class": f"{self._prefix}-{name}", "d": "M1,1L7,4L1,7Z"}),
            )
        for icon in sorted({self._icon_of(box) for box in picture.boxes}):
            parts = self._looks["icons"][icon]
            yield element(
                "g",
                {"id": f"{self._prefix}-icon-{icon}"},
                *(element("path", {"class": f"{self._prefix}-{part}", "d": d}) for part, d in parts.items()),
            )

    def depth(self, arrow: Arrow) -> int:
        """Arrows that matter now lie on top."""
        return {"-off": 0, "": 1, "-flow": 2}[self._mood(arrow)]

    def arrow(self, arrow: Arrow) -> Markup:
        """The line of one arrow with its head."""
        mood = self._mood(arrow)
        classes = f"{self._prefix}-edge {self._prefix}-edge-{arrow.kind}"
        if mood:
            classes += f" {self._prefix}{mood}"
        return element("path", {"class": classes, "d": arrow.d, "marker-end": f"url(#{self._prefix}-head{mood})"})

    def label(self, arrow: Arrow) -> Markup:
        """The text on an arrow, on a ground of its own."""
        text, size = clean(arrow.label, 40), self._metrics["label_size"]
        wide = width(text, size) + 6
        ground = {"x": arrow.lx - wide / 2, "y": arrow.ly - size * 0.7, "width": wide, "height": size * 1.4, "rx": 3}
        place = {"x": arrow.lx, "y": arrow.ly + size * 0.35}
        return element(
            "g",
            None,
            element("rect", {"class": f"{self._prefix}-ground", **ground}),
            element("text", {"class": f"{self._prefix}-label", **place}, text),
        )

    def box(self, box: Box) -> Markup:
        """One node: its outline, icon, name and detail or progress."""
        state = self._state(box)
        kind = f" {self._prefix}-{box.kind}" if self._states is None else ""
        in_progress = box.kind == "map" and (state.total or state.done or state.stored)
        inside = self._map(box, state) if in_progress else self._task(box, state)
        return element(
            "g",
            {
                "class": f"{self._prefix}-node {self._prefix}-{state.state}{kind}",
                "transform": f"translate({box.x:.10g},{box.y:.10g})",
            },
            element("title", None, self._spoken(box, state)),
            *self._outline(box),
            *inside,
        )

    def _state(self, box: Box) -> NodeState:
        known = self._states.get(box.id) if self._states is not None else None
        if known is not None and known.state in self._looks["states"]:
            return known
        return NodeState("param" if box.kind in {"param", "env"} else "pending")

    def _state_of(self, box: Box) -> dict[str, Any]:
        found: dict[str, Any] = self._looks["states"][self._state(box).state]
        return found

    def _icon_of(self, box: Box) -> str:
        if self._states is None or box.kind in {"param", "env"}:
            return str(self._looks["kinds"][box.kind]["icon"])
        return str(self._state_of(box)["icon"])

    def _mood(self, arrow: Arrow) -> str:
        """Whether a link is in use now, or leads to where nothing will happen."""
        if self._states is None:
            return ""
        source = self._states.get(arrow.source, NodeState("pending")).state
        target = self._states.get(arrow.target, NodeState("pending")).state
        if target in {"skipped", "cancelled"} or source in {"skipped", "cancelled"}:
            return "-off"
        return "-flow" if target == "running" and source in {"done", "stored", "kept"} else ""

    def _spoken(self, box: Box, state: NodeState) -> str:
        word = self._state_of(box)["word"] if self._states is not None else self._looks["kinds"][box.kind]["word"]
        progress = self._progress(state)
        rest = ", ".join(part for part in (progress, clean(state.detail or box.note, 300)) if part)
        return f"{box.name}: {word}{': ' if rest else ''}{rest}"

    def _progress(self, state: NodeState, *, failures: bool = True) -> str:
        ready = state.done + state.stored
        if state.total is None and not ready:
            return ""
        of = f" of {state.total:,}" if state.total is not None else ""
        bad = f" · {state.failed:,} failed" if state.failed and failures else ""
        return f"{ready:,}{of}{bad}"

    def _outline(self, box: Box) -> Iterable[Markup]:
        name = f"{self._prefix}-box"
        size = {"width": box.w, "height": box.h}
        if box.kind == "route":
            point, middle = self._metrics["route_point"], box.h / 2
            right = box.w - point
            d = f"M{point},0H{right:g}L{box.w:g},{middle:g}L{right:g},{box.h:g}H{point}L0,{middle:g}Z"
            yield element("path", {"class": name, "d": d})
            return
        radius = box.h / 2 if box.kind in {"param", "env"} else self._metrics["radius"]
        if box.kind == "map":
            shift = self._metrics["stack_offset"]
            back = f"{name} {self._prefix}-back"
            yield element("rect", {"class": back, "x": shift, "y": -shift, "rx": radius, **size})
        yield element("rect", {"class": name, "rx": radius, **size})

    def _icon(self, box: Box, middle: float) -> Markup:
        x = self._metrics["icon_x"] + (self._metrics["route_shift"] if box.kind == "route" else 0)
        return element("use", {"href": f"#{self._prefix}-icon-{self._icon_of(box)}", "x": x, "y": middle})

    def _task(self, box: Box, state: NodeState) -> Iterable[Markup]:
        """Icon, name and detail of a box that is no map in progress."""
        metrics = self._metrics
        left = metrics["text_x"] + (metrics["route_shift"] if box.kind == "route" else 0)
        room = box.w - left - metrics["text_right"] - (metrics["route_point"] if box.kind == "route" else 0)
        detail = self._detail(box, state)
        lift = (box.h - metrics["box_height"]) / 2
        yield self._icon(box, box.h / 2)
        yield self._text("name", left, lift + metrics["name_y" if detail else "lone_name_y"], box.name, room)
        if detail:
            yield self._text("detail", left, lift + metrics["detail_y"], detail, room)

    def _text(self, style: str, x: float, y: float, text: str, room: float) -> Markup:
        shown = fit(text, self._metrics[f"{style}_size"], room)
        return element("text", {"class": f"{self._prefix}-{style}", "x": x, "y": y}, shown)

    def _detail(self, box: Box, state: NodeState) -> str:
        """The line under the name: what is known of the state, else its word, else the note."""
        if state.detail:
            return clean(state.detail)
        if self._states is None or state.state in {"pending", "param"}:
            return box.note
        return str(self._state_of(box)["word"])

    def _map(self, box: Box, state: NodeState) -> Iterable[Markup]:
        """Icon, name, count and bar of a map whose items are known."""
        metrics = self._metrics
        left, y = metrics["text_x"], metrics["map_name_y"]
        room = box.w - left - metrics["text_right"]
        name = width(box.name, metrics["name_size"]) + 8
        count = self._progress(state)
        if name + width(count, metrics["detail_size"]) > room:
            count = self._progress(state, failures=False)
        count = fit(count, metrics["detail_size"], max(room - name, room * _COUNT_SHARE))
        yield self._icon(box, y - metrics["name_size"] * 0.36)
        yield self._text("name", left, y, box.name, room - width(count, metrics["detail_size"]) - 8)
        place = {"x": box.w - metrics["text_right"], "y": y, "text-anchor": "end"}
        yield element("text", {"class": f"{self._prefix}-detail", **place}, count)
        yield from self._bar(box, state)

    def _bar(self, box: Box, state: NodeState) -> Iterable[Markup]:
        """How far a map is: one piece for each of stored, done, running and failed items."""
        metrics = self._metrics
        x, y, high = float(metrics["map_bar_x"]), metrics["map_bar_y"], metrics["map_bar_height"]
        wide = box.w - 2 * x
        known = state.done + state.stored + state.running + state.failed
        total = max(state.total or 0, known if state.total is not None else 2 * known)
        track = {"x": x, "y": y, "width": wide, "height": high, "rx": high / 2}
        yield element("rect", {"class": f"{self._prefix}-track", **track})
        counts = {"stored": state.stored, "done": state.done, "running": state.running, "failed": state.failed}
        for name, tone in self._looks["segments"]:
            part = wide * counts[name] / total
            if part:
                start, stop = x == metrics["map_bar_x"], x + part > box.w - metrics["map_bar_x"] - 0.01
                d = _bar_piece(x, y, part, high, round_start=start, round_stop=stop)
                yield element("path", {"class": f"{self._prefix}-fill-{tone}", "d": d})
            x += part


def _bar_piece(x: float, y: float, wide: float, high: float, *, round_start: bool, round_stop: bool) -> str:
    """A piece of a bar whose outer ends are round."""
    radius = min(high / 2, wide / (2 if round_start and round_stop else 1))
    left, right = radius if round_start else 0.0, radius if round_stop else 0.0
    pieces = [f"M{x + left:.2f},{y:g}H{x + wide - right:.2f}"]
    pieces.append(f"A{right:.2f},{high / 2:g} 0 0 1 {x + wide - right:.2f},{y + high:g}" if right else f"V{y + high:g}")
    pieces.append(f"H{x + left:.2f}")
    pieces.append(f"A{left:.2f},{high / 2:g} 0 0 1 {x + left:.2f},{y:g}" if left else f"V{y:g}")
    return "".join([*pieces, "Z"])
