"""A mosquitto of our own, on a free port of this machine, that tests may stop, kill and start again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

TIMEOUT = 10.0  # seconds


def free_port() -> int:
    """A port of this machine that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(is_true: Callable[[], object], seconds: float = TIMEOUT) -> None:
    """Wait for something that another program does."""
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, f"it was not so within {seconds:g} s"
        time.sleep(0.005)


class Broker:
    """One mosquitto; `start` and `stop` may follow each other."""

    def __init__(self, folder: Path, settings: str = "allow_anonymous true", address: str = "mqtt") -> None:
        self.port = free_port()
        self.folder = folder
        self.url = f"{address}://127.0.0.1:{self.port}"
        user = "user root\n" if hasattr(os, "getuid") and os.getuid() == 0 else ""
        self.config = folder / f"mosquitto-{self.port}.conf"
        self.config.write_text(f"{user}listener {self.port} 127.0.0.1\n{settings}\n", encoding="utf-8")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Broker:
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self.process = subprocess.Popen(
            [program, "-c", self.config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(self.answers)
        return self

    def answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self, how: int = signal.SIGKILL) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(how)
            process.wait(TIMEOUT)


class Listener:
    """mosquitto_sub, a subscriber that knows nothing of cascade; `messages` are topics and payloads as text."""

    def __init__(self, port: int, topic: str) -> None:
        program = shutil.which("mosquitto_sub")
        if program is None:
            pytest.skip("no mosquitto_sub is installed (on Debian: apt-get install mosquitto-clients)")
        command = [
            program,
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
            "-t",
            topic,
            "-t",
            "listener/ready",
            "-F",
            "%t %p",
            "-q",
            "1",
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = port
        self.is_ready = False
        self.messages: list[tuple[str, str]] = []
        self._wait_ready()

    def _wait_ready(self) -> None:
        publisher = shutil.which("mosquitto_pub") or "mosquitto_pub"
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        command = [publisher, "-h", "127.0.0.1", "-p", str(self.port), "-t", "listener/ready", "-m", "x"]
        end = time.monotonic() + TIMEOUT
        while not self.is_ready:
            assert time.monotonic() < end, "mosquitto_sub hears nothing"
            subprocess.run(command, check=True)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            topic, _, text = line.rstrip("\n").partition(" ")
            if topic == "listener/ready":
                self.is_ready = True
            else:
                self.messages.append((topic, text))

    def read(self) -> list[tuple[str, str]]:
        """What has come by now."""
        return list(self.messages)

    def wait_for(self, word: str) -> list[dict[str, Any]]:
        """Read until a message has `word` in it; return all payloads so far."""
        until(lambda: any(word in text for _, text in self.read()))
        return [json.loads(text) for _, text in self.messages]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(TIMEOUT)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    """A function that makes a broker, running."""
    pytest.importorskip("aiomqtt", reason="aiomqtt is not installed")
    if shutil.which("mosquitto") is None and not Path("/usr/sbin/mosquitto").exists():
        pytest.skip("no mosquitto is installed (on Debian: apt-get install mosquitto)")
    made: list[Broker] = []

    def make(*args: str) -> Broker:
        made.append(Broker(tmp_path, *args).start())
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def broker(make_broker: Callable[..., Broker]) -> Broker:
    """A broker that anybody on this machine may use."""
    return make_broker()


@pytest.fixture
def listen(broker: Broker) -> Iterator[Callable[[str], Listener]]:
    """A function that starts mosquitto_sub on a topic of `broker`."""
    made: list[Listener] = []

    def start(topic: str = "cascade/#") -> Listener:
        made.append(Listener(broker.port, topic))
        return made[-1]

    yield start
    for each in made:
        each.close()


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime folder for this test alone, and no names of organisations from outside."""
    folder = tmp_path / "r"
    monkeypatch.setenv("CASCADE_RUNTIME_DIR", str(folder))
    for name in ("CASCADE_ORG_ID", "CASCADE_PROJECT_ID", "CASCADE_MQTT_USERNAME", "CASCADE_MQTT_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
