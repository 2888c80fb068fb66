"""Files of services that fsspec reaches: the web, IPFS, Google's storage, and those whose library is not there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

import cascade as cs
from cascade.providers.errors import ExtraMissingError
from cascade.providers.storage import find_spot, is_address
from cascade.providers.storage_errors import PlaceError
from cascade.providers.storage_faults import FileFaultError, FileForbiddenError, FileMissingError, ServiceAwayError
from cascade.runtime.parcels import pack_error, unpack
from tests.providers.http_service import Service
from tests.providers.services import Gateway, google_storage

pytest.importorskip("fsspec")


def run(target: Any, **options: Any) -> Any:
    """Run quietly."""
    return cs.run(target, log_level=None, **options)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """A web service of this machine."""
    with Service() as running:
        yield running


# -- the web --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (500, FileFaultError, "answered 500 Internal Server Error for"),
        (503, FileFaultError, "Ask again later, as with_retry does"),
        (403, FileForbiddenError, "answered 403 Forbidden for .* Say who asks"),
        (401, FileForbiddenError, "answered 401 Unauthorized"),
        (404, FileMissingError, "There is no file"),
        (410, FileMissingError, "There is no file"),
    ],
)
def test_what_the_web_answers_is_told(service: Service, status: int, kind: type[Exception], said: str) -> None:
    """A file that is not given is not called missing, whoever reads, lists, copies or looks for it."""
    url = f"{service.url}/status/{status}"
    for call in (cs.read.text(url), cs.read.json(url), cs.read.csv(url), cs.fs.copy(url, "memory://elsewhere/x")):
        with pytest.raises(kind, match=said) as caught:
            run(call)
        assert type(caught.value) is kind
        back = unpack(pack_error(caught.value, None), "read")  # as it comes from another process
        assert type(back) is kind
        assert str(back) in str(caught.value)
    if kind is FileMissingError:
        assert run(cs.fs.exists(url)) is False
    else:
        with pytest.raises(kind, match=said):
            run(cs.fs.exists(url))


def test_a_service_that_is_away_is_told() -> None:
    """A port where nobody listens is no missing file, and an answer to nothing."""
    url = "http://127.0.0.1:9/a.txt"
    for call in (cs.read.text(url), cs.read.bytes(url), cs.fs.exists(url), cs.fs.list(url)):
        with pytest.raises(
            ServiceAwayError, match=r"service of .* is not reached: Connection refused\. Look"
        ) as caught:
            run(call)
        assert isinstance(caught.value, ConnectionError)


def test_a_service_that_is_back_is_read_again(service: Service) -> None:
    """What was no answer can be retried."""
    flaky = cs.read.text(f"{service.url}/flaky?times=3&status=503&name=elsewhere").with_retry(max_attempts=5)
    assert run(flaky)
    with pytest.raises(FileFaultError, match="answered 503"):
        run(cs.read.text(f"{service.url}/flaky?times=99&status=503&name=elsewhere-2"))


def test_the_web_is_not_written_to(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent, and the error says what sends; the same for all that would change a file there."""
    service.forget()
    monkeypatch.chdir(tmp_path)
    url = f"{service.url}/store/a.txt"
    for call in (
        cs.write.text(url, "x"), cs.write.csv(url, {"x": [1]}), cs.fs.remove(url), cs.fs.mkdir(url),
        cs.fs.copy(cs.write.text("memory://elsewhere/y", "x"), url), cs.fs.move(url, "memory://elsewhere/z"),
        cs.write.text(f"simplecache::{url}", "x"),
    ):  # fmt: skip
        with pytest.raises(PlaceError, match=r"can only be read; nothing was changed\. Send it with cs\.http\.put"):
            run(call)
    assert service.seen == []
    assert run(cs.fs.exists("memory://elsewhere/z")) is False
    assert [*tmp_path.iterdir()] == []
    assert run(cs.read.text(f"simplecache::{service.url}/latin", encoding="latin-1")) == "é"


def test_archives_are_only_read(tmp_path: Path) -> None:
    """What is in an archive has no place for a file that is written beside it first."""
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", "hello")
    assert run(cs.read.text(f"zip://a.txt::{tmp_path}/a.zip")) == "hello"
    with pytest.raises(PlaceError, match="can only be read; nothing was changed"):
        run(cs.write.text(f"zip://b.txt::{tmp_path}/a.zip", "x"))


# -- addresses that hold what they name -----------------------------------------------------------------------------


def test_data_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are no names of files, and a stored read serves as long as the address is the same."""
    monkeypatch.chdir(tmp_path)
    assert is_address("data:,x")
    assert is_address("data:text/csv;charset=utf-8;base64,eA==")
    assert not is_address("data:x")
    assert run(cs.read.text("data:,hello%20world")) == "hello world"
    assert run(cs.read.csv("data:text/csv,x,y%0A1,2", as_="rows")) == [{"x": "1", "y": "2"}]
    assert run(cs.read.bytes("data:;base64,AP8=")) == b"\x00\xff"
    assert run(cs.fs.exists("data:,x")) is True
    call = cs.format("{}!", cs.read.text("data:,a"))
    assert [run(call, cache=tmp_path / "c") for _ in range(2)] == ["a!", "a!"]
    one, same, other = (find_spot(f"data:,{text}").source() for text in "aab")
    assert one == same != other
    with pytest.raises(PlaceError, match="can only be read"):
        run(cs.write.text("data:,x", "y"))
    with pytest.raises(PlaceError, match="an address of its own"):
        run(cs.read.text("data:,x", root="."))
    assert [*tmp_path.glob("data*")] == []


# -- IPFS -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """A gateway of this machine, as IPFS Desktop has one."""
    pytest.importorskip("ipfsspec")
    monkeypatch.delenv("IPFS_GATEWAY", raising=False)
    with Gateway() as running:
        yield running


@pytest.mark.slow
def test_files_of_ipfs(gateway: Gateway, tmp_path: Path) -> None:
    """They are read, listed and remembered by their content identifier; nothing is written there."""
    at = {"gateway_addr": gateway.url}
    file = gateway.add(b"hello")
    folder = gateway.add_folder({"a.csv": b"x\n1\n", "b.csv": b"x\n2\n"})
    assert run(cs.read.text(f"ipfs://{file}", storage=at)) == "hello"
    assert run(cs.read.csv(f"ipfs://{folder}/a.csv", storage=at, as_="rows")) == [{"x": "1"}]
    listed = run(cs.fs.list(f"ipfs://{folder}", storage=at))
    assert listed == [f"ipfs://{folder}/a.csv", f"ipfs://{folder}/b.csv"]
    assert run(cs.read.csv.map(listed, storage=at, as_="rows")) == [[{"x": "1"}], [{"x": "2"}]]
    copied = run(cs.fs.copy(f"ipfs://{folder}/b.csv", tmp_path / "b.csv", storage=at))
    assert Path(copied).read_bytes() == b"x\n2\n"
    gateway.asked.clear()
    stored = cs.read.text(f"ipfs://{file}", storage=at).with_cache(cs.cache.ttl(60))
    for seen in (1, 0):
        gateway.asked.clear()
        handle = cs.start(stored, cache=tmp_path / "c", log_level=None)
        assert handle.result(timeout=20) == "hello"
        assert any(type(event).__name__ == "NodeRecalled" for event in handle.events) is not bool(seen)
    with pytest.raises(FileMissingError, match="There is no file"):
        run(cs.read.text(f"ipfs://{folder}/c.csv", storage=at))
    gateway.asked.clear()
    with pytest.raises(PlaceError, match="can only be read"):
        run(cs.write.text(f"ipfs://{folder}/c.csv", "x", storage=at))
    assert gateway.asked == []


def test_ipfs_without_a_gateway(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is said what is missing, and how to name one."""
    pytest.importorskip("ipfsspec").async_ipfs.get_gateway.cache_clear()
    for name in ("IPFS_GATEWAY", "IPFS_PATH", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(PlaceError, match=r"a gateway of IPFS is needed, and none is known\..*gateway_addr"):
        run(cs.read.text("ipfs://bafkqaaa"))


# -- Google Cloud Storage -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_files_of_google_storage(tmp_path: Path) -> None:
    """The tasks for files take gs:// addresses; a stored read serves until the object changes."""
    pytest.importorskip("gcp_storage_emulator")
    pytest.importorskip("gcsfs")
    with google_storage("bucket") as at:
        url = "gs://bucket/in/t.parquet"
        run(cs.write.parquet(url, {"x": [1, 2]}, storage=at))
        call = cs.read.parquet(url, storage=at, as_="rows")
        for is_stored in (False, True):
            handle = cs.start(call, cache=tmp_path / "c", log_level=None)
            assert handle.result(timeout=20) == [{"x": 1}, {"x": 2}]
            recalled = [event for event in handle.events if type(event).__name__ == "NodeRecalled"]
            assert bool(recalled) is is_stored
        run(cs.write.parquet(url, {"x": [3]}, storage=at))
        assert run(call, cache=tmp_path / "c") == [{"x": 3}]
        with pytest.raises(PlaceError, match="exists already"):
            run(cs.write.parquet(url, {"x": [4]}, storage=at, overwrite=False))
        run(cs.fs.copy(url, "gs://bucket/in/copy.parquet", storage=at))
        assert run(cs.fs.glob("gs://bucket/**/*.parquet", storage=at)) == ["gs://bucket/in/copy.parquet", url]
        assert run(cs.fs.list("gs://bucket/in", storage=at)) == ["gs://bucket/in/copy.parquet", url]
        assert run(cs.fs.remove(url, storage=at)) is True
        assert run(cs.fs.exists(url, storage=at)) is False
        with pytest.raises(FileMissingError, match=r"There is no file 'gs://bucket/in/t\.parquet'"):
            run(cs.read.bytes(url, storage=at))


# -- libraries that are not there -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "module", "package"),
    [
        ("s3://bucket/key", "s3fs", "'cascade-notebook[s3]'"),
        ("gs://bucket/key", "gcsfs", "'cascade-notebook[gcs]'"),
        ("ipfs://bafkqaaa", "ipfsspec", "'cascade-notebook[ipfs]'"),
        ("abfs://c/x", "adlfs", "adlfs"),
        ("sftp://ada:pw@host/x", "paramiko", "paramiko"),
        ("hf://datasets/x", "huggingface_hub", "huggingface_hub"),
        ("smb://host/x", "smbclient", "smbprotocol"),
        ("zip://a::gs://bucket/b.zip", "gcsfs", "'cascade-notebook[gcs]'"),
    ],
)
def test_the_package_that_is_missing_is_named(
    address: str, module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each service has a package of its own; where cascade has an extra for it, that is named."""
    known = import_module("fsspec.registry")
    for scheme in ("s3", "gs", "gcs", "ipfs"):
        monkeypatch.delitem(known._registry, scheme, raising=False)
    if module == "ipfsspec":
        monkeypatch.delitem(known.known_implementations, "ipfs", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ExtraMissingError) as caught:
        find_spot(address)
    assert str(caught.value).endswith(
        f"a library is missing: {module} is not installed. Install it: pip install {package}"
    )
    assert "pw" not in str(caught.value)
