"""Programs that are compiled from text, as a notebook or a file would, each in a namespace of its own."""

from __future__ import annotations

import itertools
import linecache
from collections.abc import Iterator
from typing import Any

import pytest

_NUMBERS = itertools.count()


class Program:
    """Compiles text into fresh namespaces; the text is known to `linecache`, unless it is `exec`ed without a trace."""

    def __init__(self) -> None:
        self.files: list[str] = []

    def __call__(self, source: str, *, has_source: bool = True, **given: Any) -> dict[str, Any]:
        file = f"<cell {next(_NUMBERS)}>"
        if has_source:
            linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
            self.files.append(file)
        space: dict[str, Any] = {"__name__": "__main__", **given}
        exec(compile(source, file, "exec"), space)
        return space


@pytest.fixture
def program() -> Iterator[Program]:
    made = Program()
    yield made
    for file in made.files:
        linecache.cache.pop(file, None)
