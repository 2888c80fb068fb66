"""`%cascade retry` and the view's Retry: an ended run → a new one that goes on where it stopped, in its display.

In: a job that is over. Out: a new job. Invariant: the cell that owned the old run owns the new one, and what the old
one held is let go; both ways to ask do the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cascade.interfaces.retry_errors import RetryError
from cascade.notebook.options import usage_error
from cascade.notebook.output import capture
from cascade.notebook.session import EndedRun, Job, Session
from cascade.notebook.view.rungs import choose

if TYPE_CHECKING:
    from cascade.notebook.view.rungs import Rung

__all__ = ["can_retry", "retry_and_wait", "start_retry"]


def can_retry(job: Job) -> bool:
    """Whether the run failed or was cancelled, and its values are still in this kernel."""
    return job.run.done() and job.run.state != "completed" and not isinstance(job.run, EndedRun)


def start_retry(
    session: Session, job: Job, rung: Rung | None = None, *, background: bool = True, shows_value: bool = False
) -> Job:
    """Start the retry of a run and show it.

    Args:
        rung: how it is shown; by default in the display that the run has now. background: nobody waits for it.

    Raises:
        RetryError: when there is nothing to retry, or nothing to go on from.
    """
    if isinstance(job.run, EndedRun):
        raise RetryError.for_lost(job.run.name)
    capture.acquire()
    try:
        run = job.run.retry()
    except BaseException:
        capture.release()
        raise
    run.add_done_callback(lambda: session.cells.bind_touched(session.shell.user_ns))
    made = session.add(run, background=background)
    made.cell, job.cell = job.cell, ""
    made.output, made.below, made.out = job.output, job.below, job.out
    session.show(made, shows_value=shows_value, on_end=capture.release, rung=rung or _in_place_of(session, job))
    job.let_go()
    if background and made.output:
        run.add_done_callback(lambda: _bind(session, made))
    return made


def _in_place_of(session: Session, job: Job) -> Rung | None:
    """Return the best way to show a run where the view of `job` stands; a new place when it has none."""
    rung = choose("auto", session.shell)
    place = job.views[-1].place if job.views else None
    if rung is not None and place is not None and hasattr(session.shell, "kernel"):
        rung.place = place
    return rung


def _bind(session: Session, job: Job) -> None:
    if job.run.state == "completed":
        session.shell.user_ns[job.output] = job.run.result(0)


def retry_and_wait(session: Session, words: Sequence[str]) -> Any:
    """Retry run N, or the latest one that can be, and return its value, as its cell would."""
    from cascade.notebook.cell import HeldInterrupts
    from cascade.notebook.waiting import wait

    job = _wanted(session, words)
    held = HeldInterrupts()
    try:
        made = start_retry(session, job, background=False, shows_value=True)
    except RetryError as error:
        held.release()
        usage_error(str(error))
    except BaseException:
        held.release()
        raise
    value = wait(made, held)
    if made.output:
        session.shell.user_ns[made.output] = value
    return value


def _wanted(session: Session, words: Sequence[str]) -> Job:
    from cascade.notebook.commands import job_for

    if words:
        return job_for(session, words)
    for job in reversed(list(session.jobs.values())):
        if can_retry(job):
            return job
    return job_for(session, words)
