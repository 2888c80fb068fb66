"""Calls in worker processes, and exceptions that travel back from there.

In: a call, in the worker; what came back, in the process that runs the flow. Out: the value, or the task's own
exception with the frames and causes that it had there. Invariant: an exception that cannot be pickled costs its task
its exact words at most, never the worker or the exception's class.

Pickle calls an exception's class with its `args`, which fails for each class whose ``__init__`` takes something else,
and it leaves traceback and causes behind. So an exception is rebuilt without ``__init__`` where pickle would fail, and
its frames are rebuilt by hand, so that logs and tracebacks read as if the task had run here.
"""

from __future__ import annotations

import os
import reprlib
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pickle import loads
from types import TracebackType
from typing import Any

from cascade.interfaces.exceptions import CascadeError, TaskExitError
from cascade.runtime.failure import text_of
from cascade.runtime.notes import args_of, set_trace, state_of

__all__ = ["Parcel", "RowOutcome", "begin_worker", "call_and_pack", "call_rows", "pack_error", "quiet_start", "unpack"]

RowOutcome = tuple[int, bool, Any, list[Any]]  # index, whether it ended well, value or parcel, output
Place = tuple[str, str, tuple[int, int, int, int]]  # file, function; line, last line, first column, end
Parcel = list[tuple[bytes, str, list[Place], bool]]  # an exception, in words, where; whether it caused the one before

# What C has put into an exception, past whatever its class makes of these names.
_trace: Any = BaseException.__traceback__
_cause: Any = BaseException.__cause__
_context: Any = BaseException.__context__
_suppressed: Any = BaseException.__suppress_context__

WORKER_OF = "CASCADE_WORKER"  # the variable that tells a worker for which process it works
LOOK_EVERY = 1.0  # seconds between two looks at the parent, where the system does not tell of its end
MOST_CAUSES = 8
FIRST, LAST = 20, 40  # frames that are kept of a longer traceback, as a recursion has it


# -- in the worker ----------------------------------------------------------------------------------------------------


def begin_worker() -> None:
    """Ignore interrupts: one in a terminal goes to every process, and it is the run that ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _mask_interrupts(block=False)
    parent = int(os.environ[WORKER_OF])
    threading.Thread(target=_end_with, args=(parent,), name="cascade-parent", daemon=True).start()
    from cascade.runtime.worker_output import prepare_display

    prepare_display()


def _end_with(parent: int) -> None:
    """End this process when the one that it works for has gone: who is killed has no time to end its workers."""
    if hasattr(os, "pidfd_open"):
        with suppress(OSError):  # it has gone, or this system cannot tell
            select.select([os.pidfd_open(parent)], [], [])
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY)
    os._exit(1)


def call_and_pack(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], *, heard: str = ""
) -> tuple[Any, ...]:
    """Run a call; say whether it ended well, with its value or what it raised.

    Args:
        heard: the token under which someone listens to its output. What was not told meanwhile is a third part, and
            how often something was told a fourth.
    """
    if heard:
        from cascade.runtime.worker_output import listen

        return listen(lambda: call_and_pack(function, args, kwargs), heard)
    try:
        return True, function(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001 - nothing a task raises ends the worker
        trace = sys.exc_info()[2]
        return False, pack_error(error, trace and trace.tb_next)


def call_rows(function: Callable[..., Any], rows: list[Any], collects: bool, is_heard: bool) -> Any:  # noqa: FBT001 - goes to another process by position
    """Make calls one after the other; return what each gave, wrote and showed, and the seconds of all together.

    Args:
        rows: index, positional and keyword arguments of each. collects: go on after one that fails.
    """
    if is_heard:
        from cascade.runtime.worker_output import listen
    told: list[RowOutcome] = []
    began = time.perf_counter()
    for index, args, kwargs in rows:
        output: list[Any] = []
        if is_heard:
            ended_well, value, output, _ = listen(lambda: call_and_pack(function, args, kwargs))  # noqa: B023 - called now
        else:
            ended_well, value = call_and_pack(function, args, kwargs)
        told.append((index, ended_well, value, output))
        if not ended_well and not collects:
            break
    return told, time.perf_counter() - began


def pack_error(error: BaseException, trace: TracebackType | None) -> Parcel:
    """Return `error` with its causes and the places of `trace`, so that they can travel."""
    parcel: Parcel = []
    current: BaseException | None = error
    seen: set[int] = set()
    is_cause = False
    while current is not None and id(current) not in seen and len(parcel) < MOST_CAUSES:
        seen.add(id(current))
        parcel.append((_to_bytes(current), _words_of(current), _places_of(trace), is_cause))
        cause: BaseException | None = _cause.__get__(current)
        is_cause = cause is not None
        current = cause if is_cause or _suppressed.__get__(current) else _context.__get__(current)
        trace = _trace.__get__(current) if current is not None else None
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
    state = {k: v for k, v in state_of(error).items() if _can_travel(v)}
    return type(error), tuple([a if _can_travel(a) else _short(a) for a in args_of(error)]), state


def _without_state(error: BaseException) -> object:
    return type(error), (text_of(error),), {}


def _can_travel(value: object) -> bool:
    try:
        loads(_dumps(value))  # noqa: S301 - made this moment
    except BaseException:  # noqa: BLE001 - pickling runs the user's code
        return False
    return True


def _dumps(value: object) -> bytes:
    import io

    from cloudpickle import Pickler

    class Plain(Pickler):  # type: ignore[misc]
        """Takes exceptions as they say themselves: tblib, which Dask loads, has another way for all of them."""

        def reducer_override(self, given: Any) -> Any:
            return given.__reduce_ex__(4) if isinstance(given, BaseException) else super().reducer_override(given)

    file = io.BytesIO()
    Plain(file).dump(value)
    return file.getvalue()


def _places_of(trace: TracebackType | None) -> list[Place]:
    places: list[Place] = []
    while trace is not None:
        code = trace.tb_frame.f_code
        found = next(islice(code.co_positions(), trace.tb_lasti // 2, None), (None,))
        span = (trace.tb_lineno, trace.tb_lineno, -1, -1) if None in found else found
        places.append((code.co_filename, code.co_name, span))  # type: ignore[arg-type]
        trace = trace.tb_next
    return places if len(places) <= FIRST + LAST else places[:FIRST] + places[-LAST:]


def _short(value: object) -> str:
    try:
        return reprlib.repr(value)
    except BaseException:  # noqa: BLE001 - the words of a value are the user's code
        return f"<{type(value).__name__} without words>"


def _words_of(error: BaseException) -> str:
    return f"{type(error).__name__}({', '.join(map(_short, args_of(error)))})"


# -- where the flow runs ----------------------------------------------------------------------------------------------


def unpack(parcel: Parcel, label: str) -> BaseException:
    """Return what the task `label` raised in its process, with its traceback and causes."""
    made = [_read(payload, words, label, is_first=not n) for n, (payload, words, _, _) in enumerate(parcel)]
    for error, (_, _, places, _) in zip(made, parcel, strict=True):
        set_trace(error, _rebuild_trace(places))
    for n in range(1, len(made)):
        if parcel[n][3]:
            _cause.__set__(made[n - 1], made[n])
        else:
            _context.__set__(made[n - 1], made[n])
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
        exit_ = TaskExitError.in_process(label, type(error).__name__, [_short(a) for a in args_of(error)])
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
    state_of(error).update(state)
    return error


def _builtin_base(kind: type[BaseException]) -> type[BaseException]:
    return next(k for k in kind.__mro__ if k.__module__ == "builtins")


def _rebuild_trace(places: Iterable[Place]) -> TracebackType | None:
    trace: TracebackType | None = None
    for file, name, span in reversed(list(places)):
        base = _raise_in(file, name, span)
        trace = TracebackType(trace, base.tb_frame, base.tb_lasti, base.tb_lineno)
    return trace


def _raise_in(file: str, name: str, span: tuple[int, int, int, int]) -> TracebackType:
    """Return the traceback of a raise at this place: Python has no other way to make one."""
    code = compile("raise LookupError", file, "exec")
    code = code.replace(
        co_name=name, co_qualname=name, co_firstlineno=span[0], co_linetable=_make_table(len(code.co_code) // 2, span)
    )
    try:
        exec(code, {"__name__": "", "__file__": file})  # noqa: S102 - the line above is all that runs
    except LookupError as error:
        trace = error.__traceback__
        assert trace is not None  # noqa: S101 - it was raised
        assert trace.tb_next is not None  # noqa: S101 - in the code
        return trace.tb_next
    raise AssertionError


def _make_table(units: int, span: tuple[int, int, int, int]) -> bytes:
    """Return the table that tells of each of the `units` of a code object that it stands at `span`.

    Source: Objects/locations.md of CPython, "long form" (14), whose first line is `co_firstlineno`.
    """
    line, last, begin, end = span
    place = b"\0" + b"".join(map(_to_varint, (max(0, last - line), begin + 1, end + 1)))
    sizes = [min(8, units - n) for n in range(0, units, 8)]
    return b"".join(bytes([0x80 | 14 << 3 | size - 1]) + place for size in sizes)


def _to_varint(number: int) -> bytes:
    parts = bytearray()
    while number >= 64:  # noqa: PLR2004 - six bits a byte
        parts.append(0x40 | number & 0x3F)
        number >>= 6
    return bytes([*parts, number])


# -- interrupts -------------------------------------------------------------------------------------------------------


@contextmanager
def quiet_start() -> Iterator[None]:
    """Let processes that start within the block hold interrupts back until `begin_worker` ignores them.

    What is blocked on this thread is blocked in the threads and processes that it starts.
    """
    if os.name == "posix":
        from multiprocessing.resource_tracker import ensure_running

        ensure_running()  # when it starts, it lets the thread take interrupts again: not in the middle of the block
    _mask_interrupts(block=True)
    try:
        yield
    finally:
        _mask_interrupts(block=False)


def _mask_interrupts(*, block: bool) -> None:
    if hasattr(signal, "pthread_sigmask"):  # Windows has none
        signal.pthread_sigmask(signal.SIG_BLOCK if block else signal.SIG_UNBLOCK, {signal.SIGINT})
