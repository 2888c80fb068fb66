"""The log: short human lines, bounded, news not drowned by chatter."""

from __future__ import annotations

from typing import Any

from cascade.graph.model import Node
from cascade.interfaces import events as e
from cascade.notebook.log_book import WAITS_FOR
from cascade.notebook.record import RunRecord
from tests.notebook.script import FakeGraph, Script

GRAPH = FakeGraph([Node("load", "load"), Node("fit", "fit", "map")])


def log(script: Script) -> list[dict[str, Any]]:
    record = RunRecord(GRAPH)
    record.apply(script.events)
    return record.document()["log"]


def test_lines_say_what_happened_in_few_words() -> None:
    """Each kind of event has its own short sentence and icon."""
    script = Script()
    script.begin()
    script.retry("load", 0.8)
    script.queue("load", "db", ("fit[2]",))
    script.complete("load", duration=0.18, summary="344 rows × 8 columns", attempt=2)
    script.tell(e.NodeSkipped, node="fit", name="fit", reason="run_if was false")
    script.finish()
    assert [(line["s"], line["label"], line["text"]) for line in log(script)] == [
        ("retry", "load", "OSError: locked; again in 0.80 s (try 1 of 3 failed)"),
        ("waiting", "load", "waits for db, held by fit[2]"),
        ("done", "load", "344 rows × 8 columns, at try 2"),
        ("skipped", "fit", "run_if was false"),
        ("done", "", "the run is done in under 1 ms"),
    ]


def test_a_limit_that_is_lifted_is_told_as_it_was_set() -> None:
    """Not by the id that programs know it by."""
    script = Script()
    script.begin()
    script.tell(e.LimitSet, limit_id="notebook task:fit", scope="task:fit", kind="concurrency", params={"limit": 1})
    script.tell(e.LimitRemoved, limit_id="notebook task:fit")
    script.tell(e.LimitRemoved, limit_id="of before")
    assert [line["text"] for line in log(script)] == [
        "limit set: concurrency on task:fit (limit 1)",
        "limit removed: concurrency on task:fit (limit 1)",
        "limit removed: of before",
    ]


def test_who_waits_for_something_that_nobody_named_is_no_news() -> None:
    """A run elsewhere says a moment later for what; until then the log is silent, and the state tells it."""
    script = Script()
    script.begin()
    script.queue("load", WAITS_FOR, ())
    script.queue("load", "gpu", ("fit[2]",))
    assert [line["text"] for line in log(script)] == ["waits for gpu, held by fit[2]"]


def test_output_of_nodes_is_told_line_by_line_with_its_stream() -> None:
    """Printed text keeps its indentation and loses its control characters."""
    script = Script()
    script.tell(e.OutputWritten, node="fit", name="fit", index=3, stream="stdout", text="  a\x1b[31m\n\n<b>b</b>\n")
    script.tell(e.OutputWritten, node="load", name="load", stream="log", text="m: careful", level="warning")
    told = [(line["label"], line["stream"], line["level"], line["text"]) for line in log(script)]
    assert told == [
        ("fit[3]", "stdout", "info", "  a\ufffd[31m"),
        ("fit[3]", "stdout", "info", "<b>b</b>"),
        ("load", "log", "warning", "m: careful"),
    ]


def test_chatter_does_not_push_out_news() -> None:
    """The retry of the first second is still there after a thousand items and a thousand printed lines."""
    script = Script()
    script.begin()
    script.retry("load")
    script.expand("fit", 1000)
    for index in range(1000):
        script.complete("fit", index)
        script.tell(e.OutputWritten, node="fit", name="fit", index=index, stream="stdout", text=f"line {index}\n")
    lines = log(script)
    assert len(lines) <= 300
    assert lines[0]["s"] == "retry"
    assert lines[-1]["text"] == "line 999"


def test_a_map_that_goes_on_waiting_says_so_once() -> None:
    """The engine tells a wait for each item; the log tells it once."""
    script = Script()
    script.begin({"cpu": 1})
    script.expand("fit", 20)
    for index in range(10):
        script.start("fit", index)
        script.queue("fit", "cpu", (f"fit[{index}]",))
    assert [line["s"] for line in log(script)].count("waiting") == 1


def test_every_line_is_kept_or_counted() -> None:
    """What the document leaves out it counts."""
    script = Script()
    script.begin()
    for index in range(1000):
        script.tell(e.OutputWritten, node="load", name="load", stream="stdout", text=f"{index}\n")
    record = RunRecord(GRAPH)
    record.apply(script.events)
    document = record.document()
    assert document["dropped"]["log"] + len(document["log"]) == 1000
