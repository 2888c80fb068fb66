from __future__ import annotations

import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.state.memory import MemoryStateBackend
from cascade.adapters.state.sqlite import SqliteStateBackend

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _own_context(own_context: None) -> None:
    """Begin with an empty context."""


@cs.task
def load(n: int = 1) -> list[int]:
    return [n]


@cs.task
async def fetch(n: int) -> int:
    return n


@cs.task(mode="inline")
def add(*numbers: Any) -> int:
    return len(numbers)


@cs.task
def fail() -> None:
    raise ValueError("no")


def run(target: object, **options: Any) -> Any:
    return cs.run(target, log_level=None, **options)


def test_a_run_writes_what_it_knows() -> None:
    """Values of every kind of node, reasons of skips and facts about the run are there after it."""
    state = MemoryStateBackend()
    router = cs.Router(selector=add(), routes={0: fetch(7)})
    skipped = load(5).named("skipped").run_if(False)
    target = [add(load(), fetch(2)), load.map([1, 2]).named("each"), add(router), skipped.with_fallback(0), fetch(3)]
    handle = cs.start(target, state_backend=state, log_level=None)
    assert handle.result(10)[:2] == [2, [[1], [2]]]
    assert state.run_id == handle.run_id
    known = {node: state.get_result(node) for node in state.results()}
    assert known["each"] == [[1], [2]]
    assert known["load"] == [1]
    assert [known[node] for node in known if node.startswith("fetch")].count(7) == 1
    facts = state.metadata()
    assert (facts["state"], facts["name"]) == ("completed", handle.name)


def test_values_are_the_very_objects() -> None:
    """In memory, a value is the object that the task returned."""
    state = MemoryStateBackend()
    value = run(load(), state_backend=state)
    assert state.get_result("load") is value


def test_skips_have_their_reasons() -> None:
    """A node that did not run says why, also one that nobody needed in the end."""
    state = MemoryStateBackend()
    run([fetch(1), add(load().run_if(False)).with_fallback(3)], state_backend=state)
    assert set(state.skips()) >= {"load"}
    assert "run_if" in state.skips()["load"]


def test_a_failed_run_keeps_what_it_had() -> None:
    """Values from before a failure are kept, and the facts say how it ended."""
    state = MemoryStateBackend()
    with pytest.raises(ValueError, match="no"):
        run([load(), fail().after(load())], state_backend=state)
    assert state.get_metadata("state") == "failed"
    assert not state.has_result("fail")


def test_a_factory_makes_one_for_each_run() -> None:
    """A factory is called with the id of each run; an engine takes it too."""
    made: dict[str, MemoryStateBackend] = {}

    def factory(run_id: str) -> MemoryStateBackend:
        return made.setdefault(run_id, MemoryStateBackend(run_id))

    first = cs.start(load(1), state_backend=factory, log_level=None)
    second = cs.Engine(state_backend_factory=factory).start(load(2))
    for handle, expected in ((first, [1]), (second, [2])):
        assert handle.result(10) == made[handle.run_id].get_result("load") == expected
    assert len(made) == 2


def test_a_backend_serves_one_run_after_the_other() -> None:
    """A backend that is given to two runs knows the second one."""
    state = MemoryStateBackend()
    run(load(1), state_backend=state)
    run(fetch(2), state_backend=state)
    assert state.results() == ["fetch"]


@pytest.mark.slow
def test_another_process_looks_at_a_run_that_goes_on(tmp_path: Path) -> None:
    """Another process reads values and facts while the run waits, and the end after it."""
    path, go = tmp_path / "runs.db", threading.Event()

    @cs.task
    def hold(values: object) -> object:
        go.wait(20)
        return values

    @cs.task
    def lock() -> object:
        return threading.Lock()

    handle = cs.start([hold(load(3)), lock()], state_backend=partial(SqliteStateBackend, path), log_level=None)
    code = (
        "import sys, time\n"
        "from cascade.adapters.state.sqlite import SqliteStateBackend\n"
        "with SqliteStateBackend(sys.argv[1], sys.argv[2], read_only=True) as state:\n"
        "    until = time.monotonic() + 10\n"
        "    while not (state.has_result('load') and state.unkept()) and time.monotonic() < until: pass\n"
        "    print(state.get_result('load'), state.get_metadata('state'), list(state.unkept()))"
    )
    command = [sys.executable, "-c", code, str(path), handle.run_id]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.stdout.strip() == "[3] running ['lock']", answer.stderr
    go.set()
    assert handle.result(10)[0] == [3]
    with SqliteStateBackend(path, handle.run_id) as state:
        assert state.get_metadata("state") == "completed"
        assert state.get_result("hold") == [3]
