"""The document and its frames: bounds, and frames that add up."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from cascade.graph.model import Node
from cascade.interfaces import events as e
from cascade.notebook import document as documents
from cascade.notebook.record import RunRecord
from tests.notebook.script import FakeGraph, Script, many_items, many_nodes, merge, weight

if TYPE_CHECKING:
    from collections.abc import Callable

BIG: list[Callable[[], tuple[FakeGraph, Script]]] = [
    lambda: many_items(1_200),
    lambda: many_nodes(300),
    lambda: many_nodes(2_000),
    lambda: many_nodes(600, names=600),
]


@pytest.mark.slow
@pytest.mark.parametrize("make", BIG)
def test_a_document_weighs_at_most_200_kb(make: Callable[[], tuple[FakeGraph, Script]]) -> None:
    """Events are folded, previews cut and the picture folded by task name, so that any run fits."""
    graph, script = make()
    record = RunRecord(graph)
    record.apply(script.events)
    document = record.document()
    assert weight(document) <= 200_000
    assert document["run"]["counts"]["done"] >= 300
    assert len(document["lanes"]["bars"]) <= 600
    assert len(document["log"]) <= 300


@pytest.mark.slow
def test_twenty_thousand_items_are_folded_fast_and_small() -> None:
    """A map of 20,000 items costs the view well under half a second, and its document is as small as any."""
    graph, script = many_items(20_000)
    events = [event for event in script.events if not isinstance(event, e.NodeStarted)][:20_000]
    record = RunRecord(graph)
    begin = time.process_time()
    record.apply(events)
    assert time.process_time() - begin < 0.5
    whole = RunRecord(graph)
    whole.apply(script.events)
    assert weight(whole.document()) <= 200_000
    assert whole.document()["run"]["counts"]["done"] == 20_000


@pytest.mark.slow
@pytest.mark.parametrize("make", BIG)
def test_a_frame_weighs_at_most_20_kb_and_frames_add_up(make: Callable[[], tuple[FakeGraph, Script]]) -> None:
    """Whoever applies every frame to the first snapshot has, in the end, what the record tells."""
    graph, script = make()
    record = RunRecord(graph)
    documents.catch_up(record)
    seen = record.snapshot()
    for place in range(0, len(script.events), 400):
        record.apply(script.events[place : place + 400])
        frame = record.take_frame()
        if frame is not None:
            assert weight(frame) <= 20_000
            merge(seen, frame)
    while (frame := record.take_frame()) is not None:
        assert weight(frame) <= 20_000
        merge(seen, frame)
    told = record.document()
    assert seen["nodes"] == told["nodes"]
    assert seen["run"] == told["run"]
    assert seen["lanes"]["bars"] == told["lanes"]["bars"]
    assert {row["id"] for row in seen["lanes"]["rows"]} >= {row["id"] for row in told["lanes"]["rows"]}
    assert seen["log"][-1] == told["log"][-1]


def test_a_snapshot_in_the_middle_fits_the_next_frame() -> None:
    """A reload in mid-run gets a snapshot on which the following frames apply without a gap or a double line."""
    graph, script = many_items(60)
    record = RunRecord(graph)
    record.apply(script.events[:40])
    record.take_frame()
    record.apply(script.events[40:90])
    late = record.snapshot()
    record.apply(script.events[90:])
    while (frame := record.take_frame()) is not None:
        merge(late, frame)
    told = record.document()
    assert late["lanes"]["bars"] == told["lanes"]["bars"]
    assert [line["text"] for line in late["log"]] == [line["text"] for line in told["log"]]


def test_nothing_new_is_no_frame() -> None:
    """Time alone is not sent: the view's own clock shows it."""
    record = RunRecord(FakeGraph([Node("load", "load")]))
    assert record.take_frame() is not None
    assert record.take_frame(elapsed=5.0) is None


def test_a_run_that_goes_on_tells_the_time_it_is_given() -> None:
    """The elapsed time of a live document is that of the caller's clock, of a finished one that of its last event."""
    script = Script()
    record = RunRecord(FakeGraph([Node("load", "load")]))
    script.begin()
    record.apply(script.news())
    assert record.document(elapsed=2.5)["run"]["elapsed"] == 2.5
    assert record.document(elapsed=2.5)["run"]["live"] is True
    script.do("load", 0.25)
    script.finish()
    record.apply(script.news())
    assert record.document(elapsed=9.0)["run"]["elapsed"] == 0.25


def test_the_inputs_are_told_with_type_and_description() -> None:
    """Params appear with their defaults before the run and with their values in it; secrets stay dots."""
    import cascade as cs
    from cascade.graph.build import build

    @cs.task
    def load(rows: int, key: str) -> int:
        return rows

    graph = build(
        load(cs.Param("rows", default=10, description="how many"), cs.Param("key", default="hush", secret=True))
    )
    rows, key = RunRecord(graph).document()["params"]
    assert rows == {"name": "rows", "value": "10", "type": "int", "description": "how many"}
    assert key["value"] == "•••"


def test_a_frame_takes_the_newest_bars_and_the_oldest_of_those_that_wait() -> None:
    """People look where now is, and nothing waits for ever; what nodes leave of the room, bars take."""
    script = Script()
    script.begin({"cpu": 2})
    script.expand("fit", 300)
    for index in range(300):
        script.hold("fit", index=index)
        script.start("fit", index)
        script.wait(0.001)
        script.complete("fit", index, 0.001)
        script.release("fit", index=index)
    graph, _ = many_items(1)
    record = RunRecord(graph)
    documents.catch_up(record)
    record.apply(script.events)
    bars = record.lanes.bars.items
    frame = record.take_frame()
    assert frame is not None
    assert weight(frame) <= 20_000
    places = [place for place, _ in frame["bars"]]
    assert max(bar.t1 or 0.0 for bar in bars) == max(bars[place].t1 or 0.0 for place in places)
    assert min(places) == 0
    assert weight(frame["bars"]) > 6_500
    assert len(places) == len(set(places)) < len(bars)
