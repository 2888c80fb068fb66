from __future__ import annotations

import asyncio
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.connectors.inprocess import InProcessConnector
from cascade.adapters.connectors.local import LocalConnector
from cascade.interfaces.exceptions import ResourceError, RunCancelledError
from cascade.providers.errors import ProviderError
from cascade.providers.recv import RecvTimeoutError
from tests.adapters.connectors.conftest import Broker
from tests.providers.hostile import HOSTILE


class Line:
    """A connector with `for_run` of none but itself: it counts who listens, and calls back on a thread of its own."""

    def __init__(self) -> None:
        self.is_connected = True
        self.callbacks: list[Callable[[str, Any], Any]] = []
        self.listens = threading.Event()

    async def connect(self) -> None:
        raise AssertionError

    async def disconnect(self) -> None:
        raise AssertionError

    async def publish(self, topic: str, payload: Any, qos: int = 0, retain: bool = False) -> None:
        """Take it."""

    async def subscribe(self, topic: str, callback: Callable[[str, Any], Any]) -> Any:
        """Listen, if it is the topic of the test."""
        if topic != "test":
            return lambda: None
        self.callbacks.append(callback)
        self.listens.set()

        async def unsubscribe() -> None:
            self.callbacks.remove(callback)

        return unsubscribe

    def say(self, payload: Any) -> None:
        """Call back."""
        for each in [*self.callbacks]:
            each("test", payload)


@pytest.mark.parametrize("address", ["inprocess:recv-test", InProcessConnector("recv-test")])
def test_it_hears_what_comes(address: Any) -> None:
    """The run's connector, given by address or as an object, brings the next message; patterns work."""
    started = threading.Event()

    @cs.task
    async def say() -> None:
        async with InProcessConnector("recv-test") as other:
            while not heard.done():
                await other.publish("doors/front/state", {"is_open": True})
                await asyncio.sleep(0.001)
                started.set()

    target = [cs.recv("doors/+/state", timeout=10), cs.recv("doors/#", timeout=10)]
    heard = cs.start(target, connector=address, log_level=None)
    talk = cs.start(say(), log_level=None)
    assert heard.result(timeout=10) == [{"is_open": True}] * 2
    talk.result(timeout=10)
    assert started.is_set()


def test_callbacks_on_other_threads() -> None:
    """A connector may call back anywhere and more than once; the first message counts, and the subscription ends."""
    line = Line()
    handle = cs.start(cs.recv("test"), connector=line, log_level=None)
    assert line.listens.wait(5)
    line.say({"n": 1})
    line.say({"n": 2})
    assert handle.result(timeout=5) == {"n": 1}
    assert line.callbacks == []


def test_a_timeout() -> None:
    """When nothing comes in time, the error names topic and seconds, and the subscription has ended."""
    line = Line()
    with pytest.raises(RecvTimeoutError, match=r"No message came on 'test' within 0\.05 s\.") as caught:
        cs.run(cs.recv("test", timeout=0.05), connector=line, log_level=None)
    assert isinstance(caught.value, TimeoutError)
    assert line.callbacks == []


def test_a_cancel() -> None:
    """A cancel ends the wait and the subscription."""
    line = Line()
    handle = cs.start(cs.recv("test"), connector=line, log_level=None)
    assert line.listens.wait(5)
    began = time.monotonic()
    handle.cancel()
    with pytest.raises(RunCancelledError):
        handle.result(timeout=5)
    assert time.monotonic() - began < 1
    assert line.callbacks == []


def test_a_run_without_a_connector() -> None:
    """It is said before anything runs, and what to do; a resource of that name will do as well."""
    with pytest.raises(ResourceError, match=r"The run has no connector, which task 'recv' needs\. Pass connector="):
        cs.run(cs.recv("test"), log_level=None)

    async def opened() -> Any:
        async with InProcessConnector("recv-own") as connector:
            await connector.publish("test", {"n": 1}, retain=True)
            yield connector

    own = cs.resource(name="run_connector")(opened)
    try:
        assert cs.run(cs.recv("test"), log_level=None) == {"n": 1}
        assert cs.run(cs.recv("test"), resources=[own], connector=Line(), log_level=None) == {"n": 1}
    finally:
        del cs.get_current_context().resources["run_connector"]


@pytest.mark.parametrize("topic", ["", None, 3, "a\0b"])
def test_what_is_no_topic(topic: Any) -> None:
    """Topics are text that is not empty."""
    with pytest.raises(ProviderError, match="takes a topic"):
        cs.run(cs.recv(topic), connector=Line(), log_level=None)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "1", True])
def test_what_is_no_timeout(timeout: Any) -> None:
    """Timeouts are numbers of seconds above 0."""
    with pytest.raises(ProviderError, match="seconds above 0"):
        cs.run(cs.recv("test", timeout=timeout), connector=Line(), log_level=None)


def test_hostile_topics() -> None:
    """Sixty texts that mean harm are topics on which nothing comes, or no topics."""
    for text in HOSTILE:
        with pytest.raises((RecvTimeoutError, ProviderError, cs.DependencyMissingError.__mro__[1])):
            cs.run(cs.recv(text, timeout=0.001), connector="inprocess:recv-hostile", log_level=None)


SAID: list[tuple[bytes, Any]] = [
    (b'{"a": 1}', {"a": 1}), (b"hello", "hello"), (b"42", 42), (b"[1, 2]", [1, 2]), (b"{broken", "{broken"),
    (b'"21.5"', "21.5"), (b"null", None), ("é".encode(), "é"), (b"\xff\x00", b"\xff\x00"),
    (b"[" * 100_000, "[" * 100_000),
]  # fmt: skip


@pytest.mark.parametrize("kind", ["inprocess", "local"])
def test_any_message_is_heard(kind: str, tmp_path: Path) -> None:
    """What is no JSON object comes, too: other JSON as its value, else as text, else as bytes."""
    make: Callable[[], Any] = {
        "inprocess": lambda: InProcessConnector("recv-raw"),
        "local": lambda: LocalConnector(tmp_path / "l"),
    }[kind]

    @cs.task
    async def say(n: int) -> str:
        async with make() as other:
            await other.publish_raw(f"said/{n}", SAID[n][0], retain=True)
        return f"said/{n}"

    heard = cs.run([cs.recv(say(n), timeout=10) for n in range(len(SAID))], connector=make(), log_level=None)
    assert heard == [value for _, value in SAID]


@pytest.mark.slow
def test_messages_of_any_program_over_mqtt(tmp_path: Path) -> None:
    """What mosquitto_pub sends, which is seldom a JSON object, comes as it does over other connectors."""
    publisher = shutil.which("mosquitto_pub")
    if publisher is None or not (shutil.which("mosquitto") or Path("/usr/sbin/mosquitto").exists()):
        pytest.skip("no mosquitto is installed (on Debian: apt-get install mosquitto mosquitto-clients)")
    pytest.importorskip("aiomqtt", reason="aiomqtt is not installed")
    broker = Broker(tmp_path).start()
    try:
        command = [publisher, "-h", "127.0.0.1", "-p", str(broker.port), "-r", "-s", "-t"]
        for n, (data, _) in enumerate(SAID):
            subprocess.run([*command, f"said/{n}"], input=data, check=True)
        calls = [cs.recv(f"said/{n}", timeout=10) for n in range(len(SAID))]
        assert cs.run(calls, connector=broker.url, log_level=None) == [value for _, value in SAID]
    finally:
        broker.stop()


def test_a_connector_that_knows_no_raw_messages() -> None:
    """One of the user's own, which gives values of any kind, is taken at its word."""
    for payload in ({"n": 1}, [1, 2], "hello", b"[1]"):
        line = Line()
        handle = cs.start(cs.recv("test"), connector=line, log_level=None)
        assert line.listens.wait(5)
        line.say(payload)
        assert handle.result(timeout=5) == ([1] if payload == b"[1]" else payload)
