from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest

from cascade.testing import ConformanceError, check_connector
from cascade.testing.conformance import CONNECTOR_CASES, Case
from tests.testing.conformance.broken import check_coverage, expect_broken, pairs

Callback = Callable[[str, Mapping[str, object]], Any]


class Subscription:
    """One callback and the pattern of its topics."""

    def __init__(self, connector: Base, pattern: str, callback: Callback) -> None:
        self.connector = connector
        self.pattern = pattern
        self.callback = callback

    async def unsubscribe(self) -> None:
        self.connector.drop(self)


class Base:
    """A small connector within one object; what is broken is in the classes under it."""

    def __init__(self) -> None:
        self.is_connected = False
        self.subscriptions: list[Subscription] = []
        self.retained: dict[str, dict[str, object]] = {}

    async def connect(self) -> None:
        self.is_connected = True

    async def disconnect(self) -> None:
        self.is_connected = False
        self.subscriptions = []

    async def publish(self, topic: str, payload: Mapping[str, object], qos: int = 0, retain: bool = False) -> None:
        self.check()
        if retain:
            self.retain(topic, dict(payload))
        for each in list(self.subscriptions):
            if self.matches(each.pattern, topic):
                self.call(each, topic, payload)

    async def subscribe(self, topic: str, callback: Callback) -> Any:
        made = Subscription(self, topic, callback)
        self.subscriptions.append(made)
        for known, payload in self.retained.items():
            if self.matches(topic, known):
                self.call(made, known, payload)
        return made

    def check(self) -> None:
        if not self.is_connected:
            raise ConnectionError("The connector is not connected. Call connect first.")

    def retain(self, topic: str, payload: dict[str, object]) -> None:
        if payload:
            self.retained[topic] = payload
        else:
            self.retained.pop(topic, None)

    def call(self, subscription: Subscription, topic: str, payload: Mapping[str, object]) -> None:
        with suppress(Exception):
            subscription.callback(topic, dict(payload))

    def drop(self, subscription: Subscription) -> None:
        if subscription in self.subscriptions:
            self.subscriptions.remove(subscription)

    def matches(self, pattern: str, topic: str) -> bool:
        wanted, levels = pattern.split("/"), topic.split("/")
        if wanted[-1] == "#":
            wanted, levels = wanted[:-1], levels[: len(wanted) - 1]
        return len(wanted) == len(levels) and all(w in ("+", t) for w, t in zip(wanted, levels, strict=True))


class OnAThread(Base):
    """Calls back from a thread of its own, as clients of real brokers do; its subscriptions end by a call."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()
        self.last = threading.Thread(target=int)
        self.last.start()

    def call(self, subscription: Subscription, topic: str, payload: Mapping[str, object]) -> None:
        before, copy = self.last, dict(payload)

        def deliver() -> None:
            before.join()
            if subscription in self.subscriptions:
                with suppress(Exception):
                    subscription.callback(topic, copy)

        self.last = threading.Thread(target=deliver, daemon=True)
        self.last.start()

    async def subscribe(self, topic: str, callback: Callback) -> Any:
        made = await super().subscribe(topic, callback)
        return lambda: self.drop(made)


@pytest.mark.parametrize("factory", [Base, OnAThread])
@pytest.mark.parametrize("case", CONNECTOR_CASES, ids=str)
def test_whole_connectors_keep_every_promise(case: Case, factory: type[Base]) -> None:
    """A connector passes whether it calls back at once or from a thread, and however a subscription ends."""
    case(factory)


async def test_kit_inside_of_a_running_loop() -> None:
    """The kit in one line works in an async test too."""
    check_connector(Base)


class ConnectsTwice(Base):
    """Every connection hears."""

    connections = 0

    async def connect(self) -> None:
        await super().connect()
        self.connections += 1

    def call(self, subscription: Subscription, topic: str, payload: Mapping[str, object]) -> None:
        for _ in range(self.connections):
            super().call(subscription, topic, payload)


class DisconnectsOnce(Base):
    async def disconnect(self) -> None:
        self.check()
        await super().disconnect()


class ConnectsOnce(Base):
    was_connected = False

    async def connect(self) -> None:
        if self.was_connected:
            return
        self.was_connected = True
        await super().connect()


class LosesTheUnsent(Base):
    async def publish(self, topic: str, payload: Mapping[str, object], qos: int = 0, retain: bool = False) -> None:
        if self.is_connected:
            await super().publish(topic, payload, qos, retain)


class FailsByAccident(Base):
    def check(self) -> None:
        if not self.is_connected:
            None.send()  # type: ignore[attr-defined]


class FailsWithoutWords(Base):
    def check(self) -> None:
        if not self.is_connected:
            raise ConnectionError


class Flattens(Base):
    """Payloads arrive as texts."""

    def call(self, subscription: Subscription, topic: str, payload: Mapping[str, object]) -> None:
        super().call(subscription, topic, {key: str(value) for key, value in payload.items()})


class TellsThePattern(Base):
    def call(self, subscription: Subscription, topic: str, payload: Mapping[str, object]) -> None:
        super().call(subscription, topic.rsplit("/", 1)[0], payload)


class KnowsNoQos(Base):
    async def publish(self, topic: str, payload: Mapping[str, object], qos: int = 0, retain: bool = False) -> None:
        if qos == 0:
            await super().publish(topic, payload, qos, retain)


class Silent(Base):
    def call(self, subscription: Subscription, topic: str, payload: Mapping[str, object]) -> None:
        pass


class Swaps(Base):
    """Delivers two messages at once, the second one first."""

    held: tuple[Any, ...] | None = None

    def call(self, subscription: Subscription, topic: str, payload: Mapping[str, object]) -> None:
        if self.held is None:
            self.held = (subscription, topic, payload)
            return
        held, self.held = self.held, None
        super().call(subscription, topic, payload)
        super().call(*held)


class Repeats(Base):
    def call(self, subscription: Subscription, topic: str, payload: Mapping[str, object]) -> None:
        super().call(subscription, topic, payload)
        super().call(subscription, topic, payload)


class OneAtATime(Base):
    busy = False

    async def publish(self, topic: str, payload: Mapping[str, object], qos: int = 0, retain: bool = False) -> None:
        if self.busy:
            raise RuntimeError("another coroutine is publishing")
        self.busy = True
        await asyncio.sleep(0)
        await super().publish(topic, payload, qos, retain)
        self.busy = False


class OneEach(Base):
    """The latest subscriber of a topic has it for itself."""

    async def subscribe(self, topic: str, callback: Callback) -> Any:
        self.subscriptions = [each for each in self.subscriptions if each.pattern != topic]
        return await super().subscribe(topic, callback)


class OncePerCallback(Base):
    async def subscribe(self, topic: str, callback: Callback) -> Any:
        if any(each.callback is callback for each in self.subscriptions):
            return None
        return await super().subscribe(topic, callback)


class MatchesPrefixes(Base):
    def matches(self, pattern: str, topic: str) -> bool:
        return topic.startswith(pattern.rstrip("#+/"))


class FoldsTopics(Base):
    def matches(self, pattern: str, topic: str) -> bool:
        return super().matches(pattern.lower(), topic.lower())


class GreedyPlus(Base):
    def matches(self, pattern: str, topic: str) -> bool:
        from fnmatch import fnmatchcase

        return fnmatchcase(topic, pattern.replace("+", "*").replace("#", "*"))


class NoPlus(Base):
    def matches(self, pattern: str, topic: str) -> bool:
        return super().matches(pattern.replace("+", "?"), topic)


class OneLevelHash(Base):
    def matches(self, pattern: str, topic: str) -> bool:
        return super().matches(pattern.replace("#", "+"), topic)


class LooseHash(Base):
    def matches(self, pattern: str, topic: str) -> bool:
        if pattern.endswith("/#"):
            return topic.startswith(pattern[:-2])
        return super().matches(pattern, topic)


class RetainsNothing(Base):
    def retain(self, topic: str, payload: dict[str, object]) -> None:
        pass


class RetainsAll(Base):
    async def publish(self, topic: str, payload: Mapping[str, object], qos: int = 0, retain: bool = False) -> None:
        await super().publish(topic, payload, qos, retain=True)


class RetainsTheFirst(Base):
    def retain(self, topic: str, payload: dict[str, object]) -> None:
        self.retained.setdefault(topic, payload)


class RetainsEmpty(Base):
    def retain(self, topic: str, payload: dict[str, object]) -> None:
        self.retained[topic] = payload


class NeverDrops(Base):
    def drop(self, subscription: Subscription) -> None:
        pass


class DropsAll(Base):
    def drop(self, subscription: Subscription) -> None:
        self.subscriptions = [s for s in self.subscriptions if s.pattern != subscription.pattern]


class DropsOnce(Base):
    def drop(self, subscription: Subscription) -> None:
        self.subscriptions.remove(subscription)


class GivesNoHandle(Base):
    async def subscribe(self, topic: str, callback: Callback) -> Any:
        await super().subscribe(topic, callback)


class LetsErrorsThrough(Base):
    def call(self, subscription: Subscription, topic: str, payload: Mapping[str, object]) -> None:
        subscription.callback(topic, dict(payload))


class StopsAtErrors(Base):
    async def publish(self, topic: str, payload: Mapping[str, object], qos: int = 0, retain: bool = False) -> None:
        with suppress(ValueError):
            for each in list(self.subscriptions):
                each.callback(topic, dict(payload))


class Blocks(Base):
    """Waits for the broker without letting anybody else run."""

    async def connect(self) -> None:
        threading.Event().wait(1.2)


class Waits(Base):
    """Waits for an answer that never comes."""

    async def publish(self, topic: str, payload: Mapping[str, object], qos: int = 0, retain: bool = False) -> None:
        await asyncio.Event().wait()


BROKEN = {
    "connects_twice": [ConnectsTwice, DisconnectsOnce],
    "disconnects_unconnected": [DisconnectsOnce],
    "connects_again": [ConnectsOnce],
    "refuses_unconnected": [LosesTheUnsent, FailsByAccident, FailsWithoutWords],
    "delivers": [Flattens, TellsThePattern, KnowsNoQos, Silent, Repeats],
    "keeps_order": [Swaps, Repeats],
    "publishes_at_once": [OneAtATime],
    "serves_several": [OneEach, OncePerCallback],
    "keeps_topics_apart": [MatchesPrefixes, FoldsTopics],
    "knows_plus": [GreedyPlus, NoPlus],
    "knows_hash": [OneLevelHash, LooseHash],
    "retains": [RetainsNothing, RetainsAll, RetainsTheFirst],
    "clears_retained": [RetainsEmpty, RetainsTheFirst],
    "unsubscribes": [NeverDrops, DropsAll, DropsOnce, GivesNoHandle],
    "survives_callbacks": [LetsErrorsThrough, StopsAtErrors],
}


def test_every_case_can_fail() -> None:
    """Each case has a connector that breaks it."""
    check_coverage(CONNECTOR_CASES, BROKEN)


@pytest.mark.parametrize(("name", "factory"), pairs(BROKEN))
def test_broken_connectors_are_found(name: str, factory: type[Base]) -> None:
    """A connector that breaks a promise is found by the case that is about it."""
    assert expect_broken(CONNECTOR_CASES, name, factory, 0.05)


@pytest.mark.slow
def test_connectors_that_hang_are_found() -> None:
    """A call that never returns, or holds up the event loop, ends the case in words."""
    assert "did not return within 0.1 s" in expect_broken(CONNECTOR_CASES, "delivers", Waits, 0.01)
    assert "blocks the event loop" in expect_broken(CONNECTOR_CASES, "delivers", Blocks, 0.01)


def test_the_report_names_the_connector() -> None:
    """The report says which connector breaks which promise, in sentences."""
    with pytest.raises(ConformanceError) as caught:
        check_connector(RetainsEmpty, timeout=0.05)
    assert str(caught.value) == (
        "RetainsEmpty breaks 1 promise of a connector:\n"
        "  - An empty retained payload removes the retained message of its topic\n"
        "    a later subscriber got [None, 'end']"
    )
