"""Redis servers: one for all tests, and others that a test may break."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.adapters.redis_servers import RedisServer


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that nobody breaks; each test uses a prefix of its own."""
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis_url(shared_redis: RedisServer) -> str:
    """Its address."""
    return shared_redis.url


@pytest.fixture
def make_redis(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Start servers of a test's own, with settings as on the command line."""
    made: list[RedisServer] = []

    def make(*settings: str) -> RedisServer:
        made.append(RedisServer(tmp_path, *settings).start())
        return made[-1]

    yield make
    for server in made:
        server.stop()
