from __future__ import annotations

from typing import Any

import pytest

import cascade as cs
from cascade.providers.errors import ProviderError
from tests.providers.hostile import HOSTILE


@cs.task
def double(x: Any) -> Any:
    """Stand for any task."""
    return x * 2


def test_it_gathers_values() -> None:
    """Names, mappings and pairs become one dict in their order; names win; values may be lazy."""
    assert cs.run(cs.dict(b=double(1), a=double("x")), log_level=None) == {"b": 2, "a": "xx"}
    assert cs.run(cs.dict({1: double(1), "a": 0}, a=double(2)), log_level=None) == {1: 2, "a": 4}
    assert cs.run(cs.dict([("items", 1)], self=2), log_level=None) == {"items": 1, "self": 2}
    assert cs.run(cs.dict(), log_level=None) == {}


@pytest.mark.parametrize("items", [3, "text", [1, 2], [(1, 2, 3)], [([], 1)]])
def test_what_is_no_dict(items: Any) -> None:
    """What gives no keys and values is an error that shows it."""
    with pytest.raises(ProviderError, match=r"cs\.dict takes a mapping, or pairs"):
        cs.run(cs.dict(items), log_level=None)


def test_any_text_is_a_key() -> None:
    """Sixty texts that mean harm are keys and values like any other."""
    made = {text: text for text in HOSTILE}
    assert cs.dict.func(made.items(), **made) == made
