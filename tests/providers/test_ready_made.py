"""What every ready-made task of these pages can do, as every task can: one test for each promise."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

import cascade as cs
from cascade.adapters.connectors.inprocess import InProcessConnector
from cascade.identity.code import code_key
from cascade.interfaces.exceptions import NodeTimeoutError
from cascade.providers.shell import ShellResult

ROOT = Path(__file__).resolve().parents[2]
FLOW = cs.lookup({"a": cs.Param("ready_made", default=1, type=int)}, "a")

# For each: a call, what it gives, and a map of two such calls.
CALLS: dict[str, tuple[Callable[[], Any], Any, Callable[[], Any]]] = {
    "dict": (lambda: cs.dict([("a", 1)], b=2), {"a": 1, "b": 2}, lambda: cs.dict.map(cs.unmapped({"a": 1}), b=[2, 2])),
    "format": (lambda: cs.format("{}{x}", 1, x=2), "12", lambda: cs.format.map("{}{x}", [1, 1], x=2)),
    "io.stdout": (lambda: cs.io.stdout("", end=""), "", lambda: cs.io.stdout.map(["", ""], end="")),
    "load_yaml": (lambda: cs.load_yaml(text="a: 1"), {"a": 1}, lambda: cs.load_yaml.map(text=["a: 1", "a: 1"])),
    "lookup": (lambda: cs.lookup([{"a": 1}], "[0].a"), 1, lambda: cs.lookup.map([[{"a": 1}], [{"a": 1}]], "[0].a")),
    "shell": (
        lambda: cs.shell("echo {x}", x="a b", show=False),
        ShellResult(0, "a b\n", ""),
        lambda: cs.shell.map("echo {x}", x=["a b", "a b"], show=False),
    ),
    "subflow": (lambda: cs.subflow(FLOW, {"ready_made": 7}), 7, lambda: cs.subflow.map(FLOW, [{"ready_made": 7}] * 2)),
    "template": (lambda: cs.template("{{ x }}", x=1), "1", lambda: cs.template.map("{{ x }}", x=[1, 1])),
    "wait": (lambda: cs.wait(0, 1), 1, lambda: cs.wait.map([0, 0], 1)),
    "recv": (lambda: cs.recv("ready", timeout=5), {"n": 1}, lambda: cs.recv.map(["ready", "ready"], timeout=5)),
}
each_provider = pytest.mark.parametrize("name", CALLS)


@pytest.fixture(autouse=True)
def _message() -> None:
    """Somebody has said something on the topic that `recv` hears."""
    import asyncio

    async def say() -> InProcessConnector:
        speaker = InProcessConnector("ready-made")
        await speaker.connect()
        await speaker.publish("ready", {"n": 1}, retain=True)
        return speaker

    _message.kept = asyncio.run(say())  # type: ignore[attr-defined]


def run(name: str, target: Any, **options: Any) -> Any:
    """Run quietly, with a connector for who needs one."""
    connector = "inprocess:ready-made" if name == "recv" else None
    return cs.run(target, log_level=None, connector=connector, **options)


@each_provider
def test_it_runs_and_maps(name: str) -> None:
    """A call gives its value, and a map a list of such values."""
    call, expected, mapped = CALLS[name]
    assert run(name, call()) == expected
    assert run(name, mapped()) == [expected, expected]


@each_provider
def test_it_goes_into_graph_files(name: str) -> None:
    """Graph files hold the call and its map, and what they give back runs the same."""
    call, expected, mapped = CALLS[name]
    target = {"one": call().with_retry(2).named("mine"), "map": mapped()}
    assert run(name, cs.from_json(cs.to_json(target))) == {"one": expected, "map": [expected, expected]}


@pytest.mark.slow
def test_graph_files_in_a_fresh_process() -> None:
    """A process that has used no provider yet reads and runs a file with all of them."""
    names = [name for name in CALLS if name != "recv"]
    text = cs.to_json([CALLS[name][0]() for name in names])
    code = "import sys, cascade as cs; print(cs.run(cs.from_json(sys.stdin.read()), log_level=None))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        input=text, capture_output=True, text=True, check=True, timeout=60, cwd=ROOT,
    )  # fmt: skip
    assert done.stdout.strip() == str([CALLS[name][1] for name in names])


@each_provider
def test_it_takes_options(name: str) -> None:
    """Options that do not come into play change nothing: a retry, a long timeout, a fallback, an order."""
    call, expected, _ = CALLS[name]
    options = call().with_retry(max_attempts=2).with_timeout(30).with_fallback("none").after(cs.wait(0))
    assert run(name, options) == expected


@cs.task(mode="inline")
def pass_on(value: Any) -> Any:
    """Give a value that only the run knows, so that what is wrong with it is said there."""
    return value


# For each that can fail: a call that does, and a map of which the first of two items does. Standard output takes all.
PICK = cs.lookup({"a": 1}, cs.Param("ready_key", default="b"))
WRONG: dict[str, tuple[Callable[[], Any], Callable[..., Any], Any]] = {
    "dict": (
        lambda: cs.dict(pass_on("word")),
        lambda **rules: cs.dict.map(pass_on(["word", {"a": 1}]), **rules),
        {"a": 1},
    ),
    "format": (
        lambda: cs.format(pass_on("{none}")),
        lambda **rules: cs.format.map(["{none}", "text"], **rules),
        "text",
    ),
    "load_yaml": (
        lambda: cs.load_yaml(text=pass_on("a: [")),
        lambda **rules: cs.load_yaml.map(text=["a: [", "a: 1"], **rules),
        {"a": 1},
    ),
    "lookup": (lambda: cs.lookup({}, "a"), lambda **rules: cs.lookup.map([{}, {"a": 1}], "a", **rules), 1),
    "shell": (
        lambda: cs.shell("exit 3", show=False),
        lambda **rules: cs.shell.map("exit {x}", x=[3, 0], show=False, **rules),
        ShellResult(0, "", ""),
    ),
    "subflow": (
        lambda: cs.subflow(PICK),
        lambda **rules: cs.subflow.map(PICK, [{"ready_key": "b"}, {"ready_key": "a"}], **rules),
        1,
    ),
    "template": (
        lambda: cs.template("{{ x.y.z }}", x=1),
        lambda **rules: cs.template.map("{{ x.y.z }}", x=pass_on([1, {"y": {"z": 1}}]), **rules),
        "1",
    ),
    "wait": (lambda: cs.wait(pass_on(-1)), lambda **rules: cs.wait.map(pass_on([-1, 0]), 1, **rules), 1),
    "recv": (
        lambda: cs.recv("silent", timeout=0.02),
        lambda **rules: cs.recv.map(["silent", "ready"], timeout=0.1, **rules),
        {"n": 1},
    ),
}


def start(name: str, target: Any) -> Any:
    """Start quietly, with a connector for who needs one."""
    return cs.start(target, log_level=None, connector="inprocess:ready-made" if name == "recv" else None)


@pytest.mark.parametrize("name", WRONG)
def test_it_is_tried_again_and_falls_back(name: str) -> None:
    """A call that fails is tried as often as was said; then its fallback is its value and the run completes."""
    run_ = start(name, WRONG[name][0]().with_retry(3).with_fallback("none"))
    assert run_.result(20) == "none"
    assert [event.attempt for event in run_.events if type(event).__name__ == "NodeRetrying"] == [1, 2]
    assert isinstance(start(name, WRONG[name][0]()).exception(20), Exception)


@pytest.mark.parametrize("name", WRONG)
def test_a_map_of_it_collects(name: str) -> None:
    """An item that fails gives its error in the place of a value when that was asked for."""
    found = start(name, WRONG[name][1](on_error="collect")).result(20)
    assert isinstance(found[0], Exception)
    assert found[1] == WRONG[name][2]


@pytest.mark.parametrize(
    "call",
    [
        lambda: cs.shell(["sleep", "60"]),
        lambda: cs.wait(60),
        lambda: cs.recv("silent", timeout=60),
        lambda: cs.subflow(cs.wait(60)),
        lambda: cs.subflow(cs.subflow(cs.shell("sleep 60"))),
    ],
    ids=["shell", "wait", "recv", "subflow", "subflow of a subflow"],
)
def test_it_times_out(call: Callable[[], Any]) -> None:
    """One that takes too long is ended by its own timeout, and its fallback serves."""
    with pytest.raises(NodeTimeoutError):
        start("recv", call().with_timeout(0.1)).result(20)
    assert start("recv", call().with_timeout(0.1).with_fallback("late")).result(20) == "late"


def test_a_retry_helps(tmp_path: Path) -> None:
    """A program that fails once succeeds at the second attempt, by itself and in a subflow."""
    command = "test -e {mark} || ! touch {mark} && echo done"
    for mark, wrap in (("one", lambda call: call), ("two", cs.subflow)):
        call = wrap(cs.shell(command, mark=mark, cwd=tmp_path, show=False)).with_retry(2)
        assert run("", call)["stdout"] == "done\n"


@pytest.mark.parametrize("name", [name for name in CALLS if name != "subflow"])
def test_it_is_stored(name: str, tmp_path: Path) -> None:
    """With a cache policy the second run takes the value from the store, of the type that it had."""
    call, expected, _ = CALLS[name]
    for stored in (False, True):
        handle = cs.start(
            call().with_cache(cs.cache.ttl(3600)), cache=tmp_path, log_level=None,
            connector="inprocess:ready-made" if name == "recv" else None,
        )  # fmt: skip
        value = handle.result(timeout=20)
        assert (value, type(value)) == (expected, type(expected))
        assert any(type(event).__name__ == "NodeRecalled" for event in handle.events) is stored


@each_provider
def test_it_has_a_code_key_and_travels(name: str) -> None:
    """The code key is the same after a journey by pickle and by cloudpickle, and counts the version of cascade."""
    task = CALLS[name][0]()._task
    key = code_key(task)
    assert not key.warnings
    for pack in (pickle, cloudpickle):
        assert pickle.loads(pack.dumps(task)) is task
    assert any(cs.__version__ in part.source for part in key.parts if part.kind == "library")


@pytest.mark.slow
@each_provider
def test_it_survives_processes(name: str) -> None:
    """With an executor of processes everything gives the same, and results travel back whole."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    call, expected, mapped = CALLS[name]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert run(name, [call(), mapped()], executor=pool) == [expected, [expected, expected]]


@each_provider
def test_it_hides_secrets(name: str) -> None:
    """What is secret shows in no event, whatever a ready-made task does with it, and in no error."""
    secret = cs.Param("ready_secret", secret=True, type=str)
    calls: dict[str, Any] = {
        "dict": lambda: cs.dict(a=secret),
        "format": lambda: cs.format("{}{none}", secret),
        "io.stdout": lambda: cs.io.stdout(secret),
        "load_yaml": lambda: cs.load_yaml(text=cs.format("a: [{}", secret)),
        "lookup": lambda: cs.lookup({"a": secret}, cs.format("a.{}", secret)),
        "shell": lambda: cs.shell("echo {x}; ls {x}", x=secret),
        "subflow": lambda: cs.subflow(FLOW, {"ready_made": secret}),
        "template": lambda: cs.template("{{ x.nothing }} {{ y }}", x=secret, y=secret),
        "wait": lambda: cs.wait(secret),
        "recv": lambda: cs.recv(secret, timeout=0.01),
    }
    heard: list[Any] = []
    connector = "inprocess:ready-made" if name == "recv" else None
    options: dict[str, Any] = {"log_level": None, "capture_output": True, "connector": connector}
    handle = cs.start(calls[name](), {"ready_secret": "hunter2-xyzzy"}, subscribers=[heard.append], **options)
    error: Any = None
    try:
        handle.result(timeout=20)
    except Exception as raised:
        error = raised
    assert "hunter2" not in f"{error} {error!r} {getattr(error, '__notes__', '')}"
    assert "hunter2" not in str(heard)
    assert "hunter2" not in str(list(handle.events))
