"""Locks in Redis: one holder at a time on all machines, for as long as it lives."""

from __future__ import annotations

import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cascade.adapters.caching.redis import RedisCache
from cascade.adapters.caching.redis_errors import RedisError
from tests.adapters.redis_servers import RedisServer, wait_until

ROOT = Path(__file__).resolve().parents[3]
LEASE = 0.4  # seconds
HOLDER = (
    "import sys\n"
    "from cascade.adapters.caching.redis import RedisCache\n"
    "cache = RedisCache(sys.argv[1], sys.argv[2], lease=float(sys.argv[3]))\n"
    "with cache.lock('k', 5) as held:\n"
    "    print(held, flush=True)\n"
    "    sys.stdin.read()\n"
)


@pytest.fixture
def prefix() -> str:
    """Keys of our own."""
    return f"lease-{secrets.token_hex(4)}:"


@pytest.fixture
def cache(redis_url: str, prefix: str) -> Iterator[RedisCache]:
    """A cache with short leases."""
    made = RedisCache(redis_url, prefix, lease=LEASE)
    yield made
    made.close()


def renewing() -> int:
    """Count the threads that renew."""
    return sum(thread.name == "cascade-leases" for thread in threading.enumerate())


def test_numbers_grow(cache: RedisCache, shared_redis: RedisServer, prefix: str) -> None:
    """Each holder has a larger number than all before it; nothing is left when it is given back."""
    numbers = []
    for _ in range(3):
        lease = cache._leases.take(b"k", 0)
        assert lease is not None
        numbers.append(lease.number)
        assert cache._leases.take(b"k", 0) is None
        cache._leases.give_back(lease)
        cache._leases.give_back(lease)
    assert numbers == sorted(set(numbers))
    assert [key.decode() for key in shared_redis.client.keys(f"{prefix}*")] == [f"{prefix}lock-number"]


@pytest.mark.slow
def test_a_holder_that_lives_keeps_it(cache: RedisCache, redis_url: str, prefix: str) -> None:
    """It is renewed while it is held, for far longer than the lease; the thread that does so ends with it."""
    other = RedisCache(redis_url, prefix, lease=LEASE)
    with cache.lock("k", 0) as held, other.lock("k", 4 * LEASE) as second:
        assert (held, second) == (True, False)
    wait_until(lambda: renewing() == 0)
    with other.lock("k", 0) as free:
        assert free
    other.close()


@pytest.mark.slow
def test_a_killed_holder_frees_it_soon(cache: RedisCache, redis_url: str, prefix: str) -> None:
    """When its process is killed, others get the lock when the lease is over, not before and not much later."""
    command = [sys.executable, "-c", HOLDER, redis_url, prefix, "1.0"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        with cache.lock("k", 1.5) as early:
            assert not early  # it is renewed
        holder.kill()
        killed_at = time.monotonic()
        with cache.lock("k", 10) as held:
            assert held
            assert time.monotonic() - killed_at < 3


@pytest.mark.slow
def test_who_lost_it_takes_nothing_from_the_next(cache: RedisCache, redis_url: str, prefix: str) -> None:
    """A holder whose lease ran out while it slept neither renews nor frees the lock of its successor."""
    other = RedisCache(redis_url, prefix, lease=5)
    lease = cache._leases.take(b"k", 0)
    assert lease is not None
    other._link.client.delete(lease.name)  # as if it had slept
    with other.lock("k", 0) as held:
        assert held
        wait_until(lambda: lease.is_lost)
        cache._leases.give_back(lease)
        with cache.lock("k", 0.05) as second:
            assert not second
    other.close()


@pytest.mark.slow
def test_a_server_that_forgot_is_told_again(make_redis: Callable[..., RedisServer]) -> None:
    """When the server is started anew without its data, the holder takes the lock again at the next renewal."""
    server = make_redis()
    cache = RedisCache(server.url, lease=LEASE)
    lease = cache._leases.take(b"k", 0)
    assert lease is not None
    server.stop()
    server.start()
    with server.client as client:
        wait_until(lambda: client.get(lease.name) == lease.token)
    assert not lease.is_lost
    cache._leases.give_back(lease)
    cache.close()


def test_a_lock_of_somebody_else(cache: RedisCache, shared_redis: RedisServer, prefix: str) -> None:
    """What stands there without an end, or is of another type, is none of ours and does not hold anybody up."""
    client = shared_redis.client
    client.set(f"{prefix}lock:a", "theirs")
    client.rpush(f"{prefix}lock:b", "theirs")
    for key in "ab":
        with cache.lock(key, 0) as held:
            assert held
    client.set(f"{prefix}lock-number", "not a number")
    with pytest.raises(RedisError, match="holds something else"), cache.lock("c", 0):
        pass


@pytest.mark.slow
def test_giving_back_to_a_server_that_is_gone(make_redis: Callable[..., RedisServer]) -> None:
    """The end of a block raises nothing when the server went away in it."""
    server = make_redis()
    cache = RedisCache(server.url, lease=LEASE)
    with cache.lock("k", 0) as held:
        assert held
        server.stop()
    wait_until(lambda: renewing() == 0)
    cache.close()


@pytest.mark.slow
def test_one_at_a_time(redis_url: str, prefix: str) -> None:
    """Of many threads over several connections, one at a time holds a key."""
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        cache = RedisCache(redis_url, prefix)
        for _ in range(20):
            with cache.lock("k", 20) as held:
                assert held
                inside += 1
                most = max(most, inside)
                inside -= 1
        cache.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
