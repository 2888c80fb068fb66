from __future__ import annotations

from typing import Any

import pytest

from cascade.spec.constraint import GlobalConstraint, parse_rate


@pytest.mark.parametrize(
    ("rate", "per_second"),
    [("10/m", 10 / 60), ("5/s", 5.0), (" 1.5 / h ", 1.5 / 3600), ("86400/d", 1.0), (2, 2.0), (0.25, 0.25)],
)
def test_rates(rate: Any, per_second: float) -> None:
    """Per second, minute, hour or day, or a number per second; "10/m" is one every six seconds, not none."""
    assert parse_rate(rate) == pytest.approx(per_second)


@pytest.mark.parametrize(
    "rate", ["10", "10/x", "/s", "-1/s", "0/s", "", 0, -1, True, None, float("inf"), float("nan"), []]
)
def test_wrong_rates(rate: Any) -> None:
    """What is not above 0, or not of that form, says how it is written."""
    with pytest.raises(ValueError, match="is not a number above 0 or text like '10/m' or '5/s'"):
        parse_rate(rate)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"scope": "fetch"}, "The scope 'fetch' is neither 'global' nor 'task:<pattern>'"),
        ({"type": "concurrency"}, "not None"),
        ({"type": "concurrency", "params": {"limit": 0}}, "not 0"),
        ({"type": "concurrency", "params": {"limit": True}}, "not True"),
        ({"type": "concurrency", "params": {"limit": 1.5}}, "not 1.5"),
        ({"type": "rate_limit"}, "The rate None"),
        ({"type": "rate_limit", "params": {"rate": "5/s", "capacity": 0}}, "at least 1, not 0"),
        ({"type": "rate_limit", "params": {"rate": "5/s", "capacity": "many"}}, "at least 1, not 'many'"),
    ],
)
def test_wrong_limits_do_not_exist(change: Any, told: str) -> None:
    """A limit that no engine could obey is refused when it is made."""
    with pytest.raises(ValueError) as caught:
        GlobalConstraint("x", **change)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("scope", "name", "matches"),
    [
        ("global", "anything", True),
        ("task:fetch*", "fetch_page", True),
        ("task:fetch*", "prefetch", False),
        ("task:Fetch", "fetch", False),
        ("task:f[ab]", "fa", True),
    ],
)
def test_scopes(scope: str, name: str, matches: bool) -> None:
    """A pattern is a glob on the name, case and all."""
    assert GlobalConstraint("x", scope).matches(name) is matches
