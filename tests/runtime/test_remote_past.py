"""What a run tells of its past to those who come late, and what they make of an answer that makes no sense."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.connectors.inprocess import InProcessConnector
from cascade.interfaces import events as ev
from cascade.runtime import remote_picture
from cascade.runtime.remote_answers import Past, RunGraph, read_graph
from cascade.runtime.remote_desk import RemoteDesk

GRAPH = {"graph": {"nodes": [["a", "a", "task"]], "edges": []}}


@cs.task
def hold(gate: threading.Event) -> bool:
    return gate.wait(20)


@cs.task
def add(x: int) -> int:
    return x + 1


def test_a_run_tells_what_it_has_done() -> None:
    """Who comes late hears what has begun and ended, and when."""
    gate = threading.Event()
    run = cs.start([hold(gate), add(1)], log_level=None, connector="inprocess:past")
    past: dict[str, Past] = {}
    with RemoteDesk(InProcessConnector("past")) as desk:
        end = time.monotonic() + 15
        while len(past) < 2 and time.monotonic() < end:
            past = {one.node: one for one in (desk.graph(run.run_id) or RunGraph()).past}
        gate.set()
        assert run.result(20) == [True, 2]
    assert {name: one.state for name, one in past.items()} == {"hold": "RUNNING", "add": "COMPLETED"}
    assert all(abs(one.at - time.time()) < 60 and one.index is None for one in past.values())


def test_the_oldest_is_left_out_at_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a run is, what it keeps of its past and tells of it is bounded."""
    monkeypatch.setattr(remote_picture, "MOST_PAST", 2)
    picture = remote_picture.RunPicture()
    head: dict[str, Any] = {"run_id": "r", "seq": 1, "elapsed": 0.0, "name": "fit"}
    picture.hear([ev.NodeStarted(**head, at=float(at), node=f"fit#{at}") for at in range(4)])
    rows = [[f"fit#{at}"] for at in range(4)]
    assert picture.past(rows) == [[2, None, "RUNNING", 2.0, 0.0], [3, None, "RUNNING", 3.0, 0.0]]


@pytest.mark.parametrize("row", [[-1, None, "RUNNING", 0, 0], [9, None, "RUNNING", 0, 0], [0], [0, 1, "x", "y", 0], 7])
def test_a_past_that_makes_no_sense_is_none(row: Any) -> None:
    """An answer from anybody is looked at, not trusted."""
    told = read_graph(GRAPH)
    assert told is not None
    assert told.past == ()
    assert read_graph({**GRAPH, "past": [row]}) is None
