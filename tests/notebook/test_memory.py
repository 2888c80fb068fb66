"""What `%%cascade` remembers, and what `%cascade` says of it, in a real kernel."""

from __future__ import annotations

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
    assert kernel.run("%cascade why mem_load").value.startswith("stored: same code and inputs · made in run ")
    assert set(states(kernel.run("%%cascade mem_target --no-store\n")).values()) == {"done"}
    assert set(states(kernel.run("%%cascade mem_target --fresh\n")).values()) == {"done"}
    plan = kernel.run("%cascade plan mem_target -p limit=4").value
    assert "2 would run, 1 stored" in plan
    assert "mem_clean" in kernel.run("%cascade plan mem_target").value
    runs = kernel.run("%cascade runs 3").value.splitlines()
    assert len(runs) == 4
    ids = [line.split()[0] for line in runs[1:]]
    assert "Param limit 3 → 5" in kernel.run(f"%cascade diff {ids[1]} {ids[0]}").value
    assert kernel.run("%cascade store size").value.startswith("3 results, ")
    assert kernel.run("%cascade store check").value == "Everything in the store is as it was written."


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("%cascade why", "takes the name of a node"),
        ("%cascade why mem_claen", "Did you mean 'mem_clean'"),
        ("%cascade plan", "takes a target"),
        ("%cascade plan mem_target -p limit", "-p takes NAME=VALUE"),
        ("%cascade runs many", "takes how many to list"),
        ("%cascade diff a", "takes the ids of two runs"),
        ("%cascade diff zz yy", "No run begins with 'zz'"),
        ("%cascade store sise", "Did you mean 'size'"),
    ],
)
def test_wrong_words_are_told_the_right_ones(kernel: Kernel, line: str, told: str) -> None:
    """Each is one line, not a traceback."""
    assert kernel.run(TASKS).ok
    assert kernel.run("%%cascade mem_target\n").ok
    cell = kernel.run(line)
    assert told in cell.error
