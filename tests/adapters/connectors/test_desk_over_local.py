"""Runs in other processes of this machine, watched and steered from here."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import cascade as cs
from cascade.adapters.connectors.addresses import open_connector
from cascade.interfaces.remote_errors import ConnectorError, RemoteError
from cascade.runtime.remote_desk import RemoteDesk
from cascade.spec.constraint import GlobalConstraint

pytestmark = pytest.mark.slow
ENGINE = Path(__file__).with_name("engine_child.py")


def until(is_true, seconds=10.0):
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, f"it was not so within {seconds:g} s"
        time.sleep(0.01)


@pytest.fixture
def desk():
    """A desk on this machine."""
    with RemoteDesk(open_connector("local")) as made:
        yield made


@pytest.fixture
def engine(desk):
    """A run in another process, of three tasks that take a while: the process and the id of the run."""
    child = subprocess.Popen([sys.executable, ENGINE, "local", "0.5", "3"], stdout=subprocess.PIPE, text=True)
    run_id = child.stdout.readline().strip()
    yield child, run_id
    child.kill()
    child.wait()
    child.stdout.close()


def test_found_followed_and_ended(desk, engine):
    """A run of another process is found by its name, followed from its beginning, and known after its end."""
    child, run_id = engine
    status = desk.status("child")
    assert (status.run_id, status.state) == (run_id, "running")
    assert status.source.endswith(f"-{child.pid}")
    told = [message["body"] for message in desk.follow(run_id)]
    assert told[0]["event"] == "ENGINE_STARTED"
    assert told[-1]["status"] == "completed"
    assert sum(body.get("state") == "COMPLETED" for body in told) == 3
    assert child.wait(10) == 0
    assert desk.runs() == []
    [known] = desk.recent()
    assert (known.run_id, known.state) == (run_id, "completed")
    assert desk.status(run_id[:5]).state == "completed"


def test_cancelled_from_here(desk, engine):
    """An order reaches another process, which ends as a cancelled run does."""
    child, run_id = engine
    assert desk.cancel(run_id, "enough").state == "cancelling"
    assert [message["body"] for message in desk.follow(run_id)][-1]["status"] == "cancelled"
    assert child.wait(10) == 1


def test_killed(desk, engine):
    """A run whose process was killed is lost: it is followed to that end, and does not answer any more."""
    child, run_id = engine
    child.send_signal(signal.SIGKILL)
    child.wait()
    messages = desk.follow(run_id)
    until(lambda: next(messages)["body"].get("status") == "lost")
    messages.close()
    assert desk.recent()[0].state == "lost"
    desk.timeout = 0.1
    with pytest.raises(RemoteError, match="did not answer"):
        desk.pause(run_id)


def test_a_pause_for_all_outlives_who_set_it(desk):
    """A limit stays in force for runs that start later, until it is cleared, whoever set it is gone or not."""

    @cs.task
    def one():
        return 1

    desk.set_limit(GlobalConstraint("lunch", "global", "pause"))
    run = cs.start(one(), connector="local", log_level=None)
    assert not run.wait(0.05)
    with RemoteDesk(open_connector("local")) as other:
        [known] = other.limits()
        assert known.limit == GlobalConstraint("lunch", "global", "pause")
        assert time.time() - known.set_at < 60
        assert known.set_by
        assert other.clear_limit("global", "pause")
    assert run.result(10) == 1


def test_nobody_there():
    """A broker that is not there is an error for who wants to steer, in bounded time."""
    pytest.importorskip("aiomqtt")
    with (
        pytest.raises(ConnectorError, match=r"was not reached within 0\.3 s"),
        RemoteDesk(open_connector("mqtt://127.0.0.1:1"), timeout=0.3),
    ):
        pass


def test_the_arrows_of_a_run_that_is_over(desk, engine):
    """What a run told of its graph is read from the file when it answers no more."""
    child, run_id = engine
    live = desk.graph(run_id)
    assert live.nodes
    assert child.wait(20) == 0
    begun = time.monotonic()
    assert desk.graph(run_id) == live
    assert time.monotonic() - begun < 2  # nobody was waited for


def test_a_busy_run_is_found(desk):
    """A run whose process is too busy to answer at once is waited for, since its start was written down."""
    child = subprocess.Popen([sys.executable, ENGINE, "local", "20", "1"], stdout=subprocess.PIPE, text=True)
    run_id = child.stdout.readline().strip()
    try:
        until(lambda: [status.run_id for status in desk.runs()] == [run_id])
        child.send_signal(signal.SIGSTOP)
        timer = threading.Timer(0.6, child.send_signal, [signal.SIGCONT])
        timer.start()
        assert [status.run_id for status in desk.runs()] == [run_id]
        timer.join()
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
