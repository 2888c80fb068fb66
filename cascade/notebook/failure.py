"""A failure → the card that tells it: what failed, the user's own frames, the inputs, what is still good.

In: the event of the failure and the nodes of the run. Out: the document's ``failure``. Invariant: bounded plain text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cascade.interfaces.events import NodeFailed, RunFinished
from cascade.notebook.plain import listed, plain, plural
from cascade.notebook.units import VALUES, Unit

_MOST = 12
_GOOD = frozenset({"done", "stored"})


def describe_failure(
    event: NodeFailed | RunFinished, units: Iterable[Unit], boxes: Mapping[str, str], locate: Callable[[str], str] = str
) -> dict[str, Any]:
    """Return the card for a node's failure, or for that of a run that no node is to blame for."""
    card: dict[str, Any] = {
        "node": "",
        "label": "the run",
        "error_type": plain(event.error_type, 80),
        "error": plain(event.error, 600),
        "frames": [],
        "inputs": [],
        "good": _still_good(units),
    }
    if isinstance(event, NodeFailed):
        card["node"] = boxes.get(event.node, "")
        card["label"] = plain(event.label, 60)
        card["frames"] = [
            {
                "file": plain(_short(locate(file)), 120),
                "line": line,
                "function": plain(function, 60),
                "code": plain(code.strip(), 160),
            }
            for file, line, function, code in event.frames[-_MOST:]
        ]
        card["inputs"] = [
            {"name": plain(name, 40), "preview": plain(preview, 120)}
            for name, preview in list(event.inputs.items())[:_MOST]
        ]
    return card


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
