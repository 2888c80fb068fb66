from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cascade as cs
from cascade.graph.build import build
from cascade.graph.order import may_need
from cascade.interfaces.exceptions import GraphError


@cs.task
def step(*needs: Any, **named: Any) -> int:
    """Stand for any task."""
    return len(needs)


@st.composite
def programs(draw: st.DrawFn) -> Any:
    """A target whose calls need, may need, or wait for earlier ones."""
    calls: list[Any] = [step()]
    for _ in range(draw(st.integers(0, 8))):
        pick = st.sampled_from(calls)
        call: Any = step(*draw(st.lists(pick, max_size=3)))
        for refine in ("run_if", "after", "with_fallback"):
            if draw(st.integers(0, 4)) == 0:
                call = getattr(call, refine)(draw(pick))
        if draw(st.integers(0, 4)) == 0:
            call = cs.Router(draw(pick), {0: call, 1: draw(pick)}, default=draw(pick))
        calls.append(call)
    return draw(st.lists(st.sampled_from(calls), min_size=1))


@given(programs())
def test_order_respects_every_need(target: Any) -> None:
    """A node stands after all that it may need: values, conditions, order, selectors, routes, fallbacks."""
    graph = build(target)
    place = {node: number for number, node in enumerate(graph.order)}
    assert sorted(graph.order) == list(range(len(graph)))
    for node in graph.order:
        assert all(place[need] < place[node] for need in may_need(graph, node))


@given(programs())
def test_heights_are_longest_paths(target: Any) -> None:
    """A node is one higher than the highest of those that may need it; one that nobody needs is 1."""
    graph = build(target)
    users: dict[int, list[int]] = {i: [] for i in range(len(graph))}
    for node in range(len(graph)):
        for need in may_need(graph, node):
            users[need].append(node)
    for node, above in users.items():
        assert graph.heights[node] == 1 + max((graph.heights[user] for user in above), default=0)


def test_a_circle_names_its_nodes() -> None:
    """A graph that cannot be ordered says which nodes need each other; data that came to hold its own reader."""
    box: list[Any] = []
    one = step(box).named("one")
    two = step(one).named("two")
    box.append(two)
    with pytest.raises(GraphError, match=r"circle: (one → two → one|two → one → two)"):
        build(two).order  # noqa: B018 - ordering happens on access


def test_what_was_written_first_comes_first() -> None:
    """Nodes that could go in any order go as a person reads them: arguments from left to right, targets as listed."""
    a, b, c = (step().named(name) for name in "abc")
    graph = build([step([a, (b,)], x=c).named("f"), step().named("z")])
    assert [graph.label(i) for i in graph.order] == ["a", "b", "c", "f", "z"]


def test_order_of_a_wide_graph_is_linear() -> None:
    """A thousand needs of one node, each named fifty times, are no trouble."""
    needs = [step() for _ in range(1_000)]
    graph = build(step(*needs * 50))
    assert graph.order[-1] == 0
    assert set(graph.heights) == {1, 2}
