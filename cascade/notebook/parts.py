"""The items of a map, or the members of a folded box → a short list, failed first.

In: the record of a run. Out: rows of plain data. Invariant: bounded, however many there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cascade.notebook.items import ORDER
from cascade.notebook.plain import plain
from cascade.notebook.units import ENDED, Box, box_entry

if TYPE_CHECKING:
    from cascade.notebook.record import RunRecord
    from cascade.notebook.units import Unit

__all__ = ["MOST_ROWS", "find_parts", "list_parts", "unit_entry"]

MOST_ROWS = 60
MOST_FOUND = 40
UNSURE = "unknown: it may have come from the store"


def list_parts(record: RunRecord, box: str, find: str = "", most: int = MOST_ROWS) -> dict[str, Any]:
    """Return the items of a map, or the members of a folded box.

    Args:
        box: its id. find: only those whose label holds this text. most: rows at most.

    Returns:
        ``rows``: ``[label, state, seconds or None, text, node]`` each, failed first; ``more``: how many are left out.
    """
    units = [unit for unit in record.units.values() if unit.box.id == box]
    find = find.strip().lower()
    if len(units) == 1 and units[0].kind == "map":
        return _items(units[0], find, most)
    return _members(units, find, most)


def find_parts(record: RunRecord, find: str) -> list[list[Any]]:
    """Return the items and members whose label holds `find`: ``[label, state, box, node]`` each.

    Nodes that have a box of their own are left out: whoever draws the picture finds them there.
    """
    find = find.strip().lower()
    found: list[list[Any]] = []
    if not find:
        return found
    for unit in record.units.values():
        if len(found) >= MOST_FOUND:
            break
        name = unit.name.lower()
        if unit.kind == "map" and find.startswith(f"{name}["):
            found += [[row[0], row[1], unit.box.id, row[0]] for row in _items(unit, find, 5)["rows"]]
        elif unit.box.members > 1 and (find in name or find in unit.id.lower()):
            row = _member(unit)
            found.append([row[0], row[1], unit.box.id, row[4]])
    return found[:MOST_FOUND]


def _items(unit: Unit, find: str, most: int) -> dict[str, Any]:
    book, count = unit.items, 0
    rows: list[list[Any]] = []
    name = plain(unit.name, 40)
    total = unit.total if unit.total is not None else unit.seen
    ended = {"done": "done", "stored": "stored", "kept": "kept"}.get(unit.state, "cancelled")
    # of those of which nothing is told, all or none came from the store
    is_sure = not unit.recalled or book.count_told() + unit.recalled == (total or 0)
    for index in book.order(total):
        label = f"{name}[{index}]"
        if find and find not in label.lower():
            continue
        count += 1
        if len(rows) < most:
            state = book.state(index)
            text = book.texts.get(index, "")
            if state == "pending" and unit.state in ENDED:
                state = "stored" if unit.recalled and is_sure else ended
                text = text if is_sure else UNSURE
            rows.append([label, state, book.times.get(index), text, unit.box.id])
    return {"rows": rows, "more": count - len(rows)}


def _members(units: Iterable[Unit], find: str, most: int) -> dict[str, Any]:
    rank = {state: place for place, state in enumerate(ORDER)}
    wanted = [unit for unit in units if not find or find in unit.name.lower() or find in unit.id.lower()]
    wanted.sort(key=lambda unit: rank.get(unit.state, 0))
    rows = [_member(unit) for unit in wanted[:most]]
    return {"rows": rows, "more": len(wanted) - len(rows)}


def _member(unit: Unit) -> list[Any]:
    entry = unit_entry(unit)
    seconds = entry["t1"] - entry["t0"] if entry["t0"] is not None and entry["t1"] is not None else None
    label = plain(unit.name if unit.name == unit.id.split("#")[0] and "#" not in unit.id else unit.id, 60)
    return [label, entry["s"], seconds, entry["why"] or entry["v"], unit.id]


def unit_entry(unit: Unit) -> Mapping[str, Any]:
    """Return what the document would say of one unit in a box of its own."""
    alone = Box(unit.box.id, unit.name, 1, unit.box.tally if unit.box.only is unit else {}, unit)
    return box_entry(alone)
