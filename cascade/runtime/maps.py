"""A map while it runs: which items there are, which have been handed out, what they gave.

In: resolved arguments, outcomes of items. Out: rows to call with, at last the list of results. Invariant: one object
for the whole map; an item exists only between being handed out and having its result. Order is that of the inputs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from cascade.interfaces.exceptions import MapError
from cascade.spec.lazy_types import Unmapped

__all__ = ["MapState", "Row", "is_mapped"]

Row = tuple[int, tuple[Any, ...], dict[str, Any]]
_CONST = -1


def is_mapped(value: object) -> bool:
    """Say whether a map goes over the items of `value`: any iterable but text, mappings and data frames."""
    if isinstance(value, (str, bytes, bytearray, Mapping, Unmapped)) or not hasattr(value, "__iter__"):
        return False
    if getattr(value, "shape", None) == ():
        return False
    return not (hasattr(value, "columns") and hasattr(value, "shape"))


class MapState:
    """The items of one map node.

    Attributes:
        total: number of items, None while an iterable that cannot tell has not ended.
        results: by index. issued, outstanding: items handed out so far, and those of them without a result.
        chunk: how many short items a thread takes at once. error: of the first item that failed for good.
    """

    __slots__ = (
        "again", "attempts", "chunk", "collect", "error", "exhausted", "issued", "max_concurrency", "outstanding",
        "results", "running", "total", "_args", "_kwargs", "_rows",
    )  # fmt: skip

    def __init__(
        self,
        label: str,
        names: tuple[str, ...],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        max_concurrency: int | None,
        collect: bool,
    ) -> None:
        """Look at the inputs; take no item yet.

        Raises:
            MapError: when lengths differ, or nothing can be iterated.
        """
        columns: list[Any] = []
        shown: dict[str, int | str] = {}
        self._args = [self._column(a, names[k] if k < len(names) else f"argument {k + 1}", columns, shown) for k, a in enumerate(args)]
        self._kwargs = {k: self._column(v, k, columns, shown) for k, v in kwargs.items()}
        if not columns:
            raise MapError.for_no_iterable(label)
        sizes = {n for n in shown.values() if isinstance(n, int)}
        if len(sizes) > 1:
            raise MapError.for_lengths(label, shown)
        self.total: int | None = sizes.pop() if sizes and len(sizes) == 1 and all(isinstance(n, int) for n in shown.values()) else None
        self._rows = self._zip(label, columns, shown)
        self.results: list[Any] = [None] * (self.total or 0)
        self.again: deque[Row] = deque()
        self.attempts: dict[int, int] = {}
        self.issued = self.outstanding = self.running = 0
        self.exhausted = self.total == 0
        self.chunk = 1
        self.max_concurrency = max_concurrency
        self.collect = collect
        self.error: BaseException | None = None

    @staticmethod
    def _column(value: Any, name: str, columns: list[Any], shown: dict[str, int | str]) -> tuple[int, Any]:  # noqa: ANN401
        if not is_mapped(value):
            return _CONST, value.value if type(value) is Unmapped else value
        columns.append(value)
        try:
            shown[name] = len(value)
        except TypeError:
            shown[name] = "an unknown number"
        return len(columns) - 1, None

    @staticmethod
    def _zip(label: str, columns: list[Any], shown: dict[str, int | str]) -> Iterator[tuple[Any, ...]]:
        try:
            yield from zip(*columns, strict=True)
        except ValueError as error:
            if "zip()" not in str(error):
                raise
            raise MapError.for_lengths(label, shown) from None

    @property
    def is_plain(self) -> bool:
        """Whether every item is one positional argument: the common case, with a faster loop."""
        return len(self._args) == 1 and not self._kwargs

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Return the iterator over zipped inputs, for callers that take all of them in one go."""
        return self._rows

    def row(self, zipped: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of the item whose mapped inputs are `zipped`."""
        args = tuple([const if at == _CONST else zipped[at] for at, const in self._args])
        return args, {k: const if at == _CONST else zipped[at] for k, (at, const) in self._kwargs.items()}

    def take(self, most: int) -> list[Row]:
        """Hand out up to `most` items, those to be tried again first."""
        taken: list[Row] = []
        while self.again and len(taken) < most:
            taken.append(self.again.popleft())
        while len(taken) < most and not self.exhausted:
            zipped = next(self._rows, None)
            if zipped is None:
                self.exhausted = True
                self.total = self.issued
                break
            args, kwargs = self.row(zipped)
            taken.append((self.issued, args, kwargs))
            if self.issued >= len(self.results):
                self.results.append(None)
            self.issued += 1
            self.outstanding += 1
            self.exhausted = self.issued == self.total
        return taken

    def put(self, index: int, value: object) -> None:
        """Item `index` has its value (or, when collecting, its exception)."""
        self.results[index] = value
        self.outstanding -= 1

    @property
    def has_more(self) -> bool:
        """Whether another item can be handed out now."""
        room = self.max_concurrency is None or self.running < self.max_concurrency
        return room and (bool(self.again) or not self.exhausted) and self.error is None

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do."""
        if self.error is not None:
            return self.running == 0
        return self.exhausted and not self.outstanding
