"""Runs, limits, store and extension → what is odd about them.

In: the session. Out: (kind, what, what to do), for `doctor`. Invariant: looks only; a store that is not there is not
made, and one that is too large to read at once is not read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from cascade.notebook.limiting import EVERYTHING, limits_in_force
from cascade.notebook.plain import duration, plain
from cascade.notebook.session import EndedRun, Job, Session
from cascade.spec.constraint import describe_limit

__all__ = ["equipment", "limits", "runs", "stored"]

Told = tuple[str, str, str]
LONGEST: Final = 60  # characters of a pattern that is still said
LARGEST_READ: Final = 200 << 20  # bytes of results that are read to see whether they are whole
_EXTENSION: Final = "cascade-notebook"


def runs(session: Session) -> Iterator[Told]:
    """Runs that still go on, and those that wait for someone."""
    for job in session.jobs.values():
        if job.over:
            continue
        name = f"{job.title}, '{plain(str(job.run.name), 40)}',"
        if job.run.state == "paused":
            yield "paused run", f"{name} is paused.", f"Let it go on with %cascade resume {job.number}."
        elif job.run.state == "cancelling":
            told = "is being cancelled, and some of its threads have not ended."
            yield "run", f"{name} {told}", "They end when their task does; restart the kernel if it never does."
        else:
            told = f"still goes on after {duration(job.run.elapsed)}."
            yield "run", f"{name} {told}", f"Look at it with %cascade attach {job.number}, or stop it."


def limits(session: Session) -> Iterator[Told]:
    """Limits in force in runs that go on."""
    for job in session.jobs.values():
        if job.over or isinstance(job.run, EndedRun):
            continue
        known = limits_in_force(job.run)
        for limit_id, event in known.items():
            words = describe_limit(event.kind, event.scope, event.params)
            yield (
                "limit",
                f"In {job.called} a limit is in force, '{plain(limit_id, 40)}': {words}.",
                f"If it is not meant any more, lift it: {_lift(job, event.scope if len(known) > 1 else EVERYTHING)}.",
            )


def _lift(job: Job, scope: str) -> str:
    """Return the line that lifts the limits of a scope; all of them where the scope is everything, or has no name."""
    task = scope.partition(":")[2]
    is_sayable = bool(task) and task.isprintable() and "'" not in task and len(task) <= LONGEST
    who = f"'{task}' " if is_sayable else ""
    return f"%cascade limit off {who}{job.number}"


def stored(session: Session) -> Iterator[Told]:
    """Results that cannot be read back, and a store that stores nothing."""
    if not session.has_store:
        return
    store = session.store
    if store.off:
        yield "store", f"Nothing is stored at the moment: {store.off}.", "Mend that, then run the cell again."
        return
    if store.size() > LARGEST_READ:
        return
    problems = store.check()
    if problems:
        first = problems[0]
        count = "1 stored result is" if len(problems) == 1 else f"{len(problems):,} stored results are"
        yield (
            "store",
            f"{count} not as written ({first.kind}: {first.problem}); they are computed again when they are needed.",
            "To remove them: %cascade store gc.",
        )


def equipment(shell: Any) -> Iterator[Told]:
    """Pieces of the extension that are missing; a terminal needs none of them."""
    if not hasattr(shell, "kernel"):
        return
    missing = [name for name in ("ipywidgets", "anywidget") if find_spec(name) is None]
    if missing:
        yield (
            "extension",
            f"{' and '.join(missing)} not installed: runs are shown as still pictures.",
            f"Install what is missing and restart the kernel: %pip install {' '.join(missing)}.",
        )
    if os.environ.get("JPY_SESSION_NAME") and not _has_renderer():  # Jupyter's server started this kernel
        yield (
            "extension",
            "The renderer of finished runs is not installed here, so reopened notebooks show the picture only.",
            f"Install {_EXTENSION} where JupyterLab runs, then reload the page.",
        )
    if find_spec("nest_asyncio") is None and find_spec("nest_asyncio2") is None:
        yield (
            "extension",
            "Neither nest-asyncio2 nor nest-asyncio is installed, so asyncio.run(…) cannot stand in cells.",
            "cascade itself does not need it; for your own code: %pip install nest-asyncio2.",
        )


def _has_renderer() -> bool:
    from jupyter_core.paths import jupyter_path

    return any((Path(folder) / _EXTENSION / "package.json").is_file() for folder in jupyter_path("labextensions"))
