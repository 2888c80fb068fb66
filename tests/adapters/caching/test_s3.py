"""The folder cache over S3: moto's server on this machine, spoken to by s3fs as a real one would be."""

from __future__ import annotations

import logging
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.caching.folder import FolderCache
from cascade.adapters.stores.remote import BackendStore
from cascade.interfaces import events as ev
from cascade.testing.conformance import CACHE_BACKEND_CASES, Case

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:botocore"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:moto"),
]


class Service:
    """An S3 service that can be switched off and on; what it holds stays."""

    def __init__(self) -> None:
        """Take a free port."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._server: Any = None
        self._thread = threading.Thread()
        self.buckets = 0

    def start(self) -> None:
        """Listen; one request after the other, since moto loses its way when two write one key."""
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        application, alone = DomainDispatcherApplication(create_backend_app), threading.Lock()

        def answer(environment: Any, start: Any) -> list[bytes]:
            with alone:
                return list(application(environment, start))

        self._server = make_server("127.0.0.1", self.port, answer, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Listen no more: who connects is refused."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            self._thread.join(10)

    @property
    def options(self) -> dict[str, Any]:
        """What fsspec has to know of it: where it is, and not to try long where it is not."""
        return {
            "key": "test", "secret": "test", "endpoint_url": f"http://127.0.0.1:{self.port}",
            "use_listings_cache": False,
            "config_kwargs": {"retries": {"max_attempts": 0}, "connect_timeout": 2, "read_timeout": 10},
        }  # fmt: skip

    def bucket(self) -> str:
        """Make a bucket; return the URL of a folder in it."""
        import fsspec

        self.buckets += 1
        name = f"bucket-{self.buckets}-{secrets.token_hex(3)}"
        fsspec.filesystem("s3", **self.options).mkdir(name)
        return f"s3://{name}/a folder"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """A service that runs."""
    pytest.importorskip("moto.server", reason="moto[server] is not installed")
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    made = Service()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def place(service: Service) -> Callable[[], FolderCache]:
    """Makes caches that share one folder."""
    url = service.bucket()
    return lambda: FolderCache(url, **service.options)


@pytest.mark.parametrize("case", CACHE_BACKEND_CASES, ids=str)
def test_promises_of_the_protocol(case: Case, place: Callable[[], FolderCache]) -> None:
    """A folder in S3 keeps every promise of a cache backend."""
    case(place, 30.0)


def test_keys_and_sizes(place: Callable[[], FolderCache]) -> None:
    """Another client sees the keys, sizes and values at once; what is cleared is gone for all."""
    one, other = place(), place()
    one.put_many({"a/b": b"1" * 100, "é": b"2"})
    assert sorted(other.keys()) == ["a/b", "é"]
    assert other.size() > 100
    assert dict(other.get_many(["é", "none"])) == {"é": b"2"}
    other.clear()
    assert (list(one.keys()), one.get("é")) == ([], None)


@cs.task(pure=True, ignore=("log",))
def square(x: int, log: list[int]) -> int:
    log.append(x)
    return x * x


@cs.task(pure=True, ignore=("log",))
def total(parts: list[int], log: list[int]) -> tuple[str, int]:
    log.append(-1)
    return "total", sum(parts)


def target(log: list[int], count: int = 4) -> Any:
    """A small graph; `log` hears what really ran."""
    return total([square(x, log) for x in range(count)], log)


def faults(run: Any) -> list[str]:
    """The kinds of faults that a run told of its store."""
    return [event.kind for event in run.events if isinstance(event, ev.StoreReported)]


def test_runs_share_results_through_it(place: Callable[[], FolderCache], tmp_path: Path) -> None:
    """What one machine computed another one finds, if they share the key."""
    log: list[int] = []
    for expected in (5, 0):
        store = BackendStore(place(), key_file=tmp_path / "key")
        run = cs.start(target(log), cache=store, log_level=None)
        assert run.result(30) == ("total", 14)
        assert (len(log), faults(run)) == (expected, [])
        log.clear()
    assert BackendStore(place(), key_file=tmp_path / "key").check() == []
    stranger = cs.start(target(log), cache=BackendStore(place(), key_file=tmp_path / "other"), log_level=None)
    assert stranger.result(30) == ("total", 14)
    assert len(log) == 5
    assert faults(stranger) == ["foreign"]


def test_a_service_that_goes_and_comes_back(service: Service, place: Callable[[], FolderCache], tmp_path: Path) -> None:
    """It is gone in the middle of a run: that goes on, with one warning; when it is back, results are found again."""
    store = BackendStore(place(), key_file=tmp_path / "key")
    log: list[int] = []
    entered, go, told = threading.Event(), threading.Event(), threading.Event()

    @cs.task
    def pause(x: int) -> int:
        entered.set()
        assert go.wait(20)
        return x

    def hear(event: ev.NodeCompleted) -> None:
        if event.name == "total":
            told.set()

    both = [target(log), total([square(pause(9), log)], log)]
    first = cs.start(both, cache=store, log_level=None, subscribers=[(ev.NodeCompleted, hear)])
    assert entered.wait(20)
    assert told.wait(20)  # and stored, as all that is told
    service.stop()
    try:
        go.set()
        assert first.result(60) == [("total", 14), ("total", 81)]
        assert faults(first) == ["off"]
        log.clear()
        away = cs.start(target(log), cache=store, log_level=None)
        assert away.result(60) == ("total", 14)
        assert (sorted(log), faults(away)) == ([-1, 0, 1, 2, 3], ["off"])
    finally:
        service.start()
    log.clear()
    back = cs.start(target(log), cache=store, log_level=None)
    assert back.result(60) == ("total", 14)
    assert (log, faults(back)) == ([], [])
