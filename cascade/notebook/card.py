"""A run document → one picture: head, graph and lanes on a card, as SVG for places that run nothing.

In: a document and the shape of its graph. Out: an SVG that stands alone and follows light and dark. Invariant: every
class and id bears the prefix of its display, and all text is escaped by `cascade.graph.markup`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cascade.graph.draw import NodeState, Picture, to_svg
from cascade.graph.draw_measure import fit, width
from cascade.graph.draw_shapes import looks
from cascade.graph.markup import Markup, element
from cascade.notebook.plain import duration, plural

NARROWEST, WIDEST, TALLEST = 720.0, 1040.0, 1400.0
_PAD, _HEAD, _ROW, _BAR = 20.0, 74.0, 27.0, 17.0
_MOST_LANES = 28
_NARROW = 8.0
_TOLD = ("done", "stored", "kept", "running", "waiting", "retry", "queued", "failed", "skipped", "cancelled", "pending")
_FILLED = (
    ("stored", "violet"), ("kept", "violet"), ("done", "green"), ("failed", "red"), ("skipped", "quiet"),
    ("cancelled", "quiet"), ("retry", "amber"), ("running", "blue"),
)  # fmt: skip
_RUN_STATES = {"completed": "done", "paused": "queued", "cancelling": "waiting"}
_RUN_WORDS = {"completed": "done", "pending": "not started"}
_BAR_TONES = {
    "running": "blue",
    "done": "green",
    "failed": "red",
    "cancelled": "quiet",
    "backoff": "amber",
    "wait": "quiet",
    "setup": "violet",
}
_STEPS = (
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    20,
    30,
    60,
    120,
    300,
    600,
    1200,
    1800,
    3600,
)


@dataclass(frozen=True, slots=True)
class Card:
    """A finished picture and its width in pixels at 100 %."""

    svg: str
    width: float


def draw_card(document: Mapping[str, Any], shape: Picture, prefix: str) -> Card:
    """Return the picture of a run."""
    wide = min(max(shape.width + 2 * 8, NARROWEST), WIDEST)
    scale = min(1.0, (wide - 16) / shape.width, TALLEST / shape.height)
    graph_height = shape.height * scale
    lanes, lanes_height = _lanes(document, prefix, wide)
    height = _HEAD + graph_height + 16 + lanes_height
    parts = [
        _style(prefix, shape),
        element("title", None, _title(document)),
        _hatch(prefix),
        element("rect", _box(f"{prefix}-card", 0.5, 0.5, wide - 1, height - 1, 9)),
        *_head(document["run"], prefix, wide),
        element("line", _line(f"{prefix}-rule", 0, wide, _HEAD)),
        _graph(document, shape, prefix, (wide - shape.width * scale) / 2, _HEAD + 8, scale),
    ]
    if lanes_height:
        parts.append(element("line", _line(f"{prefix}-rule", 0, wide, _HEAD + graph_height + 16)))
        parts.append(element("g", {"transform": f"translate(0,{_HEAD + graph_height + 16:.1f})"}, *lanes))
    frame = {
        "xmlns": "http://www.w3.org/2000/svg",
        "width": round(wide),
        "height": math.ceil(height),
        "viewBox": f"0 0 {wide:g} {height:g}",
        "role": "img",
        "class": f"{prefix}-run",
    }
    return Card(element("svg", frame, *parts), wide)


def draw_graph(shape: Picture, states: Mapping[str, NodeState] | None, title: str, prefix: str) -> Card:
    """Return the picture of a graph alone."""
    return Card(to_svg(shape, states, title=title, prefix=prefix), shape.width)


def node_states(document: Mapping[str, Any]) -> dict[str, NodeState]:
    """Return the state of each box as the drawer wants it."""
    states = {}
    for box, entry in document["nodes"].items():
        items = entry["items"]
        counts = {key: items[key] for key in ("done", "running", "failed", "stored", "total")} if items else {}
        if items and items.get("kept"):
            counts["stored"] += items["kept"]
        states[box] = NodeState(entry["s"], entry["d"], **counts)
    return states


def told_counts(counts: Mapping[str, int]) -> list[tuple[str, int, str]]:
    """Return state, number and word of everything there is some of."""
    words = looks()["states"]
    return [(state, counts[state], words[state]["word"]) for state in _TOLD if counts.get(state)]


def run_state(run: Mapping[str, Any]) -> tuple[str, str]:
    """Return the icon of a run's state and the word for it, which also says when the run has not taken place."""
    state = run["state"]
    word = _RUN_WORDS.get(state, state)
    if run.get("simulated"):
        word = "simulated" if state == "completed" else f"simulated, {word}"
    return _RUN_STATES.get(state, state), word


# -- head ------------------------------------------------------------------------------------------------------------


def _title(document: Mapping[str, Any]) -> str:
    run = document["run"]
    return f"{run['name']}: {run_state(run)[1]}, {duration(run['elapsed'])}"


def _head(run: Mapping[str, Any], prefix: str, wide: float) -> list[Markup]:
    icon, word = run_state(run)
    name = fit(run["name"], 14, wide * 0.45)
    status = " · ".join(part for part in (word, duration(run["elapsed"]), run["message"]) if part)
    at = 46 + width(name, 14) * 1.06 + 12
    parts = [
        _icon(icon, prefix, 28, 25, 1.25),
        element("text", {"class": f"{prefix}-name", "x": 46, "y": 30}, name),
        element(
            "text", {"class": f"{prefix}-dim", "x": at, "y": 30, "font-size": 12.5}, fit(status, 12.5, wide - at - _PAD)
        ),
        *_progress(run["counts"], prefix, wide),
    ]
    x = _PAD
    for state, count, told in told_counts(run["counts"]):
        text = f"{count:,} {told}"
        if x + width(text, 11.5) > wide - _PAD:
            break
        number = element("tspan", {"class": f"{prefix}-fg", "font-weight": 600}, f"{count:,}")
        parts.append(_icon(state, prefix, x + 5, 61, 0.85))
        parts.append(
            element("text", {"class": f"{prefix}-dim", "x": x + 15, "y": 65, "font-size": 11.5}, number, f" {told}")
        )
        x += width(text, 11.5) + 38
    return parts


def _progress(counts: Mapping[str, int], prefix: str, wide: float) -> list[Markup]:
    total = sum(counts.values())
    full = wide - 2 * _PAD
    clip = f"{prefix}-clip"
    parts = [element("rect", _box(f"{prefix}-track", _PAD, 44, full, 4, 2))]
    x = _PAD
    for state, tone in _FILLED:
        share = full * counts.get(state, 0) / total if total else 0.0
        if share:
            parts.append(
                element("rect", {**_box(f"{prefix}-solid-{tone}", x, 44, share, 4, 0), "clip-path": f"url(#{clip})"})
            )
            x += share
    shape = element("rect", {"x": _PAD, "y": 44, "width": full, "height": 4, "rx": 2})
    return [element("clipPath", {"id": clip}, shape), *parts]


def _icon(state: str, prefix: str, x: float, y: float, scale: float) -> Markup:
    known = looks()["states"]
    about = known.get(state, known["pending"])
    paths = [
        element("path", {"class": f"{prefix}-icon-{paint}", "d": d})
        for paint, d in looks()["icons"][about["icon"]].items()
    ]
    move = f"translate({x:g},{y:g}) scale({scale:g})"
    return element("g", {"class": f"{prefix}-tone-{about['tone']}", "transform": move}, *paths)


# -- graph -----------------------------------------------------------------------------------------------------------


def _graph(document: Mapping[str, Any], shape: Picture, prefix: str, x: float, y: float, scale: float) -> Markup:
    inner = to_svg(shape, node_states(document), title=document["run"]["name"], prefix=f"{prefix}g")
    return element("g", {"transform": f"translate({x:.2f},{y:.2f}) scale({scale:.4f})"}, Markup(inner))


# -- lanes -----------------------------------------------------------------------------------------------------------


def _lanes(document: Mapping[str, Any], prefix: str, wide: float) -> tuple[list[Markup], float]:
    rows = document["lanes"]["rows"][:_MOST_LANES]
    bars = document["lanes"]["bars"]
    if not rows or not bars:
        return [], 0.0
    left = min(max(72.0, max(width(row["label"], 11.5) for row in rows) + 38), 180.0)
    end = max([document["run"]["elapsed"], *(bar["t1"] or 0.0 for bar in bars)], default=0.0) or 0.001
    place = _Place(left, (wide - _PAD - left) / end, {row["id"]: number for number, row in enumerate(rows)}, end)
    foot = 10 + len(rows) * _ROW
    parts = [*_ticks(place, prefix, foot), *_row_names(rows, prefix, left, wide)]
    parts += [drawn for bar in bars if (drawn := _bar(bar, place, prefix)) is not None]
    hidden = len(document["lanes"]["rows"]) - len(rows)
    left_out = document["dropped"]["bars"]
    notes = [plural(hidden, "more lane") if hidden else "", f"{plural(left_out, 'bar')} left out" if left_out else ""]
    height = foot + 28
    if any(notes):
        note = " · ".join(note for note in notes if note)
        parts.append(element("text", {"class": f"{prefix}-dim", "x": 14, "y": height + 2, "font-size": 10}, note))
        height += 10
    return parts, height


@dataclass(frozen=True, slots=True)
class _Place:
    """Where time and rows lie."""

    left: float
    per_second: float
    rows: Mapping[str, int]
    end: float

    def x(self, seconds: float) -> float:
        return self.left + seconds * self.per_second

    def y(self, row: str) -> float:
        return 8 + self.rows[row] * _ROW


def _ticks(place: _Place, prefix: str, foot: float) -> list[Markup]:
    step = next((step for step in _STEPS if step * place.per_second >= 90), place.end)  # noqa: PLR2004 - pixels
    parts = []
    for number in range(int(place.end / step) + 1):
        x = place.x(number * step)
        parts.append(element("line", {"class": f"{prefix}-tick", "x1": x, "x2": x, "y1": 6, "y2": foot}))
        label = _tick(number * step, step)
        parts.append(
            element(
                "text",
                {"class": f"{prefix}-dim", "x": x, "y": foot + 14, "font-size": 10, "text-anchor": "middle"},
                label,
            )
        )
    return parts


def _tick(seconds: float, step: float) -> str:
    if step >= 60:  # noqa: PLR2004 - whole minutes
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.{max(0, -math.floor(math.log10(step) + 1e-9))}f} s"


def _row_names(rows: list[dict[str, str]], prefix: str, left: float, wide: float) -> list[Markup]:
    parts = []
    for number, row in enumerate(rows):
        middle = 8 + number * _ROW + _BAR / 2 + 4
        tone = "dim" if row["kind"] == "waiting" else "fg"
        parts.append(
            element(
                "text",
                {"class": f"{prefix}-{tone}", "x": 20, "y": middle, "font-size": 11.5},
                fit(row["label"], 11.5, left - 30),
            )
        )
        if number:
            line = 8 + number * _ROW - 5
            parts.append(element("line", _line(f"{prefix}-lane", left, wide - _PAD, line)))
    return parts


def _bar(bar: Mapping[str, Any], place: _Place, prefix: str) -> Markup | None:
    if bar["row"] not in place.rows:
        return None
    tone = _BAR_TONES.get(bar["s"], "green")
    end = place.end if bar["t1"] is None else bar["t1"]
    x, y = place.x(bar["t0"]), place.y(bar["row"])
    long = max(2.0, place.x(end) - x - 1)
    high = _BAR + _ROW * (max(1, bar["span"]) - 1)
    look = "wait" if bar["s"] == "wait" else "pause" if bar["s"] == "backoff" else f"bar-{tone}"
    if long < _NARROW:
        return element("rect", {"class": f"{prefix}-{look}", "x": x, "y": y, "width": long, "height": high})
    parts = [
        element("title", None, bar["text"]),
        element("rect", _box(f"{prefix}-{look}", x, y, long, high, min(3.5, long / 2))),
    ]
    label = fit(bar["label"], 10.5, long - 10) if long > 24 else ""  # noqa: PLR2004 - room for two letters
    if len(label) > 2 or label == bar["label"]:  # noqa: PLR2004 - one letter and an ellipsis say nothing
        colour = "dim" if look in {"wait", "pause"} else "fg"
        parts.append(
            element(
                "text", {"class": f"{prefix}-{colour}", "x": x + 6, "y": y + high / 2 + 3.7, "font-size": 10.5}, label
            )
        )
    return element("g", None, *parts)


# -- colours ---------------------------------------------------------------------------------------------------------


def _style(prefix: str, shape: Picture) -> Markup:
    themes = looks()["themes"]
    dark = _rules(prefix, themes["dark"])
    fixed = (
        f".{prefix}-run text{{font-family:{looks()['metrics']['font']}}}"
        f".{prefix}-name{{font-size:14px;font-weight:600}}"
        f".{prefix}-icon-line{{fill:none;stroke:currentColor;stroke-width:1.4;stroke-linecap:round;stroke-linejoin:round}}"
        f".{prefix}-icon-fill{{fill:currentColor}}"
        f".{prefix}-icon-cut{{fill:none;stroke-width:1.5;stroke-linecap:round;stroke-linejoin:round}}"
        f".{prefix}-pause{{fill:none;stroke-dasharray:3 3}}.{prefix}-wait{{fill:url(#{prefix}-hatch)}}"
        f".{prefix}-run .{prefix}g-card{{fill:none;stroke:none}}"
        f".{prefix}g-picture{{width:{shape.width:g}px!important;height:{shape.height:g}px!important}}"
    )
    source = f"{fixed}{_rules(prefix, themes['light'])}@media (prefers-color-scheme:dark){{{dark}}}"
    return element("style", None, Markup(source))


def _rules(prefix: str, theme: Mapping[str, Any]) -> str:
    tones = theme["tones"]
    rules = [
        f".{prefix}-card{{fill:{theme['card']};stroke:{theme['frame']}}}",
        f".{prefix}-fg,.{prefix}-name{{fill:{theme['fg']}}}.{prefix}-dim{{fill:{theme['dim']}}}",
        f".{prefix}-rule,.{prefix}-tick{{stroke:{theme['frame']}}}.{prefix}-lane{{stroke:{theme['soft']}}}",
        f".{prefix}-track{{fill:{theme['track']}}}.{prefix}-icon-cut{{stroke:{theme['card']}}}",
        f".{prefix}-hatch-ground{{fill:{theme['soft']}}}.{prefix}-hatch-line{{fill:{theme['track']}}}",
        f".{prefix}-pause{{stroke:{tones['amber']['ink']}}}",
    ]
    for name, tone in tones.items():
        rules.append(f".{prefix}-tone-{name}{{color:{tone['icon']}}}.{prefix}-solid-{name}{{fill:{tone['ink']}}}")
        rules.append(f".{prefix}-bar-{name}{{fill:{tone['tint']};stroke:{tone['ink']}}}")
    return "".join(rules)


def _hatch(prefix: str) -> Markup:
    ground = element("rect", {"class": f"{prefix}-hatch-ground", "width": 6, "height": 6})
    line = element("rect", {"class": f"{prefix}-hatch-line", "width": 2, "height": 6})
    about = {
        "id": f"{prefix}-hatch",
        "width": 6,
        "height": 6,
        "patternUnits": "userSpaceOnUse",
        "patternTransform": "rotate(45)",
    }
    return element("defs", None, element("pattern", dict(about), ground, line))


def _box(kind: str, x: float, y: float, wide: float, high: float, radius: float) -> dict[str, object]:
    return {
        "class": kind,
        "x": round(x, 2),
        "y": round(y, 2),
        "width": round(wide, 2),
        "height": round(high, 2),
        "rx": radius,
    }


def _line(kind: str, x1: float, x2: float, y: float) -> dict[str, object]:
    return {"class": kind, "x1": x1, "x2": x2, "y1": y, "y2": y}
