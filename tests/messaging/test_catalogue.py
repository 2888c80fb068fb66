from __future__ import annotations

import ast
import re
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cascade
from cascade.interfaces.exceptions import SettingError
from cascade.messaging.catalogue import Catalogue, in_seconds, load, locales

PACKAGE = Path(cascade.__file__).parent


def templates(locale: str, message_id: str) -> list[str]:
    """All forms of one text."""
    text = load(locale).texts[message_id]
    return [text] if isinstance(text, str) else [text["one"], text["other"]]


def fields(template: str) -> set[str]:
    """The places of a template."""
    return {name for _, name, _, _ in Formatter().parse(template) if name}


@pytest.mark.parametrize("locale", locales())
def test_every_language_says_everything(locale: str) -> None:
    """All languages have the same messages, with the same fields."""
    english, other = load("en").texts, load(locale).texts
    assert set(other) == set(english)
    for message_id in english:
        wanted = set().union(*map(fields, templates("en", message_id)))
        assert set().union(*map(fields, templates(locale, message_id))) == wanted or "by" in str(english[message_id])
        for template in templates(locale, message_id):
            assert fields(template) <= wanted | ({"count"} if "by" in str(english[message_id]) else set())


@pytest.mark.parametrize("locale", locales())
def test_templates_are_well_formed(locale: str) -> None:
    """Places are plain names with one of the known endings; nothing reaches into attributes."""
    for message_id in load(locale).texts:
        for template in templates(locale, message_id):
            for _, name, spec, conversion in Formatter().parse(template):
                assert name is None or re.fullmatch(r"[a-z_]+", name), (message_id, template)
                assert spec in {None, "", "time", "ago", "number", "list", "counts"}, (message_id, template)
                assert conversion is None


def test_every_message_that_is_said_has_words() -> None:
    """Message ids in the source exist in the catalogue."""
    said = set()
    for path in (path for folder in ("runtime", "tools", "messaging") for path in (PACKAGE / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                said |= set(
                    re.findall(r"^(?:run|node|map|items|route|resource|capacity|limit|events)\.[a-z_.]+$", node.value)
                )
    known = set(load("en").texts)
    assert said <= known, said - known
    assert len(said) > 25


def test_numbers_choose_the_form() -> None:
    """One node, two nodes; thousands have commas."""
    english = load("en")
    assert english.text("run.started", {"name": "r", "nodes": 1}) == "run r started: 1 node"
    assert english.text("run.started", {"name": "r", "nodes": 12_000}) == "run r started: 12,000 nodes"


def test_counts_leave_out_what_is_zero() -> None:
    """Nothing at all is no text."""
    english = load("en")
    said = {"name": "r", "duration": 1.0}
    counts = {"done": 3, "failed": 0, "retried": 1}
    assert english.text("run.completed", {**said, "counts": counts}) == "run r completed in 1.00 s (3 done, 1 retry)"
    assert english.text("run.completed", {**said, "counts": {}}) == "run r completed in 1.00 s"


def test_fields_are_data() -> None:
    """Braces, attributes and format strings in a field are shown as they are."""
    hostile = "{name.__class__} {0} {duration!r} %s"
    text = load("en").text("node.skipped", {"label": hostile, "reason": "{label}"})
    assert text == f"{hostile} skipped: {{label}}"


@pytest.mark.parametrize(
    ("message_id", "given", "text"),
    [
        ("no.such_message", {"a": 1, "b": "x"}, "no.such_message a=1 b=x"),
        ("no.such_message", {}, "no.such_message"),
        ("node.skipped", {"label": "x"}, "node.skipped label=x"),
        ("node.completed", {"label": "x", "duration": "soon"}, "x done in soon"),
    ],
)
def test_what_does_not_fit_still_comes_out(message_id: str, given: dict[str, Any], text: str) -> None:
    """A message without words, or without a field, is told as data; nothing is lost, nothing raised."""
    assert load("en").text(message_id, given) == text


@given(
    st.dictionaries(
        st.sampled_from(["name", "nodes", "capacities"]), st.none() | st.integers() | st.text() | st.floats()
    )
)
def test_any_fields_give_a_text(given_fields: dict[str, Any]) -> None:
    """Whatever the types of the fields, there is a text."""
    assert load("en").text("run.started_within", given_fields)


def test_unknown_language() -> None:
    """The nearest one is named."""
    with pytest.raises(SettingError, match=r"The locale cannot be 'enn'. Did you mean 'en'\?"):
        load("enn")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (1e-9, "0 µs"), (2e-6, "2 µs"), (0.0009994, "999 µs"), (0.0009996, "1 ms"), (0.0012, "1.2 ms"),
        (0.0099, "9.9 ms"), (0.01, "10 ms"), (0.0994, "99 ms"), (0.0995, "0.10 s"), (1.234, "1.23 s"),
        (9.999, "10.0 s"),
        (59.94, "59.9 s"), (60, "1 min 00 s"), (3599.6, "1 h 00 min"), (90_000, "25 h 00 min"), (-1, "-1 s"),
        (float("inf"), "inf s"), (float("nan"), "nan s"),
    ],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    """From microseconds to days, in as many digits as people want."""
    assert in_seconds(seconds) == text


def test_a_catalogue_of_ones_own() -> None:
    """Any table of templates is a catalogue; lists are joined by its own comma."""
    table = Catalogue({"comma": "; ", "x": "{items:list} {n:number}"})
    assert table.text("x", {"items": ("a", "b"), "n": 0.5}) == "a; b 0.5"
    assert table.text("x", {"items": {"cpu": 4.0}, "n": 1}) == "cpu 4 1"
