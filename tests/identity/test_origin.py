from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cascade.identity.origin import PYTHON, is_users, library_of, library_of_class

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["json", "os.path", "sys", "builtins", "_thread", "collections.abc", "math"])
def test_the_standard_library_counts_by_the_version_of_python(name: str) -> None:
    """Its modules, also those written in C, change with Python only."""
    __import__(name)
    assert library_of(name) == PYTHON


def test_installed_packages_count_by_version() -> None:
    """A package and the modules in it have the version that is loaded; cascade itself is one, too."""
    assert library_of("numpy") == library_of("numpy.linalg") == f"numpy=={np.__version__}"
    assert str(library_of("attr")).startswith("attr==")  # its distribution has another name
    assert str(library_of("cascade.spec.task")).startswith("cascade==")


@pytest.mark.parametrize("name", ["__main__", "", None, "nowhere_at_all", __name__])
def test_what_is_the_users_own(name: str | None) -> None:
    """Notebooks, scripts, tests and what has no module."""
    assert is_users(name)


def test_a_module_is_judged_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that a body imports is not loaded for its key."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_unloaded.py").write_text("raise RuntimeError")
    assert is_users("own_unloaded")
    assert library_of("wave") == PYTHON
    assert "own_unloaded" not in sys.modules


def test_packages_in_a_folder_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``pip install --target`` put beside the user's own modules is a library; those are not."""
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("own_vendored", "own_module"):
        (tmp_path / f"{name}.py").write_text("")
    record = tmp_path / "own_vendored-1.2.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: own_vendored\nVersion: 1.2\n")
    (record / "RECORD").write_text("own_vendored.py,,\nown_vendored-1.2.dist-info/METADATA,,\n")
    assert library_of("own_vendored") == "own_vendored==1.2"
    assert is_users("own_module")


def test_a_file_that_was_copied_among_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a version nobody could tell when it changes, so it counts by its code."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "own_copied.py").write_text("")
    monkeypatch.syspath_prepend(folder)
    assert is_users("own_copied")


def test_classes_without_a_module() -> None:
    """`exec` without a module name makes classes that say they are builtins."""
    space: dict[str, type] = {}
    exec("class C: pass", space)
    assert space["C"].__module__ == "builtins"
    assert library_of_class(space["C"]) is None
    assert library_of_class(int) == PYTHON
