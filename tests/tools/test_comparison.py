"""Values are compared by content, and what cannot be compared says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from cascade.tools.comparison import compare
from cascade.tools.likeness import Likeness, first_difference

FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})


class Point:
    def __init__(self, x: int) -> None:
        self.x = x


class Sly:
    """Cannot be looked at."""

    def __reduce__(self) -> Any:
        raise RuntimeError("no")

    def __getattribute__(self, name: str) -> Any:
        if name in {"__dict__", "shape", "columns"}:
            raise RuntimeError("no")
        return super().__getattribute__(name)


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (1, 2, "1 here, 2 there"),
        ([1, 2], [1, 3], "at [1]: 2 here, 3 there"),
        ([1], (1,), "list here, tuple there"),
        ({"a": 1}, {"a": 2}, "at ['a']: 1 here, 2 there"),
        (FRAME, FRAME.head(1), "2 rows × 2 columns here, 1 rows × 2 columns there"),
        (FRAME, FRAME.replace("y", "z"), "at row 1, b: 'y' here, 'z' there"),
        (FRAME, FRAME.astype({"a": float}), "at type of a: int64 here, float64 there"),
        (np.zeros(3), np.array([0, 1.5, 0]), "at [1]: np.float64(0.0) here, np.float64(1.5) there"),
        (Point(1), Point(2), "at .x: 1 here, 2 there"),
        ("a\nb" * 60, "a\nc" * 60, "at line 2: "),
        ([0] * 300, [0] * 299 + [1], "the same first 200 values"),
    ],
)
def test_the_first_difference_is_told(one: Any, other: Any, told: str) -> None:
    """Type, shape, and then the first place that differs."""
    here, there = Likeness.of(one), Likeness.of(other)
    assert here.key != there.key
    assert told in first_difference(here, there)


@pytest.mark.parametrize("value", [1, "text", [1, {"a": None}], FRAME, np.arange(4), None, float("nan")])
def test_a_likeness_survives_json(value: Any) -> None:
    """What another process tells is what this one would say."""
    import json

    made = Likeness.of(value)
    assert Likeness.from_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_what_cannot_be_looked_at_is_told_by_its_type() -> None:
    """A value that fails on every question still has a likeness, without a key."""
    made = Likeness.of(Sly())
    assert made.type == "Sly"
    assert not made.is_keyed


def test_each_node_has_one_word() -> None:
    """Same, looks the same, differs, fails, missing and not compared are told apart, the bad ones first."""
    one, two = Likeness.of(1), Likeness.of(2)
    vague = Likeness("", "list of 3", "")
    here = {"a": one, "b": one, "c": vague, "d": one, "e": one, "g": Likeness()}
    there = {"a": one, "b": two, "c": Likeness.of([1, 2, 3]), "f": one, "g": one}
    found = compare("run", here, there, {"d": "ValueError: no"})
    assert {row.name: row.word for row in found.rows} == {
        "a": "same", "b": "differs", "c": "looks the same", "d": "fails", "e": "missing", "f": "not compared",
        "g": "differs",
    }  # fmt: skip
    assert not found.is_good
    assert str(found).splitlines()[0].startswith("run: 1 same, 1 looks the same, 2 differs, 1 fails, 1 missing")
    assert str(found).splitlines()[1].strip().startswith(("≠", "✕"))


def test_the_beginning_of_a_value_that_is_gone_still_counts() -> None:
    """Of a value that the run let go its first rows are known: they tell a difference, never that all is equal."""
    gone = Likeness("", "list of 3", head=Likeness.of([1, 2, 3]).head)
    rows = compare("run", {"a": gone, "b": gone}, {"a": Likeness.of([1, 2, 3]), "b": Likeness.of([1, 5, 3])}, {}).rows
    assert [(row.word, row.why) for row in rows] == [
        ("looks the same", "list of 3"),
        ("differs", "row 1: 2 here, row 1: 5 there"),
    ]


def test_hostile_texts_stay_text_in_the_table() -> None:
    """Names, values and errors cannot make an element."""
    bad = '<img src=x onerror="alert(1)">'
    found = compare(bad, {bad: Likeness("", bad, "")}, {bad: Likeness("", "ok", "")}, {"n": bad}, notes=[bad])
    html = found._repr_mimebundle_()["text/html"]
    assert "<img" not in html
    assert html.count("&lt;img") >= 4
