"""Step mode: each start waits for a Next, in the core as a pure machine and in real runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cascade as cs
from cascade.adapters.caching.memory import MemoryCache
from cascade.interfaces import events as ev
from cascade.interfaces.step_errors import UnknownNodeError
from cascade.runtime.scheduler import RUNNING
from cascade.runtime.stepping import Stepping
from cascade.spec.constraint import GlobalConstraint
from tests.runtime.by_hand import HEAPS, Hand, draw_calls
from tests.runtime.core_model import Call

# -- who is held, and whose turn it is ---------------------------------------------------------------------------------


def test_nobody_starts_without_a_turn_and_a_turn_is_used_once() -> None:
    """A held node starts after its Next, and is held again before its next start."""
    stepping = Stepping()
    assert not stepping.has_turn(4)
    assert stepping.hold(4, 0)
    assert not stepping.hold(4, 0)
    assert stepping.next(1) == [4]
    assert stepping.has_turn(4)
    stepping.begin(4)
    assert not stepping.has_turn(4)


def test_next_takes_those_that_the_plan_puts_first() -> None:
    """The order of the plan decides, not that of arrival."""
    stepping = Stepping()
    for node, place in ((7, 2), (8, 0), (9, 1)):
        stepping.hold(node, place)
    assert stepping.next(2) == [8, 9]
    assert list(stepping.held) == [7]


def test_a_next_that_finds_nobody_is_kept() -> None:
    """Three Nexts and one ready node: the two others go to those that become ready."""
    stepping = Stepping()
    stepping.hold(1, 1)
    assert stepping.next(3) == [1]
    stepping.begin(1)
    assert stepping.has_turn(2)
    stepping.begin(2)
    assert stepping.has_turn(2)
    stepping.begin(2)
    assert not stepping.has_turn(2)


def test_a_chosen_node_keeps_its_turn_until_it_is_ready() -> None:
    """Nobody else uses it; if the node never starts, others do."""
    stepping = Stepping()
    stepping.hold(1, 1)
    assert stepping.next(1, node=5) == []
    assert not stepping.has_turn(1)
    assert stepping.has_turn(5)
    assert stepping.drop(5) == [1]
    assert stepping.has_turn(1)


# -- the core, without loop or clock -----------------------------------------------------------------------------------


def begin(*calls: Call) -> Hand:
    """A flow in step mode in which nothing has started."""
    hand = Hand(list(calls), tuple(call.name for call in calls))
    hand.flow.step_side.enter()
    return hand


def starts(hand: Hand, *modes: str) -> list[tuple[str, Any]]:
    """Everything that may start now, by name with its attempt."""
    found = []
    for mode in modes or HEAPS:
        while (given_ := hand.take(mode))[0]:
            found.append(given_)
    hand.obey()
    return [(name, attempt) for name, attempt in found if attempt is not None]


def names(hand: Hand) -> list[str]:
    """The labels of the nodes that a Next would start."""
    return [hand.flow.graph.label(node) for node in hand.flow.step_side.ready]


def held_events(hand: Hand) -> list[str]:
    return [event.label for event in hand.flow.journal.events() if isinstance(event, ev.NodeHeld)]


def test_ready_nodes_are_held_in_each_mode_and_told_once() -> None:
    """Inline nodes, threads and the loop alike: one event for each, however often the core looks."""
    hand = begin(*[Call(f"n{place}", "task", mode=mode) for place, mode in enumerate(HEAPS)])
    assert starts(hand) == []
    assert starts(hand) == []
    assert sorted(names(hand)) == ["n0", "n1", "n2"]
    assert sorted(held_events(hand)) == ["n0", "n1", "n2"]
    hand.flow.step_side.next(1, hand.flow.step_side.find("n1"))
    assert [name for name, _ in starts(hand)] == ["n1"]
    assert sorted(names(hand)) == ["n0", "n2"]


def test_a_map_goes_item_by_item() -> None:
    """Each item takes a Next; the map is ready again as long as it has one."""
    hand = begin(Call("m", "map", mode="blocking", items=3))
    assert starts(hand) == []
    for index in range(3):
        assert names(hand) == ["m"]
        hand.flow.step_side.next(1)
        ((name, attempt),) = starts(hand)
        assert (name, attempt.index) == ("m", index)
    assert names(hand) == []


def test_a_turn_waits_for_capacity_and_is_not_lost() -> None:
    """Next for a node whose capacity is taken: it starts when it has it, without another Next."""
    calls = [Call(name, "task", mode="blocking", amounts=(("db", 1.0),)) for name in ("a", "b")]
    hand = begin(*calls)
    starts(hand)
    hand.flow.step_side.next(2)
    ((first, attempt),) = starts(hand)
    assert names(hand) == []
    waiting = [e for e in hand.flow.journal.events() if isinstance(e, ev.NodeWaiting)]
    assert [e.resource for e in waiting] == ["db"]
    hand.flow.outcomes.settle(attempt, 1, None)
    hand.obey()
    ((second, _),) = starts(hand)
    assert {first, second} == {"a", "b"}


def test_limits_hold_in_step_mode_too() -> None:
    """A limit that has no room parks a node before it is held; both must let it go."""
    hand = begin(Call("a", "task", mode="blocking"), Call("b", "task", mode="blocking"))
    hand.set_limit(GlobalConstraint("one", "global", "concurrency", {"limit": 1}))
    starts(hand)
    hand.flow.step_side.next(2)
    ((_, attempt),) = starts(hand)
    assert starts(hand) == []
    hand.flow.outcomes.settle(attempt, 1, None)
    hand.obey()
    assert len(starts(hand)) == 1
    hand.remove_limit("one")
    assert hand.flow.core.limits.active


def test_leaving_lets_all_go_and_cancelling_ends_all() -> None:
    """Run on starts everything that was held; a cancel while nodes are held cancels them."""
    hand = begin(Call("a", "task", mode="blocking"), Call("b", "task", mode="inline"))
    starts(hand)
    hand.flow.step_side.leave()
    assert not hand.flow.core.limits.active
    assert sorted(name for name, _ in starts(hand)) == ["a", "b"]
    hand = begin(Call("a", "task", mode="blocking"))
    starts(hand)
    hand.flow.cancel("enough")
    hand.flow.step_side.next(1)
    assert starts(hand) == []
    assert hand.flow.core.unfinished == 0
    assert names(hand) == []


def test_a_run_timeout_does_not_count_the_time_in_step_mode() -> None:
    """2 s of running are over after 2 s outside of step mode, however long someone thought meanwhile."""
    hand = begin(Call("a", "task", mode="blocking"))
    over: list[float] = []
    hand.flow.step_side.watch(2.0, lambda: over.append(hand.clock.time))

    def wait(seconds: float) -> None:
        hand.clock.time += seconds
        hand.obey()

    wait(60.0)
    assert over == []
    hand.flow.step_side.leave()
    wait(1.5)
    assert over == []
    hand.flow.step_side.enter()
    wait(10.0)
    hand.flow.step_side.leave()
    wait(0.4)
    assert over == []
    for _ in range(9):
        wait(10.0)
    assert len(over) == 1


@pytest.mark.slow
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_as_many_attempts_start_as_there_were_nexts(data: st.DataObject) -> None:
    """Random graphs of every kind, any order of ends: never a start without its Next, and Nexts enough end the run."""
    calls = draw_calls(data.draw, 0, 1, 6, [])
    hand = Hand(calls, tuple(call.name for call in calls))
    hand.flow.step_side.enter()
    running: list[Any] = []
    given_, begun = 0, 0
    for _ in range(400):
        fresh = starts(hand)
        begun += len(fresh)
        running += [attempt for _, attempt in fresh]
        assert begun <= given_
        if not hand.flow.core.unfinished:
            break
        ready = hand.flow.step_side.ready
        if ready and (not running or data.draw(st.booleans())):
            chosen = data.draw(st.sampled_from([None, *ready]))
            hand.flow.step_side.next(1, chosen)
            given_ += 1
        elif running:
            ended = running.pop(data.draw(st.integers(0, len(running) - 1)))
            hand.flow.outcomes.settle(ended, 1, None)
            hand.obey()
        else:
            hand.clock.time += 1.0  # a retry or a rate waits
            hand.obey()
    assert not hand.flow.core.unfinished, "a run that has its Nexts comes to its end"
    assert all(state != RUNNING for state in hand.flow.core.state)


# -- real runs -------------------------------------------------------------------------------------------------------


@cs.task
def load(x: int) -> int:
    return x


@cs.task(mode="inline")
def double(x: int) -> int:
    return 2 * x


@cs.task
async def rest(x: int) -> int:
    await asyncio.sleep(0)
    return x


@cs.task(pure=True)
def pure(x: int) -> int:
    return x


class Watcher:
    """Hears of what is held, so that a test waits for a fact and not for a time."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.seen: list[ev.Event] = []

    def __call__(self, event: ev.Event) -> None:
        with self.changed:
            self.seen.append(event)
            self.changed.notify_all()

    def wait_for(self, kind: type[ev.Event], count: int = 1) -> None:
        """Wait until so many events of a kind have come."""
        with self.changed:
            assert self.changed.wait_for(lambda: sum(type(e) is kind for e in self.seen) >= count, 10)


def start(target: Any, **options: Any) -> tuple[Any, Watcher]:
    watcher = Watcher()
    run = cs.start(target, log_level=None, step=True, subscribers=[watcher], **options)
    return run, watcher


def test_a_real_run_goes_step_by_step() -> None:
    """Threads, the loop and the driver: one start for each Next, in the order of the plan or as chosen."""
    run, watcher = start(rest(double(load(2))))
    watcher.wait_for(ev.NodeHeld)
    assert (run.ready, run.is_stepping, run.state) == (("load",), True, "running")
    run.next()
    watcher.wait_for(ev.NodeHeld, 2)
    assert run.ready == ("double",)
    run.next("double")
    run.next(count=1)
    assert run.result(10) == 4
    assert [type(e) for e in run.events].count(ev.NodeStarted) == 3


def test_run_on_leaves_step_mode() -> None:
    """After `resume` everything starts by itself, and the log says both."""
    run, watcher = start([load(number) for number in range(5)])
    watcher.wait_for(ev.NodeHeld, 5)
    run.resume()
    assert run.result(10) == [0, 1, 2, 3, 4]
    assert not run.is_stepping
    kinds = [type(e) for e in run.events]
    assert kinds.index(ev.StepModeEntered) < kinds.index(ev.StepModeLeft) < kinds.index(ev.NodeStarted)


def test_run_on_before_the_first_start_leaves_step_mode() -> None:
    """`resume` that comes while the store is still being asked counts: the run does not wait for ever."""
    asked, go = threading.Event(), threading.Event()

    class SlowStore(MemoryCache):
        def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
            asked.set()
            assert go.wait(10)
            return dict(super().get_many(keys))

    run = cs.start(pure(1), log_level=None, step=True, cache=SlowStore())
    assert asked.wait(10)
    assert run.is_stepping
    run.resume()
    go.set()
    assert run.result(10) == 1
    assert not run.is_stepping


def test_step_mode_can_begin_in_mid_run() -> None:
    """What runs goes on; what comes after it is held."""
    begun, go = threading.Event(), threading.Event()

    @cs.task
    def slow() -> int:
        begun.set()
        go.wait(10)
        return 1

    watcher = Watcher()
    run = cs.start(double(slow()), log_level=None, subscribers=[watcher])
    assert begun.wait(10)
    run.step()
    watcher.wait_for(ev.StepModeEntered)
    go.set()
    watcher.wait_for(ev.NodeHeld)
    assert run.ready == ("double",)
    run.next()
    assert run.result(10) == 2


def test_next_on_a_paused_run_goes_one_step() -> None:
    """As in a debugger: pause, then step; the run is not paused any more, but in step mode."""
    run, watcher = start(double(load(1)))
    watcher.wait_for(ev.NodeHeld)
    run.pause()
    assert run.state == "paused"
    run.next()
    watcher.wait_for(ev.NodeHeld, 2)
    assert (run.state, run.ready) == ("running", ("double",))
    run.resume()
    assert run.result(10) == 2


def test_a_run_that_is_held_can_be_cancelled() -> None:
    """Nothing hangs: the held nodes are cancelled and the handle says so."""
    run, watcher = start(double(load(1)))
    watcher.wait_for(ev.NodeHeld)
    run.cancel("enough")
    assert run.wait(10)
    assert run.state == "cancelled"
    assert run.ready == ()


def test_each_try_takes_a_next() -> None:
    """A node that failed and may try again is held before its next attempt."""
    tries: list[int] = []

    @cs.task
    def fragile() -> int:
        tries.append(1)
        if len(tries) < 2:
            raise OSError("not now")
        return 1

    run, watcher = start(fragile().with_retry(max_attempts=3))
    watcher.wait_for(ev.NodeHeld)
    run.next()
    watcher.wait_for(ev.NodeHeld, 2)
    assert len(tries) == 1
    run.next()
    assert run.result(10) == 1


def test_what_comes_from_the_store_takes_no_next(tmp_path: Any) -> None:
    """A stored result does not start, so nobody waits for it."""
    kept = cs.task(pure=True)(_three)()
    assert cs.run(kept, log_level=None, cache=tmp_path) == 3
    run = cs.start(kept, log_level=None, cache=tmp_path, step=True)
    assert run.result(10) == 3


def _three() -> int:
    return 3


def test_wrong_words_are_told() -> None:
    """An unknown node is an error with the nearest name, a count below 1 too; the run is as it was."""
    run, watcher = start(load(1))
    watcher.wait_for(ev.NodeHeld)
    with pytest.raises(UnknownNodeError, match=r"The run has no node 'laod'\..*'load'"):
        run.next("laod")
    with pytest.raises(ValueError, match="a whole number above 0, not 0"):
        run.next(count=0)
    run.next("load")
    assert run.result(10) == 1
