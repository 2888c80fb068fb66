"""Addresses, passwords and errors of Redis servers."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascade.adapters.addresses import cache_at, state_at
from cascade.adapters.caching.redis import RedisCache
from cascade.adapters.caching.redis_errors import RedisAddressError, RedisError
from cascade.adapters.caching.redis_link import RedisLink, masked, take_options
from tests.adapters.redis_servers import RedisServer, black_hole, free_port

SECRETS = st.text(min_size=6, max_size=20).map(lambda text: f"hush{text}")


@given(secret=SECRETS, user=st.sampled_from(["", "me"]), is_quoted=st.booleans())
def test_no_password_is_shown(secret: str, user: str, is_quoted: bool) -> None:
    """Whatever stands in the place of the password, quoted or not, it is not in what is shown of the address."""
    try:
        written = quote(secret, safe="") if is_quoted else secret
    except UnicodeEncodeError:
        written = "hush"
    for url in (f"redis://{user}:{written}@host:6379/0", f"rediss://host/0?password={written}"):
        assert "hush" not in masked(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hush/hush@host:1", "redis://:hush:x@[host", "redis://host:hush", "http://:hush@host", "redis:hush", "redis://:12/hush@host?x=1",
        "redis://:hush@host/0?no_such_option=1", "redis://:hush@host:99999999/0",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """What is no address of a Redis server is an error before anything runs, in words and without the password."""
    with pytest.raises(RedisAddressError) as caught:
        RedisCache(url)
    assert "hush" not in str(caught.value)
    assert str(caught.value).endswith(".")


def test_options_of_an_address() -> None:
    """prefix, lease and ttl are cascade's own; what is not a time is refused by name."""
    assert take_options("redis://h/0?db=3", "prefix") == ("redis://h/0?db=3", {})
    cache = cache_at("redis://h/0?prefix=lab:&lease=2")
    assert isinstance(cache, RedisCache)
    assert (cache.prefix, cache.lease) == ("lab:", 2.0)
    assert "ttl" not in repr(state_at("redis://h/0?ttl=60", "r"))
    for wrong in ("ttl=-1", "ttl=soon", "ttl=inf"):
        with pytest.raises(RedisAddressError, match="'ttl'"):
            state_at(f"redis://h/0?{wrong}", "r")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without redis-py, the error says what to install."""
    monkeypatch.setitem(sys.modules, "redis", None)
    for make in (cache_at, state_at):
        with pytest.raises(RedisAddressError, match=r"pip install 'cascade-notebook\[redis\]'"):
            make("redis://localhost")


def test_refused() -> None:
    """Where nobody listens, the error names the place, not the password, and says what to do."""
    cache = RedisCache(f"redis://:hush@127.0.0.1:{free_port()}/0")
    with pytest.raises(RedisError, match=r"redis://:\*\*\*@127.0.0.1.*refused.*Start it") as caught:
        cache.get("k")
    assert caught.value.may_pass
    assert "hush" not in f"{caught.value!r}{caught.value.__cause__}"


@pytest.mark.slow
def test_a_black_hole_is_waited_for_once() -> None:
    """A server that says nothing costs its timeout once; then it is not asked for a while."""
    with black_hole() as url:
        link = RedisLink(url, "A test", timeout=0.3)
        begun = time.monotonic()
        for word in ("did not answer within 0.3 s", *["is asked again"] * 20):
            with pytest.raises(RedisError, match=word):
                link.ask(lambda to: to.get("k"))
        assert time.monotonic() - begun < 2
        link.close()


@pytest.mark.slow
def test_passwords_that_are_wrong_or_missing(make_redis: Callable[..., RedisServer]) -> None:
    """WRONGPASS and NOAUTH say that it is the password, and show none."""
    server = make_redis("--requirepass", "right")
    wrong, missing = server.url.replace("//", "//:hush@"), server.url
    for url, words in ((wrong, "refuses this user or password"), (missing, "asks for a password")):
        with pytest.raises(RedisError, match=words) as caught:
            RedisCache(url).get("k")
        assert "hush" not in str(caught.value)
    good = RedisCache(server.url.replace("//", "//:right@"))
    good.put("k", b"1")
    assert good.get("k") == b"1"
    good.close()


@pytest.mark.slow
def test_replicas_full_servers_and_other_types(make_redis: Callable[..., RedisServer]) -> None:
    """READONLY, OOM and WRONGTYPE are told in words that say what to do, and never repeat what was sent."""
    server = make_redis()
    cache = RedisCache(server.url)
    server.say("RPUSH", "cascade:value:k", "x")
    with pytest.raises(RedisError, match="something else under a key"):
        cache.get("k")
    server.say("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(RedisError, match="is full") as caught:
        cache.put_many({"k": b"hush" * 10})
    assert "hush" not in str(caught.value)
    server.say("CONFIG", "SET", "maxmemory", "0")
    server.say("REPLICAOF", "127.0.0.1", str(free_port()))
    with pytest.raises(RedisError, match="read-only replica"):
        cache.put("k", b"1")
    cache.close()


@pytest.mark.slow
def test_a_server_that_was_started_anew_is_used_again(make_redis: Callable[..., RedisServer]) -> None:
    """A connection that died with the server is replaced at the next call, without an error."""
    server = make_redis()
    cache = RedisCache(server.url)
    cache.put("k", b"1")
    server.stop()
    with pytest.raises(RedisError, match="cannot be reached"):
        cache.get("k")
    server.start()
    cache.put("k", b"2")
    server.stop()
    server.start()
    assert cache.get("k") is None
    cache.close()


@pytest.mark.slow
def test_over_tls(make_redis: Callable[..., RedisServer], tmp_path: Path) -> None:
    """rediss:// speaks TLS, checks the certificate, and says so when it does not fit."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl is installed (on Debian: apt-get install openssl)")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    files = ["-keyout", key, "-out", certificate, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command, *files], check=True, capture_output=True)
    port = free_port()
    make_redis(
        "--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key),
        "--tls-auth-clients", "no",
    )  # fmt: skip
    cache = RedisCache(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}")
    cache.put("k", b"1")
    assert cache.get("k") == b"1"
    cache.close()
    for url, word in ((f"rediss://:hush@127.0.0.1:{port}/0", "certificate"), (f"redis://:hush@127.0.0.1:{port}/0", "")):
        with pytest.raises(RedisError, match=f"cannot be reached .*{word}") as caught:
            RedisCache(url).get("k")
        assert "hush" not in str(caught.value)
