"""What becomes of an exception: notes, frames, one error out of several.

In: exceptions that tasks raised. Out: the same exceptions, told where they come from; short texts for events.
Invariant: a user catches what the task raised; the engine's own frames are not in what people read.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

from cascade.interfaces.exceptions import ResourceError, TaskExitError
from cascade.runtime.notes import add_note, change_texts, links_of, mute, notes_of, set_trace, trace_of

__all__ = [
    "Frame",
    "causes_of",
    "clean_error",
    "facts_of",
    "hide_secrets",
    "join_errors",
    "note_origin",
    "own_frames",
    "text_of",
    "to_exception",
]

Frame = tuple[str, int, str, str]
_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep  # noqa: PTH100, PTH120 - pathlib costs an import
_STANDARD = os.path.dirname(os.path.abspath(traceback.__file__)) + os.sep  # noqa: PTH100, PTH120 - as above
_CARRIERS = (f"{_STANDARD}concurrent{os.sep}", f"{_STANDARD}asyncio{os.sep}")  # of the engine's work to its threads
_LIBRARIES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}lib{os.sep}python3")


def text_of(error: BaseException) -> str:
    """Return what `error` says; a class whose own words fail is named."""
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - the text of a user's exception is the user's code
        return f"<{type(error).__name__} without a text>"


def hide_secrets(error: BaseException, redact: Callable[[str], str]) -> None:
    """Take secrets out of the texts that `error`, and what caused it, were made with, since tracebacks show them."""
    seen: set[int] = set()
    stack: list[BaseException | None] = [error]
    while stack:
        current = stack.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        change_texts(current, redact)
        said = text_of(current)
        clean = redact(said)
        if clean != said:  # its class words it from something that is no text
            mute(current, clean)
        stack += links_of(current)
        if isinstance(current, BaseExceptionGroup):
            stack += current.exceptions


def to_exception(error: BaseException, label: str) -> Exception:
    """Return `error` itself, or a `TaskExitError` for what would end the program."""
    if isinstance(error, Exception):
        return error
    made = TaskExitError.for_exit(label, error)
    made.__cause__ = error
    set_trace(error, _without_engine(trace_of(error)))
    made.__traceback__ = trace_of(error)
    return made


def note_origin(error: BaseException, label: str, attempt: int, inputs: Mapping[str, str]) -> None:
    """Add where `error` comes from, once, and drop the engine's frames from the outside of its traceback."""
    tries = f", attempt {attempt}" if attempt > 1 else ""
    given = ", ".join(f"{k} = {v}" for k, v in inputs.items())
    note = f"In the node '{label}'{tries}" + (f", called with {given}." if given else ".")
    if note not in notes_of(error):
        add_note(error, note)
    set_trace(error, _without_engine(trace_of(error)))


def _without_engine(trace: TracebackType | None) -> TracebackType | None:
    current = trace
    while current is not None and current.tb_frame.f_code.co_filename.startswith(_HERE):
        current = current.tb_next
    return current if current is not None else trace


def own_frames(error: BaseException, most: int = 8) -> tuple[Frame, ...]:
    """Return the frames of the user's own code, innermost last; of libraries' too when there are no others."""
    found = traceback.extract_tb(trace_of(error))
    outside = [f for f in found if not f.filename.startswith((_HERE, *_CARRIERS))]
    own = [f for f in outside if not any(part in f.filename for part in _LIBRARIES)] or outside
    return tuple((f.filename, f.lineno or 0, f.name, (f.line or "")[:200]) for f in own[-most:])


def join_errors(errors: Sequence[BaseException], message: str = "several nodes failed") -> BaseException:
    """Return the only error, or one group of all of them, each once."""
    unique = list({id(e): e for e in errors}.values())
    if len(unique) == 1:
        return unique[0]
    return BaseExceptionGroup(message, unique)


def causes_of(error: BaseException, most: int = 5) -> tuple[tuple[str, str, str, tuple[Frame, ...]], ...]:
    """Return the errors behind `error`, nearest first: ``(how, type, text, frames)``; `how` as `NodeFailed` tells."""
    found: list[tuple[str, str, str, tuple[Frame, ...]]] = []
    seen = {id(error)}
    waiting = _behind(error)
    while waiting and len(found) < most:
        how, current = waiting.pop(0)
        if id(current) in seen or type(current).__module__.startswith("cascade.runtime"):
            continue
        seen.add(id(current))
        found.append((how, type(current).__name__, text_of(current)[:500], own_frames(current, 4)))
        waiting = [*_behind(current), *waiting]
    return tuple(found)


def _behind(error: BaseException) -> list[tuple[str, BaseException]]:
    parts = [("part", inner) for inner in error.exceptions] if isinstance(error, BaseExceptionGroup) else []
    if error.__cause__ is not None:
        return [*parts, ("cause", error.__cause__)]
    if error.__context__ is not None and not error.__suppress_context__:
        return [*parts, ("context", error.__context__)]
    return parts


# -- resources ------------------------------------------------------------------------------------------------------


def clean_error(error: BaseException, name: str, *, exits: bool = True) -> BaseException:
    """Return what the resource `name` raised, in the words of cascade where contextlib or the program's end speaks.

    Args:
        exits: turn what would end the program into a `ResourceError` too.
    """
    said = str(error) if type(error) is RuntimeError else ""
    if said.startswith("generator didn't yield"):
        return ResourceError.for_no_yield(name)
    if said.startswith("generator didn't stop"):
        return ResourceError.for_two_yields(name)
    if exits and not isinstance(error, Exception):
        made = ResourceError.for_exit(name, error)
        made.__cause__ = error
        return made
    return error


def facts_of(failure: BaseException | None) -> tuple[Any, Any, Any]:
    """Return what ``__exit__`` takes."""
    return (type(failure), failure, trace_of(failure)) if failure is not None else (None, None, None)
