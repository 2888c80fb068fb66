"""The colours can be read: computed from the palette and the style sheet, for both themes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

LOOKS = json.loads((Path(__file__).parents[2] / "cascade" / "graph" / "looks.json").read_text(encoding="utf-8"))
THEMES = sorted(LOOKS["themes"])
TEXT, LINE = 4.5, 3.0

# The grounds of the hosts whose own colours the view takes: JupyterLab's and VS Code's, light and dark.
HOSTS = {"light": ["#ffffff"], "dark": ["#111111", "#212121", "#1e1e1e", "#1f1f1f"]}


def channels(colour: str) -> list[float]:
    """Red, green and blue from 0 to 1."""
    return [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]


def luminance(colour: str) -> float:
    """The relative luminance of WCAG 2."""
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2, 1 to 21."""
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def mixed(colour: str, share: float, ground: str) -> str:
    """What `color-mix(in srgb, colour share, ground)` gives."""
    pairs = zip(channels(colour), channels(ground), strict=True)
    return "#" + "".join(f"{round(255 * (a * share + b * (1 - share))):02x}" for a, b in pairs)


def grounds(theme: dict[str, Any], name: str) -> dict[str, str]:
    """What text stands on: cards, the view's own and the hosts', their soft variants, and the tints of the states."""
    found = {"card": theme["card"], "soft": theme["soft"]}
    for host in HOSTS[name]:
        found[f"host {host}"] = host
        found[f"soft on {host}"] = mixed(theme["fg"], 0.045, host)
    return found | {f"{tone} tint": colours["tint"] for tone, colours in theme["tones"].items()}


@pytest.mark.parametrize("name", THEMES)
def test_text_is_readable(name: str) -> None:
    """Plain and dim text has 4.5:1 on every ground it can stand on."""
    theme = LOOKS["themes"][name]
    pairs = {
        (ink, where): contrast(theme[ink], colour)
        for ink in ("fg", "dim")
        for where, colour in grounds(theme, name).items()
    }
    assert {pair: round(ratio, 2) for pair, ratio in pairs.items() if ratio < TEXT} == {}


@pytest.mark.parametrize("name", THEMES)
def test_coloured_text_is_readable(name: str) -> None:
    """The red of error lines and the blue of `now` have 4.5:1 on cards."""
    theme = LOOKS["themes"][name]
    cards = [theme["card"], *HOSTS[name]]
    ratios = {(tone, card): contrast(theme["tones"][tone]["ink"], card) for tone in ("red", "blue") for card in cards}
    assert {pair: round(ratio, 2) for pair, ratio in ratios.items() if ratio < TEXT} == {}


@pytest.mark.parametrize("name", THEMES)
def test_lines_are_visible(name: str) -> None:
    """Borders, arrows and icons have 3:1 on the card and on their own tint."""
    theme = LOOKS["themes"][name]
    cards = [theme["card"], *HOSTS[name]]
    inks = {"edge": [(theme["edge"], card) for card in cards]}
    for tone, colours in theme["tones"].items():
        inks[tone] = [(colours[ink], ground) for ink in ("ink", "icon") for ground in (*cards, colours["tint"])]
    weak = {
        (tone, ink, ground): round(contrast(ink, ground), 2)
        for tone, pairs in inks.items()
        for ink, ground in pairs
        if contrast(ink, ground) < LINE
    }
    assert weak == {}
