"""What a plan predicts of memory, and how it says what it does not know."""

from __future__ import annotations

from typing import Any

import pytest

import cascade as cs
from cascade.adapters.stores.local import LocalStore
from cascade.tools.plan import plan

QUIET: dict[str, Any] = {"log_level": None}


@pytest.fixture
def store(tmp_path):
    """A store of its own."""
    with LocalStore(tmp_path / "store", key_file=tmp_path / "key") as made:
        yield made


@cs.task(pure=True)
def block(size: int, *needs: bytes) -> bytes:
    """A value of so many bytes, which are stored as they are."""
    return b"x" * size


@cs.task(pure=True)
def join(*needs: bytes) -> int:
    """A small one."""
    return len(needs)


def test_the_size_of_what_would_run_is_the_middle_one_of_earlier_runs(store) -> None:
    """What is stored has its own size, what runs that of earlier runs of its task, what never ran none."""
    for size in (1000, 2000, 50_000):
        cs.run(block(size), cache=store, **QUIET)
    outlook = plan([block(1000).named("old"), block(7).named("new"), join(block(8))], cache=store)
    sizes = {step.node: (step.status, step.size) for step in outlook.steps}
    assert sizes["old"] == ("stored", 1000)
    assert sizes["new"] == ("run", 2000)
    assert sizes["join"] == ("unknown", None)
    assert outlook.unsized == ("join",)
    assert "join, of unknown size" in str(outlook)


def test_values_live_until_their_last_reader_has_ended(store) -> None:
    """In a chain two values are alive at once; what several read, and targets, live longer."""
    cs.run(block(1000), cache=store, **QUIET)
    chain = block(1, block(2, block(3, block(4))))
    assert plan(chain, cache=store).peak == 2000
    assert plan([chain, block(5)], cache=store).peak == 3000
    first = block(2)
    assert plan(block(5, block(4, block(3, first)), first), cache=store).peak == 3000
    wide = join(*[block(n) for n in range(2, 12)])
    assert plan(wide, cache=store).peak == 10_000


def test_what_is_not_needed_takes_no_memory(store) -> None:
    """Below a stored value nothing is loaded."""
    target = join(block(100_000))
    cs.run(target, cache=store, **QUIET)
    outlook = plan(target, cache=store)
    assert outlook["block"].status == "not needed"
    assert outlook.peak == outlook["join"].size < 100


def test_nothing_known_is_said_to_be_unknown(store) -> None:
    """Before the first run times and sizes are question marks, and no peak is claimed."""
    outlook = plan(join(block(1)), cache=store)
    lines = str(outlook).splitlines()
    assert lines[1].split() == ["node", "time", "memory"]
    assert [line.split()[2:4] for line in lines[2:4]] == [["?", "?"]] * 2
    assert lines[-1] == "values: of unknown size (block, join)"
    assert (outlook.peak, outlook.makespan) == (0, 0.0)


def test_the_table_says_what_the_peak_is(store) -> None:
    """Bytes are told as people say them."""
    cs.run([block(2_500_000), join()], cache=store, **QUIET)
    assert "values: about 5.0 MB at the same time" in str(plan(block(1, block(2)), cache=store))


@cs.task(pure=True)
def pair(first: int) -> dict[str, int]:
    """Two values under names."""
    return {"a": first, "b": 2}


@cs.task(pure=True)
def add_one(x: int) -> int:
    """One more."""
    return x + 1


def test_what_takes_a_part_of_a_stored_value_is_looked_up(store) -> None:
    """A node that reads one name of several is stored when it is, and would run when the part is another."""
    cs.run([add_one(pair(1)["a"]), add_one(pair(1)["b"])], cache=store, **QUIET)
    wanted = [add_one(pair(1)["a"]).named("one"), add_one(pair(1)["b"]).named("two")]
    assert {s.node: s.status for s in plan(wanted, cache=store).steps if s.node != "pair"} == {
        "one": "stored",
        "two": "stored",
    }
    cs.run(pair(5), cache=store, **QUIET)
    assert {s.node: s.status for s in plan(add_one(pair(5)["a"]), cache=store).steps} == {
        "pair": "stored",
        "add_one": "run",
    }
    assert plan(add_one(pair(5)["b"]), cache=store)["add_one"].status == "stored"


def test_a_part_of_something_too_large_to_load_is_unknown(store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not said to run when nobody looked."""
    monkeypatch.setattr("cascade.tools.steps.LARGEST", 1)
    cs.run(pair(1), cache=store, **QUIET)
    step = plan(add_one(pair(1)["a"]), cache=store)["add_one"]
    assert (step.status, step.reason) == ("unknown", "what it takes of its inputs is known when they are loaded")


def test_what_has_expired_would_run_and_says_why(store) -> None:
    """A result that its policy does not serve any more is not stored for the plan, either."""
    old = add_one(5).with_cache(cs.cache.ttl(1e-9))
    cs.run(old, cache=store, **QUIET)
    step = plan(old, cache=store)["add_one"]
    assert (step.status, step.reason) == ("run", "its result has expired or is not in the store any more")


def test_workers_bound_what_runs_at_once(store) -> None:
    """The makespan is that of so many workers, of maps too; how busy they would be is told, beside the capacities."""
    import time

    @cs.task
    def wait(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    def target() -> Any:
        return [wait.map(seconds=[0.05] * 4), *[wait(0.1).named(f"one{n}") for n in range(4)]]

    cs.run(target(), cache=store, **QUIET)
    long = {count: plan(target(), cache=store, workers=count) for count in (1, 2, 8)}
    free = plan(target(), cache=store)
    assert long[1].makespan > 1.8 * long[2].makespan > 1.8 * long[8].makespan
    assert long[1].utilisation["workers"] == pytest.approx(1.0)
    assert "workers: 100% in use" in str(long[1])
    assert "workers" not in free.utilisation
    own = plan(target(), system_resources={"workers": 3}, cache=store, workers=2)
    assert set(own.utilisation) == {"workers", "workers of the run"}
    with pytest.raises(ValueError, match="at least 1"):
        plan(target(), cache=store, workers=0)


def test_a_step_is_found_by_its_id(store) -> None:
    """In no time, however many there are; a wrong id names the nearest."""
    outlook = plan([block(n) for n in range(3000)], cache=store)
    assert all(outlook[step.node] is step for step in outlook.steps)
    with pytest.raises(KeyError, match=r"no node 'blok'\. Did you mean 'block'"):
        outlook["blok"]
