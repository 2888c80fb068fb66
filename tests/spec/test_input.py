from __future__ import annotations

import math
import re
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cascade as cs
from cascade.context import get_current_context
from cascade.interfaces.exceptions import ParamError
from cascade.spec.conversion import convert, describe_type
from cascade.spec.input import resolve_inputs


class Color(Enum):
    RED = "r"
    BLUE = "b"


class Celsius:
    def __init__(self, degrees: Any) -> None:
        self.degrees = float(degrees)
        if self.degrees < -273:
            raise LookupError("too cold")


GOOD = [
    ("8", int, 8), (8.0, int, 8), ("1_000", int, 1000), ("-3", int, -3), (Decimal(4), int, 4),
    ("0.5", float, 0.5), (3, float, 3.0), ("1e3", float, 1000.0), ("inf", float, math.inf),
    ("yes", bool, True), ("Off", bool, False), (1, bool, True), (" TRUE ", bool, True),
    (5, str, "5"), (b"x", str, "x"), ("", str, ""),
    ("a,b", list, ["a", "b"]), ("[1, 2]", list, [1, 2]), ("", list, []), ((1, 2), list, [1, 2]), ("5", list, ["5"]),
    ("1, 2", list[int], [1, 2]), ("5", list[int], [5]), ('{"a": "1"}', dict[str, int], {"a": 1}),
    ({"a": 1}, dict, {"a": 1}),
    ("1,2,2", set[int], {1, 2}), ("1,x", tuple[int, str], (1, "x")), ("1,2,3", tuple[int, ...], (1, 2, 3)),
    ("3", int | None, 3), ("none", int | None, None), (None, Optional[int], None),  # noqa: UP045 - the old form is met, too
    ("x", int | str, "x"),
    (3, float | int, 3), ("2", Literal[1, 2], 2), ("a", Literal["a", "b"], "a"),
    ("2026-01-02", date, date(2026, 1, 2)), ("2026-01-02T03:04", datetime, datetime(2026, 1, 2, 3, 4)),  # noqa: DTZ001
    ("x/y", Path, Path("x/y")), ("1.10", Decimal, Decimal("1.10")), ("1+2j", complex, 1 + 2j),
    ("RED", Color, Color.RED), ("b", Color, Color.BLUE), (Color.RED, Color, Color.RED),
    ([1], Any, [1]), (None, object, None),
]  # fmt: skip


@pytest.mark.parametrize(("given", "kind", "value"), GOOD)
def test_conversion(given: Any, kind: Any, value: Any) -> None:
    """Text from a command line and values from Python become the type that is asked for."""
    made = convert(given, kind)
    assert made == value
    assert type(made) is type(value)


BAD = [
    ("x", int), ("2.5", int), (2.5, int), (Decimal("2.5"), int), (Fraction(5, 2), int), (True, int), (None, int),
    (math.inf, int), (math.nan, int), ("", int), ("9" * 5_000, int),
    ("x", float), (True, float), (None, float), ([], float), (10**400, float),
    ("maybe", bool), ("", bool), (None, bool), (2, bool),
    (None, str), (b"\xff", str),
    ("1,x", list[int]), ("[1", dict), ("[1]", dict), (5, list), ("[" * 5_000, list[int]), ("1,2,3", tuple[int, str]),
    ("c", Literal["a", "b"]), ("x", int | None), ("tomorrow", date), ("GREEN", Color),
    ("-300", Celsius), ("x", Celsius),
]  # fmt: skip


@pytest.mark.parametrize(("given", "kind"), BAD, ids=lambda value: f"{value!s:.20}")
def test_what_cannot_be_converted(given: Any, kind: Any) -> None:
    """Anything that would lose something, or is not of the type, is one sentence that names value and type."""
    with pytest.raises(ValueError, match="is not a valid") as caught:
        convert(given, kind)
    assert describe_type(kind) in str(caught.value)
    assert len(str(caught.value)) < 200


@given(st.integers())
def test_whole_numbers_survive_text(number: int) -> None:
    """Every int comes back from its text, and from a float only if nothing is lost."""
    assert convert(str(number), int) == number
    assert convert(number, int) == number


def test_the_type_is_that_of_the_default() -> None:
    """Without a type the default decides; without both it is text."""
    kinds = [cs.Param("a").type, cs.Param("b", 1).type, cs.Param("c", None).type, cs.Param("d", 1, type=float).type]
    assert kinds == [str, int, str, float]


def values(*inputs: Any, given: Any = None, environment: Any = None) -> list[Any]:
    """The resolved values, in order."""
    params = [i for i in inputs if isinstance(i, cs.Param)]
    envs = [i for i in inputs if isinstance(i, cs.Env)]
    return list(resolve_inputs(params, envs, given, environment or {}).values())


def test_defaults_are_converted_and_checked_too() -> None:
    """A default of another type becomes the type; None stays None; a wrong one is told like a given one."""
    assert values(
        cs.Param("n", "5", type=int), cs.Param("m", None, type=int), cs.Param("z", None), given={"z": None}
    ) == [
        5,
        None,
        None,
    ]
    with pytest.raises(ParamError, match=r"Param 'n': 'five' is not a valid int"):
        values(cs.Param("n", "five", type=int))
    with pytest.raises(ParamError, match="'c' is not one of 'a', 'b'"):
        values(cs.Param("way", "c", choices=["a", "b"]))


def test_none_is_not_the_text_none() -> None:
    """Giving None to a Param that has a default is not giving "None"."""
    with pytest.raises(ParamError, match="None is not a valid str"):
        values(cs.Param("name", "x"), given={"name": None})


def test_envs_read_the_environment() -> None:
    """A variable is text, unless the default has another type; Params never read it."""
    found = values(
        cs.Env("A"), cs.Env("B", 5), cs.Env("C", 5), cs.Param("D", "x"), environment={"A": "1", "B": "7", "D": "no"}
    )
    assert sorted(map(repr, found)) == ["'1'", "'x'", "5", "7"]


def test_one_report_of_everything() -> None:
    """Ten faults are one error with ten lines; one fault is one sentence."""
    inputs = [cs.Param(f"p{i}", type=int, description=f"number {i}") for i in range(10)]
    with pytest.raises(ParamError) as caught:
        values(*inputs)
    assert str(caught.value).startswith("10 inputs are not right:\n  - Param 'p0' (number 0) is missing.")
    assert len(caught.value.problems) == 10
    with pytest.raises(ParamError) as caught:
        values(inputs[0])
    assert str(caught.value) == ("Param 'p0' (number 0) is missing. Pass params={'p0': …} (int), or give it a default.")


def test_unknown_params() -> None:
    """An unknown name comes with the nearest known one, all known ones, or the word that there are none."""
    with pytest.raises(ParamError, match=r"No Param is named 'aplha'. Did you mean 'alpha'\?"):
        values(cs.Param("alpha", 1), given={"aplha": 2})
    with pytest.raises(ParamError, match=r"No Param is named 'zzz'. Known: alpha, beta."):
        values(cs.Param("alpha", 1), cs.Param("beta", 1), given={"zzz": 2})
    with pytest.raises(ParamError, match=r"No Param is named 'x'. This graph has no Params."):
        values(given={"x": 2})
    with pytest.raises(ParamError, match="No Param is named '3'"):
        values(cs.Param("alpha", 1), given={3: 2})
    with pytest.raises(ParamError, match="params is a list; it must map names to values"):
        values(given=["x"])


def test_secrets_never_show() -> None:
    """Not in a repr, a preview, or an error about a value, a choice or a default."""
    secret = "hunter2"
    for item in (
        cs.Param("key", secret, type=int, secret=True),
        cs.Param("key", secret, choices=["other", "hunter3"], secret=True),
    ):
        assert secret not in repr(item)
        assert item.preview(secret) == "•••"
        for params in ({}, {"key": secret}):
            with pytest.raises(ParamError) as caught:
                values(item, given=params)
            assert "hunter" not in str(caught.value)


def test_previews_are_short() -> None:
    """A long value is cut."""
    assert len(cs.Param("p").preview("x" * 1_000)) < 70


@pytest.mark.parametrize("name", ["", None, 3])
def test_a_name_is_needed(name: Any) -> None:
    """A Param without a name is an error at once."""
    with pytest.raises(ParamError, match="A Param needs a name"):
        cs.Param(name)


def test_params_are_registered() -> None:
    """The context knows them by name; the newest wins."""
    cs.Param("p", 1)
    newest = cs.Param("p", 2)
    env = cs.Env("E")
    assert get_current_context().params["p"] is newest
    assert get_current_context().envs["E"] is env


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (11, "Param 'n': 11 is not from 0 to 10."),
        ("-1", "Param 'n': -1 is not from 0 to 10."),
    ],
)
def test_values_outside_the_bounds_are_wrong(given: object, said: str) -> None:
    """Bounds hold after conversion, and the message says them."""
    n = cs.Param("n", default=5, bounds=(0, 10))
    with pytest.raises(ParamError, match=re.escape(said)):
        resolve_inputs([n], [], {"n": given}, {})
    assert resolve_inputs([n], [], {"n": "10"}, {}) == {n: 10}


def test_one_bound_is_enough_and_nan_is_outside() -> None:
    """None stands for no bound; what cannot be ordered is not inside."""
    rate = cs.Param("rate", default=0.5, bounds=(0.0, None))
    assert resolve_inputs([rate], [], {"rate": 1e300}, {}) == {rate: 1e300}
    with pytest.raises(ParamError, match=re.escape("nan is not at least 0.0")):
        resolve_inputs([rate], [], {"rate": "nan"}, {})


def test_a_secret_outside_its_bounds_is_not_shown() -> None:
    """The message has the bounds and not the value."""
    pin = cs.Param("pin", type=int, secret=True, bounds=(0, 9))
    with pytest.raises(ParamError) as caught:
        resolve_inputs([pin], [], {"pin": 4711}, {})
    assert "4711" not in str(caught.value)


@pytest.mark.parametrize("bounds", [(1,), 5, (10, 0), (0, "a")])
def test_bounds_are_a_pair_in_order(bounds: object) -> None:
    """Anything else is an error where the Param is made."""
    with pytest.raises(ParamError, match="The bounds of Param 'n'"):
        cs.Param("n", default=5, bounds=bounds)  # type: ignore[arg-type]
