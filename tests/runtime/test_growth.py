"""Tasks that return lazy results: the graph grows, and the run goes on with it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import cascade as cs
from cascade.graph.build import build
from cascade.interfaces import events as ev
from cascade.interfaces.exceptions import CapacityError, DependencyMissingError, GraphError, ParamError, ResourceError

QUIET: dict[str, Any] = {"log_level": None}
MODES = ["inline", "blocking", "async", "compute"]


@cs.task(mode="inline")
def plus(*numbers):
    return sum(numbers)


@cs.task
def times(x, y):
    return x * y


def grower(function, mode):
    """Return a task of any mode that returns what `function` does."""
    if mode != "async":
        return cs.task(mode=mode)(function)

    async def coroutine(*args):
        await asyncio.sleep(0)
        return function(*args)

    coroutine.__name__ = function.__name__
    return cs.task(coroutine)


@pytest.mark.parametrize("mode", [*MODES[:3], pytest.param("compute", marks=pytest.mark.slow)])
def test_a_task_may_return_a_call(mode):
    """The value of the task is the value of the call that it returned, in every mode."""
    outer = grower(lambda x: times(x, 2), mode)
    assert cs.run(plus(outer(20), 2), **QUIET) == 42


@pytest.mark.parametrize(
    ("make", "value"),
    [
        (lambda: [times(1, 2), 5, times(3, 4)], [2, 5, 12]),
        (lambda: (times(1, 2), "text"), (2, "text")),
        (lambda: {"deep": [{"er": times(2, 2)}]}, {"deep": [{"er": 4}]}),
        (lambda: cs.Router("b", {"a": times(1, 1), "b": times(2, 3)}), 6),
        (lambda: times.map(x=[1, 2], y=3), [3, 6]),
        (lambda: cs.sequence(times(1, 1), times(2, 2)), 4),
    ],
    ids=["list", "tuple", "nested", "router", "map", "sequence"],
)
def test_whatever_may_be_a_target_may_be_returned(make, value):
    """Containers at any depth, Routers and maps are worked out as a target would be."""
    outer = cs.task(mode="inline")(make)
    blocking = cs.task(make)
    assert cs.run([outer(), blocking()], **QUIET) == [value, value]


def test_a_graph_grows_to_any_depth():
    """A call that returns a call that returns a call … ends as plain recursion would, without its limit."""

    @cs.task(mode="inline")
    def down(n):
        return down(n - 1) if n else "ground"

    assert cs.run(down(3000), **QUIET) == "ground"


def test_equal_pure_calls_are_one_node_however_they_came():
    """The naive recursion of Fibonacci calls each number once when the task is pure."""
    calls = []

    @cs.task(pure=True, mode="inline")
    def fib(n):
        calls.append(n)
        return n if n < 2 else plus(fib(n - 1), fib(n - 2))

    assert cs.run(fib(20), **QUIET) == 6765
    assert sorted(calls) == list(range(21))


def test_items_of_a_map_may_return_calls():
    """A map of tasks that return maps is a map of maps, in order."""

    @cs.task
    def row(x):
        return times.map(x=x, y=[1, 2, 3])

    assert cs.run(row.map(x=[1, 10]), **QUIET) == [[1, 2, 3], [10, 20, 30]]
    inline = cs.task(mode="inline")(row.func)
    assert cs.run(inline.map(x=[1, 10]), **QUIET) == [[1, 2, 3], [10, 20, 30]]


def test_a_value_that_was_read_by_all_is_worked_out_again_for_a_late_reader():
    """A call that the task knew from before is shared while its value is there, and made anew when it is gone."""
    base = times(3, 7)

    @cs.task
    def late(_):
        return plus(base, 1)

    assert cs.run(late(base), **QUIET) == 22
    assert cs.run([base, late(base)], **QUIET) == [21, 22]


def test_a_value_that_is_none_is_not_taken_for_one_that_is_gone():
    """None is a value: it is read by those that come later, too."""
    calls = []

    @cs.task
    def nothing():
        calls.append(1)

    none = nothing()

    @cs.task
    def late(_):
        return [none]

    assert cs.run([none, late(1)], **QUIET) == [None, [None]]
    assert calls == [1]


def test_the_events_tell_what_was_added():
    """Who hears of the growth knows the new nodes, and the log alone gives every node's end."""
    heard: list[ev.Event] = []

    @cs.task
    def outer():
        return plus(times(1, 2), times(3, 4))

    run = cs.start(outer(), subscribers=[heard.append], **QUIET)
    assert run.result(10) == 14
    grown = next(e for e in heard if isinstance(e, ev.GraphGrown))
    assert (grown.node, sorted(grown.nodes)) == ("outer", ["plus", "times", "times#2"])
    assert {e.node for e in heard if isinstance(e, ev.NodeCompleted)} == {"outer", *grown.nodes}
    order = [e.node for e in run.events if isinstance(e, ev.NodeCompleted)]
    assert order[-1] == "outer"
    assert {n.id for n in run.graph.nodes} == {"outer", *grown.nodes}
    assert ("plus", "outer") in {(edge.source, edge.target) for edge in run.graph.edges}


def test_a_graph_that_was_built_before_stays_as_it_is():
    """A run grows a graph of its own: the same graph can be run again."""

    @cs.task
    def outer():
        return times(6, 7)

    graph = build(outer())
    assert cs.run(graph, **QUIET) == 42
    assert len(graph) == 1
    assert cs.run(graph, **QUIET) == 42


# -- what is checked before a run is checked before new nodes run ----------------------------------------------------


def test_params_of_new_nodes_are_read_like_all_others():
    """Defaults, conversion and missing values hold for Params that the graph meets while it runs."""

    @cs.task
    def outer(_=None):
        return times(cs.Param("late", type=int, default="6"), 7)

    assert cs.run(outer(), **QUIET) == 42
    assert cs.run(outer(cs.Param("late", type=int, default=1)), {"late": "5"}, **QUIET) == 35

    @cs.task
    def needy():
        return times(cs.Param("late", type=int), 7)

    with pytest.raises(ParamError, match="late") as caught:
        cs.run(needy(), **QUIET)
    assert "In the node 'needy'." in caught.value.__notes__


def test_capacities_of_new_nodes_are_checked_and_kept():
    """An amount above the capacity is the failure of the node that asked for it; others wait for their turn."""
    running, most = 0, 0

    @cs.task
    async def one():
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    @cs.task
    def outer(amount):
        return [one().with_constraints(gpu=amount) for _ in range(5)]

    cs.run(outer(1), system_resources={"gpu": 2}, **QUIET)
    assert most <= 2
    with pytest.raises(CapacityError, match="asks for 3 of 'gpu'"):
        cs.run(outer(3), system_resources={"gpu": 2}, **QUIET)


def test_resources_of_new_nodes_are_opened_and_closed():
    """A resource that only new nodes inject is set up for them and torn down with the run."""
    diary = []

    @cs.resource
    def late_db():
        diary.append("open")
        yield {"answer": 42}
        diary.append("close")

    @cs.task
    def ask(db=cs.inject("late_db")):
        return db["answer"]

    @cs.task
    def outer():
        return [ask(), ask()]

    assert cs.run(outer(), **QUIET) == [42, 42]
    assert diary == ["open", "close"]

    @cs.task
    def wrong():
        return times(cs.inject("late_bd"), 1)

    with pytest.raises(ResourceError, match="late_db"):
        cs.run(wrong(), **QUIET)


def test_a_call_that_waits_for_itself_is_refused():
    """A task that returns a call of its own result would wait for ever; it fails with the circle."""
    cell: list[Any] = []

    @cs.task
    def outer():
        return plus(cell[0], 1)

    cell.append(outer())
    with pytest.raises(GraphError, match="needs 'outer' itself: outer → plus → outer"):
        cs.run(cell[0], **QUIET)
    cell[:] = [outer()]
    cell[0] = plus(cell[0], 1)
    with pytest.raises(GraphError, match="needs 'outer' itself"):
        cs.run(cell[0], **QUIET)


# -- conditions, failures, cancels ----------------------------------------------------------------------------------


def test_a_skip_inside_is_a_skip_outside():
    """A task that returns a call which is skipped has no value, and says why; its fallback serves."""

    @cs.task
    def outer():
        return times(1, 1).run_if(False)

    with pytest.raises(DependencyMissingError, match="its run_if is false"):
        cs.run(outer(), **QUIET)
    assert cs.run(outer().with_fallback("none"), **QUIET) == "none"


def test_a_failure_inside_is_the_run_s_failure():
    """The error names the new node that raised it."""

    @cs.task
    def boom():
        raise ValueError("deep inside")

    @cs.task
    def outer():
        return plus(boom(), 1)

    with pytest.raises(ValueError, match="deep inside") as caught:
        cs.run(outer(), **QUIET)
    assert "In the node 'boom'." in caught.value.__notes__
    run = cs.start([outer(), times(2, 3)], on_failure="continue", **QUIET)
    assert isinstance(run.exception(10), ValueError)
    ended = {e.node: type(e).__name__ for e in run.events if isinstance(e, ev.NodeEvent)}
    assert ended["times"] == "NodeCompleted"
    assert ended["outer"] == "NodeSkipped"


def test_conditions_and_fallbacks_hold_for_the_node_that_grows():
    """A gated node that grows is asked once, and not again when its value comes."""
    asked = []

    @cs.task
    def yes():
        asked.append(1)
        return True

    @cs.task
    def outer():
        return times(2, 2)

    assert cs.run(outer().run_if(yes()).with_fallback(0), **QUIET) == 4
    assert asked == [1]


def test_a_run_that_has_grown_can_be_cancelled():
    """What the graph gained stops with the rest, and nothing that has not begun begins."""
    began, inside = [], asyncio.Event

    @cs.task
    async def endless(n):
        began.append(n)
        await inside().wait()

    @cs.task
    def outer():
        return [endless(0), times(endless(1), 2)]

    run = cs.start(outer(), **QUIET)

    def stop(event):
        if isinstance(event, ev.NodeStarted) and event.name == "endless":
            run.cancel()

    run.subscribe(stop, batched=False)
    assert run.wait(10)
    assert run.state == "cancelled"
    ends = {e.node for e in run.events if isinstance(e, ev.NodeCancelled)}
    assert {"outer", "times"} <= ends


def test_capacities_are_free_while_a_node_waits_for_what_it_returned():
    """A node that grew holds nothing meanwhile: its children may need the same capacity."""

    @cs.task
    def leaf(x):
        return x

    @cs.task
    def outer():
        return leaf(1).with_constraints(seat=1)

    assert cs.run(outer().with_constraints(seat=1), system_resources={"seat": 1}, timeout=10, **QUIET) == 1


@pytest.mark.slow
def test_ten_thousand_growths_are_linear():
    """Each growth costs what it adds, not what is there already."""
    import time

    @cs.task(mode="inline")
    def down(n):
        return down(n - 1) if n else 0

    def seconds(n):
        start = time.perf_counter()
        cs.run(down(n), **QUIET)
        return time.perf_counter() - start

    seconds(100)
    assert seconds(10_000) < 40 * seconds(1000) + 0.5


def test_who_looks_at_a_growing_graph_sees_a_whole_one():
    """The handle's graph does not change under its reader; later there is a larger one with the same ids."""

    @cs.task(mode="inline")
    def down(n):
        return plus(down(n - 1), 1) if n else 0

    run = cs.start(down(400), **QUIET)
    sizes = set()
    while not run.done():
        graph = run.graph
        ids = {node.id for node in graph.nodes}
        assert all(edge.source in ids and edge.target in ids for edge in graph.edges)
        sizes.add(len(graph))
    assert run.result() == 400
    assert run.graph is run.graph
    assert len(run.graph) == 801
    told = {e.node for e in run.events if isinstance(e, ev.NodeCompleted)}
    assert told == {node.id for node in run.graph.nodes}
