"""A target and options → a run with a display.

In: what a magic read. Out: a `Job`. Invariant: the display is open before this returns, and what tasks print is
captured from before the run starts until it is over.
"""

from __future__ import annotations

from typing import Any

from cascade.notebook.options import Options
from cascade.notebook.output import capture
from cascade.notebook.session import Job, Session

__all__ = ["connector_of", "executor_of", "launch", "show_plan"]


def launch(session: Session, target: object, options: Options, *, shows_value: bool) -> Job:
    """Start a run and show it.

    Raises:
        CascadeError: everything that is wrong with the graph, the Params or the capacities, before anything runs.
    """
    from cascade.notebook.cell_task import store_of
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
            capture_output=hasattr(session.shell, "kernel"),  # on a terminal, what tasks print is best where it is
            subscribers=_terminal_progress(session, options),
            cache=store_of(session) if options.store else None,
            executor=executor_of(session, options),
            connector=connector_of(session, options),
            step=options.step,
            _fresh=options.fresh,
        )
    except BaseException:
        capture.release()
        raise
    job = session.add(run, background=options.background)
    session.show(job, options.view, shows_value=shows_value, on_end=capture.release)
    if options.step and not options.background:
        from cascade.notebook.watching import leave_step_mode_alone

        leave_step_mode_alone(session, job)
    return job


def executor_of(session: Session, options: Options) -> Any:
    """Return what ``executor=`` takes: what a variable of the notebook holds, else the text itself."""
    text = options.executor
    return session.shell.user_ns.get(text, text) if text.isidentifier() else text or None


def connector_of(session: Session, options: Options) -> Any:
    """Return what ``connector=`` takes: what a variable of the notebook holds, else the address itself."""
    text = options.connector
    return session.shell.user_ns.get(text, text) if text.isidentifier() else text or None


def _terminal_progress(session: Session, options: Options) -> list[Any]:
    """What shows the run at the foot of IPython's terminal while it goes on; a kernel has views."""
    if hasattr(session.shell, "kernel") or options.background or options.view == "none":
        return []
    from cascade.runtime.progress import ProgressSubscriber

    return [ProgressSubscriber()]


def show_plan(target: object, options: Options) -> None:
    """Show the graph and the plan of `target`; runs nothing."""
    from cascade.notebook.display import show_plan as show

    show(target, options.params, options.capacities)
