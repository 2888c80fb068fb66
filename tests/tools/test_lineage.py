"""Where values come from, and what a plan says of a node whose last run gave none."""

from __future__ import annotations

import pytest

import cascade as cs
from cascade.adapters.stores.local import LocalStore
from cascade.tools.lineage import lineage
from cascade.tools.plan import plan
from cascade.tools.storage import storage
from cascade.tools.why import why


@pytest.fixture
def store(tmp_path):
    """A store of its own."""
    with LocalStore(tmp_path / "store", key_file=tmp_path / "key") as made:
        yield made


@cs.task(pure=True)
def part(i):
    """A part of the whole."""
    return i


@cs.task(pure=True)
def half(whole):
    """May fail."""
    return whole // 2 if whole else 1 // whole


@cs.task(pure=True)
def whole(parts, more):
    """Takes several values in one argument."""
    return sum(parts) + more["p"]


def go(store, target, **params):
    """Run to the end."""
    return cs.run(target, params, cache=store, log_level=None, timeout=30)


def test_an_argument_of_several_values_leads_to_each(store):
    """A list of values of two nodes is told as a whole and by its nodes, in the text and as PROV."""
    go(store, whole([part(1), part(2), 5], {"p": cs.Param("p", type=int, default=4)}))
    found = lineage("whole", cache=store)
    assert [step.node for step in found.steps()] == ["whole", "part", "part#2"]
    lines = [line.partition(", run")[0] for line in str(found).splitlines()]
    assert lines == [
        "whole: 12",
        "  parts = [1, 2, 5]",
        "  more = {'p': 4}",
        "  parts ← part: 1",
        "    i = 1",
        "  parts ← part#2: 2",
        "    i = 2",
    ]
    made = found.to_prov()
    run = found.run_id
    used = {each["prov:entity"] for each in made["used"].values() if each["prov:role"] == "parts"}
    assert used == {
        f"cascade:value/{run}/part",
        f"cascade:value/{run}/part#2",
        f"cascade:run/{run}/whole/parts",
    }
    assert used <= set(made["entity"])


def test_a_node_may_be_named_by_its_task(store):
    """`why` and `lineage` take the task itself; of anything else they say what they take."""
    go(store, half(part(4)))
    assert str(why(half, cache=store)) == "ran: it had not run before"
    assert lineage(half, cache=store).summary == "2"
    for other in (None, 3.5, [1]):
        with pytest.raises(ValueError, match=f"not by a value of type {type(other).__name__}"):
            why(other, cache=store)


def test_what_failed_has_no_lineage(store):
    """The last value is told, and of a run that made none, that it did not."""
    go(store, half(part(4)))
    with pytest.raises(ZeroDivisionError):
        go(store, half(part(0)))
    assert lineage("half", cache=store).number == 1
    with pytest.raises(ValueError, match=r"'half' has no value: in run 2 it was failed \(ZeroDivisionError"):
        lineage("half", run=2, cache=store)


def test_a_plan_says_why_a_node_would_run(store):
    """A node that failed is not one whose result is gone; what nothing needed lately has not changed."""
    go(store, half(part(4)))
    go(store, half(part(4)))
    storage("clear", cache=store)
    assert {step.reason for step in plan(half(part(4)), cache=store).steps if step.node == "part"} == {
        "its result has expired or is not in the store any more"
    }
    with pytest.raises(ZeroDivisionError):
        go(store, half(part(0)))
    assert [step.reason for step in plan(half(part(0)), cache=store).steps if step.node == "half"] == [
        "it failed the last time"
    ]


def test_a_lineage_that_is_too_long_ends_somewhere(store, monkeypatch):
    """Beyond so many steps the rest is left out; what is told is whole in itself."""
    go(store, whole([part(i) for i in range(6)], {"p": 1}))
    monkeypatch.setattr("cascade.tools.lineage.MOST_STEPS", 3)
    found = lineage("whole", cache=store)
    assert len(list(found.steps())) == 3
    assert len(found.to_prov()["activity"]) == 3
