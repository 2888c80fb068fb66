"""What is known of a run elsewhere, and how it is drawn: messages in any order, of any kind, for any terminal."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascade.cli.codes import CommandError
from cascade.cli.following import Followed, read_message
from cascade.cli.screen import draw, sayable, tell
from cascade.cli.steering import read_ttl
from cascade.cli.tables import cut, lay_out
from cascade.runtime.remote_desk import RunStatus

START = 1_767_225_600.0


def message(second: float, kind: str, **fields: Any) -> dict[str, Any]:
    ts = time.strftime("%Y-%m-%dT%H:%M:", time.gmtime(START)) + f"{second:06.3f}Z"
    return {"ts": ts, "run_id": "r1", "source": "host-1", "body": {"type": kind, **fields}}


def task(second: float, name: str, state: str, **fields: Any) -> dict[str, Any]:
    return message(second, "TaskStateEvent", task_id=name, task_name=name, state=state, **fields)


def started() -> Followed:
    run = Followed("r1")
    run.hear(message(0, "LifecycleEvent", event="ENGINE_STARTED", status="running"))
    return run


def drawn(run: Followed, wide: int = 80, high: int = 30, **more: Any) -> list[str]:
    return ["".join(text for text, _ in line) for line in draw(run, wide, high, now=START + 5, **more)]


def test_states_and_counts() -> None:
    """Nodes are counted as they are now; a map of which items run is running, though others of them wait."""
    run = started()
    for told in (
        task(0, "a", "PENDING"),
        task(0, "b", "PENDING"),
        task(1, "a", "RUNNING"),
        task(2, "a", "COMPLETED", duration_ms=1000),
        task(2, "b", "RUNNING"),
        task(2, "b[0]", "RUNNING"),
        task(2, "b", "BLOCKED"),
    ):
        run.hear(told)
    assert run.counts == {"done": 1, "running": 1}
    run.hear(task(3, "b[0]", "COMPLETED"))
    assert run.counts == {"done": 1, "waiting": 1}
    text = drawn(run)
    assert "1 of 2" in text[1]
    assert text[2] == "● 1 done   ◌ 1 waiting"
    assert any("for a capacity or a limit" in line for line in text)


def test_an_observer_who_came_late() -> None:
    """Without the beginning, counts are what the run says of itself, and that is said."""
    run = Followed("r1")
    run.take_status(RunStatus("r1", name="n", state="running", started_at=START, counts={"completed": 7, "pending": 3}))
    run.hear(task(3, "b", "RUNNING"))
    assert run.counts == {"done": 7, "pending": 3}
    assert any("Joined while it ran" in line for line in drawn(run))
    assert run.elapsed(START + 5) == 5


def test_a_graph_too_large_to_be_told() -> None:
    """Where not every node was told at the start, the run's own counts hold as long as it goes on."""
    run = started()
    run.hear(task(1, "a", "RUNNING"))
    run.take_status(RunStatus("r1", state="running", counts={"running": 1, "pending": 99_999}))
    assert run.counts == {"running": 1, "pending": 99_999}
    assert "0 of 100,000" in drawn(run)[1]


def test_a_run_that_was_lost_and_came_back() -> None:
    """Lost is an end that a later word undoes; the other ends stay."""
    run = started()
    run.hear(task(1, "a", "RUNNING"))
    run.hear(message(0, "LifecycleEvent", event="ENGINE_STOPPED", status="lost"))
    assert (run.over, run.elapsed(START + 9)) == (True, 1)
    run.hear(message(2, "LifecycleEvent", event="ENGINE_STARTED", status="reconnected"))
    assert (run.over, run.elapsed(START + 9)) == (False, 9)


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
json_values = leaves | st.lists(leaves, max_size=3) | st.dictionaries(st.text(max_size=8), leaves, max_size=3)
KEYS = st.sampled_from(["type", "event", "status", "task_id", "task_name", "state", "duration_ms", "error"])
WORDS = st.sampled_from(
    ["LifecycleEvent", "TaskStateEvent", "ENGINE_STOPPED", "RUNNING", "fit[3]", "fit[" + "9" * 99 + "]"]
)


@given(st.dictionaries(KEYS, WORDS | json_values), json_values)
def test_messages_of_strangers(body: dict[str, Any], ts: Any) -> None:
    """Whatever comes, nothing fails, nothing steers the terminal, and the screen keeps its size."""
    run = started()
    run.name = "n"
    for moment in (ts, "2026-01-01T00:00:03Z"):
        run.hear({"ts": moment, "run_id": "r1", "source": "\x1b[2J", "body": body})
    lines = drawn(run, 40, 12)
    assert len(lines) <= 12
    assert all(line.isprintable() and len(line) <= 40 for line in lines)


@pytest.mark.parametrize(("wide", "high"), [(1, 1), (10, 3), (30, 7), (79, 23), (200, 60)])
def test_any_size(wide: int, high: int) -> None:
    """The picture has at most the lines and columns that there are; what does not fit is counted."""
    run = started()
    for number in range(100):
        run.hear(task(1, f"node {number} 日本語", "RUNNING" if number % 2 else "PENDING"))
    run.hear(task(1, "the last", "RUNNING"))
    lines = drawn(run, wide, high, place="local", note="Not connected.")
    assert len(lines) <= high
    from rich.cells import cell_len

    assert all(cell_len(line) <= wide for line in lines)
    if high == 23:
        assert any("more: " in line for line in lines)


def test_many_nodes_of_one_name() -> None:
    """Where the nodes do not fit, those of a name are one line with how many are in which state."""
    run = started()
    for number in range(60):
        state = "COMPLETED" if number < 20 else "RUNNING" if number < 23 else "PENDING"
        run.hear(message(1, "TaskStateEvent", task_id=f"fit#{number}", task_name="fit", state=state))
    run.hear(task(1, "total", "PENDING"))
    lines = drawn(run)
    assert "  ◐ fit    running   nodes: 20 done, 3 running, 37 to come" in lines
    assert "  ○ total  to come" in [line.rstrip() for line in lines]


def test_lines_for_messages() -> None:
    """A message is a sign, a name, a state, a time and an error."""
    told = read_message(task(1, "fit", "FAILED", duration_ms=1500, error="ValueError: no\x1b[31m luck"))
    assert told is not None
    assert tell(told) == "✕ fit failed in 1.50 s: ValueError: no\\x1b[31m luck"
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    assert sayable("● fit done · ü", stream) == "* fit done . \\xfc"


def test_times_to_live() -> None:
    """Times have units; what is none, or no time at all, is refused with an example."""
    now = time.time()
    for text, seconds in (("90", 90), ("90s", 90), ("30m", 1800), ("1.5h", 5400), ("1d", 86400)):
        assert read_ttl(text) == pytest.approx(now + seconds, abs=5)
    assert read_ttl("") is None
    for text in ("soon", "-5m", "0", "nan", "inf", "1e99d", "5 weeks", "mm"):
        with pytest.raises(CommandError, match="--ttl takes a time such as 90s, 30m, 2h or 1d"):
            read_ttl(text)


def test_tables() -> None:
    """Columns stand under each other, also with wide characters; a narrow terminal cuts lines."""
    rows = [("a", "b"), ("日本", "x\x1b[0m")]
    assert lay_out(rows) == "a     b\n日本  x\\x1b[0m"
    assert cut("日本語", 4) == "日…"
    assert lay_out([("name", "long words")], 8) == "name  l…"
