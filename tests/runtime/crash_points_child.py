"""Runs a graph with a store in forks that are killed, each at another step: ``… crash_points_child.py FOLDER all``.

A step is everything after which a power cut would leave another state: before and after each thing that is done to the
disk, each record of the journal, and each clean-up. The last word says how many occurrences of each step are tried:
``all``, or ``some``: the first, the middle and the last. Prints each kind of step that was killed at, and a count.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import cascade as cs
from cascade.adapters.stores.file_ops import FileOps, set_fault_hook
from cascade.adapters.stores.local import LocalStore
from cascade.interfaces.records import Grown, StoreMiss
from cascade.runtime import journal as jr
from cascade.runtime.journal import Journal

FOLDER, TRIED = Path(sys.argv[1]), sys.argv[2]
STEPS = ["mkdir", "open", "write", "close", "replace", "unlink", "begin", "execute", "commit"]
LARGE = 20_000  # bytes, so that the value has a file of its own
JUNK = "junk"  # what the clean-up at the end of a run takes away
LIMIT = 110_000  # bytes: the results of a run fit, together with the junk they do not
EXPECTED = 15 + 18 + 30 + LARGE + 7
_notes = -1
_step: Callable[[str], object] = lambda _: None  # noqa: E731 - replaced in each fork


def note(word: str, label: str) -> None:
    """Append a line that no kill can tear."""
    os.write(_notes, f"{word} {label}\n".encode())


# -- the graph: each result says whose it is --------------------------------------------------------------------------


@cs.task(pure=True)
def load(n):
    note("ran", f"load{n}")
    return f"load{n}", list(range(n))


@cs.task(pure=True)
def measure(x):
    note("ran", f"measure{x}")
    return f"measure{x}", x


@cs.task(pure=True, mode="inline")
def total(parts):
    note("ran", "total")
    return "total", sum(value for _, value in parts)


@cs.task(pure=True)
async def choose(rows):
    note("ran", "choose")
    return "choose", len(rows[1])


@cs.task(mode="inline")
def is_even(chosen):
    return chosen[1] % 2 == 0


@cs.task(pure=True)
def way(name, rows, extra):
    note("ran", name)
    return name, sum(rows[1]) + extra


@cs.task(pure=True)
def part(i):
    note("ran", f"part{i}")
    return f"part{i}", i * 10


@cs.task(pure=True)
def grow(rows):
    note("ran", "grow")
    return total_of([part(i).named(f"part{i}") for i in range(3)]).named("grown")


@cs.task(pure=True)
def total_of(parts):
    note("ran", "grown")
    return "grown", sum(value for _, value in parts)


@cs.task(pure=True)
def large():
    note("ran", "large")
    return "large", bytes(LARGE)


@cs.resource
def lamp():
    _step("resource.opening")
    yield 7
    _step("resource.closing")


@cs.task
def use(light=cs.inject("lamp")):
    return light


@cs.task(mode="inline")
def end(measured, routed, grown, blob, light):
    return measured[1] + routed[1] + grown[1] + len(blob[1]) + light


def target():
    rows = load(6).named("load6")
    routed = cs.Router(
        selector=is_even(choose(rows)), routes={True: way("even", rows, 3).named("even"), False: way("odd", rows, 1)}
    )
    return end(total(measure.map(x=list(range(6)))), routed, grow(rows), large(), use())


# -- one fork ---------------------------------------------------------------------------------------------------------


class SteppedFiles(FileOps):
    """The real disk, with a step before and after each thing that is done to it."""


def _stepped(name: str) -> Any:
    real = getattr(FileOps, name)

    def step(self: FileOps, *args: Any) -> Any:
        _step(f"{name}.before")
        result = real(self, *args)
        _step(f"{name}.after")
        return result

    return step


for _name in STEPS:
    setattr(SteppedFiles, _name, _stepped(_name))


class Records(list):
    """The journal's list, with a step before and after each record, and a note of what was told as completed."""

    def __init__(self, graph):
        super().__init__()
        self.graph = graph

    def append(self, record):
        _step("event.before")
        super().append(record)
        for label in self.completed(record):
            note("told", label)
        _step("event.after")

    def completed(self, record):
        if record[0] in (jr.DONE_INLINE, jr.GROWN):
            return [self.graph.label(record[2])]
        if record[0] == jr.COMPLETED:
            return [self.graph.label(record[2]) + ("" if record[3] is None else str(record[3]))]
        if record[0] == jr.ITEMS:
            return [f"{self.graph.label(record[2])}{k}" for k in range(record[3], record[3] + record[4])]
        return []


def open_store(place: Path, files: FileOps | None = None, reports: list[Any] | None = None) -> LocalStore:
    told = (lambda *report: reports.append(report)) if reports is not None else None
    return LocalStore(place / "store", key_file=FOLDER / "key", max_bytes=LIMIT, files=files, on_report=told)


def run(place: Path, files: FileOps | None = None, reports: list[Any] | None = None) -> tuple[int, list[str]]:
    """Run the graph; return its value, and which results came from the store."""
    with open_store(place, files, reports) as store:
        handle = cs.start(target(), cache=store, log_level=None)
        value = handle.result(30)
        return value, [event.name for event in handle.events if type(event).__name__ == "NodeRecalled"]


def in_fork(work: Callable[[], object], place: Path, attempt: str) -> int:
    """Do `work` in a process group of its own; return the status that it ended with."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setsid()
            global _notes  # noqa: PLW0603 - of this process
            _notes = os.open(place / f"notes.{attempt}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            work()
            status = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    until = time.monotonic() + 5
    while time.monotonic() < until:  # nobody of its group lives on
        try:
            os.killpg(child, 0)
        except ProcessLookupError:
            return status
    raise AssertionError("a process outlived the run that was killed")


def prepare(place: Path) -> None:
    """Fill the store with what the run's clean-up will take away."""
    place.mkdir()

    def fill() -> None:
        with open_store(place) as store:
            store.save(JUNK, (JUNK, bytes(100_000)))

    assert in_fork(fill, place, "prepare") == 0


def killed_at(victim: str, number: int, place: Path) -> Callable[[], None]:
    """Return a run that is killed when it comes to the step `victim` for the n-th time; 0: it notes all its steps."""

    def work() -> None:
        global _step  # noqa: PLW0603 - of this process
        count = 0

        def step(name: str) -> None:
            nonlocal count
            if not number:
                note("step", name)
            elif name == victim:
                count += 1
                if count == number:
                    note("killed", name)
                    os.kill(os.getpid(), signal.SIGKILL)

        _step = step
        set_fault_hook(step)
        before = Journal.__init__

        def begin(self: Journal, *args: Any) -> None:
            before(self, *args)
            self.records = Records(self.graph)

        Journal.__init__ = begin
        run(place, SteppedFiles())
        if not number:
            for name in list(sys.modules):
                note("imported", name)

    return work


def lines(place: Path, attempt: str, word: str) -> list[str]:
    text = (place / f"notes.{attempt}").read_text()
    return [line.partition(" ")[2] for line in text.splitlines() if line.startswith(f"{word} ")]


def judge(place: Path) -> None:
    """The next run gives the right value, computes nothing that is stored, and the store is sound; so is the third."""
    reports: list[Any] = []

    def look() -> None:
        with open_store(place, reports=reports) as store:
            assert store.check() == [], store.check()
            values = [store.load(entry) for entry in store.ls()]
            assert not any(isinstance(value, StoreMiss) for value in values), values
        for value in values:
            note("stored", "grow" if isinstance(value, Grown) else value[0])
        value, _ = run(place, reports=reports)
        assert value == EXPECTED, value
        with open_store(place, reports=reports) as store:
            assert store.check() == [], store.check()
            assert store.runs()[0].facts["status"] == "completed"
        assert reports == [], reports

    assert in_fork(look, place, "second") == 0
    again = set(lines(place, "second", "ran"))
    stored, told = set(lines(place, "second", "stored")), set(lines(place, "first", "told"))
    assert not again & stored, f"stored and computed again: {again & stored}"
    assert not again & told, f"told as completed and computed again: {again & told}"
    last: dict[str, Any] = {}
    assert in_fork(lambda: last.update(value=run(place)[0]) or _expect(last["value"]), place, "third") == 0
    assert lines(place, "third", "ran") == []


def _expect(value: int) -> None:
    assert value == EXPECTED, value


def chosen(steps: list[str]) -> list[tuple[str, int]]:
    """Return the steps at which the run is killed: their name, and the how manieth of that name."""
    counts = Counter(steps)
    if TRIED == "all":
        return [(name, k) for name, count in counts.items() for k in range(1, count + 1)]
    return [(name, k) for name, count in counts.items() for k in sorted({1, (count + 1) // 2, count})]


if __name__ == "__main__":
    counted = FOLDER / "counted"
    prepare(counted)
    assert in_fork(killed_at("", 0, counted), counted, "first") == 0
    judge(counted)
    for name in lines(counted, "first", "imported"):  # not anew in each fork
        with suppress(ImportError):
            importlib.import_module(name)
    steps = lines(counted, "first", "step")
    struck: dict[str, int] = {}
    for victim, number in chosen(steps):
        place = FOLDER / f"{victim}-{number}"
        prepare(place)
        status = in_fork(killed_at(victim, number, place), place, "first")
        killed = lines(place, "first", "killed")
        assert os.WIFSIGNALED(status) == bool(killed), f"{victim} {number}: {status}"
        try:
            judge(place)
        except AssertionError as error:
            raise AssertionError(f"killed at {victim}, number {number}") from error
        for name in killed:
            struck[name] = struck.get(name, 0) + 1
    print(json.dumps({"steps": len(steps), "struck": struck}))
