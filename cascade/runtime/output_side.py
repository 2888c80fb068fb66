"""What the attempts of a flow write and show → its records, the pictures that it keeps, and what the store keeps.

In: pieces of text and displays, from any thread. Out: events, pictures by name, keepsakes. Invariant: secrets are taken
out before anything is kept; records stay light, since a picture lies beside them once, however often it is shown, and
all pictures of a run together have a largest size.
"""

from __future__ import annotations

import base64
import threading
from collections import OrderedDict
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from cascade.interfaces.events import DisplayShown
from cascade.runtime import journal as jr
from cascade.runtime.attempts import current_attempt
from cascade.runtime.html_text import Table
from cascade.runtime.keepsakes import Keepsakes
from cascade.runtime.pictures import SVG, Picture, look_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cascade.interfaces.protocols import Store
    from cascade.interfaces.records import Entry
    from cascade.runtime.attempts import Attempt
    from cascade.runtime.displays import Display
    from cascade.runtime.flow import Flow

__all__ = ["OutputSide"]

MOST_KEPT: Final = 32_000_000  # bytes of pictures that a run keeps; beyond it, the oldest go
MOST_REPEATED: Final = 500  # items of a map from the store whose output is shown again
MOST_SHOWN: Final = 200  # displays of one node, all its items together


class OutputSide:
    """Takes the output of one flow's attempts; the `Writer` of each."""

    __slots__ = ("_counts", "_is_on", "_kept", "_lock", "_size", "_voice", "flow")

    def __init__(self, flow: Flow) -> None:
        """Keep nothing yet."""
        self.flow = flow
        self._kept: OrderedDict[str, Picture] = OrderedDict()
        self._size = 0
        self._counts: dict[int, int] = {}
        self._lock = threading.Lock()
        self._is_on = False
        self._voice: Attempt | None = None

    # -- from the beginning to the end of the run ---------------------------------------------------------------------

    def begin(self) -> None:
        """Hear what tasks say, if someone watches or there are secrets; again when a graph that grew brought some."""
        settings = self.flow.settings
        if not self._is_on and settings.is_heard:
            from cascade.runtime.capture import script_output  # most runs need none

            self._is_on = True
            script_output.acquire()
        if self._voice is None and settings.redact.secrets:  # of resources, and of inline calls that have no attempt
            from cascade.runtime.capture import voice_without

            self._voice = voice_without(settings.redact)
            speak: Any = partial(current_attempt.set, self._voice)
            self.flow.context.run(speak)
            speak()
            self.flow.post(speak)  # the driver has a copy of its own

    def end(self, *, waits: bool = False) -> None:
        """Put everything back; threads that could not be stopped and may say secrets are heard to their end."""
        while waits and self._is_on and self.flow.running and self.flow.settings.redact.secrets:
            self.flow.wait_for_ends()
        if self._is_on and (waits or not self.flow.running):
            from cascade.runtime.capture import script_output

            self._is_on = False
            script_output.release()

    # -- from attempts, on any thread, without the flow's lock --------------------------------------------------------

    def write(self, attempt: Attempt, stream: str, text: str, level: str) -> None:
        """Record a piece of text."""
        shown = self.flow.settings.redact(text)
        keepsakes = self._keepsakes_for(attempt)
        if keepsakes is not None:
            keepsakes.note((attempt.node, attempt.index), stream, shown, level)
        self.flow.record((jr.OUTPUT, self.flow.now(), attempt.node, attempt.index, stream, shown, level))

    def show(self, attempt: Attempt, display: Display) -> None:
        """Record something that was displayed."""
        if display.is_empty:
            return
        count = self._counts[attempt.node] = self._counts.get(attempt.node, 0) + 1
        if count > MOST_SHOWN:
            if count == MOST_SHOWN + 1:
                self.write(attempt, "stderr", f"Only the first {MOST_SHOWN} displays of a node are shown.", "warning")
            return
        journal = self.flow.journal
        display = self._redacted(display)
        if not display.made_at:
            display = replace(display, made_at=journal.wall + self.flow.now() - journal.start)
        keepsakes = self._keepsakes_for(attempt)
        if keepsakes is not None:
            keepsakes.note_display((attempt.node, attempt.index), display)
        self._tell(attempt.node, attempt.index, display)

    def repeat(self, node: int, kept: str | None, index: int | None = None) -> None:
        """Record again what a node (or item) from the store wrote and showed when it really ran."""
        for piece in Keepsakes.unpack(kept):
            if isinstance(piece, tuple):
                self.flow.record((jr.OUTPUT, self.flow.now(), node, index, *piece))
            else:
                self._tell(node, index, piece)

    def repeat_items(self, node: int, entries: Mapping[int, Entry], store: Store) -> None:
        """Record again what items from the store wrote and showed, the first of them."""
        spoke = [(index, entry.outputs) for index, entry in entries.items() if entry.outputs]
        for index, outputs in spoke[:MOST_REPEATED]:
            self.repeat(node, store.get_text(outputs), index)

    def _keepsakes_for(self, attempt: Attempt) -> Keepsakes | None:
        rebuilder = self.flow.rebuilder
        if rebuilder is None or attempt.node not in rebuilder.policies:
            return None
        return rebuilder.keepsakes

    def _redacted(self, display: Display) -> Display:
        redact = self.flow.settings.redact
        rows = tuple(tuple(redact(cell) for cell in row) for row in display.table.rows)
        text, table = redact(display.text), Table(rows, display.table.more)
        picture, small = display.picture, display.thumbnail
        if picture is not None and picture.mime == SVG:  # a drawing that is text
            data = redact(picture.data.decode("utf-8", "replace")).encode("utf-8", "replace")
            if data != picture.data:
                picture = look_at(data)
                small = picture if small is not None and small.mime == SVG else small
        return replace(display, text=text, table=table, picture=picture, thumbnail=small)

    def _tell(self, node: int, index: int | None, display: Display) -> None:
        picture, small = display.picture, display.thumbnail
        self._keep(display)
        graph = self.flow.graph
        self.flow.journal.tell(
            DisplayShown,
            node=graph.ids[node],
            name=graph.labels[node],
            index=index,
            text=display.text,
            figure=display.id,
            mime=picture.mime if picture is not None else "",
            width=picture.width if picture is not None else 0,
            height=picture.height if picture is not None else 0,
            size=len(picture.data) if picture is not None else 0,
            thumbnail=base64.b64encode(small.data).decode("ascii") if small is not None else "",
            thumbnail_mime=small.mime if small is not None else "",
            table=display.table.rows,
            more=display.table.more,
            made_at=display.made_at,
        )

    # -- the pictures -------------------------------------------------------------------------------------------------

    def _keep(self, display: Display) -> None:
        if display.picture is None:
            return
        with self._lock:
            name = display.id
            if name not in self._kept:
                self._kept[name] = display.picture
                self._size += len(display.picture.data)
            while self._size > MOST_KEPT:
                _, oldest = self._kept.popitem(last=False)
                self._size -= len(oldest.data)

    def figure(self, name: str) -> Picture | None:
        """Return a picture as it was shown, None if it is not kept (any more)."""
        with self._lock:
            return self._kept.get(name)
