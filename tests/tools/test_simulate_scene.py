from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces.exceptions import CapacityError, ParamError, SettingError
from cascade.testing import virtual_clock
from cascade.tools.simulate import simulate


@cs.task
def step(*needs: Any) -> int:
    """Stand for any task."""
    return len(needs)


@cs.task
def item(x: Any) -> Any:
    """Stand for the task of a map."""
    return x


def remarks(made: Any) -> str:
    return "\n".join(made.remarks)


# -- durations ------------------------------------------------------------------------------------------------------


def test_durations_are_said_by_task_by_node_or_by_a_function() -> None:
    """The closest name counts; what nobody says counts as a second, and is named."""
    target = step(step().named("load"), step())
    assert simulate(target, {"step": 2}, cache=False).makespan == 4.0
    assert simulate(target, {"step": 2, "load": 5}, cache=False).makespan == 7.0
    assert simulate(target, lambda node: 3 if node.name == "load" else 1, cache=False).makespan == 4.0
    made = simulate(target, {"load": 5}, cache=False)
    assert made.makespan == 6.0
    assert "nothing is known of 'step': each counts as 1.00 s" in made.remarks


def test_a_wait_takes_the_seconds_that_it_is_given() -> None:
    """They need not be said, stored or guessed; what only the run knows counts as any other call."""
    assert simulate(item(1).after(cs.wait(5)), {"item": 1}, cache=False).makespan == 6.0
    made = simulate(
        step(cs.wait(cs.Param("pause_of_test", default=3)), cs.wait.map([1, 4, 2])), {"step": 1}, cache=False
    )
    assert (made.makespan, remarks(made)) == (5.0, "no order is faster")
    assert simulate(cs.wait(step()), {"step": 2}, cache=False).makespan == 3.0
    assert simulate(cs.wait(5), {"wait": 2}, cache=False).makespan == 2.0


def test_a_timeout_ends_what_is_known_to_take_longer() -> None:
    """The attempt fails: then its retries or fallback follow, or what needs it is left out. A guess never fails."""
    late = item(1).with_timeout(2)
    made = simulate(step(late), {"item": 3, "step": 1}, cache=False)
    assert made.makespan == 2.0
    assert "'item' would be stopped by the timeout" in remarks(made)
    assert "'item' would fail for good" in remarks(made)
    assert simulate(late.with_retry(max_attempts=3, delay=5), {"item": 3}, cache=False).makespan == 16.0
    assert simulate(step(late.with_fallback(0)), {"item": 3, "step": 1}, cache=False).makespan == 3.0
    assert simulate(step(late), {"item": 2, "step": 1}, cache=False).makespan == 3.0
    guessed = simulate(step(item(1).with_timeout(0.25)), {"step": 1}, cache=False)
    assert guessed.makespan == 1.25
    assert "timeout" not in remarks(guessed)


def test_durations_come_from_earlier_runs(tmp_path: Path) -> None:
    """By the name of the task, as the store has them; those given here come first."""

    @cs.task(pure=True)
    def load(seconds: float) -> float:
        cs.get_current_context().clock.sleep(seconds)  # type: ignore[union-attr]
        return seconds

    with virtual_clock():
        cs.run(load(3.0), cache=tmp_path, log_level=None)
    made = simulate(step(load(3.0)), {"step": 1}, cache=tmp_path)
    assert made.makespan == pytest.approx(4.0)
    assert made.remarks[0] == "1 of 2 durations are those of earlier runs"
    assert simulate(step(load(3.0)), {"load": 1, "step": 1}, cache=tmp_path).makespan == 2.0


def test_the_store_beside_the_notebook_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read if it is there, and never made."""
    monkeypatch.chdir(tmp_path)

    @cs.task(pure=True)
    def load() -> int:
        cs.get_current_context().clock.sleep(2.5)  # type: ignore[union-attr]
        return 1

    assert simulate(load()).makespan == 1.0
    assert not list(tmp_path.iterdir())
    with virtual_clock():
        cs.run(load(), cache=".cascade", log_level=None)
    assert simulate(load()).makespan == pytest.approx(2.5)
    assert simulate(load(), cache=False).makespan == 1.0


def test_the_history_knows_what_an_item_takes(tmp_path: Path) -> None:
    """However many ran at once then, another number may now; a call of the task by itself takes as long."""

    @cs.task(pure=True)
    def clean(x: int) -> int:
        cs.get_current_context().clock.sleep(0.5)  # type: ignore[union-attr]
        return x

    @cs.task(pure=True)
    def load() -> int:
        cs.get_current_context().clock.sleep(1.0)  # type: ignore[union-attr]
        return 1

    target = clean.map(x=list(range(8)), max_concurrency=2).after(load())
    with virtual_clock():
        cs.run(target, cache=tmp_path, log_level=None)
    made = simulate(target, cache=tmp_path)
    assert made.makespan == pytest.approx(3.0)
    wider = clean.map(x=list(range(8)), max_concurrency=4).after(load())
    assert simulate(wider, cache=tmp_path).makespan == pytest.approx(2.0)
    assert simulate(clean(99), cache=tmp_path).makespan == pytest.approx(0.5)
    with virtual_clock():
        cs.run(target, cache=tmp_path, log_level=None)  # all stored: the run before still tells
    assert simulate(target, cache=tmp_path).makespan == pytest.approx(3.0)


def test_a_map_that_begins_with_its_run_has_a_history(tmp_path: Path) -> None:
    """The clock of a run begins at 0, which is a time like any other."""

    @cs.task(pure=True)
    def clean(x: int) -> int:
        cs.get_current_context().clock.sleep(0.5)  # type: ignore[union-attr]
        return x

    with virtual_clock():
        cs.run(clean.map(x=[1, 2, 3]), cache=tmp_path, log_level=None)
    assert simulate(clean.map(x=[1, 2, 3]), cache=tmp_path).makespan == pytest.approx(0.5)


# -- maps -----------------------------------------------------------------------------------------------------------


def test_items_are_counted_where_the_graph_tells() -> None:
    """Lists, Params with a value, containers of lazy results, and maps over maps."""
    maps: list[Any] = [
        item.map(x=[1, 2, 3]),
        item.map(x=cs.Param("xs", default=(1, 2, 3), type=tuple)),
        item.map(x=[step(), step(), step()]),
        item.map(x=item.map(x=range(3))),
    ]
    for target in maps:
        made = simulate(target, cache=False)
        last = made.graph.target.index  # type: ignore[attr-defined]
        assert made.scene.items[last] == 3
        assert "only the run knows" not in remarks(made)
    xs = cs.Param("ys", type=list)
    assert simulate(item.map(x=xs), params={"ys": [1, 2]}, workers=1, cache=False).makespan == 2.0
    with pytest.raises(ParamError):
        simulate(item.map(x=xs), params={"zs": [1]}, cache=False)


def test_items_that_only_the_run_knows_are_said_or_counted_as_one() -> None:
    """A map over a value of another node; ``items=`` says how many, a wrong name is an error with the nearest."""
    target = item.map(x=step())
    made = simulate(target, cache=False)
    assert made.makespan == 2.0
    assert "how many items are in 'item' only the run knows: counted as one" in made.remarks
    assert simulate(target, items={"item": 10}, workers=2, cache=False).makespan == 1 + 5
    with pytest.raises(SettingError, match="Did you mean 'item'"):
        simulate(target, items={"itme": 10}, cache=False)
    with pytest.raises(SettingError, match="'step', which is no map"):
        simulate(target, items={"step": 10}, cache=False)
    with pytest.raises(SettingError, match="whole number of at least 0"):
        simulate(target, items={"item": -1}, cache=False)


# -- what only the run decides --------------------------------------------------------------------------------------


def way(selector: Any) -> Any:
    branches = {"short": step().named("brief"), "long": step(step().named("deep")).named("slow")}
    return cs.Router(selector, branches, name="way")


def test_the_longest_route_is_taken_unless_it_is_known() -> None:
    """The remark names it; ``routes=``, a Param or a plain key decide otherwise, and the other route does not run."""
    made = simulate(step(way(step().named("ask"))), cache=False)
    assert made.makespan == 4.0
    assert "router 'way' is taken to choose 'long', which takes longest of 2; routes= says otherwise" in made.remarks
    said = simulate(step(way(step().named("ask"))), routes={"way": "short"}, cache=False)
    assert said.makespan == 3.0
    assert said.remarks[-1] == "no order is faster"
    assert {said.graph.labels[n] for n in said.trace.node} == {"ask", "brief", "step"}
    for selector in ("short", cs.Param("which", default="short")):
        known = simulate(step(way(selector)), cache=False)
        assert (known.makespan, "is taken to choose" in remarks(known)) == (2.0, False)
    with pytest.raises(SettingError, match=r"no route for 'sort'.*Did you mean 'short'"):
        simulate(way(step()), routes={"way": "sort"}, cache=False)


def test_conditions_are_true_unless_they_are_known_to_be_false() -> None:
    """A Param that is false skips the node and what needs it; what only the run knows is told."""
    made = simulate(step(step().named("maybe").run_if(step().named("check"))), cache=False)
    assert made.makespan == 3.0
    assert "the run_if of 'maybe' is taken to be true" in made.remarks
    off = [step(step().run_if(cs.Param("on", default=False))), step().named("free")]
    made = simulate(off, cache=False)
    assert [made.graph.labels[node] for node in made.trace.node] == ["free"]


def test_amounts_of_params_are_known_and_others_are_told() -> None:
    """A Param's amount counts, and is checked; one that a node works out counts as 0."""
    two = [step().with_constraints(gpu=cs.Param("n", default=2)) for _ in range(3)]
    assert simulate(two, None, {"gpu": 2}, cache=False).makespan == 3.0
    with pytest.raises(CapacityError):
        simulate(two, None, {"gpu": 1}, cache=False)
    worked_out = simulate(step().with_constraints(gpu=step()), None, {"gpu": 1}, cache=False)
    assert "1 of 1 amounts are known only in the run: they count as 0" in worked_out.remarks


def test_growth_loops_and_resources_are_told() -> None:
    """What a run adds to its graph, how often it goes round, and what it opens, nobody knows before."""

    @cs.task
    def expand(n: int) -> cs.LazyResult[int]:
        return step(n)

    @cs.task
    def turn(n: int) -> Any:
        return cs.Jump("again", data=n + 1) if n < 3 else n

    @cs.resource
    def database() -> Any:
        yield 1

    @cs.task
    def ask(db: Any = cs.inject("database")) -> Any:
        return db

    loop = cs.bind(turn(0), cs.select_jump({"again": turn}))
    told = remarks(simulate([expand(1), loop, ask()], cache=False))
    assert "'expand' may return more work, which nobody knows before: it is left out" in told
    assert "'turn' is a loop: its duration is that of all its turns" in told
    assert "setting up resources is not counted" in told
