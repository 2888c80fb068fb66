"""Runs, limits, store and extension → what is odd about them.

In: the session. Out: (kind, what, what to do), for `doctor`. Invariant: looks only; a store that is not there is not
made, and one that is too large to read at once is not read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from cascade.notebook.plain import duration, plain
from cascade.notebook.session import EndedRun, Job, Session

__all__ = ["equipment", "limits", "runs", "stored"]

Told = tuple[str, str, str]
LARGEST_READ: Final = 200 << 20  # bytes of results that are read to see whether they are whole
_EXTENSION: Final = "cascade-notebook"


def runs(session: Session) -> Iterator[Told]:
    """Runs that still go on, and those that wait for someone."""
    for job in session.jobs.values():
        if job.over:
            continue
        name = f"Run {job.number} ({plain(str(job.run.name), 40)})"
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
        for limit_id, words in _limits_of(job):
            yield (
                "limit",
                f"In run {job.number} the limit '{plain(limit_id, 40)}' is in force: {plain(words, 80)}.",
                f"If it is not meant any more, lift it: {plain(_lift(job, limit_id), 100)}.",
            )


def _limits_of(job: Job) -> Iterator[tuple[str, str]]:
    """Read the events: the last word on each limit says whether it is in force."""
    from cascade.interfaces import events as ev

    known: dict[str, ev.LimitSet] = {}
    for event in job.run.events:
        if isinstance(event, ev.LimitSet):
            known[event.limit_id] = event
        elif isinstance(event, ev.LimitRemoved):
            known.pop(event.limit_id, None)
    for limit_id, event in known.items():
        if event.expires_at is None or event.expires_at > time.time():
            told = ", ".join(f"{name} {value}" for name, value in event.params.items())
            yield limit_id, f"{event.kind} {told} for {event.scope}".replace("  ", " ")


def _lift(job: Job, limit_id: str) -> str:
    return f"cascade.notebook.session.current_session().jobs[{job.number}].run.remove_limit({limit_id!r})"


def stored(session: Session) -> Iterator[Told]:
    """Results that cannot be read back, and a store that stores nothing."""
    from cascade.runtime.run import FOLDER

    if not (Path.cwd() / FOLDER).is_dir():
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
