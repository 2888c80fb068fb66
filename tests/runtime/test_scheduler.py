"""The scheduler core as a pure machine: facts in, orders out; no threads, no loop, no clock."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cascade as cs
from cascade.adapters.solvers.native import NativeSolver
from cascade.graph.build import build, refs_in
from cascade.graph.check import check_amounts
from cascade.graph.ledger import Ledger
from cascade.graph.model import INLINE, LOOP, PROCESS, ROUTE, THREAD
from cascade.runtime import scheduler as core_
from cascade.runtime.limits import Limits
from cascade.runtime.scheduler import CANCELLED, DONE, FAILED, PENDING, RUNNING, SKIPPED, Scheduler
from cascade.spec.constraint import GlobalConstraint


@cs.task(mode="inline")
def step(*needs: object) -> int:
    return len(needs)


@cs.task
def work(*needs: object) -> int:
    return len(needs)


@cs.task
async def wait(*needs: object) -> int:
    return len(needs)


class Shell:
    """Obeys the core as the engine does; a test says what ends when, and what conditions and selectors give."""

    def __init__(self, target: Any, capacity: dict[str, float] | None = None) -> None:
        self.graph = build(target)
        self.plan = NativeSolver().solve(self.graph)
        self.now = 0.0
        self.limits = Limits(lambda: self.now, lambda: self.now)
        self.ledger = Ledger(capacity or {})
        self.core = Scheduler(self.graph, self.plan.rank, self.ledger, self.limits)
        self.core.amounts.update(check_amounts(self.graph, capacity))
        self.truth: dict[str, bool] = {}
        self.choice: dict[str, Any] = {}
        self.chosen: set[int] = set()
        self.told: list[tuple[str, str, str]] = []
        self.running: list[int] = []
        self.started: list[str] = []
        self.tickets: dict[int, Any] = {}
        self.core.begin(refs_in(self.graph.target), ())
        self.obey()

    def label(self, node: int) -> str:
        return self.graph.label(node)

    def obey(self) -> None:
        while self.core.orders:
            orders, self.core.orders = self.core.orders, []
            for order, node, text, _ in orders:
                self.told.append((order, self.label(node), text))
                if order == core_.EVALUATE and self.core.state[node] == PENDING:
                    self.evaluate(node)
                elif order == core_.USE_FALLBACK:
                    self.core.choose(node, refs_in(self.graph.fallbacks[node]))

    def evaluate(self, node: int) -> None:
        if node in self.graph.fallbacks and not self.core.has_fallback(node):
            self.core.succeed(node)
        elif self.graph.kinds[node] == ROUTE:
            if node in self.chosen:
                self.core.succeed(node)
                return
            self.chosen.add(node)
            route = self.graph.routes[node]
            self.core.choose(node, refs_in(route.branches[self.choice.get(self.label(node), 0)]))
        elif self.truth.get(self.label(node), True):
            self.core.open_gate(node)
        else:
            self.core.skip(node, "its run_if is false")

    def start(self, *modes: int) -> list[str]:
        """Start all that may start in `modes` (by default all); return the names in order."""
        fresh = []
        for mode in modes or (INLINE, THREAD, LOOP, PROCESS):
            while (node := self.core.take(mode)) >= 0:
                assert node not in self.running
                assert all(self.core.state[n] in (DONE, SKIPPED) for n in self.graph.needs_of(node))
                self.running.append(node)
                self.tickets[node], self.core.ticket = self.core.ticket, None
                fresh.append(self.label(node))
        self.started += fresh
        self.obey()
        return fresh

    def end(self, name: str, *, well: bool = True) -> None:
        node = next(n for n in self.running if self.label(n) == name)
        self.running.remove(node)
        if node in self.core.amounts:
            self.core.release(self.core.amounts[node])
        for freed in self.limits.leave(self.tickets.pop(node) or []):
            self.core.offer(freed)
        if well:
            self.core.succeed(node)
        elif self.core.has_fallback(node):
            self.core.fall_back(node, "it failed")
        else:
            self.core.fail(node)
        self.obey()

    def states(self) -> dict[str, int]:
        return {self.label(n): self.core.state[n] for n in range(len(self.graph))}


@st.composite
def layered(draw: st.DrawFn, *, hungry: bool = False) -> Any:
    """Draw a random graph of up to 25 calls in any mode; `hungry` ones ask for amounts of "cpu" and "db"."""
    made: list[Any] = []
    for number in range(draw(st.integers(1, 25))):
        needs = draw(st.lists(st.sampled_from(made), max_size=3)) if made else []
        kind = draw(st.sampled_from([step, work, wait]))
        call = kind(*needs).named(f"n{number}")
        if hungry:
            call = call.with_constraints(cpu=draw(st.integers(1, 3)), db=draw(st.integers(0, 1)))
        made.append(call)
    return made


@given(layered(), st.randoms(use_true_random=False))
def test_everything_runs_once_in_any_order_of_ends(made: list[Any], draw: random.Random) -> None:
    """Whatever ends first, each node starts exactly once, after all that it needs, and the run comes to its end."""
    shell = Shell(made)
    while shell.core.unfinished:
        shell.start()
        assert shell.running, "nothing runs and nothing can start: a deadlock"
        shell.end(shell.label(draw.choice(shell.running)))
    assert sorted(shell.started) == sorted(f"n{k}" for k in range(len(made)))
    assert not shell.core.orders


@given(layered())
def test_longest_remaining_path_comes_first(made: list[Any]) -> None:
    """Of all that could start, what starts is what the longest chain of others waits for."""
    shell = Shell([call for call in made if call._task is step] or [step().named("n0")])
    core, heights = shell.core, shell.plan.heights
    while core.unfinished:
        ready = [core.by_rank[rank] for rank in core.ready[INLINE]]
        node = core.take(INLINE)
        if node < 0:
            shell.start()
            for running in list(shell.running):
                shell.end(shell.label(running))
            continue
        assert heights[node] == max(heights[n] for n in ready)
        core.succeed(node)


@given(layered(), st.randoms(use_true_random=False), st.integers(0, 30))
def test_cancel_ends_everything_but_what_runs(made: list[Any], draw: random.Random, moment: int) -> None:
    """After a cancel nothing starts any more; what runs is waited for; no state changes twice."""
    shell = Shell(made)
    for _ in range(moment):
        shell.start()
        if shell.running:
            shell.end(shell.label(draw.choice(shell.running)))
    shell.core.cancel()
    shell.obey()
    assert shell.start() == []
    assert shell.core.unfinished == len(shell.running)
    final = {n: s for n, s in shell.states().items() if s not in (PENDING, RUNNING)}
    for node in list(shell.running):
        shell.end(shell.label(node))
    assert shell.core.unfinished == 0
    assert final.items() <= shell.states().items()
    assert set(shell.states().values()) <= {DONE, CANCELLED}


@given(layered(), st.randoms(use_true_random=False), st.sets(st.integers(0, 24)))
def test_failure_skips_exactly_what_needs_it(made: list[Any], draw: random.Random, failing: set[int]) -> None:
    """Skipped is what a failed node leads to, and nothing else; the rest has its value."""
    shell = Shell(made)
    while shell.core.unfinished:
        shell.start()
        name = shell.label(draw.choice(shell.running))
        shell.end(name, well=int(name[1:]) not in failing)
    needs = {shell.label(n): [shell.label(m) for m in shell.graph.needs_of(n)] for n in range(len(shell.graph))}
    for number in range(len(made)):
        name, states = f"n{number}", shell.states()
        wanted = DONE if number not in failing else FAILED
        if any(states[need] != DONE for need in needs[name]):
            wanted = SKIPPED
        assert states[name] == wanted


@given(layered(hungry=True), st.randoms(use_true_random=False))
def test_capacity_holds_and_nothing_starves(made: list[Any], draw: random.Random) -> None:
    """With amounts on every node, the sum of what runs never exceeds the capacity, and the run still ends."""
    shell = Shell(made, {"cpu": 3, "db": 1})
    amounts = {n: dict(a) for n, a in shell.core.amounts.items()}
    while shell.core.unfinished:
        shell.start()
        for name, capacity in (("cpu", 3), ("db", 1)):
            assert sum(amounts[n].get(name, 0) for n in shell.running) <= capacity
        assert shell.running, "the capacity is free and nobody gets it"
        shell.end(shell.label(draw.choice(shell.running)))
    assert not any(shell.ledger.used.values())


@given(layered(hungry=True), st.randoms(use_true_random=False), st.integers(1, 3))
def test_limits_and_capacities_together_hold_and_let_all_come(made: list[Any], draw: random.Random, few: int) -> None:
    """Under a capacity and a limit on some of the tasks neither is exceeded, and nobody waits for ever."""
    shell = Shell(made, {"cpu": 3, "db": 1})
    shell.limits.set(GlobalConstraint("few", "task:work", "concurrency", {"limit": few}))
    shell.limits.set(GlobalConstraint("one", "task:n1*", "concurrency", {"limit": 1}))
    while shell.core.unfinished:
        shell.start()
        names = [shell.graph.calls[n]._task.name for n in shell.running]
        assert names.count("work") <= few
        assert sum(shell.label(n).startswith("n1") for n in shell.running) <= 1
        assert shell.running, "there is room and nobody gets it"
        shell.end(shell.label(draw.choice(shell.running)))
    assert not any(shell.ledger.used.values())


# -- conditions, routes, fallbacks ----------------------------------------------------------------------------------


def test_false_condition_skips_node_its_needs_and_its_consumers() -> None:
    """What only a skipped node needs never starts; what needs the skipped node is skipped with the reason."""
    dear = step().named("dear")
    maybe = step(dear).named("maybe").run_if(step().named("ask"))
    shell = Shell(step(maybe).named("last"))
    shell.truth["maybe"] = False
    assert shell.start() == ["ask"]
    shell.end("ask")
    assert shell.start() == []
    assert shell.states() == {"last": SKIPPED, "maybe": SKIPPED, "ask": DONE, "dear": PENDING}
    assert ("tell_skipped", "last", "needs 'maybe', which was skipped") in shell.told
    assert shell.core.unfinished == 0


def test_only_the_chosen_route_starts() -> None:
    """Branches of a Router that are not taken are never wanted."""
    routes = {0: step().named("left"), 1: step().named("right")}
    router = cs.Router(selector=step().named("ask"), routes=routes, name="way")
    shell = Shell(router)
    shell.choice["way"] = 1
    shell.start()
    shell.end("ask")
    assert shell.start() == ["right"]
    shell.end("right")
    assert shell.states() == {"way": DONE, "ask": DONE, "left": PENDING, "right": DONE}


def test_after_goes_on_when_the_other_is_skipped_but_not_when_it_failed() -> None:
    """Order is about the end of the other: no end of a failed one is waited for."""
    for well, wanted in ((True, DONE), (False, SKIPPED)):
        other = step().named("other").run_if(step().named("ask")) if well else step().named("other")
        shell = Shell([step().named("late").after(other), other])
        shell.truth["other"] = False
        while shell.core.unfinished:
            for name in shell.start():
                shell.end(name, well=well)
        assert shell.states()["late"] == wanted


def test_two_lost_needs_use_the_fallback_once() -> None:
    """A node that loses two needs, or one need twice, turns to its fallback once and has its value."""
    lost, other = step().named("lost"), step().named("other")
    shell = Shell(step(lost, lost, other).named("node").with_fallback(0))
    shell.start()
    shell.end("lost", well=False)
    shell.end("other", well=False)
    assert shell.states()["node"] == DONE
    told = [told for told in shell.told if told[0] == "use_fallback"]
    assert told == [("use_fallback", "node", "needs 'lost', which failed")]


def test_late_condition_does_not_disturb_a_fallback() -> None:
    """A condition that is met after its node turned to the fallback changes nothing."""
    lost, slow, other = (step().named(n) for n in ("lost", "slow", "other"))
    first = step().named("first").run_if(lost).run_if([lost, slow]).with_fallback(other)
    shell = Shell(first)
    shell.start()
    shell.end("lost", well=False)
    assert shell.start() == ["other"]
    shell.end("slow")
    assert shell.states()["first"] == PENDING
    shell.end("other")
    assert shell.states()["first"] == DONE


def test_failure_counts_when_the_fallback_has_no_value() -> None:
    """A failed node whose fallback is skipped failed after all, and says so once."""
    gone = step().named("gone").run_if(step().named("ask"))
    shell = Shell(step(step().named("node").with_fallback(gone)).named("last"))
    shell.truth["gone"] = False
    assert shell.start() == ["node"], "a fallback is not wanted before it is needed"
    shell.end("node", well=False)
    assert shell.start() == ["ask"]
    shell.end("ask")
    assert shell.states() == {"last": SKIPPED, "node": FAILED, "gone": SKIPPED, "ask": DONE}
    assert ("keep_failure", "node", "it failed") in shell.told


def test_fallback_of_a_node_that_is_wanted_late() -> None:
    """A node behind a Router that lost its need before it was wanted still has its fallback."""
    lost = step().named("lost")
    late = step(lost).named("late").with_fallback(7)
    router = cs.Router(selector=step(step().named("first")).named("ask"), routes={0: late}, name="way")
    shell = Shell([router, step(lost).named("eager")])
    assert sorted(shell.start()) == ["first", "lost"]
    shell.end("lost", well=False)
    shell.end("first")
    shell.start()
    shell.end("ask")
    assert shell.states()["late"] == DONE
    assert shell.states()["way"] == DONE


# -- limits and maps ------------------------------------------------------------------------------------------------


def test_map_takes_capacity_by_items_also_when_several_are_granted() -> None:
    """A map that waits for several items at once gets each amount once, and gives each back once."""
    items = work.map([1, 2, 3, 4]).with_constraints(db=1).named("items")
    shell = Shell(items, {"db": 2})
    node = 0
    assert shell.core.take(THREAD) == node
    for _ in range(3):
        shell.core.offer(node)
    assert [shell.core.take(THREAD) for _ in range(4)] == [node, -1, -1, -1]
    assert shell.ledger.used["db"] == 2
    one = (("db", 1.0),)
    shell.core.release(one)
    shell.core.release(one)
    assert shell.ledger.used["db"] == 2, "both are granted to the items that wait"
    assert [shell.core.take(THREAD) for _ in range(3)] == [node, node, -1]
    shell.core.release(one)
    shell.core.release(one)
    assert shell.ledger.used["db"] == 0


def test_node_held_by_a_limit_gives_its_capacity_to_others() -> None:
    """A grant that a limit keeps from being used goes to the next in the queue."""
    calls = [work().named(n).with_constraints(db=1) for n in ("a", "b", "c")]
    shell = Shell(calls, {"db": 1})
    first = shell.start()[0]
    left = [n for n in ("a", "b", "c") if n != first]
    shell.limits.set(GlobalConstraint("stop", f"task:{left[0]}", "pause"))
    shell.end(first)
    assert shell.start() == [left[1]]


def test_paused_core_starts_nothing() -> None:
    """A pause holds everything back, and nothing is lost by it."""
    shell = Shell([step().named("a"), work().named("b"), wait().named("c")])
    shell.core.paused = True
    assert shell.start() == []
    shell.core.paused = False
    assert sorted(shell.start()) == ["a", "b", "c"]


def test_circle_is_named() -> None:
    """Nodes that need each other are an error that names them; it cannot be written but by changing a Router."""
    router = cs.Router(selector=0, routes={0: 1}, name="way")
    router.routes[0] = step(router).named("round")
    with pytest.raises(ValueError, match=r"need each other in a circle: .*way"):
        Shell(router)
