from __future__ import annotations

from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cascade as cs
from cascade.cli.options import RESERVED, describe_environment, name_options, slug
from cascade.graph.build import build


class Color(Enum):
    RED = "red"
    DARK_BLUE = 2


@cs.task
def use(*values: Any) -> Any:
    """Stand for any task."""
    return values


def options_of(*inputs: Any) -> dict[str, Any]:
    """The options of a graph that uses `inputs`, by Param name."""
    return {option.param.name: option for option in name_options(build(use(*inputs)))}


def test_underscores_become_dashes() -> None:
    """A Param is spelled as people spell options; letters of all alphabets and capitals stay."""
    names = {"learning_rate": "--learning-rate", "N": "--N", "größe": "--größe", "a b=c/d": "--a-b-c-d", "_x_": "--x"}
    found = options_of(*[cs.Param(name) for name in names])
    assert {name: found[name].spelling for name in names} == names


@pytest.mark.parametrize("spelling", RESERVED)
def test_names_of_the_runs_own_options_give_way(spelling: str) -> None:
    """A Param that would be `--json` or another option of every command is `--param-json`."""
    name = spelling[2:].replace("-", "_")
    assert options_of(cs.Param(name))[name].spelling == f"--param-{spelling[2:]}"


def test_params_do_not_take_each_others_spelling() -> None:
    """Names that differ only in what an option cannot say, and a flag's `--no-`, are told apart."""
    found = options_of(cs.Param("a_b"), cs.Param("a-b"), cs.Param("a b"), cs.Param("no_x"), cs.Param("x", default=True))
    assert [option.spelling for option in found.values()] == [
        "--a-b", "--param-a-b", "--param-a-b-2", "--no-x", "--param-x",
    ]  # fmt: skip
    assert found["x"].negative == "--no-param-x"


@given(st.lists(st.tuples(st.text(min_size=1, max_size=8), st.booleans()), max_size=12, unique_by=lambda pair: pair[0]))
def test_any_names_give_different_options(named: list[tuple[str, bool]]) -> None:
    """Whatever Params are called, each has an option of its own, none of them reserved."""
    found = options_of(cs.Param("n"), *[cs.Param(name, default=True if flag else "x") for name, flag in named])
    spellings = [text for option in found.values() for text in (option.spelling, option.negative) if text]
    assert len(set(spellings)) == len(spellings)
    assert not set(RESERVED) & set(spellings)
    assert all(text.startswith("--") and text == f"--{slug(text)}" for text in spellings)


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (int, "INT"), (float, "FLOAT"), (str, "TEXT"), (Path, "PATH"), (date, "DATE"), (dict, "JSON"),
        (dict[str, int], "JSON"), (list, "ITEM,…"), (list[int], "INT,…"), (set[str], "TEXT,…"),
        (tuple[int, ...], "INT,…"), (tuple[int, str], "INT,TEXT"), (int | None, "INT|none"), (Any, "VALUE"),
        (Literal["a", 1], "[a|1]"), (Color, "[RED|DARK_BLUE]"), (Color | None, "[RED|DARK_BLUE]"),
    ],
)  # fmt: skip
def test_words_for_types(kind: Any, word: str) -> None:
    """The word that stands for a value says its type; choices are listed."""
    option = options_of(cs.Param("p", type=kind))["p"]
    assert option.word == word
    assert option.usage == f"--p {word}"


@pytest.mark.parametrize("kind", [bool, bool | None])
def test_truth_values_are_flags(kind: Any) -> None:
    """A truth value, also one that may be missing, is `--fast/--no-fast`."""
    option = options_of(cs.Param("fast", type=kind))["fast"]
    assert (option.word, option.usage) == ("", "--fast or --no-fast")


def test_many_choices_are_in_the_help_text() -> None:
    """A long list of choices does not widen the table."""
    option = options_of(cs.Param("k", choices=[f"choice number {i}" for i in range(9)]))["k"]
    assert option.word == "CHOICE"
    assert "One of choice number 0, choice number 1," in option.help
    assert option.choices[8] == "choice number 8"


@pytest.mark.parametrize(
    ("default", "shown"),
    [
        (3, "[default: 3]"), ("x", "[default: x]"), ("", "[default: '']"), ([1, 2], "[default: [1, 2]]"),
        (True, "[default: p]"), (False, "[default: no-p]"), (Path("a/b"), "[default: a/b]"),
        (Color.RED, "[default: RED]"),
        (None, ""), ("x" * 99, f"[default: {'x' * 60}…]"),
    ],
)  # fmt: skip
def test_defaults_are_shown(default: Any, shown: str) -> None:
    """Help tells what holds when the option is left out."""
    assert options_of(cs.Param("p", default))["p"].help == shown


def test_descriptions_are_one_line_of_plain_text() -> None:
    """Line breaks and escape sequences in a description do not reach the terminal."""
    option = options_of(cs.Param("p", type=int, description="red\x1b[31m\nalert"))["p"]
    assert option.help == "red\\x1b[31m alert  [required]"


def test_only_params_that_are_used_are_options() -> None:
    """A Param that the target does not need is none, although the workflow context knows it."""
    cs.Param("unused")
    assert list(options_of(cs.Param("used"))) == ["used"]


def test_one_name_is_one_option() -> None:
    """Two Params of one name, or one that is used twice, are one option."""
    twice = cs.Param("n", 1)
    assert list(options_of(twice, twice, cs.Param("n", 1))) == ["n"]


def test_the_environment_is_described() -> None:
    """Secrets and Envs are told by the names of their variables, without any value of a secret."""
    inputs = [
        cs.Param("key", secret=True, description="API key"),
        cs.Param("other", "hunter2", secret=True),
        cs.Env("HOME", description="where"),
        cs.Env("MODE", "fast"),
        cs.Env("TOKEN", "hunter2", secret=True),
        cs.Env("PASS", secret=True),
    ]
    graph = build(use(*inputs))
    rows = dict(describe_environment(name_options(graph), graph.envs))
    assert rows == {
        "key": "API key  [secret; required; where there is a terminal, it is asked for]",
        "other": "[secret; has a default]",
        "HOME": "where  [required]",
        "MODE": "[default: 'fast']",
        "TOKEN": "[secret; has a default]",
        "PASS": "[secret; required]",
    }


def test_bounds_stand_in_the_help_as_a_sentence() -> None:
    """The description, the bounds and the default do not run into each other."""

    @cs.task
    def fit(far: float) -> float:
        return far

    options = name_options(build(fit(cs.Param("far", 5.0, description="miles of visibility", bounds=(0, 10)))))
    assert options[0].help == "miles of visibility. From 0 to 10.  [default: 5.0]"
