"""A cell that is no longer true → its display: marks and a line, or a new run in the place of the old one.

In: the job that is shown. Out: changed displays. Invariant: only displays of that cell change, and what is shown of a
run that is over stays true of that run.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from cascade.notebook.bundle import finished_bundle
from cascade.notebook.figures import enlarge
from cascade.notebook.forecast import mark_nodes
from cascade.notebook.output import capture
from cascade.notebook.view.rungs import choose

if TYPE_CHECKING:
    from cascade.notebook.options import Options
    from cascade.notebook.session import Job, Session

__all__ = ["show_stale", "start_in_place"]


def show_stale(session: Session, job: Job, marks: Mapping[str, str], text: str) -> None:
    """Mark nodes of a run that is over, and say why in a line; without marks and text it is true again."""
    for view in job.views:
        if not view.finished.is_set() or view.place is None:
            continue
        with view.lock:
            mark_nodes(view.record, marks)
            view.record.message = text
            made = view.record.document(view.run.elapsed)
        enlarge(made, getattr(view.run, "figure", lambda _name: None))
        bundle = finished_bundle(made, view.record.drawing.shape)
        with suppress(Exception):  # the front end may be gone, and nobody misses the line then
            session.mark.run(partial(view.place.replace, bundle))


def start_in_place(session: Session, job: Job, target: Any, options: Options, text: str) -> Job:
    """Run `target` and show it where the run of `job` stands.

    Args:
        options: of the cell. text: why it runs, shown while it does and afterwards.

    Raises:
        CascadeError: everything that is wrong with the graph, the Params or the capacities, before anything runs.
    """
    mark = job.views[0]._mark  # noqa: SLF001 - the cell that the new run belongs to
    return mark.run(lambda: _start(session, job, target, options, text))


def _start(session: Session, job: Job, target: Any, options: Options, text: str) -> Job:
    from cascade.notebook.cell_task import store_of
    from cascade.notebook.launch import connector_of, executor_of
    from cascade.runtime.run import start

    capture.acquire()
    try:
        run = start(
            target,
            options.params,
            options.capacities or None,
            log_level=None,
            timeout=options.timeout,
            on_failure="continue" if options.keep_going else "cancel",
            capture_output=hasattr(session.shell, "kernel"),
            executor=executor_of(session, options),
            connector=connector_of(session, options),
            cache=store_of(session) if options.store else None,
        )
    except BaseException:
        capture.release()
        raise
    made = session.add(run, background=True)
    made.cell, job.cell = job.cell, ""
    made.output, made.below, made.out = job.output, job.below, job.out
    rung = choose(options.view, session.shell)
    place = job.views[-1].place
    if rung is not None and place is not None and hasattr(session.shell, "kernel"):
        rung.place = place
    view = session.show(made, options.view, on_end=capture.release, rung=rung)
    with view.lock:
        view.record.message = view.record.message or text
        view.record.dirty.add("run")
    return made
