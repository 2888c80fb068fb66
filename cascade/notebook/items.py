"""The items of a map while the run goes on: what became of each.

In: which items changed their state. Out: their states, failed first. Invariant: one byte an item, whatever happens to
it; only those that failed keep a text, and not all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cascade.notebook.plain import plain

__all__ = ["ORDER", "ItemBook", "code_of"]

MOST_TEXTS = 100
MOST_ITEMS = 2_000_000
ORDER = ("failed", "running", "retry", "waiting", "queued", "cancelled", "pending", "done", "stored", "kept", "skipped")
_STATES = ("pending", *(state for state in ORDER if state != "pending"))  # pending is 0: what was never told
_CODES = {state: code for code, state in enumerate(_STATES)}


def code_of(state: str) -> int:
    """Return the byte that stands for `state`."""
    return _CODES[state]


class ItemBook:
    """The state of each item of one map, by index.

    Attributes:
        codes: a byte for each item of which something may have been told.
    """

    __slots__ = ("codes", "texts", "times")

    def __init__(self) -> None:
        """Begin with none."""
        self.codes = bytearray()
        self.texts: dict[int, str] = {}
        self.times: dict[int, float] = {}

    def note(self, first: int, state: str, count: int = 1, text: str = "", seconds: float | None = None) -> None:
        """Items `first` to ``first + count - 1`` are in `state` now."""
        end = first + count
        if end > MOST_ITEMS:
            return
        if end > len(self.codes):
            self.codes.extend(bytes(end - len(self.codes)))
        self.codes[first:end] = bytes([_CODES[state]]) * count
        if text and len(self.texts) < MOST_TEXTS:
            self.texts[first] = plain(text, 160)
        if seconds is not None and count == 1 and len(self.times) < MOST_TEXTS:
            self.times[first] = seconds

    def reserve(self, count: int) -> None:
        """Make room for `count` items at once."""
        if len(self.codes) < count <= MOST_ITEMS:
            self.codes.extend(bytes(count - len(self.codes)))

    def note_spans(self, spans: Iterable[tuple[int, int]], state: str) -> int:
        """Items of those spans, each a first index and a count, are in `state`; return how many there are."""
        told = 0
        for first, count in spans:
            self.note(first, state, count)
            told += count
        return told

    def count_told(self) -> int:
        """How many items something is known of."""
        return len(self.codes) - self.codes.count(0)

    def state(self, index: int) -> str:
        """Return the state of one item."""
        return _STATES[self.codes[index]] if 0 <= index < len(self.codes) else "pending"

    def order(self, total: int | None) -> Iterator[int]:
        """Yield the indices: those that failed first, then those that are at work, then the others."""
        length = max(len(self.codes), min(total or 0, MOST_ITEMS))
        codes = bytes(self.codes) + bytes(length - len(self.codes))
        for state in ORDER:
            code, place = _CODES[state], -1
            while (place := codes.find(code, place + 1)) >= 0:
                yield place
