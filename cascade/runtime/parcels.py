"""Calls in worker processes, and exceptions that travel back from there.

In: a call, in the worker; what came back, in the process that runs the flow. Out: the value, or the task's own
exception with the frames and causes that it had there. Invariant: an exception that cannot be pickled costs its task
its exact words at most, never the worker or the exception's class.

Pickle calls an exception's class with its `args`, which fails for each class whose ``__init__`` takes something else,
and it leaves traceback and causes behind. So an exception is rebuilt without ``__init__`` where pickle would fail, and
its frames are rebuilt by hand, so that logs and tracebacks read as if the task had run here.
"""

from __future__ import annotations

import reprlib
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pickle import loads
from types import TracebackType
from typing import Any

from cascade.interfaces.exceptions import CascadeError, TaskExitError
from cascade.runtime.failure import text_of

__all__ = ["Parcel", "begin_worker", "call_and_pack", "quiet_start", "unpack"]

Place = tuple[str, int, str]  # file, line, function
Parcel = list[tuple[bytes, str, list[Place], bool]]  # an exception, in words, where; whether it caused the one before

MOST_CAUSES = 8
FIRST, LAST = 20, 40  # frames that are kept of a longer traceback, as a recursion has it


# -- in the worker ----------------------------------------------------------------------------------------------------


def begin_worker() -> None:
    """Ignore interrupts: one in a terminal goes to every process, and it is the run that ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _mask_interrupts(block=False)


def call_and_pack(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[bool, Any | Parcel]:
    """Run a call; say whether it ended well, with its value or what it raised."""
    try:
        return True, function(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001 - nothing a task raises ends the worker
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        return False, _pack(error)


def _pack(error: BaseException) -> Parcel:
    parcel: Parcel = []
    current: BaseException | None = error
    seen: set[int] = set()
    is_cause = False
    while current is not None and id(current) not in seen and len(parcel) < MOST_CAUSES:
        seen.add(id(current))
        parcel.append((_to_bytes(current), _words_of(current), _places_of(current.__traceback__), is_cause))
        is_cause = current.__cause__ is not None
        current = current.__cause__ if is_cause or current.__suppress_context__ else current.__context__
    return parcel


def _to_bytes(error: BaseException) -> bytes:
    """Return `error` pickled, in its own way if that can be read again; empty if there is no way."""
    for form in (_as_it_is, _in_parts, _without_init, _without_state):
        try:
            made = _dumps(form(error))
            _rebuild(loads(made))  # noqa: S301 - made the line before
        except BaseException:  # noqa: BLE001, S112 - pickling runs the user's code, and there is another way
            continue
        return made
    return b""


def _as_it_is(error: BaseException) -> object:
    return error


def _in_parts(error: BaseException) -> object:
    """Return a group's class and what it holds, each made to travel for itself; other exceptions have no parts."""
    if not isinstance(error, BaseExceptionGroup):
        raise TypeError
    parts = [_to_bytes(e) or _dumps(CascadeError(_words_of(e))) for e in error.exceptions]
    return type(error), (error.message, parts), {}


def _without_init(error: BaseException) -> object:
    state = {k: v for k, v in vars(error).items() if _can_travel(v)}
    return type(error), tuple([a if _can_travel(a) else _short(a) for a in error.args]), state


def _without_state(error: BaseException) -> object:
    return type(error), (text_of(error),), {}


def _can_travel(value: object) -> bool:
    try:
        loads(_dumps(value))  # noqa: S301 - made this moment
    except BaseException:  # noqa: BLE001 - pickling runs the user's code
        return False
    return True


def _dumps(value: object) -> bytes:
    from cloudpickle import dumps

    return dumps(value)  # type: ignore[no-any-return]


def _places_of(trace: TracebackType | None) -> list[Place]:
    places: list[Place] = []
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append((code.co_filename, trace.tb_lineno, code.co_name))
        trace = trace.tb_next
    return places if len(places) <= FIRST + LAST else places[:FIRST] + places[-LAST:]


def _short(value: object) -> str:
    try:
        return reprlib.repr(value)
    except Exception:  # noqa: BLE001 - the words of a value are the user's code
        return f"<{type(value).__name__} without words>"


def _words_of(error: BaseException) -> str:
    return f"{type(error).__name__}({', '.join(map(_short, error.args))})"


# -- where the flow runs ----------------------------------------------------------------------------------------------


def unpack(parcel: Parcel, label: str) -> BaseException:
    """Return what the task `label` raised in its process, with its traceback and causes."""
    made = [_read(payload, words, label, is_first=not n) for n, (payload, words, _, _) in enumerate(parcel)]
    for error, (_, _, places, _) in zip(made, parcel, strict=True):
        error.__traceback__ = _rebuild_trace(places)
    for n in range(1, len(made)):
        if parcel[n][3]:
            made[n - 1].__cause__ = made[n]
        else:
            made[n - 1].__context__ = made[n]
    return made[0]


def _read(payload: bytes, words: str, label: str, *, is_first: bool) -> BaseException:
    try:
        error = _rebuild(loads(payload)) if payload else None  # noqa: S301 - made by the worker, a process of our own
    except BaseException:  # noqa: BLE001 - unpickling runs the user's code
        error = None
    if error is None:
        return CascadeError(
            f"Task '{label}' raised {words} in another process, from which its class cannot be sent. "
            "Define the class at the top of a module, or raise an ordinary exception instead."
        )
    if is_first and not isinstance(error, Exception):
        exit_ = TaskExitError.in_process(label, type(error).__name__, [_short(a) for a in error.args])
        exit_.__cause__ = error
        return exit_
    return error


def _rebuild(found: Any) -> BaseException:
    """Return the exception that was pickled as it is, or as its class, arguments and state."""
    if isinstance(found, BaseException):
        return found
    kind, args, state = found
    if issubclass(kind, BaseExceptionGroup):
        args = args[0], [_rebuild(loads(part)) for part in args[1]]  # noqa: S301 - as in `_read`
    error: BaseException = _builtin_base(kind).__new__(kind, *args)
    error.__dict__.update(state)
    return error


def _builtin_base(kind: type[BaseException]) -> type[BaseException]:
    return next(k for k in kind.__mro__ if k.__module__ == "builtins")


def _rebuild_trace(places: Iterable[Place]) -> TracebackType | None:
    trace: TracebackType | None = None
    for file, line, name in reversed(list(places)):
        base = _raise_in(file, name)
        trace = TracebackType(trace, base.tb_frame, -1, line)
    return trace


def _raise_in(file: str, name: str) -> TracebackType:
    """Return the traceback of a raise in a function of this name: Python has no other way to make one."""
    code = compile("raise LookupError", file, "exec").replace(co_name=name, co_qualname=name)
    try:
        exec(code, {"__name__": "", "__file__": file})  # noqa: S102 - the line above is all that runs
    except LookupError as error:
        trace = error.__traceback__
        assert trace is not None  # noqa: S101 - it was raised
        assert trace.tb_next is not None  # noqa: S101 - in the code
        return trace.tb_next
    raise AssertionError


@contextmanager
def quiet_start() -> Iterator[None]:
    """Let processes that start within the block hold interrupts back until `begin_worker` ignores them.

    What is blocked on this thread is blocked in the threads and processes that it starts.
    """
    _mask_interrupts(block=True)
    try:
        yield
    finally:
        _mask_interrupts(block=False)


def _mask_interrupts(*, block: bool) -> None:
    if hasattr(signal, "pthread_sigmask"):  # Windows has none
        signal.pthread_sigmask(signal.SIG_BLOCK if block else signal.SIG_UNBLOCK, {signal.SIGINT})
