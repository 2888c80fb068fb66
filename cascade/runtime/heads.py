"""Values on their way → their beginnings: what can still be shown of a value when nobody keeps it any more.

In: each node's value, when it is there. Out: the first rows of frames, arrays and lists, as short texts. Invariant:
holds no reference to any value, calls no code of the user (cells of unknown types are told by their type), and takes at
most a share of the run's time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["Head", "Heads", "head_of", "size_of"]

ROWS: Final = 5
COLUMNS: Final = 12
CELL: Final = 60
MOST: Final = 400  # nodes of a run of which a beginning is kept
FREE: Final = 0.02  # seconds that may go into beginnings in any run …
SHARE: Final = 0.01  # … and of the time so far
_ATOMS: Final = frozenset({int, float, bool, complex, type(None), str, bytes})
_KNOWN: Final = frozenset({"numpy", "pandas", "polars", "datetime", "decimal", "pathlib", "uuid"})


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of a value.

    Args:
        type: name of its class. columns: their names; empty for what has none. rows: texts of cells.
        more: rows that are not shown. size: bytes, 0 where nobody knows.
    """

    type: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    more: int
    size: int


class Heads:
    """The beginnings of the values of one run, by node number."""

    __slots__ = ("_began", "_now", "_spent", "made")

    def __init__(self, now: Callable[[], float]) -> None:
        """Take the run's clock."""
        self.made: dict[int, Head] = {}
        self._now = now
        self._began = now()
        self._spent = 0.0

    def take(self, node: int, value: object) -> None:
        """Keep the beginning of the value of `node`, if it has one and there is time."""
        if type(value) in _ATOMS or len(self.made) >= MOST:
            return
        start = self._now()
        if self._spent > FREE + SHARE * (start - self._began):
            return
        head = head_of(value)
        if head is not None:
            self.made[node] = head
        self._spent += self._now() - start


def head_of(value: object) -> Head | None:
    """Return the beginning of a frame, a series, an array, a list or a dict; None of anything else.

    Example:
        >>> head_of([1, 2, 3]).rows
        (('1',), ('2',), ('3',))
    """
    try:
        return _head(value)
    except Exception:  # noqa: BLE001 - a beginning is a courtesy; a value's own faults must not matter
        return None


def size_of(value: Any) -> int:
    """Return how many bytes a value takes as far as it says so by itself, 0 if it does not."""
    try:
        size = getattr(value, "nbytes", None)
        if size is None and type(value).__module__.startswith("pandas"):
            size = value.memory_usage(index=False)
            size = size.sum() if hasattr(size, "sum") else size
        if size is None and type(value).__module__.startswith("polars"):
            size = value.estimated_size()
        if size is None and isinstance(value, (str, bytes, bytearray)):
            size = len(value)
        return int(size or 0)
    except Exception:  # noqa: BLE001 - the same
        return 0


def _head(value: Any) -> Head | None:
    kind = type(value)
    module = kind.__module__.partition(".")[0]
    if module == "pandas" and hasattr(value, "columns"):
        cells = value.iloc[:ROWS, :COLUMNS].itertuples(index=False, name=None)
        return _make(value, map(_cell, value.columns[:COLUMNS]), cells, len(value))
    if module == "pandas" and hasattr(value, "iloc"):
        return _make(value, [_cell(value.name)], [(cell,) for cell in value.iloc[:ROWS]], len(value))
    if module == "polars" and hasattr(value, "rows") and hasattr(value, "columns"):
        columns = list(value.columns[:COLUMNS])
        return _make(value, columns, value.head(ROWS).select(columns).rows(), len(value))
    if module == "numpy" and getattr(value, "ndim", 0) in (1, 2):
        rows = value[:ROWS].tolist() if value.ndim == 1 else value[:ROWS, :COLUMNS].tolist()
        return _make(value, (), [(cell,) for cell in rows] if value.ndim == 1 else rows, len(value))
    if kind in (list, tuple):
        return _make(value, (), [(cell,) for cell in value[:ROWS]], len(value)) if value else None
    if kind is dict:
        return _make(value, ("key", "value"), [i for i, _ in zip(value.items(), range(ROWS), strict=False)], len(value))
    return None


def _make(value: Any, columns: Iterable[str], rows: Iterable[Iterable[Any]], length: int) -> Head:
    shown = tuple([tuple(map(_cell, row)) for row in rows])
    return Head(type(value).__name__, tuple(map(_cell, columns)), shown, max(0, length - len(shown)), size_of(value))


def _cell(value: Any) -> str:
    kind = type(value)
    if kind is str:
        return value if len(value) <= CELL else f"{value[: CELL - 1]}…"
    if kind is float:
        return f"{value:.6g}"
    if kind is int:
        return str(value) if value.bit_length() < 200 else f"int of {value.bit_length()} bits"  # noqa: PLR2004 - as `summarize` tells them
    if kind in (list, tuple, set, frozenset, dict):
        return f"{kind.__name__} of {len(value):,}"
    if kind is bytes:
        return f"{len(value):,} bytes"
    is_known = kind.__module__.partition(".")[0] in _KNOWN
    shape = getattr(value, "shape", None) if is_known else None
    if isinstance(shape, tuple) and shape:
        return f"{kind.__name__} {' × '.join(map(str, shape))}"
    if kind in _ATOMS or kind is range:
        return str(value)
    return str(value)[:CELL] if is_known else kind.__name__
