"""What a task writes and shows in a worker process → pieces that travel back with its value.

In: a call, in the worker; the pieces, in the process that runs the flow. Out: what came of the call, and its output as
if the task had run here. Invariant: bounded; a call that nobody listens to costs nothing more.

A worker has no notebook: nothing there knows what ``display`` or ``plt.show`` should do. So there
they mean what they mean in a cell. The workers of a run tell it while they work (`cascade.runtime.hearing`); what other
executors' workers write arrives when the attempt ends.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterable
from contextvars import copy_context
from itertools import groupby
from operator import itemgetter
from types import ModuleType
from typing import Any, Final

from cascade.runtime.attempts import Attempt, current_attempt
from cascade.runtime.capture import OutputCapture, listener, say_aloud
from cascade.runtime.displays import Display, bundle_of, from_bundle
from cascade.runtime.figures import WhenImported, is_figure
from cascade.runtime.hearing import Announcer, line

__all__ = ["Ears", "Piece", "listen", "prepare_display", "prepare_display_here", "repeat"]

MOST_TEXT: Final = 1_000_000  # characters of one call
MOST_DISPLAYS: Final = 200  # of one call
DISPLAY: Final = "IPython.core.display_functions"

Piece = tuple[str, str, str] | Display  # stream, text, level


class Ears:
    """Takes what one call writes and shows; its attempt's `Writer`.

    Args:
        pass_on: takes pieces as they come; None: they are kept in `pieces`.
    """

    __slots__ = ("_pass_on", "pieces", "room", "shown")

    def __init__(self, pass_on: Callable[[list[Piece]], object] | None = None) -> None:
        """Hear nothing yet."""
        self.pieces: list[Piece] = []
        self.room = MOST_TEXT
        self.shown = 0
        self._pass_on = self.pieces.extend if pass_on is None else pass_on

    def write(self, attempt: Attempt, stream: str, text: str, level: str) -> None:
        """Keep a piece of text."""
        del attempt
        if self.room > 0:
            self._pass_on([(stream, text[: self.room], level)])
            self.room -= len(text)
            if self.room <= 0:
                self._pass_on([("stderr", "The rest of the output is left out.", "warning")])

    def show(self, attempt: Attempt, display: Display) -> None:
        """Keep a display."""
        del attempt
        self.shown += 1
        if self.shown <= MOST_DISPLAYS:
            self._pass_on([display])


_capture = OutputCapture()  # of this process; workers of others may run several calls at once


def listen(call: Callable[[], Any], token: str = "") -> tuple[Any, ...]:
    """Return what came of `call` (two parts), what it wrote and showed, and how often some of that was told meanwhile.

    Args:
        token: under which someone listens to this worker while it works; empty: nobody does.
    """
    send = line(token) if token else None
    announcer = Announcer(send) if send is not None else None
    ears = Ears() if announcer is None else Ears(announcer.say)
    attempt = Attempt(0, 0, print)
    attempt.writer = ears
    prepare_display_here()
    _capture.acquire()
    try:
        ended_well, value = copy_context().run(_run, attempt, call)  # lines without an end are written as it goes
    finally:
        _capture.release()
    if announcer is None:
        return ended_well, value, ears.pieces, 0
    announcer.flush()
    return ended_well, value, announcer.left, announcer.count


def _run(attempt: Attempt, call: Callable[[], Any]) -> Any:
    current_attempt.set(attempt)
    try:
        return call()
    finally:
        attempt.conclude()


def repeat(output: Iterable[list[Piece]], attempt: Attempt) -> None:
    """Give the pieces that came back from a worker to the attempt."""
    for pieces in output:
        for piece in pieces:
            if isinstance(piece, Display):
                attempt.show(piece)
            else:
                attempt.write(*piece)
        if attempt.aloud:
            texts = (piece[:2] for piece in pieces if not isinstance(piece, Display))
            for stream, group in groupby(texts, itemgetter(0)):
                _repeat_aloud(attempt, stream, [text for _, text in group])


def _repeat_aloud(attempt: Attempt, stream: str, texts: list[str]) -> None:
    """Say what came together in one go, so that others who write at the same time do not come in between."""
    is_written = stream in ("stdout", "stderr")  # else each is a line of its own
    for text in ["".join(texts)] if is_written else texts:
        say_aloud(attempt.redact or str, stream, text)


# -- display, in a worker ---------------------------------------------------------------------------------------------


def prepare_display() -> None:
    """Have IPython's ``display`` show to whoever listens, for the life of this process.

    Before anything else: other modules take the function itself, and keep it.
    """

    def place(module: ModuleType) -> None:
        for name, instead in (("display", _display), ("update_display", _display), ("clear_output", _clear)):
            setattr(module, name, instead)

    if getattr(builtins, "display", None) is _display:
        return
    WhenImported(DISPLAY, place).begin()
    if not hasattr(builtins, "display"):  # as in the cells of a notebook
        builtins.display = _display  # type: ignore[attr-defined]


def prepare_display_here() -> None:
    """Do so unless this process is a notebook's own."""
    if not _is_notebook():
        prepare_display()


def _is_notebook() -> bool:
    """Whether this process is a kernel, as with workers that are threads of it: there ``display`` is the shell's."""
    module = sys.modules.get("IPython.core.interactiveshell")
    return module is not None and bool(module.InteractiveShell.initialized())


def _display(*shown: Any, raw: bool = False, **options: Any) -> None:
    """Show objects as IPython's ``display`` does."""
    del options
    attempt = listener()
    for one in shown:
        if attempt is None:
            sys.stdout.write(f"{one!r}\n")  # as IPython does where there is no notebook
        elif is_figure(one):
            attempt.show_figure(one)
        else:
            attempt.show(from_bundle(one if raw and isinstance(one, dict) else bundle_of(one)))


def _clear(*_args: Any, **_options: Any) -> None:
    """Clear nothing."""
