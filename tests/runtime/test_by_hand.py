"""Single moments of a run, one after the other, in the only order in which they once went wrong."""

from __future__ import annotations

from typing import Any

import pytest

import cascade as cs
from cascade.spec.constraint import GlobalConstraint
from tests.runtime.by_hand import HEAPS, WORDS, Hand
from tests.runtime.core_model import Call, Replay


def start_all(hand: Hand) -> dict[str, Any]:
    """Start whatever may start; return the attempts by name."""
    found: dict[str, Any] = {}
    for mode in HEAPS:
        while (taken := hand.take(mode))[0]:
            found[taken[0]] = taken[1]
    hand.obey()
    return found


def settle(hand: Hand, attempt: Any, value: Any, error: Exception | None = None) -> None:
    hand.flow.outcomes.settle(attempt, value, error)
    hand.obey()


def state_of(hand: Hand, name: str) -> str:
    graph = hand.flow.graph
    return WORDS[hand.flow.core.state[next(n for n in range(len(graph)) if graph.label(n) == name)]]


def test_failed_map_leaves_its_grant_to_others() -> None:
    """What was granted to an item of a map that fails meanwhile goes to who waits next, not to nobody."""
    hungry = {"amounts": (("db", 1.0),), "mode": "blocking"}
    last = Call("last", needs=("items",))  # so that the map comes first
    hand = Hand([Call("items", "map", items=3, **hungry), last, Call("other", **hungry)], ("last", "other"))
    attempt = start_all(hand)["items"]
    settle(hand, attempt, None, ValueError("no"))
    assert state_of(hand, "items") == "failed"
    assert list(start_all(hand)) == ["other"]


def test_failed_map_leaves_its_turn_to_others() -> None:
    """The turn that a limit gave to a map that fails meanwhile goes to who waits next, not to nobody."""
    calls = [Call("items", "map", "blocking", items=3), Call("last", needs=("items",)), Call("other", mode="blocking")]
    hand = Hand(calls, ("last", "other"))
    hand.set_limit(GlobalConstraint("one", "global", "concurrency", {"limit": 1}))
    attempt = start_all(hand)["items"]
    settle(hand, attempt, None, ValueError("no"))
    assert list(start_all(hand)) == ["other"]


def test_nothing_grows_after_a_cancel() -> None:
    """A task that returns a call when its run has been cancelled is cancelled, and the call never starts."""
    hand = Hand([Call("maker", mode="blocking"), Call("made")], ("maker",))
    attempt = start_all(hand)["maker"]
    hand.flow.cancel("a test")
    settle(hand, attempt, hand.lazy["made"])
    assert state_of(hand, "maker") == "cancelled"
    assert len(hand.flow.graph) == 1
    assert not start_all(hand)
    assert not hand.flow.core.unfinished


def test_no_loop_turns_after_a_cancel() -> None:
    """A turn that ends with a jump when its run has been cancelled was the last one, and the node is cancelled."""
    hand = Hand([Call("round", "loop", "blocking")], ("round",))
    attempt = start_all(hand)["round"]
    hand.flow.cancel("a test")
    settle(hand, attempt, cs.Jump("on"))
    assert state_of(hand, "round") == "cancelled"


def test_loop_may_end_with_a_jump_as_its_value() -> None:
    """What ends a loop is a value like any other."""
    hand = Hand([Call("round", "loop")], ("round",))
    settle(hand, start_all(hand)["round"], cs.Jump("end", data=cs.Jump("on")))
    assert state_of(hand, "round") == "done"


def test_loop_that_a_limit_holds_lets_go_of_what_it_keeps() -> None:
    """Between two turns a loop keeps its capacity; when a limit stops it there, others get it, as events say."""
    hungry = {"amounts": (("db", 1.0),), "mode": "blocking"}
    hand = Hand(
        [Call("round", "loop", **hungry), Call("first"), Call("other", needs=("first",), **hungry)], ("round", "other")
    )
    begun = start_all(hand)
    settle(hand, begun["round"], cs.Jump("on"))
    hand.set_limit(GlobalConstraint("stop", "task:round", "pause"))
    assert not start_all(hand)
    settle(hand, begun["first"], 1)
    assert list(start_all(hand)) == ["other"]
    assert Replay(hand.flow.journal.events()).usage == {"db": 1.0}


def test_late_choice_of_what_is_lost_beside_what_is_to_come() -> None:
    """A Router whose route has one part that failed already and one that is still to come is skipped, and no more."""
    calls = [Call("lost"), Call("ask", mode="blocking"), Call("slow", mode="async")]
    way = Call("way", "route", selector="ask", routes=(("slow", "lost"),))
    hand = Hand([*calls, way], ("way", "lost", "slow"))
    begun = start_all(hand)
    settle(hand, begun["lost"], None, ValueError("no"))
    settle(hand, begun["ask"], 0)
    assert state_of(hand, "way") == "skipped"
    settle(hand, begun["slow"], 1)
    assert not hand.flow.core.unfinished


@pytest.mark.slow
def test_grant_of_a_failed_map_reaches_another_mode() -> None:
    """A map in processes that fails leaves its grant to a task on the loop, which the driver has looked at before."""

    @cs.task(mode="compute")
    def item(n):
        raise ValueError("no")

    @cs.task
    async def other(_):
        return 1

    @cs.task(mode="inline")
    def last(value):
        return value

    far = last(last(last(item.map([0, 1]).with_constraints(cpu=1))))
    near = other(last(0)).with_constraints(cpu=1)
    run = cs.start([far, near], system_resources={"cpu": 1}, on_failure="continue", log_level=None)
    assert isinstance(run.exception(20), ValueError)


def test_no_item_is_tried_again_once_the_map_is_lost() -> None:
    """An item that fails after another one has failed for good ends the map, however many tries it has left."""
    hand = Hand(
        [Call("items", "map", "blocking", items=3, width=2, attempts=2), Call("last", needs=("items",))], ("last",)
    )
    first, second = hand.take("blocking")[1], hand.take("blocking")[1]
    settle(hand, first, None, ValueError("no"))
    again = next(attempt for attempt in (hand.take("blocking")[1] for _ in range(3)) if attempt is not None)
    settle(hand, again, None, ValueError("no"))
    settle(hand, second, None, ValueError("no"))
    assert state_of(hand, "items") == "failed"
    assert state_of(hand, "last") == "skipped"


def test_a_node_that_runs_although_nobody_waits_any_more_is_not_made_anew() -> None:
    """Its reader took its fallback; the node then returns a call that needs it: that is refused, not run twice."""
    calls = [
        Call("maker", mode="blocking"),
        Call("bad", mode="blocking"),
        Call("slow", mode="blocking"),
        Call("reader", needs=("bad", "slow"), fallback=()),
        Call("circle", needs=("slow",)),
        Call("other", mode="blocking"),
    ]
    hand = Hand(calls, ("maker", "other"))
    begun = start_all(hand)
    settle(hand, begun["maker"], hand.lazy["reader"])
    begun = start_all(hand)
    hand.flow.uses[hand.flow.graph.labels.index("slow")] -= 1  # this hand keeps all values; let that one go
    settle(hand, begun["bad"], None, ValueError("no"))
    assert state_of(hand, "reader") == "done"
    settle(hand, begun["slow"], hand.lazy["circle"])
    assert state_of(hand, "slow") == "failed"
    assert not start_all(hand)
