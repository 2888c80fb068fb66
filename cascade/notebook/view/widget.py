"""The live view's widget: an anywidget that hands out the truth as a snapshot and takes three commands.

In: a function that makes snapshots, and one that takes messages. Out: a widget model. Invariant: a message from the
browser, in whatever thread it comes, only posts; it never waits and never raises.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files
from typing import Any

import anywidget
import traitlets

__all__ = ["RunWidget", "front_end"]

_NOTHING = "export default { render() {} };"


@lru_cache(maxsize=1)
def front_end() -> tuple[str, str]:
    """Return the view's ES module and its style sheet.

    As text and not as paths: anywidget watches files that it is given by path, and the watcher keeps widgets alive.

    Raises:
        FileNotFoundError: in a copy of the sources in which the front end was not built.
    """
    static = files("cascade.notebook") / "static"
    return (static / "widget.js").read_text("utf-8"), (static / "view.css").read_text("utf-8")


def _to_snapshot(_: object, widget: RunWidget) -> dict[str, Any]:
    widget.readers += 1
    return {**widget.make_snapshot(), "display": widget.display}


class RunWidget(anywidget.AnyWidget):
    """One live display of one run.

    The trait `snapshot` never changes, its serializer computes: whoever asks for the state, after a reload or in a
    second view, gets what is true at that moment.

    Attributes:
        display: tells this display from others of the same run. readers: how often someone asked: once when it is
            opened, and again after each reload of the page.
    """

    display = ""
    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)
    snapshot = traitlets.Dict().tag(sync=True, to_json=_to_snapshot)

    def __init__(self, make_snapshot: Callable[[], dict[str, Any]], take: Callable[[dict[str, Any]], None]) -> None:
        """Open the widget.

        Args:
            make_snapshot: gives the document with ``seq``; called in any thread.
            take: gets each message of the view; called in any thread.
        """
        self.make_snapshot = make_snapshot
        self.display = uuid.uuid4().hex[:12]
        self.readers = 0
        self.is_heard = False
        code, style = front_end()
        super().__init__(_esm=code, _css=style)

        def hear(_widget: object, content: object, _buffers: object) -> None:
            self.is_heard = True
            if isinstance(content, dict):
                take(content)

        self.on_msg(hear)
        _answer_where_asked(self.comm)

    def lighten(self) -> None:
        """Leave nothing heavy behind: programs that run notebooks save the last state of every widget there was.

        A widget that a browser has opened stays as it is.
        """
        if not self.is_heard:
            self.make_snapshot = dict
            self._esm, self._css = _NOTHING, ""
            self.send_state("snapshot")

    def close(self) -> None:
        """Close the widget and its layout, which ipywidgets would keep for ever."""
        layout = self.layout
        super().close()
        layout.close()

    def send_snapshot(self) -> None:
        """Send the present state to every view of this widget."""
        self.send({"type": "snapshot", "snapshot": self.make_snapshot()})


def _answer_where_asked(comm: Any) -> None:
    """Let clicks through while the cell blocks.

    ipykernel 7 routes what a view sends to the shell that last wrote on its comm. That is the main shell, which is busy
    with the cell; the subshell on which the click arrives is free.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _data, default: default  # noqa: SLF001 - there is no public way
