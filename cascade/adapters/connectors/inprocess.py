"""A connector within one process: for tests, and for a notebook that watches its own runs.

In: messages. Out: calls of callbacks, on the thread that publishes. Invariant: connectors of one name hear each other,
those of another name do not; what a callback raises or changes harms nobody.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Self
from weakref import WeakValueDictionary

from cascade.adapters.connectors.topics import check_pattern, check_topic, decode, encode, matches
from cascade.interfaces.remote_errors import ConnectorError

__all__ = ["InProcessConnector"]

Callback = Callable[[str, Any], Any]


class _Subscription:
    """One callback of one connector."""

    __slots__ = ("callback", "hub", "is_raw", "pattern")

    def __init__(self, hub: _Hub, pattern: str, callback: Callback, *, is_raw: bool) -> None:
        self.hub = hub
        self.pattern = pattern
        self.callback = callback
        self.is_raw = is_raw

    def unsubscribe(self) -> None:
        """Hear nothing more; twice does no harm."""
        with self.hub.lock:
            self.hub.subscriptions.pop(self, None)

    def __iter__(self) -> Iterator[object]:
        """What the protocol promises to who only wants to keep it."""
        return iter((self.pattern, self.callback))

    def give(self, topic: str, data: bytes) -> None:
        """Call back, whatever comes of it."""
        payload = data if self.is_raw else decode(data)
        if payload is None:
            return
        try:
            self.callback(topic, payload)
        except Exception:
            logging.getLogger("cascade").warning("A callback for %s failed.", topic, exc_info=True)


class _Hub:
    """What connectors of one name share. Its lock keeps messages in one order; callbacks may publish in turn."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.subscriptions: dict[_Subscription, None] = {}
        self.retained: dict[str, bytes] = {}

    def publish(self, topic: str, data: bytes, *, retain: bool) -> None:
        with self.lock:
            if retain and data:
                self.retained[topic] = data
            elif retain:
                self.retained.pop(topic, None)
            for each in list(self.subscriptions):
                if matches(each.pattern, topic) and each in self.subscriptions:
                    each.give(topic, data)


_hubs: Final[WeakValueDictionary[str, _Hub]] = WeakValueDictionary()  # each lives as long as a connector knows it
_lock: Final = threading.Lock()


class InProcessConnector:
    """Carries messages between the threads of one process.

    Args:
        name: connectors of one name hear each other.

    Example:
        >>> import asyncio
        >>> async def say() -> None:
        ...     async with InProcessConnector("demo") as connector:
        ...         await connector.subscribe("greetings/#", lambda topic, payload: print(topic, payload))
        ...         await connector.publish("greetings/all", {"text": "hello"})
        >>> asyncio.run(say())
        greetings/all {'text': 'hello'}
    """

    def __init__(self, name: str = "default") -> None:
        """Know the hub of that name; hear nothing before `connect`."""
        self.name = name
        self.address = f"inprocess:{name}"
        with _lock:
            self._hub = _hubs.get(name) or _Hub()
            _hubs[name] = self._hub
        self._mine: list[_Subscription] = []
        self.is_connected = False

    def for_run(self) -> InProcessConnector:
        """Return another connector of this name, which can be disconnected without harm to this one."""
        return InProcessConnector(self.name)

    async def connect(self) -> None:
        """Begin; twice does no harm."""
        self.is_connected = True

    async def disconnect(self) -> None:
        """End all subscriptions of this connector; twice does no harm."""
        self.is_connected = False
        mine, self._mine = self._mine, []
        for each in mine:
            each.unsubscribe()

    async def publish(self, topic: str, payload: Mapping[str, object], qos: int = 0, retain: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - as every connector
        """Send one message; callbacks have been called when this returns.

        Raises:
            ConnectorError: when it is not connected, or this is no topic or no JSON.
        """
        self._check_open()
        check_topic(topic)
        self._hub.publish(topic, encode(topic, payload), retain=retain)

    async def publish_raw(self, topic: str, data: bytes, *, retain: bool = False) -> None:
        """Send bytes as they are, as any program can over other connectors.

        Raises:
            ConnectorError: when it is not connected, or this is no topic.
        """
        self._check_open()
        check_topic(topic)
        self._hub.publish(topic, data, retain=retain)

    def post_all(self, messages: Iterable[tuple[str, Mapping[str, object], int]]) -> None:
        """Send messages (topic, payload, quality of service) on this thread.

        Raises:
            ConnectorError: as `publish`.
        """
        self._check_open()
        for topic, payload, _ in messages:
            check_topic(topic)
            self._hub.publish(topic, encode(topic, payload), retain=False)

    async def subscribe(self, topic: str, callback: Callback, *, raw: bool = False) -> _Subscription:
        """Call `callback(topic, payload)` for each message on a topic that fits, retained ones before this returns.

        Args:
            raw: the callback takes the bytes as they came; else what is no JSON object is left out.

        Raises:
            ConnectorError: when it is not connected, or this is no pattern.
        """
        self._check_open()
        check_pattern(topic)
        made = _Subscription(self._hub, topic, callback, is_raw=raw)
        with self._hub.lock:
            self._hub.subscriptions[made] = None
            self._mine.append(made)
            for known, data in list(self._hub.retained.items()):
                if matches(topic, known):
                    made.give(known, data)
        return made

    def _check_open(self) -> None:
        if not self.is_connected:
            raise ConnectorError.for_closed(self.address)

    async def __aenter__(self) -> Self:
        """Connect."""
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self.disconnect()

    def __repr__(self) -> str:
        """Show the address."""
        return f"<connector {self.address}>"
