"""Timeouts, retries, fallbacks and collecting hold for a call with all that it returned."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.interfaces.exceptions import NodeTimeoutError

QUIET: dict[str, Any] = {"log_level": None}


@cs.task(mode="inline")
def plus(*numbers):
    return sum(numbers)


@cs.task
def boom(x=0):
    raise ValueError(f"no {x}")


@cs.task
async def endless():
    await asyncio.Event().wait()


@cs.task
def odd(x):
    if x % 2 == 0:
        raise ValueError(f"{x} is even")
    return x


def call_odd(x):
    """Return a call: the body of tasks that grow."""
    return odd(x)


def grower(make, mode="blocking"):
    """Return a task that returns what `make` does."""
    return cs.task(name="outer", mode=mode)(make)


def last_words(run):
    """Return the kind of the last event about each node."""
    return {e.node: type(e).__name__ for e in run.events if isinstance(e, ev.NodeEvent)}


# -- fallbacks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["inline", "blocking"])
def test_a_fallback_stands_in_for_what_was_returned(mode):
    """What was returned fails: the call has its fallback, what comes after goes on, and the run completes."""
    run = cs.start(plus(grower(lambda: plus(boom(), 1), mode)().with_fallback(40), 2), **QUIET)
    assert run.result(10) == 42
    assert run.state == "completed"
    words = last_words(run)
    assert (words["boom"], words["outer"]) == ("NodeFailed", "NodeCompleted")


def test_a_fallback_serves_a_whole_map():
    """A map of which an item returned something that fails has its fallback, with rules for each item or without."""
    items = cs.task(call_odd, name="items")
    assert cs.run(items.map(x=[1, 2, 3]).with_fallback("none"), **QUIET) == "none"
    assert cs.run(items.map(x=[1, 2, 3]).with_retry(2).with_fallback("none"), **QUIET) == "none"


def test_a_failure_with_a_fallback_of_its_own_is_no_failure_of_the_call():
    """What is seen to further inside does not reach the call around it."""
    inner = cs.task(name="inner")(lambda: boom(1))
    calls = []

    def make():
        calls.append(1)
        return plus(inner().with_fallback(1), 1)

    assert cs.run(grower(make)().with_retry(3).with_fallback(0), **QUIET) == 2
    assert calls == [1]


def test_a_call_fails_when_one_of_its_nodes_does_though_its_value_would_come():
    """A part is to its call what a run is to its target: a failed node is a failure, even if another one stands in."""
    make = grower(lambda: plus(boom(1), boom(2)).with_fallback(7))
    with pytest.raises(ValueError, match="no"):
        cs.run(make(), **QUIET)
    assert cs.run(make().with_fallback("all"), **QUIET) == "all"


@pytest.mark.parametrize("on_failure", ["cancel", "continue"])
def test_a_failure_without_rules_around_is_the_run_s(on_failure):
    """A timeout alone sees to no failure; neither does the rule of a call that has nothing to do with it."""
    timed = grower(lambda: boom(0))().with_timeout(60)
    run = cs.start([timed, plus(1).with_fallback(0)], on_failure=on_failure, **QUIET)
    assert isinstance(run.exception(10), ValueError)
    assert run.state == "failed"


# -- timeouts ---------------------------------------------------------------------------------------------------------


def test_a_timeout_ends_what_was_returned():
    """The clock starts with the call; when it is over, what was returned is cancelled and the call fails."""
    run = cs.start(grower(lambda: [endless(), plus(endless(), 1)])().with_timeout(0.1), **QUIET)
    with pytest.raises(NodeTimeoutError, match=r"'outer' took longer than its timeout of 0\.1 s") as caught:
        run.result(10)
    assert any("'outer'" in note for note in caught.value.__notes__)
    assert set(last_words(run).values()) == {"NodeFailed", "NodeCancelled"}


def test_a_timeout_leads_to_another_try_and_to_the_fallback():
    """A call that timed out is like any that did: it is called again, and falls back at last."""
    calls = []
    make = grower(lambda: (calls.append(1), endless())[1])
    assert cs.run(make().with_timeout(0.05).with_retry(2).with_fallback("late"), **QUIET) == "late"
    assert len(calls) == 2


def test_a_thread_that_cannot_be_stopped_is_named_and_keeps_its_capacity():
    """The call fails in time; the thread inside goes on to its end, and nobody gets its capacity before."""
    ends, most, now, lock = threading.Event(), 0, 0, threading.Lock()

    @cs.task
    def stuck():
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        ends.wait(20)
        with lock:
            now -= 1

    call = grower(lambda: stuck().with_constraints(seat=1))().with_timeout(0.05).with_retry(3).with_fallback("late")
    run = cs.start(call, system_resources={"seat": 1}, **QUIET)
    run.subscribe(lambda e: ends.set() if isinstance(e, ev.NodeCompleted) else None, batched=False)
    assert run.result(20) == "late"
    assert most == 1
    assert any(isinstance(e, ev.NodeAbandoned) and "not needed any more" in e.reason for e in run.events)


def test_what_another_call_needs_is_not_stopped():
    """A call that two others returned goes on for the one whose time is not over."""
    shared = cs.task(name="shared")(lambda: gate.wait(20) and 5)()
    gate = threading.Event()
    first = cs.task(name="first")(lambda: shared)
    second = cs.task(name="second")(lambda _: plus(shared, 1))
    ready = cs.task(name="ready", mode="inline")(lambda: 0)
    run = cs.start([first().with_timeout(0.2).with_fallback("late"), second(ready())], **QUIET)
    run.subscribe(lambda e: gate.set() if isinstance(e, ev.NodeFailed) else None, batched=False)
    assert run.result(20) == ["late", 6]


# -- retries ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["inline", "blocking"])
def test_a_retry_calls_the_function_again(mode):
    """The function is called again, and what it returns then is the value; each try says why the last one failed."""
    calls = []

    def make():
        calls.append(1)
        return odd(len(calls) + 1)

    run = cs.start(plus(grower(make, mode)().with_retry(3), 1), **QUIET)
    assert run.result(10) == 4
    retries = [e for e in run.events if isinstance(e, ev.NodeRetrying)]
    assert [(e.node, e.attempt, e.error) for e in retries] == [("outer", 1, "2 is even")]
    edges = {(edge.source, edge.target) for edge in run.graph.edges}
    assert ("odd#2", "outer") in edges
    assert ("odd", "outer") not in edges


def test_a_plain_value_at_the_second_try_is_the_value():
    """What was returned first is forgotten when the second try returns something else."""
    calls = []
    make = grower(lambda: (calls.append(1), 7 if len(calls) > 1 else boom())[1])
    run = cs.start(plus(make().with_retry(2), 1), **QUIET)
    assert run.result(10) == 8
    assert ("boom", "outer") not in {(edge.source, edge.target) for edge in run.graph.edges}


def test_when_no_try_is_left_the_error_is_that_of_the_inner_node():
    """It names the node that raised it and the call with its attempt, and retry_on decides as for any error."""
    with pytest.raises(ValueError, match="no 0") as caught:
        cs.run(grower(lambda: boom(0))().with_retry(2), **QUIET)
    assert [note.split(",")[0] for note in caught.value.__notes__] == ["In the node 'boom'", "In the node 'outer'"]
    calls = []
    make = grower(lambda: (calls.append(1), boom())[1])
    with pytest.raises(ValueError, match="no 0"):
        cs.run(make().with_retry(5, retry_on=OSError), **QUIET)
    assert calls == [1]


def test_pure_calls_that_are_done_are_not_repeated():
    """Of two tries, equal pure calls are one node if they have a value, and are made anew if they failed."""
    done, failed = [], []

    @cs.task(pure=True)
    def steady(x):
        done.append(x)
        return x

    @cs.task(pure=True)
    def shaky(x):
        failed.append(x)
        if len(failed) < 3:
            raise OSError("not yet")
        return x

    assert cs.run(grower(lambda: shaky(steady(20)))().with_retry(3), **QUIET) == 20
    assert (done, failed) == ([20], [20, 20, 20])


def test_the_last_turn_of_a_loop_is_tried_again():
    """A loop that ends with a call that fails takes its last turn again, not its first."""
    turns = []

    @cs.task
    def step(n):
        turns.append(n)
        return odd(len(turns) + 1) if n == 2 else cs.Jump("on", data=n + 1)

    assert cs.run(cs.bind(step(0), cs.select_jump({"on": step})).with_retry(2), **QUIET) == 5
    assert turns == [0, 1, 2, 2]


def test_amounts_are_taken_again_for_each_try():
    """A call that waits for what it returned holds nothing, and takes its amounts anew when it is tried again."""
    calls = []
    make = grower(lambda: (calls.append(1), odd(len(calls) + 1).with_constraints(seat=1))[1])
    run = cs.start(make().with_retry(2).with_constraints(seat=1), system_resources={"seat": 1}, timeout=20, **QUIET)
    assert run.result(20) == 3


def test_what_cannot_be_added_is_a_failure_like_any_other():
    """A call that returned what cannot run is tried again, and falls back."""
    calls = []
    make = grower(lambda: (calls.append(1), plus(1).with_constraints(gpu=1 if len(calls) > 1 else 9))[1])
    assert cs.run(make().with_retry(2), system_resources={"gpu": 1}, **QUIET) == 1


def test_a_run_can_be_retried_after_a_call_that_was():
    """What failed for good runs again in a retry of the run."""
    calls = []
    make = grower(lambda: (calls.append(1), odd(2 if len(calls) < 3 else 3))[1])
    run = cs.start([make().with_retry(2), plus(1)], on_failure="continue", **QUIET)
    assert isinstance(run.exception(10), ValueError)
    assert run.retry().result(10) == [3, 1]


# -- maps -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["inline", "blocking"])
@pytest.mark.parametrize("attempts", [1, 2])
def test_collecting_holds_for_what_items_returned(mode, attempts):
    """An item whose call fails gives its error, the others their values."""
    items = cs.task(call_odd, name="items", mode=mode)
    mapped = items.map(x=[1, 2, 3], on_error="collect").with_retry(attempts)
    found = cs.run(mapped if attempts > 1 else items.map(x=[1, 2, 3], on_error="collect"), **QUIET)
    assert [found[0], str(found[1]), found[2]] == [1, "2 is even", 3]


def test_an_item_that_is_skipped_is_collected_as_missing():
    """An item whose call is skipped has no value, and says so."""
    items = cs.task(lambda x: plus(x).run_if(x != 2), name="items")
    found = cs.run(items.map(x=[1, 2], on_error="collect"), **QUIET)
    assert found[0] == 1
    assert isinstance(found[1], cs.DependencyMissingError)
    assert "items[1]" in str(found[1])


def test_only_the_item_that_failed_is_tried_again():
    """Of a map with retries, an item whose call failed is called again by itself."""
    calls = []

    @cs.task
    def items(x):
        calls.append(x)
        return odd(x + calls.count(2) - 1) if x == 2 else odd(x)

    assert cs.run(items.map(x=[1, 2, 3]).with_retry(2), **QUIET) == [1, 3, 3]
    assert sorted(calls) == [1, 2, 2, 3]


def test_a_timeout_of_a_map_is_that_of_each_item():
    """An item whose call takes too long fails alone when collecting, else with the map."""
    items = cs.task(lambda x: endless() if x == 2 else odd(x), name="items")
    found = cs.run(items.map(x=[1, 2, 3], on_error="collect").with_timeout(0.1), **QUIET)
    assert isinstance(found[1], NodeTimeoutError)
    run = cs.start(cs.task(lambda _: endless(), name="all").map([1, 2]).with_timeout(0.1), **QUIET)
    assert isinstance(run.exception(10), NodeTimeoutError)
    assert run.state == "failed"


def test_max_concurrency_counts_items_with_what_they_returned():
    """No other item begins before the calls that one returned have ended, failed or been given up."""
    most, lock, calls = 0, threading.Lock(), []
    now: set[int] = set()

    @cs.task
    async def end(x):
        await asyncio.sleep(0)
        now.discard(x)
        if x % 3 == 0 and calls.count(x) < 2:
            raise ValueError(x)
        return x

    @cs.task
    def items(x):
        nonlocal most
        with lock:
            calls.append(x)
            now.add(x)
            most = max(most, len(now))
        return [plus(end(x), 0)]

    mapped = items.map(x=range(20), max_concurrency=2)
    assert cs.run(mapped.with_retry(2), timeout=20, **QUIET) == [[x] for x in range(20)]
    assert most == 2
    calls.clear()
    found = cs.run(items.map(x=range(20), max_concurrency=1, on_error="collect"), timeout=20, **QUIET)
    assert [isinstance(each, ValueError) for each in found] == [x % 3 == 0 for x in range(20)]


def test_a_map_that_fails_stops_what_its_other_items_returned():
    """The item's error is the map's, and nothing goes on for the others."""
    began = threading.Event()

    @cs.task
    async def waits():
        began.set()
        await asyncio.Event().wait()

    late = cs.task(name="late")(lambda: began.wait(10) and odd(2))
    items = cs.task(lambda x: waits() if x else late(), name="items")
    run = cs.start(items.map(x=[0, 1]).with_timeout(60), **QUIET)
    assert isinstance(run.exception(10), ValueError)
    words = last_words(run)
    assert (words["waits"], words["items"]) == ("NodeCancelled", "NodeFailed")


# -- parts of parts ---------------------------------------------------------------------------------------------------


def test_what_others_share_fails_for_them_too():
    """A failure that one call sees to is the failure of every other that needs the same node."""
    shared = boom(3)
    first = cs.task(name="first")(lambda: shared)
    second = cs.task(name="second", mode="inline")(lambda: plus(shared, 1))
    assert cs.run([first().with_fallback(0), second().with_fallback(1)], **QUIET) == [0, 1]
    with pytest.raises(ValueError, match="no 3"):
        cs.run([first().with_fallback(0), second()], **QUIET)


def test_rules_hold_at_any_depth():
    """A failure deep inside is the failure of the nearest call with rules, across calls that have none."""
    calls = []

    @cs.task(mode="inline")
    def down(n):
        calls.append(n)
        return down(n - 1) if n else odd(calls.count(0) + 1)

    assert cs.run(grower(lambda: down(500))().with_retry(2), **QUIET) == 3
    assert len(calls) == 2 * 501
    stop = cs.task(name="stop")(lambda: [endless()])
    assert cs.run(grower(lambda: [stop(), boom()])().with_fallback("none"), **QUIET) == "none"


def test_maps_and_loops_inside_are_stopped():
    """A map with many items and a loop that would turn for ever end with the part that they belong to."""

    @cs.task
    def turn(n):
        return cs.Jump("on", data=n + 1)

    @cs.task
    async def item(x):
        await asyncio.sleep(0 if x < 3 else 60)
        return x

    loop = cs.bind(turn(0), cs.select_jump({"on": turn}))
    make = grower(lambda: [item.map(x=range(100)), item.map(x=iter(range(100))), loop])
    run = cs.start(make().with_timeout(0.2).with_fallback("late"), **QUIET)
    assert run.result(20) == "late"
    words = last_words(run)
    assert {words[node] for node in words if node != "outer"} == {"NodeCancelled"}


@pytest.mark.slow
def test_processes_inside_are_ended():
    """A task in another process that a call returned is ended with it."""
    from tests.runtime.growth_bodies import sleep_long

    run = cs.start(grower(lambda: [sleep_long()])().with_timeout(1.0).with_fallback("late"), **QUIET)
    assert run.result(30) == "late"
    assert any(isinstance(e, ev.NodeAbandoned) and "its process is ended" in e.reason for e in run.events)


@pytest.mark.slow
def test_ten_thousand_calls_with_rules_are_linear():
    """Each call that grew and failed costs what it added, not what is there already."""
    import time

    items = cs.task(call_odd, name="items", mode="inline")

    def seconds(n):
        start = time.perf_counter()
        found = cs.run(items.map(x=range(n), on_error="collect"), **QUIET)
        assert sum(isinstance(each, ValueError) for each in found) == n // 2
        return time.perf_counter() - start

    seconds(100)
    assert seconds(10_000) < 40 * seconds(1000) + 0.5


# -- the store --------------------------------------------------------------------------------------------------------


def stack(add):
    """Return a target of three pure tasks, of which the innermost, which only the run sees, adds `add`."""
    if add == 1:
        inner = cs.task(pure=True, name="inner")(lambda x: x + 1)
    else:
        inner = cs.task(pure=True, name="inner")(lambda x: x + 100)

    @cs.task(pure=True)
    def outer(x):
        return inner(x)

    @cs.task(pure=True)
    def top(x):
        return ["top", x]

    return outer, top


def test_a_changed_inner_task_is_noticed_above(tmp_path):
    """What needs a call that grew is looked up by the value that it has now, since its recipe knows nothing of it."""
    everything = {"inner", "outer", "top"}
    for add, recalled in ((1, set()), (1, everything), (100, {"outer"}), (1, everything)):
        outer, top = stack(add)
        run = cs.start(top(outer(1)), cache=tmp_path, **QUIET)
        assert run.result(10) == ["top", 1 + add]
        assert {e.node for e in run.events if isinstance(e, ev.NodeRecalled)} == recalled


def test_items_that_return_calls_are_stored_as_what_these_give(tmp_path):
    """Of a remembered map whose items return calls, the calls are stored, not their recipe with the code of then."""
    for add in (1, 1, 100):
        outer, _ = stack(add)
        run = cs.start(outer.map(x=[1, 2]), cache=tmp_path, **QUIET)
        assert run.result(10) == [1 + add, 2 + add]
    assert cs.run(stack(100)[0](1), cache=tmp_path, **QUIET) == 101


def test_a_policy_on_a_call_that_grows_is_not_passed_over_in_silence(tmp_path, caplog):
    """Its value is not stored, a warning says so once and what to write instead, and each run computes it."""
    calls = []

    def make():
        calls.append(1)
        return plus(1, 2)

    outer = grower(make)
    for count in (1, 2):
        run = cs.start([outer().with_cache(cs.cache.ttl(60)) for _ in range(2)], cache=tmp_path, **QUIET)
        assert run.result(10) == [3, 3]
        assert len(calls) == 2 * count
    said = [record.getMessage() for record in caplog.records if "is not remembered" in record.getMessage()]
    assert len(said) == 2
    assert "'outer'" in said[0]
    assert "Give the policy to these calls" in said[0]
