"""What the tests of resources share: a diary of what happened, and tasks that use what they are given."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cascade as cs


class Diary:
    """Writes down what happens to resources and tasks, in order, from any thread."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        self.lines.append(line)

    @contextmanager
    def lifetime(self, name: str) -> Iterator[None]:
        self(f"+{name}")
        try:
            yield
        except BaseException as error:
            self(f"!{name} {type(error).__name__}")
            raise
        finally:
            self(f"-{name}")


@cs.task
def use(*things: Any) -> Any:
    return things[0] if things else None


@cs.task(mode="inline")
def use_inline(*things: Any) -> Any:
    return things[0]


@cs.task
async def use_later(*things: Any) -> Any:
    await asyncio.sleep(0)
    return things[0]
