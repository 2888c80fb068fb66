"""Loops that are written down: `bind`, `select_jump`, `Jump`."""

from __future__ import annotations

import asyncio
import threading
import tracemalloc
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.interfaces.exceptions import JumpError, NodeTimeoutError
from cascade.spec.constraint import GlobalConstraint

QUIET: dict[str, Any] = {"log_level": None}


@cs.task(mode="inline")
def count(n, most=10, step=1):
    return cs.Jump("more", data={"n": n + step, "most": most, "step": step}) if n < most else cs.Jump("end", data=n)


JUMPS = cs.select_jump({"more": count, "end": None})


def test_a_loop_turns_until_a_jump_ends_it():
    """The value of the loop is the data of the jump that ended it; others use it like any value."""

    @cs.task
    def double(x):
        return 2 * x

    assert cs.run(double(cs.bind(count(0, most=5), JUMPS)), **QUIET) == 10


def test_a_value_that_is_no_jump_ends_the_loop():
    """A task of a loop may just return its result."""

    @cs.task
    def collatz(n):
        return cs.Jump("on", n // 2 if n % 2 == 0 else 3 * n + 1) if n > 1 else "one"

    assert cs.run(cs.bind(collatz(27), cs.select_jump({"on": collatz})), **QUIET) == "one"


def test_states_may_be_of_different_tasks_and_modes():
    """A machine whose states run in a thread, on the loop and on the scheduler goes through all of them."""

    @cs.task
    def red(seen):
        return cs.Jump("green", [*seen, f"red {threading.current_thread() is threading.main_thread()}"])

    @cs.task
    async def green(seen):
        await asyncio.sleep(0)
        return cs.Jump("yellow", [*seen, "green"])

    @cs.task(mode="inline")
    def yellow(seen):
        return cs.Jump("off", [*seen, "yellow"])

    lights = cs.select_jump({"red": red, "green": green, "yellow": yellow, "off": None})
    assert cs.run(cs.bind(red([]), lights), **QUIET) == ["red False", "green", "yellow"]


def test_a_route_to_a_call_keeps_the_arguments_that_the_jump_does_not_bring():
    """A lazy result as a route brings its own arguments, lazy ones too; the data replaces those of the same name."""

    @cs.task
    def rate():
        return 10

    @cs.task
    def grow(balance, interest, years=0):
        if years == 2:
            return balance
        return cs.Jump("year", {"balance": balance + interest, "years": years + 1})

    start = grow(100, rate())
    assert cs.run(cs.bind(start, cs.select_jump({"year": start})), **QUIET) == 120
    by_first = cs.bind(grow(100, interest=rate(), years=1), cs.select_jump({"year": grow(0, interest=5, years=2)}))
    assert cs.run(by_first, **QUIET) == 110


def test_a_jump_without_data_ends_with_none_or_calls_as_the_route_says():
    """No data: nothing is replaced, and a loop that ends so has the value None."""
    calls = []

    @cs.task
    def step(x=0):
        calls.append(x)
        return cs.Jump("again" if len(calls) < 3 else "end")

    assert cs.run(cs.bind(step(1), cs.select_jump({"again": step(7), "end": None})), **QUIET) is None
    assert calls == [1, 7, 7]


def test_a_hundred_thousand_turns_take_no_more_memory_than_a_thousand():
    """What a loop keeps does not grow with its turns: no nodes, no attempts, few events."""

    def peak(turns):
        tracemalloc.start()
        try:
            assert cs.run(cs.bind(count(0, most=turns), JUMPS), **QUIET) == turns
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)
    assert peak(20_000) < peak(1000) + 600_000  # of all threads of this process; a node for each turn would be 10 MB


@pytest.mark.slow
def test_a_hundred_thousand_turns_come_to_an_end():
    """A long loop in a thread, with a capacity, ends and tells of its turns now and then."""
    turn = cs.task(count.func)
    loop = cs.bind(turn(0, most=100_000), cs.select_jump({"more": turn, "end": None})).with_constraints(cpu=1)
    run = cs.start(loop, system_resources={"cpu": 1}, **QUIET)
    assert run.result(100) == 100_000
    told = [e for e in run.events if isinstance(e, ev.LoopTurned)]
    assert 0 < len(told) < 10_000
    assert len(run.events) < 20_000
    acquired = sum(isinstance(e, ev.ResourceAcquired) for e in run.events)
    assert acquired == sum(isinstance(e, ev.ResourceReleased) for e in run.events)


def test_a_loop_shares_its_capacity_with_those_who_wait():
    """Between two turns others may have the capacity: a loop does not keep them waiting to its end."""
    order = []

    @cs.task
    def turn(n):
        order.append("turn")
        return cs.Jump("on", n - 1) if n else "end"

    @cs.task
    def other():
        order.append("other")

    loop = cs.bind(turn(200), cs.select_jump({"on": turn})).with_constraints(seat=1)
    cs.run([loop, other().with_constraints(seat=1)], system_resources={"seat": 1}, timeout=20, **QUIET)
    assert order.index("other") < len(order) - 1


def test_a_turn_is_tried_again_without_the_turns_before_it():
    """Retries and timeouts are those of each turn."""
    tries: dict[int, int] = {}

    @cs.task
    def flaky(n):
        tries[n] = tries.get(n, 0) + 1
        if tries[n] < 2:
            raise ConnectionError(str(n))
        return cs.Jump("on", n + 1) if n < 3 else n

    loop = cs.bind(flaky(0), cs.select_jump({"on": flaky})).with_retry(max_attempts=2)
    assert cs.run(loop, **QUIET) == 3
    assert tries == {0: 2, 1: 2, 2: 2, 3: 2}

    @cs.task
    async def slow(n):
        await asyncio.sleep(0 if n < 3 else 60)
        return cs.Jump("on", n + 1)

    with pytest.raises(NodeTimeoutError, match="slow"):
        cs.run(cs.bind(slow(0), cs.select_jump({"on": slow})).with_timeout(0.1), **QUIET)


def test_a_resource_lives_through_all_turns():
    """A run-wide resource is opened once for the loop, and whoever comes later uses the same."""
    diary = []

    @cs.resource
    def book():
        diary.append("open")
        yield diary
        diary.append("close")

    @cs.task
    def write(n, to=cs.inject(book)):
        to.append(n)
        return cs.Jump("on", n - 1) if n else "end"

    assert cs.run(cs.bind(write(2), cs.select_jump({"on": write})), **QUIET) == "end"
    assert diary == ["open", 2, 1, 0, "close"]


def test_an_endless_loop_can_be_cancelled_paused_and_limited():
    """Between turns a loop is like any ready node: it stops, waits and is counted by limits."""

    @cs.task(mode="inline")
    def forever(n=0):
        return cs.Jump("on", n + 1)

    loop = cs.bind(forever(), cs.select_jump({"on": forever}, max_jumps=10**9))
    run = cs.start(loop, **QUIET)
    run.set_limit(GlobalConstraint("slow", "global", "rate_limit", {"rate": 100}))
    run.pause()
    run.resume()
    run.cancel()
    assert run.wait(10)
    assert run.state == "cancelled"


def test_a_cancelled_loop_gives_back_what_it_kept_between_turns():
    """Capacities and resources are free, and closed once, however the loop was stopped."""
    diary = []

    @cs.resource
    def book():
        diary.append("open")
        try:
            yield diary
        finally:
            diary.append("close")

    @cs.task(mode="inline")
    def forever(n=0, to=cs.inject(book)):
        return cs.Jump("on", n + 1)

    loop = cs.bind(forever(), cs.select_jump({"on": forever}, max_jumps=10**9)).with_constraints(cpu=1)
    run = cs.start(loop, system_resources={"cpu": 1}, **QUIET)

    def stop(event):
        if isinstance(event, ev.LoopTurned):
            run.cancel()

    run.subscribe(stop, batched=False)
    assert run.wait(10)
    assert diary == ["open", "close"]
    usage = [e for e in run.events if isinstance(e, (ev.ResourceAcquired, ev.ResourceReleased)) and e.resource == "cpu"]
    assert usage[-1].usage == 0.0


class Counter:
    def __init__(self, most: int) -> None:
        self.most = most

    @cs.task
    def step(self, n: int, by: int = 1) -> Any:
        return cs.Jump("go", data=n + by) if n < self.most else cs.Jump("end", data=n)


def test_a_loop_over_a_method_with_arguments_given_beforehand() -> None:
    """Data that is no dict takes the place of the first argument after the object."""
    counter = Counter(10)
    jumps = cs.select_jump({"go": counter.step(0, by=3), "end": None})
    assert cs.run(cs.bind(counter.step(1), jumps), **QUIET) == 11


# -- mistakes -------------------------------------------------------------------------------------------------------


def test_wrong_jumps_are_told_with_what_would_be_right():
    """Unknown keys, unknown parameters, no loop, no end: each is a failure of the node with a sentence."""

    @cs.task
    def off(n):
        return cs.Jump("mroe", n)

    with pytest.raises(JumpError, match=r"'off' jumped to 'mroe', but its routes are more, end\. Did you mean 'more'"):
        cs.run(cs.bind(off(1), JUMPS), **QUIET)
    with pytest.raises(JumpError, match="no loop is bound to it"):
        cs.run(off(1), **QUIET)
    inline = cs.task(mode="inline")(off.func)
    with pytest.raises(JumpError, match="no loop is bound to it"):
        cs.run(inline(1), **QUIET)
    with pytest.raises(JumpError, match="no loop is bound to it"):
        cs.run(off.map(n=[1]), **QUIET)

    @cs.task
    def wrong_data():
        return cs.Jump("more", {"nn": 1})

    with pytest.raises(JumpError, match=r"data for 'nn', but 'count' has no parameter of that name\. Did you mean 'n'"):
        cs.run(cs.bind(wrong_data(), JUMPS), **QUIET)
    endless = cs.bind(count(0, most=100), cs.select_jump({"more": count, "end": None}, max_jumps=5))
    with pytest.raises(JumpError, match="has jumped 5 times without an end"):
        cs.run(endless, **QUIET)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cs.select_jump({}), "takes a dict"),
        (lambda: cs.select_jump([count]), "takes a dict"),
        (lambda: cs.select_jump({"a": 3}), "The route 'a' of cs.select_jump leads to 3"),
        (lambda: cs.select_jump({"a": count.map(n=[1])}), "The route 'a'"),
        (lambda: cs.bind(count(1), {"more": count}), "cs.bind takes the call and what cs.select_jump returned"),
        (lambda: cs.bind(count, JUMPS), "A loop begins with a call of a task"),
        (lambda: cs.bind(count.map(n=[1]), JUMPS), "A loop begins with a call of a task"),
    ],
)
def test_wrong_loops_are_refused_where_they_are_written(make, message):
    """What is no loop is an error at that line."""
    with pytest.raises(JumpError, match=message):
        make()


def test_max_jumps_is_a_number():
    """A bound that is none is refused at once."""
    with pytest.raises(ValueError, match="max_jumps is a whole number of at least 1, not 0"):
        cs.select_jump({"a": None}, max_jumps=0)
