"""``cs.io.local``, and ``cs.io.s3`` against moto's server on this machine, as s3fs speaks to a real one."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import cascade as cs
from cascade.providers.storage import Remote
from cascade.providers.storage_errors import PlaceError
from cascade.providers.tables_errors import TableError
from tests.adapters.caching.test_s3 import Service
from tests.providers.hostile import HOSTILE

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:botocore"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:moto"),
]
CLIMBING = [
    "../x", "a/../x", "..", ".", "/x", "x/", "//", "a//b", "a/./b", "\x00", "a\nb", "\ud800", "x" * 1025, "é" * 600,
    "", " ", "a b", "*", "?", "[a]", "a?b#c", "s3://other/x", "x::file:///etc/passwd", "%2e%2e/x", "~/x", "$HOME",
    "é/ü", "-rf", "a\\..\\b",
]  # fmt: skip


def run(lazy: Any, **options: Any) -> Any:
    """What one call gives."""
    return cs.run(lazy, log_level=None, **options)


# -- this machine ---------------------------------------------------------------------------------------------------


def test_local_files(tmp_path: Path) -> None:
    """Bytes and texts are written and read; the read counts by content."""
    written = cs.io.local.write(str(tmp_path / "new" / "a"), "é")
    assert run(cs.io.local.read(written)) == "é".encode()
    assert run(cs.io.local.read(written, encoding="utf-8")) == "é"
    assert run(cs.io.local.read("new/a", root=str(tmp_path))) == "é".encode()
    assert run(cs.io.local.read.map(path=[str(tmp_path / "new" / "a")] * 2, encoding="utf-8")) == ["é", "é"]
    with pytest.raises(TableError, match="not text in ascii"):
        run(cs.io.local.read(written, encoding="ascii"))
    with pytest.raises(PlaceError, match="exists already"):
        run(cs.io.local.write("new/a", b"", root=str(tmp_path), overwrite=False))


@pytest.mark.parametrize("address", ["s3://bucket/key", "memory://x", "http://127.0.0.1:1/x", "zip://a::b.zip"])
def test_local_is_local(tmp_path: Path, address: str) -> None:
    """An address of anywhere else is refused, as path and as root."""
    for lazy in (cs.io.local.read(address), cs.io.local.write(address, b""), cs.io.local.write("a", b"", root=address)):
        with pytest.raises(PlaceError, match="not of this machine"):
            run(lazy)


# -- S3 -------------------------------------------------------------------------------------------------------------


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
def bucket(service: Service) -> str:
    """A bucket of the test's own."""
    return service.bucket().split("/")[2]


@pytest.mark.slow
def test_objects(service: Service, bucket: str) -> None:
    """Objects are put, read, listed by the beginning of their keys, and removed."""
    at = service.options
    for key in ("a/1.txt", "a/2.txt", "b.txt", "ab"):
        made = run(cs.io.s3.write(bucket, key, f"é{key}", storage=at))
        assert isinstance(made, Remote)
    assert run(cs.io.s3.read(bucket, "a/1.txt", storage=at)) == "éa/1.txt".encode()
    assert run(cs.io.s3.list(bucket, storage=at)) == ["a/1.txt", "a/2.txt", "ab", "b.txt"]
    assert run(cs.io.s3.list(bucket, "a/", storage=at)) == ["a/1.txt", "a/2.txt"]
    assert run(cs.io.s3.list(bucket, "a", storage=at)) == ["a/1.txt", "a/2.txt", "ab"]
    assert run(cs.io.s3.list(bucket, "none/", storage=at)) == []
    assert run([cs.io.s3.exists(bucket, "b.txt", storage=at), cs.io.s3.exists(bucket, "no", storage=at)]) == [
        True,
        False,
    ]
    run(cs.io.s3.remove(bucket, "b.txt", storage=at))
    assert not run(cs.io.s3.exists(bucket, "b.txt", storage=at))
    with pytest.raises(FileNotFoundError):
        run(cs.io.s3.read(bucket, "b.txt", storage=at))
    assert run(cs.io.s3.read.map(bucket, key=["a/1.txt", "ab"], storage=at)) == ["éa/1.txt".encode(), "éab".encode()]


@pytest.mark.slow
def test_files_of_s3(service: Service, bucket: str, tmp_path: Path) -> None:
    """The tasks for files take s3:// addresses; a stored read serves until the object changes."""
    from cascade.interfaces import events as ev

    at, url = service.options, f"s3://{bucket}/t.parquet"

    def ran() -> tuple[int, list[str]]:
        made = cs.start(cs.read.parquet(url, storage=at), cache=tmp_path, log_level=None)
        return len(made.result(30)), [event.name for event in made.events if isinstance(event, ev.NodeStarted)]

    run(cs.write.parquet(url, pd.DataFrame({"x": [1, 2]}), storage=at))
    assert ran() == (2, ["locate", "read.parquet"])
    assert ran() == (2, ["locate"])
    run(cs.write.parquet(url, pd.DataFrame({"x": [1, 2, 3]}), storage=at))
    assert ran() == (3, ["locate", "read.parquet"])
    run(cs.fs.copy(url, f"s3://{bucket}/in/copy.parquet", storage=at))
    assert run(cs.fs.glob(f"s3://{bucket}/**/*.parquet", storage=at)) == [f"s3://{bucket}/in/copy.parquet", url]
    assert run(cs.fs.glob("*.parquet", root=f"s3://{bucket}/in", storage=at)) == ["copy.parquet"]
    assert run(cs.fs.remove(f"s3://{bucket}/in", recursive=True, storage=at))
    with pytest.raises(PlaceError, match="is a root"):
        run(cs.fs.remove(f"s3://{bucket}", recursive=True, storage=at))
    assert run(cs.fs.list(f"s3://{bucket}", storage=at)) == [url]


@pytest.mark.slow
def test_a_service_that_is_gone(service: Service, bucket: str) -> None:
    """Who cannot be reached is said within bounded time; a retry finds it again."""
    service.stop()
    try:
        with pytest.raises(Exception, match=r"(?i)connect"):
            run(cs.io.s3.write(bucket, "a", b"1", storage=service.options))
    finally:
        service.start()
    assert isinstance(run(cs.io.s3.write(bucket, "a", b"1", storage=service.options)), Remote)


@pytest.mark.slow
def test_secrets_of_s3_do_not_show(service: Service, bucket: str) -> None:
    """Keys given by secret Params are in no event, no value and no error."""
    value = f"S3CR3T-{secrets.token_hex(6)}"
    at = {**service.options, "secret": cs.Param("s3_secret", secret=True)}
    missing = cs.read.bytes(f"s3://{bucket}/no", storage=at).with_fallback(None)
    both = [cs.io.s3.write(bucket, "a", b"1", storage=at), missing]
    made = cs.start(both, params={"s3_secret": value}, log_level=None)
    assert value not in repr(made.result(30)) + repr(made.events)
    with pytest.raises(FileNotFoundError) as caught:
        run(cs.io.s3.read(bucket, "no", storage=at), params={"s3_secret": value})
    assert value not in str(caught.value)


@pytest.mark.slow
def test_a_key_is_no_version_of_another(service: Service, bucket: str) -> None:
    """What s3fs would take for a version of another object is no key: that object stays as it is."""
    at, key = service.options, "a?versionId=1"
    run(cs.io.s3.write(bucket, "a", b"first", storage=at))
    for made in (cs.io.s3.write(bucket, key, b"x", storage=at), cs.io.s3.read(bucket, key, storage=at),
                 cs.io.s3.exists(bucket, key, storage=at), cs.io.s3.remove(bucket, key, storage=at)):  # fmt: skip
        with pytest.raises(PlaceError, match=r"no '\?versionId='"):
            run(made)
    assert run(cs.io.s3.read(bucket, "a", storage=at)) == b"first"


def test_no_such_bucket(service: Service) -> None:
    """A bucket that does not exist is an error, never an empty one."""
    for made in (cs.io.s3.list("no-such-bucket", storage=service.options),
                 cs.io.s3.list("no-such-bucket", "a/", storage=service.options),
                 cs.io.s3.read("no-such-bucket", "a", storage=service.options)):  # fmt: skip
        with pytest.raises(FileNotFoundError):
            run(made)


def test_hostile_buckets_and_keys(service: Service) -> None:
    """Each text is one key in one bucket, or is refused: another bucket, and other keys, stay as they are."""
    at = service.options
    bucket, canary = (service.bucket().split("/")[2] for _ in range(2))
    run(cs.io.s3.write(canary, "canary", b"sings", storage=at))
    run(cs.io.s3.write(bucket, "canary", b"sings", storage=at))
    stored = {"canary"}
    for text in [*HOSTILE, *CLIMBING, f"../{canary}/canary"]:
        try:
            run(cs.io.s3.write(bucket, text, text, storage=at))
        except PlaceError:
            continue
        stored.add(text)
        assert run(cs.io.s3.read(bucket, text, storage=at)) == text.encode()
    assert set(run(cs.io.s3.list(bucket, storage=at))) == stored
    for text in ("*", "?", "[a]", "-rf"):
        run(cs.io.s3.remove(bucket, text, storage=at))
    assert set(run(cs.io.s3.list(bucket, storage=at))) == stored - {"*", "?", "[a]", "-rf"}
    for text in [*HOSTILE, *CLIMBING, f"{canary}/..", f"s3://{canary}"]:
        for make in (cs.io.s3.read, cs.io.s3.exists, cs.io.s3.remove):
            with pytest.raises(PlaceError, match="no name of a bucket"):
                run(make(text, "canary", storage=at))
        with suppress(PlaceError):
            run(cs.io.s3.list(bucket, text, storage=at))
    for each in (bucket, canary):
        assert run(cs.io.s3.read(each, "canary", storage=at)) == b"sings"
