"""What a cell task is given, and what it leaves → values that nobody else changes.

In: the inputs of one run of a cell. Out: what its body may work with, and its results. Invariant: a value that one cell
gives is the same for everyone who reads it: what a cell probably changes is copied before, and everything is compared
afterwards.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final
from warnings import warn_explicit

from cascade.interfaces.cell_errors import CellError, MutationError
from cascade.notebook.cell_body import CellTask

__all__ = ["Absent", "Guard", "collect_results"]

MOST: Final = 256 << 20  # bytes of an input beyond which it is compared only if the text says that it is changed
WATCHED: Final = 1 << 20  # bytes of a value of the notebook beyond which nobody looks whether it was changed
_CONTAINERS: Final = (list, dict, set, bytearray, deque)
_TABLES: Final = frozenset({"pandas", "polars", "numpy"})
_FIXED: Final = (int, float, complex, bool, str, bytes, type(None), type, range, ModuleType)


@dataclass(frozen=True, slots=True)
class Absent:
    """Stands where a cell has no value for a name: `line` was not reached, or a ``with`` has closed the value."""

    name: str
    cell: str
    line: int
    closed: bool = False


class Guard:
    """Watches over the inputs of one run of a cell.

    Args:
        task: the cell. givers: for each input, the cell that gives it; empty for a name of the notebook.
    """

    def __init__(self, task: CellTask, givers: Mapping[str, str]) -> None:
        """Nothing was given yet."""
        self._task = task
        self._givers = givers
        self._copies: dict[str, tuple[Any, Any]] = {}
        self._keys: dict[str, tuple[Any, str]] = {}
        self._seen: dict[str, tuple[Any, str]] = {}

    def take(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the inputs as the body may have them.

        Raises:
            CellError: for a value that is not there, or that only one cell can read.
        """
        return {name: self._take(name, value) for name, value in values.items()}

    def _take(self, name: str, value: Any) -> Any:
        from cascade.identity.data import data_key

        giver = self._givers.get(name, "")
        if isinstance(value, Absent):
            if value.closed:
                raise CellError.for_closed(name, value.cell, self._task.name)
            raise CellError.for_absent(name, value.cell, value.line, self._task.name)
        if giver and hasattr(value, "__next__"):
            raise CellError.for_iterator(name, giver, self._task.name, type(value).__name__)
        if isinstance(value, _FIXED) or callable(value):
            return value
        if name in self._task.flow.changes:
            copied = _copy(value)
            if copied is not value:
                self._copies[name] = (value, copied)
                return copied
        key = data_key(value, limit=None if name in self._task.flow.changes else MOST)
        if key.startswith("v:"):
            self._keys[name] = (value, key)
        return value

    def watch(self, values: Mapping[str, Any]) -> None:
        """Look at values of the notebook that the body, or a function that it calls, may change behind its back."""
        from cascade.identity.data import data_key

        for name, value in values.items():
            if _can_change(value) and (key := data_key(value, limit=WATCHED)).startswith("v:"):
                self._seen[name] = (value, key)

    def check(self) -> None:
        """Compare the inputs with what they were; what became of the notebook's values is only told.

        Raises:
            MutationError: for the first one that is not as it was.
        """
        from cascade.identity.data import data_key

        for name, (value, copied) in self._copies.items():
            before, after = data_key(value), data_key(copied)
            if before != after and before.startswith("v:"):
                raise self._changed(name)
        for name, (value, before) in self._keys.items():
            if data_key(value) != before:
                raise self._changed(name)
        for name, (value, before) in self._seen.items():
            if data_key(value) != before:
                self._tell(name)

    def _tell(self, name: str) -> None:
        task = self._task
        told = (
            f"Cell '{task.name}' changed '{name}' of the notebook in place, through a function that it calls or "
            "another name for it: a stored result does not do that again. Return a new value instead."
        )
        warn_explicit(told, UserWarning, task.file, task.flow.reads.get(name, 1), registry={})

    def _changed(self, name: str) -> MutationError:
        task, giver = self._task, self._givers.get(name, "")
        line = task.flow.changes.get(name)
        if line is None:
            return MutationError.for_call(task.name, name, task.line_of(name), giver)
        return MutationError.for_input(task.name, name, line, giver, task.text_of(line))


def _can_change(value: Any) -> bool:
    is_table = type(value).__module__.partition(".")[0] in _TABLES and hasattr(value, "copy")
    return isinstance(value, _CONTAINERS) or (is_table and not isinstance(value, type))


def _copy(value: Any) -> Any:
    """Return a copy of a container, frame or array that shares nothing that can change; any other value itself.

    Other objects are not copied, since their change might be the point of the cell: a connection, a progress bar.
    """
    import copy

    if not _can_change(value):
        return value
    if not isinstance(value, _CONTAINERS):
        return value.copy()
    try:
        return copy.deepcopy(value)
    except Exception:  # noqa: BLE001 - what cannot be copied is compared instead
        return value


def collect_results(task: CellTask, namespace: Mapping[str, Any], gives: Iterable[str]) -> dict[str, Any]:
    """Return the results of a body that has run; what it did not assign is `Absent`.

    Raises:
        CellError: for a Param that is made in the body.
    """
    from cascade.spec.input import Input

    results: dict[str, Any] = {}
    for name in gives:
        line = task.flow.gives[name]
        value = namespace.get(name, Absent(name, task.name, line))
        if isinstance(value, Input):
            raise CellError.for_param(task.name, name, type(value).__name__)
        if name in task.flow.passing and hasattr(value, "__exit__"):
            value = Absent(name, task.name, line, closed=True)
        results[name] = value
    return results
