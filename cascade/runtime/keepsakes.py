"""What a remembered node wrote when it really ran, shown again when its value comes from the store.

In: pieces of output while nodes run. Out: a text that the store keeps with the result, and records made of it later.
Invariant: bounded; what cannot be read any more is left out without a word: the value is what counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

__all__ = ["Keepsakes"]

MOST: Final = 100_000  # characters of one node's output that are kept

Piece = tuple[str, str, str]  # stream, text, level


class Keepsakes:
    """The output of the nodes of one run that are remembered, by number."""

    __slots__ = ("_pieces", "_sizes")

    def __init__(self) -> None:
        """Nothing was written."""
        self._pieces: dict[int, list[Piece]] = {}
        self._sizes: dict[int, int] = {}

    def note(self, node: int, stream: str, text: str, level: str) -> None:
        """Keep a piece of output; from any thread."""
        size = self._sizes.get(node, 0)
        if size < MOST:
            self._sizes[node] = size + len(text)
            self._pieces.setdefault(node, []).append((stream, text[: MOST - size], level))

    def pack(self, node: int) -> str:
        """Return what the store keeps of a node's output, empty if there was none."""
        pieces = self._pieces.pop(node, None)
        return json.dumps(pieces) if pieces else ""

    @staticmethod
    def unpack(text: str | None) -> Iterator[Piece]:
        """Yield the pieces of a kept text."""
        try:
            pieces = json.loads(text) if text else []
        except ValueError:
            return
        for piece in pieces if isinstance(pieces, list) else []:
            if isinstance(piece, list) and len(piece) == 3 and all(isinstance(part, str) for part in piece):  # noqa: PLR2004
                yield piece[0], piece[1], piece[2]
