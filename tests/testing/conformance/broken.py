"""How the tests of the kits see that each case can fail: every one has something that breaks its promise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from cascade.testing.conformance import Case

__all__ = ["check_coverage", "expect_broken", "pairs"]

Broken = Mapping[str, Sequence[Callable[..., Any]]]


def pairs(broken: Broken) -> list[Any]:
    """Every case with each thing that breaks it, as parameters of a test."""
    return [
        pytest.param(name, factory, id=f"{name}-{getattr(factory, '__name__', factory)}")
        for name, factories in broken.items()
        for factory in factories
    ]


def check_coverage(cases: Sequence[Case], broken: Broken) -> None:
    """Each case has something that breaks it, and nothing is written for a case that is not there."""
    names = [case.name for case in cases]
    assert len(set(names)) == len(names)
    assert set(broken) == set(names)
    assert all(broken.values())


def expect_broken(cases: Sequence[Case], name: str, factory: Callable[..., Any], timeout: float = 0.2) -> str:
    """The case of this name fails for what the factory makes; return what it says."""
    (case,) = [case for case in cases if case.name == name]
    with pytest.raises((Exception, SystemExit)) as caught:
        case(factory, timeout)
    return f"{type(caught.value).__name__}: {caught.value}"
