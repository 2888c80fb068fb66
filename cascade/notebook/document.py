"""A record → the run document, whole or in frames.

In: a `RunRecord`. Out: JSON with plain text only: the document (`application/vnd.cascade.run+json`), and frames that
turn one state of it into the next. Invariant: whatever runs, a document weighs at most 200 KB, a frame at most 20 KB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cascade.notebook.figures import lighten
from cascade.notebook.folding import Drawing, weight
from cascade.notebook.plain import plain
from cascade.notebook.remaining import estimate
from cascade.notebook.units import box_entry
from cascade.spec.conversion import describe_type

if TYPE_CHECKING:
    from cascade.notebook.bars import Bar
    from cascade.notebook.record import GraphLike, RunRecord

MIME = "application/vnd.cascade.run+json"
DOCUMENT_LIMIT = 200_000
FRAME_LIMIT = 20_000
_SHARE = {"nodes": 8_000, "bars": 6_000, "log": 3_500}
_BAR_BYTES, _ENTRY_BYTES, _KEPT_FREE = 180, 110, 50_000
_FEWEST_BARS = 60
_PEEKS, _BESIDE = 25_000, 2_000
_MOST_BEHIND = 80
_MOST_PARAMS = 60
_REST = 4_000  # bytes of a frame beside nodes, bars and lines, the blanks between its words on the way included
_LIGHT, _BESIDE = 1_000, 1_200  # bytes of a line with a picture that counts as any other; of lines beside a heavy one


@dataclass(slots=True)
class FrameState:
    """How much of a record has gone out in frames: their number, and the length of what is only ever appended."""

    seq: int = 0
    rows: int = 0
    bars: int = 0
    lost: int = 0


def bar_limit(drawing: Drawing, boxes: int, most: int) -> int:
    """Return how many bars a document has room for beside its picture."""
    room = DOCUMENT_LIMIT - _KEPT_FREE - drawing.bytes - boxes * _ENTRY_BYTES
    return max(_FEWEST_BARS, min(most, room // _BAR_BYTES))


def describe_inputs(graph: GraphLike) -> dict[str, tuple[str, str, str]]:
    """Return type, description and default of each Param and Env by name."""
    found = {}
    for item in (*getattr(graph, "params", ()), *getattr(graph, "envs", ())):
        default = "" if item.required else item.preview(item.default)
        found[item.name] = (plain(describe_type(item.type), 40), plain(item.description, 160), plain(default, 120))
    return found


def whole(record: RunRecord, elapsed: float | None = None) -> dict[str, Any]:
    """Return the whole document."""
    made = _assemble(record, elapsed)
    made["lanes"] = {
        "rows": record.lanes.used_rows() if record.finished else record.lanes.sorted_rows(record.lanes.rows),
        "bars": [bar.to_dict() for bar in record.lanes.bars.items],
    }
    made["log"] = [line.to_dict() for line in record.log.lines()]
    if record.finished or record.is_cut:
        record.track.note(record.state, record.capacities)
        made["track"] = record.track.to_dict()
    if record.peeks is not None:
        made["peek"] = record.peeks
    _fit(made)
    made["dropped"]["log"] = record.log.count - len(made["log"])
    return made


def room_for_peeks(record: RunRecord) -> int:
    """Return how many bytes of the document may tell what its nodes are and how their values begin."""
    return max(_PEEKS, DOCUMENT_LIMIT - weight(whole(record)) - _BESIDE)


def snapshot(record: RunRecord, elapsed: float | None = None) -> dict[str, Any]:
    """Return the document such that the next frame fits on it: without rows, bars and lines that no frame had yet."""
    frames = record.frames
    made = _assemble(record, elapsed)
    made["lanes"] = {
        "rows": record.lanes.sorted_rows(record.lanes.rows[: frames.rows]),
        "bars": [bar.to_dict() for bar in record.lanes.bars.items[: frames.bars]],
    }
    made["log"] = [line.to_dict() for line in record.log.lines(framed=True)]
    _fit(made, bars=False)
    made["dropped"]["log"] = record.log.framed - len(made["log"])
    return {"seq": frames.seq, **made}


def _assemble(record: RunRecord, elapsed: float | None) -> dict[str, Any]:
    return {
        "v": 1,
        "run": _run(record, elapsed),
        "picture": record.drawing.picture,
        "nodes": {box.id: box_entry(box) for box in record.boxes.values() if box.id in record.drawing.names},
        "capacities": _capacities(record),
        "dropped": {"log": 0, "bars": record.lanes.dropped},
        "params": _params(record),
        "result": record.result,
        "failure": record.failure,
        "usual": _usual(record),
    }


def _usual(record: RunRecord) -> dict[str, float]:
    """Return how long each box took in earlier runs, in seconds, for the critical path that is still ahead."""
    if record.finished:
        return {}
    known = record.usual
    return {
        box.id: round(known[box.only.name], 4)
        for box in record.boxes.values()
        if box.only is not None and box.only.name in known and box.id in record.drawing.names
    }


def catch_up(record: RunRecord) -> None:
    """Count everything as sent: a viewer is about to get its first snapshot."""
    record.frames.rows = len(record.lanes.rows)
    record.frames.bars = len(record.lanes.bars.items)
    record.changed.clear()
    record.lanes.bars.changed.clear()
    record.log.mark_framed(record.log.count)
    record.dirty.clear()


def take_frame(record: RunRecord, elapsed: float | None = None) -> dict[str, Any] | None:
    """Return the next frame, None if nothing changed. What does not fit stays for the one after."""
    frames, lanes = record.frames, record.lanes
    frame: dict[str, Any] = {}
    log = _take_log(record)
    room = max(0, FRAME_LIMIT - _REST - weight(log))  # a picture takes most of it
    bars = _take_bars(record, int(_SHARE["bars"] * min(1.0, room / (_SHARE["nodes"] + _SHARE["bars"]))))
    nodes = _take_nodes(record, room - weight(bars))  # all that is left: of a large graph, nodes change most
    bars += _take_bars(record, room - weight(bars) - weight(nodes))  # of a folded one, bars
    if nodes:
        frame["nodes"] = nodes
    if len(lanes.rows) > frames.rows:
        frame["rows"] = lanes.sorted_rows(lanes.rows[frames.rows :])
        frames.rows = len(lanes.rows)
    if bars:
        frame["bars"] = bars
    if log:
        frame["log"] = log
    if frame or record.dirty:
        frame["run"] = _run(record, elapsed)
        frame["dropped"] = {"log": frames.lost, "bars": lanes.dropped}
    _take_rest(record, frame)
    if not frame:
        return None
    frames.seq += 1
    return {"seq": frames.seq, **frame}


def _take_nodes(record: RunRecord, room: int) -> dict[str, Any]:
    taken: dict[str, Any] = {}
    for box in list(record.changed):
        if box in record.drawing.names:
            entry = box_entry(record.boxes[box])
            room -= weight(entry) + weight(box) + 2
            if room < 0:
                return taken
            taken[box] = entry
        del record.changed[box]
    return taken


def _take_bars(record: RunRecord, room: int) -> list[list[Any]]:
    """Take those that end last, since people look where now is, and those that have waited longest, half and half."""
    taken: list[list[Any]] = []
    bars = record.lanes.bars
    oldest = list(bars.changed)
    newest = sorted(oldest, key=lambda place: _last_moment(bars.items[place]), reverse=True)
    for places, kept in ((newest, room // 2), (oldest, 0)):
        for place in places:
            if place not in bars.changed:
                continue
            told = bars.items[place].to_dict()
            size = weight(told) + 8
            if room - size < kept:
                break
            room -= size
            taken.append([place, told])
            del bars.changed[place]
            record.frames.bars = max(record.frames.bars, place + 1)
    return taken


def _last_moment(bar: Bar) -> float:
    return bar.t0 if bar.t1 is None else bar.t1


def _take_log(record: RunRecord) -> list[dict[str, Any]]:
    """Take the oldest lines that fit, so that none is missed; far behind, catch up with the newest."""
    log = record.log
    taken: list[dict[str, Any]] = []
    before, reached = log.framed, log.count
    room, pictured = _SHARE["log"], False
    for line in log.news()[-_MOST_BEHIND:]:
        told = line.to_dict()
        size = weight(told) + 1
        if "figure" in told and not pictured and size > _LIGHT:
            room, pictured = min(room, _BESIDE), True
        else:
            room -= size
        if room < 0:
            reached = line.number
            break
        taken.append(told)
    log.mark_framed(reached)
    record.frames.lost += reached - before - len(taken)
    return taken


def _take_rest(record: RunRecord, frame: dict[str, Any]) -> None:
    dirty = record.dirty
    if "capacities" in dirty:
        frame["capacities"] = _capacities(record)
    if "params" in dirty:
        frame["params"] = _params(record)
    if "result" in dirty:
        frame["result"] = record.result
    if "failure" in dirty:
        frame["failure"] = record.failure
    dirty.clear()


# -- parts -----------------------------------------------------------------------------------------------------------


def _run(record: RunRecord, elapsed: float | None) -> dict[str, Any]:
    now = record.elapsed if elapsed is None or record.finished else max(elapsed, record.elapsed)
    return {
        "id": plain(record.run_id, 60),
        "name": plain(record.name, 80),
        "state": record.state,
        "started": round(record.started, 3),
        "elapsed": round(now, 3),
        "live": not record.finished,
        "step": record.steps.is_on and not record.finished,
        "message": plain(record.message, 240),
        "eta": estimate(record, now),
        "counts": dict(record.counts),
    }


def _capacities(record: RunRecord) -> list[dict[str, Any]]:
    return [
        {**capacity, "used": _tidy(capacity["used"]), "total": _tidy(capacity["total"])}
        for capacity in list(record.capacities.values())[:_MOST_PARAMS]
    ]


def _tidy(amount: float) -> float:
    return int(amount) if amount == int(amount) else round(amount, 4)


def _params(record: RunRecord) -> list[dict[str, Any]]:
    names = list(dict.fromkeys([*record.inputs, *record.params]))
    told = []
    for name in names[:_MOST_PARAMS]:
        kind, description, default = record.inputs.get(name, ("", "", ""))
        value = record.params.get(name, default)
        told.append({"name": plain(name, 60), "value": value, "type": kind, "description": description})
    return told


def _fit(made: dict[str, Any], *, bars: bool = True) -> None:
    """Drop the oldest pictures and lines, and bars if `bars`, until the document weighs no more than it may."""
    lighten(made["log"], weight(made) - DOCUMENT_LIMIT)
    while weight(made) > DOCUMENT_LIMIT:
        lanes = made["lanes"]
        if bars and len(lanes["bars"]) > max(_FEWEST_BARS, len(made["log"])):
            kept = _newer_half(lanes["bars"])
            made["dropped"]["bars"] += len(lanes["bars"]) - len(kept)
            lanes["bars"] = kept
        elif made["log"]:
            made["log"] = _newer_half(made["log"])
        else:
            break


def _newer_half(items: list[Any]) -> list[Any]:
    return items[(len(items) + 1) // 2 :]
