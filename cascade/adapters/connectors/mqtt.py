"""A connector to an MQTT broker.

In: messages. Out: calls of callbacks, on the thread of the connector's own loop. Invariant: a broker that is refused,
silent, gone or flapping never raises into who publishes, and never makes them wait: messages wait in a bounded outbox,
the connection is tried again with growing pauses, and what is wrong is said once.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self

from cascade.adapters.connectors.mqtt_wire import DaemonExecutor, Subscription, Wire, first_of, reason_of
from cascade.adapters.connectors.outbox import Letter, Outbox
from cascade.adapters.connectors.topics import check_pattern, check_topic, encode
from cascade.interfaces.remote_errors import ConnectorError

if TYPE_CHECKING:
    import ssl

__all__ = ["MqttConnector"]

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0  # seconds between two attempts to reach the broker
PATIENCE: Final = 5.0  # seconds for an answer of the broker
BATCH: Final = 100  # messages that are written before it is waited for the last of them
_DICE: Final = random.SystemRandom()  # the numbers of the program itself stay as it seeded them
LINGER: Final = 0.8  # seconds that `disconnect` waits for what has still to be sent
Callback = Callable[[str, Any], Any]


class MqttConnector:
    """Carries messages over an MQTT broker.

    Args:
        hostname: of the broker. port: of the broker, 1883 by custom, 8883 with TLS.
        username, password: for brokers that ask for them.
        tls: True, or an `ssl.SSLContext` of your own, to encrypt the connection and check the broker's certificate.
        ca_file: path of the certificates to trust instead of the system's; implies `tls`.
        keepalive: seconds of silence after which each side looks whether the other is still there.
        most_waiting: messages that may wait for the broker before the oldest are dropped; starts and ends of runs,
            and retained messages, never are.
        patience: seconds that the broker may take to answer.

    Attributes:
        address: as ``connector=`` takes it, without the password. is_connected: whether the broker is there now.
        problem: why it is not, empty if it is. sent: messages that went out. forbidden: patterns of topics that the
            broker does not let this user hear.

    Example:
        >>> connector = MqttConnector("broker.example", 8883, username="me", password="secret", tls=True)
        >>> connector
        <connector mqtts://me@broker.example:8883>
    """

    def __init__(
        self,
        hostname: str,
        port: int = 1883,
        *,
        username: str | None = None,
        password: str | None = None,
        tls: bool | ssl.SSLContext = False,
        ca_file: str | None = None,
        keepalive: int = 15,
        most_waiting: int = 10_000,
        patience: float = PATIENCE,
    ) -> None:
        """Reach nobody before `connect`."""
        self.hostname, self.port = hostname, port
        self._settings: dict[str, Any] = {
            "username": username, "password": password, "tls": tls, "ca_file": ca_file, "keepalive": keepalive,
            "most_waiting": most_waiting, "patience": patience,
        }  # fmt: skip
        user = f"{username}@" if username else ""
        self.address = f"mqtt{'s' if tls or ca_file else ''}://{user}{hostname}:{port}"
        self.problem = ""
        self.sent = 0
        self.is_open = False
        self._identifier = f"cascade-{secrets.token_hex(8)}"
        self._outbox = Outbox(most_waiting)
        self._wire: Wire | None = None
        self._will: Letter | None = None
        self._alive: Letter | None = None
        self._watchers: list[Callable[[str], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._subscriptions: list[Subscription] = []
        self._has_tried = threading.Event()
        self.is_observer = False  # no run of this process needs it: who looks through it tells what there is to say
        self._has_said = False
        self.forbidden: set[str] = set()
        self._was_there = False  # the broker, once since `connect`

    @property
    def is_connected(self) -> bool:
        """Whether the broker is there now."""
        return self._wire is not None

    @property
    def dropped(self) -> int:
        """How many messages were left out since the broker was away for too long."""
        return self._outbox.dropped

    def for_run(self) -> MqttConnector:
        """Return a connector of the same settings with a connection, an outbox and a last will of its own."""
        return MqttConnector(self.hostname, self.port, **self._settings)

    # -- life -----------------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Begin; return when the broker has answered, or could not be reached. Twice does no harm.

        A broker that is not there is no error: it is tried again and again, and messages wait meanwhile. See
        `wait_connected`.

        Raises:
            ConnectorError: when aiomqtt is not installed.
        """
        if not self.is_open:
            _need_library()
            self.is_open = True
            self._has_tried.clear()
            self._has_said = self._was_there = False
            started = threading.Event()
            self._thread = threading.Thread(target=self._work, args=(started,), name="cascade-mqtt", daemon=True)
            self._thread.start()
            started.wait()
        await asyncio.to_thread(self._has_tried.wait, self._settings["patience"])

    async def wait_connected(self, seconds: float = PATIENCE) -> None:
        """Return when the broker is there.

        Raises:
            ConnectorError: when it is not after `seconds`.
        """
        until = asyncio.get_running_loop().time() + seconds
        while not self.is_connected:
            if asyncio.get_running_loop().time() > until:
                raise ConnectorError.for_unreached(self.address, self.problem or "it does not answer", seconds)
            await asyncio.sleep(0.01)

    async def disconnect(self) -> None:
        """Send what waits, at most for `LINGER` seconds, and end; twice does no harm."""
        if not self.is_open:
            return
        self.is_open = False
        thread, loop = self._thread, self._loop
        if loop is not None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._close_soon)
        if thread is not None and thread is not threading.current_thread():
            await asyncio.to_thread(thread.join, LINGER + 0.5)
        self._subscriptions = []

    def _close_soon(self) -> None:
        self._closed.set()
        self._news.set()

    async def __aenter__(self) -> Self:
        """Connect."""
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self.disconnect()

    # -- messages -------------------------------------------------------------------------------------------------

    async def publish(self, topic: str, payload: Mapping[str, object], qos: int = 0, retain: bool = False) -> None:  # noqa: FBT001, FBT002 - as every connector
        """Send one message: it goes into the outbox, and out when the broker is there.

        Raises:
            ConnectorError: when `connect` was not called, or this is no topic or no JSON.
        """
        self._check_open()
        check_topic(topic)
        self._outbox.put(Letter(topic, encode(topic, payload), qos, retain))
        self._wake()

    def post_all(self, messages: Iterable[tuple[str, Mapping[str, object], int]]) -> None:
        """Put messages (topic, payload, quality of service) into the outbox, from any thread, and wake the loop once.

        Raises:
            ConnectorError: as `publish`.
        """
        self._check_open()
        for topic, payload, qos in messages:
            check_topic(topic)
            self._outbox.put(Letter(topic, encode(topic, payload), qos))
        self._wake()

    def _wake(self) -> None:
        if self._loop is not None and not self._news.is_set():
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._news.set)

    async def set_will(self, topic: str, payload: Mapping[str, object], alive: Mapping[str, object]) -> None:
        """Have the broker say `payload` on `topic` when this process is gone without a `disconnect`.

        Call it before `connect`. `alive` is said when the connection was only interrupted and is there again.
        """
        check_topic(topic)
        self._will = Letter(topic, encode(topic, payload), qos=1)
        self._alive = Letter(topic, encode(topic, alive), qos=1)

    def watch(self, callback: Callable[[str], None]) -> None:
        """Call `callback` with ``lost`` when the broker is gone, ``back`` when all is subscribed again."""
        self._watchers.append(callback)

    async def subscribe(self, topic: str, callback: Callback, *, raw: bool = False) -> Subscription:
        """Call `callback(topic, payload)` for each message on a topic that fits, retained ones first.

        Without a broker this returns at once, and it is subscribed when the broker is there.

        Args:
            raw: the callback takes the bytes as they came; else what is no JSON object is left out.

        Raises:
            ConnectorError: when `connect` was not called, or this is no pattern.
        """
        self._check_open()
        check_pattern(topic)
        made = Subscription(topic, callback, is_raw=raw)
        made.unsubscribe_from = self._drop
        self._subscriptions.append(made)
        await self._on_wire(lambda wire: wire.subscribe(made))
        return made

    async def settle(self) -> None:
        """Return when the broker has answered everything so far, retained messages included; at once without one."""
        self._check_open()
        await self._on_wire(lambda wire: wire.settle())

    def _drop(self, subscription: Subscription) -> None:
        if subscription not in self._subscriptions:
            return
        self._subscriptions.remove(subscription)
        if self._wire is not None and all(s.pattern != subscription.pattern for s in self._subscriptions):
            wire = self._wire
            self._run(wire.unsubscribe(subscription.pattern))

    async def _on_wire(self, work: Callable[[Wire], Coroutine[Any, Any, None]]) -> None:
        """Have the loop do something with the connection, if there is one, and wait for it."""
        wire = self._wire
        if wire is None:
            return
        done = self._run(self._after_letters(wire, work))
        if done is not None:
            with suppress(Exception):  # the broker is gone: all is done again when it is back
                await asyncio.wait_for(asyncio.wrap_future(done), self._settings["patience"] + 1)

    async def _after_letters(self, wire: Wire, work: Callable[[Wire], Coroutine[Any, Any, None]]) -> None:
        """What was published before goes out before."""
        until = self._outbox.put_count
        while self._outbox.done_count < until and self._wire is wire:  # noqa: ASYNC110 - letters come from threads
            await asyncio.sleep(0.001)
        await work(wire)

    def _run(self, work: Coroutine[Any, Any, None]) -> Future[None] | None:
        loop = self._loop
        if loop is None or loop.is_closed():
            work.close()
            return None
        return asyncio.run_coroutine_threadsafe(work, loop)

    def _check_open(self) -> None:
        if not self.is_open:
            raise ConnectorError.for_closed(self.address)

    # -- the thread -----------------------------------------------------------------------------------------------

    def _work(self, started: threading.Event) -> None:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:  # paho needs add_reader, also on Windows
            runner.run(self._serve(started))

    async def _serve(self, started: threading.Event) -> None:
        """Keep a connection until the connector is closed, and then until all is sent, at most for `LINGER`."""
        self._loop, self._news = asyncio.get_running_loop(), asyncio.Event()
        self._closed = asyncio.Event()
        self._loop.set_default_executor(DaemonExecutor(self._loop))
        started.set()
        await first_of(self._keep_connection(), self._until_too_late())
        self._wire = None
        self._has_tried.set()
        self._say_lost()

    async def _until_too_late(self) -> None:
        await self._closed.wait()
        if not self._was_there:
            return
        await asyncio.sleep(LINGER / 2)
        self._outbox.keep_vital()  # who watches must hear of the end, or takes the run for dead
        await asyncio.sleep(LINGER / 2)

    async def _keep_connection(self) -> None:
        """Connect, serve, and begin again when the connection is lost.

        A connector that is closed while the broker is away tries on until it is too late: a broker that has just come
        back hears of the end.
        """
        pause = FIRST_PAUSE
        while self.is_open or (self._was_there and len(self._outbox)):
            try:
                wire = Wire(self.hostname, self.port, self._identifier, self._will, self._settings, self._hear_refusal)
                async with wire:
                    first = list(self._subscriptions)
                    await wire.begin(first, self._alive if self._was_there else None)
                    self._wire, self.problem = wire, ""
                    self._was_there, pause, is_back = True, FIRST_PAUSE, self._was_there
                    await first_of(
                        wire.listen(lambda: self._subscriptions), self._serve_wire(wire, first, is_back=is_back)
                    )
            except Exception as error:  # noqa: BLE001 - whatever is wrong with the broker, the run goes on
                self._lose(reason_of(error))
                self._has_tried.set()
                await self._pause(pause * _DICE.uniform(0.7, 1.3))
                pause = min(LONGEST_PAUSE, pause * 2)

    async def _pause(self, seconds: float) -> None:
        """Wait for the next attempt, shortly once the connector is closed."""
        if self._closed.is_set():
            await asyncio.sleep(FIRST_PAUSE)
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closed.wait(), seconds)

    async def _serve_wire(self, wire: Wire, first: list[Subscription], *, is_back: bool) -> None:
        await wire.settle_first(first)
        for late in [each for each in self._subscriptions if each not in first]:  # who came while it was begun
            await wire.subscribe(late)
        self._has_tried.set()
        for watcher in self._watchers if is_back else ():
            watcher("back")
        await self._send(wire)

    async def _send(self, wire: Wire) -> None:
        """Send letters as they come; when the connector is closed, the rest of them."""
        while True:
            self._news.clear()
            while letters := self._outbox.take(BATCH):
                try:
                    await wire.send_all(letters)
                finally:
                    self._outbox.put_back(wire.unsent)
                    self.sent += len(letters) - len(wire.unsent)
                    self._outbox.done_count += len(letters) - len(wire.unsent)
            if not self.is_open:
                return
            await self._news.wait()

    def _lose(self, reason: str) -> None:
        had, self._wire, self.problem = self._wire, None, reason
        if not self.is_open:
            return
        if had is not None:
            for watcher in self._watchers:
                watcher("lost")
        if not self._has_said:
            self._has_said = True
            if self.is_observer:
                return
            _warn(f"{self.address} is not there: {reason}. Runs go on, and it is tried again.")

    def _hear_refusal(self, pattern: str) -> None:
        if pattern not in self.forbidden:
            self.forbidden.add(pattern)
            _warn(f"{self.address} does not let this user hear '{pattern}': what is sent there has no effect here.")

    def _say_lost(self) -> None:
        left = len(self._outbox)
        if self.dropped or left:
            why = "it was not there" if self._has_said or not self._was_there else "they came faster than it took them"
            _warn(f"{self.dropped + left:,} messages for {self.address} were left out, since {why}.")

    def __repr__(self) -> str:
        """Show the address, without the password."""
        return f"<connector {self.address}>"


def _need_library() -> None:
    try:
        import aiomqtt  # noqa: F401 - only whether it is there
    except ImportError:
        raise ConnectorError.for_library("aiomqtt", "mqtt") from None


def _warn(text: str) -> None:
    import logging

    logging.getLogger("cascade").warning("%s", text)
