"""Notes, arguments and tracebacks of exceptions that do not want to be read or changed.

In: any exception, its class written by anybody. Out: what a well-behaved one would give. Invariant: nothing here calls
the exception's own code, and nothing raises: a class that is frozen (as a dataclass may be), or whose attributes
raise, fails its node like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

__all__ = ["add_note", "args_of", "change_texts", "links_of", "notes_of", "set_trace", "state_of", "trace_of"]

# What C has put into an exception, past whatever its class makes of these names.
_args: Any = BaseException.args
_trace: Any = BaseException.__traceback__
_cause: Any = BaseException.__cause__
_context: Any = BaseException.__context__
_os_texts: tuple[Any, ...] = (OSError.strerror, OSError.filename)


def state_of(error: BaseException) -> dict[str, Any]:
    """Return the attributes that `error` keeps, as they are."""
    try:
        return object.__getattribute__(error, "__dict__")  # type: ignore[no-any-return]
    except BaseException:  # noqa: BLE001 - then there are none to be had
        return {}


def args_of(error: BaseException) -> tuple[Any, ...]:
    """Return what `error` was made with."""
    return _args.__get__(error)  # type: ignore[no-any-return]


def notes_of(error: BaseException) -> list[str]:
    """Return the notes on `error`, none where they are something else than a list."""
    notes = state_of(error).get("__notes__")
    return notes if isinstance(notes, list) else []


def add_note(error: BaseException, note: str) -> None:
    """Add `note`, also to an exception that is frozen.

    Example:
        >>> error = ValueError("boom")
        >>> add_note(error, "In the node 'fit'.")
        >>> error.__notes__
        ["In the node 'fit'."]
    """
    state = state_of(error)
    notes = state.setdefault("__notes__", [])
    if isinstance(notes, list):
        notes.append(note)


def change_texts(error: BaseException, change: Callable[[str], str]) -> None:
    """Put `change` of each text in the place of the text: in arguments, attributes and notes."""
    args = args_of(error)
    clean = tuple([change(a) if isinstance(a, str) else a for a in args])
    if any(a is not b for a, b in zip(args, clean, strict=True)):
        _args.__set__(error, clean)
    state, notes = state_of(error), notes_of(error)
    for name, text in list(state.items()):
        if isinstance(text, str):
            state[name] = change(text)
    notes[:] = [change(note) if isinstance(note, str) else note for note in notes]
    for place in _os_texts if isinstance(error, OSError) else ():
        text = place.__get__(error)
        if isinstance(text, str) and change(text) != text:
            place.__set__(error, change(text))


def links_of(error: BaseException) -> list[BaseException | None]:
    """Return what caused `error`, and what was being handled when it was raised."""
    return [_cause.__get__(error), _context.__get__(error)]


def trace_of(error: BaseException) -> TracebackType | None:
    """Return the traceback of `error`."""
    return _trace.__get__(error)  # type: ignore[no-any-return]


def set_trace(error: BaseException, trace: TracebackType | None) -> None:
    """Give `error` another traceback."""
    BaseException.with_traceback(error, trace)
