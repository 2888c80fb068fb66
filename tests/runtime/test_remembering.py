"""What was computed is not computed again, and what must be computed again is."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.stores.local import LocalStore
from cascade.interfaces import events as ev
from cascade.interfaces.exceptions import CascadeError
from cascade.spec.cache import file_exists, never, ttl

QUIET: dict[str, Any] = {"log_level": None}


@pytest.fixture
def ran():
    """The names of what really ran, in order."""
    return []


@pytest.fixture
def store(tmp_path):
    """A store of its own, with a key of its own."""
    with LocalStore(tmp_path / "store", key_file=tmp_path / "key") as made:
        yield made


@pytest.fixture
def flow_of(ran):
    """Return a small pipeline: load → clean → total, the middle one with a Param."""

    @cs.task(pure=True, ignore=("log",))
    def load(n, log):
        log.append("load")
        return list(range(n))

    @cs.task(pure=True, ignore=("log",))
    def clean(rows, limit, log):
        log.append("clean")
        return [r for r in rows if r < limit]

    @cs.task(pure=True, ignore=("log",))
    def total(rows, log):
        log.append("total")
        return sum(rows)

    def make(n=10):
        return total(clean(load(n, ran), cs.Param("limit", default=5), ran), ran)

    return make


def taken(ran):
    """Return what ran since the last look."""
    found = ran[:]
    ran.clear()
    return found


def test_nothing_runs_twice(flow_of, ran, store):
    """The second run of the same target computes nothing and says where its value is from."""
    assert cs.run(flow_of(), cache=store, **QUIET) == 10
    assert taken(ran) == ["load", "clean", "total"]
    run = cs.start(flow_of(), cache=store, **QUIET)
    assert run.result(10) == 10
    assert taken(ran) == []
    recalled = [e for e in run.events if isinstance(e, ev.NodeRecalled)]
    assert [e.node for e in recalled] == ["total"]
    assert recalled[0].made_by == store.runs()[1].run_id
    skipped = {e.node: e.reason for e in run.events if isinstance(e, ev.NodeSkipped)}
    assert skipped["clean"] == "only 'total' needs it, which came from the store"


def test_a_change_runs_what_it_reaches_and_stops_where_the_value_is_the_same(flow_of, ran, store):
    """A Param runs what uses it; a changed upstream that gives the same value runs nothing further down."""
    cs.run(flow_of(), cache=store, **QUIET)
    taken(ran)
    assert cs.run(flow_of(), {"limit": 6}, cache=store, **QUIET) == 15
    assert taken(ran) == ["clean", "total"]
    assert cs.run(flow_of(n=11), cache=store, **QUIET) == 10
    assert taken(ran) == ["load", "clean"]
    assert cs.run(flow_of(), cache=store, **QUIET) == 10
    assert taken(ran) == []


def test_a_new_process_remembers(tmp_path):
    """Another interpreter that runs the same file finds what the first one stored."""
    import subprocess
    import sys

    script = tmp_path / "job.py"
    script.write_text(
        "import sys, cascade as cs\n"
        "@cs.task(pure=True)\n"
        "def work(x):\n"
        "    print('ran', x)\n"
        "    return x * 2\n"
        "@cs.task(pure=True)\n"
        "def both(x, y): print('both'); return x + y\n"
        "print(cs.run(both(work(1), work(20)), cache=sys.argv[1], log_level=None))\n"
    )
    import os

    env = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "config")}

    def go():
        command = [sys.executable, script, tmp_path / "s"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=env)
        return sorted(done.stdout.split("\n")), done.stderr

    assert go() == (["", "42", "both", "ran 1", "ran 20"], "")
    assert go() == (["", "42"], "")
    script.write_text(script.read_text().replace("    return x * 2", "    # the same\n    return x * 2"))
    assert go() == (["", "42"], "")
    script.write_text(script.read_text().replace("x * 2", "x + x"))
    assert go() == (["", "42", "ran 1", "ran 20"], "")


def test_items_of_a_map_are_remembered_one_by_one(ran, store):
    """One new element computes one; the order and the place of the others do not matter."""

    @cs.task(pure=True, ignore=("log",))
    def square(x, log):
        log.append(x)
        return x * x

    whole = cs.unmapped(ran)
    assert cs.run(square.map(x=[1, 2, 3], log=whole), cache=store, **QUIET) == [1, 4, 9]
    assert sorted(taken(ran)) == [1, 2, 3]
    run = cs.start(square.map(x=[0, 3, 2, 1, 4], log=whole), cache=store, **QUIET)
    assert run.result(10) == [0, 9, 4, 1, 16]
    assert sorted(taken(ran)) == [0, 4]
    assert [e.count for e in run.events if isinstance(e, ev.ItemsRecalled)] == [3]
    assert cs.run(square(3, ran), cache=store, **QUIET) == 9
    assert taken(ran) == [], "an item and a plain call of the same are the same"
    row = store.nodes(run.run_id)[0]
    assert (row.outcome, row.reason) == ("ran", "3 of 5 items from the store")
    again = cs.start(square.map(x=[1, 2], log=whole), cache=store, **QUIET)
    assert again.result(10) == [1, 4]
    assert store.nodes(again.run_id)[0].outcome == "stored"


@pytest.mark.parametrize("value", [None, 0, "", [], (1, None), {1: "a"}, float("nan"), b"x"])
def test_any_value_is_remembered_as_it_is(value, ran, store):
    """None is a value, and a hit returns what was stored, in the same type."""

    @cs.task(pure=True, ignore=("log",))
    def give(log):
        log.append(1)
        return value

    first, again = cs.run(give(ran), cache=store, **QUIET), cs.run(give(ran), cache=store, **QUIET)
    assert taken(ran) == [1]
    assert type(first) is type(again)
    assert repr(first) == repr(again)


def test_failures_skips_and_fallbacks_are_not_remembered(ran, store):
    """Only what a task returned is stored."""
    fail = [True]

    @cs.task(pure=True, ignore=("log", "fail"))
    def shaky(log, fail):
        log.append("shaky")
        if fail[0]:
            raise ValueError("no")
        return "yes"

    assert cs.run(shaky(ran, fail).with_fallback("else"), cache=store, **QUIET) == "else"
    with pytest.raises(ValueError, match="no"):
        cs.run(shaky(ran, fail), cache=store, **QUIET)
    fail[0] = False
    assert cs.run(shaky(ran, fail), cache=store, **QUIET) == "yes"
    assert cs.run(shaky(ran, fail), cache=store, **QUIET) == "yes"
    assert taken(ran) == ["shaky"] * 3


def test_who_does_not_opt_in_is_not_remembered(ran, store):
    """A task that is neither pure nor has a policy runs every time; what is below it is kept by its value."""

    @cs.task
    def now():
        ran.append("now")
        return 7

    @cs.task(pure=True, ignore=("log",))
    def use(x, log):
        log.append("use")
        return x + 1

    for _ in range(2):
        assert cs.run(use(now(), ran), cache=store, **QUIET) == 8
    assert taken(ran) == ["now", "use", "now"]


def test_policies_decide(tmp_path, ran, store):
    """A time to live, a file that must exist, never, and someone's own."""
    out = tmp_path / "a.txt"

    @cs.task
    def write(name, log):
        log.append(name)
        out.write_text(name)
        return name

    with_file = write("a", ran).with_cache(file_exists(str(out)))
    store_options = {"cache": store, **QUIET}
    task = cs.task(ignore=("log",))(write.func)
    for call in (task("a", ran).with_cache(file_exists(str(out))),) * 2:
        assert cs.run(call, **store_options) == "a"
    assert taken(ran) == ["a"]
    out.unlink()
    assert cs.run(task("a", ran).with_cache(file_exists(str(out))), **store_options) == "a"
    assert taken(ran) == ["a"]
    assert cs.run(task("a", ran).with_cache(never()), **store_options) == "a"
    assert cs.run(task("b", ran).with_cache(ttl(1000)), **store_options) == "b"
    assert cs.run(task("b", ran).with_cache(ttl(1000)), **store_options) == "b"
    assert taken(ran) == ["a", "b"]
    assert cs.run(task("b", ran).with_cache(ttl(1e-9)), **store_options) == "b"
    assert taken(ran) == ["b"]
    assert with_file is not None

    class Broken:
        def serves(self, entry, now, arguments):
            raise RuntimeError("no idea")

        def stores(self, value, arguments):
            return True

    for _ in range(2):
        assert cs.run(task("c", ran).with_cache(Broken()), **store_options) == "c"
    assert taken(ran) == ["c", "c"]


def test_all_modes_remember(ran, store):
    """Async, inline, threads and loops store and recall alike."""

    @cs.task(pure=True, mode="inline", ignore=("log",))
    def inline(log):
        log.append("inline")
        return 1

    @cs.task(pure=True, ignore=("log",))
    async def coroutine(x, log):
        await asyncio.sleep(0)
        log.append("async")
        return x + 1

    @cs.task(pure=True, ignore=("log",))
    def turn(n, log):
        log.append("turn")
        return cs.Jump("on", {"n": n - 1, "log": log}) if n else "end"

    loop = cs.bind(turn(2, ran), cs.select_jump({"on": turn}))
    for _ in range(2):
        assert cs.run([coroutine(inline(ran), ran), loop], cache=store, **QUIET) == [2, "end"]
    assert sorted(taken(ran)) == ["async", "inline", "turn", "turn", "turn"]


def test_what_a_task_that_grows_returns_is_remembered_piece_by_piece(ran, store):
    """The task that returns calls runs again; the calls that it returns do not."""

    @cs.task(pure=True, ignore=("log",))
    def leaf(x, log):
        log.append(x)
        return x

    @cs.task(pure=True, ignore=("log",))
    def outer(n, log):
        log.append("outer")
        return [leaf(i, log) for i in range(n)]

    assert cs.run(outer(2, ran), cache=store, **QUIET) == [0, 1]
    assert sorted(map(str, taken(ran))) == ["0", "1", "outer"]
    assert cs.run(outer(3, ran), cache=store, **QUIET) == [0, 1, 2]
    assert sorted(map(str, taken(ran))) == ["2", "outer"]


def test_values_that_have_no_key_are_told_once_and_computed(store, caplog):
    """An argument that cannot be keyed keeps its task from being remembered, with one warning."""

    @cs.task(pure=True)
    def take(x):
        return 1

    with caplog.at_level(logging.WARNING, "cascade"):
        cs.run([take(threading.Lock()), take(threading.Lock())], cache=store, **QUIET)
    told = [r.getMessage() for r in caplog.records]
    assert len(told) == 1
    assert "The result of 'take' is not remembered: the argument 'x'" in told[0]


def test_a_damaged_store_costs_a_computation(flow_of, ran, store, tmp_path):
    """What cannot be read is computed again, from as far up as is needed."""
    assert cs.run(flow_of(), cache=store, **QUIET) == 10
    taken(ran)
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(store.folder / "index.db")) as db, db:
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert names
        column = next(c[1] for t in names for c in db.execute(f"PRAGMA table_info({t})") if c[1] in {"data", "value"})
        table = next(t for t in names if column in [c[1] for c in db.execute(f"PRAGMA table_info({t})")])
        db.execute(f"UPDATE {table} SET {column} = zeroblob(3) WHERE {column} IS NOT NULL")
    assert cs.run(flow_of(), cache=store, **QUIET) == 10
    assert taken(ran) == ["load", "clean", "total"]


def test_wrong_stores_are_refused_before_anything_runs(flow_of, ran):
    """What is no store is an error that says what would be one."""
    with pytest.raises(CascadeError, match=r"cache is a store, .* not int"):
        cs.run(flow_of(), cache=3, **QUIET)
    assert taken(ran) == []


def test_secrets_are_in_no_store(store, tmp_path):
    """A secret Param counts for the key, but neither its value nor a plain digest of it is written."""

    @cs.task(pure=True)
    def use(token):
        return len(token)

    secret = "hunter2-very-secret"
    target = use(cs.Param("token", secret=True))
    assert cs.run(target, {"token": secret}, cache=store, **QUIET) == len(secret)
    assert cs.run(target, {"token": secret}, cache=store, **QUIET) == len(secret)
    store.close()
    for file in (tmp_path / "store").rglob("*"):
        if file.is_file():
            assert secret.encode() not in file.read_bytes()


@pytest.mark.parametrize("policy", [ttl(1e-9), never(), file_exists("no/such/file")], ids=repr)
def test_what_a_policy_refuses_is_not_hidden_by_what_is_remembered_below(policy, ran, store):
    """A result that no longer serves is computed again, although what is made of it was remembered whole."""

    @cs.task(ignore=("log",))
    def fetch(log):
        log.append("fetch")
        return len(log)

    @cs.task(pure=True)
    def use(x):
        return x

    target = use(fetch(ran).with_cache(policy))
    assert cs.run(target, cache=store, **QUIET) == 1
    assert cs.run(target, cache=store, **QUIET) == 2
    assert taken(ran) == ["fetch", "fetch"]


def test_strict_policies_refuse_what_cannot_be_keyed(ran, store):
    """Code or arguments without a key are an error before the task runs, and say what to do."""
    lock = threading.Lock()
    strict = cs.cache.by_content(strict=True)

    @cs.task(cache=strict)
    def guarded():
        with lock:
            ran.append("guarded")

    with pytest.raises(TypeError, match=r"has no strict key: .*depends_on"):
        cs.run(guarded(), cache=store, **QUIET)

    @cs.task(ignore=("log",), cache=strict)
    def take(x, log):
        log.append("take")

    with pytest.raises(TypeError, match="Task 'take' cannot be remembered, and its policy is strict: the argument 'x'"):
        cs.run(take(threading.Lock(), ran), cache=store, **QUIET)
    assert taken(ran) == []
    cs.run(take(1, ran), cache=store, **QUIET)
    cs.run(take(1, ran), cache=store, **QUIET)
    assert taken(ran) == ["take"]


def test_code_that_cannot_be_keyed_whole_is_warned_of(store, caplog):
    """Without strict, the task is remembered and a sentence says what does not count."""
    lock = threading.Lock()

    @cs.task(pure=True)
    def guarded():
        with lock:
            return 1

    with caplog.at_level(logging.WARNING, "cascade"):
        assert cs.run([guarded(), guarded().named("again")], cache=store, **QUIET) == [1, 1]
    told = [r.getMessage() for r in caplog.records]
    assert len(told) == 1
    assert "guarded" in told[0]
    assert "lock" in told[0]


def test_a_stored_node_shows_what_it_wrote_when_it_ran(store):
    """The output of a watched run is kept with the result and told again when the result is recalled."""

    @cs.task(pure=True)
    def speak(x):
        print("working on", x)
        return x

    from cascade.notebook.output import capture

    def texts(run):
        return [e.text for e in run.events if isinstance(e, ev.OutputWritten)]

    capture.acquire()
    try:
        first = cs.start(speak(3), cache=store, capture_output=True, **QUIET)
        assert first.result(10) == 3
        again = cs.start(speak(3), cache=store, capture_output=True, **QUIET)
        assert again.result(10) == 3
    finally:
        capture.release()
    assert any(isinstance(e, ev.NodeRecalled) for e in again.events)
    assert "".join(texts(first)) == "".join(texts(again)) == "working on 3\n"


def test_what_a_run_recalls_counts_as_used(tmp_path):
    """A run that only reads, from a store that it opened itself, keeps what it read from being cleaned up first."""
    folder, key = tmp_path / "store", tmp_path / "key"

    @cs.task(pure=True)
    def make(name):
        return name * 20_000

    for name in ("a", "b", "a"):  # "a" is older, and used later
        cs.run(make(name), cache=LocalStore(folder, key_file=key), **QUIET)
    with LocalStore(folder, key_file=key) as store:
        assert store.gc(max_bytes=30_000).entries == 1
        assert [store.load(entry)[0] for entry in store.ls()] == ["a"]
