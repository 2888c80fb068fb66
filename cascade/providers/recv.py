"""``cs.recv``: wait for a message.

In: a topic of the run's connector. Out: the first message that comes on it, whatever it is. Invariant: no thread is
held, and the subscription ends with the attempt, however that ends.

The connector is the resource ``run_connector``: that of ``cs.run(…, connector=…)``, or one that somebody makes under
this name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import cascade as cs
from cascade.providers.errors import ProviderError, clip, short

__all__ = ["RecvTimeoutError", "recv"]


class RecvTimeoutError(ProviderError, TimeoutError):
    """No message came in time."""


@cs.task(name="recv")
async def recv(
    topic: str,
    /,
    *,
    timeout: float | None = None,  # noqa: ASYNC109 - said in the error; .with_timeout is there too
    connector: Any = cs.inject("run_connector"),
) -> Any:
    """Wait for the next message on a topic, and return what it says.

    JSON comes as the value that it says, other text as text, and what is no text as bytes; an empty message is ``{}``.
    A retained message that is there already counts; any other one that was sent before the call began does not.

    Args:
        topic: or a pattern, with ``+`` for one level and ``#`` for all that follow. timeout: seconds; None: no end.
        connector: what carries messages: that of the run, unless another one is given.

    Raises:
        RecvTimeoutError: when none came in time. ProviderError: for what is no topic.

    Example:
        >>> import cascade as cs
        >>> from cascade.adapters.connectors.inprocess import InProcessConnector
        >>> @cs.task
        ... async def open_door():
        ...     async with InProcessConnector("house") as house:
        ...         await house.publish("doors/front", {"is_open": True}, retain=True)
        >>> door = cs.recv("doors/+", timeout=5).after(open_door())
        >>> cs.run(door, connector=InProcessConnector("house"), log_level="ERROR")
        {'is_open': True}
    """
    import asyncio

    if not isinstance(topic, str) or not topic or "\0" in topic:
        raise ProviderError(f"cs.recv takes a topic, not {short(topic)}.")
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0):
        raise ProviderError(f"timeout of cs.recv is a number of seconds above 0, not {short(timeout)}.")
    loop = asyncio.get_running_loop()
    come: asyncio.Future[Any] = loop.create_future()

    def take(payload: object) -> None:
        if not come.done():
            come.set_result(_said(payload))

    # a connector may call back on a thread of its own
    subscription = await connector.subscribe(
        topic, lambda _, payload: loop.call_soon_threadsafe(take, payload), **_raw(connector.subscribe)
    )
    try:
        async with asyncio.timeout(timeout):
            return await come
    except TimeoutError:
        raise RecvTimeoutError(f"No message came on '{clip(topic)}' within {timeout:g} s.") from None
    finally:
        ended = getattr(subscription, "unsubscribe", subscription)()
        if inspect.isawaitable(ended):
            await ended


def _raw(subscribe: Callable[..., Any]) -> dict[str, bool]:
    """Return what asks for the bytes of messages: without it, a connector leaves out what is no JSON object.

    The protocol of connectors does not know it, so that one of the user's own may not have it.
    """
    try:
        takes = inspect.signature(subscribe).parameters
    except (TypeError, ValueError):
        return {}
    return {"raw": True} if "raw" in takes else {}


def _said(payload: object) -> Any:
    """Return what a message says."""
    if isinstance(payload, Mapping):
        return {**payload}
    if not isinstance(payload, (bytes, bytearray, memoryview)):
        return payload
    data = bytes(payload)
    if not data:
        return {}  # as `publish` sends it
    from json import loads

    try:
        text = data.decode()
    except UnicodeDecodeError:
        return data
    try:
        return loads(text)
    except (ValueError, RecursionError):
        return text
