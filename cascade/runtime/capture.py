"""What tasks print, log and warn → their own attempt, instead of whatever happens to run.

In: `sys.stdout`, `sys.stderr`, `logging`, `warnings` and pyplot's figures, while runs need them. Out: calls of
``attempt.write`` and ``attempt.show``. Invariant: what is said outside tasks goes where it always went; after the last
run everything is as it was.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any, TextIO

from cascade.runtime.attempts import current_attempt
from cascade.runtime.figures import install_figures

__all__ = ["OutputCapture", "StreamProxy", "listener"]

_LONGEST_PIECE = 8_192

Install = Callable[[], Callable[[], None]]  # installs something, and returns what undoes it


def listener() -> Any:
    """Return the attempt that this code runs in, if its run wants to hear what it says."""
    attempt = current_attempt.get()
    return attempt if attempt is not None and getattr(attempt, "writer", attempt) is not None else None


class _Line:
    """The unfinished line of one attempt; it lives in the attempt's context, and is passed on when that ends."""

    __slots__ = ("attempt", "stream", "text")

    def __init__(self, attempt: Any, stream: str) -> None:
        self.attempt = attempt
        self.stream = stream
        self.text = ""

    def take(self, text: str) -> None:
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
        attempt = listener()
        if attempt is None:
            return self._under.write(text)
        line = self._line.get()
        if line is None or line.attempt is not attempt:
            line = _Line(attempt, self._stream)
            self._line.set(line)
        line.take(str(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several pieces."""
        for text in lines:
            self.write(text)

    def flush(self) -> None:
        """Pass on what is not yet written, but for a progress bar that is still being overwritten."""
        if listener() is None:
            self._under.flush()
            return
        line = self._line.get()
        if line is not None and "\r" not in line.text:
            line.flush()

    def __getattr__(self, name: str) -> Any:
        """Everything else is the wrapped stream's."""
        return getattr(self._under, name)


class OutputCapture:
    """Installs the proxies while at least one run needs them.

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
                self._undo = [
                    _install_stream("stdout"),
                    _install_stream("stderr"),
                    _install_logging(),
                    _install_warnings(),
                    install_figures(listener),
                    *[install() for install in self._more],
                ]

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


def _install_stream(name: str) -> Callable[[], None]:
    under = getattr(sys, name)
    proxy = StreamProxy(under, name)
    setattr(sys, name, proxy)

    def undo() -> None:
        if getattr(sys, name) is proxy:
            setattr(sys, name, under)

    return undo


def _install_logging() -> Callable[[], None]:
    """Log records of tasks go to the attempt and to handlers that do not write to the screen.

    A handler on the root logger would be simpler, but `logging.basicConfig` does nothing once there is one.
    """
    original = logging.Logger.callHandlers

    def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
        attempt = listener()
        if attempt is None:
            original(logger, record)
            return
        attempt.write("log", f"{record.name}: {record.getMessage()}", record.levelname.lower())
        for handler in _handlers_of(logger):
            if record.levelno >= handler.level and not _writes_to_screen(handler):
                handler.handle(record)

    logging.Logger.callHandlers = call_handlers  # type: ignore[assignment, method-assign]

    def undo() -> None:
        if logging.Logger.callHandlers is call_handlers:
            logging.Logger.callHandlers = original  # type: ignore[method-assign]

    return undo


def _handlers_of(logger: logging.Logger) -> list[logging.Handler]:
    found: list[logging.Handler] = []
    current: logging.Logger | None = logger
    while current is not None:
        found += current.handlers
        current = current.parent if current.propagate else None
    return found


def _writes_to_screen(handler: logging.Handler) -> bool:
    return isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler)


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
        attempt = listener()
        if attempt is None or file is not None:
            original(message, category, filename, lineno, file, line)
        else:
            attempt.write("warning", f"{category.__name__}: {message}", "warning")

    warnings.showwarning = show

    def undo() -> None:
        if warnings.showwarning is show:
            warnings.showwarning = original

    return undo
