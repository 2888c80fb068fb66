"""The state of runs in a real Redis server."""

from __future__ import annotations

import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.state.errors import StateError
from cascade.adapters.state.redis import RedisStateBackend
from cascade.interfaces.protocols import StateBackend
from cascade.testing.conformance import STATE_BACKEND_CASES, Case
from tests.adapters.redis_servers import RedisServer, black_hole, free_port, wait_until

ROOT = Path(__file__).resolve().parents[3]
Make = Callable[..., RedisStateBackend]


@pytest.fixture
def prefix() -> str:
    """Keys of our own."""
    return f"state-{secrets.token_hex(4)}:"


@pytest.fixture
def make(redis_url: str, prefix: str, tmp_path: Path) -> Iterator[Make]:
    """Open backends under one prefix, with one key."""
    made: list[RedisStateBackend] = []

    def open_one(run_id: str | None = "r", **settings: Any) -> RedisStateBackend:
        settings = {"key_file": tmp_path / "key", "prefix": prefix} | settings
        made.append(RedisStateBackend(settings.pop("url", redis_url), run_id, **settings))
        return made[-1]

    yield open_one
    for each in made:
        each.close()


def as_protocol(state: RedisStateBackend) -> StateBackend:
    """Checked by mypy: the backend keeps the protocol."""
    return state


@pytest.mark.slow
@pytest.mark.parametrize("case", STATE_BACKEND_CASES, ids=str)
def test_promises_of_the_protocol(case: Case, redis_url: str, prefix: str, tmp_path: Path) -> None:
    """It keeps every promise."""
    case(lambda run_id: RedisStateBackend(redis_url, run_id, prefix=prefix, key_file=tmp_path / "key"))


def test_another_backend_reads_it(make: Make) -> None:
    """What one writes, another one reads, in the order in which it came; runs are listed, the oldest first."""
    with make("b") as one, make("a") as two:
        for node in "zyx":
            one.put_result(node, [node])
            one.mark_skipped(node * 2, "why")
        one.put_metadata("nodes", 6)
        one.flush()
        two.begin_run("a")
        two.flush()
        reader = make("b", read_only=True)
        assert reader.runs() == ["b", "a"]
        assert (reader.results(), reader.get_result("y")) == (["z", "y", "x"], ["y"])
        assert (list(reader.skips()), reader.get_skip_reason("zz")) == (["zz", "yy", "xx"], "why")
        assert (reader.counts(), reader.metadata()) == ((3, 3), {"nodes": 6})
        with pytest.raises(StateError, match="open for reading only"):
            reader.put_result("n", 1)
        one.forget_run("a")
        assert reader.runs() == ["b"]
    with pytest.raises(StateError, match=r"Nobody said which run of redis://.*RedisStateBackend\(url, run_id\)"):
        make(None).results()
    with pytest.raises(StateError, match="has been closed here"):
        one.results()


def test_everything_ends_with_its_time(make: Make, shared_redis: RedisServer, prefix: str) -> None:
    """All that is kept of a run has the same end, which each change puts off; then the run is not listed."""
    state = make(ttl=0.3)
    state.put_result("n", 1)
    state.put_metadata("k", 1)
    state.mark_skipped("s", "why")
    state.flush()
    client = shared_redis.client
    names = client.keys(f"{prefix}state:*")
    assert len(names) == 5
    assert all(0 < client.pttl(name) <= 300 for name in names)
    wait_until(lambda: not client.keys(f"{prefix}state:*"))
    assert (state.runs(), state.results()) == ([], [])
    lasting = make("forever", ttl=None)
    lasting.begin_run("forever")
    lasting.flush()
    assert client.pttl(f"{prefix}state:forever:begun") == -1


@pytest.mark.parametrize(("name", "wrong"), [("ttl", 0), ("ttl", True), ("largest", -1), ("largest", "x")])
def test_limits_that_are_none(make: Make, name: str, wrong: Any) -> None:
    """A time or a size that is none is refused by name."""
    with pytest.raises(StateError, match=f"{name} is"):
        make(**{name: wrong})


def test_what_cannot_be_kept(make: Make) -> None:
    """A value that is too large, or cannot be pickled, is noted with the reason; those beside it are kept."""
    state = make(largest=1000)
    state.put_result("large", bytes(2000))
    state.put_result("lock", threading.Lock())
    state.put_result("small", 1)
    assert (state.results(), list(state.unkept())) == (["small"], ["large", "lock"])
    with pytest.raises(StateError, match=r"takes 2,0.* bytes, and at most 1,000 are kept"):
        state.get_result("large")
    state.put_result("large", 2)
    assert state.get_result("large") == 2


class Bomb:
    """Tells when it is unpickled."""

    fired = 0

    def __reduce__(self) -> Any:
        return _fire, ()


def _fire() -> None:
    Bomb.fired += 1


def test_bytes_of_somebody_else(make: Make, shared_redis: RedisServer, prefix: str, tmp_path: Path) -> None:
    """Torn, foreign and swapped bytes are an error in words, and are never unpickled; other nodes can be read."""
    import pickle

    state = make()
    for node in "abc":
        state.put_result(node, node)
    state.flush()
    client, values = shared_redis.client, f"{prefix}state:r:values"
    whole = client.hget(values, "a")
    for wrong in (b"", whole[:-1], whole[:10], pickle.dumps(Bomb()), client.hget(values, "b"), whole[:24] + b"\0" * 9):
        client.hset(values, "a", wrong)
        with pytest.raises(StateError, match="'a'"):
            state.get_result("a")
    assert (Bomb.fired, state.get_result("b")) == (0, "b")
    with pytest.raises(StateError, match=r"signed with another key .*Copy the key file"):
        make(key_file=tmp_path / "other").get_result("b")
    client.hset(f"{prefix}state:r:nodes", "c", b"\xff{")
    client.hset(f"{prefix}state:r:facts", "k", b"{torn")
    assert ("c" in state.unkept(), state.get_metadata("k"), state.metadata()) == (True, None, {"k": None})
    client.delete(values)
    client.rpush(values, "theirs")
    with pytest.raises(StateError, match="something else under a key of cascade's"):
        state.get_result("b")


# -- of runs ----------------------------------------------------------------------------------------------------------


@cs.task
def load(n: int) -> list[int]:
    return [n]


READER = (
    "import sys, time\n"
    "from cascade.adapters.state.redis import RedisStateBackend\n"
    "with RedisStateBackend(sys.argv[1], sys.argv[2], read_only=True) as state:\n"
    "    until = time.monotonic() + 10\n"
    "    while not state.has_result('load') and time.monotonic() < until: pass\n"
    "    facts = state.metadata()\n"
    "    print(state.get_result('load'), facts['state'], facts['nodes'], state.counts())"
)


@pytest.mark.slow
def test_another_process_sees_how_far_a_run_is(redis_url: str) -> None:
    """Another process reads values, the state and how many nodes are done while the run waits, and the end after it."""
    go = threading.Event()

    @cs.task
    def hold(values: object) -> object:
        go.wait(20)
        return values

    handle = cs.start(hold(load(3)), state_backend=f"{redis_url}?ttl=60", log_level=None)
    command = [sys.executable, "-c", READER, redis_url, handle.run_id]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    go.set()
    assert answer.stdout.strip() == "[3] running 2 (1, 0)", answer.stderr
    assert handle.result(10) == [3]
    with RedisStateBackend(redis_url, handle.run_id) as state:
        assert (state.get_metadata("state"), state.get_result("hold"), state.counts()) == ("completed", [3], (2, 0))


def run_beside(url: str, caplog: pytest.LogCaptureFixture, **settings: Any) -> list[str]:
    """Run with state in a server that fails; return what was said."""
    caplog.clear()
    backend: Any = (lambda run_id: RedisStateBackend(url, run_id, **settings)) if settings else url
    assert cs.run([load(n) for n in range(20)], state_backend=backend, log_level=None) == [[n] for n in range(20)]
    return [record.getMessage() for record in caplog.records]


@pytest.mark.slow
def test_servers_that_fail_cost_a_run_nothing(
    make_redis: Callable[..., RedisServer], caplog: pytest.LogCaptureFixture
) -> None:
    """Refused, silent, full, read-only, wrong password, wrong type: the values are right, and it is told once."""
    said = run_beside(f"redis://:hush@127.0.0.1:{free_port()}/0", caplog)
    assert len(said) == 1
    assert "refused" in said[0]
    assert "hush" not in said[0]
    begun = time.monotonic()
    with black_hole() as url:
        (told,) = run_beside(url, caplog, timeout=0.3)
    assert "did not answer within 0.3 s" in told
    assert time.monotonic() - begun < 5
    server = make_redis()
    for command, word in (
        (("CONFIG", "SET", "maxmemory", "1"), "is full"),
        (("CONFIG", "SET", "requirepass", "right"), "password"),
    ):
        server.say(*command)
        (told,) = run_beside(server.url, caplog)
        assert word in told
        if word == "is full":
            server.say("CONFIG", "SET", "maxmemory", "0")
    server.stop()
    server.start()
    server.say("SET", "cascade:state-runs", "theirs")
    (told,) = run_beside(server.url, caplog)
    assert "something else" in told
    server.say("REPLICAOF", "127.0.0.1", str(free_port()))
    (told,) = run_beside(server.url, caplog)
    assert "replica" in told
    server.say("REPLICAOF", "NO", "ONE")
    server.say("DEL", "cascade:state-runs")
    assert run_beside(server.url, caplog) == []


@pytest.mark.slow
def test_a_server_that_comes_back_has_it_all(
    make_redis: Callable[..., RedisServer], caplog: pytest.LogCaptureFixture
) -> None:
    """What is put while a server is away for a moment is written when it is back; nobody complains."""
    server = make_redis()
    state = RedisStateBackend(server.url, "r")
    state.put_result("before", 1)
    state.flush()
    server.stop()
    state.put_result("meanwhile", 2)
    threading.Timer(0.3, server.start).start()
    state.flush()
    assert state.get_result("meanwhile") == 2
    state.close()
    assert [record for record in caplog.records if record.name.startswith(("cascade", "redis"))] == []


@pytest.mark.slow
def test_a_server_that_stays_away_is_given_up(
    make_redis: Callable[..., RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some seconds the fault is told to whoever puts, flushes or closes; nothing waits for ever."""
    monkeypatch.setattr("cascade.adapters.state.redis_writer.PATIENCE", 0.2)
    server = make_redis()
    state = RedisStateBackend(server.url, "r")
    state.put_result("before", 1)
    state.flush()
    server.stop()
    state.put_result("meanwhile", 2)
    with pytest.raises(StateError, match="cannot be reached"):
        state.flush()
    with pytest.raises(StateError, match="cannot be reached"):
        state.put_result("after", 3)
    with pytest.raises(StateError, match="cannot be reached"):
        state.close()
    state.close()
