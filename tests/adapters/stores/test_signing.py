from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cascade.adapters.stores import signing
from cascade.adapters.stores.local import LocalStore
from cascade.adapters.stores.sealing import open_entry, open_recipe, seal_entry, seal_recipe
from cascade.adapters.stores.signing import Signer, default_key_file, read_key
from cascade.interfaces.records import Entry
from cascade.interfaces.store_errors import SealError, StoreFault

SIGNER = Signer(b"k" * 32)
ENTRY = Entry("key", "v:1", "json", 5, "builtins.int", "5", "run", 12.5, 0.1, "", "fit", "c" * 40)


def test_key_is_made_once(tmp_path: Path) -> None:
    """The first who needs the key makes it, for the owner alone; later it is the same; nothing lies beside it."""
    path = tmp_path / "a" / "key"
    key = read_key(path)
    assert len(key) == 32
    assert read_key(path) == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_place_of_the_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The key lies in the user's settings: XDG_CONFIG_HOME where that is absolute, else .config, APPDATA on Windows."""
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert default_key_file({"XDG_CONFIG_HOME": str(tmp_path / "x")}) == tmp_path / "x" / "cascade" / "key"
    assert default_key_file({"XDG_CONFIG_HOME": "relative"}) == tmp_path / ".config" / "cascade" / "key"
    monkeypatch.setattr(signing.sys, "platform", "win32")
    assert default_key_file({"APPDATA": str(tmp_path / "r")}) == tmp_path / "r" / "cascade" / "key"


@pytest.mark.skipif(os.name != "posix", reason="only on systems with file modes")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_keys_that_others_can_reach_are_refused(
    make: Callable[..., LocalStore], reports: list[Any], tmp_path: Path, mode: int
) -> None:
    """A key file that is not its owner's alone switches the store off, with one report that says what to do."""
    before = make()
    before.save("k", 1)
    (tmp_path / "config" / "key").chmod(mode)
    store = make()
    assert store.find(["k"]) == {}
    assert store.save("j", 2) is None
    store.begin_run("r", {})
    assert store.save("j", 2) is None
    assert store.find_recipes(["r"]) == {}
    ((kind, _, problem),) = reports
    assert kind == "key"
    assert f"(mode {mode:04o})" in problem
    assert "chmod 600" in problem
    assert [each.kind for each in store.check()] == ["off"]


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_half_a_key_is_refused(tmp_path: Path, content: bytes) -> None:
    """A key file of another length is refused, and left as it is."""
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(StoreFault, match=r"cannot be used: it has .* bytes or more, not 32"):
        read_key(path)
    assert path.read_bytes() == content


def test_a_place_where_no_key_can_be_made(tmp_path: Path) -> None:
    """Where a file stands in the place of a folder, the fault is told."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreFault, match="cannot be used"):
        read_key(tmp_path / "file" / "key")


def test_seals_hold() -> None:
    """An entry comes back from its seal; any other key, bit, key of the signer or kind of seal does not open it."""
    sealed = seal_entry(SIGNER, ENTRY)
    assert open_entry(SIGNER, "key", sealed) == ENTRY
    wrong = [
        ("kex", sealed),
        ("key", sealed[:-1]),
        ("key", sealed + b"\x1f"),
        ("", sealed),
        ("key", b""),
        ("y", sealed + b"ke"),
    ]
    wrong += [("key", bytes([*sealed[:n], sealed[n] ^ 1, *sealed[n + 1 :]])) for n in range(len(sealed))]
    wrong.append(("key", seal_recipe(SIGNER, "key", "other")))
    for key, data in wrong:
        with pytest.raises(SealError):
            open_entry(SIGNER, key, data)
    with pytest.raises(SealError):
        open_entry(Signer(b"j" * 32), "key", sealed)


def test_recipes_hold() -> None:
    """A recipe leads to its key alone, and what stands before and after the border cannot be moved."""
    sealed = seal_recipe(SIGNER, "r", "key")
    assert open_recipe(SIGNER, "r", sealed) == "key"
    for recipe, data in (("s", sealed), ("yr", sealed[:-1]), ("", sealed + b"r"), ("r", seal_entry(SIGNER, ENTRY))):
        with pytest.raises(SealError):
            open_recipe(SIGNER, recipe, data)


def test_a_key_leaves_no_trace(make: Callable[..., LocalStore], tmp_path: Path) -> None:
    """The bytes of the key are nowhere in the store."""
    store = make()
    store.save("k", bytes(20_000))
    store.close()
    key = (tmp_path / "config" / "key").read_bytes()
    for path in (tmp_path / "store").rglob("*"):
        assert path.is_dir() or (key not in path.read_bytes() and key.hex().encode() not in path.read_bytes())
