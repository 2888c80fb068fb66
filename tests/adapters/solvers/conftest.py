"""What holds for tests of solvers: a workflow context of their own, and OR-Tools loaded before the first of them."""

from __future__ import annotations

import pytest

from cascade.adapters.solvers.search import load


@pytest.fixture(autouse=True)
def _own_context(own_context: None) -> None:
    """Every test here has one."""


@pytest.fixture(scope="session", autouse=True)
def _loaded() -> None:
    """Loading takes a second, which would count for whichever test searches first."""
    load()
