from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import cascade as cs
from cascade.graph.build import build
from cascade.graph.model import Edge


@cs.task
def load(*needs: Any) -> Any:
    """Stand for any task."""
    return needs


@cs.task
def fit(x: Any, y: Any = None) -> Any:
    """Stand for another one."""
    return x


def test_ids_are_names_and_numbers() -> None:
    """The first node of a name has it plain, the next ones are numbered in order."""
    graph = build(fit(load(), load(load())))
    assert sorted(graph.ids) == ["fit", "load", "load#2", "load#3"]


@given(st.lists(st.sampled_from(["a", "a#2", "a#2#2", "", "<b>"]), min_size=1, max_size=8))
def test_ids_are_unique_whatever_the_names(names: list[str]) -> None:
    """Names that look like numbered ids do not make two nodes one; names stay the user's text."""
    graph = build([load().named(name) for name in names])
    ids = [node.id for node in graph.nodes]
    assert len(set(ids)) == len(names)
    assert sorted(node.name for node in graph.nodes) == sorted(name or "load" for name in names)


def test_nodes_tell_kind_mode_and_notes() -> None:
    """A node's note has tries, timeout, amounts and resources; static amounts are its requirements."""
    target = fit(load(), cs.inject("db")).with_retry(3).with_timeout(1.5).with_constraints(gpu=2, cpu=load())
    graph = build(target)
    node = next(node for node in graph.nodes if node.id == "fit")
    assert (node.kind, node.mode, node.task) == ("task", "blocking", fit.key)
    assert node.note == "≤ 3 tries · ≤ 1.5 s · gpu 2 · cpu … · db"
    assert node.requirements == {"gpu": 2.0}


def test_params_are_nodes_without_secrets() -> None:
    """A Param shows its default, a secret one never does, a required one says so."""
    graph = build(fit(cs.Param("a", 1), [cs.Param("key", "hunter2", secret=True), cs.Param("must"), cs.Env("HOME")]))
    notes = {node.name: (node.kind, node.note) for node in graph.nodes if node.kind != "task"}
    assert notes == {
        "a": ("param", "1"),
        "key": ("param", "•••"),
        "must": ("param", "required"),
        "HOME": ("env", "required"),
    }


def test_each_kind_of_arrow() -> None:
    """Data, items, conditions, selectors, routes, constraints and order have arrows of their kind, labelled."""
    a, b, c, d, e = (load().named(name) for name in "abcde")
    way = cs.Router(a["key"], {"left": b, "right": 3}, default=c, name="way")
    graph = build(fit(way, cs.Param("p", 1)).run_if(d).after(e).with_constraints(gpu=a).with_fallback(b))
    assert set(graph.edges) == {
        Edge("a", "way", "selector"),
        Edge("b", "way", "route", "left"),
        Edge("c", "way", "route", "otherwise"),
        Edge("way", "fit", "data"),
        Edge("p", "fit", "data"),
        Edge("d", "fit", "condition"),
        Edge("e", "fit", "order"),
        Edge("a", "fit", "constraint", "gpu"),
        Edge("b", "fit", "route", "otherwise"),
    }


def test_an_item_labels_its_arrow() -> None:
    """The path of an item stands on the data arrow; the same node as a whole has an arrow of its own."""
    a = load().named("a")
    assert set(build(fit(a["rows"][0], a)).edges) == {Edge("a", "fit", "data", "['rows'][0]"), Edge("a", "fit", "data")}


def test_arrows_are_listed_once() -> None:
    """A value that is passed twice has one arrow."""
    a = load().named("a")
    assert build(fit(a, [a, a])).edges == (Edge("a", "fit", "data"),)
