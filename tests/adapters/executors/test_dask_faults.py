"""Dask clusters that lose workers, schedulers and connections: each run ends right, or with a clear error, in time."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.executors.dask import DaskExecutor
from cascade.interfaces import events as ev
from cascade.interfaces.cluster import ClusterError
from cascade.interfaces.exceptions import WorkerDiedError
from tests.adapters.executors.conftest import Processes, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore::ResourceWarning:distributed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:distributed"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # clients of schedulers that went
]

LONG = 120.0  # what a test that starts processes may take on a busy machine


def start(executor: Any, target: Any, **settings: Any) -> cs.Run:
    return cs.start(target, executor=executor, log_level=None, **settings)


def test_worker_killed_in_mid_task(local: DaskExecutor, tmp_path: Path) -> None:
    """The cluster runs the task again on another worker, the run gives its value, and the task's log says so."""
    pids = tmp_path / "pids"

    @cs.task(name="unlucky")
    def unlucky() -> str:
        with pids.open("a") as file:
            file.write(f"{os.getpid()}\n")
        while len(pids.read_text().split()) == 1:
            time.sleep(0.01)
        return "second"

    run = start(local, unlucky(), capture_output=True)
    wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"))
    os.kill(int(pids.read_text().split()[0]), signal.SIGKILL)
    assert run.result(LONG) == "second"
    first, second = pids.read_text().split()
    assert first != second
    assert any("worker was lost" in e.text for e in run.events if isinstance(e, ev.OutputWritten))


def test_task_that_kills_its_workers(local: DaskExecutor) -> None:
    """A task that kills every worker fails by name; what runs beside it and the next run work."""
    victim = cs.task(lambda: os._exit(3), name="victim")()
    fine = cs.task(lambda n: n, name="fine")
    run = start(local, [victim.with_fallback("dead"), fine(1), fine(2)], on_failure="continue")
    assert run.result(LONG) == ["dead", 1, 2]
    [failed] = [e for e in run.events if isinstance(e, ev.NodeFailed)]
    assert (failed.label, failed.error_type) == ("victim", WorkerDiedError.__name__)
    assert "victim" in failed.error
    assert start(local, fine(3)).result(LONG) == 3


def test_lost_value_is_made_again(local: DaskExecutor, tmp_path: Path) -> None:
    """A value whose worker dies before it is read is computed again from its own inputs."""
    pids = tmp_path / "pids"

    @cs.task
    def make(n: int) -> tuple[int, bytes]:
        with pids.open("a") as file:
            file.write(f"{os.getpid()}\n")
        return os.getpid(), bytes(n)

    @cs.task(mode="inline")
    def kill() -> None:
        os.kill(int(pids.read_text().split()[-1]), signal.SIGKILL)

    size = cs.task(lambda made: len(made[1]), name="size")
    made = make(50_000)
    run = start(local, size(made).after(kill().after(made)))
    assert run.result(LONG) == 50_000
    assert len(pids.read_text().split()) == 2


def test_scheduler_killed(processes: Processes, tmp_path: Path) -> None:
    """A scheduler that dies in mid-run fails the run with its address, soon, and later runs elsewhere work."""
    executor = DaskExecutor(processes.start_scheduler(), patience=5)
    processes.start_worker()
    mark = tmp_path / "mark"

    @cs.task
    def work() -> None:
        mark.touch()
        time.sleep(600)

    run = start(executor, [work(), work()])
    wait_until(mark.exists)
    assert processes.scheduler is not None
    processes.scheduler.kill()
    began = time.monotonic()
    error = run.exception(60)
    assert isinstance(error, ClusterError)
    assert processes.address in str(error)
    assert "was lost in mid-run" in str(error)
    assert time.monotonic() - began < 20
    assert cs.run(cs.task(lambda: 1, name="one")(), log_level=None) == 1


def test_scheduler_that_does_not_answer(processes: Processes, tmp_path: Path) -> None:
    """A scheduler that is there but silent, as behind a broken network, counts as lost after `patience`."""
    executor = DaskExecutor(processes.start_scheduler(), patience=3)
    processes.start_worker()
    mark = tmp_path / "mark"

    @cs.task
    def work() -> None:
        mark.touch()
        time.sleep(600)

    run = start(executor, work())
    wait_until(mark.exists)
    assert processes.scheduler is not None
    processes.scheduler.send_signal(signal.SIGSTOP)
    error = run.exception(60)
    assert isinstance(error, ClusterError)
    assert "no answer for 3 s" in str(error)


def test_worker_that_does_not_answer(processes: Processes, tmp_path: Path) -> None:
    """The tasks of a worker that is cut off are run by another one."""
    address = processes.start_scheduler(DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="3s")
    frozen = processes.start_worker()
    pids = tmp_path / "pids"

    @cs.task
    def work() -> int:
        with pids.open("a") as file:
            file.write(f"{os.getpid()}\n")
        while len(pids.read_text().split()) == 1:
            time.sleep(0.01)
        return os.getpid()

    run = start(DaskExecutor(address), work())
    wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"))
    frozen.send_signal(signal.SIGSTOP)
    processes.start_worker()
    assert run.result(LONG) == int(pids.read_text().split()[1])


def test_workers_that_come_late(processes: Processes) -> None:
    """A run on a cluster without workers says that it waits, and goes on when one comes."""
    executor = DaskExecutor(processes.start_scheduler())
    run = start(executor, cs.task(lambda: 5, name="five")())
    wait_until(lambda: any(isinstance(e, ev.ClusterReported) and not e.workers for e in run.events))
    processes.start_worker()
    assert run.result(LONG) == 5
    assert [e.workers for e in run.events if isinstance(e, ev.ClusterReported)] == [0, 1]


def test_workers_that_never_come(processes: Processes) -> None:
    """It waits for so long and no longer."""
    executor = DaskExecutor(processes.start_scheduler(), wait_for_workers=1)
    error = start(executor, cs.task(lambda: 5, name="five")()).exception(60)
    assert isinstance(error, ClusterError)
    assert "has had no workers for 1 s" in str(error)


def test_last_worker_goes(processes: Processes, tmp_path: Path) -> None:
    """When no worker is left and none comes, the run fails within its bound."""
    executor = DaskExecutor(processes.start_scheduler(), wait_for_workers=1)
    worker = processes.start_worker()
    cluster: Any = executor.join()
    cluster.client.wait_for_workers(1, timeout=90)
    mark = tmp_path / "mark"

    @cs.task
    def work() -> None:
        mark.touch()
        time.sleep(600)

    run = start(executor, work())
    wait_until(lambda: mark.exists() or run.done())
    worker.kill()
    error = run.exception(60)
    assert isinstance(error, ClusterError)
    assert "has had no workers for 1 s" in str(error)


def test_nobody_at_the_address() -> None:
    """An address where nobody listens fails the run in seconds, however patient it is with slow schedulers."""
    executor = DaskExecutor("dask://127.0.0.1:9", patience=60)
    began = time.monotonic()
    error = start(executor, cs.task(lambda: 5, name="five")()).exception(60)
    assert isinstance(error, ClusterError)
    assert "No Dask scheduler answered at tcp://127.0.0.1:9 within 5 s" in str(error)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("speech", [b"", b"SSH-2.0-OpenSSH_9.6\r\n"], ids=["silent", "another"])
def test_someone_else_at_the_address(speech: bytes) -> None:
    """A port where someone listens who says nothing, or something else, fails the run in about ten seconds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        links: list[socket.socket] = []

        def answer() -> None:
            with suppress(OSError):
                while True:
                    links.append(server.accept()[0])
                    links[-1].sendall(speech)

        threading.Thread(target=answer, daemon=True).start()
        executor = DaskExecutor(f"dask://127.0.0.1:{server.getsockname()[1]}", patience=60)
        began = time.monotonic()
        error = start(executor, cs.task(lambda: 5, name="five")()).exception(60)
        server.shutdown(socket.SHUT_RDWR)
    for link in links:
        link.close()
    assert isinstance(error, ClusterError)
    assert ("who listens there is no Dask scheduler" if speech else "who listens there says nothing") in str(error)
    assert time.monotonic() - began < 30


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers are started anew")
def test_workers_are_forks_of_one_that_is_ready(local: DaskExecutor) -> None:
    """A worker of our own that is ended is replaced by a fork, which need not import Dask once more."""
    parent = cs.task(lambda n: Path(f"/proc/{os.getppid()}/cmdline").read_text(), name="parent")
    assert all("forkserver" in found for found in start(local, parent.map(n=range(4))).result(LONG))


def test_what_follows_a_cancelled_run_is_not_blamed(local: DaskExecutor, tmp_path: Path) -> None:
    """Workers of our own that are ended for a run that would not stop cost the next run no failure."""
    started = tmp_path / "started"
    started.mkdir()

    @cs.task(name="sleeper")
    def sleeper(n: int) -> None:
        (started / str(n)).touch()
        time.sleep(600)

    for _ in range(2):
        run = start(local, sleeper.map(n=range(4)))
        wait_until(lambda: any(started.iterdir()))
        run.cancel()
        run.exception(10)
        finished = next(e for e in run.events if isinstance(e, ev.RunFinished))
        assert finished.abandoned == ()  # their workers are ended
        assert start(local, cs.task(lambda n: n, name="n").map(n=range(4))).result(LONG) == [0, 1, 2, 3]
        for file in started.iterdir():
            file.unlink()
