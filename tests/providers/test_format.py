from __future__ import annotations

from contextlib import suppress
from datetime import date
from typing import Any

import pytest

import cascade as cs
from cascade.providers.format import FormatError
from tests.providers.hostile import HOSTILE, Canary


def run(*args: Any, **named: Any) -> str:
    """What one format gives."""
    return cs.run(cs.format(*args, **named), log_level=None)


@pytest.mark.parametrize(
    ("template", "args", "named", "expected"),
    [
        ("{} and {}", (1, "b"), {}, "1 and b"),
        ("{1}{0}", ("a", "b"), {}, "ba"),
        ("{x!r:>5}|{{}}", (), {"x": "a"}, "  'a'|{}"),
        ("{share:.1%} {n:,}", (), {"share": 0.25, "n": 10_000}, "25.0% 10,000"),
        ("{day:%d.%m.%Y}", (), {"day": date(2026, 1, 2)}, "02.01.2026"),
        ("{x:{width}}", (), {"x": "a", "width": 3}, "a  "),
        ("plain", (), {}, "plain"),
    ],
)  # fmt: skip
def test_it_formats_as_python_does(template: str, args: Any, named: Any, expected: str) -> None:
    """Places, names, conversions, widths and dates work as in `str.format`."""
    assert run(template, *args, **named) == expected == template.format(*args, **named)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{0.__class__}", "reaches into a value"),
        ("{x.real}", "reaches into a value"),
        ("{x[0]}", "reaches into a value"),
        ("{x.__init__.__globals__}", "reaches into a value"),
        ("{y}", r"asks for \{y\}, which has no value\. Known: x\."),
        ("{2}", r"asks for \{2\}"),
        ("{99999999999999999999}", "has no value"),
        ("{", "cannot be used"),
        ("{x", "cannot be used"),
        ("{x!z}", "cannot be used"),
        ("{x:q}", "cannot be used"),
        ("{} {0}", "cannot be used"),
        ("{x:999999999}", "more than 10,000 characters"),
        ("{x:.20000f}", "more than 10,000 characters"),
        (b"x", "is text, not bytes"),
    ],
)  # fmt: skip
def test_what_is_refused(template: Any, said: str) -> None:
    """Fields that reach into values, that have none, or would fill the memory are errors in whole sentences."""
    with pytest.raises(FormatError, match=said):
        run(template, 1, x=2)


def test_nothing_hostile_happens(canary: Canary) -> None:
    """Sixty texts that mean harm are shown as they are, or refused as formats."""
    for text in HOSTILE:
        assert cs.format.func("{}{x}", text, x=text) == text * 2
        with suppress(FormatError):
            assert "object at 0x" not in cs.format.func(text, "v", x="w")
    canary.check()
