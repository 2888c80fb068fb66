"""What the view knows of one node, and of one box of the picture, which may stand for many nodes.

In: transitions told by the record. Out: the entry of a box in the run document. Invariant: the counts of a box are
those of its units: one for a node, one for each item of a map.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cascade.interfaces.events import (
    NodeCancelled,
    NodeCompleted,
    NodeEvent,
    NodeFailed,
    NodeRecalled,
    NodeRetrying,
    NodeSkipped,
    NodeStarted,
    NodeWaiting,
)
from cascade.messaging.catalogue import time_ago
from cascade.notebook.items import ItemBook
from cascade.notebook.plain import duration, listed, plain
from cascade.spec.constraint import LIMIT

UNITS = ("pending", "queued", "running", "waiting", "retry", "done", "stored", "failed", "skipped", "cancelled", "kept")
ENDED = frozenset({"done", "stored", "kept", "failed", "skipped", "cancelled"})
VALUES = frozenset({"param", "env"})
_LIVE_FIRST = ("running", "retry", "waiting")
_ENDED_FIRST = ("failed", "cancelled", "done", "stored", "kept", "skipped")
DETAIL, REASON, VALUE = 60, 240, 160


@dataclass(slots=True)
class Box:
    """One box of the picture.

    `members` is how many nodes it stands for, `held` how many of them wait for a Next; `tally` counts units by state;
    `mark` says that it is stale, as in ``would run, ~2.1 s``.
    """

    id: str
    name: str
    members: int = 0
    tally: dict[str, int] = field(default_factory=dict)
    only: Unit | None = None
    t0: float | None = None
    t1: float | None = None
    last: NodeEvent | None = None
    held: int = 0
    mark: str = ""


@dataclass(slots=True)
class Unit:
    """One node of the graph as the run goes on.

    Args:
        state: its own state; for a map, that of the map as a whole.
        total: items of a map; None while unknown or for other nodes. expanded: whether it counts by items.
        pending: items that are known and have not begun. seen: items met so far. active: the state of each item that
            has begun or waits and has not ended.
        items: what became of each. recalled: how many came from the store, or were kept, of which nobody
            told which.
        last: the event that tells the present state. waits: for what the pending items of a map wait.
    """

    id: str
    name: str
    kind: str
    box: Box
    state: str = "pending"
    note: str = ""
    t0: float | None = None
    t1: float | None = None
    expanded: bool = False
    total: int | None = None
    seen: int = 0
    pending: int = 0
    _active: dict[int, str] | None = None
    _items: ItemBook | None = None
    recalled: int = 0
    last: NodeEvent | None = None
    waits: NodeWaiting | None = None
    attempt: int = 1
    max_attempts: int = 0
    held: bool = False

    def date(self, begun: float, now: float) -> None:
        """Something of it was at work from `begun`, if nothing has been told before, and until `now`."""
        if self.t0 is None:
            self.t0 = begun
        if self.box.t0 is None:
            self.box.t0 = self.t0
        self.box.t1 = now

    @property
    def active(self) -> dict[int, str]:
        """Made when it is first asked for: of a million nodes, few have items."""
        if self._active is None:
            self._active = {}
        return self._active

    @property
    def items(self) -> ItemBook:
        """Made when it is first asked for."""
        if self._items is None:
            self._items = ItemBook()
        return self._items


def box_entry(box: Box) -> dict[str, Any]:
    """Return what the document says of a box; one that only waits for a Next has a ``next``."""
    made = _box_entry(box)
    if box.mark:
        made = {**made, "m": box.mark}
    return {**made, "next": True} if box.held else made


def _box_entry(box: Box) -> dict[str, Any]:
    unit = box.only
    if unit is None:
        return _group_entry(box)
    if unit.kind in VALUES:
        return _entry("param", None, None, unit.note, "", "", None)
    if unit.kind == "map" and unit.expanded:
        return _map_entry(unit)
    return _entry(unit.state, unit.t0, unit.t1, _detail(unit), _reason(unit), _value(unit.last), None)


def box_state(box: Box) -> tuple[str, int | None, int | None]:
    """Return the state of a box, how many units it stands for, and how many of them wait; None: it counts none."""
    unit = box.only
    if unit is None:
        return _state_of(box.tally), sum(box.tally.values()), _waiting(box.tally, None)
    if unit.kind == "map" and unit.expanded:
        total = unit.total if unit.total is not None or unit.state not in ENDED else sum(box.tally.values())
        return _map_state(unit), total, _waiting(box.tally, unit)
    return unit.state, None, None


def _waiting(tally: dict[str, int], unit: Unit | None) -> int:
    return (unit.pending if unit is not None and unit.waits is not None else 0) + sum(
        tally.get(state, 0) for state in ("waiting", "retry")
    )


def _entry(
    state: str, t0: float | None, t1: float | None, detail: str, why: str, value: str, items: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        "s": state,
        "t0": _tidy(t0),
        "t1": _tidy(t1),
        "d": plain(detail, DETAIL),
        "why": plain(why, REASON),
        "v": plain(value, VALUE),
        "items": items,
    }


def _tidy(moment: float | None) -> float | None:
    return None if moment is None else round(moment, 4)


def _group_entry(box: Box) -> dict[str, Any]:
    total = sum(box.tally.values())
    state = _state_of(box.tally)
    t1 = box.t1 if state in ENDED else None
    why = _why(box.last) if state in {"waiting", "retry", "failed"} else ""
    return _entry(state, box.t0, t1, _progress(box.tally, total), why, "", _items(box.tally, total))


def _map_state(unit: Unit) -> str:
    state = unit.state if unit.state in ENDED else _state_of(unit.box.tally)
    return "waiting" if state in {"pending", "queued"} and unit.waits is not None else state


def _map_entry(unit: Unit) -> dict[str, Any]:
    tally = unit.box.tally
    ended = unit.state in ENDED
    state = _map_state(unit)
    total = unit.total if unit.total is not None or not ended else sum(tally.values())
    detail = _progress(tally, total)
    if ended and unit.t0 is not None and unit.t1 is not None and state == "done":
        detail = (
            f"{unit.total:,} · {duration(unit.t1 - unit.t0)}" if unit.total is not None else duration(unit.t1 - unit.t0)
        )
    elif ended and state != "failed":
        detail = _detail(unit)
    return _entry(
        state,
        unit.t0,
        unit.t1 if ended else None,
        detail,
        _reason(unit) if ended else _why(unit.waits),
        _value(unit.last),
        _items(tally, total, 0 if unit.waits is None else unit.pending),
    )


def _items(tally: dict[str, int], total: int | None, waiting: int = 0) -> dict[str, Any]:
    counts = {state: tally.get(state, 0) for state in ("done", "stored", "running", "failed")}
    if tally.get("kept"):
        counts["kept"] = tally["kept"]
    return {"total": total, **counts, "waiting": waiting + tally.get("waiting", 0) + tally.get("retry", 0)}


def _progress(tally: dict[str, int], total: int | None) -> str:
    over = sum(tally.get(state, 0) for state in ENDED)
    return f"{over:,} of {total:,}" if total is not None else f"{over:,} so far"


def _state_of(tally: dict[str, int]) -> str:
    """The state to show for many units: what goes on now, else how they ended, else how far they are from starting."""
    for state in _LIVE_FIRST:
        if tally.get(state):
            return state
    waiting = tally.get("queued", 0) + tally.get("pending", 0)
    if waiting:
        return "queued" if tally.get("queued") else "pending"
    return next((state for state in _ENDED_FIRST if tally.get(state)), "done")


# -- the words under a name ------------------------------------------------------------------------------------------


def _detail(unit: Unit) -> str:  # noqa: PLR0911 - one return per kind of event
    event = unit.last
    if unit.kind == "route" and unit.state == "done":
        return unit.note
    if isinstance(event, NodeRecalled):
        if event.kept:
            return "kept"
        return f"saved {duration(event.saved)}"
    if isinstance(event, NodeCompleted):
        return duration(event.duration)
    if isinstance(event, NodeFailed):
        return event.error_type or "failed"
    if isinstance(event, NodeSkipped):
        return event.reason
    if isinstance(event, NodeWaiting):
        return _waiting_words(event)
    if isinstance(event, NodeRetrying):
        return f"try {event.attempt + 1} of {event.max_attempts}"
    if isinstance(event, NodeStarted) and unit.attempt > 1:
        return f"try {unit.attempt} of {unit.max_attempts}" if unit.max_attempts else f"try {unit.attempt}"
    return ""


def _waiting_words(event: NodeWaiting) -> str:
    """Return ``waits for gpu: train[3]``, short enough for a box."""
    if not event.resource:
        return "waits"
    if event.resource.startswith(LIMIT):
        return event.resource
    return f"waits for {event.resource}: {listed(event.holders, 1)}" if event.holders else f"waits for {event.resource}"


def origin(event: NodeRecalled) -> str:
    """Return ``made by run 14, 2 h ago``."""
    return f"made by run {event.made_in}, {time_ago(event.age)}"


def _reason(unit: Unit) -> str:
    return _why(unit.last)


def _why(event: NodeEvent | None) -> str:
    if isinstance(event, NodeRecalled):
        if event.kept:
            return "kept from the run before"
        return f"same code and inputs; {origin(event)}"
    if isinstance(event, NodeWaiting):
        return waiting_reason(event)
    if isinstance(event, NodeRetrying):
        return retry_reason(event)
    if isinstance(event, NodeFailed):
        return f"{event.error_type}: {event.error}" if event.error else event.error_type
    if isinstance(event, (NodeSkipped, NodeCancelled)):
        return event.reason
    return ""


def waiting_reason(event: NodeWaiting) -> str:
    """Return ``waits for gpu, held by train[3]``."""
    if event.holders:
        return f"waits for {event.resource}, held by {listed(event.holders)}"
    return event.reason or f"waits for {event.resource}"


def retry_reason(event: NodeRetrying) -> str:
    """Return ``OSError: database is locked; again in 0.8 s``."""
    error = f"{event.error_type}: {event.error}" if event.error else event.error_type or "it failed"
    return f"{plain(error, 160)}; again {f'in {duration(event.delay)}' if event.delay > 0 else 'at once'}"


def _value(event: NodeEvent | None) -> str:
    return event.summary if isinstance(event, NodeCompleted) else ""
