"""A finished run → itself at any moment again: as numbers, as a display with a scrubber, as text.

In: a run document with its track. Out: what was true at a moment. Invariant: needs the document and nothing else, no
kernel and no events; the front end moves through a document by the same rules (`frontend/view/replay_model.js`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cascade.graph.draw import Picture
from cascade.notebook.plain import duration, listed, plural
from cascade.notebook.track import RUN_STATES
from cascade.notebook.units import ENDED, UNITS, VALUES

__all__ = ["Moment", "describe_replay", "moment_at", "moments", "replayed", "show_replay"]

MOST_LINES = 40


@dataclass(frozen=True, slots=True)
class Moment:
    """What was true at one moment of a run.

    Args:
        seconds: since the start. run: its state. states: of each box by id. counts: units by state.
        tallies: of boxes that stand for several units, how many were in which state. used: of each capacity, by name.
    """

    seconds: float
    run: str
    states: Mapping[str, str]
    counts: Mapping[str, int]
    tallies: Mapping[str, Mapping[str, int]]
    used: Mapping[str, float]


def moments(document: Mapping[str, Any]) -> list[float]:
    """Return the times at which something changed, in seconds; between two of them everything stayed as it was."""
    track, cell, found = document["track"], 0, []
    for delta, *_ in track["moments"]:
        cell += delta
        found.append(cell * track["step"])
    return found


def moment_at(document: Mapping[str, Any], seconds: float) -> Moment:
    """Return what was true `seconds` after the start, as exactly as the document tells it.

    Example:
        >>> track = {"step": 0.5, "boxes": ["load"], "moments": [[2, 0, 2], [4, 0, 5]]}
        >>> document = {"track": track, "picture": {"boxes": [{"id": "load", "kind": "task"}]}, "capacities": []}
        >>> [moment_at(document, seconds).states["load"] for seconds in (0.9, 1.0, 3.0)]
        ['pending', 'running', 'done']
    """
    track = document["track"]
    told: dict[int, Any] = {}
    for _, *pairs in track["moments"][: bisect_right(moments(document), seconds + 1e-9)]:
        told.update(zip(pairs[::2], pairs[1::2], strict=True))
    values = {box["id"] for box in document["picture"]["boxes"] if box["kind"] in VALUES}
    counts = dict.fromkeys(UNITS, 0)
    states, tallies = {}, {}
    for place, box in enumerate(track["boxes"]):
        state = told.get(place, 0)
        if box in values:
            continue
        tally = dict(zip(UNITS, state[3:], strict=False)) if isinstance(state, list) else {UNITS[state]: 1}
        states[box] = UNITS[state[0] if isinstance(state, list) else state]
        if isinstance(state, list):
            tallies[box] = tally
        for unit, count in tally.items():
            counts[unit] += count
    used = {one["name"]: told.get(-2 - place, 0) for place, one in enumerate(document["capacities"])}
    return Moment(seconds, RUN_STATES[told.get(-1, 0)], states, counts, tallies, used)


def replayed(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document such that a view that draws it begins at the run's start and plays."""
    return {**document, "replay": True}


def show_replay(document: Mapping[str, Any], shape: Picture) -> None:
    """Show a finished run from its beginning again, in the cell that runs now."""
    from IPython.display import display

    from cascade.notebook.bundle import finished_bundle

    bundle = finished_bundle(replayed(document), shape)
    bundle["text/plain"] = describe_replay(document)
    display(bundle, raw=True)


def describe_replay(document: Mapping[str, Any]) -> str:
    """Return the story of a run as text: a line for each moment, fewer if there are many."""
    times = moments(document)
    step = max(1, -(-len(times) // MOST_LINES))
    chosen = times[::step] if not times or times[-1] in times[::step] else [*times[::step], times[-1]]
    names = {box["id"]: box["name"] for box in document["picture"]["boxes"]}
    lines = [f"{document['run']['name']}: {plural(len(times), 'moment')} in {duration(document['run']['elapsed'])}"]
    return "\n".join([*lines, *_tell(document, chosen, names)])


def _tell(document: Mapping[str, Any], times: list[float], names: Mapping[str, str]) -> Iterator[str]:
    before = ""
    for time in times:
        now = moment_at(document, time)
        going = [names.get(box, box) for box, state in now.states.items() if state in {"running", "retry", "waiting"}]
        over = sum(now.counts[state] for state in ENDED)
        told = f"{over:,} of {sum(now.counts.values()):,} over{f' · {listed(going)}' if going else ''} · {now.run}"
        if told != before:
            yield f"{time:>10.3f} s  {told}"
        before = told
