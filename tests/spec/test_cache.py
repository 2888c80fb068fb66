from __future__ import annotations

from pathlib import Path

import pytest

from cascade.interfaces.protocols import CachePolicy
from cascade.interfaces.records import Entry
from cascade.interfaces.store_errors import CachePolicyError
from cascade.spec.cache import by_content, file_exists, never, ttl

ENTRY = Entry("k", "v:1", "json", 1, "builtins.int", made_at=1000.0)


@pytest.mark.parametrize(
    ("policy", "now", "serves", "stores"),
    [
        (by_content(), 1e12, True, True), (never(), 1000.0, False, False), (ttl(60), 1000.0, True, True),
        (ttl(60), 1059.9, True, True),
        (ttl(60), 1060.0, False, True), (ttl(60), 999.0, False, True), (ttl(0.5), 1000.4, True, True),
    ],
)  # fmt: skip
def test_what_serves(policy: CachePolicy, now: float, serves: bool, stores: bool) -> None:
    """By content always, never never, ttl for its seconds, and not for an entry from the future."""
    assert policy.serves(ENTRY, now, {}) is serves
    assert policy.stores(1, {}) is stores


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), True, "60", None])
def test_ttl_refuses_what_is_no_time(seconds: float) -> None:
    """A time to live is a finite number above 0."""
    with pytest.raises(CachePolicyError, match=r"takes a number of seconds above 0, not"):
        ttl(seconds)


def test_file_exists(tmp_path: Path) -> None:
    """An entry serves, and a value is stored, while the file for these arguments is there."""
    policy = file_exists(tmp_path / "{name}-{n:03d}{{x}}.csv")
    arguments = {"name": "a", "n": 7, "other": None}
    assert not policy.serves(ENTRY, 0.0, arguments)
    assert not policy.stores(1, arguments)
    (tmp_path / "a-007{x}.csv").touch()
    assert policy.serves(ENTRY, 0.0, arguments)
    assert policy.stores(1, arguments)
    assert not policy.serves(ENTRY, 0.0, {"name": "a\0", "n": 7})


@pytest.mark.parametrize("template", ["{", "{}", "{0}", "{a.__class__}", "{a[0]}"])
def test_templates_that_cannot_be_meant(template: str) -> None:
    """Only plain argument names stand in braces."""
    with pytest.raises(CachePolicyError, match=r"Write the names of the task's arguments in braces"):
        file_exists(template)


def test_an_unknown_argument() -> None:
    """A template that asks for an argument that is not there names the nearest."""
    with pytest.raises(CachePolicyError, match=r"asks for an argument 'nam' .* Did you mean 'name'\?"):
        file_exists("{nam}.csv").serves(ENTRY, 0.0, {"name": 1})


def test_policies_are_values() -> None:
    """Equal policies are equal, hash alike and show how they were made."""
    assert {ttl(5), ttl(5), file_exists("a"), file_exists("a"), never(), by_content()} == {
        ttl(5),
        file_exists("a"),
        never(),
        by_content(),
    }
    assert repr(file_exists("a/{n}")) == "FileExists(template='a/{n}')"
