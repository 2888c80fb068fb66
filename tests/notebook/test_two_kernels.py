"""Two notebooks beside one `.cascade/`: their kernels run one graph at once, and one of them is killed."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

import cascade as cs
from cascade.adapters.stores.local import LocalStore
from tests.notebook.kernel import Cell, Kernel
from tests.notebook.test_memory import states

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

TASKS = """
%load_ext cascade
import os, time
import cascade as cs

def note(word):
    file = os.open("notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, f"{os.getpid()} {word}\\n".encode())
    os.close(file)

SINGLE = cs.cache.by_content(single_flight=True)

@cs.task(pure=True)
def step(label, *values):
    note(label)
    time.sleep(0.005)
    return sum(values) % 1_000_003

@cs.task(pure=True)
def table(x, salt=""):
    note(f"{salt}table{x}")
    return bytes([x]) * 20_000

@cs.task(cache=SINGLE)
def once(x, salt=""):
    note(f"{salt}once{x}")
    time.sleep(0.02)
    return x * 2

@cs.task(cache=SINGLE)
def slow(x):
    note("slow")
    while os.path.exists("hold"):
        time.sleep(0.005)
    return x * 2

@cs.task(mode="inline")
def size(tables):
    return sum(map(len, tables))

def wide(salt):
    layer = [step(f"{salt}a{i}", i) for i in range(6)]
    for name in "bcd":
        layer = [step(f"{salt}{name}{i}", layer[i], layer[i - 2]) for i in range(6)]
    singles = [once.map(x=list(range(5)), salt=salt), [once(10 + i, salt) for i in range(4)]]
    return [step(f"{salt}end", *layer), size(table.map(x=list(range(8)), salt=salt)), *singles]

held = [step("before", 1), slow(step("input", 21))]

def start_together():
    note("ready")
    while not os.path.exists("go"):
        time.sleep(0.002)
"""
RUN = "start_together()\nvalue = cs.run(wide('{0}'), cache='.cascade', log_level=None)"
PATIENCE = 30  # seconds


class Pair:
    """Two kernels in one folder, and what their tasks noted."""

    def __init__(self, folder: Path) -> None:
        """Start both."""
        self.folder = folder
        self.kernels: list[Kernel] = []
        for _ in range(2):
            self.add()

    def add(self) -> Kernel:
        """Start one more."""
        made = Kernel(self.folder)
        self.kernels.append(made)
        ready = made.run(TASKS)
        assert ready.ok, ready.error
        return made

    def stop(self) -> None:
        """End both."""
        for kernel in self.kernels:
            kernel.stop()

    def words(self, salt: str = "") -> list[str]:
        """What was noted in runs of that salt, without who noted it."""
        notes = self.folder / "notes"
        lines = notes.read_text().splitlines() if notes.exists() else []
        return [word.removeprefix(salt) for word in (line.split()[1] for line in lines) if word.startswith(salt)]

    def wait_for(self, word: str, count: int = 1) -> None:
        """Wait until `word` was noted `count` times."""
        until = time.monotonic() + PATIENCE
        while self.words().count(word) < count:
            assert time.monotonic() < until, f"{word} was not noted"

    def store(self) -> LocalStore:
        """Open the store here, too."""
        return LocalStore(self.folder / ".cascade", key_file=self.folder / "config" / "cascade" / "key")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two kernels that are ended afterwards; a test that kills one starts another."""
    folder = tmp_path_factory.mktemp("pair")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        made = Pair(folder)
        yield made
        made.stop()


def begin_together(pair: Pair, salt: str) -> list[Cell]:
    """Have both kernels run the graph from the same moment on."""
    (pair.folder / "go").unlink(missing_ok=True)
    ready = pair.words().count("ready")
    cells = [kernel.send(RUN.format(salt)) for kernel in pair.kernels]
    pair.wait_for("ready", ready + 2)
    (pair.folder / "go").touch()
    return cells


def wait_for_end(kernel: Kernel, cell: Cell) -> None:
    """Collect what the kernel says until the cell is done, well."""
    kernel.until(lambda: bool(cell.idle and cell.reply), PATIENCE)
    assert cell.ok, cell.error
    assert "locked" not in cell.printed


def kill(pair: Pair, kernel: Kernel, pid: int) -> None:
    """Kill a kernel as a machine without memory would, and let go of what is left of it."""
    os.kill(pid, signal.SIGKILL)
    pair.kernels.remove(kernel)
    with suppress(Exception):
        kernel.stop()


def check(pair: Pair, **statuses: int) -> None:
    """The store is sound, and its runs ended as they did; those of earlier tests are not counted."""
    with pair.store() as store:
        assert store.check() == []
        newest = [run.status for run in cs.history(store)][: sum(statuses.values())]
        assert Counter(newest) == statuses


def test_two_kernels_run_one_graph(pair: Pair) -> None:
    """Both have the right value; with single_flight each call ran once, else twice at most; then neither computes."""
    cells = begin_together(pair, "one-")
    for kernel, cell in zip(pair.kernels, cells, strict=True):
        wait_for_end(kernel, cell)
    values = [kernel.value("value") for kernel in pair.kernels]
    assert values[0] == values[1]
    assert values[0][1:] == [8 * 20_000, [0, 2, 4, 6, 8], [20, 22, 24, 26]]
    count = Counter(pair.words("one-"))
    assert {word: n for word, n in count.items() if word.startswith("once") and n != 1} == {}
    assert len(count) == 25 + 8 + 9
    assert max(count.values()) <= 2
    for kernel in pair.kernels:
        again = kernel.run("%%cascade wide('one-')\n")
        assert again.ok, again.error
        assert again.document["run"]["state"] == "completed"
        assert set(states(again).values()) <= {"stored", "skipped", "done"}
    assert Counter(pair.words("one-")) == count
    check(pair, completed=4)


def test_a_kernel_that_is_killed_while_the_other_waits_for_it(pair: Pair) -> None:
    """The one that waits takes over, repeats nothing that was done, and the killed one's next kernel finds it all."""
    first, second = pair.kernels
    hold = pair.folder / "hold"
    hold.touch()
    pid = first.value("os.getpid()")
    first.send("%%cascade held\n")
    pair.wait_for("slow")
    cell = second.send("%%cascade held\n")
    second.until(lambda: bool(cell.of("display_data")), PATIENCE)  # it runs, and can only wait
    assert pair.words().count("slow") == 1
    killed_at = time.monotonic()
    kill(pair, first, pid)
    pair.wait_for("slow", 2)
    assert time.monotonic() - killed_at < 5
    hold.unlink()
    wait_for_end(second, cell)
    assert cell.value == "[1, 42]"
    count = Counter(pair.words())
    assert (count["before"], count["input"], count["slow"]) == (1, 1, 2)
    third = pair.add()
    assert third.run("%%cascade held\n").value == "[1, 42]"
    assert Counter(pair.words()) == count
    check(pair, completed=2, lost=1)


def test_a_kernel_that_is_killed_in_the_middle(pair: Pair) -> None:
    """Killed while both compute, it leaves a sound store, and the other one ends with the right value."""
    first, second = pair.kernels
    pid = first.value("os.getpid()")
    cells = begin_together(pair, "three-")
    pair.wait_for("three-b0")
    kill(pair, first, pid)
    wait_for_end(second, cells[1])
    assert second.value("value")[1:] == [8 * 20_000, [0, 2, 4, 6, 8], [20, 22, 24, 26]]
    count = Counter(pair.words("three-"))
    assert max(count.values()) <= 2
    again = second.run(f"{RUN.format('three-')}\nlen(value)")
    assert again.value == "4"
    assert Counter(pair.words("three-")) == count
    with pair.store() as store:
        assert store.check() == []
