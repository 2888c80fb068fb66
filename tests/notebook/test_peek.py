"""Peek, debug and retry in a real kernel, and what a finished document says of its nodes."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

import cascade as cs
from cascade.notebook.facts import Facts
from cascade.notebook.folding import weight
from cascade.notebook.parts import find_parts, list_parts
from cascade.notebook.peek import MOST_BYTES, Peeker, split_label
from cascade.notebook.record import RunRecord
from cascade.runtime.heads import head_of

if TYPE_CHECKING:
    from tests.notebook.kernel import Kernel

slow = [pytest.mark.kernel, pytest.mark.slow, pytest.mark.timeout(120)]
TASKS = '''
import pandas as pd
ready = []

@cs.task
def birds(n=40):
    """Reads the birds.

    From nowhere."""
    return pd.DataFrame({"species": ["Adelie", "Gentoo"] * (n // 2), "mass": range(n)})

@cs.task
def masses(table, *, key=cs.Param("key", default="s3cr3t-key", secret=True)):
    return [key] + list(table["mass"])[:5]

@cs.task
def fit(mass, steps=200):
    if mass in (2, 4) and not ready:
        raise ValueError(f"no fit for {mass}")
    return 1

@cs.task
def total(fits):
    return sum(fits)
'''
RUN = "%%cascade -o result --keep-going\ntotal(fit.map(masses(birds())))"


class Loud:
    """Its repr takes its time."""

    def __repr__(self) -> str:
        time.sleep(30)
        return "never"


@cs.task
def table(n: int = 3) -> list[int]:
    """Makes rows.

    Many of them.
    """
    return list(range(n))


@cs.task
def double(xs: list[int], factor: int = 2) -> list[int]:
    return [x * factor for x in xs]


@cs.task
def bad(x: int) -> int:
    if x == 1:
        raise ValueError(f"bad {x}")
    return x


def ended(target: Any) -> tuple[Any, RunRecord]:
    """Run a target and return its handle and record."""
    run = cs.start(target, log_level=None, capture_output=True)
    run.wait(20)
    record = RunRecord(run.graph)
    record.apply(run.events)
    return run, record


def test_a_document_tells_of_functions_arguments_and_first_rows() -> None:
    """Facts once for each task, arguments with what gives them, the beginning of each value, within its bytes."""
    run, record = ended(double(double(table(9), factor=3)))
    told = Peeker(run, record).record_all(200_000)
    assert [task["signature"] for task in told["tasks"]].count("double(xs, factor=2)") == 1
    first = told["nodes"]["table"]
    assert first["head"]["table"] == {"columns": [], "rows": [["0"], ["1"], ["2"], ["3"], ["4"]], "more": 4}
    inner = told["nodes"]["double#2"] if "double#2" in told["nodes"] else told["nodes"]["double"]
    assert {argument["name"] for argument in inner["arguments"]} <= {"xs", "factor"}
    assert weight(told) <= MOST_BYTES
    assert weight(Peeker(run, record).record_all(400)) <= 400


def test_a_value_is_looked_at_where_it_still_is() -> None:
    """The target's value is kept, those before it are told by their beginning, an unknown name is an error."""
    run, record = ended(double(table(3)))
    peeker = Peeker(run, record)
    assert peeker.look("double")["value"]["state"] == "kept"
    gone = peeker.look("table")["value"]
    assert (gone["state"], gone["table"]["rows"]) == ("recorded", [["0"], ["1"], ["2"]])
    with pytest.raises(KeyError):
        peeker.look("tabel")
    assert peeker.look("table")["task"]["doc"] == "Makes rows."


def test_items_are_listed_failed_first() -> None:
    """A map's items with their errors; one item has its own arguments; the find box's words reach them."""
    run, record = ended(bad.map([0, 1, 2, 3]))
    rows = list_parts(record, "bad")["rows"]
    assert (rows[0][:2], rows[0][3]) == (["bad[1]", "failed"], "ValueError: bad 1")
    found = Peeker(run, record).look("bad[1]")
    assert (found["s"], found["arguments"][0]["value"]) == ("failed", "1")
    assert find_parts(record, "bad[1")[0] == ["bad[1]", "failed", "bad", "bad[1]"]
    assert split_label("fit[3]") == ("fit", 3)
    assert split_label("fit") == ("fit", None)


def test_members_of_a_folded_box_are_found() -> None:
    """In a graph too large to draw whole, a node is found by its name and looked at."""
    run, record = ended([double([k]).named(f"step {k}") for k in range(900)])
    assert record.drawing.folded
    found = find_parts(record, "step 777")
    assert found[0][0] == "step 777"
    assert Peeker(run, record).look(found[0][3])["label"] == "step 777"
    assert len(json.dumps(record.document())) < 200_000


def test_beginnings_never_run_code_of_the_user() -> None:
    """An object whose repr hangs is told by its type, in a moment."""
    began = time.monotonic()
    head = head_of([Loud(), 1])
    assert head is not None
    assert head.rows == (("Loud",), ("1",))
    assert time.monotonic() - began < 1


def test_facts_summarise_defaults() -> None:
    """A signature with a huge default is short."""

    @cs.task
    def wide(
        x: int, names: Any = tuple(range(10_000)), key: Any = cs.Param("wide_key", default="x", secret=True)
    ) -> int:
        return x

    facts = Facts(cs.start(wide(1), log_level=None).graph)
    assert facts.task(0)["signature"] == "wide(x, names=tuple of 10,000, key=<wide_key>)"


@pytest.mark.parametrize("_", [pytest.param(0, marks=slow)])
def test_a_person_finds_and_fixes_a_failure(kernel: Kernel, _: int) -> None:
    """Peek at the node, debug with its inputs, fix the cell, retry: only what failed runs, and the name is bound."""
    assert kernel.run(TASKS, "tasks").ok
    cell = kernel.run(RUN, "run")
    assert not cell.ok
    document = cell.document
    assert document["failure"]["label"] in {"fit[3]", "fit[5]"}
    assert "s3cr3t" not in json.dumps(document)
    assert document["peek"]["nodes"]["birds"]["head"]["table"]["columns"] == ["species", "mass"]
    peek = kernel.run("%cascade peek birds").bundle
    assert "Reads the birds." in peek["text/plain"]
    assert "<table>" in peek["text/html"]
    assert "s3cr3t" not in json.dumps([peek, kernel.run("%cascade peek masses").bundle])
    assert "Did you mean 'birds'?" in kernel.run("%cascade peek birs").error
    label = document["failure"]["label"]
    said = kernel.run(f"%cascade debug {label}")
    assert "mass" in said.value
    assert kernel.value("mass") in {2, 4}
    assert kernel.run("mass = 'mine'").ok
    assert "mass is something else" in kernel.run("%cascade debug").value
    assert kernel.value("mass") == "mine"
    assert kernel.run("ready.append(1)").ok
    retried = kernel.run("%cascade retry")
    assert (retried.ok, retried.value) == (True, "6")
    assert kernel.value("result") == 6
    updated = [m for m in cell.messages if m.type == "update_display_data"]
    assert updated[-1].content["data"]["application/vnd.cascade.run+json"]["run"]["state"] == "completed"
    assert "there is nothing to retry" in kernel.run("%cascade retry").error
    assert kernel.run("import gc; gc.collect(); session().jobs[1].run.__class__.__name__").value == "'EndedRun'"


@pytest.mark.parametrize("_", [pytest.param(0, marks=slow)])
def test_questions_of_the_view_are_answered_in_time(kernel: Kernel, _: int) -> None:
    """Over the page's own comm: hello, a peek, and one at a value whose repr hangs."""
    code = """
class Loud:
    def __repr__(self):
        time.sleep(3)
        return "late"

@cs.task
def loud(): return Loud()

answers = []
class Page:
    def on_msg(self, take): self.take = take
    def send(self, message): answers.append((time.monotonic() - asked[0], message))

from cascade.notebook.view.link import Link
page, asked = Page(), [time.monotonic()]
link = Link(session, page)
def say(**message):
    asked[0] = time.monotonic()
    page.take({"content": {"data": message}})
"""
    assert kernel.run(code).ok
    assert kernel.run("%%cascade\nx = loud()\nx;").ok
    assert kernel.run(
        "run = session().latest().run.run_id\nsay(type='hello', run=run); say(type='hello', run='gone')"
    ).ok
    assert kernel.value("[(m['known'], m['retry']) for _, m in answers]") == [(True, False), (False, False)]
    assert kernel.run("answers.clear(); say(type='ask', run=run, id=7, what='peek', node='loud')").ok
    assert kernel.run("wait_until(lambda: answers)").ok
    took, message = kernel.value("[(answers[0][0], answers[0][1])]")[0]
    assert took < 1.0
    assert (message["id"], message["type"]) == (7, "answer")
    assert "too long" in message["error"]
    assert kernel.run("answers.clear(); say(type='ask', run=run, id=8, what='peek', node='nowhere')").ok
    assert kernel.run("wait_until(lambda: answers)").ok
    assert kernel.value("answers[0][1]['error']") == "There is no such node."
