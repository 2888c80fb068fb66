"""A graph in which nothing has changed is found by one key; everything else is found as if that key were not there."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.stores.local import LocalStore
from cascade.runtime.flow import Settings
from cascade.runtime.node_keys import NodeKeys, digest_of
from cascade.runtime.run import lay_out

QUIET: dict[str, Any] = {"log_level": None}


class Asked(LocalStore):
    """A store that keeps how many keys and recipes it was asked for, each time."""

    def __init__(self, folder, key_file):
        super().__init__(folder, key_file=key_file)
        self.recipes: list[int] = []
        self.keys: list[int] = []

    def find_recipes(self, recipes):
        self.recipes.append(len(recipes))
        return super().find_recipes(recipes)

    def find(self, keys):
        self.keys.append(len(keys))
        return super().find(keys)


@pytest.fixture
def store(tmp_path):
    """A store of its own, with a key of its own."""
    with Asked(tmp_path / "store", tmp_path / "key") as made:
        yield made


@pytest.fixture
def layers():
    """Return a function that makes a layered graph, and the list of what ran."""
    ran: list[str] = []

    @cs.task(pure=True, mode="inline")
    def leaf(x, *, scale=1):
        ran.append(f"leaf {x}")
        return scale * 100**x  # so that no two sums are equal

    @cs.task(pure=True, mode="inline")
    def add(x, y):
        ran.append("add")
        return x + y

    @cs.task(pure=True, mode="inline")
    def total(values):
        return sum(values)

    def make(first=0, **options):
        values = [leaf(i or first, **options) for i in range(6)]
        for _ in range(5):
            values = [add(values[i], values[i - 1]) for i in range(6)]
        return total(values)

    return make, ran


def outline_of(target):
    """Return the one key of a graph."""
    return NodeKeys(lay_out(target, None, None, (), Settings()), b"", repr).outline()


def test_a_warm_run_asks_for_one_recipe_and_one_result(store, layers):
    """Where nothing has changed, one row of recipes and one of results are read, however large the graph."""
    make, ran = layers
    first = cs.run(make(), cache=store, **QUIET)
    ran.clear()
    store.recipes.clear()
    store.keys.clear()
    assert cs.run(make(), cache=store, **QUIET) == first
    assert (ran, store.recipes, store.keys) == ([], [1], [1])


def test_a_change_is_found_node_by_node(store, layers):
    """A leaf that has changed runs again with what it reaches, and nothing else does."""
    make, ran = layers
    cs.run(make(), cache=store, **QUIET)
    expected = cs.run(make(first=7), **QUIET)
    ran.clear()
    changed = cs.run(make(first=7), cache=store, **QUIET)
    assert changed == expected
    assert [each for each in ran if each != "add"] == ["leaf 7"]
    assert ran.count("add") == 2 + 3 + 4 + 5 + 6, "what is below it, and nothing beside"
    ran.clear()
    assert cs.run(make(first=7), cache=store, **QUIET) == changed
    assert ran == []


def test_several_targets_are_found_together(store, layers):
    """Each target of a structure has its own result; when one of them is gone, only that one is made again."""
    make, ran = layers
    targets = {"one": make(), "two": [make(first=9), 5]}
    value = cs.run(targets, cache=store, **QUIET)
    ran.clear()
    store.recipes.clear()
    assert cs.run(targets, cache=store, **QUIET) == value
    assert (ran, store.recipes) == ([], [2])
    row = next(row for row in store.nodes(store.runs()[-1].run_id) if row.task == "total")
    store.forget([row.key])
    assert cs.run(targets, cache=store, **QUIET) == value
    assert ran == [], "its inputs were stored"


def test_a_result_whose_bytes_are_gone_is_made_again(tmp_path, layers):
    """Found by the graph's key and then not to be loaded: the target runs, from what is stored above it."""
    make, ran = layers
    with LocalStore(tmp_path / "store", key_file=tmp_path / "key") as store:
        value = cs.run(make(), cache=store, **QUIET)
        row = next(row for row in store.nodes(store.runs()[0].run_id) if row.task == "total")
        with closing(sqlite3.connect(store.folder / "index.db")) as database, database:
            database.execute("UPDATE entries SET data = x'00' WHERE key = ?", (row.key,))
        database.close()
        ran.clear()
        assert cs.run(make(), cache=store, **QUIET) == value
        assert cs.run(make(), cache=store, **QUIET) == value
        assert ran == []


@pytest.mark.parametrize("other", [{"first": 1}, {"scale": 2}, {"scale": 1.0}, {"scale": True}])
def test_the_key_of_a_graph_tells_what_recipes_tell(layers, other):
    """The same graph made again has the same key; a literal of another value or type, another one."""
    make, _ = layers
    assert outline_of(make(scale=1)) == outline_of(make(scale=1)) != ""
    assert outline_of(make(scale=1)) != outline_of(make(**{"scale": 1, **other}))


def test_the_key_of_a_graph_tells_which_reads_which(layers):
    """Two graphs of equal nodes that are joined in another way differ."""

    @cs.task(pure=True)
    def pair(x, y):
        return x, y

    a, b = pair(1, 2), pair(3, 4)
    keys = [outline_of(target) for target in (pair(a, b), pair(b, a), pair(a, a), [a, b], pair(a, [b]), pair([a], b))]
    assert len(set(keys)) == len(keys)
    assert outline_of(pair(a, b).after(pair(5, 6))) not in keys
    assert outline_of(pair(a, b).run_if(a[0])) not in keys


def test_what_may_change_by_itself_has_no_such_key(store):
    """A result that lives for some time only is looked at node by node, so that it can grow old."""
    ran = []

    @cs.task(pure=True, mode="inline", ignore=("log",))
    def fresh(log):
        log.append("fresh")
        return len(log)

    @cs.task(pure=True, mode="inline")
    def double(x):
        return 2 * x

    def go():
        return cs.run(double(fresh(ran).with_cache(cs.cache.ttl(0.000001))), cache=store, **QUIET)

    assert go() == 2
    assert go() == 4


def test_the_short_way_to_a_key_gives_the_same():
    """The key of a call that only reads whole values of others is what `digest_of` makes of its parts."""

    @cs.task(pure=True)
    def join(first, *rest):
        return (first, *rest)

    @cs.task(pure=True)
    def größe(länge):  # noqa: PLC2401 - a name that is longer as bytes than as text
        return länge

    flow = lay_out([join(größe(1), größe(2), größe(3)), größe(größe(4))], None, None, (), Settings())
    keys, graph = NodeKeys(flow, b"", repr), flow.graph
    flow.values[:] = range(len(graph))
    seen = set()
    for node in range(len(graph)):
        key, given = keys.node_key(node)
        seen.add(given is None)
        told = keys.given_by_nodes(node) if given is None else given
        assert key == digest_of("node", [keys.code_digest(node), *[f"{each.name}={each.key}" for each in told]])
    assert seen == {True, False}
