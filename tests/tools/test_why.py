"""Why a node ran, what a run would do, what was different: the store's history as people ask for it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.stores.local import LocalStore
from cascade.interfaces.exceptions import SettingError
from cascade.tools.diff import diff
from cascade.tools.history import history
from cascade.tools.lineage import lineage
from cascade.tools.plan import plan
from cascade.tools.storage import storage
from cascade.tools.why import why

QUIET: dict[str, Any] = {"log_level": None}


@pytest.fixture
def store(tmp_path):
    """A store of its own."""
    with LocalStore(tmp_path / "store", key_file=tmp_path / "key") as made:
        yield made


def pipeline(body="return [r * 2 for r in rows if r < limit]"):
    """Return load → clean → total, with the source of the middle one as given."""
    names: dict[str, Any] = {"FACTOR": 3}
    exec(f"def helper(x): return x * FACTOR\ndef clean(rows, limit):\n    {body}\n", names)

    @cs.task(pure=True)
    def load(n):
        return list(range(n))

    @cs.task
    def total(rows):
        return sum(rows)

    clean = cs.task(pure=True)(names["clean"])
    return lambda n=10: total(clean(load(n), cs.Param("limit", type=int, default=5)))


def go(store, target, **params):
    """Run and return the id of the run."""
    run = cs.start(target, params, cache=store, **QUIET)
    run.result(10)
    return run.run_id


def test_why_tells_what_changed(store):
    """The first run, the same again, a Param, an input, the code: each has its sentence."""
    make = pipeline()
    first = go(store, make())
    assert str(why("clean", cache=store)) == "ran: it had not run before"
    go(store, make())
    assert str(why("clean", cache=store)) == "stored: same code and inputs · made by run 1, just now"
    go(store, make(), limit=6)
    assert str(why("clean", cache=store)) == "ran: limit 5 → 6"
    assert str(why("load", cache=store)).startswith("stored: same code and inputs")
    go(store, make(12), limit=6)
    assert str(why("clean", cache=store)) == "ran: rows is new from load (list of 10 → list of 12)"
    go(store, pipeline("return [helper(r) for r in rows if r < limit]")(12), limit=6)
    assert str(why("clean", cache=store)).startswith("ran: code changed (")
    assert str(why("total", cache=store)).startswith("ran: it is not remembered")
    assert why("clean", run=first, cache=store).outcome == "ran"
    assert repr(why(make(), cache=store)).startswith("total ran")


def test_why_knows_near_names(store):
    """A node that no run had, or a run that is not there, is told with what would be right."""
    make = pipeline()
    run = go(store, make())
    with pytest.raises(ValueError, match=r"No run in this store had a node 'claen'\. Did you mean 'clean'"):
        why("claen", cache=store)
    with pytest.raises(ValueError, match="Run 1 had no node 'x'"):
        why("x", run=run, cache=store)
    with pytest.raises(ValueError, match="No run begins with 'zz'"):
        why("clean", run="zz", cache=store)


def test_failed_and_skipped_nodes_say_why(store):
    """The reason is that of the run."""

    @cs.task(pure=True)
    def boom():
        raise ValueError("no luck")

    with pytest.raises(ValueError, match="no luck"):
        cs.run([boom()], cache=store, **QUIET)
    assert str(why("boom", cache=store)) == "failed: ValueError: no luck"
    cs.run(boom().run_if(False).with_fallback(1), cache=store, **QUIET)
    assert history(store)[0].status == "completed"
    assert history(store)[1].status == "failed"


def test_a_plan_knows_what_is_stored_what_runs_and_what_it_cannot_know(store):
    """Before any run everything runs; afterwards only what a change may reach."""
    make = pipeline()
    before = plan(make(), cache=store)
    assert {s.node: s.status for s in before.steps} == {"load": "run", "clean": "unknown", "total": "run"}
    assert before["load"].reason == "it has not run before"
    go(store, make())
    after = plan(make(), cache=store)
    assert {s.node: s.status for s in after.steps} == {"load": "not needed", "clean": "stored", "total": "run"}
    changed = plan(make(), {"limit": 7}, cache=store)
    assert {s.node: s.status for s in changed.steps} == {"load": "stored", "clean": "run", "total": "run"}
    assert changed["clean"].reason == "code or inputs changed"
    upstream = plan(make(11), cache=store)
    assert {s.node: s.status for s in upstream.steps} == {"load": "run", "clean": "unknown", "total": "run"}
    assert upstream["clean"].reason == "depends on what load gives"
    assert "2 would run, 1 would run unless what they need turns out the same" in str(upstream)
    assert len(store.runs()) == 1, "a plan writes nothing"


def test_a_plan_predicts_from_earlier_runs(store):
    """The seconds are those of earlier runs, and capacities count."""
    import time

    @cs.task
    def nap(x):
        time.sleep(0.02)
        return x

    target = [nap(i).with_constraints(seat=1) for i in range(3)]
    cs.run(target, system_resources={"seat": 3}, cache=store, **QUIET)
    one = plan(target, system_resources={"seat": 1}, cache=store)
    three = plan(target, system_resources={"seat": 3}, cache=store)
    assert one.makespan == pytest.approx(3 * three.makespan, rel=0.01)
    assert three.makespan >= 0.02
    assert one.utilisation["seat"] == pytest.approx(1.0)
    assert len(one.critical_path) == 3


def test_a_difference_lists_what_changed_between_two_runs(store):
    """Params, inputs and code by node; what is the same is counted."""
    make = pipeline()
    first, second = go(store, make()), go(store, make(11), limit=6)
    found = diff(first, second, cache=store)
    assert found.params == ("limit 5 → 6",)
    assert set(found.changes) == {"load", "clean"}
    assert found.same == 1
    assert "run 1 → run 2: 1 node had the same code and inputs" in str(found)
    assert str(diff(1, 2, cache=store)) == str(diff("1", second[:6], cache=store)) == str(found)
    assert (found.before, found.after, found.numbers) == (first, second, (1, 2))
    assert (found.added, found.gone) == ((), ())


def test_history_is_a_list_a_table_and_a_frame(store):
    """Runs, the latest first, with what was computed and what was stored."""
    pytest.importorskip("pandas")
    assert str(history(store)) == "No run is known here yet."
    make = pipeline()
    ids = [go(store, make()), go(store, make(), limit=6)]
    found = history(store)
    assert [run.run_id for run in found] == ids[::-1]
    assert [(run.ran, run.stored) for run in found] == [(2, 1), (3, 0)]
    assert found[0].params == {"limit": "6"}
    assert len(history(store, limit=1)) == 1
    frame = found.to_frame()
    assert list(frame["run_id"]) == ids[::-1]
    assert list(frame["param limit"]) == ["6", "5"]
    assert str(found).splitlines()[0].split() == [
        "run", "target", "outcome", "when", "took", "computed", "stored", "id",
    ]  # fmt: skip
    assert [(run.number, run.run_id) for run in found] == [(2, ids[1]), (1, ids[0])]
    assert list(frame["number"]) == [2, 1]
    assert {row.node for row in found.nodes(1)} == {"load", "clean", "total"}
    assert {row.node for row in found.nodes(ids[0][:5])} == {"load", "clean", "total"}


def test_the_store_can_be_looked_at_and_tidied_up(store):
    """ls, size, check, gc and clear say what they found or did; a wrong word is told the right one."""
    make = pipeline()
    go(store, make())
    assert storage("size", cache=store).startswith("2 results, ")
    assert [line.split()[0] for line in storage("ls", cache=store).splitlines()] == ["task", "clean", "load"]
    assert "list of 5" in storage("ls", "clean", cache=store)
    assert storage("check", cache=store) == "Everything in the store is as it was written."
    assert storage("clear", "clean", cache=store) == "1 result forgotten"
    assert storage("gc", "0B", cache=store).startswith("1 results removed")
    assert storage("ls", cache=store) == "Nothing is stored."
    with pytest.raises(SettingError, match="Did you mean 'size'"):
        storage("sise", cache=store)
    with pytest.raises(SettingError, match="neither a size such as 2GB nor an age such as 30d"):
        storage("gc", "much", cache=store)


def test_lineage_follows_a_value_to_where_it_was_really_computed(store):
    """A value knows the run, the code, the inputs and the machine that made it, also when it came from the store."""
    make = pipeline()
    first = go(store, make())
    second = go(store, make(), limit=6)
    found = lineage("clean", cache=store)
    assert (found.node, found.run_id) == ("clean", second)
    above = {name: step for name, _, step in found.inputs}
    assert above["limit"] is None
    assert (above["rows"].node, above["rows"].run_id) == ("load", first)
    assert [step.node for step in found.steps()] == ["clean", "load"]
    assert found.machine["python"]
    assert "limit = 6" in str(found)
    by_value = lineage([0, 2, 4, 6, 8], cache=store)
    assert (by_value.node, by_value.run_id) == ("clean", first)
    with pytest.raises(ValueError, match="The store does not know this value"):
        lineage([99], cache=store)


def test_lineage_is_prov(store):
    """The exported form names entities, activities and agents, and every name that is used is defined."""
    import json

    go(store, pipeline()())
    prov = json.loads(json.dumps(lineage("total", cache=store).to_prov()))
    assert len(prov["activity"]) == 3
    for used in prov["used"].values():
        assert used["prov:entity"] in prov["entity"]
        assert used["prov:activity"] in prov["activity"]
    for made in prov["wasGeneratedBy"].values():
        assert made["prov:entity"] in prov["entity"]
    assert {each["prov:agent"] for each in prov["wasAssociatedWith"].values()} == set(prov["agent"])


def test_a_run_that_goes_on_is_told_from_one_that_was_lost(store):
    """While its process lives a run is running; one whose process is gone is lost."""
    import platform
    import subprocess
    import sys
    import threading

    release = threading.Event()

    @cs.task
    def hold():
        release.wait(10)

    run = cs.start(hold(), cache=store, **QUIET)
    run.wait(0.2)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    store.begin_run("dead", {"name": "x", "host": platform.node(), "pid": gone.pid})
    assert {past.run_id: past.status for past in history(store)} == {run.run_id: "running", "dead": "lost"}
    release.set()
    run.result(10)
    assert history(store)[1].status == "completed"


def test_why_looks_past_runs_that_found_the_value_at_once(store):
    """What was stored or skipped in between does not hide what changed."""
    make = pipeline()
    for _ in range(2):
        go(store, make())
    go(store, make(12))
    assert str(why("clean", cache=store)) == "ran: rows is new from load (list of 10 → list of 12)"
    assert str(why("load", cache=store)) == "ran: n 10 → 12"


def test_a_file_is_told_by_its_path_and_what_changed_in_it(store, tmp_path, monkeypatch):
    """Size and digest, old and new; a file that was not there, and one in another place."""
    path, other = tmp_path / "data.csv", tmp_path / "other.csv"
    shown = re.escape(f"…/{tmp_path.name}/data.csv")

    @cs.task(pure=True)
    def read(file):
        return Path(file).exists()

    def read_again(file=path):
        go(store, read(cs.File(file)))
        return str(why("read", cache=store))

    read_again()
    path.write_text("1,2\n")
    assert re.fullmatch(rf"ran: file {shown} is there now: 4 bytes, digest \w{{8}}", read_again())
    path.write_text("1,2\n3,4\n")
    assert re.fullmatch(rf"ran: file {shown} changed: 4 → 8 bytes, digest \w{{8}} → \w{{8}}", read_again())
    path.write_text("1,2\n3,5\n")
    assert re.fullmatch(rf"ran: file {shown} changed: 8 bytes, digest \w{{8}} → \w{{8}}", read_again())
    other.write_text("1")
    assert re.match(rf"ran: file {shown} → …/.*/other\.csv changed: 8 → 1 bytes, ", read_again(other))
    path.unlink()
    assert read_again().startswith("stored: ")
    assert re.search(rf"file = file {shown}, missing", str(lineage("read", run=1, cache=store)))
    (tmp_path / "near.csv").write_text("12")
    monkeypatch.chdir(tmp_path)
    read_again(tmp_path / "near.csv")
    assert "file near.csv, 2 bytes" in str(lineage("read", cache=store)), "what is here has a short name"


def test_after_a_clean_up_what_stays_can_still_be_told(store):
    """Clean-up of the history leaves why and lineage of a kept result whole, and the numbers as they were."""
    make = pipeline()
    go(store, make())
    for limit in range(20, 24):
        go(store, make(), limit=limit)
    go(store, make())
    assert storage("gc", cache=store).startswith("0 results removed")
    before = str(why("clean", cache=store)), str(why("clean", run=1, cache=store))
    store.gc(max_age=1e-9)  # every result is older than that, and so is every run but the last
    assert [run.number for run in history(store)] == [6]
    go(store, make())
    assert history(store)[0].number == 7
    assert "made by run" not in before[1]
    assert str(why("clean", cache=store)).startswith("ran: ")


def test_clean_up_by_age_keeps_the_makers_of_what_stays(store):
    """Where results stay, so do the runs that made them, with their code: lineage goes all the way up."""
    make = pipeline()
    go(store, make())
    go(store, make(), limit=6)
    told = str(lineage("clean", cache=store))
    assert "run 1" in told
    with LocalStore(store.folder, key_file=store.key_file) as other:
        other._index.change(lambda execute, _: execute("UPDATE runs SET begun_at = begun_at - 1e6", [()]))
    assert store.gc(max_age=1000).runs == 0
    assert str(lineage("clean", cache=store)).splitlines()[1:] == told.splitlines()[1:]
    assert lineage("clean", cache=store).number == 2


def test_a_limit_is_kept_after_each_run(store):
    """`limit` says what holds, sets it for the open store, and takes it away again."""
    make = pipeline()
    assert storage("limit", cache=store) == "There are no limits. Set some: limit 2GB 30d."
    told = "In this session the store keeps at most 0 B and nothing older than 48 h 00 min, after each run."
    assert storage("limit", "0B", "2d", cache=store) == storage("limit", cache=store) == told
    go(store, make())
    assert storage("ls", cache=store) == "Nothing is stored."
    assert storage("limit", "none", cache=store).startswith("There are no limits")
    go(store, make())
    assert storage("size", cache=store).startswith("2 results, ")
    with pytest.raises(SettingError, match="neither a size"):
        storage("limit", "lots", cache=store)


def test_an_item_of_a_map_answers_for_itself(store: LocalStore) -> None:
    """`fit[1]`, as the log, the view and telemetry call it: stored or run, and which of its inputs is new."""

    @cs.task(pure=True)
    def square(x: int) -> int:
        return x * x

    for numbers in ([1, 2, 3], [1, 2, 4]):
        cs.run(square.map(x=numbers), cache=store, **QUIET)
    assert str(why("square[1]", cache=store)) == "stored: same code and inputs · made by run 1"
    assert repr(why("square[2]", cache=store)) == "square[2] ran: its element is new"
    assert str(why("square[2]", run=1, cache=store)) == "ran: it had not run before"
    with pytest.raises(ValueError, match=r"'square' had items \[0\] to \[2\] in run 2: there is no square\[3\]"):
        why("square[3]", cache=store)
    with pytest.raises(ValueError, match=r"No run in this store had a node 'squar'\. Did you mean 'square'"):
        why("squar[1]", cache=store)
    cs.run(square.map(x=[1, 2, 4, 8]), cache=store, **QUIET)
    assert "items: 2 from run 1, 1 from run 2" in str(why("square[0]", cache=store))


def test_an_item_of_a_map_that_is_not_remembered_says_what_its_map_says(store: LocalStore) -> None:
    """Nothing is invented: where the store kept nothing of the items, the answer is that of the map, and says so."""

    @cs.task
    def square(x: int) -> float:
        return 1 / x

    cs.run(square.map(x=[1, 2]), cache=store, **QUIET)
    told = str(why("square[1]", cache=store))
    assert told.startswith("ran: it is not remembered")
    assert told.endswith("of single items of 'square' no more is known")
    with pytest.raises(ZeroDivisionError):
        cs.run(cs.task(square.func, pure=True, name="inverse").map(x=[1, 0]), cache=store, **QUIET)
    assert str(why("inverse[1]", cache=store)) == "failed: its map: ZeroDivisionError: division by zero"


def test_a_node_that_is_called_like_an_item_comes_first(store: LocalStore) -> None:
    """A name with brackets that somebody gave is a name."""

    @cs.task(pure=True)
    def one() -> int:
        return 1

    cs.run(one().named("part[1]"), cache=store, **QUIET)
    assert repr(why("part[1]", cache=store)) == "part[1] ran: it had not run before"


def test_a_run_whose_target_was_skipped_is_called_so(store: LocalStore) -> None:
    """Nothing failed: the list of runs does not say that anything did."""

    @cs.task(pure=True)
    def one() -> int:
        return 1

    with pytest.raises(cs.DependencyMissingError):
        cs.run(one().run_if(False), cache=store, **QUIET)
    past = history(store)[0]
    assert (past.status, past.failed, past.skipped) == ("skipped", 0, 1)
    assert "skipped" in str(history(store)).splitlines()[1]


def test_a_stored_value_is_compared_by_the_inputs_that_it_was_made_with(store):
    """Where a run found a value at once, nobody looked at its inputs: those of the run that made it tell them."""
    make = pipeline()
    for limit in (3, 4, 3, 5):
        go(store, make(), limit=limit)
    assert [row.outcome for row in store.nodes(store.runs()[1].run_id) if row.node == "clean"] == ["stored"]
    assert str(why("clean", cache=store)) == "ran: limit 3 → 5"
    assert diff(2, 3, cache=store).changes["clean"] == ("limit 4 → 3",)
    assert "clean" not in diff(1, 3, cache=store).changes


def test_a_store_takes_no_words_that_it_would_not_heed(store):
    """A second task to clear, or an option that is none, is refused; an unknown task is told, with the nearest."""
    go(store, pipeline()())
    for words in (("clear", "load", "clean"), ("ls", "load", "clean"), ("size", "load"), ("gc", "1GB", "2d", "x")):
        with pytest.raises(SettingError, match=f"'{words[-1]}' is one word too many for {words[0]}"):
            storage(*words, cache=store)
    assert storage("size", cache=store).startswith("2 results, ")
    assert storage("clear", "claen", cache=store) == (
        "0 results forgotten: nothing is stored of a task 'claen'. Did you mean 'clean'?"
    )
    assert storage("ls", "claen", cache=store) == "Nothing is stored of a task 'claen'. Did you mean 'clean'?"
    storage("clear", cache=store)
    assert storage("ls", "clean", cache=store) == "Nothing is stored of a task 'clean'."
