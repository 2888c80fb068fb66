"""Real Redis servers on loopback, and sockets that only look like one."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


class RedisServer:
    """A server of our own, which keeps nothing on the disk; it can be stopped and started again on its port."""

    def __init__(self, folder: Path, *settings: str) -> None:
        """Start nothing yet."""
        pytest.importorskip("redis", reason="redis-py is not installed")
        self.folder = folder
        self.settings = settings
        self.port = free_port()
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """The address."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def client(self) -> Any:
        """A plain client, to look behind the scenes."""
        import redis

        return redis.Redis(port=self.port)

    def start(self) -> RedisServer:
        """Start it and wait until it listens."""
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            pytest.skip("no redis-server is installed (on Debian: apt-get install redis-server)")
        command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [*command, "--dir", str(self.folder), *self.settings], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if "ready to accept connections" in line.lower():
                return self
        raise AssertionError("the server did not start")

    def stop(self) -> None:
        """Kill it, as a power cut does."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def say(self, *words: str) -> None:
        """Send a command."""
        with self.client as client:
            client.execute_command(*words)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def black_hole() -> Iterator[str]:
    """Listen, accept by the kernel's queue, and never say anything."""
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(50)
        yield f"redis://127.0.0.1:{hole.getsockname()[1]}/0"


def wait_until(condition: Any, seconds: float = 10.0) -> None:
    """Wait until something that another process or thread does is done."""
    until = time.monotonic() + seconds
    while True:
        with contextlib.suppress(KeyError):
            if condition():
                return
        assert time.monotonic() < until, "it never came"
