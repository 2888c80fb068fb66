"""What a retry keeps, and items that come from the store: counted and told as what they are, each in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import cascade as cs
from cascade.interfaces.events import ItemsRecalled
from cascade.notebook.items import ItemBook
from cascade.notebook.parts import UNSURE, list_parts
from cascade.notebook.record import RunRecord
from cascade.notebook.summary import summarize

if TYPE_CHECKING:
    from pathlib import Path


def record_of(run: Any) -> RunRecord:
    """The record of a run that is over."""
    run.wait(30)
    record = RunRecord(run.graph)
    record.apply(list(run.events))
    return record


def states_of(record: RunRecord, box: str) -> dict[str, str]:
    """The state of each item of a map, by its label."""
    return {row[0]: row[1] for row in list_parts(record, box)["rows"]}


def test_what_a_retry_keeps_is_said_to_be_kept() -> None:
    """Nodes and items count as kept, not as from the store, in the document, its words, and item by item."""
    good: list[int] = []

    @cs.task
    def load() -> int:
        return 1

    @cs.task(mode="inline")
    def item(x: int) -> int:
        if x == 3 and not good:
            raise ValueError(x)
        return x

    @cs.task
    def total(xs: list[int], more: int) -> int:
        return sum(xs) + more

    first = cs.start(total(item.map(x=[0, 1, 2, 3, 4]), load()), log_level=None, on_failure="continue")
    record_of(first)
    good.append(1)
    record = record_of(first.retry())
    document = record.document()
    counts = document["run"]["counts"]
    assert (counts["kept"], counts["stored"]) == (1 + sum(s == "kept" for s in states_of(record, "item").values()), 0)
    assert document["nodes"]["load"]["s"] == "kept"
    assert document["nodes"]["item"]["items"]["kept"] == counts["kept"] - 1
    assert states_of(record, "item")["item[0]"] == "kept"
    assert states_of(record, "item")["item[3]"] == "done"
    told = summarize(document)
    assert f"{counts['kept']} kept" in told
    assert "from the store" not in told
    assert [line["s"] for line in document["log"] if "kept from" in line["text"]] == ["kept", "kept"]


def test_items_from_the_store_are_told_apart(tmp_path: Path) -> None:
    """Of a map that failed, the items that were stored, that ran, that failed and that never ran are told as that."""

    @cs.task(pure=True, mode="inline")
    def square(x: int) -> int:
        if x == 20:
            raise ValueError(x)
        return x * x

    cs.run(square.map(x=[1, 2, 3]), cache=str(tmp_path), log_level=None)
    run = cs.start(square.map(x=[10, 1, 2, 20, 3, 30, 40]), cache=str(tmp_path), log_level=None)
    record = record_of(run)
    assert [event.spans for event in run.events if isinstance(event, ItemsRecalled)] == [((1, 2), (4, 1))]
    states = states_of(record, "square")
    assert {label for label, state in states.items() if state == "stored"} == {"square[1]", "square[2]", "square[4]"}
    assert states["square[3]"] == "failed"
    assert not {states["square[5]"], states["square[6]"]} & {"stored", "done"}


@pytest.mark.parametrize("total", [4, 7])
def test_what_nobody_told_is_unknown(total: int) -> None:
    """Where it was not told which items were stored, nothing is guessed: all that is left were, or it is not known."""

    @cs.task(mode="inline")
    def one(x: int) -> int:
        return x

    run = cs.start(one.map(x=range(total)), log_level=None)
    run.wait(30)
    record = RunRecord(run.graph)
    unit = next(iter(record.units.values()))
    unit._items, unit.state, unit.total, unit.recalled = ItemBook(), "failed", total, 3
    unit.items.note(0, "failed")
    rows = list_parts(record, unit.box.id)["rows"]
    if total == 4:
        assert [row[1] for row in rows] == ["failed", "stored", "stored", "stored"]
    else:
        assert [row[3] for row in rows] == ["", *[UNSURE] * 6]
        assert not [row for row in rows if row[1] == "stored"]
