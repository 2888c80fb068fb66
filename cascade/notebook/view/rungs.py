"""The three ways to show a run, best first: live widget, picture drawn anew, text.

In: bundles, frames. Out: messages to the front end. Invariant: a rung shows or raises at once; whoever drives it falls
to the next one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from cascade.notebook.bundle import SAVED, live_bundle
from cascade.notebook.summary import summarize

if TYPE_CHECKING:
    from cascade.notebook.view.widget import RunWidget

__all__ = [
    "Displayed",
    "LiveRung",
    "Rung",
    "StaticRung",
    "TextRung",
    "Viewed",
    "choose",
    "make_fallback",
    "show_bundle",
]

FRAMES_PER_SECOND, PICTURES_PER_SECOND = 5.0, 2.0
SETTLING = 2.0  # seconds that a browser may need to open a widget
MOST_KEPT = 5  # widgets of pages that were loaded again while their run went on
_EXTRA = "pip install 'cascade-notebook[notebook]'"


class Viewed(Protocol):
    """What a rung asks of the view that drives it."""

    def make_snapshot(self) -> dict[str, Any]:
        """Return the document with ``seq``."""

    def take_frame(self) -> dict[str, Any] | None:
        """Return the next frame."""

    def make_document(self) -> dict[str, Any]:
        """Return the whole document."""

    def make_bundle(self, note: str = "") -> dict[str, Any]:
        """Return the static bundle of the run as it stands."""

    def take_message(self, message: dict[str, Any]) -> None:
        """Take what the view in the browser says."""


class Rung(Protocol):
    """One way to show a run.

    Attributes:
        interval: the least time between two pushes, in seconds. idle: the longest, when nothing happens.
        place: the display that it has; one that gets the place of another stands there instead.
    """

    interval: float
    idle: float
    place: Any

    def open(self, view: Viewed) -> None:
        """Show the first picture."""

    def push(self, view: Viewed) -> None:
        """Show what changed."""

    def resend(self, view: Viewed) -> None:
        """Show everything again, since someone missed a part."""

    def reply(self, answer: dict[str, Any]) -> None:
        """Send the answer to a question of the view in the browser."""

    def close(self, bundle: dict[str, Any] | None) -> None:
        """Put `bundle` in the place of the display; None leaves it as it is."""


def show_bundle(bundle: dict[str, Any]) -> None:
    """Show a bundle in the cell of this thread."""
    Displayed().show(bundle)


class Displayed:
    """A display that can be replaced by its id, from any thread and while any cell runs."""

    def __init__(self) -> None:
        """Show nothing yet."""
        from IPython.display import DisplayHandle

        self.handle = DisplayHandle()
        self._stands = False

    def show(self, bundle: dict[str, Any]) -> None:
        """Show `bundle` in the cell that runs now, or where it stands already."""
        if self._stands:
            self.replace(bundle)
            return
        self._stands = True
        self.handle.display(bundle, raw=True)

    def replace(self, bundle: dict[str, Any]) -> None:
        """Show `bundle` instead of what stands there."""
        self.handle.update(bundle, raw=True)


class LiveRung:
    """An anywidget while the run goes on; the finished bundle, without it, when it is over."""

    takes_clicks = True

    interval = 1 / FRAMES_PER_SECOND
    idle = 60.0

    def __init__(self) -> None:
        """Import what the widget needs.

        Raises:
            ImportError: anywidget or ipywidgets is not installed. FileNotFoundError: the front end is not built.
        """
        from cascade.notebook.view import widget

        widget.front_end()
        self._make: Callable[..., RunWidget] = widget.RunWidget
        self._widget: RunWidget | None = None
        self._opened_at = 0.0
        self.place: Any = Displayed()

    def open(self, view: Viewed) -> None:
        """Open the widget and show it, with document and picture beside it for whoever finds no model any more."""
        self._widget = self._make(view.make_snapshot, view.take_message)
        self._opened_at = time.monotonic()
        self.place.show(live_bundle(self._widget.model_id, view.make_document(), view.make_bundle(SAVED)))

    def push(self, view: Viewed) -> None:
        """Send one frame."""
        frame = view.take_frame()
        if frame is not None and self._widget is not None:
            self._widget.send({"type": "frame", **frame})

    def resend(self, view: Viewed) -> None:
        """Send a snapshot."""
        del view
        if self._widget is not None:
            self._widget.send_snapshot()

    def reply(self, answer: dict[str, Any]) -> None:
        """Send an answer."""
        if self._widget is not None:
            self._widget.send(answer)

    def close(self, bundle: dict[str, Any] | None) -> None:
        """Replace the widget by `bundle`, then close it; on a page that was loaded again, it stays with its last state.

        Such a page does not know the display's id any more: all that it has is the widget.
        """
        widget, self._widget = self._widget, None
        if bundle is not None:
            self.place.replace(bundle)
        if widget is None:
            return
        if bundle is not None and widget.readers > 1:
            widget.send_snapshot()
            _keep(widget)
        else:
            widget.lighten()
            _close_in_time(widget, self._opened_at)


_kept: list[RunWidget] = []


def _keep(widget: RunWidget) -> None:
    """Leave a widget open, but not more than a few of them."""
    _kept.append(widget)
    while len(_kept) > MOST_KEPT:
        _kept.pop(0).close()


def _close_in_time(widget: RunWidget, opened_at: float) -> None:
    """Close a widget, but not before a browser has had time to open it: it would report an error."""
    wait = opened_at + SETTLING - time.monotonic()
    if wait <= 0:
        widget.close()
        return
    timer = threading.Timer(wait, widget.close)
    timer.daemon = True
    timer.start()


class StaticRung:
    """A picture that is replaced through its display id."""

    interval = 1 / PICTURES_PER_SECOND
    idle = 2.0

    def __init__(self, note: str = "") -> None:
        """`note` is a line under the picture while the run goes on."""
        self._note = note
        self.place: Any = Displayed()

    def open(self, view: Viewed) -> None:
        """Show the first picture."""
        self.place.show(view.make_bundle(self._note))

    def push(self, view: Viewed) -> None:
        """Replace the picture."""
        self.place.replace(view.make_bundle(self._note))

    def resend(self, view: Viewed) -> None:
        """Replace the picture."""
        self.push(view)

    def reply(self, answer: dict[str, Any]) -> None:
        """Nobody can ask a picture."""

    def close(self, bundle: dict[str, Any] | None) -> None:
        """Replace the picture for good."""
        if bundle is not None:
            self.place.replace(bundle)


class TextRung:
    """Text: replaced by its display id in a kernel, printed once at the end in a terminal."""

    def __init__(self, *, replaces: bool, note: str = "") -> None:
        """`replaces` tells whether a display can be replaced here."""
        self.interval = 1.0 if replaces else 60.0
        self.idle = 5.0 if replaces else 60.0
        self._replaces = replaces
        self._note = note
        self.place: Any = Displayed()

    def open(self, view: Viewed) -> None:
        """Show the first text."""
        if self._replaces:
            self.place.show(self._text(view))

    def push(self, view: Viewed) -> None:
        """Replace the text."""
        if self._replaces:
            self.place.replace(self._text(view))

    def resend(self, view: Viewed) -> None:
        """Replace the text."""
        self.push(view)

    def reply(self, answer: dict[str, Any]) -> None:
        """Nobody can ask a text."""

    def close(self, bundle: dict[str, Any] | None) -> None:
        """Show the last text."""
        if bundle is None:
            return
        text = {"text/plain": bundle["text/plain"]}
        if self._replaces:
            self.place.replace(text)
        else:
            self.place.show(text)

    def _text(self, view: Viewed) -> dict[str, Any]:
        text = summarize(view.make_document())
        return {"text/plain": f"{text}\n{self._note}" if self._note else text}


def make_fallback(error: Exception) -> Rung:
    """Return the rung for a run whose display broke."""
    return StaticRung(f"The live view failed ({type(error).__name__}); this picture is drawn anew from time to time.")


def choose(wanted: str, shell: Any) -> Rung | None:
    """Return the best rung that works here, at most as good as `wanted` (``auto live static text none``)."""
    if wanted == "none":
        return None
    in_kernel = hasattr(shell, "kernel")
    note = ""
    if wanted in {"auto", "live"} and in_kernel:
        try:
            return LiveRung()
        except ImportError as error:
            note = (
                f"This picture is drawn anew from time to time. For the live view: {_EXTRA} ({error.name} is missing)."
            )
        except Exception as error:  # noqa: BLE001 - whatever a broken widget stack raises, there is another rung
            note = f"This picture is drawn anew from time to time: the live view failed ({type(error).__name__})."
    if wanted == "text" or not in_kernel:
        return TextRung(replaces=in_kernel)
    return StaticRung(note)
