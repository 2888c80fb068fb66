"""A map while it runs: which items there are, which have been handed out, what they gave.

In: resolved arguments, outcomes of items. Out: rows to call with, at last the list of results. Invariant: one object
for the whole map; an item exists only between being handed out and having its result. Order is that of the inputs.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cascade.interfaces.exceptions import MapError
from cascade.spec.lazy_types import Unmapped

if TYPE_CHECKING:
    from cascade.runtime.item_rows import Calls

__all__ = ["MapState", "Row", "is_mapped"]

Row = tuple[int, tuple[Any, ...], dict[str, Any]]
_CONST = -1
_ALWAYS = float("inf")
_AT_HAND = (list, tuple, range, set, frozenset, deque)


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
        results: by index. pulled: items taken from the inputs so far. outstanding: items handed out without a result.
        lazy: the inputs are the user's own iterators, which may take their time: `pull` must not be called under a
            lock. pulling: someone does. waiting: items pulled but not handed out. again: items to be tried again.
        apart: items that wait for what they returned, as far as they count for `max_concurrency`.
        cut: items were left when it was stopped. chunk: how many short items a thread takes at once.
        error: of the first item that failed for good. calls: what items that have not been handed out returned when
            they last ran.
    """

    __slots__ = (
        "_args",
        "_kwargs",
        "_rows",
        "again",
        "apart",
        "attempts",
        "calls",
        "chunk",
        "collect",
        "cut",
        "dry",
        "error",
        "lazy",
        "max_concurrency",
        "outstanding",
        "pulled",
        "pulling",
        "results",
        "running",
        "total",
        "waiting",
    )  # fmt: skip

    def __init__(
        self,
        label: str,
        names: tuple[str, ...],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        max_concurrency: int | None,
        *,
        collect: bool,
    ) -> None:
        """Look at the inputs; take no item yet.

        Raises:
            MapError: when lengths differ, or nothing can be iterated.
        """
        columns: list[Any] = []
        shown: dict[str, int | str] = {}
        self._args = [
            self._column(a, names[k] if k < len(names) else f"argument {k + 1}", columns, shown)
            for k, a in enumerate(args)
        ]
        self._kwargs = {k: self._column(v, k, columns, shown) for k, v in kwargs.items()}
        if not columns:
            raise MapError.for_no_iterable(label)
        sizes = {n for n in shown.values() if isinstance(n, int)}
        if len(sizes) > 1:
            raise MapError.for_lengths(label, shown)
        known = all(isinstance(n, int) for n in shown.values())
        self.total: int | None = sizes.pop() if known else None
        self.lazy = not all(isinstance(c, _AT_HAND) or hasattr(c, "shape") for c in columns)
        self._rows = self._zip(label, columns, shown)
        self.calls: Calls = {}
        self.results: list[Any] = [None] * (self.total or 0)
        self.again: deque[Row] = deque()
        self.waiting: deque[Row] = deque()
        self.attempts: dict[int, int] = {}
        self.pulled = self.outstanding = self.running = self.apart = 0
        self.dry = self.total == 0
        self.pulling = self.cut = False
        self.chunk = 1
        self.max_concurrency = max_concurrency
        self.collect = collect
        self.error: BaseException | None = None

    @staticmethod
    def _column(value: Any, name: str, columns: list[Any], shown: dict[str, int | str]) -> tuple[int, Any]:
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

    def is_from_inputs(self, error: BaseException) -> bool:
        """Whether the inputs raised `error`, which came out of a loop over `rows`, not what was done in the loop."""
        trace = error.__traceback__
        inner = trace.tb_next if trace is not None else None
        return inner is not None and inner.tb_frame.f_code is MapState._zip.__code__

    def pull(self, rows: list[Row], most: int, seconds: float) -> None:
        """Take up to `most` items from the inputs into `rows`, fewer when that takes longer than `seconds`.

        Calls the user's iterators: whatever they raise comes out.
        """
        until = time.perf_counter() + seconds
        while len(rows) < most and not self.dry:
            zipped = next(self._rows, None)
            if zipped is None:
                self.end_inputs()
                return
            rows.append((self.pulled, *self.row(zipped)))
            self.pulled += 1
            self.dry = self.pulled == self.total
            if time.perf_counter() > until:
                return

    def end_inputs(self) -> None:
        """There are no more items than were pulled."""
        self.dry, self.total = True, self.pulled
        del self.results[self.pulled :]

    def take(self, most: int) -> list[Row]:
        """Hand out up to `most` items, those to be tried again first."""
        taken: list[Row] = []
        while self.again and len(taken) < most:
            taken.append(self.again.popleft())
        retried = len(taken)
        while self.waiting and len(taken) < most:
            taken.append(self.waiting.popleft())
        if not self.lazy and len(taken) < most:
            self.pull(taken, most, _ALWAYS)
        for row in taken[retried:]:
            if row[0] >= len(self.results):
                self.results.append(None)
        self.outstanding += len(taken) - retried
        return taken

    def put(self, index: int, value: object) -> None:
        """Item `index` has its value (or, when collecting, its exception)."""
        self.results[index] = value
        self.outstanding -= 1

    def put_stored(self, values: Mapping[int, object]) -> None:
        """Items that were taken from the inputs have their values without being handed out."""
        missing = max(values) + 1 - len(self.results)
        if missing > 0:
            self.results.extend([None] * missing)
        for index, value in values.items():
            self.results[index] = value

    def stop(self) -> None:
        """Hand out nothing more; a map of which items are left never has a value."""
        self.cut = self.cut or not self.dry or bool(self.again or self.waiting)
        self.again.clear()
        self.waiting.clear()
        self.dry = True

    @property
    def exhausted(self) -> bool:
        """Whether every item has been handed out."""
        return self.dry and not self.waiting and not self.pulling

    @property
    def has_more(self) -> bool:
        """Whether another item can be handed out now."""
        room = self.max_concurrency is None or self.running + self.apart < self.max_concurrency
        at_hand = bool(self.again or self.waiting) or not (self.dry or self.pulling)
        return room and at_hand and self.error is None

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do."""
        if self.error is not None:
            return self.running == 0
        return self.exhausted and not self.outstanding and not self.cut
