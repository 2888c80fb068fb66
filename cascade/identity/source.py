"""Code object → the text that it was compiled from, if there is one.

In: a code object. Out: its lines, file and first line. Invariant: it is only shown and compared for explanations; no
key depends on it.

IPython gives the text of cells to `linecache`, so they have a source as files do. The lines are found by the positions
that the compiler left in the code, which is much faster than to parse the file, as `inspect.getsource` does.
"""

from __future__ import annotations

import linecache
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType

__all__ = ["Text", "text_of"]


@dataclass(frozen=True, slots=True)
class Text:
    """Where code stands: its lines (empty if unknown), the file, and the number of the first line."""

    source: str
    file: str
    line: int


def text_of(code: CodeType) -> Text:
    """Return the text of a code object.

    Example:
        >>> text_of(compile("x = 1", "<nowhere>", "exec")).source
        ''
    """
    file, first = code.co_filename, code.co_firstlineno
    if not file.startswith("<"):
        linecache.checkcache(file)
    lines = linecache.getlines(file)
    if not 0 < first <= len(lines):
        return Text("", file, first)
    last = max(_last_lines(code), default=first)
    found = lines[first - 1 : last]
    is_it = code.co_name.startswith("<") or any(code.co_name in line for line in found)
    return Text("".join(found).rstrip("\n") if is_it else "", file, first)


def _last_lines(code: CodeType) -> Iterator[int]:
    for _, end, _, _ in code.co_positions():
        if end is not None:
            yield end
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _last_lines(constant)
