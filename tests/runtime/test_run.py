"""Running: in scripts, loops and threads; the handle on a run; values of every kind; graphs of every size."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.interfaces.exceptions import RunCancelledError, RunTimeoutError
from cascade.spec.constraint import GlobalConstraint

QUIET: dict[str, Any] = {"log_level": None}
SOON = 5.0  # seconds that nothing here should take
AT_ONCE = 0.1  # seconds within which a command acts


@cs.task
def add(x: Any, y: Any = 0) -> Any:
    return x + y


@cs.task(mode="inline")
def same(x: Any) -> Any:
    return x


@cs.task
async def later(x: Any) -> Any:
    await asyncio.sleep(0)
    return x


@cs.task
def first(*args: Any, **kwargs: Any) -> Any:
    return args[0] if args else kwargs


class Gate:
    """A task that waits in its thread until the test lets it go, and tells when it has come."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.opened = threading.Event()
        self.passed = 0

    def __call__(self, value: Any = None) -> Any:
        self.entered.release()
        assert self.opened.wait(SOON)
        self.passed += 1
        return value

    def await_entered(self, times: int = 1) -> None:
        for _ in range(times):
            assert self.entered.acquire(timeout=SOON)


# -- places ---------------------------------------------------------------------------------------------------------


def test_run_blocks_and_returns_the_value() -> None:
    """In a script `cs.run` gives the value of the target."""
    assert cs.run(add(add(1, 2), 3), **QUIET) == 6


async def test_run_works_inside_a_running_loop() -> None:
    """`cs.run` blocks in a coroutine too, async tasks included, since it has a loop of its own."""
    assert cs.run(add(later(1), same(2)), **QUIET) == 3


async def test_arun_runs_async_tasks_on_the_callers_loop() -> None:
    """`await cs.arun` shares the loop with its caller; threads and inline tasks run beside it."""
    here = asyncio.get_running_loop()

    @cs.task
    async def where() -> bool:
        return asyncio.get_running_loop() is here

    assert await cs.arun([where(), add(1, 1), same(3)], **QUIET) == [True, 2, 3]


async def test_handle_can_be_awaited_again_and_by_many() -> None:
    """`await run` gives the value to everyone who asks, also when it is long done."""
    run = cs.start(later(4), **QUIET)
    assert await asyncio.gather(*[_await(run) for _ in range(3)]) == [4, 4, 4]
    assert await run == 4


async def _await(run: cs.Run) -> Any:
    return await run


def test_runs_in_threads_do_not_disturb_each_other() -> None:
    """Many threads run graphs at the same time, each with its own values."""
    found: dict[int, Any] = {}

    def work(number: int) -> None:
        found[number] = cs.run(add(later(number), same(add(number))), **QUIET)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert found == {n: 2 * n for n in range(8)}


@pytest.mark.parametrize("mode", ["inline", "blocking", "async"])
def test_task_may_run_another_graph(mode: str) -> None:
    """A task of any kind can call `cs.run` itself."""
    if mode == "async":

        @cs.task
        async def outer() -> Any:
            return cs.run(add(later(1), 1), **QUIET)

    else:

        @cs.task(mode=mode)
        def outer() -> Any:
            return cs.run(add(later(1), 1), **QUIET)

    assert cs.run(outer(), **QUIET) == 2


def test_engine_runs_with_its_own_parts() -> None:
    """`Engine` takes solver, executor, bus and capacities, and hears every run on its bus."""
    from cascade.adapters.executors.local import LocalExecutor
    from cascade.adapters.solvers.native import NativeSolver

    heard: list[str] = []
    bus = cs.MessageBus()
    bus.subscribe(ev.NodeCompleted, lambda event: heard.append(event.name))
    engine = cs.Engine(NativeSolver(), LocalExecutor(max_threads=2), bus, system_resources={"cpu": 1})
    amount = cs.Param("amount", default=1)
    target = add(amount, 1).with_constraints(cpu=1)
    assert asyncio.run(engine.run(target, params={"amount": 4})) == 5
    assert asyncio.run(engine.run(target)) == 2
    assert heard == ["add", "add"]


# -- the handle -----------------------------------------------------------------------------------------------------


def test_result_with_a_timeout_leaves_the_run_alone() -> None:
    """`result(timeout)` raises `TimeoutError` when the value is not there in time; the run goes on."""
    gate = Gate()
    run = cs.start(cs.task(gate, name="gate")(3), **QUIET)
    with pytest.raises(TimeoutError, match=r"'gate' has not ended within 0\.01 s; it goes on"):
        run.result(0.01)
    with pytest.raises(TimeoutError):
        run.exception(0.01)
    assert not run.done()
    assert not run.wait(0)
    gate.opened.set()
    assert run.result(SOON) == 3
    assert run.exception() is None


def test_handle_tells_about_the_run() -> None:
    """The handle has a name, an id, params as text, capacities, a state, the time, the graph and the events."""
    target = add(cs.Param("x", type=int), 1).named("sum").with_constraints(cpu=1)
    run = cs.start(target, {"x": "41"}, {"cpu": 2}, name="answer", **QUIET)
    assert run.result(SOON) == 42
    assert (run.name, run.state, run.done()) == ("answer", "completed", True)
    assert run.params == {"x": "41"}
    assert run.capacities == {"cpu": 2.0}
    assert [node.name for node in run.graph.nodes] == ["sum", "x"]
    assert run.run_id in repr(run)
    assert "completed" in repr(run)
    assert 0 < run.elapsed < SOON
    assert run.elapsed == run.elapsed
    assert isinstance(run.events[0], ev.RunStarted)
    assert isinstance(run.events[-1], ev.RunFinished)


def test_done_callback_is_called_once_also_when_it_comes_late() -> None:
    """`add_done_callback` calls when the run ends, and at once when it has."""
    called: list[str] = []
    done = threading.Event()
    run = cs.start(add(1), **QUIET)
    run.add_done_callback(lambda: (called.append("early"), done.set()))
    assert done.wait(SOON)
    run.add_done_callback(lambda: called.append("late"))
    assert called == ["early", "late"]


def test_pause_and_resume_act_at_once() -> None:
    """After a pause no attempt starts, what runs goes on; after a resume the rest follows."""
    gate = Gate()
    ran = threading.Event()
    second = cs.task(lambda x: ran.set(), name="second")
    run = cs.start(second(cs.task(gate, name="gate")()), **QUIET)
    gate.await_entered()
    run.pause()
    _until(lambda: run.state == "paused", AT_ONCE)
    gate.opened.set()
    _until(lambda: any(isinstance(e, ev.NodeCompleted) for e in run.events))
    assert not ran.wait(0.05)
    run.resume()
    assert ran.wait(AT_ONCE + 0.1)
    assert run.result(SOON) is None
    kinds = [type(e) for e in run.events if isinstance(e, ev.RunPaused | ev.RunResumed)]
    assert kinds == [ev.RunPaused, ev.RunResumed]


def test_pause_stops_an_inline_map_between_items() -> None:
    """A long map of tiny inline items heeds a pause and a cancel."""
    reached = threading.Event()
    items = 0

    def tiny(x: int) -> int:
        nonlocal items
        items += 1
        time.sleep(0.001)
        reached.set()
        return x

    run = cs.start(cs.task(tiny, mode="inline").map(range(100_000)), **QUIET)
    assert reached.wait(SOON)
    run.pause()
    _until(lambda: run.state == "paused", AT_ONCE)
    before = items
    assert not run.wait(0.03)
    assert items <= before + 10
    run.cancel()
    assert isinstance(run.exception(SOON), RunCancelledError)


def test_limits_act_while_the_run_goes_on() -> None:
    """A concurrency limit set on the handle holds from then on, counts what runs, and its removal lets the rest go."""
    gate = Gate()
    gated = cs.task(gate, name="gated")
    run = cs.start([gated(n).named(f"g{n}") for n in range(6)], **QUIET)
    gate.await_entered(6)
    run.cancel()
    gate.opened.set()
    run.wait(SOON)

    gate = Gate()
    gated = cs.task(gate, name="gated")
    run = cs.start(gated.map(range(6)), executor=_threads(6), **QUIET)
    gate.await_entered(6)
    run.set_limit(GlobalConstraint("few", "task:gated", "concurrency", {"limit": 1}))
    run.remove_limit("few")
    run.remove_limit("unknown")
    gate.opened.set()
    assert run.result(SOON) == list(range(6))
    told = [type(e).__name__ for e in run.events if isinstance(e, ev.LimitSet | ev.LimitRemoved)]
    assert told == ["LimitSet", "LimitRemoved"]


@pytest.mark.parametrize("mode", ["inline", "blocking", "async"])
@pytest.mark.parametrize("mapped", [False, True])
def test_concurrency_limit_holds_in_every_mode(mode: str, mapped: bool) -> None:
    """No more attempts than the limit says run at any instant, of calls and of map items."""
    lock, now, most = threading.Lock(), 0, 0

    def enter(step: int) -> None:
        nonlocal now, most
        with lock:
            now += step
            most = max(most, now)

    def plain(x: int) -> int:
        enter(1)
        time.sleep(0.001)
        enter(-1)
        return x

    async def coroutine(x: int) -> int:
        enter(1)
        await asyncio.sleep(0.001)
        enter(-1)
        return x

    made = cs.task(coroutine, name="t") if mode == "async" else cs.task(plain, name="t", mode=mode)  # type: ignore[call-overload]
    start = Gate()
    begin = cs.task(start, name="begin")(0)
    target = made.map([add(begin, n) for n in range(12)]) if mapped else [made(add(begin, n)) for n in range(12)]
    run = cs.start(target, **QUIET)
    start.await_entered()
    run.set_limit(GlobalConstraint("two", "task:t", "concurrency", {"limit": 2}))
    _until(lambda: any(isinstance(e, ev.LimitSet) for e in run.events), AT_ONCE)
    start.opened.set()
    assert run.result(SOON) == list(range(12))
    assert most <= 2


def test_pause_limit_expires_by_itself() -> None:
    """A limit with an end holds until then and no longer."""
    gate = Gate()
    run = cs.start(add(cs.task(gate, name="gate")(1)), **QUIET)
    gate.await_entered()
    run.set_limit(GlobalConstraint("hold", "task:add", expires_at=time.time() + 0.1))
    _until(lambda: any(isinstance(e, ev.LimitSet) for e in run.events), AT_ONCE)
    gate.opened.set()
    assert run.result(SOON) == 1
    assert run.elapsed >= 0.05
    assert [e.limit_id for e in run.events if isinstance(e, ev.LimitRemoved)] == ["hold"]


def test_limit_of_unknown_type_is_refused_at_once() -> None:
    """A limit that nobody handles is an error for whoever sets it, not for the run."""
    gate = Gate()
    run = cs.start(cs.task(gate)(1), **QUIET)
    with pytest.raises(ValueError, match="type of a limit cannot be 'magic'"):
        run.set_limit(GlobalConstraint("x", type="magic"))
    gate.opened.set()
    assert run.result(SOON) == 1


def _until(holds: Any, seconds: float = SOON) -> None:
    """Look again and again, without sleeping long, until something holds."""
    end = time.perf_counter() + seconds + 0.1
    while not holds():
        assert time.perf_counter() < end, "it did not come in time"
        time.sleep(0.001)


def _threads(number: int) -> Any:
    from cascade.adapters.executors.local import LocalExecutor

    return LocalExecutor(max_threads=number)


# -- the run's own time, and quiet ------------------------------------------------------------------------------------


def test_timeout_of_the_run_cancels_it() -> None:
    """`timeout=` bounds the whole run; the error says so."""

    @cs.task
    async def for_ever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RunTimeoutError, match=r"longer than its timeout of 0\.05 s and was cancelled"):
        cs.run(for_ever(), timeout=0.05, **QUIET)


@pytest.mark.slow
def test_runs_leave_no_warnings(recwarn: pytest.WarningsRecorder) -> None:
    """No coroutine is left unawaited, no task is destroyed while pending, no loop left open; also after cancels."""

    @cs.task
    async def for_ever(x: Any = None) -> None:
        await asyncio.Event().wait()

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        for _ in range(5):
            cs.run(later(1), **QUIET)
            run = cs.start([for_ever(), later.map(range(50)), for_ever.map(range(50)), later(for_ever())], **QUIET)
            run.cancel()
            run.wait(SOON)
        del run
        gc.collect()
    assert [str(w.message) for w in recwarn.list] == []
