"""Runs that remember in a Redis server: over machines, and when the server fails."""

from __future__ import annotations

import os
import pickle
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.caching.redis import RedisCache
from cascade.adapters.stores.remote import BackendStore
from cascade.interfaces.events import StoreReported
from cascade.interfaces.records import Draft
from tests.adapters.redis_servers import RedisServer, black_hole, free_port, wait_until

CHILD = Path(__file__).resolve().parents[2] / "runtime" / "two_processes_child.py"
PATIENCE = 30  # seconds


@pytest.fixture(autouse=True)
def _own_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signing key of the test's own, for its processes too."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def address(redis_url: str) -> str:
    """The shared server, with keys of our own."""
    return f"{redis_url}?prefix=runs-{secrets.token_hex(4)}:"


ran: list[int] = []


@cs.task(pure=True)
def double(x: int) -> int:
    ran.append(x)
    return 2 * x


def run(address: str, numbers: list[int] | None = None) -> tuple[int, list[str]]:
    """Run over the server; return how many tasks ran, and what was reported. The values are right in any case."""
    reports: list[str] = []
    ran.clear()
    numbers = numbers or [1, 2, 3]
    told: Any = (StoreReported, lambda event: reports.append(event.problem))
    assert cs.run([double(n) for n in numbers], cache=address, log_level=None, subscribers=[told]) == [
        2 * n for n in numbers
    ]
    return len(ran), reports


def test_results_serve_other_runs(address: str) -> None:
    """What one run stored, another one finds; the history tells of both, and why nothing ran."""
    assert run(address) == (3, [])
    assert run(address) == (0, [])
    assert [(each.ran, each.stored) for each in cs.history(address)] == [(0, 3), (3, 0)]
    assert "stored" in str(cs.why("double", cache=address))
    assert "stored" in str(cs.plan(double(1), cache=address))


def test_small_values_come_with_their_entries(address: str) -> None:
    """A look-up of many small results takes a handful of commands; a large value is read when it is loaded."""
    cache = RedisCache(address.partition("?")[0], address.partition("=")[2])
    store = BackendStore(cache)
    store.save_many([*(Draft(f"k{n}", n) for n in range(100)), Draft("large", bytes(50_000))])

    def asked() -> int:
        return int(cache._link.client.info("stats")["total_commands_processed"])

    before = asked()
    entries = store.find([*(f"k{n}" for n in range(100)), "large"])
    values = {key: store.load(entry) for key, entry in entries.items()}
    assert asked() - before <= 5
    assert values == {**{f"k{n}": n for n in range(100)}, "large": bytes(50_000)}
    cache.clear()
    cache.close()


def test_look_ups_go_in_batches(address: str) -> None:
    """Ten thousand entries are asked for in twenty commands, not in ten thousand."""
    cache = RedisCache(address.partition("?")[0], address.partition("=")[2])
    store = BackendStore(cache)
    client = cache._link.client
    keys = [f"k{n}" for n in range(10_000)]
    store.save_many(Draft(key, 1) for key in keys)
    before = (
        client.info("commandstats")["cmdstat_mget"]["calls"] if "cmdstat_mget" in client.info("commandstats") else 0
    )
    assert len(store.find(keys)) == 10_000
    assert client.info("commandstats")["cmdstat_mget"]["calls"] - before == 20
    cache.clear()
    cache.close()


# -- faults ---------------------------------------------------------------------------------------------------------


def test_refused() -> None:
    """Where nobody listens, everything runs, and that is told once, without the password."""
    count, (told,) = run(f"redis://:hush@127.0.0.1:{free_port()}/0")
    assert count == 3
    assert "refused" in told
    assert "hush" not in told


@pytest.mark.slow
def test_a_black_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that says nothing costs its timeout once, and not once for each node."""
    monkeypatch.setattr(
        "cascade.adapters.caching.redis.RedisCache.__init__.__kwdefaults__", {"lease": 10.0, "timeout": 0.5}
    )
    begun = time.monotonic()
    with black_hole() as url:
        count, (told,) = run(url, list(range(1, 50)))
    assert count == 49
    assert "did not answer within 0.5 s" in told
    assert time.monotonic() - begun < 5


@pytest.mark.slow
def test_gone_in_mid_run_and_back(make_redis: Callable[..., RedisServer]) -> None:
    """A run whose server goes away ends well and tells it once; when it is back, the next runs have hits again."""
    server = make_redis()
    reports: list[str] = []
    gone = threading.Event()

    @cs.task(pure=True)
    def after(x: int) -> int:
        gone.wait(PATIENCE)
        return x

    told: Any = (StoreReported, lambda event: reports.append(event.problem))
    handle = cs.start([after(double(n)) for n in (1, 2, 3)], cache=server.url, log_level=None, subscribers=[told])
    wait_until(lambda: server.client.keys("cascade:value:entry/*"))
    server.stop()
    gone.set()
    assert handle.result(PATIENCE) == [2, 4, 6]
    assert len(reports) == 1
    server.start()
    assert run(server.url) == (3, [])
    assert run(server.url) == (0, [])


@pytest.mark.slow
def test_full_read_only_and_with_a_password(make_redis: Callable[..., RedisServer]) -> None:
    """What is stored serves although nothing can be stored; each fault is told once, and is over when it is over."""
    server = make_redis()
    assert run(server.url) == (3, [])
    for begin, end, word in (
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0"), "is full"),
        (("REPLICAOF", "127.0.0.1", str(free_port())), ("REPLICAOF", "NO", "ONE"), "read-only replica"),
    ):
        server.say(*begin)
        count, (told,) = run(server.url, [1, 2, 3, 4])
        assert (count, word in told) == (1, True)
        server.say(*end)
        assert run(server.url) == (0, [])
    server.say("CONFIG", "SET", "requirepass", "right")
    for url in (server.url, server.url.replace("//", "//:hush@")):
        count, (told,) = run(url)
        assert (count, "password" in told, "hush" in told) == (3, True, False)
    assert run(server.url.replace("//", "//:right@")) == (0, [])


class Bomb:
    """Tells when it is unpickled."""

    def __reduce__(self) -> Any:
        return ran.append, (-1,)


@pytest.mark.slow
def test_bytes_of_somebody_else(make_redis: Callable[..., RedisServer]) -> None:
    """Torn and foreign bytes, and other types, under all our keys: all is computed again, nothing is unpickled."""
    server = make_redis()
    client = server.client
    for spoil in (
        lambda name, data: client.set(name, data[:-1]),
        lambda name, _: client.set(name, pickle.dumps(Bomb())),
        lambda name, _: client.set(name, b""),
        lambda name, _: (client.delete(name), client.rpush(name, "theirs")),
    ):
        client.flushall()
        assert run(server.url) == (3, [])
        names = client.keys("cascade:value:*")
        for name in names:
            spoil(name, client.get(name))
        count, reports = run(server.url)
        assert (count, -1 in ran) == (3, False)
        assert reports
        client.delete(*[name for name in names if client.type(name) == b"list"], "none")
        run(server.url)
        assert run(server.url) == (0, [])


# -- single flight over machines --------------------------------------------------------------------------------------


class Machines:
    """Processes in folders of their own, that share one server."""

    def __init__(self, folder: Path, address: str) -> None:
        """Begin with none."""
        self.folder, self.address = folder, address
        self.notes, self.hold = folder / "notes", folder / "hold"
        self.children: list[subprocess.Popen[str]] = []

    def start(self, kind: str, **environment: str) -> subprocess.Popen[str]:
        """Start a process in a folder of its own and wait until it could begin."""
        place = self.folder / f"machine-{len(self.children)}"
        place.mkdir()
        child = subprocess.Popen(
            [sys.executable, CHILD, self.address, self.notes, kind],
            cwd=place, env={**os.environ, **environment}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.children.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        return child

    @staticmethod
    def begin(*children: subprocess.Popen[str]) -> None:
        """Let processes go."""
        for child in children:
            assert child.stdin is not None
            child.stdin.write("\n")
            child.stdin.flush()

    def words(self) -> list[str]:
        """Return what the bodies of tasks noted."""
        return self.notes.read_text().split() if self.notes.exists() else []


@pytest.fixture
def machines(tmp_path: Path, address: str) -> Iterator[Machines]:
    """Machines whose processes are all ended."""
    made = Machines(tmp_path, f"{address}&lease=1")
    yield made
    for child in made.children:
        child.kill()
        child.communicate()


def told(child: subprocess.Popen[str]) -> tuple[str, str]:
    """Return what a process printed, and what it complained of."""
    out, err = child.communicate(timeout=PATIENCE)
    return out.strip(), err


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count"), [("many", 12), ("items", 20)])
def test_each_key_is_computed_once(machines: Machines, kind: str, count: int) -> None:
    """Processes in different folders that begin at once compute each key once, and get the same values."""
    children = [machines.start(kind) for _ in range(3)]
    machines.begin(*children)
    assert len({told(child) for child in children}) == 1
    counted = Counter(machines.words())
    assert (len(counted), set(counted.values())) == (count, {1})


@pytest.mark.slow
@pytest.mark.parametrize("ends", [signal.SIGKILL, signal.SIGSTOP])
def test_a_holder_that_dies_or_stops(machines: Machines, ends: signal.Signals) -> None:
    """While the holder computes, longer than a lease, others wait; when it is killed or stopped, one goes on soon."""
    machines.hold.touch()
    first = machines.start("slow", HOLD=str(machines.hold))
    machines.begin(first)
    wait_until(lambda: machines.words() == ["slow21"])
    second = machines.start("slow")
    machines.begin(second)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(2.5)
    assert machines.words() == ["slow21"]
    first.send_signal(ends)
    ended_at = time.monotonic()
    assert told(second) == ("42", "")
    assert time.monotonic() - ended_at < 6
    assert machines.words() == ["slow21", "slow21"]
    if ends == signal.SIGSTOP:  # it wakes up without its lease, and ends well all the same
        machines.hold.unlink()
        first.send_signal(signal.SIGCONT)
        assert told(first) == ("42", "")


@pytest.mark.slow
def test_without_a_server_each_computes(tmp_path: Path) -> None:
    """With single flight over a server that is away, everyone computes; nobody waits, and it is told once."""
    reports: list[str] = []

    @cs.task(cache=cs.cache.by_content(single_flight=True))
    def one(x: int) -> int:
        return x

    told: Any = (StoreReported, lambda event: reports.append(event.problem))
    url = f"redis://127.0.0.1:{free_port()}/0"
    assert cs.run([one(n) for n in range(5)], cache=url, log_level=None, subscribers=[told]) == [0, 1, 2, 3, 4]
    assert len(reports) == 1


def test_runs_of_two_processes_have_numbers(address: str) -> None:
    """The server counts, so that programs which begin runs at the same moment never share a number."""
    program = (
        "import sys, cascade as cs\n"
        "@cs.task(pure=True)\n"
        "def twice(x): return 2 * x\n"
        "for n in range(5): cs.run(twice(n), cache=sys.argv[1], log_level=None)\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", program, address]) for _ in range(2)]
    assert [each.wait(120) for each in both] == [0, 0]
    runs = cs.history(address)
    assert sorted(run.number for run in runs) == list(range(1, 11))
    assert "1 " in str(runs).splitlines()[-1]
    found = cs.history(address).nodes(3)
    assert [row.task for row in found] == ["twice"]


def test_what_is_wrong_with_an_address_is_said(tmp_path: Path) -> None:
    """A missing password, a database that is not there, keys of another program: what it is, and what to write."""
    server = RedisServer(tmp_path, "--requirepass", "hush").start()
    try:
        right = server.url.replace("//", "//:hush@")
        asked = run(server.url)[1]
        assert len(asked) == 1
        assert "asks for a password. Write it into the address" in asked[0]
        nowhere = right.rpartition("/")[0] + "/99"
        assert "has no database of that number" in run(nowhere)[1][0]
        assert "The runs cannot be read. Redis at" in str(cs.history(nowhere))
        cache = RedisCache(right)
        cache._link.client.set("cascade:count:runs", "theirs")
        assert run(right) == (3, []), "without numbers, but remembered"
        assert run(right) == (0, [])
        cache._link.client.delete("cascade:value:runs")
        cache._link.client.rpush("cascade:value:runs", "theirs")
        assert "Choose another prefix (?prefix=name: in the address)" in run(right)[1][0]
        cache.close()
    finally:
        server.stop()
