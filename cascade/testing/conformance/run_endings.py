"""What a run promises about its ends, wherever its calls are made: failures, limits, output, resources, the store.

In: a factory of what ``executor=`` takes. Out: the promises that a run on it breaks. Invariant: as in
`cascade.testing.conformance.runs`, to whose cases these belong.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from cascade.testing.conformance.cases import Trial, case, expect
from cascade.testing.conformance.run_trials import EXECUTOR_RUN_CASES, LARGE, fail, give, public, start, task

__all__: list[str] = []

NAP: Final = 0.05  # seconds


class _OwnError(Exception):
    """Like many: pickle would call it with the wrong arguments."""

    def __init__(self, file: str, line: int) -> None:
        super().__init__(f"{file}:{line}")
        self.line = line


# -- failing --------------------------------------------------------------------------------------------------------


@case(EXECUTOR_RUN_CASES)
def tries_again(trial: Trial) -> None:
    """A call that fails is tried again as its retry says, and told of."""
    from cascade.interfaces.events import NodeRetrying

    with TemporaryDirectory() as folder:
        seen = Path(folder, "seen")

        @task()
        def shaky() -> str:
            with seen.open("a") as file:
                file.write("x")
            if len(seen.read_text()) < 3:  # noqa: PLR2004 - the third time
                raise ConnectionError("not yet")
            return "at last"

        with trial.using() as executor:
            run = start(executor, shaky().with_retry(max_attempts=4, retry_on=ConnectionError))
            found = run.result(trial.timeout)
            told = [event.attempt for event in run.events if isinstance(event, NodeRetrying)]
        times = len(seen.read_text())
    expect((found, times, told) == ("at last", 3, [1, 2]), f"it gave {found!r} after {times} tries; told: {told}")


@case(EXECUTOR_RUN_CASES)
def hands_its_own_error_over(trial: Trial) -> None:
    """The error is the task's own exception, with the frame that raised it, its cause, and the node and arguments."""

    @task(name="parse")
    def parse(line: int) -> None:
        try:
            int("no number")
        except ValueError as error:
            raise _OwnError("data.csv", line) from error

    error, _ = fail(trial, parse(7))
    expect(type(error) is _OwnError, f"it failed with {error!r}")
    expect(str(error) == "data.csv:7", f"its words are {str(error)!r}")
    names, trace = [], error.__traceback__
    while trace is not None:
        names.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    expect("parse" in names, f"its traceback goes through {names}")
    notes = " ".join(getattr(error, "__notes__", ()))
    expect("'parse'" in notes and "line = 7" in notes, f"its notes are {notes!r}")


@case(EXECUTOR_RUN_CASES)
def survives_exits_of_tasks(trial: Trial) -> None:
    """A task that raises SystemExit fails its node; the executor goes on."""

    @task(name="leave")
    def leave() -> None:
        raise SystemExit(3)

    @task()
    def one() -> int:
        return 1

    with trial.using() as executor:
        error = start(executor, leave()).exception(trial.timeout)
        found = start(executor, one()).result(trial.timeout)
    expect(type(error).__name__ == "TaskExitError", f"it failed with {error!r}")
    expect("leave" in str(error), f"the error does not name the task: {error}")
    expect(found == 1, f"the next run gave {found!r}")


@case(EXECUTOR_RUN_CASES)
def finishes_what_does_not_depend(trial: Trial) -> None:
    """With on_failure="continue", what does not depend on a failure is finished."""
    with TemporaryDirectory() as folder:

        @task()
        def broken() -> int:
            raise ValueError("broken")

        @task()
        def fine(x: int) -> int:
            Path(folder, str(x)).touch()
            return x + 1

        error, _ = fail(trial, [fine(broken()), fine(fine(1))], on_failure="continue")
        ran = sorted(path.name for path in Path(folder).iterdir())
    expect(type(error) is ValueError, f"it failed with {error!r}")
    expect(ran == ["1", "2"], f"these ran: {ran}")


@case(EXECUTOR_RUN_CASES)
def says_what_cannot_travel(trial: Trial) -> None:
    """What cannot be sent either arrives, since it need not be sent, or fails its own task with a clear error."""

    @task(name="make_lock")
    def make_lock() -> Any:
        return threading.Lock()

    @task(name="use")
    def use(lock: Any) -> str:
        return type(lock).__name__

    lock = threading.Lock()

    @task(name="guard")
    def guard() -> str:
        with lock:
            return type(lock).__name__

    refused = "The {} of task '{}' cannot be sent to another process (TypeError: cannot pickle"
    with trial.using() as executor:
        for target, said in (
            (use(make_lock()), "'make_lock'"),
            (use(lock), refused.format("arguments", "use")),
            (guard(), refused.format("function", "guard")),
        ):
            run = start(executor, target)
            error = run.exception(trial.timeout)
            if error is None:
                expect(run.result() == "lock", f"it gave {run.result()!r}")
                continue
            words = " ".join((str(error), *getattr(error, "__notes__", ())))
            expect("pickle" in words and said in words, f"the error says {words!r}")
        expect(start(executor, use(1)).result(trial.timeout) == "int", "the next run did not give its value")


# -- limits ---------------------------------------------------------------------------------------------------------


@case(EXECUTOR_RUN_CASES)
def keeps_capacities(trial: Trial) -> None:
    """At no time does more run than the capacity allows."""

    @task()
    def hold(n: int) -> tuple[float, float]:
        begin = time.time()
        time.sleep(NAP / 2 + n % 2 * NAP / 4)
        return begin, time.time()

    found = give(trial, [hold(n).with_constraints(seat=1) for n in range(8)], system_resources={"seat": 2})
    most = max(sum(begin <= at < end for begin, end in found) for at, _ in found)
    expect(most <= 2, f"{most} ran at once under a capacity of 2")  # noqa: PLR2004 - the capacity


@case(EXECUTOR_RUN_CASES)
def ends_what_takes_too_long(trial: Trial) -> None:
    """A timeout fails its node in time, and the executor goes on."""

    @task(name="slow")
    def slow(seconds: float) -> float:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(NAP / 10)
        return seconds

    with trial.using() as executor:
        start(executor, slow(0)).result(trial.timeout)  # workers are there
        error = start(executor, slow(8 * NAP).with_timeout(2 * NAP)).exception(trial.timeout)
        found = start(executor, slow(NAP / 10)).result(trial.timeout)
    expect(type(error).__name__ == "NodeTimeoutError", f"it failed with {error!r}")
    expect(found == NAP / 10, f"the next run gave {found!r}")


@case(EXECUTOR_RUN_CASES)
def stops_when_it_is_cancelled(trial: Trial) -> None:
    """A run that is cancelled ends, starts nothing more, and the executor goes on."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:

        @task()
        def work(n: int) -> int:
            Path(folder, str(n)).touch()
            for _ in range(10):
                time.sleep(NAP)
            return n

        @task()
        def one() -> int:
            return 1

        with trial.using() as executor:
            run = start(executor, [work(n) for n in range(400)])
            until = time.monotonic() + trial.timeout
            while not any(Path(folder).iterdir()) and time.monotonic() < until:
                time.sleep(NAP / 10)
            run.cancel()
            error = run.exception(trial.timeout)
            ran = len(list(Path(folder).iterdir()))
            found = start(executor, one()).result(trial.timeout)
    expect(type(error).__name__ == "RunCancelledError", f"it ended with {error!r}")
    expect(0 < ran < 400, f"{ran} of 400 calls were begun")  # noqa: PLR2004 - as above
    expect(found == 1, f"the next run gave {found!r}")


# -- what else a run has --------------------------------------------------------------------------------------------


@case(EXECUTOR_RUN_CASES)
def carries_output_to_its_node(trial: Trial) -> None:
    """What a call prints, logs and warns is told of its node, whoever runs beside it."""
    from cascade.interfaces.events import OutputWritten

    @task()
    def speak(n: int) -> int:
        import logging
        import warnings

        sys.stdout.write(f"print {n}\n")
        logging.getLogger("conformance").warning("log %d", n)
        warnings.warn(f"warn {n}", stacklevel=1)
        return n

    where = task(name="where")(os.getpid)
    with trial.using() as executor:
        if start(executor, where()).result(trial.timeout) == os.getpid():
            return  # in this process, it is a notebook that listens
        run = start(executor, [speak(n).named(f"speak{n}") for n in range(4)], capture_output=True)
        run.result(trial.timeout)
        told = [(event.name, event.text.strip()) for event in run.events if isinstance(event, OutputWritten)]
    for n in range(4):
        mine = " ".join(text for name, text in told if name == f"speak{n}")
        expect(all(f"{word} {n}" in mine for word in ("print", "log", "warn")), f"of speak{n} was told: {mine!r}")


@case(EXECUTOR_RUN_CASES)
def makes_resources_of_a_task(trial: Trial) -> None:
    """A resource with scope="task" is made and torn down around each call, or refused with a clear error."""
    cs = public()

    with TemporaryDirectory() as folder:

        def scratch() -> Iterator[str]:
            path = Path(folder, f"{os.getpid()}-{time.monotonic_ns()}")
            path.touch()
            yield path.name
            path.unlink()

        resource = cs.resource(name="conformance_scratch", scope="task")(scratch)

        @task(name="uses_scratch")
        def uses(_number: int, scratch: str = cs.inject(resource)) -> bool:
            return Path(folder, scratch).exists()

        try:
            with trial.using() as executor:
                run = start(executor, [uses(n) for n in range(3)])
                error = run.exception(trial.timeout)
                found = run.result() if error is None else []
        finally:
            from cascade.context import get_current_context

            get_current_context().resources.pop("conformance_scratch", None)
        left = list(Path(folder).iterdir())
    if error is None:
        expect(found == [True] * 3, f"calls saw {found}")
        expect(not left, f"{len(left)} were not torn down")
    else:
        expect("uses_scratch" in str(error) and "resource" in str(error), f"the error says {error}")


@case(EXECUTOR_RUN_CASES)
def remembers(trial: Trial) -> None:
    """With a store, what was computed is not computed again."""
    with TemporaryDirectory() as folder:
        diary = Path(folder, "diary")

        @task(pure=True)
        def make(n: int) -> bytes:
            with diary.open("a") as file:
                file.write(f"{n}\n")
            return bytes([n]) * LARGE

        @task(pure=True)
        def size(data: bytes) -> int:
            return len(data)

        store = str(Path(folder, "store"))
        with trial.using() as executor:
            runs = [start(executor, size.map([make(1), make(2)]), cache=store).result(trial.timeout) for _ in range(2)]
        ran = sorted(diary.read_text().split())
    expect(runs == [[LARGE, LARGE]] * 2, f"the runs gave {runs}")
    expect(ran == ["1", "2"], f"these ran: {ran}")
