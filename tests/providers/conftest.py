"""What tests of ready-made tasks share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.providers.hostile import Canary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Canary]:
    """A canary in whose cage the test works; it must be as it was when the test ends."""
    made = Canary(tmp_path)
    monkeypatch.chdir(made.cage)
    yield made
    made.check()
