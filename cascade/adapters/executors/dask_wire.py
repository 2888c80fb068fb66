"""What workers tell, over one line for each client: Dask keeps whoever subscribes to a topic for as long as the client.

In: a client. Out: messages by name, for whoever asked for them. Invariant: neither the client nor the scheduler keeps
anything of those who listen no more; the scheduler passes messages on and stores none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["Wire", "wire_of"]

_lock = threading.Lock()
_wires: WeakKeyDictionary[Any, Wire] = WeakKeyDictionary()


class Wire:
    """The line of one client. It does not know its client, which knows it.

    Attributes:
        topic: of all its messages, which are pairs of a name and bytes.
    """

    def __init__(self, topic: str) -> None:
        """Hear nothing yet."""
        self.topic = topic
        self._who: dict[str, Callable[[bytes], object]] = {}

    def listen(self, client: Any, name: str, hear: Callable[[bytes], object]) -> Callable[[], None]:
        """Call `hear` with what is told under `name`; return what ends it."""
        self._who[name] = hear

        async def keep_none() -> None:
            with suppress(Exception):  # then the scheduler keeps as many as its configuration says
                await client.run_on_scheduler(_make_forgetful(), self.topic, asynchronous=True)

        client.loop.add_callback(keep_none)
        client.subscribe_topic(self.topic, self._hear)  # each time: the scheduler may be another one by now
        return lambda: self._who.pop(name, None)  # type: ignore[return-value]

    def _hear(self, event: Any) -> None:
        name, data = event[1]
        hear = self._who.get(name)
        if hear is not None:
            hear(data)


def wire_of(client: Any) -> Wire:
    """Return the line of `client`, made at first need."""
    with _lock:
        if client not in _wires:
            _wires[client] = Wire(f"cascade-{client.id}")
        return _wires[client]


def _make_forgetful() -> Callable[..., Any]:
    """Return what has the scheduler store no messages; made in here, it travels by value."""

    def forget(topic: str, dask_scheduler: Any = None) -> None:
        from collections import deque

        dask_scheduler._broker._topics[topic].events = deque(maxlen=0)  # noqa: SLF001 - nothing public does it

    return forget
