"""A run → its display, kept up to date until the run is over.

In: a `Run`. Out: at most five frames a second on the best rung that works. Invariant: everything happens on the view's
thread, and nothing that happens there can fail the run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from cascade.interfaces.events import Event
from cascade.notebook import document
from cascade.notebook.bundle import finished_bundle, static_bundle
from cascade.notebook.cell_showing import preview_result
from cascade.notebook.figures import enlarge
from cascade.notebook.record import GraphLike, RunRecord
from cascade.notebook.view.feed import Feed, open_feed
from cascade.notebook.view.questions import ask, peeker_of
from cascade.notebook.view.routing import CellMark
from cascade.notebook.view.rungs import Rung, make_fallback, show_bundle

__all__ = ["RunLike", "RunView"]

COMMANDS = frozenset({"pause", "resume", "cancel", "step", "next"})
_REASSURE_FIRST, _REASSURE_EVERY = 1.0, 10.0
_GROW_EVERY = 1.0
_RESULT_PATIENCE = 5.0


class RunLike(Protocol):
    """What a view needs of a `Run`."""

    @property
    def graph(self) -> GraphLike:
        """What runs."""

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""

    @property
    def events(self) -> Sequence[Event]:
        """The events so far."""

    def subscribe(self, handler: Callable[[list[Event]], None]) -> Callable[[], None]:
        """Give events in batches to `handler`."""

    def result(self, timeout: float | None = None) -> Any:
        """Return the value."""

    def cancel(self, reason: str = "") -> None:
        """Stop."""

    def pause(self) -> None:
        """Start nothing more for now."""

    def resume(self) -> None:
        """Go on."""


class RunView:
    """One display of one run.

    Responsible for: frames in time, commands of the view, the last picture. Refuses: where news come from (`Feed`),
    what is true of the run (`RunRecord`) and how it is shown (`Rung`).

    Args:
        run: a handle. mark: the cell that the display belongs to. current: tells which cell runs now.
        rung: how it is shown; None shows nothing and only keeps the record.
        usual: how long tasks took in earlier runs. shows_value: whether the cell shows the run's value itself, so that
            the view need not. redact: takes secrets out of a text. locate: what people call a source file.
        on_end: called once when the display ends, on the view's thread.
    """

    def __init__(
        self,
        run: RunLike,
        mark: CellMark,
        rung: Rung | None,
        *,
        current: Callable[[], CellMark] | None = None,
        usual: Mapping[str, float] | None = None,
        shows_value: bool = False,
        redact: Callable[[str], str] = str,
        locate: Callable[[str], str] = str,
        on_end: Callable[[RunView], None] | None = None,
    ) -> None:
        """Prepare the record; `open` shows it."""
        self.run: Any = run
        self._usual = usual
        self.locate = locate
        self.record = RunRecord(run.graph, usual=usual, locate=locate)
        self.finished = threading.Event()
        self.fault = ""
        self.answered = threading.Event()  # set once a view in a browser has said something
        self._mark = mark
        self._current = current or (lambda: mark)
        self._rung = rung
        self._shows_value = shows_value
        self.redact = redact
        self._on_end = on_end
        self.place: Any = None
        self.lock = threading.RLock()
        self._wake = threading.Event()
        self._feed: Feed | None = None
        self._ending = threading.Event()
        self._resend = False
        self._discard = False
        self._fallen = False
        self._grown_at = 0.0

    @property
    def is_live(self) -> bool:
        """Whether there is a display that still changes."""
        return self._rung is not None and not self.finished.is_set()

    @property
    def takes_clicks(self) -> bool:
        """Whether the display has buttons that reach the run."""
        return getattr(self._rung, "takes_clicks", False) and not self.finished.is_set()

    def say(self, show: Callable[[], None]) -> None:
        """Show something in the run's own cell; a display that fails keeps nobody."""
        try:
            self._mark.run(show)
        except Exception as error:  # noqa: BLE001 - a front end may fail in any way
            self.fault = f"{type(error).__name__}: {error}"

    # -- what the outside asks ---------------------------------------------------------------------------------------

    def open(self) -> None:
        """Show the first picture at once and go on in a thread of its own."""
        document.catch_up(self.record)
        if self._rung is not None:
            self._try(self._rung.open)
        self._feed = open_feed(self.run, self.record, self._wake)
        threading.Thread(target=self._keep, name="cascade-view", daemon=True).start()

    def wait(self, timeout: float) -> bool:
        """Wait until the last picture is out, at most `timeout` seconds; return whether it is."""
        return self.finished.wait(timeout)

    def close(self, *, discard: bool = False) -> None:
        """End the display with the picture of now; with `discard` without any, since its cell runs again."""
        self._discard = self._discard or discard
        self._ending.set()
        self._wake.set()

    def catch_up(self) -> None:
        """Bring the record up to now: between two frames it is a little behind."""
        with self.lock:
            self._fold()

    # -- what a rung asks --------------------------------------------------------------------------------------------

    def make_snapshot(self) -> dict[str, Any]:
        """Return the document with ``seq``."""
        with self.lock:
            return self.record.snapshot(self.run.elapsed)

    def take_frame(self) -> dict[str, Any] | None:
        """Return the next frame."""
        with self.lock:
            return self.record.take_frame(self.run.elapsed)

    def make_document(self) -> dict[str, Any]:
        """Return the whole document, with what has been told by now."""
        with self.lock:
            self.catch_up()
            return self.record.document(self.run.elapsed)

    def make_bundle(self, note: str = "") -> dict[str, Any]:
        """Return picture and text of the run as it stands."""
        return static_bundle(self.make_document(), self.record.drawing.shape, note)

    def leave_picture(self, message: str) -> bool:
        """Put the picture of now where a widget stands; say whether it is there, and not the last one on its way.

        Args:
            message: what the picture says beside the state of the run.
        """
        with self.lock:
            place = getattr(self._rung, "place", None)
            if place is None or self._ending.is_set():
                return self._rung is None
            made = self.make_document()
            made["run"] = {**made["run"], "message": message}
            self._current().run(partial(place.replace, finished_bundle(made, self.record.drawing.shape)))
        return True

    def take_message(self, message: dict[str, Any]) -> None:
        """Post what the view in the browser wants; any thread may bring it."""
        self.answered.set()
        kind, command = message.get("type"), message.get("command")
        if kind == "ask":
            ask(self, message, self._reply)
            return
        if kind == "snapshot":
            self._resend = True
            self._wake.set()
        elif kind == "command" and command in COMMANDS:
            try:
                self._obey(str(command), str(message.get("node") or ""))
            except Exception as error:  # noqa: BLE001 - the front end must not get a traceback for a late click
                self.fault = f"{type(error).__name__}: {error}"

    def _reply(self, answer: dict[str, Any]) -> None:
        rung = self._rung
        if rung is not None:
            self._current().run(partial(rung.reply, answer))

    def _obey(self, command: str, box: str) -> None:
        if command == "cancel":
            self.run.cancel("cancelled in the view")
        elif command == "pause":
            self.run.pause()
        elif command == "step":
            self.run.step()
        elif command == "next":
            held = [unit.id for unit in list(self.record.units.values()) if unit.held and unit.box.id == box]
            self.run.next(held[0] if held else None)
        else:
            self.run.resume()

    # -- the view's thread -------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        """Show what comes until the run is over or the display is closed.

        Updates find their display by its id, so they travel with the cell that runs now: nbclient listens to no other.
        A display that is made here, when another failed, is made for the run's own cell.
        """
        try:
            self._loop()
        except Exception as error:  # noqa: BLE001 - a display must never bring its run down
            self.fault = f"{type(error).__name__}: {error}"
        finally:
            self._finish()
            self.finished.set()

    def _loop(self) -> None:
        interval, idle = (self._rung.interval, self._rung.idle) if self._rung is not None else (1.0, 60.0)
        due = time.monotonic()
        reassure = due + _REASSURE_FIRST
        while True:
            self._wait_for_news(min(time.monotonic() + idle, reassure))
            self._fold_until(due)
            if self._ending.is_set():
                return
            due = time.monotonic() + interval
            if due > reassure:
                reassure = due + _REASSURE_EVERY
                self._resend = True
            self._show()

    def _wait_for_news(self, until: float) -> None:
        feed = self._feed
        assert feed is not None  # noqa: S101 - it is open before this thread begins
        while not feed.waiting and not self._wake.is_set() and (left := until - time.monotonic()) > 0:
            self._wake.wait(min(feed.period, left))

    def _fold_until(self, due: float) -> None:
        """Fold what is there, and what comes until a frame is due: the frame waits for no more than the last of it.

        All at once would keep the run from its interpreter for as long as a frame may take to reach the page.
        """
        feed = self._feed
        assert feed is not None  # noqa: S101 - it is open before this thread begins
        while not self._ending.is_set():
            has_rung = self._wake.is_set()
            self._wake.clear()
            left = due - time.monotonic()
            if has_rung or left <= 0 or feed.waiting >= feed.worth:
                self._fold()
            if left <= 0:
                return
            if not self._ending.is_set():
                self._wake.wait(min(2 * feed.period, left) if feed.is_busy else left)

    def _show(self) -> None:
        if self._rung is None:
            return
        if self._resend:
            self._resend = False
            self._try(self._rung.push)
            self._try(self._rung.resend)
        else:
            self._try(self._rung.push)

    def _fold(self) -> None:
        with self.lock:
            if self._feed is not None:
                self._feed.fold(self.record)
                if self._feed.is_over:
                    self._ending.set()
            if self.record.unknown and time.monotonic() > self._grown_at + _GROW_EVERY:
                self._grow()

    def _grow(self) -> None:
        """A task returned a lazy result, so the graph is larger now: begin a new record with the same events."""
        self._grown_at = time.monotonic()
        self.record.unknown = False
        fresh = RunRecord(self.run.graph, usual=self._usual, locate=self.locate)
        if self._feed is None or not self._feed.begin_again(fresh) or fresh.elapsed < self.record.elapsed:
            return
        fresh.frames.seq = self.record.frames.seq
        document.catch_up(fresh)
        self.record = fresh
        self._resend = True

    # -- the end -----------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        try:
            self._fold()
            if self.record.unknown:
                self._grown_at = 0.0
                self._fold()
            if self.record.state == "completed":
                self._take_result()
            self._close_rung()
        except Exception as error:  # noqa: BLE001 - the run's value must reach its user without a last picture
            self.fault = f"{type(error).__name__}: {error}"
        if self._feed is not None:
            self._feed.close()
        if self._on_end is not None:
            self._on_end(self)

    def _close_rung(self) -> None:
        with self.lock:  # not while a picture of before is left
            rung, self._rung = self._rung, None
        if rung is None:
            return
        self.place = None if self._discard else getattr(rung, "place", None)
        if self._discard:
            self._current().run(partial(rung.close, None))
            return
        self._record_peeks()
        made = self.make_document()
        enlarge(made, getattr(self.run, "figure", _nothing_kept))
        bundle = finished_bundle(made, self.record.drawing.shape)
        try:
            self._current().run(partial(rung.close, bundle))
        except Exception as error:  # noqa: BLE001 - a front end may fail in any way
            self.fault = f"{type(error).__name__}: {error}"
            self._mark.run(partial(show_bundle, bundle))

    def _record_peeks(self) -> None:
        """Keep in the document what can be shown of its nodes when the kernel is gone."""
        try:
            with self.lock:
                self.record.peeks = peeker_of(self).record_all(document.room_for_peeks(self.record))
        except Exception as error:  # noqa: BLE001 - the picture is worth more than what could be said of its nodes
            self.fault = f"{type(error).__name__}: {error}"

    def _take_result(self) -> None:
        try:
            value = self.run.result(_RESULT_PATIENCE)
        except Exception:  # noqa: BLE001 - without a result there is nothing to preview
            return
        with self.lock:
            self.record.set_result(preview_result(self.run, value, self.redact, table=not self._shows_value))

    def _try(self, action: Callable[[Any], None]) -> None:
        """Call `action`; if the rung cannot, fall to pictures, and from there to nothing."""
        try:
            self._current().run(partial(action, self))
        except Exception as error:  # noqa: BLE001 - a front end may fail in any way
            self.fault = f"{type(error).__name__}: {error}"
            self._fall(error)

    def _fall(self, error: Exception) -> None:
        """Go on with pictures, shown in the run's own cell; after pictures there is nothing."""
        if self._rung is None or self._fallen:
            self._rung = None
            return
        self._fallen = True
        self._rung = make_fallback(error)
        try:
            self._mark.run(partial(self._rung.open, self))
        except Exception as fault:  # noqa: BLE001 - the second display failed like the first
            self._rung, self.fault = None, f"{type(fault).__name__}: {fault}"


def _nothing_kept(_name: str) -> None:
    """Stands for asking a run that keeps no pictures."""
