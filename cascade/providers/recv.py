"""``cs.recv``: wait for a message.

In: a topic of the run's connector. Out: the first message that comes on it. Invariant: no thread is held, and the
subscription ends with the attempt, however that ends.

The connector is the resource ``run_connector``: that of ``cs.run(…, connector=…)``, or one that somebody makes under
this name.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
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
) -> dict[str, Any]:
    """Wait for the next message on a topic, and return what it says.

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
    come: asyncio.Future[dict[str, Any]] = loop.create_future()

    def take(payload: Mapping[str, Any]) -> None:
        if not come.done():
            come.set_result({**payload})

    # a connector may call back on a thread of its own
    subscription = await connector.subscribe(topic, lambda _, payload: loop.call_soon_threadsafe(take, payload))
    try:
        async with asyncio.timeout(timeout):
            return await come
    except TimeoutError:
        raise RecvTimeoutError(f"No message came on '{clip(topic)}' within {timeout:g} s.") from None
    finally:
        ended = getattr(subscription, "unsubscribe", subscription)()
        if inspect.isawaitable(ended):
            await ended
