"""What goes into the store is what was given, and many nodes cost few questions."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.stores.local import LocalStore
from cascade.graph.model import REFS
from cascade.runtime.errands import Errands
from cascade.runtime.flow import Settings
from cascade.runtime.node_keys import NodeKeys, digest_of
from cascade.runtime.run import lay_out

QUIET: dict[str, Any] = {"log_level": None}


class Counting(LocalStore):
    """A store that counts what it is asked."""

    def __init__(self, folder, key_file):
        super().__init__(folder, key_file=key_file)
        self.finds = self.saves = 0

    def find(self, keys):
        self.finds += 1
        return super().find(keys)

    def save_many(self, drafts):
        self.saves += 1
        return super().save_many(drafts)


@pytest.fixture
def store(tmp_path):
    """A store of its own, with a key of its own."""
    with Counting(tmp_path / "store", tmp_path / "key") as made:
        yield made


def test_items_that_change_their_input_are_kept_under_what_they_were_given(store):
    """A task that empties its argument is found again by what the argument was, and by nothing else."""
    ran = []

    @cs.task(pure=True, mode="inline", ignore=("log",))
    def drain(rows, log):
        log.append(len(rows))
        total = sum(rows)
        rows.clear()
        return total

    def go(inputs):
        return cs.run(drain.map(rows=inputs, log=cs.unmapped(ran)), cache=store, **QUIET)

    assert go([[1, 2], [3, 4]]) == [3, 7]
    assert go([[1, 2], [3, 4]]) == [3, 7]
    assert ran == [2, 2]
    assert go([[]]) == [0], "what was left of an argument is another argument"
    assert ran == [2, 2, 0]


def test_many_nodes_are_asked_for_together(store):
    """A layer of nodes costs a few questions and a few transactions, not one for each node."""

    @cs.task(pure=True, mode="inline")
    def inc(x):
        return x + 1

    @cs.task(pure=True, mode="inline")
    def total(values):
        return sum(values)

    calls = [inc(inc(inc(i))) for i in range(200)]
    assert cs.run(total(calls), cache=store, **QUIET) == sum(range(200)) + 600
    assert store.finds < 60
    assert store.saves < 60


def test_the_short_way_to_a_recipe_gives_the_same():
    """The recipe of a call that only reads others is what `digest_of` makes of its parts."""

    @cs.task(pure=True)
    def join(*values):
        return values

    target = join(join(1), join(join(2), join(3, [join(4)])))
    flow = lay_out(target, None, None, (), Settings())
    keys, graph = NodeKeys(flow, b"", repr), flow.graph
    found = keys.recipes(lambda _: True)
    assert len(found) == len(graph)
    plain = [node for node in found if graph.shapes[node] == REFS]
    assert plain
    for node in plain:
        above = [found[need] for need in graph.args[node]]
        assert found[node] == digest_of("recipe", [keys.code_digest(node), str(graph.kinds[node]), *above])


def test_errands_come_in_order_and_together():
    """What comes while one list is worked on makes the next one; the end waits for all."""
    begun, go, done = threading.Event(), threading.Event(), []

    def work(jobs):
        begun.set()
        assert go.wait(5)
        done.append(list(jobs))

    errands = Errands(work, pytest.fail)
    errands.add(0)
    assert begun.wait(5)
    for number in range(1, 1300):
        errands.add(number)
    go.set()
    errands.end()
    assert [number for jobs in done for number in jobs] == list(range(1300))
    assert [len(jobs) for jobs in done] == [1, 500, 500, 299]


def test_errands_from_many_threads_are_all_done():
    """A bell that has rung already is not rung again, and still no job is left lying."""
    done = []
    errands = Errands(done.extend, pytest.fail)
    for _ in range(20):
        errands.add(-1)
        threads = [threading.Thread(target=lambda: [errands.add(n) for n in range(500)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    errands.add(-2)
    errands.end()
    assert len(done) == 20 * (1 + 4 * 500) + 1


def test_a_fault_of_an_errand_is_told_and_the_next_is_done():
    """Whatever the work raises reaches whoever asked; the thread goes on."""
    heard, done = [], []

    def work(jobs):
        if jobs == [0]:
            raise KeyError("gone")
        done.extend(jobs)

    told = threading.Event()
    errands = Errands(work, lambda fault: (heard.append(fault), told.set()))
    errands.add(0)
    assert told.wait(5)
    errands.add(1)
    errands.end()
    assert [type(fault) for fault in heard] == [KeyError]
    assert done == [1]


def test_needless_nodes_of_a_large_graph_have_no_rows(store):
    """Of a large graph the history only counts the nodes beneath a stored result: their old rows still hold."""

    @cs.task(pure=True, mode="inline")
    def inc(x):
        return x + 1

    @cs.task(pure=True, mode="inline")
    def total(values):
        return sum(values)

    def target(off=0):
        return total([inc(inc(i + off * (i == 0))) for i in range(600)])

    first = cs.start(target(), cache=store, **QUIET)
    first.result(20)
    again = cs.start(target(), cache=store, **QUIET)
    again.result(20)
    assert len(store.nodes(first.run_id)) == 1201
    assert [(row.task, row.outcome) for row in store.nodes(again.run_id)] == [("total", "stored")]
    assert (cs.history(store)[0].skipped, cs.history(store)[0].stored) == (1200, 1)
    changed = cs.start(target(off=5000), cache=store, **QUIET)
    changed.result(20)
    assert cs.history(store)[0].ran == 3
    assert str(cs.why("total", cache=store)).startswith("ran: values is new")


def test_history_keeps_inputs_as_json_whatever_they_are_called(store):
    """Names and texts with quotes, and arguments beyond those with names, come back as they were."""
    import json

    @cs.task(pure=True, mode="inline")
    def give(x, *rest):
        return x

    @cs.task(mode="inline")
    def take(x, *rest, key=None):
        return x

    odd = give('a "b" \\ é').named('the "odd" one')
    run = cs.start(take(odd, odd, [odd], key=odd), cache=store, **QUIET)
    run.result(10)
    rows = {row.task: json.loads(row.inputs) for row in store.nodes(run.run_id)}
    assert rows["give"][0][2:] == [repr('a "b" \\ é'), ""]
    assert rows["take"] == [
        ["x", "", "", 'the "odd" one'],
        ["argument 2", "", "", 'the "odd" one'],
        ["argument 3", "", "", 'the "odd" one'],
        ["key", "", "", 'the "odd" one'],
    ]


def test_a_large_graph_that_is_not_remembered_has_a_few_rows(store):
    """Some nodes of each task and all that failed have rows, so that a plan can learn; the counts are of all."""

    @cs.task(mode="inline")
    def inc(x):
        return x + 1

    @cs.task(mode="inline")
    def half(x):
        return 1 // (x != 1000)

    calls = [half(inc(i)) for i in range(1200)]
    run = cs.start(calls, cache=store, on_failure="continue", **QUIET)
    with pytest.raises(ZeroDivisionError):
        run.result(20)
    rows = store.nodes(run.run_id)
    assert [row.task for row in rows].count("inc") == 20
    assert [row.reason[:17] for row in rows if row.outcome == "failed"] == ["ZeroDivisionError"]
    assert all(row.duration > 0 for row in rows if row.task == "inc")
    past = cs.history(store)[0]
    assert (past.ran, past.failed) == (2399, 1)


def test_false_takes_a_task_out(store):
    """A task with cache=False is not remembered, also if it is pure, and nobody complains."""
    ran = []

    @cs.task(pure=True, cache=False, mode="inline", ignore=("log",))
    def work(x, log):
        log.append(x)
        return x

    for _ in range(2):
        assert cs.run(work(1, ran), cache=store, **QUIET) == 1
    assert ran == [1, 1]
    assert store.saves == 0
