"""cascade on graphs that are too large to look at: simulated, planned, and drawn.

In: a layered graph. Out: how to prepare each of the rows about scale. Invariant: building the graph counts where a
user waits for it (simulation, plan) and does not where the run has done so before (view).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from typing import Any

import cascade as cs
from benchmarks.stored import new_place
from benchmarks.work import add, inc, total
from benchmarks.workloads import DOCUMENT, Workload


def compose(workload: Workload, *, pure: bool = False) -> Callable[[], Any]:
    """Return what builds the layered graph."""
    task: Any = cs.task(mode="inline", pure=True) if pure else cs.task
    leaf, join, sink = task(inc), task(add), task(total)
    parents = workload.parents

    def build() -> Any:
        values = [leaf(number) for number in range(workload.width)]
        for left, right in parents:
            values.append(join(values[left], values[right]))
        return sink([values[number] for number in workload.last_layer])

    return build


def simulate(workload: Workload) -> Callable[[], object]:
    """How long it would take on half as many workers as a layer has tasks, if each took a second."""
    build = compose(workload)
    seconds = {"inc": 1.0, "add": 1.0, "total": 1.0}

    def run() -> float:
        return cs.simulate(build(), seconds, workers=workload.width // 2, cache=False).makespan

    return run


def plan(workload: Workload) -> Callable[[], object]:
    """What a run would compute beside an empty store: one that has to look up every key."""
    build, place, names = compose(workload, pure=True), new_place(), count()
    return lambda: sum(step.status != "stored" for step in cs.plan(build(), cache=place / str(next(names))).steps)


def view(workload: Workload) -> Callable[[], object]:
    """From the events of a run to the document that its cell keeps; whether that is small enough to keep."""
    from cascade.notebook.bundle import finished_bundle
    from cascade.notebook.display import record_of

    handle = cs.start(compose(workload, pure=True)(), log_level=None)
    handle.result()

    def show() -> bool:
        record = record_of(handle)
        document = record.document()
        bundle = finished_bundle(document, record.drawing.shape)
        is_whole = document["run"]["state"] == "completed" and len(json.dumps(document)) <= DOCUMENT
        return is_whole and len(json.dumps(bundle)) <= 2 * DOCUMENT

    return show


def report(workload: Workload) -> Callable[[], object]:
    """From the events of a run to its page; whether that is small enough to send."""
    place, names = new_place(), count()
    handle = cs.start(compose(workload, pure=True)(), log_level=None)
    handle.result()
    return lambda: handle.report(place / f"{next(names)}.html").stat().st_size <= 3 * DOCUMENT


def visualize(workload: Workload) -> Callable[[], object]:
    """What a cell shows of a graph before any run; whether that is small enough to keep."""
    build = compose(workload, pure=True)
    return lambda: len(json.dumps(cs.get_current_context().bundle_of(cs.visualize(build()).graph)[0])) <= DOCUMENT


PREPARE = {"simulate": simulate, "plan": plan, "visualize": visualize, "view": view, "report": report}
