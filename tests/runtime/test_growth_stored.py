"""What a remembered call returned is remembered: the function does not run again, and the calls are looked up now."""

from __future__ import annotations

import os
import pickle
import sqlite3
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cascade as cs
from cascade.adapters.caching.folder import FolderCache
from cascade.adapters.caching.memory import MemoryCache
from cascade.adapters.stores.local import LocalStore
from cascade.adapters.stores.remote import BackendStore
from cascade.interfaces import events as ev
from cascade.interfaces.records import Grown
from cascade.notebook.record import RunRecord
from tests.runtime import grown_programs as gp
from tests.runtime.grown_programs import run_of, started

QUIET: dict[str, Any] = {"log_level": None}


@cs.task(pure=True, mode="inline")
def plus(*numbers):
    return sum(numbers)


@cs.task
def live(x):
    return x


@cs.task(pure=True)
def outer(x):
    return [plus(x, 1), {"live": live(x)}]


@cs.task(pure=True)
def item(x):
    return plus(x, 10)


@cs.task(pure=True)
def above(x):
    return ["above", x]


@pytest.fixture
def store(tmp_path):
    """A store of its own, with a key of its own."""
    with LocalStore(tmp_path / "store", key_file=tmp_path / "key") as made:
        yield made


def recalled(run):
    return {e.node for e in run.events if isinstance(e, ev.NodeRecalled)}


# -- found again ------------------------------------------------------------------------------------------------------


def test_the_function_does_not_run_again(store):
    """In the next run the call counts as stored; its pure calls are recalled, the others run; the value is equal."""
    first, second = [run_of(above(outer(1)), store) for _ in range(2)]
    assert started(first) == {"outer": 1, "plus": 1, "live": 1, "above": 1}
    assert started(second) == {"live": 1}
    assert recalled(second) == {"outer", "plus", "above"}
    assert second.result() == first.result() == ["above", [2, {"live": 1}]]
    told = next(e for e in second.events if isinstance(e, ev.NodeRecalled) and e.node == "outer")
    assert (told.number, told.made_by, told.kept) == (1, first.run_id, False)


@pytest.mark.parametrize("mode", ["inline", "blocking", "async", "compute"])
def test_every_mode(store, mode):
    """It makes no difference where the function ran."""
    task = {"inline": gp.grow_inline, "blocking": gp.grow, "async": gp.grow_later, "compute": compute_grow}[mode]
    plan = ["add", ["number", 2], ["live", 3]]
    runs = [run_of(task(plan), store) for _ in range(2)]
    assert [run.result() for run in runs] == [6, 6]
    assert started(runs[1]) == {"live": 1}


@cs.task(pure=True, mode="compute")
def compute_grow(plan):
    return gp.make(plan)


@pytest.mark.parametrize("rules", [{}, {"max_concurrency": 1}, {"on_error": "collect"}])
def test_items_of_maps(store, rules):
    """Each item of a map is remembered on its own, also when others of them are new."""
    run_of(item.map(x=[1, 2], **rules), store)
    run = run_of(item.map(x=[2, 3, 1], **rules), store)
    assert run.result() == [12, 13, 11]
    assert started(run) == {"item": 1, "plus": 1}
    assert sum(e.count for e in run.events if isinstance(e, ev.ItemsRecalled)) == 2
    again = run_of(item.map(x=[2, 3, 1], **rules), store)
    assert started(again) == {}
    assert "item" in recalled(again)


def test_a_bounded_map_stays_bounded(store):
    """Calls of stored items count for `max_concurrency` as those of new ones do."""
    for _ in range(2):
        run = run_of(nap.map(x=list(range(4)), max_concurrency=2), store)
        busy = most = 0
        for event in run.events:
            if isinstance(event, ev.NodeEvent) and event.name == "napping":
                busy += isinstance(event, ev.NodeStarted) - isinstance(event, ev.NodeCompleted)
                most = max(most, busy)
        assert most == 2


@cs.task
async def napping(x):
    import asyncio

    await asyncio.sleep(0.01)
    return x


@cs.task(pure=True)
def nap(x):
    return napping(x)


def test_a_call_that_fails_inside_is_tried_again_by_calling_the_function(store):
    """The rules of a call hold for calls from the store, too; another try asks the function itself."""
    runs = []
    for _ in range(2):
        run = cs.start(breaking().with_retry(2), cache=store, **QUIET)
        with pytest.raises(gp.NoError):
            run.result(20)
        runs.append(run)
    assert [started(run)["breaking"] for run in runs] == [2, 1]
    assert started(runs[1])["fail"] == 2
    held = cs.start(breaking().with_fallback("held"), cache=store, **QUIET)
    assert held.result(20) == "held"
    assert started(held)["breaking"] == 0
    items = cs.start(breaking_item.map(x=[1, 2], on_error="collect").with_retry(2), cache=store, **QUIET)
    assert [type(each) for each in items.result(20)] == [gp.NoError] * 2
    items = cs.start(breaking_item.map(x=[1, 2], on_error="collect").with_retry(2), cache=store, **QUIET)
    assert [type(each) for each in items.result(20)] == [gp.NoError] * 2
    assert started(items)["breaking_item"] == 2


@cs.task(pure=True)
def breaking():
    return plus(gp.fail(1))


@cs.task(pure=True)
def breaking_item(x):
    return plus(gp.fail(x))


def test_what_was_printed_is_shown_again(store):
    """Output is part of what is stored."""
    for _ in range(2):
        run = cs.start(chatty(), cache=store, capture_output=True, **QUIET)
        run.result(20)
        texts = "".join(e.text for e in run.events if isinstance(e, ev.OutputWritten))
        assert texts.count("a word") == 1


@cs.task(pure=True)
def chatty():
    print("a word")
    return plus(1)


# -- what stands in it ------------------------------------------------------------------------------------------------


def test_arrays_and_params_come_back(store):
    """Values with codecs of their own stand beside the text; a Param has the value of the run that asks."""
    alpha = cs.Param("alpha", default=1.0)
    assert run_of([scaled(2), alpha], store).result() == [[12.0, "float64"], 1.0]
    run = run_of([scaled(2), alpha], store, params={"alpha": 3.0})
    assert run.result() == [[36.0, "float64"], 3.0]
    assert started(run) == {"dot": 1}


ALPHA = cs.Param("alpha", default=1.0)


@cs.task(pure=True)
def dot(values, factor, kind):
    return [float(values.sum() * factor), type(kind).__name__]


@cs.task(pure=True)
def scaled(x):
    return dot(np.arange(4.0) * x, ALPHA, np.float64(x))


def test_a_call_in_two_places_stays_one(store):
    """What was one lazy result is one node again."""
    for _ in range(2):
        run = run_of(gp.grow(["twice", 1]), store)
        assert run.result() == [2, 4]
        assert started(run)["live"] == 1


def test_secrets_are_never_written(store, tmp_path):
    """A secret Param stands there by its name; a call with the secret itself among its arguments is not stored."""
    secret = "s3cr3t-Kq7w1-value"
    by_name, by_value = run_of([locked(1), TOKEN], store, params={"token": secret}), None
    assert started(run_of([locked(1), TOKEN], store, params={"token": secret})) == {}
    for _ in range(2):
        by_value = run_of(open_(TOKEN), store, params={"token": secret})
        assert started(by_value)["open_"] == 1
    assert by_name.result()[0] == len(secret)
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes()


TOKEN = cs.Param("token", secret=True)


@cs.task(pure=True)
def length(text):
    return len(text)


@cs.task(pure=True)
def locked(x):
    return plus(length(TOKEN), x - 1)


@cs.task(pure=True)
def open_(token):
    return length(token)


# -- where it is stored and shown ------------------------------------------------------------------------------------


def test_any_place_to_store(tmp_path):
    """What keeps values keeps calls."""
    for backend in (MemoryCache(), FolderCache(str(tmp_path / "folder"))):
        store = BackendStore(backend, key_file=tmp_path / "key")
        first, second = [run_of(above(outer(1)), store) for _ in range(2)]
        store.close()
        assert second.result() == first.result()
        assert started(second) == {"live": 1}


def test_one_computation_for_all(store):
    """A call of which one process at a time computes the result gives up its claim when its calls are stored."""
    policy = cs.cache.by_content(single_flight=True)
    for times in (1, 0):
        run = run_of([item(1).with_cache(policy), item.map(x=[2, 3]).with_cache(policy)], store)
        assert run.result() == [11, [12, 13]]
        assert started(run)["item"] == 3 * times


def test_a_view_shows_it_as_stored(store):
    """The node that grew from the store ends as stored, and so do the items of a map."""
    run_of([outer(1), item.map(x=[1, 2])], store)
    run = run_of([outer(1), item.map(x=[1, 2])], store)
    record = RunRecord(run.graph)
    record.apply(run.events)
    assert {record.units[name].state for name in ("outer", "item")} == {"stored"}
    assert not {unit.state for unit in record.units.values()} - {"stored", "done"}


# -- damage -----------------------------------------------------------------------------------------------------------


def test_another_form_is_a_miss(store):
    """What does not say which calls they are, or names others than the code knows, lets the function run."""
    first = run_of(outer(1), store)
    key = next(row.key for row in store.nodes(first.run_id) if row.node == "outer")
    good = store.load(store.find([key])[key])
    assert isinstance(good, Grown)
    for text in ("", "{}", good.text.replace(":plus", ":boom"), good.text.replace('"node"', '"nodes"'), "[" * 5000):
        store.save(key, Grown(text, good.leaves))
        run = run_of(outer(1), store)
        assert run.result() == first.result()
        assert started(run) == {"outer": 1, "live": 1}
        assert store.load(store.find([key])[key]) == good


@pytest.mark.parametrize("how", ["data", "pickle", "another user's", "another's place"])
def test_a_damaged_entry_is_a_miss_and_told(tmp_path, how):
    """Calls that somebody else has written, or moved, are never made: the function runs, and the store says so."""
    canary, folder = tmp_path / "canary", tmp_path / "store"
    with LocalStore(folder, key_file=tmp_path / "key") as store:
        run_of([outer(1), outer(2)], store)
    with closing(sqlite3.connect(folder / "index.db")) as index, index:
        rows = index.execute("SELECT key, sealed, content, data FROM entries WHERE task = 'outer'").fetchall()
        keys = [row[0] for row in rows]
        for (key, *_), (_, *other) in zip(rows, rows[::-1], strict=True):
            if how == "another's place":
                index.execute("UPDATE entries SET sealed = ?, content = ?, data = ? WHERE key = ?", (*other, key))
            elif how in ("data", "pickle"):
                bad = other[2][:-9] + b"x" * 9 if how == "data" else pickle.dumps(_Canary(str(canary)))
                index.execute("UPDATE entries SET data = ? WHERE key = ?", (bad, key))
    if how == "another user's":
        with LocalStore(folder, key_file=tmp_path / "theirs") as theirs:
            for key in keys:
                theirs.save(key, Grown('{"format": "cascade graph"}'))
    with LocalStore(folder, key_file=tmp_path / "key") as store:
        run = run_of([outer(1), outer(2)], store)
        assert run.result() == [[2, {"live": 1}], [3, {"live": 2}]]
        assert started(run)["outer"] == 2
        assert any(isinstance(e, ev.StoreReported) for e in run.events)
        assert started(run_of([outer(1), outer(2)], store))["outer"] == 0
    assert not canary.exists()


class _Canary:
    """A pickle that makes a folder when it is read."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


# -- history ----------------------------------------------------------------------------------------------------------


def test_why_plan_and_the_list_of_results_know_it(store):
    """The history says who made it; a plan says that it is stored and no more than that about what needs it."""
    run_of(above(outer(1)), store)
    run_of(above(outer(1)), store)
    assert "stored: same code and inputs · made by run 1" in str(cs.why("outer", cache=store))
    steps = {step.node: step for step in cs.plan([above(outer(1)), item.map(x=[1])], cache=store).steps}
    assert steps["outer"].status == "stored"
    assert "these may run" in steps["outer"].reason
    assert (steps["above"].status, steps["above"].reason) == ("unknown", "depends on what outer gives")
    assert steps["item"].status == "run"
    assert store.check() == []
    run_of(item.map(x=[1]), store)
    steps = {step.node: step for step in cs.plan(above(item.map(x=[1])), cache=store).steps}
    assert [steps[name].status for name in ("item", "above")] == ["stored", "unknown"]


# -- any program ------------------------------------------------------------------------------------------------------


def plans(depth: int) -> st.SearchStrategy[Any]:
    """Draw a plan."""
    small = st.integers(0, 4)
    leaves = st.one_of(
        st.tuples(st.just("number"), small), st.tuples(st.sampled_from(["live", "twice"]), small), st.just(("param",))
    ).map(list)
    if not depth:
        return leaves
    inner = plans(depth - 1)
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        leaves,
        st.tuples(st.sampled_from(["list", "tuple", "dict", "add"]), several).map(lambda p: [p[0], *p[1]]),
        st.tuples(st.just("grow"), st.integers(0, 2), inner).map(list),
        st.tuples(st.just("map"), st.integers(0, 2), several).map(lambda p: [p[0], p[1], *p[2]]),
        st.tuples(st.just("route"), small, several).map(lambda p: [p[0], p[1], *p[2]]),
        st.tuples(st.just("fallback"), inner).map(list),
        st.tuples(st.just("gate"), st.integers(0, 1), inner).map(list),
    )


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=plans(3), place=st.integers(0, 2))
def test_any_program_that_grows(tmp_path_factory, plan, place):
    """The second run of random plans has the value that a reader expects, and calls nothing that returned calls."""
    folder = tmp_path_factory.mktemp("store")
    target = {
        "out": (gp.grow, gp.grow_inline, gp.grow_later)[place](plan),
        "extra": cs.Param("extra", default=7, type=int),
    }
    with LocalStore(folder / "store", key_file=folder / "key") as store:
        first, second = [run_of(target, store, on_failure="continue") for _ in range(2)]
        assert first.result()["out"] == second.result()["out"] == gp.expect(plan)
        assert set(started(second)) <= {"live", "fail"}
        assert started(second)["live"] == started(first)["live"]
        assert store.check() == []
