"""What cells gave in this kernel: what serves, and what no longer does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade.adapters.stores.local import LocalStore
from cascade.identity.data import data_key
from cascade.interfaces.records import Draft, StoreMiss
from cascade.notebook.cell_graph import Cells
from cascade.notebook.cell_store import MOST, CellMemory, CellStore, InSession

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def draft(key: str, value: Any, task: str = "load") -> Draft:
    """What a run hands to its store."""
    digest = data_key(value)
    return Draft(key, value, digest if digest.startswith("v:") else f"r:{key}", task)


def test_what_is_kept_is_found_as_it_is() -> None:
    """The very object, under its key; other keys are unknown."""
    memory = CellMemory()
    value = [1, 2]
    entry = memory.keep(draft("k", value))
    assert memory.find(["k", "other"]) == {"k": entry}
    assert memory.load(entry) is value


def test_a_value_that_was_changed_in_place_does_not_serve(caplog: pytest.LogCaptureFixture) -> None:
    """It is forgotten, and a warning names the cell."""
    memory = CellMemory()
    value = [1, 2]
    entry = memory.keep(draft("k", value))
    value.append(3)
    assert isinstance(memory.load(entry), StoreMiss)
    assert "What cell 'load' gave was changed in place since" in caplog.text
    assert memory.find(["k"]) == {}


def test_one_value_without_a_key_does_not_hide_changes_of_the_others() -> None:
    """A generator has no key; the list beside it has one."""
    memory = CellMemory()
    value = {"gen": (n for n in ()), "rows": [1]}
    entry = memory.keep(draft("k", value))
    assert entry.digest == "r:k"
    assert memory.load(entry) is value
    value["rows"].append(2)
    assert isinstance(memory.load(entry), StoreMiss)


def test_only_the_last_results_of_each_cell_are_kept() -> None:
    """Memory does not grow with every run."""
    memory = CellMemory()
    for number in range(MOST + 2):
        memory.keep(draft(f"k{number}", number))
    memory.keep(draft("other", 1, "clean"))
    kept = memory.find([f"k{number}" for number in range(MOST + 2)] + ["other"])
    assert set(kept) == {*(f"k{number}" for number in range(2, MOST + 2)), "other"}
    memory.forget("load")
    assert set(memory.find(["k2", "other"])) == {"other"}


def test_the_policy_of_cells_serves_from_memory_only(tmp_path: Path) -> None:
    """What a file holds was made by another kernel, or by a pure task."""
    store = LocalStore(tmp_path / "store", key_file=tmp_path / "key")
    policy = InSession()
    stored = store.save("k", 1, task="other")
    assert stored is not None
    assert not policy.serves(stored, 0.0, {})
    assert policy.serves(CellMemory().keep(draft("k", 1)), 0.0, {})
    assert policy.stores(1, {})


def test_other_tasks_go_through_to_the_notebooks_store(tmp_path: Path) -> None:
    """Their results, recipes and history are where they always were."""
    inner = LocalStore(tmp_path / "store", key_file=tmp_path / "key")
    store = CellStore(inner, CellMemory(), Cells())
    entry = store.save("k", [1], task="plain")
    assert entry is not None
    assert inner.find(["k"]) == store.find(["k"]) == {"k": entry}
    assert store.load(entry) == [1]
    store.save_recipes({"r": "k"})
    assert inner.find_recipes(["r"]) == {"r": "k"}
