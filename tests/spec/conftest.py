"""What holds for tests of what users write: a workflow context of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cascade.context import get_current_context

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def own_context() -> Iterator[None]:
    """What a test registers is forgotten after it."""
    context = get_current_context()
    tables = (context.tasks, context.params, context.envs, context.resources, context.overrides)
    before = [dict(table) for table in tables]
    context.clear()
    yield
    for table, content in zip(tables, before, strict=True):
        table.clear()
        table.update(content)
