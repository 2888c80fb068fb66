"""A connector for one user's programs on one machine: many engines and many observers at once, without a server.

In: messages. Out: calls of callbacks, on a thread of the connector's own. Invariant: the messages are in one file, in
one order for all; sockets only wake those who wait, so that a lost ring delays a message and loses none. Who dies is
found by its socket, which nobody answers, and what it left to be said is said once.
"""

from __future__ import annotations

import asyncio
import logging
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any, Final, Self

from cascade.adapters.connectors.local_file import MessageFile, Row
from cascade.adapters.connectors.local_folder import HAS_SOCKETS, Bell, is_answered, open_folder, runtime_folder
from cascade.adapters.connectors.outbox import Letter, Outbox
from cascade.adapters.connectors.topics import check_pattern, check_topic, decode, encode, matches
from cascade.interfaces.remote_errors import ConnectorError

__all__ = ["LocalConnector"]

LOOK: Final = 1.0  # seconds between two looks at the file where nobody rings, and at the others' bells
LOOK_WITHOUT_BELLS: Final = 0.05
LINGER: Final = 2.0  # seconds that `disconnect` waits for what has still to be written
Callback = Callable[[str, Any], Any]


class _Subscription:
    """One callback; `after` is the number of the last message that it has heard or does not want."""

    __slots__ = ("after", "callback", "is_active", "is_raw", "pattern")

    def __init__(self, pattern: str, callback: Callback, after: int | None, *, is_raw: bool) -> None:
        self.pattern = pattern
        self.callback = callback
        self.after = -1 if after is None else after
        self.is_raw = is_raw
        self.is_active = True

    def unsubscribe(self) -> None:
        """Hear nothing more; twice does no harm."""
        self.is_active = False

    def __iter__(self) -> Iterator[object]:
        """What the protocol promises to who only wants to keep it."""
        return iter((self.pattern, self.callback))

    def give(self, topic: str, data: bytes) -> None:
        payload = data if self.is_raw else decode(data)
        if payload is None or not self.is_active:
            return
        try:
            self.callback(topic, payload)
        except Exception:
            logging.getLogger("cascade").warning("A callback for %s failed.", topic, exc_info=True)


class LocalConnector:
    """Carries messages between one user's processes on this machine.

    Args:
        folder: where they meet; by default the user's runtime folder (see `runtime_folder`).
        most_waiting: messages that may wait for the disk before the oldest are dropped; starts and ends never are.

    Attributes:
        address: as ``connector=`` takes it. is_connected: between `connect` and `disconnect`. problem: why messages
            cannot be written, empty if they can.

    Example:
        >>> import asyncio, tempfile
        >>> async def say(folder: str) -> list[str]:
        ...     async with LocalConnector(folder) as connector:
        ...         await connector.publish("greetings/all", {"text": "hello"})
        ...     return [payload["text"] for _, _, payload in LocalConnector(folder).history("greetings/#")]
        >>> asyncio.run(say(tempfile.mkdtemp()))
        ['hello']
    """

    def __init__(self, folder: str | PathLike[str] | None = None, *, most_waiting: int = 50_000) -> None:
        """Open nothing before `connect`."""
        self.folder = Path(folder) if folder is not None else runtime_folder()
        self.address = "local" if folder is None else f"local:{folder}"
        self.is_connected = False
        self.problem = ""
        self._outbox = Outbox(most_waiting)
        self._asked: deque[Callable[[], None]] = deque()
        self._subscriptions: list[_Subscription] = []
        self._position = 0
        self._bell: Bell | None = None
        self._thread: threading.Thread | None = None
        self._will: Letter | None = None

    @property
    def dropped(self) -> int:
        """How many messages were left out since the disk was too slow."""
        return self._outbox.dropped

    def for_run(self) -> LocalConnector:
        """Return a connector to the same folder with a bell and a last will of its own."""
        made = LocalConnector(self.folder)
        made.address = self.address
        return made

    # -- life -----------------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Begin; twice does no harm.

        Raises:
            ConnectorError: when the folder is not this user's alone, or cannot be used.
        """
        if not self.is_connected:
            await asyncio.to_thread(self._open)

    def _open(self) -> None:
        folder = open_folder(self.folder)
        file = MessageFile(folder)
        self._position = file.last()
        self._bell = Bell(folder) if HAS_SOCKETS else None
        if self._bell is not None and self._will is not None:
            file.set_will(self._bell.name, self._will.topic, self._will.data)
        self._subscriptions = []
        self.is_connected = True
        self._thread = threading.Thread(target=self._work, args=(folder, file), name="cascade-local", daemon=True)
        self._thread.start()

    async def disconnect(self) -> None:
        """Write what waits, at most for `LINGER` seconds, and end; twice does no harm."""
        if not self.is_connected:
            return
        self.is_connected = False
        self._wake()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            await asyncio.to_thread(thread.join, LINGER)

    async def __aenter__(self) -> Self:
        """Connect."""
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self.disconnect()

    # -- messages -------------------------------------------------------------------------------------------------

    async def publish(self, topic: str, payload: Mapping[str, object], qos: int = 0, retain: bool = False) -> None:  # noqa: FBT001, FBT002 - as every connector
        """Send one message; it is written soon, and after those that were sent before it.

        Raises:
            ConnectorError: when it is not connected, or this is no topic or no JSON.
        """
        await self.publish_raw(topic, encode(topic, payload), qos=qos, retain=retain)

    async def publish_raw(self, topic: str, data: bytes, *, qos: int = 0, retain: bool = False) -> None:
        """Send bytes as they are.

        Raises:
            ConnectorError: when it is not connected, or this is no topic.
        """
        self._check_open()
        check_topic(topic)
        self._outbox.put(Letter(topic, data, qos, retain))
        self._wake()

    def post_all(self, messages: Iterable[tuple[str, Mapping[str, object], int]]) -> None:
        """Have messages (topic, payload, quality of service) written, from any thread, and wake the writer once.

        Raises:
            ConnectorError: as `publish`.
        """
        self._check_open()
        for topic, payload, qos in messages:
            check_topic(topic)
            self._outbox.put(Letter(topic, encode(topic, payload), qos))
        self._wake()

    async def set_will(self, topic: str, payload: Mapping[str, object], alive: Mapping[str, object]) -> None:  # noqa: ARG002 - here nobody is thought dead who is not
        """Have others say `payload` on `topic` when this process dies without a `disconnect`.

        Call it before `connect`.
        """
        check_topic(topic)
        self._will = Letter(topic, encode(topic, payload), qos=1)

    async def subscribe(
        self, topic: str, callback: Callback, *, raw: bool = False, after: int | None = None
    ) -> _Subscription:
        """Call `callback(topic, payload)` for each message on a topic that fits, retained ones first.

        Args:
            raw: the callback takes the bytes as they came; else what is no JSON object is left out.
            after: hear first what came after the message of this number (0: all that is kept), and nothing retained.

        Raises:
            ConnectorError: when it is not connected, or this is no pattern.
        """
        self._check_open()
        check_pattern(topic)
        made = _Subscription(topic, callback, after, is_raw=raw)
        await self._ask(lambda file: self._begin(made, file))
        return made

    async def settle(self) -> None:
        """Return when all that was sent before, by this connector, has been written."""
        self._check_open()
        await self._ask(lambda _: None)

    def history(self, pattern: str = "#", after: int = 0, *, vital: bool = False) -> Iterator[tuple[int, str, Any]]:
        """Yield what was said so far as number, topic, payload; no `connect` is needed.

        Args:
            pattern: of the topics. after: number of the last message that is known already. vital: only what is
                never dropped, as starts and ends of runs.
        """
        check_pattern(pattern)
        file = MessageFile(open_folder(self.folder))
        exact = None if "+" in pattern or "#" in pattern else pattern
        try:
            last = after
            while rows := file.read(last, topic=exact, vital=vital):
                for last, topic, data in rows:
                    payload = decode(data) if matches(pattern, topic) else None
                    if payload is not None:
                        yield last, topic, payload
        finally:
            file.close()

    def retained(self, pattern: str = "#") -> dict[str, Any]:
        """Return what is retained, by topic; no `connect` is needed."""
        file = MessageFile(open_folder(self.folder))
        try:
            kept = {topic: decode(data) for topic, data in file.retained()[1] if matches(pattern, topic)}
        finally:
            file.close()
        return {topic: payload for topic, payload in kept.items() if payload is not None}

    def _check_open(self) -> None:
        if not self.is_connected:
            raise ConnectorError.for_closed(self.address)

    def _wake(self) -> None:
        if self._bell is not None:
            self._bell.ring_own()

    async def _ask(self, work: Callable[[MessageFile], None]) -> None:
        """Have the thread do something, after what was sent before, and wait for it."""
        done: Future[None] = Future()

        def answer() -> None:
            try:
                work(self._file)
            except BaseException as error:  # noqa: BLE001 - for who asked
                done.set_exception(error)
            else:
                done.set_result(None)

        self._asked.append(answer)
        self._wake()
        await asyncio.wait_for(asyncio.wrap_future(done), LINGER * 5)

    # -- the thread -----------------------------------------------------------------------------------------------

    def _work(self, folder: Path, file: MessageFile) -> None:
        self._file, bell, look_at = file, self._bell, 0.0
        try:
            while self.is_connected:
                self._write(file)
                while self._asked:
                    self._write(file)
                    self._asked.popleft()()
                self._deliver(file)
                if time.monotonic() >= look_at:
                    self._look_after(folder, file)
                    look_at = time.monotonic() + LOOK
                if not self._outbox and not self._asked and self.is_connected:
                    self._wait(look_at - time.monotonic())
            self._write(file)
            while self._asked:
                self._asked.popleft()()
            if bell is not None:
                with suppress(ConnectorError):
                    file.drop_wills(bell.name)
        finally:
            file.close()
            if bell is not None:
                bell.ring_others()
                bell.take_down()

    def _wait(self, seconds: float) -> None:
        if self._bell is None:
            time.sleep(LOOK_WITHOUT_BELLS)
            return
        with suppress(OSError, ValueError):
            select.select([self._bell.socket], [], [], max(0.0, seconds))
        self._bell.hear()

    def _write(self, file: MessageFile) -> None:
        letters = self._outbox.take_all()
        if not letters:
            return
        try:
            file.write(letters)
        except ConnectorError as error:
            if not self.problem:
                logging.getLogger("cascade").warning("%s Messages are left out; runs go on.", error)
            self.problem = str(error)
            return
        self.problem = ""
        if self._bell is not None:
            for name in self._bell.ring_others():
                self._bury(name, file)

    def _begin(self, made: _Subscription, file: MessageFile) -> None:
        """Let a subscription hear what it should of before, then all that comes."""
        self._deliver(file)
        if made.after >= 0:
            after, last = made.after, file.last()
            exact = None if "+" in made.pattern or "#" in made.pattern else made.pattern
            while rows := file.read(after, topic=exact):
                after = self._give(rows, [made])
            made.after = max(after, last)
        else:
            made.after, kept = file.retained()
            for topic, data in kept:
                if matches(made.pattern, topic):
                    made.give(topic, data)
        if not self._subscriptions:
            self._position = made.after
        self._subscriptions.append(made)

    def _deliver(self, file: MessageFile) -> None:
        self._subscriptions = [each for each in self._subscriptions if each.is_active]
        try:
            if not self._subscriptions:
                return
            while rows := file.read(self._position):
                self._position = self._give(rows, self._subscriptions)
        except ConnectorError as error:
            self.problem = str(error)

    def _give(self, rows: list[Row], subscriptions: list[_Subscription]) -> int:
        last = 0
        for last, topic, data in rows:
            for each in subscriptions:
                if last > each.after and matches(each.pattern, topic):
                    each.give(topic, data)
        return last

    def _look_after(self, folder: Path, file: MessageFile) -> None:
        """See to it that this bell hangs, and that the dead are buried."""
        bell = self._bell
        if bell is None:
            return
        with suppress(OSError, ConnectorError):
            if not bell.is_hung():
                bell.hang_again()
            bell.forget_listing()
            for name in {*bell.others(), *file.bells()} - {bell.name}:
                if not is_answered(folder / "bells" / name):
                    self._bury(name, file)

    def _bury(self, name: str, file: MessageFile) -> None:
        bell = self._bell
        with suppress(OSError, ConnectorError):
            if bell is not None and not is_answered(bell.path.parent / name):
                (bell.path.parent / name).unlink(missing_ok=True)
                if file.bury(name):
                    bell.ring_others()

    def __repr__(self) -> str:
        """Show the address."""
        return f"<connector {self.address}>"
