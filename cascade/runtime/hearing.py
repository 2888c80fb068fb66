"""What tasks say in worker processes, while they say it.

In: pieces of output, in a worker; a line to the process that runs the flow. Out: the pieces there, for whoever asked by
a token. Invariant: each worker has a line of its own, so that one that is killed in mid-sentence silences nobody else;
a line that breaks costs nothing but time: what could not be said goes with the call's value.

What comes quickly is said together, some 20 times a second at most.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from cascade.runtime.threads import run_in_thread

__all__ = ["ADDRESS", "Announcer", "Ear", "ends_line", "line"]

ADDRESS: Final = "CASCADE_EAR"  # the variable that tells a worker where to speak: address and key
PULSE: Final = 0.05  # seconds between two pieces that are sent


def ends_line(pieces: list[Any]) -> bool:
    """Whether nothing of a line is yet to come: ``print`` writes one in parts, which are not to be read apart."""
    last = pieces[-1] if pieces else None
    return not (isinstance(last, tuple) and last[0] in ("stdout", "stderr") and not last[1].endswith("\n"))


class Announcer:
    """Sends pieces as they come, those that come quickly together.

    Args:
        send: takes pieces; what it cannot take is in `left` at the end.

    Attributes:
        count: how often something was sent.
    """

    __slots__ = ("_lock", "_send", "_sent_at", "_timer", "_waiting", "count", "left")

    def __init__(self, send: Callable[[list[Any]], object]) -> None:
        """Say nothing yet."""
        self.count = 0
        self.left: list[Any] = []
        self._send = send
        self._lock = threading.Lock()
        self._sent_at = 0.0
        self._timer: threading.Timer | None = None
        self._waiting: list[Any] = []

    def say(self, pieces: list[Any]) -> None:
        """Take pieces; they are sent now, or within `PULSE` seconds."""
        with self._lock:
            self._waiting.extend(pieces)
            if time.monotonic() - self._sent_at > PULSE and ends_line(pieces):
                self._flush()
            elif self._timer is None:
                self._timer = threading.Timer(PULSE, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Send what waits."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._sent_at = time.monotonic()
        pieces, self._waiting = self._waiting, []
        if not pieces:
            return
        try:
            if not self.left:
                self._send(pieces)
                self.count += 1
                return
        except Exception:  # noqa: BLE001, S110 - what cannot be sent now goes with the value
            pass
        self.left.extend(pieces)


# -- in a worker ------------------------------------------------------------------------------------------------------

_lines: dict[str, Any] = {}  # the one of this process
_speaking = threading.Lock()


def line(token: str) -> Callable[[list[Any]], object] | None:
    """Return what sends pieces to who listens for `token`; None where nobody does."""
    where = os.environ.get(ADDRESS, "")
    if not where:
        return None

    def send(pieces: list[Any]) -> None:
        with _speaking:
            if where not in _lines:
                from multiprocessing.connection import Client

                key, _, address = where.partition(" ")
                _lines[where] = Client(address, authkey=bytes.fromhex(key))
            _lines[where].send((token, pieces))

    return send


# -- where the flow runs ----------------------------------------------------------------------------------------------


class Ear:
    """Hears the workers of one pool."""

    def __init__(self) -> None:
        """Begin to listen."""
        from multiprocessing.connection import Listener

        self._key = os.urandom(32)
        self._listener = Listener(None)  # each is asked for the key on its own thread, and keeps nobody else waiting
        self._who: dict[str, Callable[[list[Any]], object]] = {}
        self._is_closed = False
        self.address = f"{self._key.hex()} {self._listener.address}"
        run_in_thread(self._welcome)

    def listen(self, token: str, hear: Callable[[list[Any]], object]) -> None:
        """Have `hear` called with what is said for `token`, on a thread of the ear's."""
        self._who[token] = hear

    def forget(self, token: str) -> None:
        """Listen for `token` no more."""
        self._who.pop(token, None)

    def _welcome(self) -> None:
        while not self._is_closed:
            try:
                connection = self._listener.accept()
            except Exception:  # noqa: BLE001, S112 - closed, or someone who has gone again
                continue
            run_in_thread(lambda connection=connection: self._hear(connection))  # type: ignore[misc]

    def _hear(self, connection: Any) -> None:
        from multiprocessing.connection import answer_challenge, deliver_challenge

        with suppress(Exception), connection:  # someone without the key; or the worker has ended, in mid-sentence
            deliver_challenge(connection, self._key)
            answer_challenge(connection, self._key)
            while not self._is_closed:
                token, pieces = connection.recv()
                hear = self._who.get(token)
                if hear is not None:
                    with suppress(Exception):
                        hear(pieces)

    def close(self) -> None:
        """Hear no more."""
        if self._is_closed:
            return
        self._is_closed = True
        with suppress(Exception):  # accept() waits in the system: wake it
            from multiprocessing.connection import Client

            Client(self._listener.address).close()
        with suppress(Exception):
            self._listener.close()
