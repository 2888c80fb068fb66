"""Dask clusters of real processes, on loopback, for one test or for all of a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cascade.adapters.executors.dask import DaskExecutor, close_clusters

ROOT = Path(__file__).resolve().parents[3]
COME_UP = 90.0  # seconds, on a busy machine


class Processes:
    """A scheduler and workers that a test starts, stops, kills and freezes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[bytes]] = []
        self.address = ""
        self.scheduler: subprocess.Popen[bytes] | None = None

    def start_scheduler(self, **config: str) -> str:
        """Start a scheduler on a free port and return its address."""
        file = self.folder / "scheduler.json"
        self.scheduler = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file),
            config=config,
        )  # fmt: skip
        import json

        until = time.monotonic() + COME_UP
        while time.monotonic() < until:
            with suppress(OSError, ValueError):
                self.address = json.loads(file.read_text())["address"]
                return self.address
            assert self.scheduler.poll() is None, (self.folder / "scheduler.log").read_text()
            time.sleep(0.05)
        raise AssertionError("the scheduler did not come up")

    def start_worker(self, *options: str, nanny: bool = False) -> subprocess.Popen[bytes]:
        """Start a worker with one thread; it comes up some time later."""
        mode = "--nanny" if nanny else "--no-nanny"
        return self._start("worker", self.address, "--nthreads", "1", mode, "--no-dashboard", *options, config={})

    def _start(self, kind: str, *options: str, config: dict[str, str]) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **config}
        with (self.folder / f"{kind}.log").open("ab") as log:
            made = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{kind}", *options],
                cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self.started.append(made)
        return made

    def stop(self) -> None:
        """End everything that was started."""
        for process in reversed(self.started):
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait(10)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Give what starts schedulers and workers, and end them after the test."""
    made = Processes(tmp_path)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def local() -> Iterator[DaskExecutor]:
    """Give a cluster of two workers on this machine."""
    made = DaskExecutor(workers=2)
    try:
        yield made
    finally:
        close_clusters()


def wait_until(is_so: Callable[[], Any], seconds: float = COME_UP) -> None:
    """Wait for something that another process does."""
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)
