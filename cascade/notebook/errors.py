"""Errors of runs → what a person reads under a cell: their own frames, a few lines.

In: an exception of a task, or an interrupt. Out: an exception that IPython shows shortly. Invariant: the exception is
the task's own, type and all; only how it is shown the first time is changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any

from IPython.core.error import UsageError

import cascade.notebook

__all__ = ["RunInterrupt", "short_errors", "show_short"]

_CASCADE = str(Path(cascade.notebook.__file__).resolve().parents[1])
_CALLS = frozenset({"magics_manager", "run_cell_magic", "run_line_magic"})
_MACHINERY = ("IPython", "ipykernel", "asyncio", "concurrent", "tornado", "threading.py")


class RunInterrupt(KeyboardInterrupt):
    """The kernel was interrupted while a run went on; says in one line what became of it."""

    def _render_traceback_(self) -> list[str]:
        """Show the sentence alone."""
        return [f"Interrupted: {self}"]


class CellSyntaxError(Exception):
    """The body of a magic is not valid Python; shown as IPython shows it for a plain cell, without our own frames."""

    def __init__(self, error: SyntaxError, shell: Any) -> None:
        """Take the compiler's error."""
        super().__init__(str(error))
        self._error = error
        self._shell = shell

    def _render_traceback_(self) -> list[str]:
        return list(self._shell.SyntaxTB.structured_traceback(type(self._error), self._error, []))


def show_short(error: BaseException, shell: Any) -> BaseException:
    """Return `error`, to be raised; IPython will show the user's frames of it and nothing else."""
    if hasattr(error, "_render_traceback_"):
        return error
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
        error._render_traceback_ = render  # type: ignore[attr-defined]
    except AttributeError:
        return error
    return error


@contextmanager
def short_errors(shell: Any) -> Iterator[None]:
    """Let errors of the code in the ``with`` be shown with the user's frames only."""
    try:
        yield
    except UsageError:
        raise
    except SyntaxError as error:
        raise CellSyntaxError(error, shell) from None
    except BaseException as error:  # noqa: BLE001 - KeyboardInterrupt too
        raise show_short(error, shell) from error.__cause__


def own_trace(trace: TracebackType | None) -> TracebackType | None:
    """Return the traceback without the frames of cascade, IPython and event loops; all of it if nothing is left."""
    frames = []
    current = trace
    while current is not None:
        if not _is_machinery(current.tb_frame.f_code):
            frames.append(current)
        current = current.tb_next
    made: TracebackType | None = None
    for frame in reversed(frames):
        made = TracebackType(made, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return made


def _is_machinery(code: CodeType) -> bool:
    if code.co_name in {"<module>", "<cell line: 1>"} and _CALLS.intersection(code.co_names):
        return True
    path = code.co_filename.replace("\\", "/")
    if path.startswith(_CASCADE.replace("\\", "/")):
        return True
    return any(f"/{part}/" in path or path.endswith(f"/{part}") for part in _MACHINERY)
