"""A finished document tells every moment of its run, as the events told it."""

from __future__ import annotations

import json
import random
from itertools import accumulate
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.notebook.document import DOCUMENT_LIMIT
from cascade.notebook.folding import weight
from cascade.notebook.record import RunRecord
from cascade.notebook.replay import describe_replay, moment_at, moments
from cascade.notebook.units import VALUES, box_state


@cs.task(mode="inline")
def quick(*needs: object) -> int:
    return len(needs)


@cs.task
def threaded(*needs: object) -> int:
    return len(needs)


@cs.task(mode="inline")
def fragile(*needs: object, odds: float, seed: int) -> int:
    if random.Random(seed).random() < odds:
        raise OSError("not now")
    return 1


@cs.task(mode="inline")
def item(x: int, of: object = None) -> int:
    return x


def random_run(seed: int, *, most: int = 14, items: int = 12) -> Any:
    """The handle of a run with whatever a graph may hold: maps, conditions, retries, failures, capacities."""
    dice = random.Random(seed)
    made: list[Any] = [cs.Param("start", default=1)]
    for number in range(dice.randrange(3, most)):
        needs = dice.sample(made, min(len(made), dice.randrange(3)))
        kind = dice.randrange(6)
        if kind == 0:
            node = item.map(x=list(range(dice.randrange(items))), of=cs.unmapped(needs[0]) if needs else None)
        elif kind == 1:
            node = fragile(*needs, odds=0.5, seed=seed * 100 + number).with_retry(max_attempts=2).with_fallback(0)
        elif kind == 2:
            node = threaded(*needs).with_constraints(cpu=dice.choice([1, 2]))
        elif kind == 3:
            node = (
                quick(*needs).run_if(threaded(*needs).named("gate") if dice.random() < 0.5 else False).with_fallback(7)
            )
        elif kind == 4:
            node = fragile(*needs, odds=0.1, seed=seed * 100 + number)
        else:
            node = threaded(*needs)
        made.append(node.named(f"n{number}"))
    run = cs.start(
        made[1:], log_level=None, system_resources={"cpu": 2}, on_failure=dice.choice(["cancel", "continue"])
    )
    run.wait(20)
    return run


def prefix(events: list[ev.Event], seconds: float) -> list[ev.Event]:
    """The events up to `seconds`; threads may note their times a little out of order."""
    reached = accumulate((event.elapsed for event in events), max)
    return [event for event, until in zip(events, reached, strict=True) if until <= seconds + 1e-9]


def assert_true_at(run: Any, document: dict[str, Any], seconds: float) -> None:
    """The document tells of `seconds` what a record tells that heard the events until then and no more."""
    told = moment_at(document, seconds)
    truth = RunRecord(run.graph)
    truth.apply(prefix(run.events, seconds))
    states = {box.id: box_state(box)[0] for box in truth.boxes.values() if not _is_value(box)}
    assert dict(told.states) == states
    assert dict(told.counts) == truth.counts
    assert told.run == truth.state
    assert dict(told.used) == {name: one["used"] for name, one in truth.capacities.items()}


def _is_value(box: Any) -> bool:
    return box.only is not None and box.only.kind in VALUES


def whole(run: Any) -> dict[str, Any]:
    """The finished document of a run."""
    record = RunRecord(run.graph)
    record.apply(run.events)
    return record.document()


@pytest.mark.parametrize("seed", range(12))
def test_each_moment_is_what_the_events_told(seed: int) -> None:
    """At every time at which something changed, and between two of them, replay shows what was true."""
    run = random_run(seed)
    document = whole(run)
    times = moments(document)
    assert times == sorted(times)
    for time in random.Random(seed).sample(times, min(len(times), 25)):
        assert_true_at(run, document, time)
    assert moment_at(document, -1.0).counts["pending"] == sum(moment_at(document, -1.0).counts.values())
    end = moment_at(document, run.elapsed + 1)
    assert dict(end.counts) == document["run"]["counts"]
    assert end.run == document["run"]["state"] == run.state


def test_a_run_with_too_many_changes_is_told_at_fewer_moments_all_of_them_true(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the track is full its grid doubles: what it still tells is exact."""
    monkeypatch.setattr("cascade.notebook.track.MOST", 150)
    items = threaded.map(range(300)).with_constraints(cpu=1)  # each item has its events
    run = cs.start([items, threaded(items)], log_level=None, system_resources={"cpu": 2})
    run.wait(20)
    document = whole(run)
    step = document["track"]["step"]
    assert step > 0.0001
    assert len(moments(document)) > 1
    for time in moments(document):
        assert_true_at(run, document, time)
    assert dict(moment_at(document, run.elapsed + 2 * step).counts) == document["run"]["counts"]


@pytest.mark.slow
def test_a_large_run_keeps_its_document_small() -> None:
    """3,000 nodes, folded by name, and a map of 20,000 items: the track is bounded and the document below its limit."""
    nodes = [quick(number).named(f"name{number % 30}") for number in range(3_000)]
    run = cs.start([*nodes, item.map(x=range(20_000))], log_level=None)
    run.wait(60)
    document = whole(run)
    assert weight(document) <= DOCUMENT_LIMIT
    assert weight(document["track"]) <= 40_000
    for time in random.Random(1).sample(moments(document), 5):
        assert_true_at(run, document, time)


def test_a_run_that_goes_on_has_no_track_yet() -> None:
    """Only a finished document carries what replay needs; it is plain JSON."""
    run = random_run(1)
    record = RunRecord(run.graph)
    record.apply(run.events[:-1])
    assert "track" not in record.document()
    record.apply(run.events[-1:])
    assert json.loads(json.dumps(record.document()["track"]))["step"] == 0.0001


def test_the_story_of_a_run_as_text() -> None:
    """Outside a notebook, replay is a line for each moment, and says when the run is not over yet."""
    run = random_run(2)
    text = run.replay()
    assert text == describe_replay(whole(run))
    lines = text.splitlines()
    assert "moment" in lines[0]
    assert lines[-1].endswith(run.state)
    held = cs.start(quick(), log_level=None, step=True)
    with pytest.raises(ValueError, match=r"goes on, and a report tells of a run that has ended"):
        held.replay()
    held.cancel()
    held.wait(5)
