"""What tasks print, log and warn → their own attempt, instead of whatever happens to run.

In: `sys.stdout`, `sys.stderr`, `logging`, `warnings` and pyplot's figures, while runs need them. Out: calls of
``attempt.write`` and ``attempt.show``; of attempts that speak aloud, the same without secrets where it always went.
Invariant: what is said outside tasks goes where it always went, as it is; after the last run everything is as it was.
"""

from __future__ import annotations

import copy
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

from cascade.runtime.attempts import Attempt, current_attempt
from cascade.runtime.figures import install_figures
from cascade.runtime.redaction import Veil

if TYPE_CHECKING:
    from cascade.runtime.redaction import Redactor

__all__ = ["OutputCapture", "StreamProxy", "in_kernel", "listener", "say_aloud", "script_output", "voice_without"]

_LONGEST_PIECE = 8_192

Install = Callable[[], Callable[[], None]]  # installs something, and returns what undoes it


def listener() -> Any:
    """Return the attempt that this code runs in, if its run wants to hear what it says."""
    attempt = current_attempt.get()
    return attempt if attempt is not None and getattr(attempt, "writer", attempt) is not None else None


def _speaker() -> Any:
    """Return the attempt that this code runs in, if what it says is any matter of its run's."""
    attempt = current_attempt.get()
    if attempt is None or (getattr(attempt, "writer", attempt) is None and getattr(attempt, "redact", None) is None):
        return None
    return attempt


class _Line:
    """The unfinished line of one attempt; it lives in the attempt's context, and is passed on when that ends.

    What is said aloud goes below the `proxy` at once, but for what may be half a secret.
    """

    __slots__ = ("aloud", "attempt", "lock", "stream", "text", "veil")

    def __init__(self, attempt: Any, stream: str, proxy: StreamProxy) -> None:
        self.attempt = attempt
        self.stream = stream
        self.aloud = proxy if getattr(attempt, "aloud", False) else None
        self.text = ""
        redact = getattr(attempt, "redact", None)
        self.veil = Veil(redact) if redact is not None else None
        self.lock = threading.Lock()  # threads that a task starts with its context share the line

    def take(self, text: str) -> None:
        with self.lock:
            self._take(self.veil(text) if self.veil is not None else text)

    def _take(self, text: str) -> None:
        if self.aloud is not None and text:
            self.aloud.under.write(text)
        if getattr(self.attempt, "writer", self) is None:
            return
        text = self.text + text
        whole, newline, self.text = text.rpartition("\n")
        if newline:
            self.send(whole + newline)
        if len(self.text) > _LONGEST_PIECE:
            self.flush()

    def flush(self) -> None:
        """Pass on what is there, of a progress bar only its last state."""
        text, self.text = self.text, ""
        if text:
            self.send(text)

    def send(self, text: str) -> None:
        if "\r" in text:
            text = "\n".join(_last_state(line) for line in text.split("\n"))
        self.attempt.write(self.stream, text)

    def __del__(self) -> None:
        """The attempt's context ended: nothing can be added any more."""
        if self.veil is not None:
            self._take(self.veil.rest())
        self.flush()


def _last_state(line: str) -> str:
    """What a line shows that was overwritten by carriage returns."""
    return next((part for part in reversed(line.split("\r")) if part.strip()), "")


class StreamProxy:
    """Stands for `sys.stdout` or `sys.stderr`: writes of tasks go to their attempt, everything else passes through."""

    def __init__(self, under: TextIO, stream: str) -> None:
        """Wrap `under`; `stream` is ``stdout`` or ``stderr``."""
        self._under = under
        self._stream = stream
        self._line: ContextVar[_Line | None] = ContextVar(f"cascade_{stream}_line", default=None)

    def write(self, text: str) -> int:
        """Write a piece of text."""
        attempt = _speaker()
        if attempt is None:
            return self._under.write(text)
        line = self._line.get()
        if line is None or line.attempt is not attempt:
            line = _Line(attempt, self._stream, self)
            self._line.set(line)
        line.take(str(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several pieces."""
        for text in lines:
            self.write(text)

    def flush(self) -> None:
        """Pass on what is not yet written, but for a progress bar that is still being overwritten."""
        attempt = _speaker()
        if attempt is None or getattr(attempt, "aloud", False):
            self._under.flush()
        if attempt is None:
            return
        line = self._line.get()
        if line is not None and "\r" not in line.text:
            line.flush()

    @property
    def buffer(self) -> Any:
        """What takes bytes: those of tasks are text like any other."""
        return self._under.buffer if _speaker() is None else _Bytes(self, self._under.buffer)

    @property
    def under(self) -> TextIO:
        """Where everything that passes goes."""
        return self._under

    def put_under(self, under: TextIO) -> None:
        """Have everything that passes go to `under`."""
        self._under = under

    def __getattr__(self, name: str) -> Any:
        """Everything else is the wrapped stream's."""
        return getattr(self._under, name)


class _Bytes:
    """The binary side of a stream, in a task: what is written to it is written to the stream."""

    def __init__(self, proxy: StreamProxy, under: BinaryIO) -> None:
        self._proxy = proxy
        self._under = under

    def write(self, data: Any) -> int:
        taken = bytes(data)
        self._proxy.write(taken.decode(getattr(self._proxy, "encoding", None) or "utf-8", "backslashreplace"))
        return len(taken)

    def flush(self) -> None:
        self._proxy.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._under, name)


class OutputCapture:
    """Installs the proxies while at least one run needs them; all captures of a process share them.

    Args:
        more: what else is to be installed; each returns what undoes it.
    """

    def __init__(self, *more: Install) -> None:
        """Install nothing."""
        self._more = more
        self._lock = threading.Lock()
        self._users = 0
        self._undo: list[Callable[[], None]] = []

    @property
    def active(self) -> bool:
        """Whether the proxies are installed."""
        return self._users > 0

    def acquire(self) -> None:
        """Begin to capture; each call needs its `release`."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._undo = [_streams.install(), *[install() for install in self._more]]

    def release(self) -> None:
        """End what one `acquire` began; the last one restores everything."""
        with self._lock:
            if self._users == 0:
                return
            self._users -= 1
            if self._users == 0:
                for undo in reversed(self._undo):
                    undo()
                self._undo = []


class _Streams:
    """What is installed once, however many captures there are: the last to go takes it away."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._undo: list[Callable[[], None]] = []

    def install(self) -> Callable[[], None]:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._undo = [_install_logging(), _install_warnings(), _install_threads(), install_figures(listener)]
            for name in ("stdout", "stderr"):
                if not isinstance(getattr(sys, name), StreamProxy):  # also one that took its place meanwhile
                    self._undo.append(_install_stream(name))
        return self._remove

    def _remove(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                for undo in reversed(self._undo):
                    undo()
                self._undo = []


_streams = _Streams()
script_output = OutputCapture()  # of runs that nobody else captures for


def in_kernel() -> bool:
    """Whether this process is a notebook's kernel."""
    module = sys.modules.get("IPython.core.interactiveshell")
    shell = module.InteractiveShell if module is not None else None
    return shell is not None and bool(shell.initialized()) and hasattr(shell.instance(), "kernel")


def say_aloud(redact: Callable[[str], str], stream: str, text: str) -> None:
    """Write what an attempt said elsewhere (in a worker) where it would have gone from here, without secrets."""
    said = redact(text)
    under: Any = sys.stdout if stream == "stdout" else sys.stderr
    _outside(None, under.write, said if stream in ("stdout", "stderr") else f"{said}\n")


def voice_without(redact: Redactor) -> Attempt:
    """Return an attempt that nobody keeps: what it says goes where it always went, without secrets."""
    voice = Attempt(0, 0, print)
    voice.redact, voice.aloud = redact, True
    return voice


def _outside(redact: Any, call: Callable[..., Any], *args: Any) -> None:
    """Call something whose output belongs to no attempt; it has no secrets in it all the same."""
    token = current_attempt.set(voice_without(redact) if redact is not None else None)
    try:
        call(*args)
    finally:
        current_attempt.reset(token)


def _install_stream(name: str) -> Callable[[], None]:
    under = getattr(sys, name)
    proxy = StreamProxy(under, name)
    setattr(sys, name, proxy)

    def undo() -> None:
        if getattr(sys, name) is proxy:
            setattr(sys, name, proxy.under)

    return undo


def _install_logging() -> Callable[[], None]:
    """Log records of tasks go to the attempt and to handlers that do not write to the screen.

    A handler on the root logger would be simpler, but `logging.basicConfig` does nothing once there is one.
    """
    original = logging.Logger.callHandlers

    def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
        attempt = _speaker()
        if attempt is None:
            original(logger, record)
            return
        attempt.write("log", f"{record.name}: {record.getMessage()}", record.levelname.lower())
        redact = getattr(attempt, "redact", None)
        record = record if redact is None else _without_secrets(record, redact)
        if getattr(attempt, "aloud", False):
            _outside(redact, original, logger, record)
            return
        for handler in _handlers_of(logger):
            if record.levelno >= handler.level and not _writes_to_screen(handler):
                handler.handle(record)

    logging.Logger.callHandlers = call_handlers  # type: ignore[assignment, method-assign]

    def undo() -> None:
        if logging.Logger.callHandlers is call_handlers:
            logging.Logger.callHandlers = original  # type: ignore[method-assign]

    return undo


def _without_secrets(record: logging.LogRecord, redact: Redactor) -> logging.LogRecord:
    """Return the record, or one that says the same without the secrets in it."""
    message = record.getMessage()
    trace = record.exc_text or (logging.Formatter().formatException(record.exc_info) if record.exc_info else "")
    said, traced = redact(message), redact(trace)
    if said == message and traced == trace:
        return record
    clean = copy.copy(record)
    clean.msg, clean.args = said, None
    if trace:
        clean.exc_info, clean.exc_text = None, traced
    return clean


def _handlers_of(logger: logging.Logger) -> list[logging.Handler]:
    found: list[logging.Handler] = []
    current: logging.Logger | None = logger
    while current is not None:
        found += current.handlers
        current = current.parent if current.propagate else None
    return found


def _writes_to_screen(handler: logging.Handler) -> bool:
    return isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler)


def _install_threads() -> Callable[[], None]:
    """Threads that a task starts keep its secrets; what they say belongs to no attempt, which they may outlive."""
    original = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        redact = getattr(_speaker(), "redact", None)
        if redact is not None:
            work = thread.run

            def run() -> None:
                current_attempt.set(voice_without(redact))  # to its end, where its traceback is printed
                work()

            thread.run = run  # type: ignore[method-assign]
        original(thread)

    threading.Thread.start = start  # type: ignore[assignment, method-assign]

    def undo() -> None:
        if threading.Thread.start is start:
            threading.Thread.start = original  # type: ignore[method-assign]

    return undo


def _install_warnings() -> Callable[[], None]:
    original = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        attempt = _speaker()
        if attempt is None or file is not None:
            original(message, category, filename, lineno, file, line)
            return
        attempt.write("warning", f"{category.__name__}: {message}", "warning")
        if getattr(attempt, "aloud", False):
            redact = getattr(attempt, "redact", None)
            said: Warning | str = message if redact is None else redact(str(message))
            _outside(redact, original, said, category, filename, lineno, file, line)

    warnings.showwarning = show

    def undo() -> None:
        if warnings.showwarning is show:
            warnings.showwarning = original

    return undo
