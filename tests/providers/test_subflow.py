from __future__ import annotations

import threading
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces.exceptions import CapacityError, GraphFormatError, NotLazyError, ParamError
from cascade.providers.subflow import SubflowError
from tests.providers.hostile import HOSTILE


@cs.task(pure=True)
def power(base: Any, exponent: Any) -> Any:
    """Stand for any task."""
    return base**exponent


@cs.task
def length(text: str) -> int:
    """Take a secret without giving it away."""
    return len(text)


@pytest.fixture
def flow() -> Any:
    """A target with one Param that has a default, and one that has not."""
    return power(cs.Param("sub_base", type=int), cs.Param("sub_exponent", default=3, type=int))


def run(target: Any, **options: Any) -> Any:
    """Run quietly."""
    return cs.run(target, log_level=None, **options)


def test_params_of_its_own(flow: Any) -> None:
    """What is set counts there only; what is not, has the value of the run; values may be lazy and are converted."""
    target = [flow, cs.subflow(flow, {"sub_exponent": flow}), cs.subflow(flow, {"sub_base": "5"}), cs.subflow(flow)]
    assert run(target, params={"sub_base": 2}) == [8, 2**8, 125, 8]


def test_targets_of_any_shape(flow: Any) -> None:
    """Containers, Routers, maps and the text of graph files are targets."""
    shape = {
        "a": [flow, 1],
        "r": cs.Router(selector="x", routes={"x": flow, "y": power(1, 1)}),
        "m": power.map([1, 2], 2),
    }
    expected = {"a": [9, 1], "r": 9, "m": [1, 4]}
    for target in (shape, cs.to_json(shape), cs.to_json(shape).encode()):
        assert run(cs.subflow(target, {"sub_base": 3, "sub_exponent": 2})) == expected


def test_it_joins_the_run(flow: Any) -> None:
    """Its nodes are those of the run: in the graph, in the events, and within the capacities."""
    most, now, lock = 0, 0, threading.Lock()

    @cs.task
    def work(_: int) -> None:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        threading.Event().wait(0.01)
        with lock:
            now -= 1

    inner = [work(n).with_constraints(slot=1) for n in range(4)]
    handle = cs.start([cs.subflow(inner), inner[0], cs.subflow(inner)], system_resources={"slot": 2}, log_level=None)
    handle.result(timeout=10)
    assert most == 2
    labels = [handle.graph.label(node) for node in range(len(handle.graph))]
    assert labels.count("work") == 9
    with pytest.raises(CapacityError):
        run(cs.subflow([work(0).with_constraints(other=1)]))


def test_it_is_stored_piece_by_piece(flow: Any, tmp_path: Any) -> None:
    """Its calls are looked up in the run's store; a call with other Params is another one."""
    for exponent, stored in ((4, 0), (4, 1), (5, 0)):
        handle = cs.start(cs.subflow(flow, {"sub_base": 2, "sub_exponent": exponent}), cache=tmp_path, log_level=None)
        assert handle.result(timeout=10) == 2**exponent
        assert sum(type(event).__name__ == "NodeRecalled" for event in handle.events) == stored, [
            *map(type, handle.events)
        ]


def test_it_maps(flow: Any) -> None:
    """One node runs the target for each set of Params, literal or lazy, in order."""
    sets = [{"sub_base": 2, "sub_exponent": n} for n in range(5)]
    assert run(cs.subflow.map(flow, sets)) == [1, 2, 4, 8, 16]
    assert run(cs.subflow.map(flow, cs.dict(a=sets)["a"])) == [1, 2, 4, 8, 16]
    assert run(cs.subflow.map(flow, [{"sub_exponent": 2}, {"sub_exponent": 3}]), params={"sub_base": 3}) == [9, 27]


def test_it_nests(flow: Any) -> None:
    """A subflow may hold subflows."""
    inner = cs.subflow(flow, {"sub_base": 2, "sub_exponent": cs.Param("sub_deep", default=1, type=int)})
    assert run(cs.subflow([inner, cs.subflow(inner, {"sub_deep": 5})], {"sub_deep": 3})) == [8, 32]


def test_what_is_wrong_is_said_early(flow: Any) -> None:
    """Unknown Params, missing ones, and what is no target are errors before anything runs."""
    with pytest.raises(SubflowError, match=r"no Param named 'sub_bse'\. Did you mean 'sub_base'\?"):
        cs.subflow(flow, {"sub_bse": 1})
    with pytest.raises(SubflowError, match="It has no Params"):
        cs.subflow(power(1, 2), {"x": 1})
    with pytest.raises(ParamError, match="'sub_base' is missing"):
        run(cs.subflow(flow))
    with pytest.raises(NotLazyError):
        cs.subflow(3)
    with pytest.raises(GraphFormatError):
        cs.subflow("no graph file")
    with pytest.raises(GraphFormatError):
        cs.subflow(power(object(), 1))


def test_what_is_wrong_is_said_late(flow: Any) -> None:
    """Values that do not fit, and lazy ones that are no Params, fail the node with a sentence."""
    with pytest.raises(ParamError, match=r"'sub_base \(subflow \w+\)': 'x' is not a valid int"):
        run(cs.subflow(flow, {"sub_base": "x"}))
    failed = cs.start(cs.subflow(flow, {"sub_base": "x"}), log_level=None)
    with pytest.raises(ParamError):
        failed.result(timeout=10)
    assert [len(repr(event)) > 10 for event in failed.events]  # also of a node that was to grow, and could not
    with pytest.raises(SubflowError, match="is a object, which no graph file can hold"):
        run(cs.subflow(flow, {"sub_base": object()}))
    with pytest.raises(SubflowError, match="no Param named 'nothing'"):
        run(cs.subflow(flow, cs.dict(nothing=1)))
    with pytest.raises(SubflowError, match="maps names to values"):
        run(cs.subflow(flow, cs.lookup([3], 0)))


def test_secrets(flow: Any) -> None:
    """A secret of the run reaches the target without being in any graph file or event; one that is set is one, too."""
    secret = cs.Param("sub_secret", secret=True, default="hunter2-default")
    call = cs.subflow(length(secret))
    assert "hunter2" not in cs.to_json(call)
    heard: list[Any] = []
    assert run([call, cs.subflow(length(secret), {"sub_secret": "abc"})], subscribers=[heard.append]) == [15, 3]
    assert run(call, params={"sub_secret": "x"}) == 1
    assert "hunter2" not in str(heard)


def test_hostile_values(flow: Any) -> None:
    """Sixty texts that mean harm are values of Params, or refused as targets, names and text."""
    target = length(cs.Param("sub_text", default="", type=str))
    params = [{"sub_text": text} for text in HOSTILE if text != "\ud800"]
    assert run(cs.subflow.map(target, params)) == [len(each["sub_text"]) for each in params]
    for text in HOSTILE:
        with pytest.raises(GraphFormatError):
            cs.subflow(text)
        with pytest.raises(SubflowError):
            cs.subflow(target, {text: 1})
