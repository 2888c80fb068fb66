"""The few rows of a large run that is not remembered carry true names and times."""

from __future__ import annotations

from typing import Any

import pytest

import cascade as cs
from cascade.adapters.stores.local import LocalStore
from cascade.graph.build import build
from cascade.runtime.node_rows import _ids_of, _some_records

QUIET: dict[str, Any] = {"log_level": None}


@cs.task(mode="inline")
def inc(x):
    """Give the next number."""
    return x + 1


@cs.task(mode="inline")
def add(x, y):
    """Add two numbers."""
    return x + y


@cs.task(mode="inline")
def total(values):
    """Add them all."""
    return sum(values)


def layered(depth):
    """Return a graph of ten chains that meet in one node, of three tasks, the last of which has one call."""
    values = [inc(i) for i in range(10)]
    for _ in range(depth):
        values = [add(value, 1) for value in values]
    return total(values)


@pytest.mark.parametrize("nodes", [range(5), [1, 30, 2010], [2010], range(0, 2011, 100)])
def test_ids_of_some_nodes_are_those_that_all_have(nodes):
    """Whichever nodes are asked for, near the beginning or not, their ids are those of the graph."""
    graph = build(layered(200))
    assert len(graph) == 2011
    found = _ids_of(graph, nodes)
    assert [found[node] for node in nodes] == [build(layered(200)).ids[node] for node in nodes]


@pytest.mark.parametrize("name", ["inc#2", "add", "total"])
def test_ids_of_some_nodes_mind_names_that_were_given(name):
    """A node that is named like another task or another node's id makes all ids be worked out."""
    target = add(layered(200), inc(5).named(name))
    graph = build(target)
    nodes = [0, 1, len(graph) - 1, len(graph) - 2]
    found = _ids_of(graph, nodes)
    assert [found[node] for node in nodes] == [build(target).ids[node] for node in nodes]


def test_records_are_sampled_from_all_of_a_run():
    """The first and the last records are all there, and pairs in between are not always cut in the same place."""
    for count in (0, 1, 999, 1000, 1001, 1500, 40_000, 41_500):
        records = [(n,) for n in range(count)]
        sample = [n for (n,) in _some_records(records)]
        assert sample == sorted(set(sample))
        assert len(sample) <= 2000
        assert sample[:500] == list(range(min(count, 500)))
        assert sample[-500:] == list(range(max(count - 500, 0), count))
        assert count < 2000 or {n % 2 for n in sample[500:-500]} == {0, 1}


def test_every_task_of_a_large_run_has_a_row_with_its_time(tmp_path):
    """A task that is called once, at the very end, has its row as the first ones have."""
    with LocalStore(tmp_path / "store", key_file=tmp_path / "key") as store:
        run = cs.start(layered(200), cache=store, **QUIET)
        assert run.result(20) == sum(range(1, 11)) + 2000
        rows = store.nodes(run.run_id)
        assert {row.task for row in rows} == {"inc", "add", "total"}
        assert all(row.duration > 0 and row.started_at > 0 for row in rows)
        assert {row.node for row in rows} <= set(run.graph.ids)
        past = cs.history(store)[0]
        assert past.ran == 2011
