"""The widget of `cs.controls`: a form with the view of its run below, in one model.

In: a function that makes snapshots of both, and one that takes messages. Out: a widget model; a rung that shows runs in
it, one after the other. Invariant: only the newest run is shown; what an older one still says is dropped.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import anywidget

from cascade.graph.markup import element
from cascade.notebook.bundle import static_bundle
from cascade.notebook.document import MIME
from cascade.notebook.view import widget as view_widget
from cascade.notebook.view.rungs import FRAMES_PER_SECOND

if TYPE_CHECKING:
    from cascade.graph.draw import Picture
    from cascade.notebook.view.rungs import Viewed

__all__ = ["ControlRung", "ControlWidget", "saved_bundle"]

SETTLING: Final = 2.0  # seconds that a browser may need to open a widget
Send = Callable[[dict[str, Any]], None]


@lru_cache(maxsize=1)
def _front_end() -> tuple[str, str]:
    """Return the ES module and the style sheet, as text."""
    static = files("cascade.notebook") / "static"
    return (static / "controls.js").read_text("utf-8"), (static / "view.css").read_text("utf-8")


class ControlWidget(view_widget.RunWidget):
    """One form, and the run below it."""

    def __init__(self, make_snapshot: Callable[[], dict[str, Any]], take: Callable[[dict[str, Any]], None]) -> None:
        """Open the widget; both functions are called in any thread."""
        self.make_snapshot = make_snapshot
        self.readers = 0
        self._opened_at = time.monotonic()
        code, style = _front_end()
        anywidget.AnyWidget.__init__(self, _esm=code, _css=style)
        self.on_msg(lambda _widget, content, _buffers: take(content) if isinstance(content, dict) else None)
        view_widget._answer_where_asked(self.comm)  # noqa: SLF001 - of the same package

    def close_in_time(self) -> None:
        """Close, but not before a browser has had time to open the widget: it would report an error."""
        wait = self._opened_at + SETTLING - time.monotonic()
        if wait <= 0:
            self.close()
            return
        timer = threading.Timer(wait, self.close)
        timer.daemon = True
        timer.start()


class ControlRung:
    """Shows one run below the form.

    Args:
        send: to the widget; None once a newer run is shown. closed: told the last bundle when the run is over.
    """

    interval = 1 / FRAMES_PER_SECOND
    idle = 1.0  # marks that come while the run goes on are told with the next frame
    takes_clicks = True

    def __init__(self, send: Send, closed: Callable[[ControlRung], None]) -> None:
        """Send nothing yet."""
        self.send: Send | None = send
        self._closed = closed
        self.place: Any = None

    def _say(self, message: dict[str, Any]) -> None:
        send = self.send
        if send is not None:
            send(message)

    def open(self, view: Viewed) -> None:
        """Show the first picture."""
        self.resend(view)

    def push(self, view: Viewed) -> None:
        """Send one frame."""
        frame = view.take_frame()
        if frame is not None:
            self._say({"type": "frame", **frame})

    def resend(self, view: Viewed) -> None:
        """Send everything."""
        self._say({"type": "snapshot", "snapshot": view.make_snapshot()})

    def reply(self, answer: dict[str, Any]) -> None:
        """Send the answer to a question."""
        self._say(answer)

    def close(self, bundle: dict[str, Any] | None) -> None:
        """Show the last picture; the widget stays."""
        if bundle is not None:
            self._say({"type": "snapshot", "snapshot": bundle[MIME]})
        if self.send is not None:
            self._closed(self)


def saved_bundle(
    document: Mapping[str, Any], shape: Picture, values: Sequence[tuple[str, str]], note: str
) -> dict[str, Any]:
    """Return what a saved notebook shows of controls: the values and the picture, without a kernel."""
    run = static_bundle(document, shape, note)
    rows = [element("tr", None, element("th", None, name), element("td", None, text)) for name, text in values]
    table = element("table", None, element("tbody", None, *rows)) if rows else ""
    told = "".join(f"  {name} = {text}\n" for name, text in values)
    return {
        MIME: dict(document),
        "text/html": f"<div>{table}{run['text/html']}</div>",
        "text/plain": f"controls of {document['run']['name']}\n{told}{run['text/plain']}",
    }
