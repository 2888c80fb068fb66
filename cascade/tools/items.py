"""What the history keeps of a map's items → phrases.

In: the rows of a map in one or two runs. Out: which items ran, which elements are new or gone, who made the others.
Invariant: reads only; a place is named as people write it, ``[3]``, and what is not known is not guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cascade.tools.history import run_word

if TYPE_CHECKING:
    from cascade.interfaces.protocols import Store
    from cascade.interfaces.records import NodeRow

__all__ = [
    "PastItems",
    "PastPace",
    "find_pace",
    "places",
    "read_items",
    "split_item",
    "tell_elements",
    "tell_item",
    "tell_makers",
    "tell_new",
]

_ITEM = re.compile(r"(.+)\[(\d{1,9})\]", re.DOTALL)
MOST_PLACES = 5
MOST_MAKERS = 3
MOST_RUNS_BACK = 20  # that are looked at for one whose items were not all stored


@dataclass(frozen=True, slots=True)
class PastItems:
    """The items of a map in one run.

    Args:
        total: how many. stored: how many came from the store. ran: places of the first that did not.
        made: ids of the runs that made the stored ones, with how many each. elements: the name of a text that tells
            the elements apart, empty if there are too many.
    """

    total: int
    stored: int
    ran: tuple[int, ...]
    made: tuple[tuple[str, int], ...]
    elements: str

    @property
    def count(self) -> int:
        """How many ran, or were to."""
        return self.total - self.stored

    def __str__(self) -> str:
        """Return ``2 of 1,000 items ran``."""
        return f"{self.count:,} of {self.total:,} item{'' if self.total == 1 else 's'} ran"


def read_items(row: NodeRow) -> PastItems | None:
    """Return what a row says of items; None where it is no map's, or of a run that did not look at them."""
    try:
        data = json.loads(row.items) if row.items else None
        made = tuple([(str(run), int(count)) for run, count in data["made"]]) if data else ()
        ran = tuple([int(place) for place in data["ran"]]) if data else ()
        return PastItems(int(data["total"]), int(data["stored"]), ran, made, str(data["elements"])) if data else None
    except (ValueError, TypeError, KeyError):
        return None


@dataclass(frozen=True, slots=True)
class PastPace:
    """How a map went.

    Args:
        count: how many items it had. seconds: that one of them took on average, of those that ran.
    """

    count: int
    seconds: float


def find_pace(store: Store, name: str) -> PastPace | None:
    """Return how the map of that name (or task) went the last time that items of it ran; None: nobody knows."""
    before: str | None = None
    for _ in range(MOST_RUNS_BACK):
        row = store.latest(name, before)
        if row is None:
            return None
        try:
            data = json.loads(row.items) if row.items else {}
            if "each" in data:
                return PastPace(int(data["count"]), float(data["each"]))
        except (ValueError, TypeError, KeyError):
            pass  # damaged: an earlier one may serve
        before = row.run_id
    return None


def places(ran: Sequence[int], count: int) -> str:
    """Return the places of `count` items, of which `ran` are the first.

    Example:
        >>> places([3, 17], 2), places(range(20), 1000)
        ('[3], [17]', '[0], [1], [2], [3], [4] and 995 more')
    """
    shown = ", ".join(f"[{place}]" for place in ran[:MOST_PLACES])
    rest = count - min(len(ran), MOST_PLACES)
    return f"{shown} and {rest:,} more" if rest > 0 and shown else shown


def tell_makers(store: Store, made: Sequence[tuple[str, int]], stored: int) -> str:
    """Return ``998 from run 14``, or the runs that made most; empty if none is stored."""
    if not stored:
        return ""
    numbers = store.run_numbers([run for run, _ in made])
    told = [f"{count:,} from {run_word(run, numbers.get(run, 0))}" for run, count in made[:MOST_MAKERS]]
    rest = stored - sum(count for _, count in made[:MOST_MAKERS])
    return ", ".join([*told, f"{rest:,} from other runs"] if rest > 0 else told)


def tell_new(store: Store, before: PastItems | None, now: PastItems) -> list[str]:
    """Return why items ran whose code and other inputs are the same as before."""
    elements = _elements(store, now)
    known = set(_elements(store, before)) if before is not None else set()
    if not elements or not known:
        return [f"not in the store: {places(now.ran, now.count)}"] if now.count else []
    new = [place for place in now.ran if place < len(elements) and elements[place] not in known]
    old = [place for place in now.ran if place not in new]
    told = []
    if new:
        told.append(f"new elements {places(new, now.count if not old else len(new))}")
    if old:
        count = now.count if not new else len(old)
        told.append(f"no longer in the store, or asked for anew: {places(old, count)}")
    return told


def split_item(name: str) -> tuple[str, int | None]:
    """Return the map and the place that a name such as ``fit[3]`` means; None: it names no item.

    Example:
        >>> split_item("fit#2[3]"), split_item("fit")
        (('fit#2', 3), ('fit', None))
    """
    found = _ITEM.fullmatch(name)
    return (found[1], int(found[2])) if found else (name, None)


def tell_item(store: Store, before: PastItems | None, now: PastItems, place: int) -> str:
    """Return why one item ran whose code and other inputs are the same as before."""
    elements = _elements(store, now)
    known = set(_elements(store, before)) if before is not None else set()
    if known and place < len(elements) and elements[place] not in known:
        return "its element is new"
    return "its result was not in the store, had expired or was not asked for"


def tell_elements(store: Store, before: NodeRow, after: NodeRow) -> list[str]:
    """Return which elements of a map are new, and how many are gone, between two runs."""
    old, new = read_items(before), read_items(after)
    if old is None or new is None:
        return []
    was, now = _elements(store, old), _elements(store, new)
    if not (was or not old.total) or not (now or not new.total):
        return [f"{old.total:,} → {new.total:,} items"] if old.total != new.total else []
    known = set(was)
    added = [place for place, element in enumerate(now) if element not in known]
    gone = len(known.difference(now))
    told = [f"new elements {places(added, len(added))}"] if added else []
    return [*told, f"{gone:,} element{' is' if gone == 1 else 's are'} gone"] if gone else told


def _elements(store: Store, items: PastItems) -> list[str]:
    text: Any = store.get_text(items.elements) if items.elements else None
    return text.split(",") if text else []
