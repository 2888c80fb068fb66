"""A cell and a thread → output of the thread that lands in the cell.

In: the shell, while the cell runs. Out: a `CellMark` that any thread can speak for. Invariant: the shell's own idea of
the present cell is never changed.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CellMark:
    """The cell that was running when the mark was made.

    Args:
        shell: the IPython shell. parent: the request that runs the cell, None outside kernels.
        context: the context variables of the cell; older kernels route output by these alone.
    """

    shell: Any
    parent: Any
    context: contextvars.Context

    @classmethod
    def of_now(cls, shell: Any) -> CellMark:
        """Mark the cell that runs now."""
        parent = shell.get_parent() if hasattr(shell, "get_parent") else None
        return cls(shell, parent, contextvars.copy_context())

    def run(self, function: Callable[[], T]) -> T:
        """Call `function` in this thread, with its output going to the marked cell."""
        return self.context.copy().run(self._speak, function)

    def _speak(self, function: Callable[[], T]) -> T:
        begin = getattr(self.shell, "set_thread_parent", None)
        if begin is None or self.parent is None:
            return function()
        token = begin(self.parent)
        try:
            return function()
        finally:
            self.shell.reset_thread_parent(token)
