"""Random programs of the whole language: written to a file, read back and run, they do what they did before."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings

import cascade as cs
from cascade.context import get_current_context
from cascade.interfaces.exceptions import GraphFormatError
from tests.runtime.evaluator import expect, nodes_in, shape
from tests.runtime.programs import CAPACITIES, Pair, Program, Step, programs
from tests.runtime.test_random_graphs import World, blamed, check_log, check_quiet, final_states

assert Pair  # the programs' dataclass: a file may name it, since it stands here beside tasks


class FiledWorld(World):
    """A world whose tasks have names of their own, so that a file can tell them apart."""

    def body(self, name: str, step: Step) -> Any:
        def plain(*args: Any, **kwargs: Any) -> Any:
            with self.at_work(name, step):
                return self.work(name, step, args, kwargs)

        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            with self.at_work(name, step):
                await asyncio.sleep(0)
                return self.work(name, step, args, kwargs)

        made = coroutine if step.mode == "async" else plain
        made.__qualname__ = f"body_of_{name}"
        return made

    def ask(self, ask: Any) -> Any:
        return list(range(ask.value)) if ask.kind == "stream" else super().ask(ask)


SETTINGS = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


def check(program: Program) -> None:
    """Values, failures and skips of a restored graph are those of a plain sequential reading of the original."""
    assume(nodes_in(program.target))
    expected = expect(program)
    world = FiledWorld(program)
    restored = cs.from_json(cs.to_json(world.target))
    run = cs.start(
        restored, system_resources=CAPACITIES, log_level=None, resources=world.resources, on_failure="continue"
    )
    error = run.exception(20)
    states = final_states(run)
    for name, state in expected.states.items():
        wanted = "skipped" if state == "never" else state
        assert states.get(name, "absent") in (wanted, *["absent"] * (state == "never")), f"{name}: {states}"
    for name, count in expected.runs.items():
        assert world.runs[name] == count, f"{name} ran {world.runs[name]} times"
    if expected.ends == "failures":
        assert error is not None
        assert set().union(*blamed(error)) >= expected.failed
    elif expected.ends == "value":
        assert error is None
        assert shape(run.result()) == shape(expected.value)
    else:
        assert error is not None
    check_quiet(world)
    check_log(run)


@settings(SETTINGS, max_examples=8)
@given(programs())
def test_random_programs_run_alike_after_a_file(program: Program) -> None:
    """A few random programs do after a file what they would have done before."""
    check(program)


@pytest.mark.slow
@settings(SETTINGS, max_examples=300)
@given(programs())
def test_many_random_programs_run_alike_after_a_file(program: Program) -> None:
    """So do many more."""
    check(program)


@settings(SETTINGS, max_examples=10)
@given(programs())
def test_files_of_random_programs_are_plain_and_keep_secrets(program: Program) -> None:
    """What another reader of JSON wrote again, keys sorted, is the same graph; the value of a secret is nowhere."""
    world = FiledWorld(program)
    secret = cs.Param("key", default="hunter2", secret=True, choices=["hunter2", "hunter3"])
    text = cs.to_json([world.target, world.lazy[-1], secret, cs.Env("TOKEN", default="hunter2", secret=True)])
    assert "hunter" not in text
    rewritten = json.dumps(json.loads(text), sort_keys=True, indent=1)
    assert cs.to_json(cs.from_json(text)) == text
    assert json.loads(cs.to_json(cs.from_json(rewritten))) == json.loads(text)


# -- loops -------------------------------------------------------------------------------------------------------------


@cs.task
def halve(n: int, steps: int = 0) -> Any:
    """A turn of a loop."""
    return cs.Jump("done", data=steps) if n <= 1 else cs.Jump("again", data={"n": n // 2, "steps": steps + 1})


@cs.task
def start_at(n: int) -> int:
    """Where a loop begins."""
    return n


@pytest.fixture
def registered(own_context: None) -> None:
    """The tasks of this module in a context of its own."""
    for task in (halve, start_at):
        get_current_context().tasks[task.key] = task


@pytest.mark.usefixtures("registered")
def test_loops_come_back() -> None:
    """Where jumps lead, what is given beforehand, and how many there may be."""
    first = start_at(1024)
    jumps = cs.select_jump({"again": halve, 2: halve(first, steps=first["k"]), "done": None}, max_jumps=50)
    target = cs.bind(halve(first), jumps)
    back = cs.from_json(cs.to_json(target))
    assert cs.to_json(back) == cs.to_json(target)
    routes = back._options.jump.routes
    assert (routes["again"], routes["done"], back._options.jump.max_jumps) == (halve, None, 50)
    assert routes[2]._args[0] is back._args[0]
    assert (routes[2]._task, cs.to_json(routes[2])) == (halve, cs.to_json(jumps.routes[2]))


@pytest.mark.usefixtures("registered")
def test_a_loop_from_a_file_turns() -> None:
    """It gives the value that the original gives."""
    target = cs.bind(halve(start_at(1024)), cs.select_jump({"again": halve, "done": None}))
    assert cs.run(cs.from_json(cs.to_json(target)), log_level=None) == cs.run(target, log_level=None) == 10


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("jump", "told"),
    [
        ({"max_jumps": 0, "routes": [["a", None]]}, "jump.max_jumps: a whole number of at least 1"),
        ({"max_jumps": True, "routes": [["a", None]]}, "jump.max_jumps"),
        ({"max_jumps": 1, "routes": []}, "jump.routes: there is none"),
        ({"max_jumps": 1, "routes": [["a", {"task": 7}]]}, "jump.routes[0].task: it is not the number"),
        ({"max_jumps": 1, "routes": [["a", {"task": 0, "args": [1]}]]}, "arguments stand with 'called': true only"),
        ({"max_jumps": 1, "routes": [["a", {"task": 0, "called": 1}]]}, "arguments stand with"),
        ({"max_jumps": 1, "routes": [["a", {"task": 0, "called": True, "owner": 1}]]}, "'owner' without"),
        ({"max_jumps": 1, "routes": [["a", {"task": 0, "called": True, "args": []}]]}, "cannot be called like this"),
        ({"max_jumps": 1, "routes": [["a", 3]]}, "jump.routes[0]: an object is needed, not a number"),
        ({"max_jumps": 1, "routes": [[[], None]]}, "a key cannot be a key"),
        ({"max_jumps": 1}, "routes is missing"),
        (None, "an object is needed, not null"),
    ],
)
def test_hostile_loops_are_refused(jump: Any, told: str) -> None:
    """Wrong numbers, routes and calls are errors with their place."""
    document = json.loads(cs.to_json(halve(4).named("x")))
    document["nodes"][0]["options"] = {"jump": jump}
    with pytest.raises(GraphFormatError) as caught:
        cs.from_json(json.dumps(document))
    assert told in str(caught.value)
    assert "at nodes[0].options.jump" in str(caught.value)
