from __future__ import annotations

import copy
import pickle
from dataclasses import asdict, replace

import pytest

import cascade as cs
from cascade.interfaces.events import NodeCompleted, NodeStarted


@cs.task(mode="inline")
def one():
    return 1


@pytest.fixture
def heard():
    """The events of a run that were delivered and not yet read."""
    events: list[object] = []

    def keep(batch):
        events.extend(batch)

    keep.batched = True
    cs.run(one().named("first"), log_level=None, subscribers=[(NodeCompleted, keep), (NodeStarted, keep)])
    return events


def test_a_delivered_event_tells_its_fields_when_they_are_read(heard):
    """What an event says is worked out at the first look, and then is what a whole event would say."""
    event = next(e for e in heard if isinstance(e, NodeCompleted))
    assert event.name == "first"
    assert event.attempt == 1
    assert event.label == "first"
    assert event == NodeCompleted(**asdict(event))


def test_a_delivered_event_can_be_copied_pickled_and_replaced_before_it_is_read(heard):
    """Events travel whether or not someone has read them."""
    started = next(e for e in heard if isinstance(e, NodeStarted))
    completed = next(e for e in heard if isinstance(e, NodeCompleted))
    assert pickle.loads(pickle.dumps(started)).worker == "inline"
    assert copy.copy(completed) == completed
    assert replace(completed, name="second").name == "second"
    assert hash(completed) == hash(copy.copy(completed))


def test_an_event_has_no_other_attributes_and_cannot_be_changed(heard):
    """A wrong name is an AttributeError, also on an event that was made whole; and an event is a fact."""
    whole = NodeCompleted(run_id="r", seq=0, at=0.0, elapsed=0.0, node="n", name="n")
    for event in (heard[0], whole):
        with pytest.raises(AttributeError, match="nothing_like_it"):
            _ = event.nothing_like_it
        with pytest.raises(AttributeError):
            event.name = "other"
