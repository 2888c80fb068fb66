"""Failures → the card that tells them: what failed, the user's own frames, the inputs, what is still good.

In: the events of failures and the nodes of the run. Out: the document's ``failure``. Invariant: bounded plain text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from cascade.interfaces.events import NodeFailed, RunFinished
from cascade.notebook.plain import listed, plain, plural
from cascade.notebook.units import VALUES, Unit

__all__ = ["FailureBook", "closing_words", "describe_failure"]

_MOST = 12
_MOST_BESIDE = 8
_FRAMES_BESIDE = 3
_GOOD = frozenset({"done", "stored", "kept"})
_HOWS = {"cause": "caused by", "context": "raised while this was handled", "part": "one of the group"}

Boxes = Mapping[str, str]
Locate = Callable[[str], str]


class FailureBook:
    """The failures of one run, in the order in which they happened: of nodes, and of the items that failed a map.

    An item of a map that collects errors fails without failing its map; what it told is forgotten then.
    """

    __slots__ = ("_items", "count", "failures")

    def __init__(self) -> None:
        """Begin with none."""
        self.failures: list[NodeFailed] = []
        self.count = 0
        self._items: dict[str, list[NodeFailed]] = {}

    def note(self, event: NodeFailed) -> None:
        """Take note of a failure for good."""
        if event.index is not None:
            self._items.setdefault(event.node, []).append(event)
            del self._items[event.node][_MOST_BESIDE + 1 :]
            return
        told = self._items.pop(event.node, None) or [event]
        self.count += len(told)
        self.failures += told[: max(0, _MOST_BESIDE + 1 - len(self.failures))]

    def card(
        self, end: RunFinished | None, units: Iterable[Unit], boxes: Boxes, locate: Locate = str
    ) -> dict[str, Any] | None:
        """Return the card of all failures; of the run's `end` when no node is to blame; None when nothing failed."""
        if not self.failures and (end is None or end.status != "failed"):
            return None
        if not self.failures:
            return describe_failure(end, units, boxes, locate) if end is not None else None
        first, *others = self.failures
        card = describe_failure(first, units, boxes, locate)
        card["more"] = [_tell_node(event, boxes, locate, _FRAMES_BESIDE) for event in others]
        card["others"] = self.count - len(self.failures)
        return card


def describe_failure(
    event: NodeFailed | RunFinished, units: Iterable[Unit], boxes: Boxes, locate: Locate = str
) -> dict[str, Any]:
    """Return the card for a node's failure, or for that of a run that no node is to blame for."""
    if isinstance(event, NodeFailed):
        card = _tell_node(event, boxes, locate, _MOST)
    else:
        card = _blank(event.error_type, event.error)
    return {**card, "good": _still_good(units), "more": [], "others": 0}


def _blank(kind: str, text: str) -> dict[str, Any]:
    return {
        "node": "",
        "label": "the run",
        "error_type": plain(kind, 80),
        "error": plain(text, 600),
        "frames": [],
        "inputs": [],
        "causes": [],
    }


def _tell_node(event: NodeFailed, boxes: Boxes, locate: Locate, most: int) -> dict[str, Any]:
    return {
        **_blank(event.error_type, event.error),
        "node": boxes.get(event.node, ""),
        "label": plain(event.label, 60),
        "frames": _frames(event.frames[-most:], locate),
        "inputs": [
            {"name": plain(name, 40), "preview": plain(preview, 120)}
            for name, preview in list(event.inputs.items())[:_MOST]
        ],
        "causes": [
            {
                "how": _HOWS.get(how, how),
                "error_type": plain(kind, 80),
                "error": plain(text, 300),
                "frames": _frames(frames[-_FRAMES_BESIDE:], locate),
            }
            for how, kind, text, frames in event.causes
        ],
    }


def _frames(frames: Sequence[tuple[str, int, str, str]], locate: Locate) -> list[dict[str, Any]]:
    return [
        {
            "file": plain(_short(locate(file)), 120),
            "line": line,
            "function": plain(function, 60),
            "code": plain(code.strip(), 160),
        }
        for file, line, function, code in frames
    ]


def closing_words(end: RunFinished, reason: str) -> str:
    """What the end of a run says beside its state; `reason` is that of a cancel."""
    words = []
    if end.status == "failed":
        words.append(end.error_type)
    elif end.status == "cancelled" and reason:
        words.append(reason)
    if end.abandoned:
        words.append(f"{plural(len(end.abandoned), 'thread')} still running: {listed(end.abandoned)}")
    return "; ".join(words)


def _still_good(units: Iterable[Unit]) -> str:
    names = [plain(unit.name, 40) for unit in units if unit.kind not in VALUES and unit.state in _GOOD]
    if not names:
        return ""
    if len(names) == 1:
        return f"{names[0]} is done and not affected."
    if len(names) <= 4:  # noqa: PLR2004 - as many as a line holds
        return f"{listed(names, 4)} are done and not affected."
    return f"{plural(len(names), 'node')} are done and not affected: {listed(names)}."


def _short(file: str) -> str:
    """The end of a path: enough to know the file, without the folders of whoever ran it."""
    parts = file.replace("\\", "/").split("/")
    return file if len(parts) <= 3 else "/".join(["…", *parts[-2:]])  # noqa: PLR2004 - folder and file
