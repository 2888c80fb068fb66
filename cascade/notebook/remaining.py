"""A record → how long the rest of the run will take.

In: what is left, how long each task took so far and in earlier runs. Out: seconds, or None when some task is unknown.
Invariant: an estimate is only given when every task that is left has been seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cascade.notebook.units import ENDED, VALUES

if TYPE_CHECKING:
    from cascade.notebook.record import RunRecord
    from cascade.notebook.units import Unit

_TOO_MANY = 2_000
_TOO_SOON = 0.2


def estimate(record: RunRecord, elapsed: float) -> float | None:
    """Return the seconds left: the work left, divided by how many tasks ran at once so far."""
    if record.finished or not record.usual or elapsed < _TOO_SOON or len(record.units) > _TOO_MANY:
        return None
    typical = {**record.usual, **record.typical()}
    left = 0.0
    for unit in record.units.values():
        if unit.kind in VALUES or unit.state in ENDED or unit.kind == "route":
            continue
        seconds = typical.get(unit.name)
        if seconds is None:
            return None
        left += _work(unit, seconds, elapsed)
    busy = sum(total for total, _ in record.spent.values())
    return round(left / max(1.0, busy / elapsed), 2)


def _work(unit: Unit, seconds: float, elapsed: float) -> float:
    if unit.kind == "map":
        return seconds * (unit.pending + len(unit.active)) if unit.expanded else seconds
    if unit.state == "running" and unit.t0 is not None:
        return max(0.0, seconds - (elapsed - unit.t0))
    return seconds
