"""What becomes of an exception: notes, frames, one error out of several.

In: exceptions that tasks raised. Out: the same exceptions, told where they come from; short texts for events.
Invariant: a user catches what the task raised; the engine's own frames are not in what people read.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping, Sequence
from types import TracebackType

from cascade.interfaces.exceptions import TaskExitError

__all__ = ["Frame", "join_errors", "note_origin", "own_frames", "to_exception"]

Frame = tuple[str, int, str, str]
_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep  # noqa: PTH100, PTH120 - pathlib costs an import
_LIBRARIES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}lib{os.sep}python3")


def to_exception(error: BaseException, label: str) -> Exception:
    """Return `error` itself, or a `TaskExitError` for what would end the program."""
    if isinstance(error, Exception):
        return error
    made = TaskExitError.for_exit(label, error)
    made.__cause__ = error
    made.__traceback__ = error.__traceback__
    return made


def note_origin(error: BaseException, label: str, attempt: int, inputs: Mapping[str, str]) -> None:
    """Add where `error` comes from, once, and drop the engine's frames from the outside of its traceback."""
    tries = f", attempt {attempt}" if attempt > 1 else ""
    given = ", ".join(f"{k} = {v}" for k, v in inputs.items())
    note = f"In the node '{label}'{tries}" + (f", called with {given}." if given else ".")
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)
    error.__traceback__ = _without_engine(error.__traceback__)


def _without_engine(trace: TracebackType | None) -> TracebackType | None:
    current = trace
    while current is not None and current.tb_frame.f_code.co_filename.startswith(_HERE):
        current = current.tb_next
    return current if current is not None else trace


def own_frames(error: BaseException, most: int = 8) -> tuple[Frame, ...]:
    """Return the frames of the user's own code, innermost last; of libraries' too when there are no others."""
    found = traceback.extract_tb(error.__traceback__)
    outside = [f for f in found if not f.filename.startswith(_HERE)]
    own = [f for f in outside if not any(part in f.filename for part in _LIBRARIES)] or outside
    return tuple((f.filename, f.lineno or 0, f.name, (f.line or "")[:200]) for f in own[-most:])


def join_errors(errors: Sequence[BaseException], message: str = "several nodes failed") -> BaseException:
    """Return the only error, or one group of all of them, each once."""
    unique = list({id(e): e for e in errors}.values())
    if len(unique) == 1:
        return unique[0]
    return BaseExceptionGroup(message, unique)
