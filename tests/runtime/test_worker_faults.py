"""Worker processes that die, run out of memory or are interrupted, and what cannot travel to or from them."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.interfaces import events as ev
from cascade.interfaces.exceptions import WorkerDiedError

pytestmark = pytest.mark.slow

QUIET: dict[str, Any] = {"log_level": None}
LONG = 60.0  # what a test that starts processes may take on a busy machine


@cs.task(mode="compute")
def square(x: int) -> int:
    return x * x


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def left() -> None:
    os._exit(5)


def crashed() -> None:
    import faulthandler

    faulthandler.disable()  # or the crash is told on the terminal
    ctypes.string_at(0)


def failed_nodes(run: cs.Run) -> list[tuple[str, str]]:
    return [(e.label, e.error_type) for e in run.events if isinstance(e, ev.NodeFailed)]


@pytest.mark.parametrize(
    ("die", "cause"), [(killed, r"SIGKILL\(-9\)"), (left, r"EXIT\(5\)"), (crashed, r"SIGSEGV\(-11\)")]
)
def test_death_costs_one_call_and_one_item(die: Callable[[], None], cause: str) -> None:
    """A worker's death fails the call or the item that killed it, by name; those beside, and the next run, work."""

    def perhaps(x: int) -> int:
        if x == 3:
            die()
        return -x

    items = cs.task(perhaps, name="perhaps", mode="compute").map(range(5), on_error="collect")
    victim = cs.task(die, name="victim", mode="compute")()
    run = cs.start([items, victim.with_fallback("dead"), *map(square, range(4))], on_failure="continue", **QUIET)
    [first, *others] = run.result(LONG)
    assert first[:3] + first[4:] == [0, -1, -2, -4]
    assert isinstance(first[3], WorkerDiedError)
    assert re.search(rf"The process that ran 'perhaps' ended before the task did \({cause}\)", str(first[3]))
    assert any("In the node 'perhaps[3]', called with x = 3." in note for note in first[3].__notes__)
    assert others == ["dead", 0, 1, 4, 9]
    assert {name for name, _ in failed_nodes(run)} <= {"victim", "perhaps[3]"}
    with pytest.raises(WorkerDiedError, match=rf"The process that ran 'victim' ended before the task did \({cause}\)"):
        cs.run(victim, **QUIET)
    assert cs.run(square(3), **QUIET) == 9


def test_item_that_kills_its_worker_fails_its_map() -> None:
    """Without on_error="collect" the map fails with the death of the item's worker."""
    with pytest.raises(WorkerDiedError, match="'perhaps'") as caught:
        cs.run(cs.task(lambda x: killed() if x == 1 else x, name="perhaps", mode="compute").map(range(3)), **QUIET)
    assert "In the node 'perhaps[1]', called with x = 1." in caught.value.__notes__


def test_death_is_tried_again_by_a_retry(tmp_path: Path) -> None:
    """A death counts as one attempt; the next one may succeed."""
    seen = tmp_path / "seen"

    def once() -> str:
        if not seen.exists():
            seen.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return "second"

    run = cs.start(cs.task(once, mode="compute")().with_retry(2), **QUIET)
    assert run.result(LONG) == "second"
    assert [(e.attempt, e.error_type) for e in run.events if isinstance(e, ev.NodeRetrying)] == [(1, "WorkerDiedError")]


def test_out_of_memory_fails_the_task_and_not_its_worker() -> None:
    """A `MemoryError` comes back as such, with its place, from a worker that lives on."""

    def fill() -> int:
        import resource

        before = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, before[1]))
        try:
            return len(bytearray(4 << 30))
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)

    pid = cs.task(os.getpid, name="pid", mode="compute")
    before = {cs.run(pid(), **QUIET) for _ in range(8)}
    run = cs.start([cs.task(fill, mode="compute")(), square(2)], on_failure="continue", **QUIET)
    error = run.exception(LONG)
    assert type(error) is MemoryError
    assert failed_nodes(run) == [("fill", "MemoryError")]
    assert "bytearray" in traceback.format_exception(error)[-3]
    assert {cs.run(pid(), **QUIET) for _ in range(8)} & before


# -- what cannot travel ---------------------------------------------------------------------------------------------


class Torn:
    """Is pickled, but cannot be read again."""

    def __reduce__(self) -> Any:
        return int, ("torn",)


class Misfit(Exception):
    """Like many exceptions of libraries: pickle would call it with the wrong arguments."""

    def __init__(self, file: str, line: int) -> None:
        super().__init__(f"{file}, line {line}")


class OwnExit(BaseException):
    pass


def test_own_exception_comes_back_from_one_attempt(tmp_path: Path) -> None:
    """An exception that pickle cannot rebuild arrives as itself, its task is not done twice and its worker lives."""
    diary = tmp_path / "diary"

    @cs.task(mode="compute")
    def load(x: int) -> None:
        with diary.open("a") as file:
            file.write("x")
        raise Misfit("a.csv", x)

    run = cs.start([load(3), *map(square, range(4))], on_failure="continue", **QUIET)
    error = run.exception(LONG)
    assert type(error) is Misfit
    assert str(error) == "a.csv, line 3"
    assert error.__notes__ == ["In the node 'load', called with x = 3."]
    assert diary.read_text() == "x"
    [event] = [e for e in run.events if isinstance(e, ev.NodeFailed)]
    assert [(frame[0], frame[2], frame[3].strip()) for frame in event.frames] == [
        (__file__, "load", 'raise Misfit("a.csv", x)')
    ]
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    assert files == [__file__]


def test_retry_knows_the_class_of_the_exception() -> None:
    """`retry_on` sees the task's own exception, as if it had run here."""
    failing = cs.task(lambda: (_ for _ in ()).throw(Misfit("a", 1)), name="failing", mode="compute")()
    run = cs.start(failing.with_retry(2, retry_on=Misfit), **QUIET)
    assert type(run.exception(LONG)) is Misfit
    assert sum(isinstance(e, ev.NodeRetrying) for e in run.events) == 1


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, OwnExit])
def test_exits_in_a_map_are_collected(kind: type[BaseException]) -> None:
    """What would have ended the worker is the failure of its item only."""

    def leave(x: int) -> int:
        if x == 1:
            raise kind("bye")
        return x

    found = cs.run(cs.task(leave, mode="compute").map(range(3), on_error="collect"), **QUIET)
    assert [found[0], found[2]] == [0, 2]
    assert f"raised {kind.__name__}('bye'), which would have ended its process" in str(found[1])


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (threading.Lock, "cannot pickle '_thread.lock' object"),
        (Torn, r"The value of task 'make' could not be read where the run goes on \(ValueError: .*torn"),
    ],
)
def test_value_that_cannot_travel_fails_its_task(make: Any, told: str) -> None:
    """A value that pickle refuses, or cannot read again, is an error of its task that says what it was about."""
    target = cs.task(make, name="make", mode="compute")()
    run = cs.start([target, *map(square, range(4))], on_failure="continue", **QUIET)
    error = run.exception(LONG)
    assert re.search(told, str(error))
    assert "make" in " ".join(error.__notes__)  # type: ignore[union-attr]
    assert [name for name, _ in failed_nodes(run)] == ["make"]
    assert cs.run(square(3), **QUIET) == 9


def test_argument_that_cannot_travel_fails_its_task() -> None:
    """So is an argument, whichever side finds out."""
    for argument, told in ((threading.Lock(), "(?i)pickle"), (Torn(), "The arguments of task 'square' could not be")):
        run = cs.start([square(argument), square(2)], on_failure="continue", **QUIET)  # type: ignore[arg-type]
        error = run.exception(LONG)
        assert re.search(told, str(error))
        assert [name for name, _ in failed_nodes(run)] == ["square"]


# -- interrupts -----------------------------------------------------------------------------------------------------

INTERRUPTED = """
import sys, time
from pathlib import Path
import cascade as cs
from cascade.interfaces import events as ev

@cs.task(mode="compute")
def stuck(folder, n):
    (Path(folder) / str(n)).touch()
    time.sleep(60)

run = cs.start([stuck(sys.argv[1], n) for n in range(2)], log_level="WARNING")
try:
    run.result()
except KeyboardInterrupt as error:
    failed = [e.error_type for e in run.events if isinstance(e, ev.NodeFailed)]
    print("interrupted:", run.state, failed, flush=True)
"""


@pytest.mark.parametrize("moment", ["working", "starting"])
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only on systems with process groups and /proc")
def test_interrupt_in_a_terminal_cancels_the_run_once(moment: str, tmp_path: Path) -> None:
    """Ctrl-C reaches every process: the run is cancelled, no worker prints or reports an interrupt, all end."""
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path)]
    program = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    until = time.perf_counter() + LONG
    wanted = 2 if moment == "working" else 1
    while len(list(tmp_path.iterdir())) < wanted and time.perf_counter() < until:
        if moment == "starting" and len(members(program.pid)) > 2:
            time.sleep(0.05)  # somewhere in the imports of the workers
            break
        time.sleep(0.002)
    os.killpg(program.pid, signal.SIGINT)
    out, err = program.communicate(timeout=LONG)
    assert out == "interrupted: cancelled []\n"
    assert "KeyboardInterrupt" not in err
    assert "Traceback" not in err
    assert program.returncode == 0
    until = time.perf_counter() + 5
    while members(program.pid) and time.perf_counter() < until:  # the trackers of multiprocessing tidy up
        time.sleep(0.01)
    assert not members(program.pid)


def members(group: int) -> list[int]:
    """The processes of a group that are alive."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(path.name))
    return found


def test_worker_ignores_interrupts() -> None:
    """An interrupt that reaches only a worker changes nothing."""

    def shoot() -> str:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)
        return "unmoved"

    assert cs.run(cs.task(shoot, mode="compute")(), **QUIET) == "unmoved"
