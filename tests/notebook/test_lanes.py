"""Lanes: who held what, from when to when, and who waited."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascade.graph.model import Node
from cascade.interfaces import events as e
from cascade.notebook.record import RunRecord
from tests.notebook.script import FakeGraph, Script

HUNGRY = [Node(name, name, requirements={"cpu": 1.0}) for name in ("a", "b", "c")]


def lanes(script: Script, nodes: list[Node] | None = None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    record = RunRecord(FakeGraph(nodes or HUNGRY))
    record.apply(script.events)
    told = record.document()["lanes"]
    return told["rows"], told["bars"]


@pytest.fixture
def script() -> Script:
    return Script()


def test_each_unit_of_a_capacity_has_a_row(script: Script) -> None:
    """A capacity of two is two rows, and two tasks that run at once stand on both."""
    script.begin({"cpu": 2})
    for node in ("a", "b"):
        script.hold(node)
        script.start(node)
    script.wait(1)
    for node in ("a", "b"):
        script.complete(node)
        script.release(node)
    script.finish()
    rows, bars = lanes(script)
    assert [row["label"] for row in rows] == ["cpu 1", "cpu 2"]
    assert [(bar["row"], bar["label"], bar["s"], bar["t1"]) for bar in bars] == [
        ("capacity/cpu/0", "a", "done", 1.0),
        ("capacity/cpu/1", "b", "done", 1.0),
    ]


def test_a_task_that_takes_two_units_is_one_bar_over_two_rows(script: Script) -> None:
    """Neighbouring units of one task make one bar; scattered ones make several."""
    script.begin({"cpu": 4})
    script.hold("a")
    script.hold("b", amount=2)
    script.release("a")
    script.hold("c", amount=2)
    _, bars = lanes(script)
    assert [(bar["row"], bar["span"], bar["label"]) for bar in bars] == [
        ("capacity/cpu/0", 1, "a"),
        ("capacity/cpu/1", 2, "b"),
        ("capacity/cpu/0", 1, "c"),
        ("capacity/cpu/3", 1, "c"),
    ]


def test_parts_of_a_unit_are_packed(script: Script) -> None:
    """A capacity that is taken in fractions has as many rows as tasks ran at once."""
    nodes = [Node(name, name, requirements={"gpu": 0.5}) for name in ("a", "b", "c")]
    script.begin({"gpu": 1})
    for node in ("a", "b"):
        script.hold(node, "gpu", 0.5)
    script.wait(1)
    for node in ("a", "b"):
        script.release(node, "gpu", 0.5)
    script.hold("c", "gpu", 0.5)
    rows, bars = lanes(script, nodes)
    assert [row["label"] for row in rows] == ["gpu", "gpu · 2"]
    assert [bar["row"][-1] for bar in bars] == ["0", "1", "0"]


def test_a_resource_shows_its_set_up_its_users_and_its_close(script: Script) -> None:
    """The row of an instance tells its life."""
    script.begin()
    script.wait(0.2)
    script.tell(e.ResourceSetUp, resource="db", duration=0.2)
    script.hold("a", "db", kind="resource")
    script.start("a")
    script.wait(1)
    script.complete("a")
    script.release("a", "db", kind="resource")
    script.wait(0.1)
    script.tell(e.ResourceTornDown, resource="db", duration=0.1)
    _, bars = lanes(script, [Node("a", "a")])
    assert [(bar["label"], bar["s"], bar["t0"], bar["t1"]) for bar in bars if bar["row"].startswith("resource")] == [
        ("set up", "setup", 0.0, 0.2),
        ("a", "done", 0.2, 1.2),
        ("close", "setup", 1.2, 1.3),
    ]


def test_tasks_that_hold_nothing_are_packed_on_rows_of_their_own(script: Script) -> None:
    """Without capacities and resources the lanes show how many tasks ran at once."""
    script.begin()
    for node in ("x", "y"):
        script.start(node)
    script.wait(1)
    for node in ("x", "y"):
        script.complete(node)
    script.do("z")
    rows, bars = lanes(script, [Node(name, name) for name in ("x", "y", "z")])
    assert [row["kind"] for row in rows] == ["tasks", "tasks"]
    assert [bar["row"] for bar in bars] == ["tasks/0", "tasks/1", "tasks/0"]


def test_a_failed_try_and_the_pause_after_it_are_bars(script: Script) -> None:
    """Failed try, pause, next try stand one after the other on the row of what the task uses."""
    script.begin({"cpu": 1})
    script.hold("a")
    script.start("a")
    script.wait(1)
    script.release("a")
    script.retry("a", 0.8)
    script.wait(0.8)
    script.hold("a")
    script.start("a", attempt=2)
    script.wait(1)
    script.complete("a", attempt=2)
    script.release("a")
    _, bars = lanes(script)
    assert [(bar["label"], bar["s"], bar["t0"], bar["t1"]) for bar in bars] == [
        ("a", "failed", 0.0, 1.0),
        ("retry in 0.80 s", "backoff", 1.0, 1.8),
        ("a · try 2", "done", 1.8, 2.8),
    ]
    assert {bar["row"] for bar in bars} == {"capacity/cpu/0"}


def test_a_pause_ends_in_the_picture_when_another_task_takes_its_row(script: Script) -> None:
    """Bars of a row never lie over each other."""
    script.begin({"cpu": 1})
    script.hold("a")
    script.release("a")
    script.retry("a", 5.0)
    script.wait(1)
    script.hold("b")
    _, bars = lanes(script)
    assert [(bar["s"], bar["t1"]) for bar in bars] == [("failed", 0.0), ("backoff", 1.0), ("running", None)]


def test_those_who_wait_for_the_same_are_one_bar(script: Script) -> None:
    """Thirty items that wait for cpu are one bar that says so, from the first to the last."""
    script.begin({"cpu": 1})
    script.expand("a", 30)
    script.queue("a", index=1)
    script.wait(1)
    for index in range(2, 30):
        script.queue("a", index=index)
    for index in range(1, 30):
        script.start("a", index)
    _, bars = lanes(script, [Node("a", "a", "map", requirements={"cpu": 1.0})])
    (wait,) = [bar for bar in bars if bar["s"] == "wait"]
    assert (wait["label"], wait["t0"], wait["t1"]) == ("a ×29 ← cpu", 0.0, 1.0)


def test_a_lone_waiter_names_the_holder(script: Script) -> None:
    """With one that waits there is room for who holds it up."""
    script.begin({"db": 1})
    script.queue("b", "db", ("a",))
    rows, bars = lanes(script)
    assert bars[0]["label"] == "b ← db, held by a"
    assert rows[-1]["kind"] == "waiting"


def test_a_thread_that_cannot_be_stopped_keeps_its_row_until_the_run_ends(script: Script) -> None:
    """A cancelled attempt that still holds a unit is drawn until the unit comes back, or the run is over."""
    script.begin({"cpu": 1})
    script.hold("a")
    script.start("a")
    script.wait(1)
    script.tell(e.NodeCancelled, node="a", name="a", reason="stop")
    script.wait(1)
    _, bars = lanes(script)
    assert (bars[0]["s"], bars[0]["t1"]) == ("cancelled", None)
    script.finish("cancelled")
    _, bars = lanes(script)
    assert (bars[0]["s"], bars[0]["t1"]) == ("cancelled", 2.0)


def test_long_names_of_resources_do_not_weigh_on_every_bar(script: Script) -> None:
    """Row ids are short whatever a resource is called, since each bar repeats them."""
    script.begin({"c" * 900: 2})
    script.hold("a", "c" * 900)
    rows, bars = lanes(script)
    assert len(bars[0]["row"]) < 40
    assert len(rows[0]["label"]) <= 40


@pytest.mark.slow
@given(st.data())
def test_bars_of_one_row_never_overlap_and_units_are_never_shared(data: st.DataObject) -> None:
    """Whatever order tasks take and give back a capacity, each unit has one holder at a time."""
    script = Script()
    script.begin({"cpu": 3})
    held: list[tuple[int, int]] = []
    for step in range(data.draw(st.integers(1, 40))):
        script.wait(0.1)
        free = 3 - sum(amount for _, amount in held)
        if free and (not held or data.draw(st.booleans())):
            amount = data.draw(st.integers(1, free))
            script.hold("a", amount=amount, index=step)
            script.start("a", step)
            held.append((step, amount))
        elif held:
            step_before, amount = held.pop(data.draw(st.integers(0, len(held) - 1)))
            if data.draw(st.booleans()):
                script.complete("a", step_before)
                script.release("a", amount=amount, index=step_before)
            else:
                script.release("a", amount=amount, index=step_before)
                script.retry("a", 0.3, index=step_before)
    _, bars = lanes(script, [Node("a", "a", "map", requirements={"cpu": 1.0})])
    taken: dict[int, list[tuple[float, float]]] = {}
    for bar in bars:
        if bar["row"].startswith("capacity/cpu"):
            first = int(bar["row"].rsplit("/", 1)[1])
            end = 1e9 if bar["t1"] is None else bar["t1"]
            for row in range(first, first + bar["span"]):
                assert row < 3
                assert all(end <= t0 or bar["t0"] >= t1 for t0, t1 in taken.get(row, []))
                taken.setdefault(row, []).append((bar["t0"], end))
