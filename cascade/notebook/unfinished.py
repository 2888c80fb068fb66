"""Runs that go on when a cell ends and nobody sits before the notebook → pictures of now in their places.

In: a session whose cell ends. Out: displays that a saved notebook can keep. Invariant: the program that runs the
notebook may stop listening after any cell, so what stands there then is a document, never a widget; a last picture that
is on its way is waited for, not long, and never overwritten.
"""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from cascade.notebook.bundle import finished_bundle
from cascade.notebook.watching import has_front_end

if TYPE_CHECKING:
    from cascade.notebook.session import Session

__all__ = ["STILL", "leave_pictures"]

STILL: Final = "was still running when this was saved"
PATIENCE: Final = 1.0  # seconds for all last pictures that are on their way


def _say_again(session: Session) -> None:
    """Show last pictures again that came while no cell ran: such a program hears only what belongs to a cell."""
    for view in [view for view in session.left if view.finished.is_set()]:
        session.left.remove(view)
        if view.place is not None:
            bundle = finished_bundle(view.make_document(), view.record.drawing.shape)
            with suppress(Exception):  # nobody may listen any more
                session.mark.run(partial(view.place.replace, bundle))


def leave_pictures(session: Session) -> None:
    """Leave a picture of each run that goes on; where someone looks, the live view stays."""
    _say_again(session)
    jobs = (*session.jobs.values(), *session.elsewhere.values())
    live = [view for job in jobs for view in job.views if view.is_live]
    if not live or not hasattr(session.shell, "kernel") or has_front_end(session.shell):
        return
    until = time.monotonic() + PATIENCE
    session.left = [*session.left, *(view for view in live if view not in session.left)]
    for view in live:
        if not view.leave_picture(STILL):
            view.wait(max(0.0, until - time.monotonic()))
