"""Arrows as people read them: the Router before its branches."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cascade.graph.model import Edge, Node
from cascade.graph.reading import as_read


def test_router_leads_to_its_branches_and_they_to_its_reader() -> None:
    """Selector → router → branch (with its key) → reader, and no arrow from the router to the reader."""
    nodes = [Node("s", "s"), Node("a", "a"), Node("b", "b"), Node("r", "r", "route"), Node("c", "c")]
    edges = [Edge("s", "r", "selector"), Edge("a", "r", "route", "yes"), Edge("b", "r", "route", "no"), Edge("r", "c")]
    drawn = {(e.source, e.target, e.kind, e.label) for e in as_read(nodes, edges)}
    assert drawn == {
        ("s", "r", "selector", ""),
        ("r", "a", "route", "yes"),
        ("r", "b", "route", "no"),
        ("a", "c", "data", ""),
        ("b", "c", "data", ""),
    }


def test_a_branch_that_the_choice_needs_keeps_its_direction() -> None:
    """A branch from which the selector is computed cannot stand behind the Router."""
    nodes = [Node("a", "a"), Node("s", "s"), Node("r", "r", "route"), Node("c", "c")]
    edges = [Edge("a", "s"), Edge("s", "r", "selector"), Edge("a", "r", "route", "same"), Edge("r", "c")]
    assert set(as_read(nodes, edges)) == set(edges)


def test_a_router_with_a_plain_value_still_leads_to_its_reader() -> None:
    """A route that has its value already has no arrow of its own, so the Router's arrow to the reader stays."""
    nodes = [Node("a", "a"), Node("r", "r", "route", note="a value for no"), Node("c", "c")]
    drawn = as_read(nodes, [Edge("a", "r", "route", "yes"), Edge("r", "c")])
    assert Edge("r", "c") in drawn
    assert Edge("a", "c") in drawn


@given(st.data())
def test_drawn_arrows_never_close_a_circle(data: st.DataObject) -> None:
    """Whatever Routers share branches and read one another, the arrows can be followed from left to right."""
    count = data.draw(st.integers(2, 9))
    kinds = [data.draw(st.sampled_from(["task", "route"])) for _ in range(count)]
    nodes = [Node(str(i), str(i), kind) for i, kind in enumerate(kinds)]  # type: ignore[arg-type]
    pairs = [(i, j) for j in range(count) for i in range(j)]
    chosen = data.draw(st.lists(st.sampled_from(pairs), unique=True))
    edges = []
    for i, j in chosen:
        route = kinds[j] == "route" and data.draw(st.booleans())
        edges.append(Edge(str(i), str(j), "route" if route else "data", "k" if route else ""))
    drawn = as_read(nodes, edges)
    left = {node.id: sum(e.target == node.id for e in drawn) for node in nodes}
    free = [n for n, k in left.items() if not k]
    while free:
        node = free.pop()
        for edge in drawn:
            if edge.source == node:
                left[edge.target] -= 1
                if not left[edge.target]:
                    free.append(edge.target)
    assert not any(left.values())
