"""Why what a cell would run now cannot be told without running it.

In: what stands in the way. Out: a `RebuildError` with words. Invariant: the text can be read alone.
"""

from __future__ import annotations

from cascade.interfaces.exceptions import CascadeError

__all__ = ["RebuildError"]


class RebuildError(CascadeError, ValueError):
    """The target of a cell cannot be made anew."""

    @classmethod
    def for_statement(cls, name: str, line: int) -> RebuildError:
        """A statement that is no composition reads what has changed."""
        return cls(f"Line {line} of the cell reads '{name}', which has changed. Run the cell again.")

    @classmethod
    def for_expression(cls) -> RebuildError:
        """There is no last expression, or it awaits."""
        return cls("The cell ends with no expression that can be evaluated without running it. Run the cell again.")
