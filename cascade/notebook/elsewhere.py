"""`%cascade attach ADDRESS [RUN]`: a run of another process, or another machine, as a card in this cell.

In: an address and the name of a run. Out: a display that follows the run to its end, and a job for the commands.
Invariant: the run goes on whatever becomes of the card: running its cell again, or unloading the extension, ends the
listening and nothing else; only the card's own buttons and the commands that name it steer it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from cascade.cli.codes import CommandError
from cascade.cli.desk import find_run, is_address, without_password
from cascade.cli.observing import Observer
from cascade.interfaces.remote_errors import ConnectorError, RemoteError
from cascade.notebook.commands import Said
from cascade.notebook.elsewhere_events import FlatGraph, Translator
from cascade.notebook.options import usage_error
from cascade.notebook.plain import plain
from cascade.notebook.session import Job, Session
from cascade.notebook.view.driver import RunView
from cascade.notebook.view.routing import CellMark
from cascade.notebook.view.rungs import choose

if TYPE_CHECKING:
    from cascade.cli.following import Told
    from cascade.interfaces.events import Event
    from cascade.runtime.remote_answers import RunGraph
    from cascade.runtime.remote_desk import RemoteDesk, RunStatus
    from cascade.spec.constraint import GlobalConstraint

__all__ = ["RemoteRun", "attach_elsewhere", "is_address"]

LOOK: Final = 0.1  # seconds between two looks at the end
GROW: Final = 1.0  # seconds between two questions for a graph that grows
FIRST: Final = 0.4  # seconds that the card waits for what was said before


class RemoteRun:
    """A run elsewhere with the face of a `Run`, as far as messages tell it: no values, no arguments.

    Attributes:
        run_id, name, state, events, graph: as of a run; the graph has the arrows that the run tells.
        address: as it was typed. place: the same without a password. at_once: orders that wait for the run's answer.
    """

    def __init__(self, desk: RemoteDesk, status: RunStatus, address: str) -> None:
        """Begin to listen."""
        self._desk = desk
        self.address = address
        self.place = without_password(str(getattr(desk.connector, "address", "")))
        self.at_once = Orders(self, desk)
        self._observer = Observer(desk, status)
        self._translator = Translator(status, self.place)
        self._asked_at = time.monotonic()
        with contextlib.suppress(RemoteError, ConnectorError):
            self._begin_with(desk.graph(status.run_id), status)
        self._handlers: list[Callable[[list[Event]], None]] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._heard = threading.Event()
        self.run_id = status.run_id
        self.name = self._translator.name
        threading.Thread(target=self._listen, name="cascade-elsewhere", daemon=True).start()

    def _begin_with(self, graph: RunGraph | None, status: RunStatus) -> None:
        """Take the graph, and what was before where no connector keeps that."""
        self._translator.take_graph(graph)
        if graph is None or hasattr(self._desk.connector, "history"):
            return
        self._translator.take_past(graph.past)
        if graph.past:
            self._translator.take_status(status, time.time())

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
    def note(self) -> str:
        """What there is to say of the connection, empty for nothing."""
        return "" if self.done() else self._observer.note

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
        self.expect_cancel(reason)
        self._order(lambda: self._desk.cancel(self.run_id, reason))

    def expect_cancel(self, reason: str) -> None:
        """Take note that it is cancelled from here."""
        self._translator.expect_cancel(reason)

    def pause(self) -> None:
        """Have it start nothing more."""
        self._order(lambda: self._desk.pause(self.run_id))

    def resume(self) -> None:
        """Have it go on."""
        self._order(lambda: self._desk.resume(self.run_id))

    def _order(self, order: Callable[[], RunStatus]) -> None:
        def obey() -> None:
            with contextlib.suppress(RemoteError, ConnectorError):  # it has ended, or the connection is away
                self.take_status(order())

        threading.Thread(target=obey, name="cascade-order", daemon=True).start()

    def take_status(self, status: RunStatus) -> None:
        """Take what the run says of itself."""
        self._observer.run.take_status(status)
        self._tell(lambda: self._translator.take_status(status, time.time()))

    def catch_up(self) -> None:
        """Hear how the run is now, where it answers."""
        with contextlib.suppress(RemoteError, ConnectorError):
            self.take_status(self._desk.order(self.run_id, "status"))

    # -- listening ------------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """Listen no more; the run goes on."""
        self._observer.leave()

    def _listen(self) -> None:
        seen, known, note = self._observer.run, self._observer.status, ""
        for message in self._observer.take(LOOK):
            told = self._observer.told if message is not None else None
            if told is not None:
                self._learn_of(told)
                self._tell(lambda told=told: self._translator.hear(told))  # type: ignore[misc]
                continue
            self._heard.set()  # a pause: what was kept has come
            if self._observer.note != note:
                note = self._observer.note
                self._tell(lambda note=note: self._translator.take_note(note, time.time()))  # type: ignore[misc]
            if self._observer.status is not known and not seen.over:
                status = known = self._observer.status
                self._tell(lambda status=status: self._translator.take_status(status, time.time()))  # type: ignore[misc]
        if not self._observer.has_left:
            self._tell(lambda: self._translator.give_up(time.time()))
        self._heard.set()
        self._over.set()

    def _learn_of(self, told: Told) -> None:
        """Ask for the graph again when it has grown: before the node is shown, and seldom."""
        if not self._translator.lacks(told):
            return
        time.sleep(max(0.0, self._asked_at + GROW - time.monotonic()))
        self._asked_at = time.monotonic()
        graph = None
        with contextlib.suppress(RemoteError, ConnectorError):
            graph = self._desk.graph(self.run_id)
        with self._lock:
            self._translator.take_graph(graph)

    def _tell(self, make: Callable[[], list[Event]]) -> None:
        with self._lock:
            events = make()
            for handler in list(self._handlers) if events else ():
                handler(events)


class Orders:
    """Orders to a run elsewhere, for commands: each returns when the run has answered.

    Raises:
        UsageError: when it does not, or refuses.
    """

    def __init__(self, run: RemoteRun, desk: RemoteDesk) -> None:
        """Order nothing yet."""
        self._run = run
        self._desk = desk

    def _order(self, order: Callable[[], RunStatus]) -> None:
        try:
            self._run.take_status(order())
        except (RemoteError, ConnectorError) as error:
            usage_error(plain(str(error), 600))

    def cancel(self, reason: str = "") -> None:
        """Stop the run."""
        self._run.expect_cancel(reason)
        self._order(lambda: self._desk.cancel(self._run.run_id, reason))

    def pause(self) -> None:
        """Have it start nothing more."""
        self._order(lambda: self._desk.pause(self._run.run_id))

    def resume(self) -> None:
        """Have it go on."""
        self._order(lambda: self._desk.resume(self._run.run_id))

    def set_limit(self, limit: GlobalConstraint) -> None:
        """Set a limit on it alone."""
        self._order(lambda: self._desk.limit(self._run.run_id, limit))

    def remove_limit(self, limit_id: str) -> None:
        """Lift a limit that it alone obeys."""
        self._order(lambda: self._desk.unlimit(self._run.run_id, limit_id))


class Guest:
    """A card of a run elsewhere, in the cell that made it.

    Attributes:
        cell: its id. job: what the commands know it as; when its cell runs again, they know it no more.
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
        self.job = session.add_elsewhere(run)
        self.job.views = [self.view]
        session.guests.append(self)
        self.view.open()

    def close(self, *, discard: bool) -> None:
        """End the card: with its last picture, or with none, since its cell runs again."""
        self._run.leave()
        self.view.close(discard=discard)
        if discard and self._session.elsewhere.get(self.job.number) is self.job:
            del self._session.elsewhere[self.job.number]

    def _let_go(self) -> None:
        """The display has ended: listen no more, and disconnect."""
        self._run.leave()
        self._leave()
        with contextlib.suppress(ValueError):
            self._session.guests.remove(self)


def attach_again(session: Session, job: Job) -> Said | None:
    """Show a run elsewhere that is shown in another cell in this one, too."""
    return attach_elsewhere(session, [job.run.address, job.run.run_id])


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
        remote = RemoteRun(desk, find_run(desk, run, "attach"), address)
    except (ConnectorError, RemoteError, CommandError) as error:
        ways.close()
        usage_error(plain(_in_notebook(str(error)), 600))
    remote.wait_for_past(FIRST)
    Guest(session, remote, ways.close)
    return None


def _in_notebook(text: str) -> str:
    """Return an error of the command line as it is said in a notebook."""
    return text.replace(", or as cascade run FILE:TARGET --connector", ", or by the command cascade run … --connector")
