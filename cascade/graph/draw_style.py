"""looks.json → the style sheet inside an SVG.

In: a prefix and a theme. Out: CSS without variables, which older SVG readers do not know. Invariant: no rule reaches
an element outside the picture.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from cascade.graph.draw_shapes import looks


@lru_cache(maxsize=32)
def style_sheet(prefix: str, theme: str) -> str:
    """Shapes and text once, colours for one theme, or for both behind the reader's own setting."""
    themes = looks()["themes"]
    if theme == "auto":
        dark = f"@media (prefers-color-scheme:dark){{{_colours(prefix, themes['dark'])}}}"
        return _shapes(prefix) + _colours(prefix, themes["light"]) + dark
    return _shapes(prefix) + _colours(prefix, themes[theme])


def _shapes(prefix: str) -> str:
    metrics: dict[str, Any] = looks()["metrics"]
    p = f".{prefix}"
    rules = [
        f"{p}-picture{{font-family:{metrics['font']}}}",
        f"{p}-name{{font-size:{metrics['name_size']}px;font-weight:{metrics['name_weight']}}}",
        f"{p}-detail,{p}-label{{font-size:{metrics['detail_size']}px}}",
        f"{p}-label{{text-anchor:middle}}",
        f"{p}-box{{stroke-width:{metrics['stroke']}px}}",
        f"{p}-line,{p}-cut{{fill:none;stroke:currentColor;stroke-width:{metrics['icon_stroke']}px}}",
        f"{p}-line,{p}-cut{{stroke-linecap:round;stroke-linejoin:round}}",
        f"{p}-fill{{fill:currentColor}}",
        f"{p}-edge{{fill:none}}",
    ]
    for kind, edge in looks()["edges"].items():
        dash = f";stroke-dasharray:{edge['dash']}" if edge["dash"] else ""
        cap = f";stroke-linecap:{edge['cap']}" if "cap" in edge else ""
        rules.append(f"{p}-edge-{kind}{{stroke-width:{edge['width']}px{dash}{cap}}}")
    for name, state in looks()["states"].items():
        strong = f"stroke-width:{metrics['strong_stroke']}px;" if state.get("strong") else ""
        dash = f"stroke-dasharray:{state['dash']}" if state["dash"] else ""
        if strong or dash:
            rules.append(f"{p}-{name} {p}-box{{{strong}{dash}}}")
        if state.get("strike"):
            rules.append(f"{p}-{name} {p}-name{{text-decoration:line-through}}")
    rules.append(f"{p}-edge{p}-flow{{stroke-width:{metrics['strong_stroke']}px}}")
    rules.append(f"{p}-node {p}-back{{stroke-width:{metrics['stroke']}px}}")
    return "".join(rules)


def _colours(prefix: str, theme: dict[str, Any]) -> str:
    p = f".{prefix}"
    rules = [
        f"{p}-card{{fill:{theme['card']};stroke:{theme['frame']}}}",
        f"{p}-name{{fill:{theme['fg']}}}",
        f"{p}-detail,{p}-label{{fill:{theme['dim']}}}",
        f"{p}-ground{{fill:{theme['card']}}}",
        f"{p}-cut{{stroke:{theme['card']}}}",
        f"{p}-edge{{stroke:{theme['edge']}}}",
        f"{p}-head{{fill:{theme['edge']}}}",
        f"{p}-off{{stroke:{theme['off']}}}",
        f"{p}-head-off{{fill:{theme['off']}}}",
        f"{p}-flow{{stroke:{theme['tones']['blue']['ink']}}}",
        f"{p}-head-flow{{fill:{theme['tones']['blue']['ink']}}}",
        f"{p}-track{{fill:{theme['track']}}}",
    ]
    for name, tone in theme["tones"].items():
        rules.append(f"{p}-fill-{name}{{fill:{tone['ink']}}}")
    for name, state in looks()["states"].items():
        tone = theme["tones"][state["tone"]]
        fill = {"tint": tone["tint"], "soft": theme["soft"], "card": theme["card"], "none": "none"}[state["fill"]]
        rules.append(f"{p}-{name}{{color:{tone['icon']}}}")
        rules.append(f"{p}-{name} {p}-box{{fill:{fill};stroke:{tone['ink']}}}")
        if state["tone"] != "quiet":
            rules.append(f"{p}-{name} {p}-detail{{fill:{theme['dim']}}}")
    rules.append(f"{p}-skipped {p}-name,{p}-cancelled {p}-name{{fill:{theme['dim']}}}")
    rules.append(f"{p}-node {p}-back{{fill:{theme['card']}}}")
    return "".join(rules)
