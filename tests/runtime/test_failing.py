"""Failures: what a user catches, what else stops, tries again, or goes on."""

from __future__ import annotations

import asyncio
import logging
import threading
import traceback
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.interfaces.exceptions import RunCancelledError, TaskExitError

QUIET: dict[str, Any] = {"log_level": None}
MODES = ["inline", "blocking", "async"]


def make(function: Any, mode: str, **options: Any) -> Any:
    """Return `function` as a task of any mode."""
    if mode != "async":
        return cs.task(mode=mode, **options)(function)  # type: ignore[call-overload]

    async def coroutine(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return function(*args, **kwargs)

    coroutine.__name__ = function.__name__
    return cs.task(**options)(coroutine)


def boom(*args: Any, **kwargs: Any) -> Any:
    raise ValueError("boom")


def same(x: Any = None) -> Any:
    return x


# -- what is caught -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_own_exception_with_a_note_about_the_place(mode: str) -> None:
    """The task's own exception arrives, and a note names the node and shows the arguments."""

    def fit(alpha: float, rows: list[int]) -> None:
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom") as caught:
        cs.run(make(fit, mode)(0.5, [1, 2, 3]), **QUIET)
    assert str(caught.value) == "boom"
    first = "alpha" if mode != "async" else "argument 1"
    assert [note for note in caught.value.__notes__ if note.startswith("In the node 'fit', called with")]
    assert f"{first} = 0.5" in caught.value.__notes__[0]
    assert "list of 3" in caught.value.__notes__[0]


@pytest.mark.parametrize("mode", MODES)
def test_note_names_item_and_attempt(mode: str) -> None:
    """The note of a map's item that was tried three times says both."""

    def fit(x: int) -> int:
        if x == 2:
            raise ValueError("boom")
        return x

    with pytest.raises(ValueError, match="boom") as caught:
        cs.run(make(fit, mode).map([0, 1, 2]).with_retry(max_attempts=3), **QUIET)
    given = "x" if mode != "async" else "argument 1"
    assert caught.value.__notes__ == [f"In the node 'fit[2]', attempt 3, called with {given} = 2."]


@pytest.mark.parametrize("mode", MODES)
def test_traceback_begins_in_the_users_code(mode: str) -> None:
    """The engine's own frames are not in what a person reads between their call and their task."""
    with pytest.raises(ValueError, match="boom") as caught:
        cs.run(make(boom, mode)(), **QUIET)
    files = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
    inner = files[files.index(__file__) + 1 :]
    assert inner[-1] == __file__
    assert not any("cascade/runtime/flow" in f or "cascade/runtime/attempts" in f for f in inner)


def test_event_of_a_failure_tells_frames_and_inputs() -> None:
    """`NodeFailed` has the type, the text, the user's own frames and short inputs."""
    run = cs.start(make(boom, "blocking")(1, key=[2]), **QUIET)
    run.wait()
    [event] = [e for e in run.events if isinstance(e, ev.NodeFailed)]
    assert (event.error_type, event.error, event.attempt) == ("ValueError", "boom", 1)
    file, line, function, code = event.frames[-1]
    assert (file, function, code.strip()) == (__file__, "boom", 'raise ValueError("boom")')
    assert line > 0
    assert event.inputs == {"argument 1": "1", "key": "list of 1"}


def test_failed_map_says_so_as_a_whole() -> None:
    """Beside the event of the item there is one of the map, so that the log tells its final state."""
    run = cs.start(make(boom, "blocking").map([1]), **QUIET)
    run.wait()
    told = [(e.label, e.error) for e in run.events if isinstance(e, ev.NodeFailed)]
    assert told == [("boom[0]", "boom"), ("boom", "boom")]


def test_several_independent_failures_are_one_group() -> None:
    """With on_failure="continue" all that failed is raised together, each once."""
    calls = [make(boom, mode)().named(f"{mode} {n}") for mode in MODES for n in range(4)]
    with pytest.raises(ExceptionGroup) as caught:
        cs.run(calls, on_failure="continue", **QUIET)
    assert len(caught.value.exceptions) == 12
    assert caught.value.subgroup(ValueError) is not None
    with pytest.raises(ValueError, match="boom"):
        cs.run(calls[0], on_failure="continue", **QUIET)


def test_continue_finishes_what_does_not_depend_on_the_failure() -> None:
    """Beside a failure everything else still runs; what needs it is skipped and says why."""
    ran: list[str] = []
    note = make(lambda x, *_: ran.append(x), "blocking")
    bad = make(boom, "inline")()
    run = cs.start([note("free"), note("bound", bad).named("bound"), bad], on_failure="continue", **QUIET)
    assert isinstance(run.exception(), ValueError)
    assert ran == ["free"]
    skipped = [(e.name, e.reason, e.because) for e in run.events if isinstance(e, ev.NodeSkipped)]
    assert skipped == [("bound", "needs 'boom', which failed", "boom")]


def test_cancel_stops_siblings_and_waits_for_them() -> None:
    """With on_failure="cancel" the run ends after its siblings have, and what had not begun is cancelled."""
    entered, ended = threading.Event(), threading.Event()

    @cs.task
    async def sibling() -> None:
        try:
            entered.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    fail = make(lambda: boom() if entered.wait(5) else None, "blocking", name="fail")
    after = make(same, "blocking", name="after")(sibling())
    run = cs.start([after, fail()], **QUIET)
    assert isinstance(run.exception(), ValueError)
    assert ended.is_set()
    assert {e.name for e in run.events if isinstance(e, ev.NodeCancelled)} == {"sibling", "after"}
    assert run.state == "failed"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, BaseException])
def test_nothing_a_task_raises_ends_the_program(mode: str, kind: type[BaseException]) -> None:
    """What would end the program or the loop becomes a readable error of the node; the next run works."""

    def leave() -> None:
        raise kind("bye")

    wanted = rf"Task 'leave' raised {kind.__name__}\('bye'\), which would have ended"
    with pytest.raises(TaskExitError, match=wanted) as caught:
        cs.run(make(leave, mode)(), **QUIET)
    assert isinstance(caught.value.__cause__, kind)
    assert cs.run(make(same, mode)(1), **QUIET) == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
def test_stop_iteration_is_an_ordinary_failure(mode: str, kind: type[Exception]) -> None:
    """A task that lets `StopIteration` out fails, alone and as an item of a map, and its iterables do not end by it."""

    def leave(x: int) -> int:
        if x == 1:
            raise kind
        return x

    for target in (make(leave, mode)(1), make(leave, mode).map([0, 1, 2])):
        with pytest.raises((kind, RuntimeError)):
            cs.run(target, **QUIET)


def test_cancelled_error_of_a_task_itself_is_its_failure() -> None:
    """A task that raises `CancelledError` without being cancelled has failed, and nothing hangs."""

    @cs.task
    async def gives_up() -> None:
        raise asyncio.CancelledError

    run = cs.start(gives_up(), **QUIET)
    assert isinstance(run.exception(5), TaskExitError)
    assert run.state == "failed"


def test_exception_that_cannot_be_printed() -> None:
    """An exception whose own text fails does not fail the engine."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    def leave() -> None:
        raise Mute

    run = cs.start(make(leave, "blocking")().with_retry(2), **QUIET)
    assert isinstance(run.exception(5), Mute)
    assert "without a text" in next(e.error for e in run.events if isinstance(e, ev.NodeFailed))


@pytest.mark.parametrize("mode", MODES)
def test_argument_that_cannot_be_had_fails_its_node(mode: str) -> None:
    """An index that the value does not have is a failure of the node that asks for it, in every mode."""
    data = make(lambda: {"a": 1}, "inline", name="data")()
    with pytest.raises(KeyError) as caught:
        cs.run(make(same, mode)(data["b"]), **QUIET)
    assert "In the node 'same'." in caught.value.__notes__


# -- trying again ---------------------------------------------------------------------------------------------------


class Flaky:
    """Fails the first `times` calls for each argument."""

    __name__ = "flaky"

    def __init__(self, times: int, kind: type[BaseException] = ValueError) -> None:
        self.times = times
        self.kind = kind
        self.calls: list[Any] = []

    def __call__(self, x: Any = None) -> Any:
        self.calls.append(x)
        if self.calls.count(x) <= self.times:
            raise self.kind(f"attempt {self.calls.count(x)}")
        return x


@pytest.mark.parametrize("mode", MODES)
def test_max_attempts_counts_all_attempts(mode: str) -> None:
    """`max_attempts=3` calls three times: not two, not four."""
    flaky = Flaky(2)
    run = cs.start(make(flaky, mode)(7).with_retry(max_attempts=3), **QUIET)
    assert run.result(5) == 7
    assert len(flaky.calls) == 3
    told = [(e.attempt, e.max_attempts, e.error) for e in run.events if isinstance(e, ev.NodeRetrying)]
    assert told == [(1, 3, "attempt 1"), (2, 3, "attempt 2")]
    flaky = Flaky(3)
    with pytest.raises(ValueError, match="attempt 3") as caught:
        cs.run(make(flaky, mode)(7).with_retry(max_attempts=3), **QUIET)
    assert len(flaky.calls) == 3
    assert "attempt 3" in caught.value.__notes__[0]


@pytest.mark.parametrize("mode", MODES)
def test_items_are_tried_again_one_by_one(mode: str) -> None:
    """Each item of a map has its own attempts; those that worked are not repeated; the order is kept."""
    flaky = Flaky(1)
    assert cs.run(make(flaky, mode).map(range(5)).with_retry(2, delay=0.001), **QUIET) == list(range(5))
    assert sorted(flaky.calls) == sorted([*range(5), *range(5)])


def test_only_what_the_filter_names_is_tried_again() -> None:
    """`retry_on` takes types or a function; a filter that fails itself asks for nothing."""
    for retry_on, calls in (
        (ValueError, 2),
        (KeyError, 1),
        ((KeyError, ValueError), 2),
        (lambda error: "attempt" in str(error), 2),
        (lambda error: 1 / 0, 1),
    ):
        flaky = Flaky(1)
        run = cs.start(make(flaky, "inline")().with_retry(2, retry_on=retry_on), **QUIET)
        assert (run.exception(5) is None) == (calls == 2)
        assert len(flaky.calls) == calls


@pytest.mark.parametrize("mode", MODES)
def test_what_would_end_the_program_is_not_tried_again(mode: str) -> None:
    """SystemExit and its kin fail at once, whatever the policy says."""
    flaky = Flaky(1, SystemExit)
    with pytest.raises(TaskExitError):
        cs.run(make(flaky, mode)().with_retry(3, retry_on=BaseException), **QUIET)
    assert len(flaky.calls) == 1


def test_backoff_gives_its_capacity_to_others() -> None:
    """While a node waits for its next attempt it holds no capacity."""
    order: list[str] = []
    flaky = Flaky(1)

    def first() -> None:
        order.append("first")
        flaky()

    def second() -> None:
        order.append("second")

    calls = [
        make(first, "blocking")().with_retry(2, delay=0.05).with_constraints(db=1),
        make(second, "blocking")().with_constraints(db=1),
    ]
    cs.run(calls, system_resources={"db": 1}, **QUIET)
    assert order == ["first", "second", "first"]


def test_cancel_during_backoff_ends_at_once() -> None:
    """A run whose only node waits for its next attempt, as a call or an item, ends when it is cancelled."""
    call, items = make(Flaky(1), "blocking")(), make(Flaky(1), "inline").map([1, 2])
    for target in (call, items, make(Flaky(1), "async").map([1])):
        run = cs.start(target.with_retry(2, delay=60), **QUIET)
        while not any(isinstance(e, ev.NodeRetrying) for e in run.events):
            pass
        run.cancel()
        assert isinstance(run.exception(0.4), RunCancelledError)


# -- fallbacks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_fallback_stands_in_after_the_last_attempt(mode: str) -> None:
    """A node with a fallback has that value when it fails for good; the run does not fail."""
    flaky = Flaky(9)
    lazy = make(flaky, mode)().with_retry(2).with_fallback(make(same, mode)("other"))
    assert cs.run(make(same, mode)(lazy), **QUIET) == "other"
    assert len(flaky.calls) == 2


def test_failure_of_a_fallback_is_told() -> None:
    """When the fallback fails too, its failure is raised; when it is skipped, the first one is."""
    bad = make(boom, "blocking")()

    def other() -> None:
        raise KeyError("other")

    with pytest.raises(KeyError, match="other"):
        cs.run(make(same, "inline")(bad.with_fallback(make(other, "inline")())), **QUIET)
    with pytest.raises(ValueError, match="boom"):
        cs.run(make(same, "inline")(bad.with_fallback(make(same, "inline")(1).run_if(False))), **QUIET)


def test_skipped_target_says_why() -> None:
    """A target that was skipped raises `DependencyMissingError` with the chain of reasons."""
    gone = make(same, "inline")(1).run_if(False).named("gone")
    with pytest.raises(cs.DependencyMissingError) as caught:
        cs.run(make(same, "inline")(make(same, "inline")(gone).named("middle")).named("last"), **QUIET)
    assert str(caught.value) == (
        "'last' has no value: needs 'middle', which was skipped; 'middle': needs 'gone', which was skipped; "
        "'gone': its run_if is false. Ask for something that runs, or give it a value with .with_fallback(…)."
    )


# -- maps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_collect_puts_exceptions_in_their_places(mode: str) -> None:
    """With on_error="collect" the list has the exceptions of the items that failed, and the run does not fail."""

    def odd(x: int) -> int:
        if x % 2:
            return x
        raise ValueError(x)

    found = cs.run(make(odd, mode).map(range(5), on_error="collect"), **QUIET)
    assert [str(v) for v in found] == ["0", "1", "2", "3", "4"]
    assert [isinstance(v, ValueError) for v in found] == [True, False, True, False, True]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("on_error", ["fail", "collect"])
def test_iterable_that_raises_fails_its_map(mode: str, on_error: str) -> None:
    """What an input iterable raises is not an item's failure: the map fails, whatever on_error says."""

    def items() -> Any:
        yield 1
        raise OSError("torn")

    with pytest.raises(OSError, match="torn"):
        cs.run(make(same, mode).map(items(), on_error=on_error), **QUIET)


@pytest.mark.parametrize("mode", MODES)
def test_lengths_that_turn_out_unequal(mode: str) -> None:
    """Iterables that do not know their lengths are compared when one ends before the other."""
    with pytest.raises(ValueError, match="unequal length: argument 1 has an unknown number, argument 2 has 2"):
        cs.run(make(lambda *a: a, mode).map((n for n in range(3)), [1, 2]), **QUIET)


def test_slow_iterable_holds_up_nobody() -> None:
    """While a map waits for its iterable, other nodes run, and a cancel ends the run."""
    free = threading.Event()
    entered = threading.Event()

    def items() -> Any:
        yield 1
        entered.set()
        free.wait(5)

    ran = threading.Event()
    other = make(lambda: ran.set() if entered.wait(5) else None, "blocking")
    run = cs.start([make(same, "blocking").map(items()), other()], **QUIET)
    assert ran.wait(5)
    run.cancel()
    assert isinstance(run.exception(0.5), RunCancelledError)
    free.set()


# -- secrets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_secrets_never_show(mode: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    """The value of a secret is in no event, log line, repr, error text or traceback, even when the task tells it."""
    secret = "S3CR3T-42"

    def use(token: str, where: dict[str, str]) -> None:
        logging.getLogger("cascade").warning("used")
        raise ValueError(f"refused {token}", {"at": 1}) from KeyError(where["url"])

    token = cs.Param("token", secret=True)
    target = make(use, mode)(token, {"url": make(lambda t: f"https://{t}@host", mode)(token)}).with_retry(2)
    run = cs.start(target, {"token": secret}, log_level="DEBUG", capture_output=True)
    error = run.exception(5)
    shown = [repr(run.events), repr(run), repr(run.params), repr(target), repr(token), caplog.text]
    shown += ["".join(traceback.format_exception(error)), *capsys.readouterr()]
    assert not [text for text in shown if secret in text]
    assert isinstance(error, ValueError)
    assert "refused •••" in str(error)
