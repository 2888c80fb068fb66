from __future__ import annotations

import json
import os
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cascade.adapters.stores.local import LocalStore
from cascade.interfaces.protocols import Store
from cascade.interfaces.records import Draft, NodeRow, StoreMiss
from cascade.interfaces.store_errors import StoreError

BIG = bytes(range(256)) * 64  # larger than what lives in a row


def load(store: LocalStore, key: str) -> Any:
    """The value of a key, found anew."""
    return store.load(store.find([key])[key])


def as_protocol(store: LocalStore) -> Store:
    """Checked by mypy: the store keeps the protocol."""
    return store


@pytest.mark.parametrize("value", [None, 0, "", b"", [], (), {"a": (1,)}, BIG, "x" * 9000, {1: 2}], ids=repr)
def test_what_was_stored_comes_back(make: Callable[..., LocalStore], value: object) -> None:
    """A value, None too, comes back with its type, here and in a store opened anew."""
    entry = make().save("k", value, task="t", summary="s", run_id="r", duration=1.5, outputs="o", digest="v:1")
    assert entry is not None
    for store in (make(), make()):
        assert store.find(["k", "other"]) == {"k": entry}
        found = load(store, "k")
        assert found == value
        assert type(found) is type(value)
    assert (entry.digest, entry.task, entry.run_id, entry.duration, entry.outputs) == ("v:1", "t", "r", 1.5, "o")


def test_entries_say_what_they_are(store: LocalStore) -> None:
    """An entry has the type of the value; without a digest it takes that of the bytes, equal for equal values."""
    one, other, third = store.save_many([Draft("a", [1]), Draft("b", [1]), Draft("c", [2])])
    assert one is not None and other is not None and third is not None  # noqa: PT018 - for the type checker
    assert one.type == "builtins.list"
    assert one.digest == other.digest != third.digest


def test_reading_makes_nothing(store: LocalStore, tmp_path: Path) -> None:
    """Looking for what is not there makes no folder."""
    assert store.find(["k"]) == {}
    assert (store.runs(), store.ls(), store.size(), store.durations(), store.find_recipes(["r"])) == ([], [], 0, {}, {})
    assert not (tmp_path / "store").exists()


def test_folder_is_ignored_by_git_and_has_no_key(store: LocalStore, tmp_path: Path) -> None:
    """The folder tells git to ignore it, and the key lies elsewhere, readable for its owner alone."""
    store.save("k", 1)
    assert (tmp_path / "store" / ".gitignore").read_text() == "*\n"
    assert not list((tmp_path / "store").rglob("key*"))
    assert (tmp_path / "config" / "key").stat().st_mode & 0o777 == 0o600


def test_equal_large_values_are_one_file(store: LocalStore, tmp_path: Path) -> None:
    """Files are named after their content, so that equal values share one."""
    store.save_many([Draft("a", BIG), Draft("b", BIG)])
    assert len([path for path in (tmp_path / "store" / "objects").rglob("*") if path.is_file()]) == 1
    assert store.size() == len(BIG)


def test_thousands_of_keys_at_once(store: LocalStore) -> None:
    """Finding more keys than one statement takes gives all of them."""
    store.save_many(Draft(f"k{n}", n) for n in range(1234))
    found = store.find([f"k{n}" for n in range(2000)])
    assert len(found) == 1234
    assert store.load(found["k1233"]) == 1233


def test_replaced_values(make: Callable[..., LocalStore], reports: list[Any]) -> None:
    """A second value replaces the first; who still holds the first entry gets a miss, not the second value."""
    store, other = make(), make()
    old = store.save("k", 1)
    assert old is not None
    new = other.save("k", 2)
    assert new is not None
    assert store.load(old) == StoreMiss("k", "it was replaced meanwhile")
    assert store.load(new) == 2
    assert reports == [("miss", "k", "it was replaced meanwhile")]


def test_recipes(store: LocalStore) -> None:
    """Recipes lead to result keys; those of other recipes are not there."""
    store.save_recipes({f"r{n}": f"k{n}" for n in range(700)})
    store.save_recipes({"r1": "other"})
    found = store.find_recipes([f"r{n}" for n in range(800)])
    assert (len(found), found["r1"], found["r2"]) == (700, "other", "k2")


@pytest.mark.parametrize("key", ["a\x1fb", "é✓", "", "x" * 5000, "a\x00b", "new\nline"])
def test_odd_keys(store: LocalStore, key: str) -> None:
    """Any text is a key."""
    store.save(key, 1)
    store.save_recipes({key: key})
    assert load(store, key) == 1
    assert store.find_recipes([key]) == {key: key}


def test_half_characters_are_no_key(store: LocalStore, reports: list[Any]) -> None:
    """A key that is no UTF-8 is not stored, with a report, and not found; others are."""
    assert [entry and entry.key for entry in store.save_many([Draft("\ud800", 1), Draft("b", 2)])] == [None, "b"]
    assert list(store.find(["\ud800", "b"])) == ["b"]
    assert [kind for kind, *_ in reports] == ["unsaved"]


def test_fields_hold_any_text(store: LocalStore) -> None:
    """Texts beside a value may hold anything; what cannot stand in a row is replaced, what is long is cut."""
    entry = store.save("k", 1, summary="a\x1fb\ud800" + "c" * 5000, task="t\x1f")
    assert entry is not None
    assert store.find(["k"])["k"] == entry
    assert entry.summary.startswith("a b?c")
    assert len(entry.summary) == 2000


# -- history ----------------------------------------------------------------------------------------------------------


def row(run: str, node: str, task: str = "t", **more: Any) -> NodeRow:
    """A row of a node that ran."""
    return NodeRow(run, node, task, **{"outcome": "ran", **more})


def test_runs_and_nodes(make: Callable[..., LocalStore]) -> None:
    """Runs and what happened to their nodes can be read later, the latest run first."""
    times = iter(range(100, 200))
    store = make(clock=lambda: float(next(times)))
    for run in ("r1", "r2"):
        store.begin_run(run, {"target": "fit", "odd": object})
        store.record_nodes(run, [row(run, "a", duration=1.0), row(run, "b", outcome="failed", reason="no")])
        store.record_nodes(run, [row(run, "a", duration=3.0, memory=7, inputs=json.dumps([["x", "v:1", "1", ""]]))])
    store.end_run("r1", {"outcome": "done"})
    later = make()
    assert [each.run_id for each in later.runs()] == ["r2", "r1"]
    (latest,) = later.runs(limit=1)
    assert (latest.run_id, latest.ended_at) == ("r2", None)
    first = later.runs()[1]
    assert (first.facts["target"], first.facts["outcome"], first.facts["odd"]) == ("fit", "done", "<class 'object'>")
    assert first.ended_at is not None
    assert first.ended_at > first.begun_at
    assert {each.node: (each.outcome, each.duration) for each in later.nodes("r1")} == {
        "a": ("ran", 3.0), "b": ("failed", 0.0),
    }  # fmt: skip
    assert later.durations() == {"t": (3.0, 2, 7)}


def test_latest_row_of_a_node(make: Callable[..., LocalStore]) -> None:
    """The latest row is that of the last run, or of the last before a run, by the name of the node or the task."""
    times = iter(range(100, 200))
    store = make(clock=lambda: float(next(times)))
    for run in ("r1", "r2", "r3"):
        store.begin_run(run, {})
        store.record_nodes(run, [row(run, "a", "load"), row(run, "load", "other")])
    found = [store.latest("a"), store.latest("a", before="r3"), store.latest("a", before="r1"), store.latest("none")]
    assert [each and each.run_id for each in found] == ["r3", "r2", None, None]
    named = store.latest("load")
    assert named is not None
    assert (named.node, named.task) == ("load", "other")


def test_texts_are_kept_once(store: LocalStore) -> None:
    """A text comes back by its digest, short, long, or odd; an unknown one is None."""
    for text in ("", "short", "long " * 1000, "half \ud800"):
        digest = store.put_text(text)
        assert store.put_text(text) == digest
        assert store.get_text(digest) == text
    assert store.get_text("0" * 40) is None


# -- claims -----------------------------------------------------------------------------------------------------------


def test_one_claim_at_a_time(make: Callable[..., LocalStore], tmp_path: Path) -> None:
    """A claimed key is refused to others until it is released; other keys are free; nothing is left."""
    one, other = make(), make()
    held = one.claim("k", 0)
    assert held is not None
    assert (other.claim("k", 0), one.claim("k", 0.01)) == (None, None)
    with other.claim("j", 0) as free:  # type: ignore[union-attr]
        assert free.key == "j"
    held.release()
    held.release()
    again = other.claim("k", 0)
    assert again is not None
    again.release()
    assert not list((tmp_path / "store" / "locks").iterdir())


@pytest.mark.slow
def test_claims_in_threads(make: Callable[..., LocalStore]) -> None:
    """Of eight threads only one at a time has the key."""
    store, inside, most, done = make(), 0, 0, 0

    def work() -> None:
        nonlocal inside, most, done
        for _ in range(20):
            held = store.claim("k", 30)
            assert held is not None
            inside += 1
            most = max(most, inside)
            inside -= 1
            done += 1
            held.release()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, done) == (1, 160)


# -- clean-up ---------------------------------------------------------------------------------------------------------


def test_least_recently_used_goes_first(make: Callable[..., LocalStore], tmp_path: Path) -> None:
    """Beyond the limit, what was used longest ago goes, with its file; a dry run only says so."""
    times = iter(range(100, 1000))
    store = make(clock=lambda: float(next(times)))
    for name in "abcd":
        store.save(name, name.encode() * 10_000)
    store.find(["a"])
    would = store.gc(max_bytes=25_000, dry_run=True)
    assert (would.entries, would.files, would.size, store.size()) == (2, 2, 20_000, 40_000)
    assert store.gc(max_bytes=25_000) == would
    assert sorted(store.find(list("abcd"))) == ["a", "d"]
    assert len([path for path in (tmp_path / "store" / "objects").rglob("*") if path.is_file()]) == 2
    assert store.check() == []


def test_old_results_go(make: Callable[..., LocalStore]) -> None:
    """Results older than the age go, and recipes that lead to them."""
    now = 1000.0
    store = make(clock=lambda: now)
    store.save("old", 1)
    store.save_recipes({"r": "old"})
    now = 2000.0
    store.save("new", 2)
    assert store.gc(max_age=1500).entries == 0
    assert store.gc(max_age=500).entries == 1
    assert list(store.find(["old", "new"])) == ["new"]
    assert store.find_recipes(["r"]) == {}


def test_a_limit_is_kept_while_storing(make: Callable[..., LocalStore]) -> None:
    """A store with a limit keeps it by itself, within a tenth."""
    times = iter(range(100, 10_000))
    store = make(max_bytes=100_000, clock=lambda: float(next(times)))
    for n in range(50):
        store.save(str(n), str(n).encode() * 10_000)
        assert store.size() <= 130_000
    assert "49" in store.find(["49", "0"])
    assert "0" not in store.find(["49", "0"])


def test_litter_goes_after_an_hour(store: LocalStore, tmp_path: Path) -> None:
    """Files without a row and half-written files go when they are an hour old, not before."""
    store.save("k", BIG)
    folder = tmp_path / "store"
    orphan, half = folder / "objects" / "ab" / ("c" * 38), folder / "tmp" / "1-2"
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"123")
    half.write_bytes(b"4567")
    assert store.gc() == store.gc(dry_run=True)
    assert orphan.exists()
    for path in (orphan, half):
        os.utime(path, (1.0, 1.0))
    assert store.gc().size == 7
    assert not orphan.exists()
    assert not half.exists()
    assert load(store, "k") == BIG


def test_clear(store: LocalStore, tmp_path: Path) -> None:
    """Results of one task go, or all of them; the history stays."""
    store.begin_run("r", {})
    store.save_many([Draft("a", BIG, task="load"), Draft("b", b"x" + BIG, task="fit"), Draft("c", 1, task="fit")])
    assert {entry.key for entry in store.ls("fit")} == {"b", "c"}
    assert store.clear("fit") == 2
    assert [entry.key for entry in store.ls()] == ["a"]
    assert store.clear() == 1
    assert not [path for path in (tmp_path / "store" / "objects").rglob("*") if path.is_file()]
    assert (store.size(), len(store.runs())) == (0, 1)


# -- what cannot be stored --------------------------------------------------------------------------------------------


class Unreducible:
    """A value that fails when it is pickled."""

    def __reduce__(self) -> Any:
        raise ZeroDivisionError("no")


class Silent(Exception):
    """An error without a text."""

    def __str__(self) -> str:
        raise ValueError


class Mute:
    """A value that fails with such an error."""

    def __reduce__(self) -> Any:
        raise Silent


def deep() -> list[Any]:
    """A list deeper than pickle goes."""
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    "make_value",
    [threading.Lock, lambda: (n for n in ()), Unreducible, Mute, deep, lambda: memoryview(b"1"), lambda: [BIG, Mute()]],
)
def test_what_cannot_be_stored_is_told_once(
    store: LocalStore, reports: list[Any], tmp_path: Path, make_value: Callable[[], object]
) -> None:
    """A value that cannot be stored makes one report and leaves nothing; those beside it are stored."""
    value = make_value()
    saved = store.save_many([Draft("good", 1), Draft("bad", value), Draft("large", BIG)])
    assert [entry and entry.key for entry in saved] == ["good", None, "large"]
    ((kind, key, problem),) = reports
    assert (kind, key) == ("unsaved", "bad")
    assert type(value).__name__ in problem
    assert not list((tmp_path / "store" / "tmp").iterdir())
    assert store.check() == []


def test_open_files_are_not_stored(store: LocalStore, reports: list[Any]) -> None:
    """An open file is refused, also inside of something: another process would get a copy of its text."""
    with Path(__file__).open(encoding="utf-8") as file:
        assert store.save("k", [file]) is None
    assert len(reports) == 1


class Fickle:
    """A value that can be pickled and not unpickled."""

    def __setstate__(self, state: object) -> None:
        raise KeyError(state)

    def __getstate__(self) -> object:
        return 1


def test_what_does_not_come_back_is_a_miss(store: LocalStore, reports: list[Any]) -> None:
    """A value that cannot be unpickled is a miss that says why, and is not offered again."""
    entry = store.save("k", Fickle())
    assert entry is not None
    missed = store.load(entry)
    assert isinstance(missed, StoreMiss)
    assert "KeyError" in missed.problem
    assert store.find(["k"]) == {}
    assert [kind for kind, *_ in reports] == ["miss"]


def test_base_exceptions_of_values_come_through(store: LocalStore) -> None:
    """Who stops the program while a value is stored is not held up."""

    class Stops:
        def __reduce__(self) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.save("k", Stops())
    assert store.save("k", 1) is not None


# -- settings ---------------------------------------------------------------------------------------------------------


def test_wrong_settings_say_so(tmp_path: Path) -> None:
    """Limits that are no numbers and a key inside the folder are refused with what to do."""
    with pytest.raises(StoreError, match=r"max_bytes is -1; it must be a number"):
        LocalStore(tmp_path, max_bytes=-1)
    with pytest.raises(StoreError, match=r"max_age is 'x'; it must"):
        LocalStore(tmp_path, max_age="x")  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=r"lies in the store folder .* Choose a place outside"):
        LocalStore(tmp_path, key_file=tmp_path / "sub" / "key")


def test_a_callback_that_fails_harms_nobody(make: Callable[..., LocalStore]) -> None:
    """An error in on_report is not the store's."""

    def fail(*_: object) -> None:
        raise RuntimeError

    assert make(on_report=fail).save("k", threading.Lock()) is None


def test_use_after_close(store: LocalStore) -> None:
    """A closed store opens again when it is used."""
    store.save("k", 1)
    store.close()
    store.close()
    assert load(store, "k") == 1


def test_forks_have_their_own_connection(store: LocalStore) -> None:
    """A forked process uses the store it was born with, and the parent goes on."""
    store.save("k", 1)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, pickle.dumps((load(store, "k"), store.save("c", 2) is not None)))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert pickle.loads(os.read(read, 1000)) == (1, True)
    os.close(read)
    os.close(write)
    assert load(store, "c") == 2
    assert store.check() == []
