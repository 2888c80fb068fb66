"""What cells gave in this kernel → found again while nothing has changed.

In: the store of the notebook. Out: a store that also remembers, in memory, the results of cells that are not pure.
Invariant: what is remembered serves only while its value still is what it was when it was computed: a value that
somebody changed in place is computed again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cascade.interfaces.records import Draft, Entry, Grown, StoreMiss

if TYPE_CHECKING:
    from cascade.notebook.cell_body import CellTask
    from cascade.notebook.cell_graph import Cells

__all__ = ["CellMemory", "CellStore", "InSession"]

MOST: Final = 3  # results of one cell that are kept: going back and forth between two values costs nothing
_CODEC: Final = "memory"


@dataclass(frozen=True, slots=True)
class InSession:
    """The policy of cells that are not pure: what they gave serves as long as the kernel lives."""

    def serves(self, entry: Entry, now: float, arguments: Mapping[str, object]) -> bool:  # noqa: ARG002 - a hook
        """Only what this kernel computed."""
        return entry.codec == _CODEC

    def stores(self, value: object, arguments: Mapping[str, object]) -> bool:  # noqa: ARG002 - a hook
        """Keep everything."""
        return True


class CellMemory:
    """The last results of each cell, by name and key; from any thread."""

    def __init__(self) -> None:
        """Nothing was computed yet."""
        self._lock = threading.Lock()
        self._kept: dict[str, OrderedDict[str, tuple[Entry, Any]]] = {}
        self._marks: dict[str, dict[str, str]] = {}  # by key, of results that have no key as a whole: of each name

    def find(self, keys: Iterable[str]) -> dict[str, Entry]:
        """Return the entries of those keys that are kept."""
        wanted = set(keys)
        with self._lock:
            return {key: kept[key][0] for kept in self._kept.values() for key in wanted & kept.keys()}

    def load(self, entry: Entry) -> Any:
        """Return the value of an entry, or a `StoreMiss` when it is gone or not what it was."""
        from cascade.identity.data import data_key

        with self._lock:
            found = self._kept.get(entry.task, OrderedDict[str, tuple[Entry, Any]]()).get(entry.key)
        if found is None:
            return StoreMiss(entry.key, "it is not in memory")
        known, value = found
        marks = self._marks.get(entry.key) or {"": known.digest}
        parts = value if "" not in marks else {"": value}
        if any(mark.startswith("v:") and data_key(parts[name]) != mark for name, mark in marks.items()):
            self.drop(entry)
            text = f"What cell '{entry.task}' gave was changed in place since, so the cell runs again."
            logging.getLogger("cascade").warning("%s", text)
            return StoreMiss(entry.key, text)
        return value

    def keep(self, draft: Draft) -> Entry:
        """Remember a result."""
        from cascade.identity.data import data_key

        if not str(draft.digest).startswith("v:") and type(draft.value) is dict:
            self._marks[draft.key] = {name: data_key(value) for name, value in draft.value.items()}
        kind = type(draft.value)
        name = f"{kind.__module__}.{kind.__qualname__}"
        entry = Entry(
            draft.key, draft.digest or f"r:{draft.key}", _CODEC, 0, name, draft.summary, draft.run_id, time.time(),
            draft.duration, draft.outputs, draft.task,
        )  # fmt: skip
        with self._lock:
            kept = self._kept.setdefault(draft.task, OrderedDict())
            kept[draft.key] = entry, draft.value
            kept.move_to_end(draft.key)
            while len(kept) > MOST:
                self._marks.pop(kept.popitem(last=False)[0], None)
        return entry

    def drop(self, entry: Entry) -> None:
        """Forget one result."""
        with self._lock:
            self._kept.get(entry.task, OrderedDict[str, tuple[Entry, Any]]()).pop(entry.key, None)

    def forget(self, task: str) -> None:
        """Forget all results of a cell."""
        with self._lock:
            self._kept.pop(task, None)


class CellStore:
    """A store in front of the notebook's; whatever is not about values of cells is the notebook's.

    Args:
        inner: the notebook's store. memory: of this kernel. cells: told which values they have in this run.
    """

    def __init__(self, inner: Any, memory: CellMemory, cells: Cells) -> None:
        """Wrap `inner`."""
        self._inner = inner
        self._memory = memory
        self._cells = cells

    def find(self, keys: Sequence[str]) -> dict[str, Entry]:
        """Return the entries of those of `keys` that are kept here or stored."""
        found = self._memory.find(keys)
        rest = [key for key in keys if key not in found]
        return {**self._inner.find(rest), **found} if rest else found

    def load(self, entry: Entry) -> Any:
        """Return the value of an entry, or a `StoreMiss`."""
        value = self._memory.load(entry) if entry.codec == _CODEC else self._inner.load(entry)
        task = self._task_of(entry.task)
        if task is not None and not isinstance(value, StoreMiss):
            self._cells.touch(task, value)
        return value

    def save(self, key: str, value: object, **facts: Any) -> Entry | None:
        """Store `value`."""
        return self.save_many([Draft(key, value, **facts)])[0]

    def save_many(self, drafts: Iterable[Draft]) -> list[Entry | None]:
        """Keep results of cells; store those of pure cells, and of all other tasks."""
        drafts = list(drafts)
        here = [draft for draft in drafts if self._is_kept_here(draft)]
        there = [draft for draft in drafts if not self._is_kept_here(draft) and not self._is_growth_of_cell(draft)]
        kept = {draft.key: self._memory.keep(draft) for draft in here}
        stored = self._inner.save_many(there) if there else []
        saved = {draft.key: entry for draft, entry in zip(there, stored, strict=True)}
        for draft in there:
            if saved[draft.key] is None and self._task_of(draft.task) is not None:
                saved[draft.key] = self._memory.keep(draft)  # what no file can hold serves in this kernel
        return [kept.get(draft.key) or saved.get(draft.key) for draft in drafts]

    def _is_kept_here(self, draft: Draft) -> bool:
        task = self._task_of(draft.task)
        return task is not None and not task.pure

    def _is_growth_of_cell(self, draft: Draft) -> bool:
        """Whether a cell gave lazy results: the notebook wants these themselves, so that the cell runs again."""
        return isinstance(draft.value, Grown) and self._task_of(draft.task) is not None

    def _task_of(self, name: str) -> CellTask | None:
        return self._cells.tasks.get(name)

    def __getattr__(self, name: str) -> Any:
        """Everything else is as the notebook's store does it."""
        return getattr(self._inner, name)
