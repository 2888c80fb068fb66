"""cascade with its results in a Redis server on loopback, which is started for the measurement and ended with it."""

from __future__ import annotations

import atexit
import shutil
import socket
import subprocess
from collections.abc import Callable
from hashlib import blake2b

import cascade as cs
from benchmarks import stored
from benchmarks.engines.cascade_memory import layered
from benchmarks.workloads import Workload
from cascade.adapters.caching.redis import RedisCache
from cascade.adapters.stores.remote import BackendStore
from cascade.interfaces.records import Draft


def start_server() -> str:
    """Start a server that keeps nothing on the disk; return its address."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        raise FileNotFoundError("No redis-server is installed. On Debian: apt-get install redis-server.")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(stored.new_place())]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    atexit.register(server.kill)
    assert server.stdout is not None
    for line in server.stdout:
        if "ready to accept connections" in line.lower():
            break
    return f"redis://127.0.0.1:{port}/0"


def open_store(url: str, prefix: str = "bench:") -> BackendStore:
    """Return a store with a key of its own."""
    return BackendStore(RedisCache(url, prefix), key_file=stored.new_place() / "key")


def look_up(workload: Workload) -> Callable[[], object]:
    """Find and load as many small results; the answer is how many have their value."""
    keys = [blake2b(b"%d" % number, digest_size=20).hexdigest() for number in range(workload.size)]
    store = open_store(start_server())
    store.save_many([Draft(key, number, task="inc") for number, key in enumerate(keys)])
    return lambda: sum(store.load(entry) == number for number, entry in enumerate(store.find(keys).values()))


def first(workload: Workload) -> Callable[[], object]:
    """Run the layered graph and store every result."""
    url, prefixes = start_server(), iter(range(1000))
    return lambda: cs.run(
        layered(workload, 0, pure=True), cache=open_store(url, f"bench-{next(prefixes)}:"), log_level=None
    )


def again(workload: Workload) -> Callable[[], object]:
    """Run the layered graph, of which everything is stored."""
    store = open_store(start_server())
    cs.run(layered(workload, 0, pure=True), cache=store, log_level=None)
    return lambda: cs.run(layered(workload, 0, pure=True), cache=store, log_level=None)


PREPARE = {"redis_look_up": look_up, "redis_first": first, "redis_again": again}
