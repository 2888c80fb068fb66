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

from cascade.interfaces.cell_errors import CellError, MutationError
from cascade.notebook.cell_body import CellTask

__all__ = ["Absent", "Guard", "collect_results"]

MOST: Final = 256 << 20  # bytes of an input beyond which it is compared only if the text says that it is changed
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

    def check(self) -> None:
        """Compare the inputs with what they were.

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

    def _changed(self, name: str) -> MutationError:
        task, giver = self._task, self._givers.get(name, "")
        line = task.flow.changes.get(name)
        if line is None:
            return MutationError.for_call(task.name, name, task.line_of(name), giver)
        return MutationError.for_input(task.name, name, line, giver, task.text_of(line))


def _copy(value: Any) -> Any:
    """Return a copy of a container, frame or array that shares nothing that can change; any other value itself.

    Other objects are not copied, since their change might be the point of the cell: a connection, a progress bar.
    """
    import copy

    if type(value).__module__.partition(".")[0] in {"pandas", "polars", "numpy"} and hasattr(value, "copy"):
        return value.copy()
    if not isinstance(value, (list, dict, set, bytearray, deque)):
        return value
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
