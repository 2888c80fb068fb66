"""What a remembered node wrote and showed when it really ran, shown again when its value comes from the store.

In: pieces of output while nodes run. Out: a text that the store keeps with the result, and records made of it later.
Invariant: bounded; what cannot be read any more is left out without a word: the value is what counts.

The text lies in the store under its digest, and the signed entry of the result names that digest: who could change what
is shown could change the result itself. It is read with care all the same: a picture is what its bytes say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from cascade.runtime.displays import Display, from_json, to_json

if TYPE_CHECKING:
    from cascade.interfaces.protocols import Store
    from cascade.interfaces.records import Draft

__all__ = ["Keepsakes"]

MOST: Final = 100_000  # characters of one node's output that are kept
MOST_PICTURES: Final = 2_000_000  # bytes of the pictures of one node that are kept
MOST_DISPLAYS: Final = 200

Place = tuple[int, int | None]  # number of a node, index of its item
Piece = tuple[str, str, str]  # stream, text, level
_DISPLAY: Final = "display"  # in the place of a stream


class Keepsakes:
    """The output of the nodes of one run that are remembered, and of the items of maps, by number and index."""

    __slots__ = ("_pictured", "_pieces", "_sizes")

    def __init__(self) -> None:
        """Nothing was written."""
        self._pieces: dict[Place, list[Piece | Display]] = {}
        self._sizes: dict[int, int] = {}
        self._pictured: dict[int, int] = {}

    def note(self, place: Place, stream: str, text: str, level: str) -> None:
        """Keep a piece of output; from any thread."""
        size = self._sizes.get(place[0], 0)
        if size < MOST:
            self._sizes[place[0]] = size + len(text)
            self._pieces.setdefault(place, []).append((stream, text[: MOST - size], level))

    def note_display(self, place: Place, display: Display) -> None:
        """Keep what was displayed; from any thread. The first pictures are kept as long as there is room for them."""
        parts = (display.picture, display.thumbnail)
        size = self._pictured.get(place[0], 0) + sum(len(part.data) for part in parts if part is not None)
        if size <= MOST_PICTURES:
            self._pictured[place[0]] = size + len(display.text)
            self._pieces.setdefault(place, []).append(display)

    def attach(self, draft: Draft, store: Store, node: int, index: int | None = None) -> Draft:
        """Return `draft` with the output of its node or item, which `store` keeps from now on."""
        written = self.pack((node, index))
        return draft._replace(outputs=store.put_text(written)) if written else draft

    def pack(self, place: Place) -> str:
        """Return what the store keeps of a node's or an item's output, empty if there was none."""
        pieces = self._pieces.pop(place, None)
        if not pieces:
            return ""
        return json.dumps([list(p) if isinstance(p, tuple) else [_DISPLAY, to_json(p), ""] for p in pieces])

    @staticmethod
    def unpack(text: str | None) -> Iterator[Piece | Display]:
        """Yield the pieces of a kept text."""
        try:
            pieces = json.loads(text) if text else []
        except (ValueError, RecursionError):
            return
        displays = 0
        for piece in pieces if isinstance(pieces, list) else []:
            if not isinstance(piece, list) or len(piece) != 3:  # noqa: PLR2004
                continue
            if piece[0] == _DISPLAY:
                displays += 1
                shown: Any = from_json(piece[1]) if displays <= MOST_DISPLAYS else None
                if shown is not None:
                    yield shown
            elif all(isinstance(part, str) for part in piece):
                yield piece[0], piece[1], piece[2]
