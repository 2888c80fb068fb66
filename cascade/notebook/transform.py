"""Cell text → cell text: a `%%cascade` cell becomes an await expression.

In: the lines of a cell. Out: the lines, rewritten if the cell is ours. Invariant: pure; what is not a `%%cascade` cell
comes back as it was.

IPython's magics cannot await, and a cell that awaits can be interrupted and lets clicks through. So the cell is
rewritten before IPython sees the magic; the registered magic of the same name serves everyone else.
"""

from __future__ import annotations

import re
import tokenize
from collections.abc import Callable

from IPython.core.error import UsageError

__all__ = ["RUNNER", "make_transform"]

RUNNER = "get_ipython().magics_manager.registry['CascadeMagics'].run_cell_async"
_FIRST = re.compile(r"%%cascade(?:[ \t]+(?P<line>.*?))?[ \t]*\r?\n?\Z")


def make_transform(may_await: Callable[[], bool]) -> Callable[[list[str]], list[str]]:
    """Return the transform for IPython's ``input_transformers_cleanup``.

    Args:
        may_await: tells whether a top-level await works for the cell at hand.
    """

    def rewrite_cascade_cells(lines: list[str]) -> list[str]:
        first = _FIRST.match(lines[0]) if lines else None
        if first is None:
            if not (lines and lines[0].startswith("%%")):
                _refuse_late_magic(lines)
            return lines
        body = "".join(lines[1:])
        _refuse_late_magic(lines[1:])
        if not may_await():
            return lines
        return [f"await {RUNNER}({first['line'] or ''!r}, {body!r})\n"]

    return rewrite_cascade_cells


def _refuse_late_magic(lines: list[str]) -> None:
    """Say so when `%%cascade` stands where IPython would only call it a syntax error."""
    for number, line in enumerate(lines):
        if _FIRST.match(line) and not _is_in_string(lines[:number]):
            raise UsageError(
                "%%cascade must be the first line of its cell. Move it up, or put what stands above it in another cell."
            )


def _is_in_string(lines: list[str]) -> bool:
    """Whether a string or a bracket that `lines` open is still open at their end."""
    try:
        for _ in tokenize.generate_tokens(iter([*lines, "\n"]).__next__):
            pass
    except tokenize.TokenError:
        return True
    except (SyntaxError, StopIteration):
        return False
    return False
