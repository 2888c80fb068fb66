"""The state of a run, kept where others can read it."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.state.memory import MemoryStateBackend
from cascade.adapters.state.sqlite import SqliteStateBackend
from cascade.interfaces.exceptions import CascadeError

QUIET: dict[str, Any] = {"log_level": None}


@cs.task
def double(x):
    return 2 * x


@cs.task(mode="inline")
def plus(*numbers):
    return sum(numbers)


def test_a_backend_is_given_what_the_run_comes_to_know():
    """Values by the ids of nodes, skips with their reasons, and how the run went."""
    state = MemoryStateBackend()
    target = [plus(double(1), double(2)), double(3).run_if(False).with_fallback(0), double(4).run_if(False)]
    run = cs.start({"all": target[0], "else": target[1]}, state_backend=state, **QUIET)
    assert run.result(10) == {"all": 6, "else": 0}
    assert {n: state.get_result(n) for n in state.results()} == {"double": 2, "double#2": 4, "plus": 6, "double#3": 0}
    assert state.get_metadata("state") == "completed"
    assert state.run_id == run.run_id
    state = MemoryStateBackend()
    with pytest.raises(cs.DependencyMissingError):
        cs.run(target[2], state_backend=state, **QUIET)
    assert dict(state.skips()) == {"double": "its run_if is false"}
    assert state.get_metadata("state") == "failed"


def test_a_file_can_be_read_while_the_run_goes_on(tmp_path):
    """Another connection sees the values of nodes that are done while others still run."""
    path, held = tmp_path / "state.db", threading.Event()

    @cs.task
    def look(x):
        held.wait(10)
        return x

    run = cs.start(look(double(21)), state_backend=lambda run_id: SqliteStateBackend(path, run_id), **QUIET)

    def peek(event):
        if type(event).__name__ == "NodeStarted" and event.name == "look":
            run._flow.settings.state._do(lambda to: to.flush())
            held.set()

    run.subscribe(peek, batched=False)
    assert held.wait(10)
    reader = SqliteStateBackend(path, run.run_id)
    assert reader.get_result("double") == 42
    assert run.result(10) == 42
    assert reader.get_result("look") == 42
    assert reader.get_metadata("state") == "completed"
    reader.close()


def test_an_engine_makes_a_backend_for_each_run():
    """The factory is called with the run's id, and what it made is closed with the run."""
    made = []

    class Closing(MemoryStateBackend):
        __slots__ = ("is_closed",)

        def close(self):
            self.is_closed = True

    def make(run_id):
        made.append(Closing(run_id))
        return made[-1]

    engine = cs.Engine(state_backend_factory=make)
    runs = [engine.start(double(n)) for n in (1, 2)]
    assert [run.result(10) for run in runs] == [2, 4]
    assert [state.run_id for state in made] == [run.run_id for run in runs]
    assert all(state.is_closed for state in made)


def test_a_backend_that_fails_costs_the_run_nothing(caplog):
    """Its fault is told once; the value is the same."""

    class Broken(MemoryStateBackend):
        __slots__ = ()

        def put_result(self, node, value):
            raise OSError("disk full")

    with caplog.at_level(logging.WARNING, "cascade"):
        assert cs.run(plus(double(1), double(2)), state_backend=Broken(), **QUIET) == 6
    assert [r.getMessage() for r in caplog.records] == [
        "The state of the run is kept no more: Broken raised OSError: disk full."
    ]
    caplog.clear()
    closed = []

    class Full(Broken):
        __slots__ = ()

        def mark_skipped(self, node, reason):
            raise CascadeError("It is full. Make space.")

        def close(self):
            closed.append(self)
            raise OSError("still full")

    with caplog.at_level(logging.WARNING, "cascade"):
        assert cs.run(double(1).run_if(False).with_fallback(3), state_backend=Full, **QUIET) == 3
    assert len(caplog.records) == len(closed) == 1, "one that is the run's own is closed, too, and tells no more"
    with pytest.raises(CascadeError, match="state_backend is a StateBackend, or a function"):
        cs.run(double(1), state_backend=3, **QUIET)
