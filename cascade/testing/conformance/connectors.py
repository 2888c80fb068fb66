"""What a connector promises.

In: a factory of connectors. Out: the promises that it breaks. Invariant: topics are new each time, so that connectors
to one shared broker can be held to them too; that nothing comes is seen by what comes after it, not by waiting.
"""

from __future__ import annotations

import asyncio
import inspect
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, Final

from cascade.interfaces.protocols import Connector
from cascade.testing.conformance.cases import TIMEOUT, Case, Trial, case, expect, run_cases

__all__ = ["CONNECTOR_CASES", "check_connector"]

Factory = Callable[[], Connector]
CONNECTOR_CASES: Final[list[Case]] = []

MANY = 50
PAYLOAD = {"text": "é✓", "number": 1.5, "none": None, "list": [1, {"deep": [True]}]}


def check_connector(factory: Factory, *, timeout: float = TIMEOUT) -> None:
    """Hold the connectors that `factory` makes to every promise of `Connector`.

    Works with and without a running event loop. What `subscribe` returns is expected to have a method `unsubscribe`,
    or to be a function that ends the subscription; either may be async.

    Args:
        factory: makes a new one for each case.
        timeout: seconds to wait for a message.

    Raises:
        ConformanceError: lists each promise that is broken.

    Example:
        >>> class Mute:
        ...     async def connect(self): ...
        >>> check_connector(Mute)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        cascade.testing.errors.ConformanceError: Mute breaks 15 promises of a connector:
        ...
    """
    run_cases("a connector", CONNECTOR_CASES, factory, timeout)


# -- what the cases need --------------------------------------------------------------------------------------------

Body = Callable[[Trial], Coroutine[Any, Any, None]]


def _case(body: Body) -> Body:
    """Add an async case: it runs on a loop of its own, whether or not the caller has one."""

    @wraps(body)
    def check(trial: Trial) -> None:
        errors: list[BaseException] = []
        limit = 10 * trial.timeout

        def run() -> None:
            try:
                asyncio.run(asyncio.wait_for(body(trial), limit))
            except TimeoutError:
                errors.append(AssertionError(f"a call of the connector did not return within {limit:g} s"))
            except BaseException as error:  # noqa: BLE001 - raised again below
                errors.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(limit + 1)
        expect(not thread.is_alive(), "a call of the connector blocks the event loop")
        if errors:
            raise errors[0]

    case(CONNECTOR_CASES)(check)
    return body


class _Mailbox:
    """A callback that keeps what it hears, on whatever thread it is called."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, dict[str, object]]] = []
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()

    def __call__(self, topic: str, payload: Mapping[str, object]) -> None:
        self.messages.append((topic, dict(payload)))
        self._loop.call_soon_threadsafe(self._news.set)

    @property
    def numbers(self) -> list[object]:
        """The number in each message."""
        return [payload.get("n") for _, payload in self.messages]

    async def wait(self, count: int, seconds: float) -> None:
        """Wait until `count` messages have come."""
        while len(self.messages) < count:
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), seconds)
            except TimeoutError:
                came = f"{len(self.messages)} of {count} messages came within {seconds:g} s"
                raise AssertionError(came) from None


@asynccontextmanager
async def _connected(factory: Factory) -> AsyncIterator[tuple[Any, str]]:
    """Make a connector and connect it; give it with a topic that nobody else uses."""
    connector = factory()
    await connector.connect()
    try:
        yield connector, f"conformance/{secrets.token_hex(6)}"
    finally:
        await connector.disconnect()


async def _end(subscription: Any) -> None:
    end = getattr(subscription, "unsubscribe", subscription)
    expect(callable(end), f"subscribe returned {subscription!r}, which has no unsubscribe() and is no function")
    answer = end()
    if inspect.isawaitable(answer):
        await answer


async def _expect_refusal(connector: Any, when: str) -> None:
    """Publishing is a clear error now: an exception with words, not an accident."""
    try:
        await connector.publish("conformance/none", {"n": 1})
    except (AttributeError, TypeError, NameError, AssertionError) as error:
        raise AssertionError(f"publish {when} fails by accident: {type(error).__name__}: {error}") from error
    except Exception as error:  # noqa: BLE001 - any error will do, if it has words
        expect(str(error).strip(), f"publish {when} raises a {type(error).__name__} without words")
    else:
        raise AssertionError(f"publish {when} is no error, and the message is lost")


# -- connecting -----------------------------------------------------------------------------------------------------


@_case
async def connects_twice(trial: Trial) -> None:
    """Connecting twice and disconnecting twice do no harm, and messages come once."""
    async with _connected(trial.factory) as (connector, topic):
        await connector.connect()
        mailbox = _Mailbox()
        await connector.subscribe(topic, mailbox)
        await connector.publish(topic, {"n": 1})
        await connector.publish(topic, {"n": 2})
        await mailbox.wait(2, trial.timeout)
        expect(mailbox.numbers == [1, 2], f"after connecting twice, {mailbox.numbers} came of [1, 2]")
        await connector.disconnect()
        await connector.disconnect()


@_case
async def disconnects_unconnected(trial: Trial) -> None:
    """Disconnecting what was never connected does no harm."""
    await trial.factory().disconnect()


@_case
async def connects_again(trial: Trial) -> None:
    """After a disconnect it can be connected again, and works."""
    async with _connected(trial.factory) as (connector, topic):
        await connector.disconnect()
        await connector.connect()
        mailbox = _Mailbox()
        await connector.subscribe(topic, mailbox)
        await connector.publish(topic, {"n": 1})
        await mailbox.wait(1, trial.timeout)


@_case
async def refuses_unconnected(trial: Trial) -> None:
    """Publishing before `connect` and after `disconnect` is a clear error."""
    connector = trial.factory()
    await _expect_refusal(connector, "before connect")
    await connector.connect()
    await connector.disconnect()
    await _expect_refusal(connector, "after disconnect")


# -- messages -------------------------------------------------------------------------------------------------------


@_case
async def delivers(trial: Trial) -> None:
    """A subscriber gets each message with its topic and its payload as they were, with every quality of service."""
    async with _connected(trial.factory) as (connector, topic):
        mailbox = _Mailbox()
        await connector.subscribe(topic, mailbox)
        for qos in (0, 1):
            await connector.publish(topic, PAYLOAD, qos=qos)
        await mailbox.wait(2, trial.timeout)
        expect(mailbox.messages == [(topic, PAYLOAD)] * 2, f"they came as {mailbox.messages}")


@_case
async def keeps_order(trial: Trial) -> None:
    """Messages come in the order in which they were published, each once."""
    async with _connected(trial.factory) as (connector, topic):
        mailbox = _Mailbox()
        await connector.subscribe(topic, mailbox)
        for n in range(MANY):
            await connector.publish(topic, {"n": n})
        await mailbox.wait(MANY, trial.timeout)
        expect(mailbox.numbers == list(range(MANY)), f"they came as {mailbox.numbers}")


@_case
async def publishes_at_once(trial: Trial) -> None:
    """Several coroutines may publish at the same time, and nothing is lost."""
    async with _connected(trial.factory) as (connector, topic):
        mailbox = _Mailbox()
        await connector.subscribe(topic, mailbox)
        await asyncio.gather(*[connector.publish(topic, {"n": n}) for n in range(MANY)])
        await mailbox.wait(MANY, trial.timeout)
        expect(sorted(map(str, mailbox.numbers)) == sorted(map(str, range(MANY))), "messages were lost or repeated")


@_case
async def serves_several(trial: Trial) -> None:
    """Each of several subscribers gets every message, one that subscribes twice gets it twice."""
    async with _connected(trial.factory) as (connector, topic):
        boxes = [_Mailbox(), _Mailbox(), _Mailbox()]
        for box in (*boxes, boxes[0]):
            await connector.subscribe(topic, box)
        await connector.publish(topic, {"n": 1})
        for box, count in zip(boxes, (2, 1, 1), strict=True):
            await box.wait(count, trial.timeout)


@_case
async def keeps_topics_apart(trial: Trial) -> None:
    """A subscriber gets the messages of its topic only: not those of a longer, a shorter or another one."""
    async with _connected(trial.factory) as (connector, topic):
        mailbox = _Mailbox()
        await connector.subscribe(f"{topic}/a", mailbox)
        for other in (topic, f"{topic}/a/b", f"{topic}/A", f"{topic}/ab", f"{topic}/a"):
            await connector.publish(other, {"n": other})
        await mailbox.wait(1, trial.timeout)
        expect(mailbox.numbers == [f"{topic}/a"], f"it heard {mailbox.numbers}")


@_case
async def knows_plus(trial: Trial) -> None:
    """``+`` stands for exactly one level of a topic."""
    async with _connected(trial.factory) as (connector, topic):
        mailbox = _Mailbox()
        await connector.subscribe(f"{topic}/+/end", mailbox)
        for place in ("end", "a/b/end", "a/other", "a/end", "b/end"):
            await connector.publish(f"{topic}/{place}", {"n": place})
        await mailbox.wait(2, trial.timeout)
        expect(mailbox.numbers == ["a/end", "b/end"], f"'+/end' heard {mailbox.numbers}")


@_case
async def knows_hash(trial: Trial) -> None:
    """``#`` at the end stands for everything below."""
    async with _connected(trial.factory) as (connector, topic):
        mailbox = _Mailbox()
        await connector.subscribe(f"{topic}/in/#", mailbox)
        for place in ("out/a", "inner/a", "in/a", "in/a/b/c"):
            await connector.publish(f"{topic}/{place}", {"n": place})
        await mailbox.wait(2, trial.timeout)
        expect(mailbox.numbers == ["in/a", "in/a/b/c"], f"'in/#' heard {mailbox.numbers}")


# -- retained messages ----------------------------------------------------------------------------------------------


@_case
async def retains(trial: Trial) -> None:
    """Who subscribes later gets the last retained message of each topic that fits, and no other message from before."""
    async with _connected(trial.factory) as (connector, topic):
        await connector.publish(f"{topic}/a", {"n": "old"}, retain=True)
        await connector.publish(f"{topic}/a", {"n": "a"}, retain=True)
        await connector.publish(f"{topic}/b", {"n": "b"}, retain=True)
        await connector.publish(f"{topic}/c", {"n": "passing"})
        exact, below = _Mailbox(), _Mailbox()
        await connector.subscribe(f"{topic}/a", exact)
        await connector.subscribe(f"{topic}/#", below)
        await exact.wait(1, trial.timeout)
        await below.wait(2, trial.timeout)
        await connector.publish(f"{topic}/a", {"n": "end"})
        await exact.wait(2, trial.timeout)
        await below.wait(3, trial.timeout)
        expect(exact.numbers == ["a", "end"], f"the subscriber of one topic got {exact.numbers}")
        expect(sorted(map(str, below.numbers)) == ["a", "b", "end"], f"the subscriber of all got {below.numbers}")
        await connector.publish(f"{topic}/a", {}, retain=True)
        await connector.publish(f"{topic}/b", {}, retain=True)


@_case
async def clears_retained(trial: Trial) -> None:
    """An empty retained payload removes the retained message of its topic."""
    async with _connected(trial.factory) as (connector, topic):
        await connector.publish(topic, {"n": "old"}, retain=True)
        await connector.publish(topic, {}, retain=True)
        mailbox = _Mailbox()
        await connector.subscribe(topic, mailbox)
        await connector.publish(topic, {"n": "end"})
        await mailbox.wait(1, trial.timeout)
        expect(mailbox.numbers == ["end"], f"a later subscriber got {mailbox.numbers}")


# -- subscribers ----------------------------------------------------------------------------------------------------


@_case
async def unsubscribes(trial: Trial) -> None:
    """A subscription that was ended hears nothing more, others of the same topic do; ending it twice does no harm."""
    async with _connected(trial.factory) as (connector, topic):
        leaving, staying = _Mailbox(), _Mailbox()
        subscription = await connector.subscribe(topic, leaving)
        await connector.subscribe(topic, staying)
        await connector.publish(topic, {"n": 1})
        await leaving.wait(1, trial.timeout)
        await staying.wait(1, trial.timeout)
        await _end(subscription)
        await connector.publish(topic, {"n": 2})
        await connector.publish(topic, {"n": 3})
        await staying.wait(3, trial.timeout)
        expect(leaving.numbers == [1], f"after its end it heard {leaving.numbers[1:]}")
        await _end(subscription)


@_case
async def survives_callbacks(trial: Trial) -> None:
    """A callback that raises harms nobody: not who publishes, not other subscribers, not the next message."""
    async with _connected(trial.factory) as (connector, topic):
        calls: list[str] = []

        def fail(topic: str, payload: Mapping[str, object]) -> None:  # noqa: ARG001 - as every callback
            calls.append(topic)
            raise ValueError("a subscriber failed")

        before, after = _Mailbox(), _Mailbox()
        for callback in (before, fail, after):
            await connector.subscribe(topic, callback)
        await connector.publish(topic, {"n": 1})
        await connector.publish(topic, {"n": 2})
        await before.wait(2, trial.timeout)
        await after.wait(2, trial.timeout)
        expect((before.numbers, after.numbers) == ([1, 2], [1, 2]), f"others got {before.numbers} and {after.numbers}")
