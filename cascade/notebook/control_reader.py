"""Controls of a task cell → names in the notebook, and the value that the cell itself would show.

In: runs that controls start. Out: names bound, values as a person wrote them. Invariant: when a run ends, the notebook
has the names that the cells in it give, as after `%cascade run`; controls of anything else change nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from cascade.notebook.cell_showing import MARK

if TYPE_CHECKING:
    from cascade.notebook.session import Session

__all__ = ["CellReader", "Reader", "find_cell"]


class Reader:
    """What the runs of some controls mean to their notebook: nothing, unless cells are in them."""

    def begin(self) -> None:
        """A run is about to start."""

    def end(self) -> None:
        """A run has ended; may be told more than once."""

    def read(self, value: Any) -> Any:
        """Return the value of a run as a person wrote it."""
        return value


def find_cell(session: Session, name: str) -> Any:
    """Return the lazy result of the task cell of that name, or of the one that gives it; None if there is none."""
    from cascade.notebook.cell_graph import is_lazy
    from cascade.notebook.cell_task import lazies_in

    if is_lazy(session.shell.user_ns.get(name)):
        return None
    tasks = session.cells.tasks
    wanted = name if name in tasks else next((task.name for task in tasks.values() if name in task.gives), "")
    return lazies_in(session, [wanted]).get(wanted)


class CellReader(Reader):
    """Gives the notebook what the cells in a run gave, and its caller what a cell itself would show.

    Args:
        session: of the notebook. cell: the lazy result of the task cell that the controls are of, None for others.
        calls: of the graph.
    """

    def __init__(self, session: Session, cell: Any, calls: Iterable[Any]) -> None:
        """Nothing has run."""
        self._session = session
        tasks = (getattr(getattr(call, "_task", None), "func", None) for call in calls)
        self._has_cells = any(MARK in getattr(function, "__dict__", {}) for function in tasks)
        self._task = getattr(getattr(getattr(cell, "_task", None), "func", None), MARK, None)

    def begin(self) -> None:
        """What earlier runs gave has been bound."""
        if self._has_cells:
            self._session.cells.touched.clear()

    def end(self) -> None:
        """Bind the names that the cells gave."""
        if self._has_cells:
            self._session.cells.bind_touched(self._session.shell.user_ns)

    def read(self, value: Any) -> Any:
        """Return the value of the last expression, or else the one that the cell gives, or all of them by name."""
        if self._task is None:
            return value
        results, shown = self._task.unwrap(value)
        if self._task.shows or not results:
            return shown
        return next(iter(results.values())) if len(results) == 1 else results
