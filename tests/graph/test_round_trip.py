"""Random programs of the whole language: written to a file, read back and run, they do what they did before."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, reject, settings

import cascade as cs
from cascade.context import get_current_context
from cascade.interfaces.exceptions import GraphFormatError, ParamError
from tests.runtime.evaluator import expect, nodes_in
from tests.runtime.programs import Program, programs
from tests.runtime.test_random_graphs import World, check


class FiledWorld(World):
    """A world whose graph has been in a file."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.target = cs.from_json(to_file(self.target))


def to_file(target: Any) -> str:
    """Return the file; a program with an iterator that no file can hold is drawn again."""
    try:
        return cs.to_json(target)
    except GraphFormatError as error:
        if "Stream" in str(error):
            reject()
        raise


SETTINGS = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


def check_filed(program: Program) -> None:
    """Values, failures and skips of a restored graph are those of a plain sequential reading of the original.

    Tasks that return calls return those of the original graph, which the restored one does not know: left out.
    """
    assume(nodes_in(program.target))
    assume(not any(step.gives == "lazy" for step in program.steps))
    check(program, expect(program), make=FiledWorld)


@settings(SETTINGS, max_examples=8)
@given(programs())
def test_random_programs_run_alike_after_a_file(program: Program) -> None:
    """A few random programs do after a file what they would have done before."""
    check_filed(program)


@pytest.mark.slow
@settings(SETTINGS, max_examples=300)
@given(programs())
def test_many_random_programs_run_alike_after_a_file(program: Program) -> None:
    """So do many more."""
    check_filed(program)


@settings(SETTINGS, max_examples=10)
@given(programs())
def test_files_of_random_programs_are_plain_and_keep_secrets(program: Program) -> None:
    """What another reader of JSON wrote again, keys sorted, is the same graph; the value of a secret is nowhere."""
    world = World(program)
    secret = cs.Param("key", default="hunter2", secret=True, choices=["hunter2", "hunter3"])
    text = to_file([world.target, secret, cs.Env("TOKEN", default="hunter2", secret=True)])
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


def test_a_file_travels_as_its_path():
    """`cs.File` round-trips, and equal ones make equal pure calls one node."""

    @cs.task(pure=True)
    def size(file):
        return len(file.path)

    restored = cs.from_json(cs.to_json([size(cs.File("a.csv")), size(cs.File("a.csv"))]))
    assert cs.run(restored, log_level=None) == [5, 5]
    assert '"path": "a.csv"' in cs.to_json(size(cs.File("a.csv"))) or '"path":"a.csv"' in cs.to_json(
        size(cs.File("a.csv"))
    )

    from cascade.graph.build import build

    assert len(build([size(cs.File("a.csv")), size(cs.File("a.csv"))])) == 1


def test_bounds_travel_and_wrong_ones_are_named() -> None:
    """A graph file keeps the bounds of its Params; a file with others than a pair is refused with the place."""

    @cs.task(name="bounded")
    def take(n: int) -> int:
        return n

    text = cs.to_json(take(cs.Param("n", 5, bounds=(0, None))))
    again = cs.from_json(text)
    with pytest.raises(ParamError, match="-1 is not at least 0"):
        cs.run(again, params={"n": -1}, log_level=None)
    assert '"bounds": [0, null]' in text
    with pytest.raises(GraphFormatError, match=r"inputs\[0\].bounds"):
        cs.from_json(text.replace("[0, null]", "[3, 1]"))
