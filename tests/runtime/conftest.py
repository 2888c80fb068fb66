"""What holds for the tests of the runtime: each leaves the workflow context as it found it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cascade.context import get_current_context
from tests.runtime.diary import Diary


@pytest.fixture(autouse=True)
def _same_context() -> Iterator[None]:
    context = get_current_context()
    tables = (context.tasks, context.params, context.envs, context.resources, context.overrides)
    before = [dict(table) for table in tables]
    yield
    context.clear()
    for table, entries in zip(tables, before, strict=True):
        table.update(entries)


@pytest.fixture
def diary() -> Diary:
    """An empty diary."""
    return Diary()
