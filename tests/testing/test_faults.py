from __future__ import annotations

import asyncio
import pickle
import threading
from concurrent.futures import CancelledError
from typing import Any

import cloudpickle
import pytest

import cascade as cs
from cascade.context import get_current_context
from cascade.interfaces.exceptions import NodeTimeoutError, TaskExitError, WorkerDiedError
from cascade.testing import Fault, Faults, InjectedError, ToolError, inject_faults, virtual_clock
from cascade.testing.faults import Strike


@pytest.fixture
def tasks() -> dict[str, Any]:
    """Three tasks, registered by their names."""

    @cs.task
    def load(n: int = 0) -> int:
        return n

    @cs.task
    async def fetch(n: int = 0) -> int:
        return n

    @cs.task(mode="inline")
    def add(*numbers: int) -> int:
        return sum(numbers)

    return {"load": load, "fetch": fetch, "add": add}


def run(target: object, **options: Any) -> Any:
    return cs.run(target, log_level=None, **options)


# -- which calls ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["load", "fetch", "add"])
def test_the_nth_call_fails(tasks: dict[str, Any], name: str) -> None:
    """Exactly the calls that are numbered fail, whether the task is blocking, async or inline; a retry is a call."""
    task = tasks[name]
    with inject_faults(name, Fault.fail(OSError("lost"), nth=(1, 3))) as faults:
        assert run(task(7).with_retry(2)) == 7
        with pytest.raises(OSError, match="lost"):
            run(task(8))
        assert run(task(9)) == 9
    assert faults.strikes == faults.of(name) == [Strike(name, 1, "fail"), Strike(name, 3, "fail")]
    assert faults.calls(name) == 4


def test_every_call_fails(tasks: dict[str, Any]) -> None:
    """Without a number each call fails, and the error says which one it was."""
    with inject_faults(tasks["load"], Fault.fail()), pytest.raises(InjectedError) as caught:
        run(tasks["load"](1).with_retry(3))
    assert str(caught.value) == "This failure was injected into call 3 of 'load'."


def test_an_error_type_is_made_for_each_call(tasks: dict[str, Any]) -> None:
    """A type of error is raised with words that say it was injected."""
    with inject_faults("load", Fault.fail(KeyError)), pytest.raises(KeyError, match="injected into call 1 of 'load'"):
        run(tasks["load"](1))


def failing(task: Any, seed: int) -> list[int]:
    """Which items of a map fail under a probability."""
    with inject_faults(task, Fault.fail(probability=0.3), seed=seed) as faults:
        results = run(task.map(list(range(60)), on_error="collect"))
    found = [n for n, result in enumerate(results) if isinstance(result, InjectedError)]
    assert len(faults.strikes) == len(found)
    assert all(result == n for n, result in enumerate(results) if n not in found)
    return found


@pytest.mark.parametrize("name", ["load", "fetch", "add"])
def test_a_probability_is_drawn_by_the_seed(tasks: dict[str, Any], name: str) -> None:
    """The same seed strikes the same items of a map, whichever thread comes first; another seed others."""
    first = failing(tasks[name], seed=1)
    assert first == failing(tasks[name], seed=1)
    assert first != failing(tasks[name], seed=2)
    assert 8 < len(first) < 30


def test_repeated_calls_are_drawn_anew(tasks: dict[str, Any]) -> None:
    """Calls with the same arguments, as attempts of one node, do not share their luck."""
    faults = Faults(Fault.fail(probability=0.5), seed=3)
    give = faults.wrap(lambda: 1, "give")
    struck = []
    for _ in range(40):
        try:
            struck.append(give() == 0)
        except InjectedError:
            struck.append(True)
    assert 8 < sum(struck) < 32


def test_the_first_fault_that_fits_strikes(tasks: dict[str, Any]) -> None:
    """Of several faults one strikes a call."""
    with inject_faults("load", Fault.fail(KeyError, nth=2), Fault.fail(OSError)) as faults:
        kinds = []
        for n in range(3):
            with pytest.raises((KeyError, OSError)) as caught:
                run(tasks["load"](n))
            kinds.append(caught.type)
    assert kinds == [OSError, KeyError, OSError]
    assert "3 strikes" in repr(faults)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Fault.fail(nth=0), "nth=(0,) names no call"),
        (lambda: Fault.fail(nth=()), "nth=() names no call"),
        (lambda: Fault.hang(probability=1.5), "probability=1.5 is not a number between 0 and 1"),
        (lambda: Fault.slow(-1), "-1 s is not a time"),
        (lambda: Fault.slow(float("inf")), "inf s is not a time"),
    ],
)
def test_faults_that_cannot_be_meant(make: Any, problem: str) -> None:
    """An impossible number, probability or time is an error that names it."""
    with pytest.raises(ToolError) as caught:
        make()
    assert problem in str(caught.value)


def test_faults_show_as_they_are_written() -> None:
    """The repr of a fault is how it was made."""
    faults = [
        Fault.fail(), Fault.fail(KeyError, nth=(1, 2)), Fault.hang(nth=3), Fault.slow(2.5), Fault.exit(7),
        Fault.cancel(probability=0.1),
    ]  # fmt: skip
    assert [repr(fault) for fault in faults] == [
        "Fault.fail()", "Fault.fail(KeyError, nth=(1, 2))", "Fault.hang(nth=3)", "Fault.slow(2.5)", "Fault.exit(7)",
        "Fault.cancel(probability=0.1)",
    ]  # fmt: skip


# -- which tasks ----------------------------------------------------------------------------------------------------


def struck(who: object, target: Any, **options: Any) -> set[str]:
    """Names of the tasks that are struck when faults go into `who`."""
    with inject_faults(who, Fault.slow(0), **options) as faults:
        run(target)
    return {strike.task for strike in faults.strikes}


def test_tasks_are_found_in_many_ways(tasks: dict[str, Any]) -> None:
    """By the task itself, its name, a pattern, its key, a target, a router, or a list of these."""
    load, fetch, add = tasks["load"], tasks["fetch"], tasks["add"]
    target = add(load(1), fetch(2))
    router = cs.Router(selector=load(0), routes={0: target})
    assert struck(load, target) == struck("load", target) == struck(load.key, target) == {"load"}
    assert struck("*d", target) == {"load", "add"}
    assert struck(target, target) == struck(router, target) == {"load", "fetch", "add"}
    assert struck([load, "fe*"], target) == {"load", "fetch"}
    assert struck("*", target, within=fetch(1)) == {"fetch"}


def test_copies_of_a_task_share_its_faults(tasks: dict[str, Any]) -> None:
    """A task that was given constraints is another object, and is struck too, with one count for both."""
    load = tasks["load"]
    bounded = load.with_constraints(cpu=1)
    with inject_faults(load, Fault.fail(nth=2)) as faults:
        assert run(bounded(1), system_resources={"cpu": 1}) == 1
        with pytest.raises(InjectedError):
            run(load(1))
    assert faults.calls("load") == 2


def test_calls_that_were_composed_before_are_struck(tasks: dict[str, Any]) -> None:
    """It does not matter whether a call was recorded inside of the block or before it."""
    target = tasks["add"](tasks["load"](1))
    with inject_faults("load", Fault.fail()), pytest.raises(InjectedError):
        run(target)
    assert run(target) == 1


def test_unknown_tasks_are_told(tasks: dict[str, Any]) -> None:
    """A name that no task has is an error with the nearest one, and so is a thing that is no task."""
    with pytest.raises(ToolError, match=r"No task is named 'laod'\. Did you mean 'load'\?"), inject_faults("laod"):
        pass
    with pytest.raises(ToolError, match="not into int"), inject_faults(3):
        pass


# -- kinds of faults ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["load", "fetch"])
def test_slow_calls_run_late(tasks: dict[str, Any], name: str) -> None:
    """A slow call gives its own value, after its time; a timeout sees it."""
    with inject_faults(name, Fault.slow(0.05, nth=1), Fault.slow(30, nth=2)):
        assert run(tasks[name](5)) == 5
        with pytest.raises(NodeTimeoutError):
            run(tasks[name](5).with_timeout(0.05))


@pytest.mark.parametrize("name", ["load", "fetch"])
def test_hanging_calls_never_end(tasks: dict[str, Any], name: str) -> None:
    """A call that hangs is ended by its timeout, and a retry goes on."""
    with inject_faults(name, Fault.hang(nth=1)) as faults:
        assert run(tasks[name](5).with_timeout(0.05).with_retry(2)) == 5
        assert faults.of(name) == [Strike(name, 1, "hang")]


def test_the_end_of_the_block_ends_a_hang(tasks: dict[str, Any]) -> None:
    """What still hangs when the block ends fails with words that say why."""
    with inject_faults([tasks["load"], tasks["fetch"]], Fault.hang()) as faults:
        handles = [cs.start(tasks[name](1), log_level=None) for name in ("load", "fetch")]
        while len(faults.strikes) < 2:
            handles[0].wait(0.001)
    for handle in handles:
        with pytest.raises(InjectedError, match="its inject_faults block has ended"):
            handle.result(10)


def test_hangs_and_sleeps_on_a_virtual_clock(tasks: dict[str, Any]) -> None:
    """Slow calls wait on the virtual clock, and those that hang count as sleepers of it."""
    faults = Faults(Fault.slow(3600, nth=1), Fault.hang(nth=2))
    give = faults.wrap(lambda: 5, "give")
    with virtual_clock() as clock:
        bell = threading.Lock()
        bell.acquire()
        found: list[object] = []

        def call() -> None:
            try:
                found.append(give())
            except InjectedError as error:
                found.append(type(error))

        for expected in (3600.0, float("inf")):
            thread = threading.Thread(target=call, daemon=True)
            thread.start()
            while not clock.sleepers:
                thread.join(0.001)
            if expected == 3600:
                clock.wait(bell, -1, idle=True)
            else:
                faults.end()
            thread.join(10)
        assert clock.now() == 3600
    assert found == [5, InjectedError]


def test_an_inline_task_cannot_hang(tasks: dict[str, Any]) -> None:
    """A hang on the scheduler itself is refused before anything is changed."""
    function = tasks["add"].func
    with pytest.raises(ToolError, match="'add' is inline"), inject_faults("*", Fault.hang()):
        pass
    assert tasks["add"].func is function


@pytest.mark.parametrize("name", ["load", "fetch", "add"])
def test_exits_in_this_process(tasks: dict[str, Any], name: str) -> None:
    """Where the call runs in this process, an exit is a SystemExit, which the run catches."""
    with inject_faults(name, Fault.exit(9)), pytest.raises(TaskExitError, match=r"SystemExit\(9\)"):
        run(tasks[name](1))


def test_cancelled_calls(tasks: dict[str, Any]) -> None:
    """A call that is cancelled by nobody ends like one that was."""
    give = Faults(Fault.cancel()).wrap(lambda: 1, "give")
    with pytest.raises(CancelledError):
        give()

    async def one() -> int:
        return 1

    async def catch() -> type[BaseException]:
        try:
            await Faults(Fault.cancel()).wrap(one, "one")()
        except asyncio.CancelledError as error:
            return type(error)
        return KeyError

    assert asyncio.run(catch()) is asyncio.CancelledError
    for name in ("load", "fetch"):
        with inject_faults(name, Fault.cancel(nth=1)):
            handle = cs.start(tasks[name](1), log_level=None)
            assert handle.exception(10) is not None
            assert run(tasks[name](2)) == 2


# -- other processes ------------------------------------------------------------------------------------------------


@cs.task(mode="compute")
def square(n: int) -> int:
    return n * n


@pytest.mark.slow
def test_calls_in_other_processes() -> None:
    """Calls are counted here and struck there: they fail, are slow, or end their process."""
    with inject_faults(square, Fault.fail(KeyError, nth=1), Fault.slow(0.01, nth=2), Fault.exit(5, nth=3)) as faults:
        assert run(square(3).with_retry(2)) == 9
        with pytest.raises(WorkerDiedError):
            run(square(4))
        assert run(square(5)) == 25
    assert [(s.call, s.kind) for s in faults.strikes] == [(1, "fail"), (2, "slow"), (3, "exit")]


@pytest.mark.slow
def test_a_hang_in_another_process() -> None:
    """A worker that hangs is ended by the timeout, and the next call has another one."""
    with inject_faults(square, Fault.hang(nth=2)) as faults:
        assert run(square(2)) == 4  # the worker is there now: its start does not count
        with pytest.raises(NodeTimeoutError):
            run(square(3).with_timeout(0.5))
        assert run(square(4)) == 16
    assert [(s.call, s.kind) for s in faults.strikes] == [(2, "hang")]


def test_pickling_is_a_call(tasks: dict[str, Any]) -> None:
    """A function with faults is pickled as one call, decided here; unpickled here, an exit ends nothing."""
    faults = Faults(Fault.fail(nth=1), Fault.exit(nth=3))
    give = faults.wrap(abs)
    sent = [pickle.loads(cloudpickle.dumps(give)) for _ in range(3)]
    assert faults.calls("abs") == 3
    with pytest.raises(InjectedError, match="call 1 of 'abs'"):
        sent[0](-1)
    assert sent[1](-1) == 1
    with pytest.raises(SystemExit):
        sent[2](-1)
    assert [strike.call for strike in faults.strikes] == [1, 3]


# -- exactly as before ----------------------------------------------------------------------------------------------


def test_tasks_have_their_own_functions_again(tasks: dict[str, Any]) -> None:
    """After the block, also after an error and when blocks are nested, each task has its very own function."""
    before = {name: dict(vars(task)) for name, task in tasks.items()}
    registered = dict(get_current_context().tasks)
    with pytest.raises(ZeroDivisionError), inject_faults("*", Fault.fail()), inject_faults("load", Fault.slow(0)):
        assert all(task.func is not before[name]["func"] for name, task in tasks.items())
        raise ZeroDivisionError
    for name, task in tasks.items():
        assert vars(task) == before[name]
        assert task.func is before[name]["func"]
    assert get_current_context().tasks == registered


def test_what_keeps_the_stand_in_runs_on_unharmed(tasks: dict[str, Any]) -> None:
    """A task that was made of a struck one inside of the block calls the real function after it."""
    with inject_faults("load", Fault.fail()) as faults:
        copy = tasks["load"].with_constraints(cpu=1)
    assert run(copy(4), system_resources={"cpu": 1}) == 4
    assert faults.calls("load") == 0


def test_the_stand_in_looks_like_the_function(tasks: dict[str, Any]) -> None:
    """Name, docstring, signature and kind are the function's."""
    import inspect

    with inject_faults("*", Fault.fail()):
        for name, task in tasks.items():
            assert task.func.__name__ == name
            assert inspect.signature(task.func) == task.signature
        assert inspect.iscoroutinefunction(type(tasks["fetch"].func).__call__)
        assert repr(tasks["load"].func) == "<load with faults>"


class Counter:
    """Something with methods that are tasks."""

    def __init__(self) -> None:
        self.count = 0

    def raise_by(self, n: int) -> int:
        self.count += n
        return self.count

    @cs.task
    def lower_by(self, n: int) -> int:
        self.count -= n
        return self.count


def test_methods_are_struck() -> None:
    """Bound methods that were made tasks, and tasks that are methods, are struck and keep their object."""
    counter = Counter()
    task = cs.task(counter.raise_by)
    with inject_faults([task, counter.lower_by], Fault.fail(nth=1)) as faults:
        assert run(task(5).with_retry(2)) == 5
        assert run(counter.lower_by(2).with_retry(2)) == 3
    assert [strike.task for strike in faults.strikes] == ["raise_by", "lower_by"]
    assert run(task(1)) == 4
    assert run(counter.lower_by(1)) == 3


def test_nested_faults_add_up(tasks: dict[str, Any]) -> None:
    """An inner block strikes first, the outer one what gets through."""
    with inject_faults("load", Fault.fail(KeyError, nth=1)) as outer:
        with inject_faults("load", Fault.fail(OSError, nth=1)) as inner:
            assert run(tasks["load"](1).with_retry(3)) == 1
        assert run(tasks["load"](1)) == 1
    assert (inner.calls("load"), outer.calls("load")) == (3, 3)
