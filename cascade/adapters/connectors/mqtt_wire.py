"""One connection to an MQTT broker, from its first byte to its last.

In: letters and subscriptions. Out: calls of callbacks. Invariant: everything here runs on one loop; a connection that
fails raises, and is never used again.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from cascade.adapters.connectors.topics import decode, matches
from cascade.interfaces.remote_errors import ConnectorError

if TYPE_CHECKING:
    from cascade.adapters.connectors.outbox import Letter

__all__ = ["DaemonExecutor", "Subscription", "Wire", "first_of", "reason_of"]

BARRIER: Final = "cascade/none"  # a topic that nobody hears: unsubscribing from it is a question with an answer
REFUSED: Final = 0x80  # codes from here on in a broker's answer to who subscribes
Callback = Callable[[str, Any], Any]


class Subscription:
    """One callback and the pattern of its topics; `awaits` while it hears what is retained."""

    def __init__(self, pattern: str, callback: Callback, *, is_raw: bool) -> None:
        self.pattern = pattern
        self.callback = callback
        self.is_raw = is_raw
        self.is_active = True
        self.awaits = True
        self.unsubscribe_from: Callable[[Subscription], None] = lambda _: None

    def unsubscribe(self) -> None:
        """Hear nothing more; twice does no harm."""
        if self.is_active:
            self.is_active = False
            self.unsubscribe_from(self)

    def __iter__(self) -> Iterator[object]:
        """What the protocol promises to who only wants to keep it."""
        return iter((self.pattern, self.callback))

    def give(self, topic: str, data: bytes) -> None:
        """Call back, whatever comes of it."""
        payload = data if self.is_raw else decode(data)
        if payload is None or not self.is_active:
            return
        try:
            self.callback(topic, payload)
        except Exception:
            logging.getLogger("cascade").warning("A callback for %s failed.", topic, exc_info=True)


class Wire:
    """A connected client; an async context manager."""

    def __init__(
        self,
        hostname: str,
        port: int,
        identifier: str,
        will: Letter | None,
        settings: dict[str, Any],
        refused: Callable[[str], None],
    ) -> None:
        """Prepare; entering connects."""
        import aiomqtt

        context = settings["tls"]
        if context is True or (settings["ca_file"] and not context):
            context = _trust(settings["ca_file"])
        self._client = aiomqtt.Client(
            hostname,
            port,
            username=settings["username"],
            password=settings["password"],
            identifier=identifier,
            will=aiomqtt.Will(will.topic, will.data, will.qos) if will is not None else None,
            tls_context=context or None,
            keepalive=settings["keepalive"],
            timeout=settings["patience"],
            logger=_quiet(),
            max_queued_outgoing_messages=0,
            max_inflight_messages=1000,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],  # else a word and its answer take 40 ms
        )
        self._turn = asyncio.Lock()
        self.refused = refused
        self.unsent: list[Letter] = []

    async def __aenter__(self) -> Self:
        """Connect."""
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        client = self._client._client  # noqa: SLF001 - aiomqtt leaves its socket open when it is cut off here
        try:
            await self._client.__aexit__(kind, error, trace)
        finally:
            if (left := client.socket()) is not None:
                left.close()
            end = self._client._disconnected  # noqa: SLF001 - as above
            if end.done() and not end.cancelled():
                end.exception()  # if nobody has seen it, asyncio complains on stderr; why it ended is said elsewhere

    async def begin(self, subscriptions: list[Subscription], alive: Letter | None) -> None:
        """Say that this process is alive after all, and subscribe to what was subscribed before."""
        if alive is not None:
            await self.send(alive)
        for each in subscriptions:
            each.awaits = True
        for pattern in dict.fromkeys(each.pattern for each in subscriptions):
            await self._hear(pattern)

    async def settle_first(self, subscriptions: list[Subscription]) -> None:
        """After `begin`: return when what is retained has come; from then on all hear the same."""
        async with self._turn:
            await self._ask()
            for each in subscriptions:
                each.awaits = False

    async def subscribe(self, subscription: Subscription) -> None:
        """Hear what is retained, then what comes. One at a time, so that it is clear for whom a retained one comes."""
        async with self._turn:
            await self._hear(subscription.pattern)
            await self._ask()
            subscription.awaits = False

    async def _hear(self, pattern: str) -> None:
        """Subscribe; what the broker does not allow is told, since nothing will be heard of it."""
        for code in await self._client.subscribe(pattern, qos=1):
            if getattr(code, "value", code) >= REFUSED:
                self.refused(pattern)

    async def unsubscribe(self, pattern: str) -> None:
        """Hear nothing more of a pattern."""
        await self._client.unsubscribe(pattern)

    async def settle(self) -> None:
        """Wait for the broker to answer all that was asked before, and for the callbacks."""
        async with self._turn:
            await self._ask()

    async def _ask(self) -> None:
        await self._client.unsubscribe(BARRIER)
        while len(self._client.messages):  # noqa: ASYNC110 - aiomqtt has a queue and no event
            await asyncio.sleep(0)

    async def send(self, letter: Letter) -> None:
        """Send one letter; with a quality of service above 0, wait for the broker's word."""
        await self._client.publish(letter.topic, letter.data, letter.qos, letter.retain)

    async def send_all(self, letters: list[Letter]) -> None:
        """Send letters, of which only the last may be vital, and wait for the last; `unsent` tells what was not sent.

        aiomqtt waits for each to be written, which takes four times as long as to write it: the others go through the
        client that it is made of.
        """
        plain, last = letters[:-1], letters[-1]
        paho, self.unsent = self._client._client, list(letters)  # noqa: SLF001 - see above
        infos = [paho.publish(letter.topic, letter.data, 0, False) for letter in plain]  # noqa: FBT003 - retain
        try:
            await self.send(last)
            self.unsent = []
        finally:
            if self.unsent:
                written = [info.rc == 0 and info.is_published() for info in infos]
                self.unsent = [each for each, is_over in zip(plain, written, strict=True) if not is_over] + [last]

    async def listen(self, subscriptions: Callable[[], list[Subscription]]) -> None:
        """Call back for each message, until the connection ends."""
        async for message in self._client.messages:
            topic, data = message.topic.value, message.payload
            for each in subscriptions():
                # A message that comes since somebody subscribed now is not for those who subscribed before.
                if each.awaits >= message.retain and matches(each.pattern, topic):
                    each.give(topic, data if isinstance(data, bytes) else b"")


def _trust(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ConnectorError.for_certificates(ca_file, error.strerror or str(error)) from None


async def first_of(*works: Coroutine[Any, Any, None]) -> None:
    """Run several coroutines until one ends, and end the others; what it raises is raised."""
    futures = [asyncio.gather(work) for work in works]
    try:
        done, _ = await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for future in futures:
            future.cancel()
        await asyncio.gather(*futures, return_exceptions=True)
    for future in done:
        future.result()


class DaemonExecutor(ThreadPoolExecutor):
    """Runs each call in a thread that nobody waits for: a broker that does not answer must not hold up an exit."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Belong to `loop`; once that is closed, results are for nobody."""
        super().__init__(1)
        self._loop = loop

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start a call."""
        future: Future[Any] = Future()

        def run() -> None:
            try:
                value, error = fn(*args, **kwargs), None
            except BaseException as raised:  # noqa: BLE001 - for who waits
                value, error = None, raised
            if self._loop.is_closed() or future.cancelled():
                return
            with suppress(RuntimeError, InvalidStateError):
                future.set_exception(error) if error is not None else future.set_result(value)

        threading.Thread(target=run, name="cascade-mqtt-call", daemon=True).start()
        return future


def _quiet() -> logging.Logger:
    """Return a logger for the client's own words: what matters of them is said by the connector, once."""
    logger = logging.getLogger("cascade.mqtt")
    logger.propagate = False
    logger.setLevel(logging.CRITICAL)
    return logger


def reason_of(error: BaseException) -> str:
    """Return in a few words why a connection failed."""
    if isinstance(error, BaseExceptionGroup):
        return reason_of(error.exceptions[0])
    words = str(error).strip()
    return words or type(error).__name__
