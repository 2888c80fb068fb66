"""Controls → the cell in which they stand: a widget, or what can be shown without one.

In: `Controls`, the shell. Out: one display that lives as long as its cell does not run again. Invariant: showing never
fails the cell and never waits for a browser; where nobody looks, the first state is shown and nothing runs.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from cascade.notebook import watching
from cascade.notebook.bundle import live_bundle
from cascade.notebook.control_widget import ControlRung, ControlWidget, saved_bundle
from cascade.notebook.document import MIME, catch_up
from cascade.notebook.forecast import mark_nodes
from cascade.notebook.output import capture
from cascade.notebook.session import Session, current_session
from cascade.notebook.view.questions import ask
from cascade.notebook.view.routing import CellMark
from cascade.notebook.view.rungs import choose
from cascade.notebook.waiting import LAST_PICTURE

if TYPE_CHECKING:
    from cascade.notebook.controls import Controls
    from cascade.notebook.record import RunRecord
    from cascade.notebook.session import Job
    from cascade.runtime.handle import Run

__all__ = ["Place", "store_for"]

MOST_OPEN: Final = 10
QUIET: Final = 1.5  # seconds without a message after which what is saved is brought up to date
_INSTALL: Final = "For sliders and fields: pip install 'cascade-notebook[notebook]' ({} is missing)."
_NOBODY: Final = "Nobody can move controls here; .set(…) and .start() do the same."
_spare: list[Session] = []


def session_for(shell: Any) -> Session:
    """Return the session of this kernel; without the extension, one that only listens to which cell runs."""
    known = current_session()
    if known is not None:
        return known
    if not _spare:
        _spare.append(Session(shell))
        _spare[0].begin()
    return _spare[0]


def store_for(shell: Any, cache: Any) -> Any:
    """Return the store that ``cache=`` means in a notebook; None for nowhere."""
    from cascade.notebook.cell_task import store_of
    from cascade.runtime.run import open_store

    if cache is False:
        return None
    return store_of(session_for(shell)) if cache is None else open_store(cache)


class Place:
    """The display of one `Controls`.

    Responsible for: which cell owns it, the widget or what stands for it, the runs in it, what a saved notebook keeps.
    Refuses: values and plans (`Controls`).

    Attributes:
        cell: the id of the cell, empty if the front end gives none.
    """

    def __init__(self, shell: Any, view: str) -> None:
        """Take the shell and the wanted view; `open` shows something."""
        self.cell = ""
        self._shell = shell
        self._session = session_for(shell)
        self._wanted = view
        self._mark = CellMark.of_now(shell)
        self._controls: Controls | None = None
        self._widget: ControlWidget | None = None
        self._form: Any = None
        self._shown: Any = None
        self._rung: Any = None
        self._record: RunRecord | None = None
        self._job: Job | None = None
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None
        self._saved: dict[str, Any] = {}
        self._note = ""
        self._id = uuid.uuid4().hex  # by which a page knows these controls when it draws them again

    # -- opening and closing -----------------------------------------------------------------------------------------

    @property
    def is_watched(self) -> bool:
        """Whether someone sits before the notebook; who does not is shown one picture, which has to say all."""
        return watching.has_front_end(self._shell)

    def take(self, controls: Controls) -> None:
        """Take what will be shown, so that it can be marked before it is."""
        self._controls = controls
        self._record = controls.make_record()

    def open(self, controls: Controls) -> None:
        """Show the controls in the cell that runs now."""
        self.cell = self._cell_of_now()
        self._mark = CellMark.of_now(self._shell)
        others = [guest for guest in self._session.guests if isinstance(guest, Place)]
        for old in others[: max(0, len(others) - MOST_OPEN + 1)]:
            old.close(discard=False)
        self._session.guests.append(self)
        if self._wanted == "none":
            return
        self._rung = choose("static" if self._wanted in {"auto", "live"} else self._wanted, self._shell)
        if self._wanted in {"auto", "live"} and hasattr(self._shell, "kernel"):
            self._note = self._open_form(controls)
        self._shown = self._rung.place
        first = self._bundle()
        if self._widget is not None:
            first = _live(self._widget, first)
        self._saved = first
        self._shown.show(first)

    def _open_form(self, controls: Controls) -> str:
        """Make the best form that works here; return what is to be said where there is none."""
        if not self.is_watched:
            return _NOBODY
        try:
            self._widget = ControlWidget(self.snapshot, self._take)
        except ImportError as error:
            return self._open_plain_form(controls, error)
        except Exception as error:  # noqa: BLE001 - whatever a broken widget stack raises, the picture can be shown
            return f"The controls cannot be shown: {type(error).__name__}. {_NOBODY}"
        return ""

    def _open_plain_form(self, controls: Controls, error: ImportError) -> str:
        try:
            from cascade.notebook.control_forms import PlainForm

            self._form = PlainForm(controls)
        except ImportError as other:
            return _INSTALL.format(other.name)
        self._form.show()
        return _INSTALL.format(error.name)

    def _cell_of_now(self) -> str:
        asked = self._shell.get_parent() if hasattr(self._shell, "get_parent") else {}
        return str((asked or {}).get("metadata", {}).get("cellId") or "")

    def show_here(self, controls: Controls) -> None:
        """Show the controls in this cell, and a picture where they were; nothing to do in their own cell."""
        if not controls.is_open:
            from IPython.display import display

            display(self._bundle(), raw=True)
        elif self._mark.parent is None or self._shell.get_parent() != self._mark.parent:
            self._leave(discard=False)
            self.open(controls)

    def close(self, *, discard: bool) -> None:
        """End the display with its last picture; with `discard` without, since its cell runs again."""
        controls = self._controls
        if controls is not None and controls.is_open:
            controls._end(discard=discard)  # noqa: SLF001 - the two are one; it comes back here
            return
        self._leave(discard=discard)

    def _leave(self, *, discard: bool) -> None:
        if self in self._session.guests:
            self._session.guests.remove(self)
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            if isinstance(self._rung, ControlRung):
                self._rung.send = None
            widget, self._widget = self._widget, None
            form, self._form = self._form, None
        if not discard and self._shown is not None and widget is not None:
            self._speak(partial(self._shown.replace, self._bundle()))
        if form is not None:
            form.close()
        if widget is not None:
            widget.close_in_time()

    # -- runs --------------------------------------------------------------------------------------------------------

    def start(self, controls: Controls, values: Mapping[str, Any]) -> Run:
        """Start a run and show it in the place of the one before."""
        return self._mark.run(lambda: self._start(controls, values))

    def _start(self, controls: Controls, values: Mapping[str, Any]) -> Run:
        session = self._session
        capture.acquire()
        try:
            run = controls.begin(values, watched=hasattr(self._shell, "kernel"))
        except BaseException:
            capture.release()
            raise
        job = session.add(run, background=True)
        before, self._job = self._job, job
        job.cell = self.cell
        if before is not None:
            before.cell = ""
        view = session.show(job, self._wanted if self._widget is None else "auto", rung=self._next_rung(),
                            on_end=capture.release)  # fmt: skip
        self._record = view.record
        if self._widget is None:
            run.add_done_callback(controls.run_is_over)
        return run

    def _next_rung(self) -> Any:
        """Return what shows the next run where the present one stands, which has nothing to say any more."""
        with self._lock:
            if self._widget is None:
                rung = choose("static" if self._wanted in {"auto", "live"} else self._wanted, self._shell)
                if rung is not None and self._shown is not None:
                    rung.place = self._shown
                return rung
            if isinstance(self._rung, ControlRung):
                self._rung.send = None
            self._rung = ControlRung(self._send, self._run_is_over)
            return self._rung

    def _run_is_over(self, rung: ControlRung) -> None:
        if rung is self._rung and self._controls is not None:
            with self._owner_of_record() as record:
                catch_up(record)  # the last picture has everything; frames after it bring marks only
            self._controls.run_is_over()
            self._save_later()

    def wait(self) -> None:
        """Wait, bounded, for the last picture of a run that is over: a program that runs the notebook takes it then."""
        view = self._view
        if view is not None and self._widget is None:
            view.wait(LAST_PICTURE)

    @property
    def _view(self) -> Any:
        return self._job.views[-1] if self._job is not None and self._job.views else None

    # -- what is shown -----------------------------------------------------------------------------------------------

    def show_form(self) -> None:
        """Bring the form up to date."""
        if self._controls is None:
            return
        if self._widget is not None:
            self._send({"type": "form", "form": self._controls.state()})
            self._save_later()
        elif self._form is not None:
            self._form.update(self._controls.state())

    def mark(self, marks: Mapping[str, str]) -> None:
        """Mark the nodes that would run, and only those."""
        view = self._view
        with self._owner_of_record() as record:
            if record is None:
                return
            mark_nodes(record, marks)
            if self._widget is None or (view is not None and view.is_live):
                return  # the view's own next frame has them
            while (frame := record.take_frame()) is not None:
                frame.pop("seq")
                self._send({"type": "frame", **frame})

    @contextlib.contextmanager
    def _owner_of_record(self) -> Any:
        """Yield the record of what is shown, while nobody else may change it."""
        view = self._view
        with view.lock if view is not None else self._lock:
            yield view.record if view is not None else self._record

    def snapshot(self) -> dict[str, Any]:
        """Return all that the widget shows."""
        controls = self._controls
        form = controls.form() if controls is not None else {}
        return {"form": {"id": self._id, **form}, "run": self._document(live=True)}

    def _document(self, *, live: bool) -> dict[str, Any]:
        view = self._view
        if view is not None:
            made: dict[str, Any] = view.make_snapshot() if live and view.is_live else view.make_document()
            return made
        with self._owner_of_record() as record:
            return dict(record.document()) if record is not None else {}

    def _bundle(self) -> dict[str, Any]:
        """Return what a saved notebook keeps: the picture, and the values as text."""
        controls = self._controls
        with self._owner_of_record() as record:
            shape = record.drawing.shape
        told = controls.told_values() if controls is not None else []
        said = controls.state()["note"] if controls is not None else ""
        note = "\n".join(part for part in (said, self._note) if part)
        document = self._document(live=False)
        if controls is not None and self._form is None:
            document["controls"] = controls.form()
        return saved_bundle(document, shape, told, note)

    def _save_later(self) -> None:
        """Bring up to date what the notebook keeps, once nobody moves anything: the front end draws the output anew."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            if self._widget is None:
                return
            self._timer = threading.Timer(QUIET, self._save)
            self._timer.daemon = True
            self._timer.start()

    def _save(self) -> None:
        view, widget = self._view, self._widget
        if widget is None or (view is not None and view.is_live):
            return
        bundle = _live(widget, self._bundle())
        if bundle["text/plain"] != self._saved.get("text/plain"):
            self._saved = bundle
            self._speak(partial(self._shown.replace, bundle))

    # -- messages ----------------------------------------------------------------------------------------------------

    def _take(self, message: dict[str, Any]) -> None:
        """Take what the browser says; in any thread, and without ever waiting."""
        controls, view = self._controls, self._view
        kind = message.get("type")
        if controls is None:
            return
        if kind in {"input", "change", "reset", "run"}:
            controls.post(message)
        elif kind == "ask" and view is not None:
            ask(view, message, self._answer)
        elif kind == "snapshot":
            self._send({"type": "state", "state": self.snapshot()})
        elif kind == "command" and view is not None:
            view.take_message(message)

    def _answer(self, answer: dict[str, Any]) -> None:
        self._speak(partial(self._send, answer))

    def _send(self, message: dict[str, Any]) -> None:
        widget = self._widget
        if widget is not None:
            with contextlib.suppress(Exception):  # the page may be gone at any moment, and nobody misses it
                widget.send(message)

    def _speak(self, say: Callable[[], None]) -> None:
        """Say something from a thread that no cell runs in; updates travel with the cell that runs now."""
        with contextlib.suppress(Exception):  # a front end may fail in any way
            self._session.mark.run(say)


def _live(widget: ControlWidget, bundle: dict[str, Any]) -> dict[str, Any]:
    """Return a bundle that is drawn as widget while it lives, not as a finished run."""
    picture = {kind: shown for kind, shown in bundle.items() if kind != MIME}
    return live_bundle(widget.model_id, bundle[MIME], picture)
