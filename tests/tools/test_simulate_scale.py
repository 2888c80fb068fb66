"""What grows with the graph grows with it, and not with its square; what is shown does not grow."""

from __future__ import annotations

import json
import time
from random import Random
from typing import Any

import pytest

import cascade as cs
from cascade.graph.build import build
from cascade.graph.model import Graph
from cascade.notebook.bundle import finished_bundle
from cascade.notebook.document import DOCUMENT_LIMIT
from cascade.notebook.record import RunRecord
from cascade.tools.simulate import simulate

pytestmark = pytest.mark.slow

SMALL, LARGE = 3_000, 60_000
MOST = 2.5  # times the cost of a node in the small graph; 1.8 on a quiet machine (`benchmarks`)
WIDTH = 50


@cs.task(mode="inline")
def step(*needs: Any) -> int:
    """Stand for any task."""
    return len(needs)


def layered(count: int) -> list[Any]:
    draw = Random(1)
    layer: list[Any] = [step(i) for i in range(WIDTH)]
    for _ in range(count // WIDTH - 1):
        layer = [step(above, draw.choice(layer)) for above in layer]
    return layer


def crowded(count: int) -> list[Any]:
    return [step(i).with_constraints(gpu=1 + i % 7, cpu=1 + i % 3) for i in range(count)]


def gated(count: int) -> Any:
    last: Any = step()
    for i in range(count):
        last = step(i).run_if(last)
    return last


def routed(count: int) -> list[Any]:
    return [cs.Router("a", {"a": step(i), "b": step(i)}) for i in range(count // 3)]


def cost(work: Any, graph: Graph) -> float:
    """Return the seconds of processor time of a node, the best of three."""
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        work(graph)
        best = min(best, time.process_time() - began)
    return best / len(graph)


def rehearse(graph: Graph) -> None:
    simulate(graph, system_resources={"gpu": 8, "cpu": 4}, workers=32, cache=False)


def look(graph: Graph) -> None:
    """Draw a graph anew, as a view does before its run."""
    graph.forget_order()
    RunRecord(graph)


@pytest.mark.parametrize("shape", [layered, crowded, gated, routed])
@pytest.mark.parametrize("work", [rehearse, look])
def test_a_node_costs_as_much_in_a_large_graph(work: Any, shape: Any) -> None:
    """Twenty times the nodes cost some twenty times as much, to simulate and to draw."""
    small, large = (build(shape(count)) for count in (SMALL, LARGE))
    work(small)  # what loads at first use
    ratio = cost(work, large) / cost(work, small)
    assert ratio < MOST


def test_an_attempt_is_kept_in_28_bytes() -> None:
    """A trace is numbers in arrays, whatever the number of nodes."""
    trace = simulate(layered(2000), cache=False).trace
    kept = (trace.node, trace.item, trace.start, trace.end, trace.cause)
    assert sum(each.itemsize for each in kept) == 28
    assert {len(each) for each in kept} == {2000}


def test_the_document_of_a_large_run_is_no_larger() -> None:
    """What a notebook keeps of a run of 60,000 nodes is what it may keep of any."""
    run = cs.start(layered(LARGE), log_level=None)
    run.result()
    record = RunRecord(run.graph)
    record.apply(run.events)
    document = record.document()
    assert document["run"]["counts"]["done"] == LARGE
    assert len(json.dumps(document, ensure_ascii=False).encode()) <= DOCUMENT_LIMIT * 1.1  # blanks between words
    bundle = finished_bundle(document, record.drawing.shape)
    assert len(json.dumps(bundle)) <= 2 * DOCUMENT_LIMIT


def test_the_text_of_a_large_simulation_is_a_page() -> None:
    """Rows, path and remarks are bounded."""
    assert len(str(simulate(layered(LARGE), cache=False)).splitlines()) < 60
