from __future__ import annotations

import threading
from concurrent.futures import Future
from functools import partial

import pytest

import cascade as cs
from cascade.testing import FakeExecutor, ToolError
from cascade.testing.conformance import EXECUTOR_CASES, Case


def give(value: object) -> object:
    return value


@pytest.mark.parametrize("case", EXECUTOR_CASES, ids=str)
@pytest.mark.slow
def test_promises(case: Case) -> None:
    """An executor that runs calls at once keeps every promise of an executor."""
    case(FakeExecutor)


def test_calls_run_at_once() -> None:
    """Without a word said, a call is done when `submit` returns, on the thread that submitted it."""
    executor = FakeExecutor()
    future = executor.submit(threading.current_thread)
    assert future.done()
    assert future.result() is threading.current_thread()
    assert [(s.name, s.state, s.number) for s in executor.submitted] == [("current_thread", "done", 0)]


def test_held_calls_wait() -> None:
    """Held calls run one by one when they are told to, the oldest first or the one that is named."""
    executor = FakeExecutor(held=True)
    futures = [executor.submit(f, -3) for f in (abs, give, abs, bool)]
    assert executor.waiting == ["abs", "give", "abs", "bool"]
    assert not any(future.done() for future in futures)
    assert executor.step().name == "abs"
    assert executor.step("b*").number == 3
    assert executor.run_all() == 2
    assert executor.ran == ["abs", "bool", "give", "abs"]
    assert [future.result() for future in futures] == [3, -3, 3, True]


def order_of(order: str, seed: int = 0) -> list[int]:
    """The order in which eight held calls run."""
    executor, ran = FakeExecutor(held=True), []
    for n in range(8):
        executor.submit(ran.append, n)
    assert executor.run_all(order=order, seed=seed) == 8
    return ran


def test_orders() -> None:
    """All that waits runs in order of submission, in reverse, or as the seed draws: the same each time."""
    assert order_of("submitted") == list(range(8))
    assert order_of("reversed") == list(range(7, -1, -1))
    drawn = [order_of("random", seed) for seed in range(10)]
    assert drawn == [order_of("random", seed) for seed in range(10)]
    assert all(sorted(each) == list(range(8)) for each in drawn)
    assert len({tuple(each) for each in drawn}) == 10


def test_unknown_orders_are_told() -> None:
    """An order that does not exist is an error that lists those that do."""
    with pytest.raises(ToolError, match=r"cannot be 'sorted'\. It is one of submitted, reversed, random"):
        FakeExecutor(held=True).run_all(order="sorted")


def test_calls_that_come_from_calls_run_too() -> None:
    """`run_all` also runs what is submitted while it runs."""
    executor, ran = FakeExecutor(held=True), []

    def outer() -> None:
        ran.append("outer")
        executor.submit(ran.append, "inner")

    executor.submit(outer)
    assert executor.run_all() == 2
    assert ran == ["outer", "inner"]


def test_chosen_calls_fail() -> None:
    """A call of the name fails as often as was said, with the error that was given or one that says who did it."""
    executor = FakeExecutor()
    executor.fail("giv*", KeyError("no"), times=2)
    executor.fail("abs")
    kinds = [type(executor.submit(give, n).exception()) for n in range(3)]
    assert kinds == [KeyError, KeyError, type(None)]
    with pytest.raises(RuntimeError, match="The FakeExecutor failed 'abs'"):
        executor.submit(abs, 1).result()
    assert [s.state for s in executor.submitted] == ["failed", "failed", "done", "failed"]


def test_what_a_call_raises_stays_in_its_future() -> None:
    """SystemExit and the like neither leave the executor nor end the program."""
    executor = FakeExecutor()

    def leave() -> None:
        raise SystemExit(3)

    assert isinstance(executor.submit(leave).exception(), SystemExit)
    assert executor.submit(give, 1).result() == 1


def test_delayed_calls_let_others_pass() -> None:
    """A delayed call runs after so many others, or when none but delayed ones are left."""
    executor, ran = FakeExecutor(held=True), []
    executor.delay("slow", 2)
    slow = partial(ran.append, "slow")
    slow.__name__ = "slow"
    executor.submit(slow)
    for n in range(4):
        executor.submit(ran.append, n)
    executor.run_all()
    assert ran == [0, 1, "slow", 2, 3]
    executor.submit(slow)
    executor.run_all()
    assert ran[-1] == "slow"
    with pytest.raises(ToolError, match="needs held calls"):
        FakeExecutor().delay("slow", 1)


def test_cancelled_calls_do_not_run() -> None:
    """A held call that is cancelled never runs and is noted so."""
    executor, ran = FakeExecutor(held=True), []
    futures = [executor.submit(ran.append, n) for n in range(3)]
    assert futures[1].cancel()
    executor.run_all()
    assert ran == [0, 2]
    assert [s.state for s in executor.submitted] == ["done", "cancelled", "done"]


def test_nothing_to_step() -> None:
    """A step without a call that fits says what waits."""
    executor = FakeExecutor(held=True)
    with pytest.raises(ToolError, match=r"No call waits in the FakeExecutor\. None waits; use wait_for"):
        executor.step()
    executor.submit(give, 1)
    with pytest.raises(ToolError, match=r"No call of 'fit' waits in the FakeExecutor\. These wait: give"):
        executor.step("fit")
    with pytest.raises(ToolError, match="These wait: give"):
        executor.wait_for(2, timeout=0.01)


def test_shutdown() -> None:
    """After the shutdown nothing is taken; what waits is run, or cancelled."""
    executor = FakeExecutor(held=True)
    future = executor.submit(give, 1)
    executor.shutdown()
    assert future.result(0) == 1
    with pytest.raises(RuntimeError, match="has been shut down"):
        executor.submit(give, 1)
    with FakeExecutor(held=True) as other:
        future = other.submit(give, 1)
        other.shutdown(cancel_futures=True)
    assert future.cancelled()


# -- runs -----------------------------------------------------------------------------------------------------------


@cs.task
def load(n: int) -> int:
    return n


@cs.task
def add(*numbers: int) -> int:
    return sum(numbers)


def test_a_run_uses_it() -> None:
    """A run submits its blocking tasks to it, and they go by their own names."""
    executor = FakeExecutor()
    assert cs.run(add(load(1), load(2)), executor=executor, log_level=None) == 3
    assert executor.ran == ["load", "load", "add"]


@pytest.mark.parametrize("seed", range(5))
def test_a_run_in_any_order(seed: int) -> None:
    """A test drives a run call by call, in any order, up to its end, and it comes to the same value."""
    executor = FakeExecutor(held=True)
    target = add(*[add(load(n), load(n + 1)) for n in range(4)])
    handle = cs.start(target, executor=executor, log_level=None)
    assert executor.wait_for(8) == ["load"] * 8
    assert executor.run_all("random", seed=seed, until=handle) == 13
    assert handle.result(10) == 16
    assert executor.ran[-1] == "add"


def test_a_run_whose_call_fails() -> None:
    """A failure that the executor makes is the task's, and is tried again."""
    executor = FakeExecutor()
    executor.fail("load", ConnectionError("lost"))
    assert cs.run(load(5).with_retry(2), executor=executor, log_level=None) == 5
    assert executor.ran == ["load", "load"]


def test_until_that_never_comes() -> None:
    """Waiting for an end that does not come is an error, not a test that hangs."""
    with pytest.raises(TimeoutError, match=r"has not ended within 0\.01 s, and no call waits"):
        FakeExecutor(held=True).run_all(until=Future(), timeout=0.01)
