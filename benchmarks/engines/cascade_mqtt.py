"""cascade with its telemetry over an MQTT broker on loopback, started for the measurement and ended with it."""

from __future__ import annotations

import atexit
import shutil
import socket
import subprocess
import time
from collections.abc import Callable

import cascade as cs
from benchmarks import stored
from benchmarks.work import grind
from benchmarks.workloads import Workload

READY = 10.0  # seconds

ground = cs.task(mode="blocking")(grind)


def start_broker() -> str:
    """Start a broker that keeps nothing; return its address."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        raise FileNotFoundError("No mosquitto is installed. On Debian: apt-get install mosquitto.")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = stored.new_place() / "mosquitto.conf"
    config.parent.chmod(0o755)  # mosquitto reads it as a user of its own
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n", encoding="utf-8")
    server = subprocess.Popen([program, "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    atexit.register(server.kill)
    until = time.monotonic() + READY
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return f"mqtt://127.0.0.1:{port}"
    raise TimeoutError(f"mosquitto does not answer after {READY:g} s.")


def execute(workload: Workload, connector: str | None) -> object:
    """Run tasks that compute, in threads."""
    return cs.run([ground(number) for number in range(workload.size)], connector=connector, log_level=None)


def untold(workload: Workload) -> Callable[[], object]:
    """Nobody hears of it."""
    return lambda: execute(workload, None)


def told(workload: Workload) -> Callable[[], object]:
    """Each event goes over the broker; that the messages went out is part of the time."""
    address = start_broker()
    execute(workload, address)  # loads what loads at first use
    return lambda: execute(workload, address)


PREPARE = {"untold": untold, "told": told}
