"""A desk and a run elsewhere → what is known of the run, as it goes on.

In: the messages of the run, and what it answers when it is asked how it is. Out: messages one by one, in the thread
that takes them. Invariant: the run is only looked at; a run that is gone is noticed within seconds, though it said
nothing; after `leave` nothing of the observer is left.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from cascade.cli.following import OVER, Followed, Told, read_message
from cascade.interfaces.exceptions import CascadeError
from cascade.interfaces.remote_errors import RemoteError
from cascade.messaging.renderer import one_line
from cascade.runtime.remote_answers import RunStatus

if TYPE_CHECKING:
    from cascade.runtime.remote_desk import RemoteDesk

__all__ = ["Observer"]

ASK: Final = 1.0  # seconds between two questions to the run
LEAST: Final = 0.1  # seconds between them where it has news
SILENT: Final = 2  # questions without an answer after which a run is looked for
COME_BACK: Final = 10.0  # seconds after which a run that was lost is not waited for
SETTLED: Final = 0.5  # the same for one that had been found to be lost before
FIND_BACK: Final = 15.0  # seconds that a run has, after the connection was away, to find its way back to it, too


class Observer:
    """Hears a run and asks it how it is.

    Attributes:
        run: what is known; `take` brings it up to date. status: what the run said of itself last.
        told: the message that `take` yields, as it was understood; None if it was not.
        is_gone: the run answers no more, and nobody knows it.
    """

    def __init__(self, desk: RemoteDesk, status: RunStatus | None) -> None:
        """Begin to listen, with what was said before where the connector keeps that.

        Args:
            status: of the run; None: the next one that begins.

        Raises:
            ConnectorError: when nobody is there.
        """
        self.desk = desk
        self.status = status or RunStatus("")
        self.run = Followed(self.status.run_id)
        self.run.take_status(self.status)
        if self.status.state in OVER:
            self.run.state = ""  # its history tells it again
        self.is_gone = False
        self.told: Told | None = None
        self._asks = threading.Event()  # somebody has begun to wait, and the run knows for what
        self._heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._left = threading.Event()
        self._patience = SETTLED if self.status.state == "lost" else COME_BACK
        self._until: float | None = None  # when a run that was lost is given up
        self._patience_ends = 0.0  # before that, a run that says nothing may still be on its way back
        if hasattr(desk.connector, "watch"):
            desk.connector.watch(self._hear_connection)
        self._stop_listening = desk.listen(self.run.run_id or None, self._hear, history=bool(self.run.run_id))
        threading.Thread(target=self._ask, name="cascade-observer", daemon=True).start()

    def _hear(self, message: dict[str, Any]) -> None:
        """Take a message of the run; the first that begins, where none was named, is the run from then on."""
        told = read_message(message)
        if not self.run.run_id and told is not None and (told.kind, told.name) == ("life", "started"):
            self.run.run_id = told.run_id
        if self.run.run_id and str(message.get("run_id")) == self.run.run_id:
            self._heard.put(message)
            if told is not None and told.state == "waiting":
                self._asks.set()

    def _hear_connection(self, _word: str) -> None:
        self._patience_ends = time.monotonic() + FIND_BACK

    @property
    def note(self) -> str:
        """What is to be said of the connection, empty for nothing."""
        connector = self.desk.connector
        if getattr(connector, "is_connected", True):
            return ""
        problem = one_line(str(getattr(connector, "problem", "")), 120)
        return f"Not connected{f': {problem}' if problem else ''}; it is tried again."

    @property
    def has_left(self) -> bool:
        """Whether somebody has left."""
        return self._left.is_set()

    def leave(self) -> None:
        """Listen no more; `take` ends."""
        if not self._left.is_set():
            self._left.set()
            self._asks.set()
            self._heard.put(None)
            with contextlib.suppress(Exception):  # a connection that is away has nothing to end
                self._stop_listening()

    def _ask(self) -> None:
        """Ask the run how it is, as long as it goes on; look for it when it says nothing."""
        silent = 0
        while not self._left.wait(LEAST):
            self._asks.wait(ASK)
            self._asks.clear()
            if self.run.over or not self.run.run_id or self._left.is_set():
                continue  # somebody leaves soon, or it was lost and comes back, or there is none yet
            try:
                self._heard.put(self.desk.order(self.run.run_id, "status"))
                silent = 0
            except RemoteError:
                silent += 1
            except Exception:  # noqa: BLE001, S112 - the connection is away, as `note` says, or has been closed
                continue
            if silent < SILENT or time.monotonic() < self._patience_ends or self.run.over:
                continue
            if not self.note and not self._is_known():
                self.is_gone = True
                self._heard.put(None)
                return

    def _is_known(self) -> bool:
        with contextlib.suppress(CascadeError):
            return any(status.run_id == self.run.run_id for status in self.desk.runs())
        return True

    def take(self, patience: float) -> Iterator[dict[str, Any] | None]:
        """Yield the messages, after `run` has heard them; None when nothing came for `patience` seconds.

        Ends with the run, when it is gone, and when somebody leaves.
        """
        while not self._left.is_set():
            try:
                found = self._heard.get(timeout=patience)
            except queue.Empty:
                if self._until is not None and time.monotonic() > self._until:
                    return
                yield None
                continue
            if found is None:
                return
            if not isinstance(found, dict):
                self.status = found
                self.run.take_status(found)
                yield None
                continue
            told = self.told = self.run.hear(found)
            yield found
            if told is not None and told.kind == "life":
                if self.run.over and self.run.state != "lost":
                    return
                self._until = time.monotonic() + self._patience if self.run.over else None
