"""Runs whose graph grows or loops, as the view records them."""

from __future__ import annotations

import cascade as cs
from cascade.notebook import document
from cascade.notebook.record import RunRecord


@cs.task
def leaf(x):
    return x


@cs.task
def outer(n):
    return [leaf(i) for i in range(n)]


def test_a_record_of_a_graph_that_has_grown_is_whole():
    """What was added is drawn and has its states; the node that grew says by how much."""
    run = cs.start(outer(3), log_level=None)
    assert run.result(10) == [0, 1, 2]
    record = RunRecord(run.graph)
    record.apply(run.events)
    assert not record.unknown
    assert {unit.state for unit in record.units.values()} == {"done"}
    assert len(record.units) == 4
    assert record.units["outer"].note == "goes on with 3 nodes"
    assert set(document.whole(record)["nodes"]) == set(record.boxes)


def test_a_record_of_the_graph_before_it_grew_asks_for_a_new_one():
    """Nodes that the record does not know make it ask for a larger graph, and nothing breaks meanwhile."""
    run = cs.start(outer(3), log_level=None)
    run.wait(10)
    from cascade.graph.build import build

    record = RunRecord(build(outer(3)))
    record.apply(run.events)
    assert record.unknown


def test_a_loop_tells_its_turn():
    """The node of a loop shows which turn it is at."""

    @cs.task(mode="inline")
    def turn(n):
        return cs.Jump("on", n - 1) if n else "end"

    run = cs.start(cs.bind(turn(4), cs.select_jump({"on": turn})), log_level=None)
    assert run.result(10) == "end"
    record = RunRecord(run.graph)
    record.apply(run.events)
    assert record.units["turn"].note == "turn 5"
