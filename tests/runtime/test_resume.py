"""A run that is killed goes on where it was: nothing that was told is computed again, nothing is lost or torn."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
from collections import Counter
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
    grown = sum((sums[2] + i) % PRIME for i in range(8)) + sum(3 * i for i in range(8))
    crunched = sum(sums[i] ** 2 % PRIME for i in range(4))
    tails = sum((sums[i % 10] + sums[(i + 1) % 10]) % PRIME for i in range(12))
    return str((way + sum(range(100, 109)) + grown + crunched + tails) % PRIME)


class Trial:
    """One store, one notebook of what ran and was told, and a process that is killed until it is done."""

    def __init__(self, folder: Path) -> None:
        """Begin with empty folders."""
        self.store, self.notes = folder / "store", folder / "notes"
        self.key = folder / "config" / "cascade" / "key"
        self.mark = uuid4().hex
        self.kills = 0
        # The mark is inherited by every process below, so that orphans can be found by it.
        self.environment = {**os.environ, "XDG_CONFIG_HOME": str(folder / "config"), "RESUME_MARK": self.mark}

    def start(self) -> subprocess.Popen[str]:
        """Start the program once more."""
        command = [sys.executable, CHILD, self.store, self.notes, str(self.kills)]
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run_until_done(self, draw: random.Random) -> str:
        """Kill it at a random moment of its run, again and again, until it was too fast; return what it printed."""
        while True:
            child = self.start()
            try:
                # Half of the kills fall into the first tenth of a second, where the run looks up what it has.
                delay = draw.uniform(0.1, 0.1 + draw.choice([0.2, 0.6])) if self.kills < MOST_KILLS else PATIENCE
                out, err = child.communicate(timeout=delay)
            except subprocess.TimeoutExpired:
                os.kill(child.pid, signal.SIGKILL)
                child.communicate()
                self.kills += 1
                self.wait_for_orphans()
                continue
            assert (child.returncode, err) == (0, "")
            self.wait_for_orphans()
            return out.strip()

    def wait_for_orphans(self) -> None:
        """Wait until every process of the trial has ended; one that stays is a failure."""
        for pid in self.living():
            try:
                handle = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            try:
                assert select.select([handle], [], [], PATIENCE)[0], f"{self.command_of(pid)} outlives the run"
            finally:
                os.close(handle)

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
        assert statuses["completed"] == 1
        assert runs[0].status == "completed"
        assert len(begun) - 1 <= statuses["lost"] <= trial.kills
        assert statuses.total() == statuses["lost"] + 1


def test_nobody_disturbs(tmp_path):
    """Undisturbed, everything runs once and a second process computes nothing."""
    trial = Trial(tmp_path)
    out, err = trial.start().communicate(timeout=PATIENCE)
    assert (out.strip(), err) == (expected(), "")
    first = Counter(label for _, kind, label in trial.lines() if kind == "ran")
    assert set(first.values()) == {1}
    assert len(first) == 94
    out, err = trial.start().communicate(timeout=PATIENCE)
    assert (out.strip(), err) == (expected(), "")
    assert Counter(label for _, kind, label in trial.lines() if kind == "ran") == first


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
