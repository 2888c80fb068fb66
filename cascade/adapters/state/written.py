"""What state backends with a writer of their own share: how they are flushed, closed and used in a ``with`` block.

In: a writer, and what lets it and its connection go. Out: ends. Invariant: closing twice does no harm; a fault of the
writing is raised by whoever flushes or closes.
"""

from __future__ import annotations

import weakref
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from cascade.adapters.state.batches import BatchWriter

__all__ = ["WrittenState"]

Writer = TypeVar("Writer", bound=BatchWriter[Any])


class WrittenState(Generic[Writer]):
    """A backend that has `_writer` write, and `_finalizer` let go."""

    __slots__ = ("_finalizer", "_writer")

    _writer: Writer
    _finalizer: weakref.finalize[Any, Any]

    def flush(self) -> None:
        """Return when others can read everything that was put.

        Raises:
            StateError: when something could not be written.
        """
        self._writer.flush()

    def close(self) -> None:
        """Flush and close; closing twice is fine.

        Raises:
            StateError: when something could not be written.
        """
        if not self._finalizer.alive:
            return
        self._finalizer()
        if self._writer.fault is not None:
            raise self._writer.fault

    def __enter__(self) -> Self:
        """Be open for the time of a ``with`` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()
