"""The value of a cell → ``Out[n]``, or, where auto may bring it up to date, a display that can be replaced.

In: the value that a cell gives, later that of a run by auto. Out: what stands below the card. Invariant: a value below
a card is that of the run on the card, or the card says that it is not; `_` and ``Out`` are as after any cell.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from cascade.notebook.view.rungs import Displayed

if TYPE_CHECKING:
    from cascade.notebook.session import Job, Session

__all__ = ["ValuePlace", "give", "tell_older"]


class ValuePlace:
    """The display in which the value of a cell stands.

    Args:
        session: of the notebook. read: makes of the value of a run what the cell shows of it.
    """

    def __init__(self, session: Session, read: Callable[[Any], Any]) -> None:
        """Nothing is shown yet."""
        self._session = session
        self._read = read
        self._display = Displayed()

    def show(self, value: Any) -> None:
        """Show a value in the cell that runs now."""
        self._display.show(self._bundle(value))

    def follow(self, job: Job) -> None:
        """Show the value of a run that has ended in the place of the one before."""
        bundle = {"text/plain": f"No value: the run {job.run.state}."}
        if job.run.state == "completed":
            value = self._read(job.run.result(0))
            bundle = self._bundle(value) if value is not None else {"text/plain": ""}
        with suppress(Exception):  # the front end may be gone, and nobody misses the value then
            self._session.mark.run(partial(self._display.replace, bundle))

    def _bundle(self, value: Any) -> dict[str, Any]:
        made: dict[str, Any] = {}
        with suppress(Exception):  # what the formatters of a user's object raise
            made, _ = self._session.shell.display_formatter.format(value)
        return made or {"text/plain": f"a {type(value).__name__}"}


def give(session: Session, job: Job, value: Any, read: Callable[[Any], Any] = lambda value: value) -> Any:
    """Return what the cell returns to the shell; where auto is on, show the value in a place of its own instead.

    Args:
        job: of the cell. value: that of its run. read: makes of it what the cell shows.
    """
    shown = read(value)
    if shown is None:
        return None
    hook = session.shell.displayhook
    if not session.replaces_values or not hasattr(session.shell, "kernel") or not hasattr(hook, "update_user_ns"):
        job.out = session.count
        return shown
    hook.update_user_ns(shown)
    job.below = ValuePlace(session, read)
    job.below.show(shown)
    return None


def tell_older(job: Job) -> str:
    """Return what to say of a value below the card of `job` that cannot be replaced; empty if there is none."""
    return f" · Out[{job.out}] below is of an earlier run" if job.out else ""
