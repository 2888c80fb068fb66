"""What a run leaves on a Dask cluster and in this process when it is over: nothing, or values that someone holds."""

from __future__ import annotations

import gc
import os
import signal
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.executors.dask import DaskExecutor, close_clusters
from cascade.interfaces.exceptions import NodeTimeoutError
from tests.adapters.executors.conftest import Processes, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore::ResourceWarning:distributed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:distributed"),
]

LARGE = 100_000  # bytes of a value that stays on its worker


@pytest.fixture
def others(processes: Processes) -> Iterator[DaskExecutor]:
    """Give a cluster that was started elsewhere, with one worker, by its address."""
    address = processes.start_scheduler()
    processes.start_worker()
    yield DaskExecutor(address)
    close_clusters()


def client_of(executor: DaskExecutor) -> Any:
    cluster: Any = executor.join()
    return cluster.client


def known_to(client: Any) -> list[str]:
    """Return what the scheduler knows."""
    names: list[str] = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks))
    return names


def left_on(client: Any) -> list[str]:
    """Return what the client wants and what the scheduler knows."""
    return [*client.futures, *known_to(client)]


def kill_workers(client: Any) -> None:
    """Kill each worker, and wait until the scheduler has seen it."""
    before = client.run(os.getpid)
    for process in before.values():
        os.kill(process, signal.SIGKILL)
    wait_until(lambda: not set(before) & set(client.scheduler_info(n_workers=-1)["workers"]))


def noting(diary: Path) -> Callable[[int], int]:
    def note(i: int) -> int:
        with diary.open("a") as file:
            file.write(f"{i}\n")
        return i

    return note


def failing(i: int) -> int:
    raise ValueError(i)


def waiting(folder: Path) -> int:
    (folder / "began").touch()
    while not (folder / "go").exists():
        time.sleep(0.01)
    return 1


def completed(executor: DaskExecutor, folder: Path) -> None:
    note = cs.task(noting(folder / "diary"), name="note")
    total = cs.task(lambda values: sum(map(len, values)), name="total")
    make = cs.task(lambda i: bytes(LARGE + i), name="make")
    cs.run([[note(i) for i in range(10)], total(make.map(range(4)))], executor=executor, log_level=None)


def failed(executor: DaskExecutor, folder: Path) -> None:
    note = cs.task(noting(folder / "diary"), name="note")
    make = cs.task(lambda i: bytes(LARGE + i), name="make")
    fail = cs.task(lambda _: failing(1), name="fail")
    with pytest.raises(ValueError, match="1"):
        cs.run([note(1), fail([make(2), note(2)])], executor=executor, log_level=None)


def cancelled(executor: DaskExecutor, folder: Path) -> None:
    wait = cs.task(waiting, name="wait")
    run = cs.start([wait(folder), cs.task(noting(folder / "diary"))(1)], executor=executor, log_level=None)
    wait_until((folder / "began").exists)
    run.cancel()
    run.wait(20)
    (folder / "go").touch()


def timed_out(executor: DaskExecutor, folder: Path) -> None:
    with pytest.raises(NodeTimeoutError):
        cs.run(cs.task(waiting)(folder).with_timeout(1.0), executor=executor, log_level=None)
    (folder / "go").touch()


@pytest.mark.parametrize("end", [completed, failed, cancelled, timed_out])
def test_an_ended_run_leaves_nothing(
    others: DaskExecutor, tmp_path: Path, end: Callable[[DaskExecutor, Path], None]
) -> None:
    """However a run ends, the client wants nothing of it any more, and the scheduler knows nothing of it."""
    gc.disable()  # nothing waits for Python to look for cycles
    try:
        end(others, tmp_path)
        client = client_of(others)
        wait_until(lambda: not left_on(client), 20)
    finally:
        gc.enable()


def test_what_has_run_never_runs_again(local: DaskExecutor, tmp_path: Path) -> None:
    """Workers that die after runs do not make Dask call anything of these runs once more."""
    diary = tmp_path / "diary"
    note = cs.task(noting(diary), name="note")
    for _ in range(5):
        cs.run([note(i) for i in range(10)], executor=local, log_level=None)
    kill_workers(client_of(local))
    assert cs.run(note(100), executor=local, log_level=None) == 100
    assert len(diary.read_text().split()) == 51


def test_values_of_a_run_that_is_held_are_lost_with_their_worker(local: DaskExecutor, tmp_path: Path) -> None:
    """Who holds a run can have what it left; what a worker took along is not made again, but by a retry."""
    diary, ready = tmp_path / "diary", tmp_path / "ready"
    note = noting(diary)
    make = cs.task(lambda: bytes(LARGE + note(1)), name="make")

    def look(value: bytes) -> int:
        assert ready.exists()
        return len(value)

    run = cs.start(cs.task(look)(make()), executor=local, log_level=None)
    assert isinstance(run.exception(60), AssertionError)
    client = client_of(local)
    wait_until(lambda: len(client.futures) == 1, 20)
    kill_workers(client)
    wait_until(lambda: not known_to(client), 20)
    assert diary.read_text().split() == ["1"]
    ready.touch()
    assert run.retry().result(60) == LARGE + 1
    assert diary.read_text().split() == ["1", "1"]


def test_values_of_a_run_go_with_its_handle(local: DaskExecutor) -> None:
    """As soon as nobody holds a run any more, its values leave the cluster."""
    make = cs.task(lambda: bytes(LARGE), name="make")
    look = cs.task(lambda _: failing(1), name="look")
    run = cs.start(look(make()), executor=local, log_level=None)
    run.wait(60)
    client = client_of(local)
    wait_until(lambda: len(client.futures) == 1, 20)
    gone = weakref.ref(run)
    del run
    wait_until(lambda: gone() is None and not left_on(client), 20)


def test_the_scheduler_stores_no_messages(others: DaskExecutor) -> None:
    """What workers tell of runs passes through a scheduler of others and is not kept there, nor by the client."""
    say = cs.task(bytes, name="say")
    for _ in range(3):
        cs.run(say.map(range(1000, 1100)), executor=others, log_level=None)
    client = client_of(others)

    def topics(dask_scheduler: Any) -> dict[str, int]:
        known = dask_scheduler._broker._topics
        return {name: len(topic.events) for name, topic in known.items() if name.startswith("cascade-")}

    assert client.run_on_scheduler(topics) == {f"cascade-{client.id}": 0}
    assert [name for name in client._event_handlers if name.startswith("cascade-")] == [f"cascade-{client.id}"]


@pytest.mark.parametrize("kind", ["threads", "process", "dask"])
def test_nothing_of_fifty_runs_stays_here(local: DaskExecutor, kind: str) -> None:
    """The machinery of a run goes with its handle, wherever the run computed; failed runs are no exception."""
    executor = local if kind == "dask" else kind
    one = cs.task(lambda i: i, name="one")
    flows = []
    for number in range(50):
        target = [one(number), cs.task(failing)(1)] if number % 5 == 0 else [one(number), one(number + 1)]
        run = cs.start(target, executor=executor, log_level=None)
        run.wait(60)
        flows.append(weakref.ref(run._flow))
        del run

    def alive() -> int:
        gc.collect()
        return sum(flow() is not None for flow in flows)

    wait_until(lambda: not alive(), 10)
