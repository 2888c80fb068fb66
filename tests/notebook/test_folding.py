"""Graphs too big for a page become graphs of task names."""

from __future__ import annotations

import pytest

import cascade as cs
from cascade.graph.build import build
from cascade.graph.model import Edge, Node
from cascade.notebook.folding import draw, draw_graph
from cascade.notebook.record import RunRecord
from tests.notebook.script import many_nodes, weight


def test_a_small_graph_is_drawn_as_it_is() -> None:
    """One box for each node, with the node's own id."""
    drawing = draw([Node("a", "load"), Node("b", "fit")], [Edge("a", "b")])
    assert not drawing.folded
    assert [box["id"] for box in drawing.picture["boxes"]] == ["a", "b"]


@pytest.mark.parametrize("names", [7, 2_000])
def test_a_big_graph_is_folded(names: int) -> None:
    """By task name if there are few names; by distance from the start if each node has its own."""
    graph, _ = many_nodes(2_000, names)
    drawing = draw(graph.nodes, graph.edges)
    assert drawing.folded
    assert len(drawing.picture["boxes"]) <= 120
    assert set(drawing.boxes) == {node.id for node in graph.nodes}
    assert weight(drawing.picture) <= 100_000


def test_a_folded_picture_has_no_circles() -> None:
    """Names that follow each other in turn give arrows in one direction only."""
    nodes = [Node(f"n{i}", "ab"[i % 2]) for i in range(1_000)]
    drawing = draw(nodes, [Edge(f"n{i}", f"n{i + 1}") for i in range(999)])
    assert [(arrow["source"], arrow["target"]) for arrow in drawing.picture["arrows"]] == [("a", "b")]


def test_a_folded_box_counts_its_nodes() -> None:
    """A box that stands for many nodes shows them as a map shows its items."""
    graph, script = many_nodes(1_000, names=4)
    record = RunRecord(graph)
    record.apply(script.events[:1001])
    entries = list(record.document()["nodes"].values())
    assert sum(entry["items"]["done"] for entry in entries) == 500
    assert sum(entry["items"]["total"] for entry in entries) == 1_000
    record.apply(script.events[1001:])
    assert {entry["s"] for entry in record.document()["nodes"].values()} == {"done"}


@cs.task
def step(*needs: object, **options: object) -> object:
    return needs, options


def test_a_large_graph_needs_no_object_for_each_arrow() -> None:
    """Its folded picture is the same as from its edges: Params, conditions, routes and order included."""
    rows = cs.Param("rows", default=5)
    layer = [step(number, rows=rows).named(f"a{number % 9}") for number in range(300)]
    layer = [step(one, layer[number - 1]).named(f"b{number % 9}") for number, one in enumerate(layer)]
    routed = cs.Router(selector=layer[3], routes={"x": layer[4], "y": step(7).after(layer[5])}, default=1)
    graph = build(step(*layer, routed).run_if(layer[9]))
    drawing = draw_graph(graph)
    assert drawing.folded
    assert list(graph.walk_edges()) == [(edge.source, edge.target, edge.kind) for edge in graph.edges]
    assert drawing == draw(graph.nodes, graph.edges)
