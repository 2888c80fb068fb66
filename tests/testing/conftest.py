"""What holds for the tests of the testing kit: each leaves the workflow context as it found it."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _own_context(own_context: None) -> None:
    """Begin with an empty context."""
