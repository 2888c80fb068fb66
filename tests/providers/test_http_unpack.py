"""Packed bodies and answers that lead astray, from a service that says exactly the bytes that a test gives it."""

from __future__ import annotations

import gzip
import socketserver
import threading
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.providers.http_errors import HttpError

TEXT = b"what was packed, " * 5_000
ONCE: dict[str, Any] = {"max_attempts": 1}


class Teller:
    """Answers each request with the bytes of its path; a pause stands between the parts of a list."""

    def __init__(self) -> None:
        teller = self
        self.answers: dict[str, list[bytes]] = {}

        class Answer(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                path = self.rfile.readline().split()[1].decode()
                while self.rfile.readline().strip():
                    pass
                for number, part in enumerate(teller.answers[path]):
                    time.sleep(0.1 if number else 0)
                    self.wfile.write(part)

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def say(self, path: str, head: str, *body: bytes, status: str = "200 OK") -> str:
        """Keep an answer, and return its address."""
        length = f"Content-Length: {len(b''.join(body))}\r\n" if "length" not in head.lower() else ""
        lines = f"HTTP/1.1 {status}\r\nConnection: close\r\n{head}\r\n{length}\r\n".replace("\r\n\r\n\r\n", "\r\n\r\n")
        self.answers[path] = [lines.encode(), *body]
        return f"http://127.0.0.1:{self.server.server_address[1]}{path}"


@pytest.fixture
def teller() -> Iterator[Teller]:
    """A service of a test."""
    made = Teller()
    yield made
    made.server.shutdown()
    made.thread.join()
    made.server.server_close()


def ask(url: str, **options: Any) -> Any:
    """Run one request, for its bytes."""
    return cs.run(cs.http.get(url, **{"as_": "bytes", **options}), log_level=None)


def bare_deflate(data: bytes) -> bytes:
    """Pack without a header, as some services do."""
    work = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return work.compress(data) + work.flush()


@pytest.mark.parametrize(
    ("names", "body"),
    [
        ("gzip", gzip.compress(TEXT)),
        ("X-GZip", gzip.compress(TEXT)),
        ("gzip", gzip.compress(TEXT[:7]) + gzip.compress(TEXT[7:])),
        ("gzip", gzip.compress(TEXT) + bytes(100)),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", bare_deflate(TEXT)),
        ("deflate, gzip", gzip.compress(zlib.compress(TEXT))),
        ("identity", TEXT),
    ],
)
def test_what_is_packed_comes_whole(teller: Teller, names: str, body: bytes) -> None:
    """Each usual packing is taken off, wherever the connection cuts it into parts."""
    parts = [body[: len(body) // 2], body[len(body) // 2 :]]
    assert ask(teller.say("/packed", f"Content-Encoding: {names}", *parts)) == TEXT


@pytest.mark.parametrize("packed", [gzip.compress(TEXT), zlib.compress(TEXT)], ids=["gzip", "deflate"])
def test_a_packed_body_that_was_cut_short_is_an_error(teller: Teller, packed: bytes, tmp_path: Path) -> None:
    """A service that packs half of what it has, and says so in Content-Length, is not believed; nothing is left."""
    name = "gzip" if packed.startswith(b"\x1f") else "deflate"
    url = teller.say("/cut", f"Content-Encoding: {name}", packed[: len(packed) // 2])
    for options in ({}, {"to": tmp_path / "body"}):
        with pytest.raises(HttpError, match=f"what is packed by {name} ends too early"):
            ask(url, **options, **ONCE)
    assert list(tmp_path.iterdir()) == []


def test_an_answer_without_a_body_may_name_a_packing(teller: Teller) -> None:
    """The headers of a HEAD are those of the GET; there is nothing to unpack, and nothing is missing."""
    url = teller.say("/head", "Content-Encoding: gzip")
    assert cs.run(cs.http.request("HEAD", url), log_level=None).status == 200
    assert ask(url) == b""


@pytest.mark.slow
def test_what_was_packed_twice_fills_no_memory(teller: Teller) -> None:
    """A few hundred bytes that would be 100 MB are read up to max_bytes, and never lie in memory whole."""
    bomb = gzip.compress(gzip.compress(bytes(100_000_000)))
    url = teller.say("/bomb", "Content-Encoding: gzip, gzip", bomb)
    tracemalloc.start()
    try:
        with pytest.raises(HttpError, match="larger than max_bytes=3,000,000"):
            ask(url, max_bytes=3_000_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30_000_000
    with pytest.raises(HttpError, match="packed 5 times over"):
        ask(teller.say("/five", "Content-Encoding: gzip, gzip, gzip, gzip, gzip", bomb), **ONCE)


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("http://127.0.0.1:99999/", "a port is at most 65535"),
        ("javascript:alert(1)", "leads on to what is no address"),
        ("file:///etc/passwd", "not http or https"),
    ],
)
def test_a_way_that_leads_nowhere_is_one_sentence(teller: Teller, location: str, words: str) -> None:
    """What no address can be, behind a redirect, is told as that, and not asked for again."""
    url = teller.say("/way", f"Location: {location}", status="302 Found")
    with pytest.raises(HttpError, match=words):
        ask(url)


def test_the_words_of_a_refusal_may_be_slow(teller: Teller) -> None:
    """The status is told with what has come of its words, also where they drip or the connection breaks."""
    drip = [b"no" for _ in range(200)]
    url = teller.say("/drip", "", *drip, status="500 Bad")
    begun = time.monotonic()
    with pytest.raises(HttpError, match="answered with 500 Bad") as told:
        ask(url, timeout=0.4, **ONCE)
    assert told.value.status == 500
    assert time.monotonic() - begun < 10
    url = teller.say("/broken", "Content-Length: 100", b"out of order", status="500 Bad")
    with pytest.raises(HttpError, match=r"500 Bad\. It said: out of order"):
        ask(url)


def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who set HTTP_PROXY long ago is told that it was asked, and not that the service is ill."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://me:hush@127.0.0.1:1")
    with pytest.raises(HttpError, match="the proxy that HTTP_PROXY names is right") as told:
        ask("http://service.invalid/", **ONCE)
    assert "hush" not in str(told.value)
