"""What goes wrong when someone steers a run step by step, or asks for its report.

In: names and numbers as they were given. Out: errors that say what happened, where, and what to do. Invariant: each
message is made by a named constructor here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from cascade.interfaces.exceptions import CascadeError, nearest

__all__ = ["ReportError", "UnknownNodeError"]


class UnknownNodeError(CascadeError, ValueError):
    """A run was asked about a node that it does not have."""

    @classmethod
    def in_run(cls, name: str, known: Iterable[str]) -> Self:
        """No node has this id or name."""
        labels = list(dict.fromkeys(known))
        hint = nearest(name, labels) or f" Its nodes are: {', '.join(labels[:8])}{' …' if len(labels) > 8 else ''}."  # noqa: PLR2004
        return cls(f"The run has no node '{name}'.{hint}")


class ReportError(CascadeError, ValueError):
    """A report cannot be written."""

    @classmethod
    def of_kind(cls, path: str) -> Self:
        """The path does not end like a page."""
        return cls(f"A report is one HTML page, and '{path}' does not end in .html. Name it report.html, for example.")

    @classmethod
    def without_display(cls) -> Self:
        """Nothing knows how to show runs."""
        return cls("Nothing here knows how to write a report. Import cascade, which brings what does.")

    @classmethod
    def while_going_on(cls, name: str) -> Self:
        """The run has not ended."""
        return cls(
            f"The run '{name}' goes on, and a report tells of a run that has ended. "
            "Wait for it with run.wait(), or cancel it."
        )
