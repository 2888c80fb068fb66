"""`%cascade attach ADDRESS [RUN]`: a run of another process, or another machine, as a card in this cell.

In: an address and the name of a run. Out: a display that follows the run to its end. Invariant: the run goes on
whatever becomes of the card: running its cell again, or unloading the extension, ends the listening and nothing else;
only the card's own buttons steer it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from cascade.cli.codes import CommandError
from cascade.cli.desk import find_run, is_address, without_password
from cascade.cli.following import read_message
from cascade.cli.observing import Observer
from cascade.interfaces.remote_errors import ConnectorError, RemoteError
from cascade.notebook.commands import Said
from cascade.notebook.elsewhere_events import FlatGraph, Translator
from cascade.notebook.options import usage_error
from cascade.notebook.plain import plain
from cascade.notebook.session import Session
from cascade.notebook.view.driver import RunView
from cascade.notebook.view.routing import CellMark
from cascade.notebook.view.rungs import choose

if TYPE_CHECKING:
    from cascade.interfaces.events import Event
    from cascade.runtime.remote_desk import RemoteDesk, RunStatus

__all__ = ["RemoteRun", "attach_elsewhere", "is_address"]

LOOK: Final = 0.1  # seconds between two looks at the end
FIRST: Final = 0.4  # seconds that the card waits for what was said before


class RemoteRun:
    """A run elsewhere with the face of a `Run`, as far as messages tell it: no values, no arguments.

    Attributes:
        run_id, name, state, events, graph: as of a run; the graph has no arrows.
    """

    def __init__(self, desk: RemoteDesk, status: RunStatus) -> None:
        """Begin to listen."""
        self._desk = desk
        self._observer = Observer(desk, status)
        self._translator = Translator(status, without_password(str(getattr(desk.connector, "address", ""))))
        self._handlers: list[Callable[[list[Event]], None]] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._heard = threading.Event()
        self.run_id = status.run_id
        self.name = self._translator.name
        threading.Thread(target=self._listen, name="cascade-elsewhere", daemon=True).start()

    # -- what a view asks -----------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """How it is, as far as was heard."""
        return self._translator.state

    @property
    def graph(self) -> FlatGraph:
        """The nodes that were heard of."""
        with self._lock:
            return self._translator.graph

    @property
    def elapsed(self) -> float:
        """Seconds since the start, up to the end."""
        return self._observer.run.elapsed()

    @property
    def events(self) -> list[Event]:
        """What was heard, as events."""
        with self._lock:
            return list(self._translator.events)

    def subscribe(self, handler: Callable[[list[Event]], None]) -> Callable[[], None]:
        """Tell `handler` of all events from the beginning on; return what ends that."""
        with self._lock:
            if self._translator.events:
                handler(list(self._translator.events))
            self._handlers.append(handler)

        def end() -> None:
            with self._lock, contextlib.suppress(ValueError):
                self._handlers.remove(handler)

        return end

    def done(self) -> bool:
        """Whether nothing more will be heard."""
        return self._over.is_set()

    def result(self, timeout: float | None = None) -> Any:
        """Refuse: the value is where the run is.

        Raises:
            LookupError: always.
        """
        del timeout
        raise LookupError(f"The value of {self.name} is where the run is; messages do not carry it.")

    def redact(self, text: str) -> str:
        """Return `text`: secrets were taken out where the events were made."""
        return text

    def wait_for_past(self, seconds: float) -> None:
        """Wait until what was said before has come, where it is kept, but not longer than `seconds`."""
        self._heard.wait(seconds)

    # -- what a view orders: another thread tells the run, so that a click never waits for an answer -----------------

    def cancel(self, reason: str = "") -> None:
        """Stop the run."""
        self._order(lambda: self._desk.cancel(self.run_id, reason))

    def pause(self) -> None:
        """Have it start nothing more."""
        self._order(lambda: self._desk.pause(self.run_id))

    def resume(self) -> None:
        """Have it go on."""
        self._order(lambda: self._desk.resume(self.run_id))

    def _order(self, order: Callable[[], RunStatus]) -> None:
        def obey() -> None:
            with contextlib.suppress(RemoteError, ConnectorError):  # it has ended, or the connection is away
                status = order()
                self._observer.run.take_status(status)
                self._tell(lambda: self._translator.take_status(status, time.time()))

        threading.Thread(target=obey, name="cascade-order", daemon=True).start()

    # -- listening ------------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """Listen no more; the run goes on."""
        self._observer.leave()

    def _listen(self) -> None:
        seen = self._observer.run
        known = ""
        for message in self._observer.take(LOOK):
            told = read_message(message) if message is not None else None
            if told is not None and told.run_id == self.run_id:
                self._tell(lambda told=told: self._translator.hear(told))  # type: ignore[misc]
                continue
            self._heard.set()  # a pause: what was kept has come
            if seen.state != known and not seen.over:
                known = seen.state
                status = self._observer.status
                self._tell(lambda status=status: self._translator.take_status(status, time.time()))  # type: ignore[misc]
        if not self._observer.has_left:
            self._tell(lambda: self._translator.give_up(time.time()))
        self._heard.set()
        self._over.set()

    def _tell(self, make: Callable[[], list[Event]]) -> None:
        with self._lock:
            events = make()
            for handler in list(self._handlers) if events else ():
                handler(events)


class Guest:
    """A card of a run elsewhere, in the cell that made it.

    Attributes:
        cell: its id.
    """

    def __init__(self, session: Session, run: RemoteRun, leave: Callable[[], None]) -> None:
        """Show the run in the cell that runs now."""
        self.cell = session.cell
        self._session = session
        self._leave = leave
        self._run = run
        mark = CellMark.of_now(session.shell)
        self.view = RunView(
            run, mark, choose("auto", session.shell), current=lambda: session.mark, on_end=lambda _: self._let_go()
        )
        session.guests.append(self)
        self.view.open()

    def close(self, *, discard: bool) -> None:
        """End the card: with its last picture, or with none, since its cell runs again."""
        self._run.leave()
        self.view.close(discard=discard)

    def _let_go(self) -> None:
        """The display has ended: listen no more, and disconnect."""
        self._run.leave()
        self._leave()
        with contextlib.suppress(ValueError):
            self._session.guests.remove(self)


def attach_elsewhere(session: Session, words: Sequence[str]) -> Said | None:
    """Show a run at an address, the only one that goes on there if none is named, in the cell that runs now."""
    from cascade.adapters.connectors.addresses import open_connector
    from cascade.runtime.remote_desk import RemoteDesk

    if len(words) > 2:  # noqa: PLR2004 - an address and a run
        usage_error("%cascade attach takes an address and a run: %cascade attach mqtt://host:1883 1f3a.")
    address, run = words[0], words[1] if len(words) > 1 else None
    ways = contextlib.ExitStack()
    try:
        desk = ways.enter_context(RemoteDesk(open_connector(address)))
        remote = RemoteRun(desk, find_run(desk, run, "attach"))
    except (ConnectorError, RemoteError, CommandError) as error:
        ways.close()
        usage_error(plain(_in_notebook(str(error)), 600))
    remote.wait_for_past(FIRST)
    Guest(session, remote, ways.close)
    return None


def _in_notebook(text: str) -> str:
    """Return an error of the command line as it is said in a notebook."""
    return text.replace(", or as cascade run FILE:TARGET --connector", ", or by the command cascade run … --connector")
