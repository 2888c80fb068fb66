"""Notes, arguments and tracebacks of exceptions that do not want to be read or changed.

In: any exception, its class written by anybody. Out: what a well-behaved one would give. Invariant: nothing here calls
the exception's own code, and nothing raises: a class that is frozen (as a dataclass may be), or whose attributes
raise, fails its node like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from operator import is_
from types import MemberDescriptorType, TracebackType, new_class
from typing import Any, Final

__all__ = ["add_note", "args_of", "change_texts", "links_of", "mute", "notes_of", "set_trace", "state_of", "trace_of"]

# What C has put into an exception, past whatever its class makes of these names.
_args: Any = BaseException.args
_trace: Any = BaseException.__traceback__
_cause: Any = BaseException.__cause__
_context: Any = BaseException.__context__
_CONTAINERS: Final = frozenset({list, tuple, set, frozenset, dict})
DEEPEST: Final = 6  # containers within containers that are looked into
MOST_PARTS: Final = 10_000  # of a container that is looked into


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
    """Put `change` of each text in the place of the text: in arguments, attributes, notes, and inside containers."""
    args = args_of(error)
    clean = tuple([_changed(a, change, DEEPEST) for a in args])
    if any(a is not b for a, b in zip(args, clean, strict=True)):
        _args.__set__(error, clean)
    state, notes = state_of(error), notes_of(error)
    for name, value in list(state.items()):
        if value is not notes:
            state[name] = _changed(value, change, DEEPEST)
    notes[:] = [_changed(note, change, 0) for note in notes]
    for place in _places_of(type(error)):
        with suppress(BaseException):  # one that is empty, or may not be written
            value = place.__get__(error)
            made = _changed(value, change, DEEPEST)
            if made is not value:
                place.__set__(error, made)


def mute(error: BaseException, text: str) -> None:
    """Have `error`, whose class words what it says in its own way, say `text`; where a class cannot be changed, not."""
    kind = type(error)

    def says(_: BaseException) -> str:
        return text

    def shows(_: BaseException) -> str:
        return f"{kind.__name__}({text!r})"

    body = {"__slots__": (), "__module__": kind.__module__, "__str__": says, "__repr__": shows}
    with suppress(BaseException):
        error.__class__ = new_class(kind.__name__, (kind,), exec_body=lambda names: names.update(body))


def _places_of(kind: type[BaseException]) -> Iterator[Any]:
    """Yield the slots of an exception's class: those that C made (`OSError.filename`), and those of the user."""
    for base in kind.__mro__:
        if base is not BaseException:
            yield from (each for each in vars(base).values() if isinstance(each, MemberDescriptorType))


def _changed(value: Any, change: Callable[[str], str], depth: int) -> Any:
    """Return `value` with its texts changed; itself where none is, a copy where one is."""
    if isinstance(value, str):
        made = change(value)
        return value if made == value else made
    if type(value) is bytes:
        text = value.decode("utf-8", "surrogateescape")
        made = change(text)
        return value if made == text else made.encode("utf-8", "surrogateescape")
    if not depth or type(value) not in _CONTAINERS or len(value) > MOST_PARTS:
        return value
    if isinstance(value, dict):
        pairs = {_changed(k, change, depth - 1): _changed(v, change, depth - 1) for k, v in value.items()}
        is_same = all(k is a and v is b for (k, v), (a, b) in zip(value.items(), pairs.items(), strict=False))
        return value if is_same else pairs
    parts = [_changed(part, change, depth - 1) for part in value]
    return value if all(map(is_, value, parts)) else type(value)(parts)


def links_of(error: BaseException) -> list[BaseException | None]:
    """Return what caused `error`, and what was being handled when it was raised."""
    return [_cause.__get__(error), _context.__get__(error)]


def trace_of(error: BaseException) -> TracebackType | None:
    """Return the traceback of `error`."""
    return _trace.__get__(error)  # type: ignore[no-any-return]


def set_trace(error: BaseException, trace: TracebackType | None) -> None:
    """Give `error` another traceback."""
    BaseException.with_traceback(error, trace)
