"""What tasks print, log and warn goes to their attempt; all else goes on as usual."""

from __future__ import annotations

import contextvars
import io
import logging
import sys
import warnings
from collections.abc import Callable

from cascade.notebook.output import OutputCapture, StreamProxy
from cascade.runtime.attempts import current_attempt


class Attempt:
    """Keeps what is written to it."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str, str]] = []

    def write(self, stream: str, text: str, level: str = "") -> None:
        self.said.append((stream, text, level))


def in_task(function: Callable[[], object]) -> Attempt:
    """Call `function` as the engine calls a task: in a context of its own, while output is captured."""
    attempt = Attempt()
    capture = OutputCapture()

    def call() -> None:
        current_attempt.set(attempt)  # type: ignore[arg-type]
        function()

    capture.acquire()
    try:
        contextvars.copy_context().run(call)
    finally:
        capture.release()
    return attempt


def test_prints_of_a_task_arrive_line_by_line() -> None:
    """The pieces that print writes are put together to lines."""
    attempt = in_task(lambda: print("a", 1, "\nb"))
    assert "".join(text for _, text, _ in attempt.said) == "a 1 \nb\n"
    assert all(stream == "stdout" and text.endswith("\n") for stream, text, _ in attempt.said)


def test_an_unfinished_line_arrives_when_the_task_ends() -> None:
    """Nothing that was printed is lost for want of a newline."""
    assert in_task(lambda: print("tail", end="")).said == [("stdout", "tail", "")]


def test_a_progress_bar_arrives_as_its_last_state() -> None:
    """What was overwritten by carriage returns is not repeated a hundred times."""

    def work() -> None:
        for done in range(100):
            print(f"\r{done + 1} of 100", end="", file=sys.stderr, flush=True)

    assert in_task(work).said == [("stderr", "100 of 100", "")]


def test_a_run_that_does_not_listen_prints_as_usual() -> None:
    """While one run's output is captured, another's that was started without capturing is not swallowed."""
    under = io.StringIO()
    proxy = StreamProxy(under, "stdout")  # type: ignore[arg-type]

    class Deaf(Attempt):
        writer = None

    def call() -> None:
        current_attempt.set(Deaf())  # type: ignore[arg-type]
        print("aloud", file=proxy, flush=True)

    contextvars.copy_context().run(call)
    assert under.getvalue() == "aloud\n"


def test_outside_tasks_nothing_changes() -> None:
    """The notebook's own output goes where it always went."""
    under = io.StringIO()
    proxy = StreamProxy(under, "stdout")  # type: ignore[arg-type]
    print("mine", file=proxy)
    proxy.flush()
    assert under.getvalue() == "mine\n"
    assert proxy.getvalue() == "mine\n"


def test_log_records_of_a_task_go_to_its_log() -> None:
    """With their level; handlers that do not write to the screen get them too, screens do not."""
    screen = io.StringIO()
    handler = logging.StreamHandler(screen)
    logging.getLogger("mine").addHandler(handler)
    try:
        attempt = in_task(lambda: logging.getLogger("mine").warning("careful %d", 3))
        logging.getLogger("mine").warning("outside")
    finally:
        logging.getLogger("mine").removeHandler(handler)
    assert attempt.said == [("log", "mine: careful 3", "warning")]
    assert screen.getvalue() == "outside\n"


def test_warnings_of_a_task_go_to_its_log() -> None:
    """A warning is told once, with its category."""

    def work() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old thing", DeprecationWarning, stacklevel=1)

    assert in_task(work).said == [("warning", "DeprecationWarning: old thing", "warning")]


def test_everything_is_restored_after_the_last_run() -> None:
    """Two runs share one installation, and the second release takes it away."""
    before = sys.stdout, sys.stderr, logging.Logger.callHandlers, warnings.showwarning
    capturing = OutputCapture()
    capturing.acquire()
    capturing.acquire()
    assert sys.stdout is not before[0]
    capturing.release()
    assert sys.stdout is not before[0]
    capturing.release()
    capturing.release()
    assert (sys.stdout, sys.stderr, logging.Logger.callHandlers, warnings.showwarning) == before


def test_a_stream_that_someone_else_replaced_is_left_in_place() -> None:
    """Who redirected stdout while a run went on keeps it."""
    before = sys.stdout
    capturing = OutputCapture()
    capturing.acquire()
    try:
        sys.stdout = theirs = io.StringIO()
        capturing.release()
        assert sys.stdout is theirs
    finally:
        sys.stdout = before
