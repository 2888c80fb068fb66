"""What a view reads of a journal: the same record as the events make, whatever ran and however it is cut."""

from __future__ import annotations

import contextvars
import gc
import json
import random
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import cascade as cs
from cascade.interfaces.events import Event
from cascade.notebook import document
from cascade.notebook.intake import Intake
from cascade.notebook.record import RunRecord
from cascade.notebook.view.driver import RunView
from cascade.notebook.view.routing import CellMark

if TYPE_CHECKING:
    from collections.abc import Callable

    from cascade.runtime.journal import Journal


@cs.task(mode="inline")
def add(*values: int) -> int:
    return sum(values) + 1


@cs.task
def think(*values: int) -> int:
    return sum(values) + 1


@cs.task
def ponder(value: int) -> int:
    return value + 1


@cs.task
def show(value: int) -> int:
    print("value", value)
    return value


@cs.task
def stumble(value: int) -> int:
    if value % 5 == 3:
        raise ValueError(f"no {value}")
    return value


@cs.task
async def rest(value: int) -> int:
    return value


@cs.task
def hold(thing: object) -> int:
    return id(thing)


@cs.task
def returns_more(value: int) -> Any:
    return ponder.map(value=[value, value + 1]) if value % 2 else think(value)


def mesh(one: Any, layers: int, width: int) -> Any:
    row = [one(k) for k in range(width)]
    for _ in range(layers - 1):
        row = [one(row[k], row[(k + 1) % width]) for k in range(width)]
    return row


def many_maps(items: int) -> Any:
    row = [ponder.map(value=range(items)).named(f"part{k}") for k in range(8)]
    return [ponder.map(value=range(items)).after(before).named("second") for before in row]


SHAPES: dict[str, Callable[[], Any]] = {
    "inline": lambda: mesh(add, 6, 10),
    "folded": lambda: mesh(add, 8, 60),
    "threads": lambda: mesh(think, 6, 10),
    "threads folded": lambda: mesh(think, 6, 80),
    "maps": lambda: many_maps(40),
    "maps in turns": lambda: [ponder.map(value=range(30), max_concurrency=1), rest.map(value=range(30))],
    "capacity": lambda: [
        *mesh(lambda *values: think(*values).with_constraints(gpu=1), 3, 5),
        ponder.map(value=range(9)).with_constraints(gpu=1),
    ],
    "output": lambda: [show.map(value=range(20)), show(1)],
    "failures": lambda: [stumble.map(value=range(12), on_error="collect"), add(2)],
    "tries": lambda: stumble.map(value=range(12), on_error="collect").with_retry(max_attempts=3, delay=0.001),
    "failed": lambda: [stumble.map(value=range(12)), stumble(3), add(1)],
    "skipped": lambda: add(think(1).run_if(think(-1)).with_fallback(1), 2),
    "routes": lambda: add(cs.Router(selector=think(0), routes={1: think(5), 2: think(6)}), 2),
    "growing": lambda: [returns_more(k) for k in range(6)],
}


def run_of(shape: str) -> Any:
    options: dict[str, Any] = {"system_resources": {"gpu": 2}} if shape == "capacity" else {}
    run = cs.start(SHAPES[shape](), log_level=None, on_failure="continue", **options)
    run.wait(60)
    return run


def tell(journal: Journal, record: RunRecord) -> Callable[[int, int], None]:
    return lambda first, end: record.apply(journal.decode(first, journal.records[first:end], None, Event))


def read(journal: Journal, record: RunRecord) -> Callable[[int, int], None]:
    intake = Intake(record, journal)
    return lambda first, end: intake.take(journal.records[first:end])


def frames_and_document(run: Any, way: Callable[[Journal, RunRecord], Any], cuts: list[int]) -> list[str]:
    """What a page is told, frame by frame, and what the notebook keeps at the end."""
    record = RunRecord(run.graph)
    document.catch_up(record)
    take = way(run._flow.journal, record)
    told = []
    for first, end in zip([0, *cuts], cuts, strict=False):
        take(first, end)
        told.append(json.dumps(record.take_frame()))
    return [*told, json.dumps(record.snapshot()), json.dumps(record.document()), json.dumps(record.spent)]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_journal_that_is_read_tells_what_its_events_tell(shape: str) -> None:
    """Each frame and the document are the same, to the byte, wherever the records are cut."""
    run = run_of(shape)
    count = len(run._flow.journal.records)
    dice = random.Random(shape)
    for most in (1, 7, 100, count):
        cuts = sorted({*dice.sample(range(count), min(count, count // most)), count})
        assert frames_and_document(run, read, cuts) == frames_and_document(run, tell, cuts)


class Rung:
    """Keeps the frames that it is given."""

    interval, idle = 0.05, 60.0
    place = None

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        self.bundle: Any = None

    def open(self, view: Any) -> None:
        self.frames.append(view.make_snapshot())

    def push(self, view: Any) -> None:
        frame = view.take_frame()
        if frame is not None:
            self.frames.append(frame)

    def resend(self, view: Any) -> None:
        """Nobody missed anything."""

    def close(self, bundle: Any) -> None:
        self.bundle = bundle


def view_of(run: Any, rung: Rung | None) -> RunView:
    view = RunView(run, CellMark(None, None, contextvars.copy_context()), rung)
    view.open()
    return view


def test_a_view_asks_nothing_of_its_run() -> None:
    """No subscription of its own: the run delivers nothing for a view, which reads and shows the end at once."""
    gate = threading.Event()

    @cs.task
    def wait() -> int:
        gate.wait(30)
        return 1

    run = cs.start([wait(), ponder(1)], log_level=None)
    rung = Rung()
    view = view_of(run, rung)
    assert run._readers == []
    limit = threading.Event()
    while not any(one["run"]["counts"]["done"] == 1 for one in rung.frames) and not limit.wait(0.01):
        pass
    gate.set()
    assert run.result(30) == [1, 2]
    assert view.wait(30)
    assert rung.bundle["application/vnd.cascade.run+json"]["run"]["counts"]["done"] == 2


def test_the_end_of_a_run_is_shown_at_once() -> None:
    """However long a frame would have to wait, as on a terminal, where there is one each minute."""
    gate = threading.Event()

    @cs.task
    def wait(value: int) -> int:
        gate.wait(30)
        return value

    run = cs.start([wait(1), ponder(1)], log_level=None)
    rung = Rung()
    rung.interval = 600.0
    view = view_of(run, rung)
    limit = threading.Event()
    while len(rung.frames) < 2 and not limit.wait(0.01):  # the first frame: the next one is far away
        pass
    gate.set()
    assert run.result(30) == [1, 2]
    assert view.wait(30)
    assert rung.bundle["application/vnd.cascade.run+json"]["run"]["state"] == "completed"


def test_a_picture_that_is_asked_for_tells_what_has_happened_by_now() -> None:
    """Between two frames, too: nothing waits for its delivery."""
    gate, begun = threading.Event(), threading.Event()

    @cs.task
    def wait() -> int:
        begun.set()
        gate.wait(30)
        return 1

    run = cs.start(wait(), log_level=None)
    view = view_of(run, None)
    assert begun.wait(30)
    assert view.make_document()["run"]["counts"]["running"] == 1
    gate.set()
    assert run.result(30) == 1
    assert view.make_document()["run"]["state"] == "completed"
    assert view.wait(30)


def test_a_record_that_is_kept_does_not_keep_the_values_of_its_run() -> None:
    """Events that were never read would hold the journal, and that the graph with its arguments."""

    class Large:
        pass

    given = Large()
    run = cs.start([ponder.map(value=range(300)), hold(given)], log_level=None)
    view = view_of(run, Rung())
    run.wait(30)
    assert view.wait(30)
    kept, record = weakref.ref(given), view.record
    del given, run
    view.run = view._feed = None
    gc.collect()
    assert kept() is None
    assert record.counts["done"] == 301


def test_a_graph_that_grows_is_read_from_its_beginning_again() -> None:
    """What a task returned is drawn, and counted once."""
    run = cs.start([returns_more(k) for k in range(6)], log_level=None)
    view = view_of(run, Rung())
    run.wait(30)
    assert view.wait(30)
    told = RunRecord(run.graph)
    told.apply(run.events)
    assert not view.record.unknown
    assert view.record.counts == told.counts
