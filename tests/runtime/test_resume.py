"""A run that is killed goes on where it was: nothing that was told is computed again, nothing is lost or torn."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

import cascade as cs
from cascade.adapters.stores.local import LocalStore

CHILD = Path(__file__).with_name("resume_child.py")
PRIME = 1_000_003
MOST_KILLS = 40
PATIENCE = 20  # seconds that any step of a trial may take

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for processes that are not its children"),
]


def expected() -> str:
    """Work the target's value out by hand."""
    measured = sum(sum(range(i)) for i in range(12))
    heads = [(measured + i) % PRIME for i in range(10)]
    sums = [(heads[i] + heads[(i + 3) % 10]) % PRIME for i in range(10)]
    way = sums[0] if measured % 2 else sums[1]
    grown = sum((sums[2] + i) % PRIME for i in range(8)) + sum(3 * i for i in range(8)) + sums[2] + 100
    crunched = sum(sums[i] ** 2 % PRIME for i in range(4))
    tails = sum((sums[i % 10] + sums[(i + 1) % 10]) % PRIME for i in range(12))
    branches = sum(2 * x for x in range(4))
    return str((way + sum(range(100, 109)) + grown + branches + crunched + tails) % PRIME)


class Trial:
    """One store, one notebook of what ran and was told, and a process that is killed until it is done."""

    def __init__(self, folder: Path) -> None:
        """Begin with empty folders."""
        self.store, self.notes, self.said = folder / "store", folder / "notes", folder / "said"
        self.key = folder / "config" / "cascade" / "key"
        self.mark = uuid4().hex
        self.kills = 0
        # The mark is inherited by every process below, so that orphans can be found by it.
        self.environment = {**os.environ, "XDG_CONFIG_HOME": str(folder / "config"), "RESUME_MARK": self.mark}

    def start(self) -> subprocess.Popen[bytes]:
        """Start the program once more; what it says goes to a file, since a pipe would wait for orphans too."""
        command = [sys.executable, CHILD, self.store, self.notes, str(self.kills)]
        with self.said.open("wb") as said:
            return subprocess.Popen(command, env=self.environment, stdout=said, stderr=subprocess.STDOUT)

    def run_until_done(self, draw: random.Random) -> str:
        """Kill it at a random moment of its run, again and again, until it was too fast; return what it printed."""
        while True:
            child = self.start()
            # Half of the kills fall into the time when the run begins and looks up what it has.
            delay = 0.2 + draw.uniform(0.0, draw.choice([0.15, 0.6])) + 0.05 * self.kills  # more, on a busy machine
            if self.kills == MOST_KILLS:
                delay = PATIENCE
            try:
                child.wait(delay)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                self.kills += 1
                self.end_orphans()
                continue
            assert child.returncode == 0, self.said.read_text()
            return self.said.read_text().strip()

    def end_orphans(self) -> None:
        """End what a kill has left, so that trials do not pile up processes."""
        for pid in self.living():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def wait_until_alone(self, seconds: float) -> list[str]:
        """Wait for every process of the trial to end; return the commands of those that have not."""
        until = time.monotonic() + seconds
        stayed = []
        for pid in self.living():
            command = self.command_of(pid)
            try:
                handle = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            if not select.select([handle], [], [], max(0.0, until - time.monotonic()))[0]:
                stayed.append(command)
            os.close(handle)
        return stayed

    def living(self) -> list[int]:
        """Return the processes that carry the mark."""
        found = []
        for each in Path("/proc").iterdir():
            try:
                if each.name.isdigit() and self.mark.encode() in (each / "environ").read_bytes():
                    found.append(int(each.name))
            except OSError:  # it has ended, or is someone else's
                continue
        return found

    @staticmethod
    def command_of(pid: int) -> str:
        """Return the command line of a process, for people."""
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            return f"process {pid}"

    def lines(self) -> list[tuple[int, str, str]]:
        """Return what was noted: attempt, kind, label."""
        rows = [line.split(" ", 2) for line in self.notes.read_text().splitlines()]
        return [(int(attempt), kind, label) for attempt, kind, label in rows]


def judge(trial: Trial, value: str) -> None:
    """The whole promise: value, no repetition, nothing lost, a sound store, a true history."""
    lines = trial.lines()
    assert value == expected()
    told = {}
    for attempt, kind, label in lines:
        if kind == "told":
            told.setdefault(label, attempt)
    again = [(a, label) for a, kind, label in lines if kind == "ran" and a > told.get(label, a)]
    assert not again, f"told as completed and computed again: {again}"
    twice = Counter((a, label) for a, kind, label in lines if kind == "ran")
    assert max(twice.values()) == 1, f"computed twice in one run: {twice.most_common(3)}"
    with LocalStore(trial.store, key_file=trial.key) as store:
        assert store.check() == []
        runs = cs.history(store, limit=None)
        begun = {a for a, kind, _ in lines if kind == "told"}  # others may have been killed before their first row
        statuses = Counter(run.status for run in runs)
        assert runs[0].status == "completed"
        assert set(statuses) <= {"completed", "lost"}  # one that had ended may have been killed on its way out
        assert statuses["lost"] <= trial.kills
        assert len(begun) <= statuses.total() <= trial.kills + 1


def test_nobody_disturbs(tmp_path):
    """Undisturbed, everything runs once and a second process computes nothing."""
    trial = Trial(tmp_path)
    counts = []
    for _ in range(2):
        assert trial.start().wait(PATIENCE) == 0
        assert trial.said.read_text().strip() == expected()
        counts.append(Counter(label for _, kind, label in trial.lines() if kind == "ran"))
    assert set(counts[0].values()) == {1}
    assert len(counts[0]) == 106
    assert counts[1] == counts[0]


def test_no_process_outlives_a_killed_run(tmp_path):
    """The workers of compute tasks end by themselves when the process that runs the graph is killed."""
    trial = Trial(tmp_path)
    child = trial.start()
    try:
        until = time.monotonic() + PATIENCE
        while not (trial.notes.exists() and "ran crunch" in trial.notes.read_text()):  # its worker lives
            assert time.monotonic() < until
            assert child.poll() is None
        child.kill()
        child.wait()
        assert trial.wait_until_alone(5) == []
    finally:
        child.kill()
        child.wait()
        trial.end_orphans()


@pytest.mark.parametrize("seed", range(10))
def test_a_killed_run_goes_on_where_it_was(tmp_path, seed):
    """Killed at random moments until it is done: the right value, and nothing that was told is computed again."""
    trial = Trial(tmp_path)
    judge(trial, trial.run_until_done(random.Random(seed)))


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_hundred_killed_runs_go_on_where_they_were(tmp_path):
    """The same a hundred times, with other moments each time."""
    killed = 0
    for seed in range(100):
        trial = Trial(tmp_path / str(seed))
        trial.store.parent.mkdir()
        judge(trial, trial.run_until_done(random.Random(1000 + seed)))
        killed += trial.kills
    assert killed > 100
