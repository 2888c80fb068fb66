"""Stores in folders of their own, with a key of their own, and what they reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cascade.adapters.stores.local import LocalStore

Reports = list[tuple[str, str, str]]


@pytest.fixture
def reports() -> Reports:
    """What stores of this test have reported."""
    return []


@pytest.fixture
def make(tmp_path: Path, reports: Reports) -> Iterator[Callable[..., LocalStore]]:
    """Open the store of this test; as often as wanted."""
    made: list[LocalStore] = []

    def open_store(**settings: Any) -> LocalStore:
        settings.setdefault("key_file", tmp_path / "config" / "key")
        settings.setdefault("on_report", lambda *report: reports.append(report))
        made.append(LocalStore(tmp_path / "store", **settings))
        return made[-1]

    yield open_store
    for store in made:
        store.close()


@pytest.fixture
def store(make: Callable[..., LocalStore]) -> LocalStore:
    """The store of this test."""
    return make()
