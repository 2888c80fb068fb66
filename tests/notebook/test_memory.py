"""What `%%cascade` remembers, and what `%cascade` says of it, in a real kernel."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.notebook.kernel import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

TASKS = """
@cs.task(pure=True)
def mem_load(n):
    print("loading", n)
    return list(range(n))

@cs.task(pure=True)
def mem_clean(rows, limit):
    return [r for r in rows if r < limit]

@cs.task
def mem_report(rows):
    return len(rows)

mem_target = mem_report(mem_clean(mem_load(10), cs.Param("limit", type=int, default=5)))
"""


def states(cell) -> dict[str, str]:
    """The state of each box of the picture, by its name."""
    return {name: entry["s"] for name, entry in cell.document["nodes"].items() if entry["s"] != "param"}


def test_a_cell_remembers_and_the_commands_tell(kernel: Kernel) -> None:
    """Stored nodes are marked, flags turn remembering off, and why, plan, runs, diff and store answer."""
    assert kernel.run(TASKS).ok
    first = kernel.run("%%cascade mem_target\n")
    assert set(states(first).values()) == {"done"}
    again = kernel.run("%%cascade mem_target\n")
    assert states(again) == {"mem_load": "skipped", "mem_clean": "stored", "mem_report": "done"}
    changed = kernel.run("%%cascade mem_target -p limit=3\n")
    assert states(changed) == {"mem_load": "stored", "mem_clean": "done", "mem_report": "done"}
    assert "loading 10" in str(changed.document["log"]), "what a stored node wrote when it ran"
    assert changed.value == "3"
    assert kernel.run("%cascade why mem_clean").value == "ran: limit 5 → 3"
    assert re.fullmatch(r"stored: same code and inputs · made by run 1, .*", kernel.run("%cascade why mem_load").value)
    assert kernel.run("%cascade why mem_clean 1").value == "ran: it had not run before"
    assert kernel.run("%cascade why mem_clean run 3").value == "ran: limit 5 → 3"
    entry = changed.document["nodes"]["mem_load"]
    assert re.match(r"same code and inputs; made by run 1, (just now|\d+ s ago)", entry["why"])
    assert "from the store, made by run 1, " in str(changed.document["log"])
    assert set(states(kernel.run("%%cascade mem_target --no-store\n")).values()) == {"done"}
    assert set(states(kernel.run("%%cascade mem_target --fresh\n")).values()) == {"done"}
    plan = kernel.run("%cascade plan mem_target -p limit=4").value
    assert "2 would run, 1 stored" in plan
    assert "mem_clean" in kernel.run("%cascade plan mem_target").value
    runs = kernel.run("%cascade runs 3").value.splitlines()
    assert len(runs) == 4
    assert [line.split()[0] for line in runs[1:]] == ["4", "3", "2"]
    told = kernel.run("%cascade diff 3 4").value
    assert told.startswith("run 3 → run 4: ")
    assert "Param limit 3 → 5" in told
    ids = [line.split()[-1] for line in runs[1:]]
    assert kernel.run(f"%cascade diff {ids[1]} {ids[0]}").value == told
    assert kernel.run("%cascade diff run 3 run 4").value == told
    size = kernel.run("%cascade store size").value.splitlines()
    assert size[0].startswith("3 results, ")
    assert [line.split("  ")[1] for line in size[1:]] == [
        "runs", "nodes of runs", "texts of code and output", "index on disk",
    ]  # fmt: skip
    assert kernel.run("%cascade store gc").value.startswith("0 results removed")
    assert kernel.run("%cascade store check").value == "Everything in the store is as it was written."


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("%cascade why", "takes the name of a node"),
        ("%cascade why mem_claen", "Did you mean 'mem_clean'"),
        ("%cascade plan", "takes a target"),
        ("%cascade plan mem_target -p limit", "-p takes NAME=VALUE"),
        ("%cascade runs many", "takes how many to list"),
        ("%cascade runs 0", "takes how many to list"),
        ("%cascade store clear load clean", "'clean' is one word too many for clear"),
        ("%cascade diff a", "takes the numbers of two runs"),
        ("%cascade diff zz yy", "No run begins with 'zz'"),
        ("%cascade diff 1 99", "There is no run 99 in this store: the latest is run "),
        ("%cascade why mem_clean 1 2", "takes one node, and the number of a run"),
        ("%cascade store sise", "Did you mean 'size'"),
    ],
)
def test_wrong_words_are_told_the_right_ones(kernel: Kernel, line: str, told: str) -> None:
    """Each is one line, not a traceback."""
    assert kernel.run(TASKS).ok
    assert kernel.run("%%cascade mem_target\n").ok
    cell = kernel.run(line)
    assert told in cell.error


def test_items_of_a_map_are_told_of(kernel: Kernel) -> None:
    """`why` names the new elements of a map and who made the others, `plan` says how many items would run."""
    code = "@cs.task(pure=True)\ndef mem_item(x):\n    return x * 2\n\ndef mem_some(n): return (k for k in range(n))\n"
    assert kernel.run(code).ok
    first = kernel.run("%%cascade mem_item.map(x=list(range(20)))\n")
    assert first.value.startswith("[0, 2, 4")
    runs = kernel.run("%cascade runs 1").value.splitlines()
    number = runs[1].split()[0]
    planned = kernel.run("%cascade plan mem_item.map(x=[*range(20), 50, 60])").value
    assert f"2 of 22 items would run: [20], [21]; 20 from run {number}" in planned
    assert kernel.run("%%cascade mem_item.map(x=[*range(20), 50, 60])\n").ok
    told = kernel.run("%cascade why mem_item").value
    assert told == f"2 of 22 items ran: new elements [20], [21]; 20 from run {number}"
    assert kernel.run("%cascade why 'mem_item[20]'").value == "ran: its element is new"
    assert kernel.run("%cascade why mem_item[3]").value == f"stored: same code and inputs · made by run {number}"
    lazy = kernel.run("%%cascade mem_item.map(x=mem_some(20))\n")
    assert lazy.document["nodes"]["mem_item"]["items"]["stored"] == 20
    assert kernel.run("%cascade why mem_item").value == f"stored: same code and inputs · 20 from run {number}"
    assert "known only when it takes them" in kernel.run("%cascade plan mem_item.map(x=mem_some(20))").value
    assert kernel.run("%cascade store limit 2GB").value == (
        "In this session the store keeps at most 2.0 GB, after each run."
    )
    assert kernel.run("%cascade store limit").value.startswith("In this session")
    assert kernel.run("%cascade store limit none").value.startswith("There are no limits")
    frame = kernel.run("cs.history().to_frame().columns.tolist()").value
    assert "'number', 'run_id', 'name'" in frame.replace("\n", "")
