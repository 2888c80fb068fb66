"""What ``cache=`` and ``state_backend=`` name by an address."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import cascade as cs
from cascade.adapters.addresses import cache_at, folder_at, is_address, state_at
from cascade.adapters.caching.folder import FolderCache
from cascade.adapters.caching.redis import RedisCache
from cascade.adapters.state.redis import RedisStateBackend
from cascade.adapters.state.sqlite import SqliteStateBackend
from cascade.interfaces.store_errors import StoreError


def test_what_an_address_names(tmp_path: Path) -> None:
    """Schemes of Redis name a server, others a folder that fsspec reaches; a path of state is a file."""
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    assert isinstance(cache_at("REDISS://host"), RedisCache)
    assert isinstance(cache_at("unix:///run/redis.sock"), RedisCache)
    assert isinstance(cache_at("memory://folder"), FolderCache)
    assert isinstance(state_at("redis://host", "r"), RedisStateBackend)
    with SqliteStateBackend(tmp_path / "runs.db", "r"):
        again = state_at(str(tmp_path / "runs.db"), "r")
        assert isinstance(again, SqliteStateBackend)
        again.close()
    assert not any(map(is_address, [".cascade", "C:\\store", "/tmp/x:y", ""]))


@cs.task(pure=True)
def one() -> int:
    return 1


def test_a_run_takes_addresses_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run remembers in a folder of fsspec by its address, and keeps its state in a file by its path."""
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    where = f"file://{tmp_path}/results"
    for state in ("ran", "stored"):
        assert cs.run(one(), cache=where, state_backend=tmp_path / "runs.db", log_level=None) == 1
        assert getattr(cs.history(where)[0], state) == 1
    with SqliteStateBackend(tmp_path / "runs.db", read_only=True) as known:
        assert len(known.runs()) == 2


@pytest.mark.parametrize("word", ["cache", "state_backend"])
def test_a_wrong_address_is_told_before_anything_runs(word: str) -> None:
    """An address that can never work is an error of the call, without its password."""
    with pytest.raises(ValueError, match="no address of a Redis server") as caught:
        cs.run(one(), log_level=None, **{word: "redis://:hush@["})  # type: ignore[call-overload]
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("", "is empty"),
        (" ", "is empty"),
        ("redis:/:hush@host/0", "two slashes after its first word: redis://:***@host/0"),
        ("S3:bucket/x", "two slashes"),
        ("localhost:6379", "Write redis://localhost:6379 for a Redis server, ./localhost:6379 for a folder"),
        ("redis://:hush@host/first", "no address of a Redis server"),
        ("reddis://:hush@host", "begin with reddis://. Did you mean 'redis'"),
    ],
)
def test_slips_of_the_hand_make_no_folder(
    place: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are refused with what was meant, before anything runs, and without the password."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match=re.escape(told)) as caught:
        cs.run(one(), cache=place, log_level=None)
    assert "hush" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_folders_may_have_any_name_that_is_meant() -> None:
    """A name with a colon, a drive, a path object."""
    for place in ("results", "C:\\store", "./localhost:6379", "a:b", Path("redis:/x")):
        assert folder_at(place) is place
