from __future__ import annotations

import threading
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.testing import EventSpy, SpyError, ToolError

HEAD: dict[str, Any] = {"run_id": "r1", "at": 1_750_000_000.0, "elapsed": 0.0}


def node(kind: type[ev.NodeEvent], name: str, seq: int, **fields: object) -> ev.NodeEvent:
    """An event about a node of this name."""
    return kind(**{**HEAD, "node": name, "name": name, "seq": seq, **fields})


def spied(*events: ev.Event) -> EventSpy:
    """A spy that has heard these events."""
    spy = EventSpy()
    for event in events:
        spy(event)
    return spy


@cs.task
def load(value: object = 1) -> object:
    return value


@cs.task
def fit(data: object) -> object:
    return [data]


@cs.task
def fail(data: object) -> object:
    raise ValueError(data)


def run(target: object, **options: Any) -> EventSpy:
    """What a spy hears of a run, whatever becomes of it."""
    spy = EventSpy()
    cs.start(target, log_level=None, subscribers=[spy], **options).exception(10)
    return spy


# -- looking --------------------------------------------------------------------------------------------------------


def test_it_hears_a_whole_run() -> None:
    """A spy hears every event of a run in order, from the first to the last."""
    spy = run(fit(load()))
    assert [type(e) for e in spy.events[:1] + spy.events[-1:]] == [ev.RunStarted, ev.RunFinished]
    assert [e.seq for e in spy.events] == list(range(len(spy.events)))
    assert spy.names(ev.NodeStarted) == spy.names() == spy.names(ev.NodeCompleted) == ["load", "fit"]
    assert [e.status for e in spy.of(ev.RunFinished)] == ["completed"]
    assert len(spy.of(ev.LifecycleEvent)) == 2  # subclasses count


def test_states_of_every_kind() -> None:
    """The last state of each node is told by id, whatever became of it."""
    skipped = load("x").named("skipped").run_if(False)
    target = [load(1), load(2), fail(load(3)).named("broken"), fit(skipped), load.map([1, 2, 3]).named("each")]
    spy = run(target, on_failure="continue")
    assert spy.states() == {
        "load": "completed", "load#2": "completed", "load#3": "completed", "broken": "failed", "skipped": "skipped",
        "fit": "skipped", "each": "completed",
    }  # fmt: skip
    spy.assert_states(load="completed", broken="failed")


def test_states_of_refined_events() -> None:
    """An event that refines another one, as a value from the store does a completion, tells the same state."""

    class NodeReplayed(ev.NodeCompleted):
        pass

    assert spied(node(NodeReplayed, "load", 0)).states() == {"load": "completed"}


def test_names_of_items_and_resources() -> None:
    """Items of a map go by name and index, resources by their name."""
    spy = spied(
        node(ev.NodeStarted, "load", 0, index=3),
        ev.ResourceSetUp(**HEAD, seq=1, resource="db", duration=0.0),
        ev.RunPaused(**HEAD, seq=2),
    )
    assert spy.names(ev.Event) == ["load[3]", "db", "RunPaused"]
    assert spy.states() == {}  # an item is not the node


def test_the_last_run_counts() -> None:
    """States and checks are about the run that was heard last; the events of all runs stay, until they are cleared."""
    spy = EventSpy()
    for target in (load(), fit(1)):
        cs.run(target, log_level=None, subscribers=[spy])
    assert spy.states() == {"fit": "completed"}
    assert len(spy.of(ev.RunStarted)) == 2
    assert "events" in repr(spy)
    spy.clear()
    assert (spy.events, spy.states()) == ([], {})


# -- waiting --------------------------------------------------------------------------------------------------------


def test_it_waits_for_what_comes() -> None:
    """`wait_for` returns the event when it comes, while the run goes on."""
    go, spy = threading.Event(), EventSpy()

    @cs.task
    def hold() -> None:
        go.wait(10)

    handle = cs.start([hold(), load()], log_level=None, subscribers=[spy])
    started = spy.wait_for(ev.NodeStarted, timeout=10, name="hold")
    assert (started.node, started.attempt) == ("hold", 1)
    assert handle.state == "running"
    go.set()
    assert spy.wait_for(ev.RunFinished, timeout=10).status == "completed"
    assert handle.result(10) == [None, 1]


def test_what_has_come_need_not_come_again() -> None:
    """An event that was heard before is found at once, the first one that fits, also without any time to wait."""
    spy = spied(node(ev.NodeStarted, "a", 0), node(ev.NodeStarted, "b", 1), node(ev.NodeStarted, "b", 2, attempt=2))
    assert spy.wait_for(ev.NodeStarted, timeout=0, name="b").seq == 1
    assert spy.wait_for(ev.NodeEvent, timeout=0, attempt=2, label="b").seq == 2


def test_what_does_not_come_is_told_with_what_did() -> None:
    """The failure says what was waited for and what came instead."""
    spy = spied(node(ev.NodeStarted, "load", 0), node(ev.NodeFailed, "load", 1))
    with pytest.raises(SpyError) as caught:
        spy.wait_for(ev.NodeCompleted, timeout=0.01, name="load")
    assert str(caught.value) == (
        "No NodeCompleted(name='load') came within 0.01 s. What came: load running, load failed."
    )
    with pytest.raises(SpyError, match="What came: nothing"):
        EventSpy().wait_for(ev.RunStarted, timeout=0)


def test_misspelt_fields_are_named() -> None:
    """A field that no event of the kind has is an error with the nearest one, not a wait without end."""
    with pytest.raises(ToolError, match=r"NodeStarted has no field 'nmae'\. Did you mean 'name'"):
        EventSpy().wait_for(ev.NodeStarted, timeout=60, nmae="load")
    spied(node(ev.NodeStarted, "load", 0)).wait_for(ev.Event, timeout=0, worker="")  # one kind of event has it


# -- checking -------------------------------------------------------------------------------------------------------


def test_order_is_checked() -> None:
    """Nodes that ended before the next one started pass; the other way round is told with the story."""
    spy = run(fit(load()))
    spy.assert_order("load", "fit")
    spy.assert_order("fit")
    with pytest.raises(SpyError) as caught:
        spy.assert_order("fit", "load")
    assert str(caught.value) == (
        "'load' started before 'fit' had ended. What happened: "
        "load running, load completed, fit running, fit completed."
    )


def test_overlapping_is_no_order() -> None:
    """A node that started while the one before was still running is out of order."""
    spy = spied(
        node(ev.NodeStarted, "a", 0),
        node(ev.NodeStarted, "b", 1),
        node(ev.NodeCompleted, "a", 2),
        node(ev.NodeCompleted, "b", 3),
    )
    with pytest.raises(SpyError, match="'b' started before 'a' had ended"):
        spy.assert_order("a", "b")


@pytest.mark.parametrize("names", [("load", "fitt"), ("fitt", "load"), ("fitt",)])
def test_order_of_what_never_ran(names: tuple[str, ...]) -> None:
    """A name that never started is told with the nearest that did."""
    with pytest.raises(SpyError, match=r"'fitt' never started\. Did you mean 'fit'\?"):
        run(fit(load())).assert_order(*names)


def test_what_ran_and_what_did_not() -> None:
    """Both are checked, by name or id, and told with the story."""
    spy = run([load(1), load(2), fit(3).run_if(False).with_fallback(0)])
    spy.assert_ran("load", "load#2")
    spy.assert_not_ran("fit", "anything else")
    with pytest.raises(SpyError, match="'fit' never started"):
        spy.assert_ran("load", "fit")
    with pytest.raises(SpyError, match="'load#2' started, and should not have"):
        spy.assert_not_ran("fit", "load#2")


def test_attempts_are_counted() -> None:
    """Retries count, and a wrong number is told with the right one."""
    spy = run(fail(1).with_retry(3))
    spy.assert_attempts("fail", 3)
    with pytest.raises(SpyError, match=r"'fail' had 3 attempts, not 2\. What happened: fail running, fail retrying"):
        spy.assert_attempts("fail", 2)


def test_wrong_states_are_all_told() -> None:
    """Every node in another state is told at once."""
    with pytest.raises(SpyError) as caught:
        run(fit(load())).assert_states(load="failed", fit="completed", plot="skipped")
    assert str(caught.value) == (
        "These nodes are not in the expected state: 'load' is completed, not failed; "
        "'plot' is not heard of, not skipped."
    )


def test_long_stories_are_cut() -> None:
    """A failure of a large run shows its beginning and how much more there is."""
    spy = spied(*[node(ev.NodeStarted, f"n{n}", n) for n in range(100)])
    with pytest.raises(SpyError, match=r"n39 running, … and 60 more\.$"):
        spy.assert_ran("other")
