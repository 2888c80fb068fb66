"""The history of runs in a cache backend."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from cascade.adapters.caching.memory import MemoryCache
from cascade.adapters.stores import remote_history
from cascade.adapters.stores.remote_history import RemoteHistory
from cascade.interfaces.records import Cost, NodeRow


@pytest.fixture
def backend() -> MemoryCache:
    """What two machines share."""
    return MemoryCache()


def remember(history: RemoteHistory, run_id: str, at: float, rows: Iterable[NodeRow] = ()) -> None:
    """Note a whole run."""
    history.begin_run(run_id, {"name": run_id}, at)
    history.record_nodes(run_id, rows)
    history.end_run(run_id, {"status": "completed"}, at + 1)


def row(node: str, task: str = "t", **facts: Any) -> NodeRow:
    """What happened to a node."""
    return NodeRow("?", node, task, facts.pop("outcome", "ran"), **facts)


def test_two_machines_see_one_history(backend: MemoryCache) -> None:
    """Runs of both are listed, the latest first, with the facts of their beginning and end; ids may be cut short."""
    one, two = RemoteHistory(backend), RemoteHistory(backend)
    remember(one, "aa1", 10)
    remember(two, "ab2", 20)
    one.end_run("c", {}, 5)  # nobody saw it begin
    for each in (one, two, RemoteHistory(backend)):
        assert [(run.run_id, run.begun_at, run.ended_at) for run in each.runs(None)] == [
            ("ab2", 20, 21), ("aa1", 10, 11), ("c", 5, 5),
        ]  # fmt: skip
        assert [run.run_id for run in each.runs(1)] == ["ab2"]
        assert each.runs(1)[0].facts == {"name": "ab2", "status": "completed"}
        found = {word: [run.run_id for run in each.find_runs(word)] for word in ("aa1", "a", "x", "")}
        assert found == {"aa1": ["aa1"], "a": ["ab2", "aa1"], "x": [], "": []}
    two.forget(["ab2"])
    assert [run.run_id for run in RemoteHistory(backend).runs(None)] == ["aa1", "c"]
    assert two.nodes("ab2") == []


def test_rows_of_nodes(backend: MemoryCache) -> None:
    """A second row replaces the first; the latest of a node or task is found, before a run too; costs are of late."""
    history = RemoteHistory(backend)
    remember(history, "a", 10, [row("n", duration=1.0, memory=100), row("m", duration=3.0)])
    remember(history, "b", 20, [row("n", duration=2.0, memory=300), row("n", outcome="failed"), row("m", "u")])
    assert [(r.run_id, r.node, r.outcome) for r in history.nodes("b")] == [("b", "n", "failed"), ("b", "m", "ran")]
    latest = {name: getattr(history.latest(name, None), "run_id", None) for name in ("n", "t", "u", "x")}
    assert latest == {"n": "b", "t": "b", "u": "b", "x": None}
    assert getattr(history.latest("n", "b"), "run_id", None) == "a"
    assert history.latest("n", "a") is None
    assert history.durations() == {"t": (2.0, 2, 100), "u": (0.0, 1, 0)}
    assert history.costs(["t", "u", "x"]) == {"t": Cost(2.0, 2, 100), "u": Cost(0.0, 1, None)}


def test_damage_is_left_out(backend: MemoryCache) -> None:
    """Bytes that are torn or somebody else's are no runs and no rows, and never an error."""
    remember(RemoteHistory(backend), "a", 10, [row("n")])
    whole = {key: backend.get(key) or b"" for key in backend.keys()}  # noqa: SIM118 - of a cache
    for key, data in whole.items():
        for wrong in (b"", data[:-1], b"\xff", b"[1]", b'{"a": "b", "begun": "x"}', b"[" * 10_000):
            backend.put(key, wrong)
            history = RemoteHistory(backend)
            history.runs(None), history.nodes("a"), history.latest("n", None), history.costs(["t"])
            remember(history, "b", 20, [row("n")])
            assert "b" in [run.run_id for run in history.runs(None)]
            backend.clear()
            backend.put_many(whole)


def test_the_oldest_go(backend: MemoryCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a number of runs the oldest are forgotten, with all that is known of them."""
    monkeypatch.setattr(remote_history, "MOST_RUNS", 3)
    history = RemoteHistory(backend)
    for at in range(6):
        remember(history, f"r{at}", at, [row("n")])
    assert [run.run_id for run in history.runs(None)] == ["r5", "r4", "r3"]
    assert len(list(backend.keys())) == 1 + 2 * 3


def test_runs_that_begin_at_once(backend: MemoryCache) -> None:
    """Machines that begin runs at the same time lose none in the list."""

    def work(number: int) -> None:
        history = RemoteHistory(backend)
        for n in range(10):
            history.begin_run(f"{number}-{n}", {}, n)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = RemoteHistory(backend)
    assert len(seen.runs(None)) == 40
    assert sorted(run.number for run in seen.runs(None)) == list(range(1, 41))


def test_runs_have_numbers_that_stay(backend: MemoryCache) -> None:
    """A run is found by its number, from its beginning on; a run that is forgotten leaves its number to nobody."""
    history = RemoteHistory(backend)
    history.begin_run("a", {}, 10)
    remember(history, "b", 20)
    history.end_run("c", {}, 30)  # nobody saw it begin
    history.end_run("a", {}, 40)
    assert history.run_numbers(["c", "a", "b", "x"]) == {"a": 1, "b": 2, "c": 3}
    assert [run.run_id for run in RemoteHistory(backend).find_runs("2")] == ["b"]
    history.forget(["c"])
    remember(history, "d", 50)
    assert (history.run_numbers(["c", "d"]), history.find_runs("3")) == ({"d": 4}, [])


def test_a_backend_with_the_bare_minimum() -> None:
    """A backend without locks and without delete keeps a history too."""

    class Shelf(dict[str, bytes]):
        put = dict.__setitem__

        def get_many(self, keys: Iterable[str]) -> Mapping[str, bytes]:
            return {key: self[key] for key in keys if key in self}

    history = RemoteHistory(Shelf())  # type: ignore[arg-type]
    remember(history, "a", 1, [row("n")])
    history.forget(["a"])
    assert history.runs(None) == []
