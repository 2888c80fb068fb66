"""What a run learns of the items of one map: which were stored, which run, and who made the others.

In: keys of items and the entries that serve them, a part of the map at a time. Out: the key of an item when it is to be
stored, an entry for the whole where nothing ran, and a text for the history. Invariant: an item is known by its own
arguments, not by its place; however many items there are, what is kept of those that have ended is bounded.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cascade.interfaces.records import Entry, StoreMiss

if TYPE_CHECKING:
    from cascade.interfaces.protocols import CachePolicy, Store

__all__ = ["ELEMENT", "Calls", "Items", "Served", "load_items"]

Calls = dict[int, tuple[Any, Entry]]
"""The calls that items returned instead of values, by their places, and the entries that say where they are from."""


MOST_TOLD: Final = 20  # places of items that ran
MOST_RUNS: Final = 10  # that made the others
MOST_ELEMENTS: Final = 5000  # items of a map of which the next run can say which are new
ELEMENT: Final = 10  # characters of an item's key that tell it from others of the same map


class Served(NamedTuple):
    """What the store has of some items, by their places: the values, and the entries that say where they are from."""

    values: dict[int, Any]
    entries: dict[int, Entry]


def load_items(store: Store, policy: CachePolicy, keys: Mapping[int, str], entries: Mapping[str, Entry]) -> Served:
    """Return the stored items among those with `keys`; what cannot be read, or no longer serves, is left out."""
    served = Served({}, {})
    for index, key in keys.items():
        entry = entries.get(key)
        if entry is not None and policy.serves(entry, time.time(), {}):
            value = store.load(entry)
            if not isinstance(value, StoreMiss):
                served.values[index], served.entries[index] = value, entry
    return served


class Items:
    """The items of one map.

    Attributes:
        total: how many were looked up so far. stored: how many of them had a value. size: bytes of those.
        saved: seconds that computing them took. waiting: keys of the items that run, as they were before, by place.
    """

    __slots__ = ("_elements", "_latest", "_made", "_ran", "saved", "size", "stored", "total", "waiting")

    def __init__(self) -> None:
        """Nothing is known."""
        self.total = self.stored = self.size = 0
        self.saved = 0.0
        self.waiting: dict[int, str] = {}
        self._ran: list[int] = []
        self._made: dict[str, int] = {}
        self._elements: list[str] = []
        self._latest: Entry | None = None

    def meet(self, count: int, keys: Mapping[int, str], served: Mapping[int, Entry]) -> float:
        """Note `count` more items: their keys, as far as they have any, and the entries of those that are stored.

        Returns:
            Seconds that computing the stored ones took.
        """
        first = self.total
        self.total += count
        self.stored += len(served)
        saved = 0.0
        for entry in served.values():
            saved += entry.duration
            self.size += entry.size
            self._made[entry.run_id] = self._made.get(entry.run_id, 0) + 1
            if self._latest is None or entry.made_at > self._latest.made_at:
                self._latest = entry
        self.saved += saved
        self.waiting.update({index: key for index, key in keys.items() if index not in served})
        if len(self._ran) < MOST_TOLD:
            places = keys or range(first, self.total)
            self._ran += [index for index in places if index not in served][: MOST_TOLD - len(self._ran)]
        if self.total <= MOST_ELEMENTS:
            self._elements += [key[:ELEMENT] for key in keys.values()]
        return saved

    @property
    def is_stored(self) -> bool:
        """Whether all items so far came from the store."""
        return 0 < self.total == self.stored

    @property
    def whole(self) -> Entry | None:
        """An entry that stands for the whole map when nothing of it ran, else None."""
        if self._latest is None or not self.is_stored:
            return None
        return self._latest._replace(duration=self.saved, summary="")

    def to_text(self, put_text: Callable[[str], str]) -> str:
        """Return what the history keeps, as JSON; what tells the elements apart is kept as a text of its own."""
        made = sorted(self._made.items(), key=lambda pair: -pair[1])
        knows_all = len(self._elements) == self.total
        return json.dumps({
            "total": self.total,
            "stored": self.stored,
            "ran": self._ran,
            "made": made[:MOST_RUNS],
            "elements": put_text(",".join(self._elements)) if knows_all else "",
        })  # fmt: skip
