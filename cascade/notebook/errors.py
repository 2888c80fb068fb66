"""Errors of runs → what a person reads under a cell: their own frames, a few lines.

In: an exception of a task, or an interrupt. Out: an exception that IPython shows shortly. Invariant: the exception is
the task's own, type and all; only how it is shown the first time is changed.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import cascade.notebook

__all__ = ["RunInterrupt", "show_short"]

_CASCADE = str(Path(cascade.notebook.__file__).resolve().parents[1])
_MACHINERY = ("IPython", "ipykernel", "asyncio", "concurrent", "tornado", "threading.py")


class RunInterrupt(KeyboardInterrupt):
    """The kernel was interrupted while a run went on; says in one line what became of it."""

    def _render_traceback_(self) -> list[str]:
        """Show the sentence alone."""
        return [f"Interrupted: {self}"]


def show_short(error: BaseException, shell: Any) -> BaseException:
    """Return `error`, to be raised; IPython will show the user's frames of it and nothing else."""
    trace = own_trace(error.__traceback__)
    error.__traceback__ = trace
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            show_short(inner, shell)
        return error

    def render() -> list[str]:
        vars(error).pop("_render_traceback_", None)
        formatter = shell.InteractiveTB
        if trace is None:
            return list(formatter.get_exception_only(type(error), error))
        return list(formatter.structured_traceback(type(error), error, trace, tb_offset=0))

    try:
        error._render_traceback_ = render  # type: ignore[attr-defined]  # noqa: SLF001 - the hook that IPython looks for
    except AttributeError:
        return error
    return error


def own_trace(trace: TracebackType | None) -> TracebackType | None:
    """Return the traceback without the frames of cascade, IPython and event loops; all of it if nothing is left."""
    frames = []
    current = trace
    while current is not None:
        if not _is_machinery(current.tb_frame.f_code.co_filename):
            frames.append(current)
        current = current.tb_next
    made: TracebackType | None = None
    for frame in reversed(frames):
        made = TracebackType(made, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return made


def _is_machinery(file: str) -> bool:
    path = file.replace("\\", "/")
    if path.startswith(_CASCADE.replace("\\", "/")):
        return True
    return any(f"/{part}/" in path or path.endswith(f"/{part}") for part in _MACHINERY)
