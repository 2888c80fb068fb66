"""Messages that wait to be sent: bounded, in order.

In: messages, from any thread. Out: messages, one at a time. Invariant: what is vital (quality of service above 0, or
retained) is never dropped; of the rest the oldest goes first when there is no room, and is counted.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["MOST", "Letter", "Outbox"]

MOST: Final = 10_000  # messages that wait


@dataclass(frozen=True, slots=True)
class Letter:
    """One message that waits to be sent."""

    topic: str
    data: bytes
    qos: int = 0
    retain: bool = False

    @property
    def is_vital(self) -> bool:
        """Whether it must not be lost."""
        return self.qos > 0 or self.retain


class Outbox:
    """Letters in the order in which they came.

    Attributes:
        dropped: how many had to make room. put_count: how many were ever put in. done_count: how many of them are no
            concern of this box any more.

    Example:
        >>> box = Outbox(most=2)
        >>> for text in ("a", "b", "c"):
        ...     box.put(Letter(text, b""))
        >>> [letter.topic for letter in box.take()], len(box), box.dropped
        (['b'], 1, 1)
    """

    __slots__ = ("_letters", "_lock", "_most", "_plain", "done_count", "dropped", "put_count")

    def __init__(self, most: int = MOST) -> None:
        """Begin empty; `most` letters that are not vital may wait."""
        self._letters: deque[Letter] = deque()
        self._lock = threading.Lock()
        self._most = most
        self._plain = 0
        self.dropped = 0
        self.put_count = self.done_count = 0

    def put(self, letter: Letter) -> None:
        """Add a letter; when there is no room, the oldest that is not vital is dropped."""
        with self._lock:
            self._letters.append(letter)
            self.put_count += 1
            self._plain += not letter.is_vital
            if self._plain > self._most:
                self._drop()

    def _drop(self) -> None:
        """Drop a tenth at once: looking for what may go costs time in a box full of what may not."""
        excess = max(1, self._most // 10)
        kept: deque[Letter] = deque()
        for letter in self._letters:
            if excess and not letter.is_vital:
                excess -= 1
                self._plain -= 1
                self.dropped += 1
                self.done_count += 1
            else:
                kept.append(letter)
        self._letters = kept

    def keep_vital(self) -> None:
        """Drop all that is not vital: there is time for the rest only."""
        with self._lock:
            kept = deque([letter for letter in self._letters if letter.is_vital])
            left_out = len(self._letters) - len(kept)
            self._letters, self._plain = kept, 0
            self.dropped += left_out
            self.done_count += left_out

    def put_back(self, letters: Sequence[Letter]) -> None:
        """Put letters that could not be sent first in the line again."""
        with self._lock:
            self._letters.extendleft(reversed(letters))
            self._plain += sum(not letter.is_vital for letter in letters)

    def take(self, most: int = 1) -> list[Letter]:
        """Return the next letters, at most `most`; only the last of them may be vital."""
        taken: list[Letter] = []
        with self._lock:
            while self._letters and len(taken) < most:
                letter = self._letters.popleft()
                taken.append(letter)
                if letter.is_vital:
                    break
                self._plain -= 1
        return taken

    def take_all(self) -> list[Letter]:
        """Return all letters."""
        with self._lock:
            letters, self._plain = list(self._letters), 0
            self._letters.clear()
            return letters

    def __len__(self) -> int:
        """How many wait."""
        return len(self._letters)
