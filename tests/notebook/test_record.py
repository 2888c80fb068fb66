"""What the view knows of a run after its events."""

from __future__ import annotations

import time

import pytest

import cascade as cs
from cascade.graph.model import Edge, Node
from cascade.interfaces import events as e
from cascade.notebook.record import RunRecord
from tests.notebook.script import FakeGraph, Script

CHAIN = FakeGraph([Node("load", "load"), Node("fit", "fit")], [Edge("load", "fit")])
MAP = FakeGraph([Node("load", "load"), Node("fit", "fit", "map")], [Edge("load", "fit")])


@pytest.fixture
def script() -> Script:
    return Script()


def entry(record: RunRecord, box: str) -> dict:
    return record.document()["nodes"][box]


def counts(record: RunRecord) -> dict:
    return {state: count for state, count in record.counts.items() if count}


def test_before_the_run_everything_is_pending() -> None:
    """A record without events tells of a run that has not started."""
    document = RunRecord(CHAIN).document()
    assert document["run"]["state"] == "pending"
    assert [node["s"] for node in document["nodes"].values()] == ["pending", "pending"]


def test_a_node_is_queued_when_its_needs_are_done(script: Script) -> None:
    """Queued means: everything it needs is there, and it has not begun."""
    record = RunRecord(CHAIN)
    script.begin()
    record.apply(script.news())
    assert counts(record) == {"queued": 1, "pending": 1}
    script.do("load", 0.18)
    record.apply(script.news())
    assert entry(record, "load")["d"] == "0.18 s"
    assert entry(record, "fit")["s"] == "queued"


def test_a_branch_is_not_queued_before_its_route_is_chosen(script: Script) -> None:
    """What a Router might not run is pending, however ready its inputs are."""
    nodes = [Node("ask", "ask"), Node("go?", "go?", "route"), Node("yes", "yes"), Node("no", "no")]
    edges = [Edge("ask", "go?", "selector"), Edge("yes", "go?", "route", "y"), Edge("no", "go?", "route", "n")]
    record = RunRecord(FakeGraph(nodes, edges))
    script.begin()
    script.do("ask")
    record.apply(script.news())
    assert (entry(record, "yes")["s"], entry(record, "no")["s"]) == ("pending", "pending")
    script.tell(e.RouteChosen, node="go?", name="go?", key="y")
    record.apply(script.news())
    assert (entry(record, "yes")["s"], entry(record, "no")["s"]) == ("queued", "pending")


def test_what_a_closed_condition_needs_is_not_queued(script: Script) -> None:
    """The inputs of a conditional node wait for its condition."""
    nodes = [Node("ask", "ask"), Node("load", "load"), Node("mail", "mail")]
    record = RunRecord(FakeGraph(nodes, [Edge("ask", "mail", "condition"), Edge("load", "mail")]))
    script.begin()
    record.apply(script.news())
    assert (entry(record, "ask")["s"], entry(record, "load")["s"]) == ("queued", "pending")
    script.do("ask")
    record.apply(script.news())
    assert entry(record, "load")["s"] == "queued"


def test_a_map_counts_its_items(script: Script) -> None:
    """Items are the units that are counted, and the box tells how far they are."""
    record = RunRecord(MAP)
    script.begin()
    script.do("load")
    script.expand("fit", 10)
    script.do("fit", index=0)
    script.start("fit", 1)
    script.tell(e.ItemsCompleted, node="fit", name="fit", first=2, count=4, duration=0.01)
    record.apply(script.news())
    fit = entry(record, "fit")
    assert (fit["s"], fit["d"]) == ("running", "5 of 10")
    assert fit["items"] == {"total": 10, "done": 5, "stored": 0, "running": 1, "failed": 0, "waiting": 0}
    assert counts(record) == {"done": 6, "running": 1, "pending": 4}


def test_a_map_that_waits_says_for_what_and_how_many(script: Script) -> None:
    """While a map waits for a capacity, its items that have not begun count as waiting in its box."""
    record = RunRecord(MAP)
    script.begin({"cpu": 1})
    script.expand("fit", 3)
    script.start("fit", 0)
    script.queue("fit", holders=("fit[0]",))
    record.apply(script.news())
    assert entry(record, "fit")["items"]["waiting"] == 2
    assert entry(record, "fit")["why"] == "waits for cpu, held by fit[0]"
    for index in (1, 2):
        script.start("fit", index)
    record.apply(script.news())
    assert entry(record, "fit")["items"]["waiting"] == 0


def test_a_map_of_unknown_length_tells_what_is_done_so_far(script: Script) -> None:
    """A lazy iterable has no total until it ends."""
    record = RunRecord(MAP)
    script.begin()
    script.expand("fit", None)
    script.do("fit", index=0)
    record.apply(script.news())
    assert entry(record, "fit")["d"] == "1 so far"
    assert entry(record, "fit")["items"]["total"] is None


def test_items_that_never_began_share_the_fate_of_their_map(script: Script) -> None:
    """Nothing stays pending in a map that failed."""
    record = RunRecord(MAP)
    script.begin()
    script.expand("fit", 5)
    script.fail("fit", 0)
    script.fail("fit")
    script.finish("failed", error_type="ValueError")
    record.apply(script.news())
    assert entry(record, "fit")["s"] == "failed"
    assert counts(record) == {"failed": 1, "cancelled": 5}


def test_a_waiting_node_names_who_holds_what_it_waits_for(script: Script) -> None:
    """The reason to wait is told in full, and in short under the name."""
    record = RunRecord(CHAIN)
    script.begin({"gpu": 1})
    script.queue("load", "gpu", ("train[3]",))
    record.apply(script.news())
    load = entry(record, "load")
    assert (load["s"], load["d"], load["why"]) == (
        "waiting",
        "waits for gpu: train[3]",
        "waits for gpu, held by train[3]",
    )


def test_a_retry_tells_its_number_and_the_error(script: Script) -> None:
    """Between two tries a node is retrying; during the next it says which try it is."""
    record = RunRecord(CHAIN)
    script.begin()
    script.start("load")
    script.retry("load", 0.8)
    record.apply(script.news())
    load = entry(record, "load")
    assert (load["s"], load["d"], load["why"]) == ("retry", "try 2 of 3", "OSError: locked; again in 0.80 s")
    script.start("load", attempt=2)
    record.apply(script.news())
    assert (entry(record, "load")["s"], entry(record, "load")["d"]) == ("running", "try 2 of 3")


def test_a_failure_card_has_frames_inputs_and_what_is_still_good(script: Script) -> None:
    """The card of a failed map item is kept when the map as a whole fails after it."""
    record = RunRecord(MAP, locate=lambda file: file.replace("/tmp/x.py", "Cell In[3]"))
    script.begin()
    script.do("load")
    script.expand("fit", 2)
    script.fail("fit", 1, error="<b>no</b>", frames=(("/tmp/x.py", 7, "fit", "  solve(a)"),), inputs={"a": "3 × 3"})
    script.fail("fit")
    script.finish("failed", error_type="ValueError", error="no")
    record.apply(script.news())
    failure = record.document()["failure"]
    assert (failure["label"], failure["node"], failure["error"]) == ("fit[1]", "fit", "<b>no</b>")
    assert failure["frames"] == [{"file": "Cell In[3]", "line": 7, "function": "fit", "code": "solve(a)"}]
    assert failure["inputs"] == [{"name": "a", "preview": "3 × 3"}]
    assert failure["good"] == "load is done and not affected."


def test_a_failure_that_a_fallback_caught_is_no_card(script: Script) -> None:
    """A run that completed has no failure."""
    record = RunRecord(CHAIN)
    script.begin()
    script.fail("load")
    script.finish()
    record.apply(script.news())
    assert record.document()["failure"] is None


def test_a_cancelled_run_leaves_nothing_going(script: Script) -> None:
    """What had not ended when the run was cancelled is cancelled, and the message gives the reason."""
    record = RunRecord(CHAIN)
    script.begin()
    script.start("load")
    script.tell(e.RunCancelRequested, reason="cancelled in the view")
    record.apply(script.news())
    assert record.state == "cancelling"
    script.finish("cancelled", abandoned=("load",))
    record.apply(script.news())
    assert counts(record) == {"cancelled": 2}
    assert record.message == "cancelled in the view; 1 thread still running: load"


def test_pause_and_resume_change_the_state_of_the_run_but_not_of_a_cancelling_one(script: Script) -> None:
    """A run that is being cancelled stays so."""
    record = RunRecord(CHAIN)
    script.begin()
    script.tell(e.RunPaused)
    record.apply(script.news())
    assert record.state == "paused"
    script.tell(e.RunCancelRequested, reason="")
    script.tell(e.RunResumed)
    record.apply(script.news())
    assert record.state == "cancelling"


def test_params_show_the_value_of_this_run(script: Script) -> None:
    """A Param's box shows its default before the run and the given value after it began."""
    record = RunRecord(
        FakeGraph([Node("rows", "rows", "param", note="10"), Node("load", "load")], [Edge("rows", "load")])
    )
    assert entry(record, "rows")["d"] == "10"
    script.begin(params={"rows": "30"})
    record.apply(script.news())
    assert (entry(record, "rows")["s"], entry(record, "rows")["d"]) == ("param", "30")
    assert counts(record) == {"queued": 1}


def test_an_estimate_needs_to_have_seen_every_task(script: Script) -> None:
    """What is left is told only if each remaining task ran before, in this run or an earlier one."""
    unknown, known = RunRecord(CHAIN, usual={"load": 1.0}), RunRecord(CHAIN, usual={"load": 1.0, "fit": 2.0})
    script.begin()
    script.do("load", 1.0)
    news = script.news()
    for record in (unknown, known):
        record.apply(news)
    assert unknown.document()["run"]["eta"] is None
    assert known.document()["run"]["eta"] == pytest.approx(2.0)


def test_events_of_unknown_nodes_are_no_fault(script: Script) -> None:
    """A graph that grew is noticed; the document stays true to the picture that is shown."""
    record = RunRecord(CHAIN)
    script.begin()
    script.do("surprise")
    record.apply(script.news())
    assert record.unknown
    assert set(record.document()["nodes"]) == {"load", "fit"}


def test_long_and_hostile_names_become_bounded_plain_text(script: Script) -> None:
    """Names reach the document as text, cut, on one line and without control characters."""
    name = "<img onerror=x>\n\x1b[31m" + "n" * 500
    record = RunRecord(FakeGraph([Node(name, name)], name=name))
    script.begin()
    script.tell(e.NodeFailed, node=name, name=name, error_type=name, error=name)
    script.finish("failed")
    record.apply(script.news())
    document = record.document()
    box = document["picture"]["boxes"][0]
    assert len(box["id"]) <= 60
    assert document["failure"]["node"] == box["id"]
    texts = [box["name"], document["log"][0]["label"], document["log"][0]["text"], document["failure"]["error"]]
    assert all(len(text) <= 600 and "\n" not in text and "\x1b" not in text for text in texts)
    assert document["log"][0]["text"].startswith("<img onerror=x>")


def test_begin_and_end_in_one_step_tell_the_same() -> None:
    """Of a large graph a begin that its end follows at once is no step of its own; the document does not differ."""

    @cs.task(mode="inline")
    def grow(x: int) -> int:
        if x == 900:
            time.sleep(0.01)
        return x + 1

    lazy = grow(0)
    for _ in range(1_000):
        lazy = grow(lazy)
    run = cs.start(lazy, log_level=None)
    run.result(30)
    together, apart = RunRecord(run.graph), RunRecord(run.graph)
    together.apply(run.events)
    for event in run.events:
        apart.apply([event])  # nothing follows
    one, other = together.document(), apart.document()
    lanes, others = one.pop("lanes"), other.pop("lanes")
    assert one == other
    assert lanes["rows"] == others["rows"]
    assert sum(bar.count for bar in together.lanes.bars.items) == 1_001
    assert together.lanes.bars.lost == 0
    assert max(bar["t1"] - bar["t0"] for bar in lanes["bars"]) >= 0.01
