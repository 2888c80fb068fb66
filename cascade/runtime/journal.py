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
    from cascade.interfaces.protocols import Clock

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
GROWN: Final = 17  # node, first and last of the new nodes' numbers
TURNED: Final = 18  # node, turns, key
RECALLED: Final = 19  # node, index, attempt, duration, summary, made_by, made_at, saved, number
ITEMS_RECALLED: Final = 20  # node, count, saved, spans
KEPT: Final = 30  # as RECALLED: kept from the run that this one retries
ITEMS_KEPT: Final = 31  # node, count, saved, kept, spans
TOLD: Final = 21  # any whole event, given as class and fields

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
    GROWN: ev.GraphGrown,
    TURNED: ev.LoopTurned,
    RECALLED: ev.NodeRecalled,
    ITEMS_RECALLED: ev.ItemsRecalled,
    KEPT: ev.NodeRecalled,
    ITEMS_KEPT: ev.ItemsRecalled,
}
Record = tuple[Any, ...]


def codes_of(kind: type[ev.Event]) -> frozenset[int]:
    """Return the codes of the records that may become events of `kind`; TOLD records are looked at one by one."""
    return frozenset(code for code, made in _CLASSES.items() if issubclass(made, kind)) | {TOLD}


class Journal:
    """All records of one run.

    Attributes:
        records: the list itself; the engine binds its ``append`` once. now: the run's clock, in seconds.
    """

    __slots__ = ("_fills", "graph", "now", "records", "run_id", "start", "wall")

    def __init__(self, run_id: str, graph: Graph, clock: Clock | None = None) -> None:
        """Begin at the current time of `clock`, the machine's by default."""
        self.run_id = run_id
        self.graph = graph
        self.records: list[Record] = []
        self.now: Callable[[], float] = time.perf_counter if clock is None else clock.now
        self.start = self.now()
        self.wall = time.time() if clock is None else clock.wall()
        self._fills = _make_fills(self)

    def tell(self, kind: type[ev.Event], /, **fields: object) -> None:
        """Write down an event of the rarer kinds."""
        self.records.append((TOLD, self.now(), kind, fields))

    def events(self, first: int = 0, last: int | None = None) -> list[ev.Event]:
        """Return the events of the records from `first` up to `last`."""
        return self.decode(first, self.records[first:last], None, ev.Event)

    def decode(
        self, first: int, records: Sequence[Record], codes: frozenset[int] | None, kind: type[ev.Event]
    ) -> list[ev.Event]:
        """Return the events of `kind` among `records`, the first of which is number `first`; `codes` pre-selects.

        Events about nodes and resources read their fields from their record when someone asks for one.
        """
        made: list[ev.Event] = []
        wanted, classes, fills = codes or _ALL, _CLASSES, self._fills
        new, keep, add = object.__new__, _SOURCE, made.append
        for seq, record in enumerate(records, first):
            code = record[0]
            if code not in wanted:
                continue
            if code == TOLD:
                if issubclass(record[2], kind):
                    add(record[2](**self._head(seq, record[1]), **record[3]))
            else:
                event = new(classes[code])
                keep(event, (fills[code], seq, record))
                add(event)
        return made

    def event(self, seq: int, record: Record) -> ev.Event:
        """Return the event of one record, which is number `seq`."""
        code = record[0]
        if code == TOLD:
            return record[2](**self._head(seq, record[1]), **record[3])  # type: ignore[no-any-return]
        event = object.__new__(_CLASSES[code])
        _SOURCE(event, (self._fills[code], seq, record))
        return event

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


def _grown(journal: Journal, seq: int, record: Record) -> ev.Event:
    nodes = tuple(journal.graph.ids[record[3] : record[4]])
    return ev.GraphGrown(**journal._node(seq, record, None), nodes=nodes)  # noqa: SLF001


def _setters(kind: type[ev.Event]) -> tuple[Callable[[Any, Any], None], ...]:
    """Return what sets each field of `kind`, in the order of its fields: the only way around being frozen."""
    return tuple([getattr(kind, field.name).__set__ for field in fields(kind)])


_SOURCE: Final = ev.Event._source.__set__  # type: ignore[attr-defined]  # noqa: SLF001 - the slot of deferred events
_SETTERS: Final = {kind: _setters(kind) for kind in {*_CLASSES.values()}}
_NAMES: Final = {kind: tuple([field.name for field in fields(kind)]) for kind in _SETTERS}
(_RUN, _SEQ, _AT, _ELAPSED, _NODE, _NAME, _INDEX) = _SETTERS[ev.NodeCompleted][:7]
(_ATTEMPT, _DURATION, _SUMMARY) = _SETTERS[ev.NodeCompleted][7:]
_BEGUN: Final = _SETTERS[ev.NodeStarted]


def _make_fills(journal: Journal) -> dict[int, Callable[[Any, int, Record], None]]:
    """Return what fills in the fields of an event of `journal` from its record, by the record's code.

    Starts and completions, of which there is one for each node, are filled in field by field; the others by way of
    another event.
    """

    def fill(event: ev.Event, seq: int, record: Record) -> None:
        whole = _MAKERS[record[0]](journal, seq, record)
        kind = type(event)
        for name, put in zip(_NAMES[kind], _SETTERS[kind], strict=True):
            put(event, getattr(whole, name))

    def fill_completed(event: ev.Event, seq: int, record: Record) -> None:
        if record[0] == DONE_INLINE:
            _, at, node, began, summary = record
            index, attempt, duration = None, 1, at - began
        else:
            _, at, node, index, attempt, duration, summary = record
        elapsed = at - journal.start
        _RUN(event, journal.run_id)
        _SEQ(event, seq)
        _AT(event, journal.wall + elapsed)
        _ELAPSED(event, elapsed)
        _NODE(event, journal.graph.ids[node])
        _NAME(event, journal.graph.labels[node])
        _INDEX(event, index)
        _ATTEMPT(event, attempt)
        _DURATION(event, duration)
        _SUMMARY(event, summary)

    def fill_started(event: ev.Event, seq: int, record: Record) -> None:
        _, at, node, index, attempt, worker = record
        elapsed, graph = at - journal.start, journal.graph
        put_run, put_seq, put_at, put_elapsed, put_node, put_name, put_index, put_attempt, put_worker = _BEGUN
        put_run(event, journal.run_id)
        put_seq(event, seq)
        put_at(event, journal.wall + elapsed)
        put_elapsed(event, elapsed)
        put_node(event, graph.ids[node])
        put_name(event, graph.labels[node])
        put_index(event, index)
        put_attempt(event, attempt)
        put_worker(event, worker)

    fills: dict[int, Callable[[Any, int, Record], None]] = dict.fromkeys(_CLASSES, fill)
    fills |= {STARTED: fill_started, COMPLETED: fill_completed, DONE_INLINE: fill_completed}
    return fills


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
    FAILED: _plain("attempt", "duration", "error_type", "error", "frames", "inputs", "causes"),
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
    GROWN: _grown,
    TURNED: _whole("turns", "key"),
    ITEMS_RECALLED: _whole("count", "saved", "spans"),
    ITEMS_KEPT: _whole("count", "saved", "kept", "spans"),
    KEPT: _plain("attempt", "duration", "summary", "made_by", "made_at", "saved", "kept"),
    RECALLED: _plain("attempt", "duration", "summary", "made_by", "made_at", "saved", "number"),
}
_ALL: Final = frozenset((*_CLASSES, TOLD))
