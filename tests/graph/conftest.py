"""What holds for tests of graphs: a workflow context of their own."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _own_context(own_context: None) -> None:
    """Every test here has one."""
