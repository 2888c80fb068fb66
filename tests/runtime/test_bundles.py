"""What a worker does with a bundle of calls, here without a cluster."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cascade.runtime.bundles import (
    SMALL,
    Began,
    Ended,
    Kept,
    Order,
    Over,
    Said,
    Step,
    bundles_here,
    run_bundle,
    stop_bundles,
)  # fmt: skip
from cascade.runtime.cluster_values import Box, Own, Packer, Prior, RemoteValue
from cascade.runtime.parcels import unpack
from cascade.spec.resource import Resource


def order(*calls: tuple[Any, tuple[Any, ...], tuple[int, ...]], **settings: Any) -> tuple[bytes, list[Any]]:
    """Return the payload and the tokens of a bundle of calls: function, arguments, steps whose values they take."""
    packer = Packer()
    functions = tuple(packer.pack(function) for function, _, _ in calls)
    steps = tuple(Step(f"step{n}", n, packer.pack((args, {})), needs) for n, (_, args, needs) in enumerate(calls))
    return pickle.dumps(Order("bundle-1", functions, steps, **settings)), packer.tokens


def run(payload: bytes, boxes: tuple[Box, ...] = ()) -> tuple[list[Any], Box]:
    """Run a bundle on this thread; return what it told, and its box."""
    told: list[Any] = []
    box = run_bundle(payload, boxes, lambda data: told.extend(pickle.loads(data)[1]), "here")
    return told, box


def ended(told: list[Any]) -> dict[int, Ended]:
    return {message.step: message for message in told if isinstance(message, Ended)}


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_a_box_travels_without_copies(kind: Any) -> None:
    """Bytes stand beside the pickle of their box, not in it; it says how large it is before and after."""
    payload, _ = order((lambda: kind(b"ab" * 500_000), (), ()), (lambda: {"n": [1] * 50_000}, (), ()))
    _, box = run(payload)
    assert sys.getsizeof(box) > 1_000_000
    beside: list[pickle.PickleBuffer] = []
    made = pickle.dumps(box, protocol=5, buffer_callback=beside.append)
    assert len(made) < 300_000
    assert [buffer.raw().nbytes for buffer in beside] == [1_000_000]
    assert memoryview(beside[0]).obj is box.values[0]
    for found in (pickle.loads(made, buffers=beside), pickle.loads(pickle.dumps(box, protocol=4))):
        assert found == box
        assert type(found.values[0]) is kind
        assert sys.getsizeof(found) == sys.getsizeof(box)


def test_values_go_from_step_to_step() -> None:
    """A call takes the value of an earlier one of the same bundle; each is told of, between a beginning and an end."""
    payload, _ = order(
        (lambda x: [x, x + 1], (1,), ()),
        (lambda pair, item: (pair, item), (Prior(0), {"item": Prior(0)[1]}), (0,)),
    )
    told, box = run(payload)
    assert [type(told[0]), type(told[-1])] == [Began, Over]
    values = {step: pickle.loads(message.value) for step, message in ended(told).items()}  # type: ignore[arg-type]
    assert values == {0: [1, 2], 1: ([1, 2], {"item": 2})}
    assert box.values == {}


def test_large_values_stay_in_the_box() -> None:
    """A large value is kept and told of; another bundle finds it, and parts of it, by reference."""
    payload, _ = order((lambda n: list(range(n)), (SMALL,), ()))
    told, box = run(payload)
    kept = ended(told)[0].value
    assert isinstance(kept, Kept)
    assert kept.summary == f"list of {SMALL:,}"
    value = RemoteValue("token", 0, "step0", kept.summary, kept.size)
    payload, tokens = order((lambda xs, x: (len(xs), x), (value, value[7]), ()))
    assert tokens == ["token"]
    told, _ = run(payload, (box,))
    assert pickle.loads(ended(told)[0].value) == (SMALL, 7)  # type: ignore[arg-type]


def test_failure_stops_what_needs_it() -> None:
    """The call that failed is told of with its exception and frames; what needs it is left out, the rest runs."""

    def divide(x: int) -> float:
        return 1 / x

    payload, _ = order((divide, (0,), ()), (divide, (Prior(0),), (0,)), (divide, (2,), ()))
    told, _ = run(payload)
    messages = ended(told)
    assert set(messages) == {0, 2}
    assert messages[0].error is not None
    error = unpack(messages[0].error, "step0")
    assert isinstance(error, ZeroDivisionError)
    assert error.__traceback__ is not None
    assert error.__traceback__.tb_frame.f_code.co_name == "divide"


def test_stops_at_error_when_told_so() -> None:
    """Items of a map that does not collect are left after the first that fails."""
    payload, _ = order(*[(lambda x: 1 / x, (x,), ()) for x in (1, 0, 2)], stops_at_error=True)
    told, _ = run(payload)
    assert set(ended(told)) == {0, 1}


def test_values_that_cannot_travel_fail_their_call() -> None:
    """A value that could never leave the worker is an error of its call, with a note that says where."""
    payload, _ = order((lambda: threading.Lock(), (), ()), (lambda: 1, (), ()))  # noqa: PLW0108 - by value
    told, _ = run(payload)
    error = unpack(ended(told)[0].error or [], "step0")
    assert "pickle" in str(error)
    assert "While the value of 'step0' was sent back from its process." in error.__notes__
    assert ended(told)[1].error is None


def test_exits_do_not_end_the_worker() -> None:
    """SystemExit is told as the failure of its call."""

    def leave() -> None:
        raise SystemExit(3)

    told, _ = run(order((leave, (), ()))[0])
    assert type(unpack(ended(told)[0].error or [], "step0")).__name__ == "TaskExitError"


def test_own_errors_of_keys_come_through() -> None:
    """A key that a value does not have is that value's own error, as it is where the run goes on."""
    payload, _ = order((lambda: {"a": 1}, (), ()), (lambda x: x, (Prior(0)["b"],), (0,)))
    error = unpack(ended(run(payload)[0])[1].error or [], "step1")
    assert type(error) is KeyError


def test_output_is_told_before_the_end() -> None:
    """What a call prints is told of its step, before its end."""
    payload, _ = order((lambda: print("hello"), (), ()), is_heard=True)
    told, _ = run(payload)
    kinds = [type(message) for message in told]
    assert kinds.index(Said) < kinds.index(Ended)
    [said] = [message for message in told if isinstance(message, Said)]
    assert said.step == 0
    assert said.pieces[0][:2] == ("stdout", "hello\n")


def test_a_resource_is_made_for_the_call(tmp_path: Path) -> None:
    """A resource that travels with its step is made around the call, and torn down."""
    diary = tmp_path / "diary"

    def numbers() -> Iterator[list[int]]:
        diary.write_text("set up")
        yield [1, 2]
        diary.write_text(diary.read_text() + ", torn down")

    packer = Packer()
    resources = packer.pack({"numbers": Resource(numbers, "numbers", "task")})
    step = Step("step0", 0, packer.pack(((Own("numbers"),), {})), (), resources)
    told, _ = run(pickle.dumps(Order("bundle-2", (packer.pack(sum),), (step,))))
    assert pickle.loads(ended(told)[0].value) == 3  # type: ignore[arg-type]
    assert diary.read_text() == "set up, torn down"


def test_what_was_stopped_before_it_came_does_not_run() -> None:
    """A bundle that nobody wants any more is over at once."""
    payload = order((lambda: 1, (), ()))[0]
    stop_bundles(["bundle-1"])
    told, _ = run(payload)
    assert [type(message) for message in told] == [Over]


def test_what_runs_is_stopped() -> None:
    """A call that runs Python code ends when its bundle is stopped; the thread goes on with its own work."""
    begun, after = threading.Event(), threading.Event()
    told: list[Any] = []

    def tell(data: bytes) -> None:
        told.extend(pickle.loads(data)[1])
        begun.set()

    payload, _ = order((_forever, (), ()))

    def work() -> None:
        run_bundle(payload, (), tell, "here")
        after.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert begun.wait(10)
    assert bundles_here(["bundle-1", "other"]) == ["bundle-1"]
    stop_bundles(["bundle-1"])
    assert after.wait(10)
    assert [type(message) for message in told] == [Began, Over]
    assert bundles_here(["bundle-1"]) == []


@pytest.mark.slow
def test_a_stop_is_over_with_its_bundle() -> None:
    """Wherever a stop finds a bundle, nothing of it is raised later, and the interpreter looks for nothing any more."""
    done = subprocess.run([sys.executable, "-c", STOPS], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["300", "3"]


STOPS = """
import pickle, random, sys, threading, time
from cascade.runtime.bundles import Order, Step, run_bundle, stop_bundles
from cascade.runtime.cluster_values import Packer

def count(n):
    try:
        return sum(i for i in range(n))
    except BaseException:
        return 0

packer = Packer()
work = packer.pack(count)
ended = 0
for number in range(300):
    name = f"b{number}"
    steps = (Step("s", 0, packer.pack(((20_000,), {})), ()),)
    payload = pickle.dumps(Order(name, (work,), steps))
    pause = random.Random(number).random() / 500
    late = threading.Thread(target=lambda: (time.sleep(pause), stop_bundles([name])))
    late.start()
    run_bundle(payload, (), lambda data: None, "here")
    sum(range(1000))
    late.join()
    ended += 1
print(ended)
sys.settrace(lambda *_: lambda *_: None)  # with an exception still looked for, CPython 3.11 never leaves what is traced
print(count(3))
"""


def _forever() -> None:
    while True:
        pass


@pytest.fixture(autouse=True)
def wanted() -> Iterator[None]:
    """Forget which bundles were stopped."""
    from cascade.runtime import bundles

    bundles._unwanted.clear()
    yield
    bundles._unwanted.clear()
    assert not bundles._stopped
