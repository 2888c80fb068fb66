"""Several processes that run one graph in one store: right values, a sound store, one computation where it is asked."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest

import cascade as cs
from cascade.adapters.stores.local import LocalStore
from cascade.interfaces.exceptions import RunCancelledError

CHILD = Path(__file__).with_name("two_processes_child.py")
PATIENCE = 20  # seconds


class Place:
    """A store, notes, and the processes that use them."""

    def __init__(self, folder: Path) -> None:
        """Begin with nothing."""
        self.store, self.notes, self.hold = folder / "store", folder / "notes", folder / "hold"
        self.key = folder / "config" / "cascade" / "key"
        self.environment = {**os.environ, "XDG_CONFIG_HOME": str(folder / "config")}
        self.children: list[subprocess.Popen[str]] = []

    def start(self, kind: str, **environment: str) -> subprocess.Popen[str]:
        """Start a process and wait until it could begin."""
        child = subprocess.Popen(
            [sys.executable, CHILD, self.store, self.notes, kind],
            env=self.environment | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.children.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        return child

    @staticmethod
    def begin(*children: subprocess.Popen[str]) -> None:
        """Let processes go."""
        for child in children:
            assert child.stdin is not None
            child.stdin.write("\n")
            child.stdin.flush()

    def wait_for(self, word: str) -> None:
        """Wait until a body has noted `word`."""
        until = time.monotonic() + PATIENCE
        while word not in self.words():
            assert time.monotonic() < until, f"{word} never ran"
            assert any(child.poll() is None for child in self.children)

    def words(self) -> list[str]:
        """Return what was noted."""
        return self.notes.read_text().split() if self.notes.exists() else []

    def open(self) -> LocalStore:
        """Open the store here, too."""
        return LocalStore(self.store, key_file=self.key)


@pytest.fixture
def place(tmp_path):
    """A place whose processes are all ended."""
    made = Place(tmp_path)
    yield made
    for child in made.children:
        child.kill()
        child.communicate()


def told(child: subprocess.Popen[str]) -> tuple[str, str]:
    """Return what a process printed, and what it complained of."""
    out, err = child.communicate(timeout=PATIENCE)
    return out.strip(), err


@contextmanager
def local_store(tmp_path):
    """Two stores on one folder, as two kernels have them."""
    with (
        LocalStore(tmp_path / "s", key_file=tmp_path / "key") as one,
        LocalStore(tmp_path / "s", key_file=tmp_path / "key") as other,
    ):
        yield one, other


@pytest.mark.slow
def test_three_processes_run_one_graph(place):
    """All get the same values, nobody complains, and the store is sound; a fourth one computes nothing."""
    children = [place.start("graph") for _ in range(3)]
    place.begin(*children)
    answers = [told(child) for child in children]
    assert set(answers) == {(answers[0][0], "")}
    assert answers[0][0].endswith(", 240000]")
    count = Counter(place.words())
    assert len(count) == 49 + 12
    late = place.start("graph")
    place.begin(late)
    assert told(late) == answers[0]
    assert Counter(place.words()) == count
    with place.open() as store:
        assert store.check() == []
        assert Counter(run.status for run in cs.history(store)) == {"completed": 4}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "words"), [("many", 12), ("items", 20)])
def test_single_flight_computes_once(place, kind, words):
    """With single_flight, four processes that begin at once compute each key once, items of maps too."""
    children = [place.start(kind) for _ in range(4)]
    place.begin(*children)
    answers = {told(child) for child in children}
    assert len(answers) == 1
    count = Counter(place.words())
    assert (len(count), set(count.values())) == (words, {1})
    with place.open() as store:
        assert store.check() == []


@pytest.mark.slow
def test_a_killed_holder_frees_the_key(place):
    """Who waits for a process that is killed computes the value itself."""
    place.hold.touch()
    first = place.start("slow", HOLD=str(place.hold))
    place.begin(first)
    place.wait_for("slow21")
    second = place.start("slow")
    place.begin(second)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(0.4)  # it could have computed it many times over
    assert place.words() == ["slow21"]
    first.kill()
    assert told(second) == ("42", "")
    assert place.words() == ["slow21", "slow21"]


@pytest.mark.slow
def test_who_waits_takes_the_result(place):
    """The second process waits for the first one's result and says whose it is."""
    place.hold.touch()
    first, second = place.start("slow", HOLD=str(place.hold)), place.start("slow")
    place.begin(first)
    place.wait_for("slow21")
    place.begin(second)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(0.3)
    place.hold.unlink()
    assert {told(first), told(second)} == {("42", "")}
    assert place.words() == ["slow21"]
    with place.open() as store:
        assert sorted((run.ran, run.stored) for run in cs.history(store)) == [(0, 1), (1, 0)]


def test_a_failure_frees_the_key(tmp_path):
    """A task that fails lets the other run compute; errors are not stored, so both meet it."""
    entered, ran = threading.Event(), []

    @cs.task(cache=cs.cache.by_content(single_flight=True), ignore=("log",))
    def fails(log):
        log.append(1)
        entered.set()
        raise ValueError("no")

    with local_store(tmp_path) as (one, other):
        first = cs.start(fails(ran), cache=one, log_level=None)
        assert entered.wait(5)
        second = cs.start(fails(ran), cache=other, log_level=None)
        for run in (first, second):
            with pytest.raises(ValueError, match="no"):
                run.result(10)
    assert ran == [1, 1]


def test_a_run_that_waits_can_be_cancelled(tmp_path):
    """Waiting for another's computation ends at once when the run is cancelled; the other goes on."""
    entered, go = threading.Event(), threading.Event()

    @cs.task(cache=cs.cache.by_content(single_flight=True), ignore=("entered", "go"))
    def hold(entered, go):
        entered.set()
        go.wait(10)
        return 7

    with local_store(tmp_path) as (one, other):
        first = cs.start(hold(entered, go), cache=one, log_level=None)
        assert entered.wait(5)
        entered.clear()
        second = cs.start(hold(entered, go), cache=other, log_level=None)
        second.cancel()
        with pytest.raises(RunCancelledError, match="cancelled"):
            second.result(5)
        assert not entered.is_set()
        go.set()
        assert first.result(5) == 7


def test_equal_calls_of_one_run_share_a_flight(tmp_path):
    """Two nodes of one run that turn out to be the same call compute once."""
    ran = []

    @cs.task
    def one(x):
        return 1

    @cs.task(cache=cs.cache.by_content(single_flight=True), ignore=("log",))
    def twice(x, log):
        log.append(x)
        return x * 2

    with local_store(tmp_path) as (store, _):
        assert cs.run([twice(one(5), ran), twice(one(6), ran)], cache=store, log_level=None) == [2, 2]
    assert ran == [1]
