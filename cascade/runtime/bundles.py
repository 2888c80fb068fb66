"""Several calls in one submission: what a worker does with a bundle, and what it tells of it.

In: an order, with the values that it needs. Out: messages while it goes on, a box of values at the end. Invariant: each
call is told of once, as it ends; a failure stops what needs its value and nothing else; what is told is what a call in
this process would have said: its value or its own exception with its frames, its output as it comes.

Small values travel with the message that tells of them, which costs no more than telling where they are. Large ones
stay, and are named.
"""

from __future__ import annotations

import ctypes
import pickle
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from cascade.runtime.attempts import Attempt, call
from cascade.runtime.capture import OutputCapture
from cascade.runtime.cluster_values import Box, read
from cascade.runtime.growth import ODD, is_lazy
from cascade.runtime.heads import Head, head_of, size_of
from cascade.runtime.hearing import ends_line
from cascade.runtime.notes import add_note
from cascade.runtime.parcels import Parcel, pack_error
from cascade.runtime.summary import summarize
from cascade.runtime.worker_output import Ears, prepare_display_here

__all__ = [
    "SMALL", "Began", "Ended", "Kept", "Order", "Over", "Said", "Step", "Stopped", "bundles_here", "run_bundle",
    "stop_bundles",
]  # fmt: skip

SMALL: Final = 16_384  # bytes of a pickled value that travels with the message
PULSE: Final = 0.05  # seconds between two messages of one bundle, unless something large is to be told
MOST_FUNCTIONS: Final = 256  # that a worker keeps
_PACKAGE: Final = str(Path(__file__).parent)


@dataclass(frozen=True, slots=True)
class Step:
    """One call.

    Args:
        label: of its node. function: its number in the order. arguments: packed. needs: steps whose values it takes.
        resources: packed, to be made for this call by name; empty if there are none.
    """

    label: str
    function: int
    arguments: bytes
    needs: tuple[int, ...] = ()
    resources: bytes = b""


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is told to do.

    Args:
        name: of the bundle. functions: pickled. is_heard: whether output travels. stops_at_error: leave the rest when
            one failed. wants_heads: whether someone would like to see the beginnings of values that stay.
    """

    name: str
    functions: tuple[bytes, ...]
    steps: tuple[Step, ...]
    is_heard: bool = False
    stops_at_error: bool = False
    wants_heads: bool = False


# -- what is told ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Began:
    """A worker has begun."""

    place: str


@dataclass(frozen=True, slots=True)
class Said:
    """Pieces of output of a step."""

    step: int
    pieces: list[Any]


@dataclass(frozen=True, slots=True)
class Kept:
    """A value that stayed: a short text, bytes as far as known, its beginning."""

    summary: str
    size: int
    head: Head | None


@dataclass(frozen=True, slots=True)
class Ended:
    """A step has ended: with a small value (pickled), with one that stayed, or with what it raised."""

    step: int
    seconds: float
    value: bytes | Kept | None
    error: Parcel | None = None


@dataclass(frozen=True, slots=True)
class Over:
    """The bundle is over; steps that were not told of have not run."""


class Stopped(BaseException):
    """The run no longer wants what is computed here."""


# -- on the worker --------------------------------------------------------------------------------------------------

_lock = threading.Lock()
_threads: dict[str, int] = {}  # bundles that run here, and where
_stopped: set[str] = set()  # those of them whose thread was told to stop
_unwanted: dict[str, None] = {}  # bundles that were stopped, perhaps before they came
_functions: dict[bytes, Any] = {}
_capture = OutputCapture()


def stop_bundles(names: Sequence[str]) -> None:
    """Stop bundles that run here, as far as Python can be stopped, and those that will come.

    The thread hears of it when it next runs Python code: a call that sleeps or waits in C ends first.
    """
    with _lock:
        for name in names:
            _unwanted[name] = None
            if name in _threads:
                _stopped.add(name)
                _raise_in(_threads[name])
        for name in list(_unwanted)[: -10 * MOST_FUNCTIONS]:
            del _unwanted[name]


def bundles_here(names: Sequence[str]) -> list[str]:
    """Return those of `names` that run on this worker."""
    with _lock:
        return [name for name in names if name in _threads]


def run_bundle(payload: bytes, boxes: Sequence[Box], tell: Callable[[bytes], object], place: str) -> Box:
    """Do what the order in `payload` says, and tell of it; runs on a worker, and raises nothing that a task raises."""
    order: Order = pickle.loads(payload)  # noqa: S301 - made by the run, whose code a worker runs anyway
    teller = _Teller(order.name, tell)
    thread = threading.get_ident()
    with _lock:
        unwanted = order.name in _unwanted
        if not unwanted:
            _threads[order.name] = thread
    try:
        if not unwanted:
            teller.add(Began(place))
            if order.is_heard or len(order.steps) == 1:
                teller.flush()
            _run_steps(order, boxes, teller)
    except Stopped:
        pass
    finally:
        _leave(order.name, thread)
    teller.add(Over())
    teller.flush()
    return teller.box


def _leave(name: str, thread: int) -> None:
    """Be stopped no more; an exception that is still on its way ends here.

    It is not taken back by an exception of None: from then on, CPython 3.11 looks for one at every turn of every loop
    of the process, and a function that is traced never ends.
    """
    while True:
        try:
            with _lock:
                _threads.pop(name, None)
                is_stopped = name in _stopped
                _stopped.discard(name)
            if is_stopped:
                _raise_in(thread)  # in the place of one that may be on its way, and heard at once
                while True:
                    pass
        except Stopped:
            continue
        return


def _raise_in(thread: int) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(Stopped))


def _run_steps(order: Order, boxes: Sequence[Box], teller: _Teller) -> None:
    values: dict[int, Any] = {}
    if order.is_heard:
        prepare_display_here()
        _capture.acquire()
    try:
        for number, step in enumerate(order.steps):
            if order.name in _unwanted:
                return
            if not all(need in values for need in step.needs):
                continue
            if not _run_step(number, step, order, boxes, values, teller) and order.stops_at_error:
                return
    finally:
        if order.is_heard:
            _capture.release()


def _run_step(
    number: int, step: Step, order: Order, boxes: Sequence[Box], values: dict[int, Any], teller: _Teller
) -> bool:
    """Run one call and tell of it; say whether it ended well."""
    began = time.perf_counter()
    try:
        attempt = Attempt(0, 0, _load(order.functions[step.function]))
        attempt.name = step.label
        if step.resources:
            attempt.own = pickle.loads(step.resources)  # noqa: S301 - as in `run_bundle`
        if order.is_heard:
            attempt.writer = Ears(lambda pieces: teller.say(number, pieces))
        value = call(attempt, copy_context(), lambda _, own: read(step.arguments, boxes, values, own))
    except Stopped:
        raise
    except BaseException as error:  # noqa: BLE001 - nothing a task raises ends the worker
        teller.add(Ended(number, time.perf_counter() - began, None, pack_error(error, _own_trace(error))))
        return False
    seconds = time.perf_counter() - began
    try:
        told = _hold(number, value, teller.box, order)
    except Exception as error:  # noqa: BLE001 - a value that cannot travel fails its task
        add_note(error, f"While the value of '{step.label}' was sent back from its process.")
        teller.add(Ended(number, seconds, None, pack_error(error, None)))
        return False
    values[number] = value
    teller.add(Ended(number, seconds, told))
    return True


def _load(pickled: bytes) -> Any:
    """Return a function, the same one each time, as in the process that runs the flow."""
    function = _functions.get(pickled)
    if function is None:
        try:
            function = pickle.loads(pickled)  # noqa: S301 - as in `run_bundle`
        except BaseException as error:
            raise pickle.UnpicklingError(
                f"The task's function could not be read where it runs ({type(error).__name__}: {error}). "
                "What it imports must be installed there too."
            ) from error
        while len(_functions) >= MOST_FUNCTIONS:
            _functions.pop(next(iter(_functions)), None)
        _functions[pickled] = function
    return function


def _own_trace(error: BaseException) -> TracebackType | None:
    """Return the traceback of `error` from where the user's code begins."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        trace = trace.tb_next
    return trace


def _hold(number: int, value: Any, box: Box, order: Order) -> bytes | Kept:
    """Return a small value pickled; keep a large one in the box and return what can be said of it.

    Raises:
        Exception: when the value cannot be pickled, and so could never leave this worker.
    """
    size = size_of(value)
    if size <= SMALL or (type(value) in ODD and is_lazy(value)):
        buffers: list[Any] = []
        made = _dumps(value, buffers)
        size = len(made) + sum(b.raw().nbytes for b in buffers)
        if size <= SMALL or (type(value) in ODD and is_lazy(value)):
            return made if not buffers else _dumps(value)
    elif not _is_known(value):
        _dumps(value, [])
    box.values[number] = value
    box.size += size
    return Kept(summarize(value), size, head_of(value) if order.wants_heads else None)


def _dumps(value: Any, buffers: list[Any] | None = None) -> bytes:
    """Return `value` pickled; with `buffers`, large parts only named there, which costs no copy."""
    options: Mapping[str, Any] = {} if buffers is None else {"buffer_callback": buffers.append}
    try:
        return pickle.dumps(value, protocol=5, **options) if _is_plain(value) else _cloud(value, options)
    except RecursionError:
        raise
    except Exception:  # noqa: BLE001 - what pickle cannot, cloudpickle may
        if buffers is not None:
            buffers.clear()
        return _cloud(value, options)


def _is_known(value: Any) -> bool:
    """Whether a value of this type can be pickled for certain."""
    if getattr(getattr(value, "dtype", None), "hasobject", False):
        return False
    return type(value) in (str, bytes, bytearray) or type(value).__module__.partition(".")[0] in ("numpy", "pyarrow")


_ATOMS: Final = frozenset({int, float, bool, complex, type(None), str, bytes})


def _is_plain(value: Any) -> bool:
    return type(value) in _ATOMS or type(value).__module__.partition(".")[0] in ("numpy", "pandas", "polars")


def _cloud(value: Any, options: Mapping[str, Any]) -> bytes:
    from cloudpickle import dumps

    return dumps(value, protocol=5, **options)  # type: ignore[no-any-return]


@dataclass(slots=True)
class _Teller:
    """Sends messages of one bundle, several at once while they come quickly."""

    name: str
    tell: Callable[[bytes], object]
    box: Box = field(default_factory=Box)
    waiting: list[Any] = field(default_factory=list)
    sent_at: float = 0.0
    lock: Any = field(default_factory=threading.Lock)
    timer: threading.Timer | None = None

    def add(self, message: Any) -> None:
        """Take a message; it is sent soon, those of calls that end one after the other together."""
        with self.lock:
            self.waiting.append(message)
        if time.perf_counter() - self.sent_at > PULSE and not isinstance(message, (Began, Over)):
            self.flush()

    def say(self, step: int, pieces: list[Any]) -> None:
        """Take output; it is sent after `PULSE` at the latest."""
        with self.lock:
            self.waiting.append(Said(step, pieces))
            late = time.perf_counter() - self.sent_at > PULSE and ends_line(pieces)
            if not late and self.timer is None:
                self.timer = threading.Timer(PULSE, self.flush)
                self.timer.daemon = True
                self.timer.start()
        if late:
            self.flush()

    def flush(self) -> None:
        """Send what waits."""
        with self.lock:
            if self.timer is not None:
                self.timer.cancel()
                self.timer = None
            self.sent_at = time.perf_counter()
            messages, self.waiting = self.waiting, []
            if not messages:
                return
            sent = pickle.dumps((self.name, messages), protocol=5)
            told = [m for m in messages if isinstance(m, (Ended, Over))]
            if told:
                self.box.told.append(sent if len(told) == len(messages) else pickle.dumps((self.name, told)))
            self.tell(sent)
