"""`%cascade step`, `next`, `replay` and `report`: a run one step at a time, again, and on a page.

In: a session and the words of the line. Out: orders to a run, a display, a file. Invariant: nothing here waits for a
browser: a blocking cell with `--step` whose view nobody has open says so and runs on.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cascade.notebook.commands import Said, job_for
from cascade.notebook.numbers import is_number
from cascade.notebook.options import split_line, usage_error
from cascade.notebook.plain import listed
from cascade.notebook.session import Job, Session

__all__ = ["has_front_end", "leave_step_mode_alone", "next_", "replay", "report", "step"]

PATIENCE = 5.0  # seconds that a browser may take to open the view of a blocking cell
NOBODY = "Nobody can click Next here, so the run goes on by itself. {} To go step by step from other cells: --bg."
_NO_VIEW = "There is no live view in this place."
_NO_ANSWER = "No live view has answered within {:g} s."


# -- commands -------------------------------------------------------------------------------------------------------


def step(session: Session, words: Sequence[str]) -> Said:
    """Let a run go step by step."""
    job = job_for(session, words)
    if job.over:
        return _over(job)
    job.run.step()
    return Said(f"{job.title} goes step by step: each start waits for %cascade next, %cascade resume ends it.")


def next_(session: Session, words: Sequence[str]) -> Said:
    """Let the next node start, or the one that is named."""
    numbers = [word for word in words[:1] if is_number(word)]
    job = job_for(session, numbers)
    names = [str(one) for word in words[len(numbers) :] for one in split_line(word)]
    if job.over:
        return _over(job)
    ready = job.run.ready
    name = " ".join(names)
    try:
        job.run.next(name or None)
    except ValueError as error:
        usage_error(str(error))
    if not ready:
        return Said(f"{job.title}: nothing is ready now; {name or 'the next node that is'} will start by itself.")
    started = name or ready[0]
    left = [label for label in ready if label != started]
    more = f" Ready beside it: {listed(left)}." if left else ""
    return Said(f"{job.title}: {started} may start.{more}")


def replay(session: Session, words: Sequence[str]) -> Said | None:
    """Show a run that is over from its beginning again."""
    from cascade.notebook.replay import show_replay

    job = job_for(session, words, elsewhere=bool(words) or not session.jobs)
    if not job.over:
        return Said(f"{job.title} goes on; it can be replayed when it is over.")
    show_replay(job.views[0].make_document(), job.views[0].record.drawing.shape)
    return None


def report(session: Session, words: Sequence[str]) -> Said:
    """Write a run that is over as one HTML page."""
    from cascade.notebook.report import write_report

    paths = [str(one) for word in words for one in split_line(word)]
    if not paths or len(paths) > 2:  # noqa: PLR2004 - a path and a number
        usage_error("%cascade report takes a file, and the number of a job if it is not the latest: report out.html 3.")
    job = job_for(session, paths[1:])
    if not job.over:
        return Said(f"{job.title} goes on; its report can be written when it is over.")
    try:
        path = write_report(job.run, Path(paths[0]), job.views[0])
    except ValueError as error:
        usage_error(str(error))
    except OSError as error:
        usage_error(f"The report cannot be written to {paths[0]}: {error.strerror or error}.")
    return Said(f"Wrote {path} ({path.stat().st_size / 1000:,.0f} kB): one page that needs no network and no kernel.")


def _over(job: Job) -> Said:
    return Said(f"{job.title} is over: {job.run.state}.")


# -- a blocking cell without anyone to click -------------------------------------------------------------------------


def leave_step_mode_alone(session: Session, job: Job) -> None:
    """See to it that a blocking cell in step mode runs on when no view of it can say Next."""
    view = job.views[-1]
    if not view.takes_clicks or not has_front_end(session.shell):
        _run_on(job, _NO_VIEW)
        return

    def look() -> None:
        if not view.answered.is_set() and not job.run.done() and job.run.is_stepping:
            _run_on(job, _NO_ANSWER.format(PATIENCE))

    timer = threading.Timer(PATIENCE, look)
    timer.daemon = True
    timer.start()


def has_front_end(shell: Any) -> bool:
    """Whether someone sits before the notebook: who runs one without a browser also forbids it to ask for input."""
    kernel = getattr(shell, "kernel", None)
    return kernel is not None and getattr(kernel, "_allow_stdin", True) is not False


def _run_on(job: Job, why: str) -> None:
    from IPython.display import display

    job.run.resume()
    note = NOBODY.format(why)
    job.views[-1].say(lambda: display({"text/plain": note}, raw=True))
