"""What it costs to watch: the view's side of a run of maps whose items wait most of their time.

In: how many events. Out: how to prepare the row. Invariant: the journal is written here, by a clock of its own, so that
it is the same each time; reading it, frames and their JSON count, what carries them to a browser does not.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

import cascade as cs
from benchmarks.work import inc
from benchmarks.workloads import Workload
from cascade.graph.build import build
from cascade.runtime import journal as jr
from cascade.runtime.journal import Journal

RATE = 5_000  # events a second
FRAME = 0.2  # seconds
ITEMS = 25  # of each map
AT_ONCE = 64  # items that are at work


def write_journal(maps: int) -> Journal:
    """Return the journal of maps that take turns."""
    task: Any = cs.task(inc)
    journal = Journal("watched", build([task.map(range(ITEMS)).named(f"part{node}") for node in range(maps)]))
    journal.start = journal.wall = now = 0.0
    tell = journal.records.append
    busy: deque[tuple[int, int, float]] = deque()
    for place in range(maps * ITEMS + AT_ONCE):
        node, index = divmod(place, ITEMS)
        if place >= AT_ONCE:
            done, item, begun = busy.popleft()
            tell((jr.COMPLETED, now, done, item, 1, now - begun, ""))
            if item == ITEMS - 1:
                tell((jr.COMPLETED, now, done, None, 1, now - begun, ""))
        if node < maps:
            if index == 0:
                tell((jr.EXPANDED, now, node, ITEMS))
            tell((jr.STARTED, now, node, index, 1, f"thread-{place % AT_ONCE}"))
            busy.append((node, index, now))
        now += 2 / RATE
    return journal


def watch(workload: Workload) -> Callable[[], object]:
    """Fold the records that came since the last frame, and make the next one; the answer is that all is counted."""
    from cascade.notebook.folding import draw_graph
    from cascade.notebook.intake import Intake
    from cascade.notebook.record import RunRecord

    maps = max(AT_ONCE // ITEMS + 1, workload.size // (2 * ITEMS))
    journal = write_journal(maps)
    drawing = draw_graph(journal.graph)
    pieces, due, first = [], FRAME, 0
    for place, record in enumerate(journal.records):
        if record[1] >= due:
            pieces.append(journal.records[first:place])
            first, due = place, due + FRAME
    pieces.append(journal.records[first:])

    def look() -> bool:
        record = RunRecord(journal.graph, drawing)
        intake = Intake(record, journal)
        for piece in pieces:
            intake.take(piece)
            json.dumps(record.take_frame())
        return record.counts["done"] == maps * ITEMS

    return look


PREPARE = {"watch": watch}
