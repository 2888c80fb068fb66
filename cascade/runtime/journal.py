"""The journal of a run: short records, written in the hot path, read as events by whoever listens.

In: tuples ``(code, time, node, …)``. Out: event objects, made only for those who asked. Invariant: one total order; a
record is a fact that has happened; appending costs one tuple and no lock (list.append is atomic).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from cascade.interfaces import events as ev

if TYPE_CHECKING:
    from cascade.graph.model import Graph

__all__ = ["TOLD", "Journal", "codes_of"]

STARTED: Final = 0  # node, index, attempt, worker
COMPLETED: Final = 1  # node, index, attempt, duration, summary
ITEMS: Final = 2  # node, first, count, duration
FAILED: Final = 3  # node, index, attempt, duration, error_type, error, frames, inputs
RETRYING: Final = 4  # node, index, attempt, max_attempts, delay, error_type, error
WAITING: Final = 5  # node, index, resource, reason, holders
SKIPPED: Final = 6  # node, reason, because
NODE_CANCELLED: Final = 7  # node, index, reason
ABANDONED: Final = 8  # node, index, reason
EXPANDED: Final = 9  # node, total
CHOSEN: Final = 10  # node, key
SET_UP: Final = 11  # resource, duration
TORN_DOWN: Final = 12  # resource, duration, error
ACQUIRED: Final = 13  # resource, kind, node, index, amount, usage, capacity
RELEASED: Final = 14
OUTPUT: Final = 15  # node, index, stream, text, level
DONE_INLINE: Final = 16  # node: the short form of COMPLETED for a first attempt; the duration is from the last STARTED
TOLD: Final = 17  # any whole event, given as class and fields

_CLASSES: Final[dict[int, type[ev.Event]]] = {
    STARTED: ev.NodeStarted,
    COMPLETED: ev.NodeCompleted,
    ITEMS: ev.ItemsCompleted,
    FAILED: ev.NodeFailed,
    RETRYING: ev.NodeRetrying,
    WAITING: ev.NodeWaiting,
    SKIPPED: ev.NodeSkipped,
    NODE_CANCELLED: ev.NodeCancelled,
    ABANDONED: ev.NodeAbandoned,
    EXPANDED: ev.MapExpanded,
    CHOSEN: ev.RouteChosen,
    SET_UP: ev.ResourceSetUp,
    TORN_DOWN: ev.ResourceTornDown,
    ACQUIRED: ev.ResourceAcquired,
    RELEASED: ev.ResourceReleased,
    OUTPUT: ev.OutputWritten,
    DONE_INLINE: ev.NodeCompleted,
}
Record = tuple[Any, ...]


def codes_of(kind: type[ev.Event]) -> frozenset[int]:
    """Return the codes of the records that may become events of `kind`; TOLD records are looked at one by one."""
    return frozenset(code for code, made in _CLASSES.items() if issubclass(made, kind)) | {TOLD}


class Journal:
    """All records of one run.

    Attributes:
        records: the list itself; the engine binds its ``append`` once. closed: no record will follow.
    """

    __slots__ = ("closed", "graph", "records", "run_id", "start", "wall")

    def __init__(self, run_id: str, graph: Graph) -> None:
        """Begin at the current time."""
        self.run_id = run_id
        self.graph = graph
        self.records: list[Record] = []
        self.start = time.perf_counter()
        self.wall = time.time()
        self.closed = False

    def tell(self, kind: type[ev.Event], /, **fields: object) -> None:
        """Write down an event of the rarer kinds."""
        self.records.append((TOLD, time.perf_counter(), kind, fields))

    def events(self, first: int = 0, last: int | None = None) -> list[ev.Event]:
        """Return the events of the records from `first` up to `last`."""
        return self.decode(first, self.records[first:last], None, ev.Event)

    def decode(
        self, first: int, records: Sequence[Record], codes: frozenset[int] | None, kind: type[ev.Event]
    ) -> list[ev.Event]:
        """Return the events of `kind` among `records`, the first of which is number `first`; `codes` pre-selects."""
        made: list[ev.Event] = []
        makers = _MAKERS
        wanted = codes or _ALL
        completed = _make_completed(self)
        for seq, record in enumerate(records, first):
            code = record[0]
            if code not in wanted:
                continue
            if code == DONE_INLINE:
                _, at, node, began, summary = record
                made.append(completed(seq, at, node, None, 1, at - began, summary))
            elif code == COMPLETED:
                made.append(completed(seq, *record[1:]))
            elif code == TOLD:
                if issubclass(record[2], kind):
                    made.append(record[2](**self._head(seq, record[1]), **record[3]))
            else:
                made.append(makers[code](self, seq, record))
        return made

    def _head(self, seq: int, at: float) -> dict[str, Any]:
        elapsed = at - self.start
        return {"run_id": self.run_id, "seq": seq, "at": self.wall + elapsed, "elapsed": elapsed}

    def _node(self, seq: int, record: Record, index: int | None) -> dict[str, Any]:
        node, graph = record[2], self.graph
        return {**self._head(seq, record[1]), "node": graph.ids[node], "name": graph.labels[node], "index": index}


def _plain(*names: str) -> Callable[[Journal, int, Record], ev.Event]:
    """Return a maker for records ``(code, time, node, index, *names)``."""

    def make(journal: Journal, seq: int, record: Record) -> ev.Event:
        fields = dict(zip(names, record[4:], strict=False))
        return _CLASSES[record[0]](**journal._node(seq, record, record[3]), **fields)  # noqa: SLF001

    return make


def _whole(*names: str) -> Callable[[Journal, int, Record], ev.Event]:
    """Return a maker for records about a whole node: ``(code, time, node, *names)``."""

    def make(journal: Journal, seq: int, record: Record) -> ev.Event:
        return _CLASSES[record[0]](**journal._node(seq, record, None), **dict(zip(names, record[3:], strict=False)))  # noqa: SLF001

    return make


def _skipped(journal: Journal, seq: int, record: Record) -> ev.Event:
    because = journal.graph.ids[record[4]] if record[4] >= 0 else ""
    return ev.NodeSkipped(**journal._node(seq, record, None), reason=record[3], because=because)  # noqa: SLF001


def _setters(kind: type[ev.Event]) -> tuple[Callable[[Any, Any], None], ...]:
    """Return what sets each field of `kind`, in the order of its fields.

    A frozen dataclass spends three quarters of its making on being frozen; there is one of these for each node.
    """
    return tuple([getattr(kind, field.name).__set__ for field in fields(kind)])


(_RUN, _SEQ, _AT, _ELAPSED, _NODE, _NAME, _INDEX, _ATTEMPT, _DURATION, _SUMMARY) = _setters(ev.NodeCompleted)


def _make_completed(journal: Journal) -> Callable[..., ev.Event]:
    """Return what makes the completions of one journal: everything that is the same for all is looked up here."""
    kind, new = ev.NodeCompleted, object.__new__
    run_id, start, wall = journal.run_id, journal.start, journal.wall
    ids, names = journal.graph.ids, journal.graph.labels

    def make(
        seq: int, at: float, node: int, index: int | None, attempt: int, duration: float, summary: str
    ) -> ev.Event:
        elapsed = at - start
        made = new(kind)
        _RUN(made, run_id)
        _SEQ(made, seq)
        _AT(made, wall + elapsed)
        _ELAPSED(made, elapsed)
        _NODE(made, ids[node])
        _NAME(made, names[node])
        _INDEX(made, index)
        _ATTEMPT(made, attempt)
        _DURATION(made, duration)
        _SUMMARY(made, summary)
        return made

    return make


def _resource(*names: str) -> Callable[[Journal, int, Record], ev.Event]:
    def make(journal: Journal, seq: int, record: Record) -> ev.Event:
        return _CLASSES[record[0]](**journal._head(seq, record[1]), **dict(zip(names, record[2:], strict=True)))  # noqa: SLF001

    return make


def _holding(journal: Journal, seq: int, record: Record) -> ev.Event:
    code, at, resource, kind, node, index, amount, usage, capacity = record
    made = ev.ResourceAcquired if code == ACQUIRED else ev.ResourceReleased
    return made(
        **journal._head(seq, at),  # noqa: SLF001
        resource=resource,
        kind=kind,
        node=journal.graph.ids[node],
        name=journal.graph.labels[node],
        index=index,
        amount=amount,
        usage=usage,
        capacity=capacity,
    )


_MAKERS: Final[dict[int, Callable[[Journal, int, Record], ev.Event]]] = {
    STARTED: _plain("attempt", "worker"),
    ITEMS: _whole("first", "count", "duration"),
    FAILED: _plain("attempt", "duration", "error_type", "error", "frames", "inputs"),
    RETRYING: _plain("attempt", "max_attempts", "delay", "error_type", "error"),
    WAITING: _plain("resource", "reason", "holders"),
    SKIPPED: _skipped,
    NODE_CANCELLED: _plain("reason"),
    ABANDONED: _plain("reason"),
    EXPANDED: _whole("total"),
    CHOSEN: _whole("key"),
    SET_UP: _resource("resource", "duration"),
    TORN_DOWN: _resource("resource", "duration", "error"),
    ACQUIRED: _holding,
    RELEASED: _holding,
    OUTPUT: _plain("stream", "text", "level"),
}
_ALL: Final = frozenset((*_CLASSES, TOLD))
