"""Runs on a Dask cluster of real processes: what stays there, what comes back, and when."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

import cascade as cs
from cascade.adapters.executors.dask import DaskExecutor
from cascade.interfaces import events as ev
from cascade.interfaces.cluster import ClusterError
from cascade.interfaces.exceptions import CascadeError, NodeTimeoutError, SettingError
from tests.adapters.executors.conftest import Processes, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore::ResourceWarning:distributed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:distributed"),
]

LONG = 120.0  # what a test that starts processes may take on a busy machine


def start(executor: Any, target: Any, **settings: Any) -> cs.Run:
    return cs.start(target, executor=executor, log_level=None, **settings)


def _zeros(n: int) -> bytes:
    return bytes(n)


class Homebody:
    """A large value that notes in which processes it is read."""

    def __init__(self, diary: str) -> None:
        self.diary = diary
        self.body = os.urandom(100_000)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        with Path(self.diary).open("a") as file:
            file.write(f"{os.getpid()}\n")


def test_values_stay_on_the_cluster(local: DaskExecutor, tmp_path: Path) -> None:
    """A large value that only calls on the cluster take never comes here, and is told of by its summary."""
    diary = tmp_path / "diary"
    diary.touch()
    make = cs.task(lambda: Homebody(str(diary)), name="make")
    size = cs.task(lambda *values: sum(len(value.body) for value in values), name="size")
    items = cs.task(lambda n: bytes(30_000 + n), name="items").map(range(4))
    total = cs.task(lambda values: sum(map(len, values)), name="total")
    run = start(local, [size(make(), make(), make()), total(items)], capture_output=True)
    assert run.result(LONG) == [300_000, 120_006]
    assert str(os.getpid()) not in diary.read_text().split()
    told = {e.summary for e in run.events if isinstance(e, ev.NodeCompleted) and e.name == "make"}
    assert told == {"Homebody"}


def test_values_come_when_someone_here_needs_them(local: DaskExecutor) -> None:
    """An inline task, a condition, a route, an amount and the result find the value itself."""
    make = cs.task(lambda n: [n] * 50_000, name="make")
    here = cs.task(len, name="here", mode="inline")
    small = cs.task(lambda: 1, name="small")
    target = [
        here(make(1)),
        small().run_if(make(2)),
        cs.Router(selector=make(3)[0], routes={3: small()}),
        small().with_constraints(seat=make(2)[0]),
        make(4)[-1],
    ]
    assert start(local, target, system_resources={"seat": 2}).result(LONG) == [50_000, 1, 1, 1, 4]


def test_grown_graphs_take_what_stayed(local: DaskExecutor) -> None:
    """A call that the graph gains later, to run here, finds a value that had stayed there."""
    make = cs.task(_zeros, name="make", pure=True)
    here = cs.task(len, name="here", mode="inline")
    size = cs.task(len, name="size")

    @cs.task(mode="inline")
    def grow(_: int) -> Any:
        return here(make(40_000))

    assert start(local, [size(make(40_000)), grow(size(make(40_000)))]).result(LONG) == [40_000, 40_000]


def test_output_is_told_while_the_task_runs(local: DaskExecutor, tmp_path: Path) -> None:
    """What a task prints is an event before the task ends."""
    go = tmp_path / "go"

    @cs.task
    def speak() -> str:
        print("first words")
        while not go.exists():
            time.sleep(0.01)
        return "done"

    run = start(local, speak(), capture_output=True)
    wait_until(lambda: any(isinstance(e, ev.OutputWritten) and "first words" in e.text for e in run.events))
    assert not run.done()
    go.touch()
    assert run.result(LONG) == "done"


def test_cancel_reaches_the_worker(local: DaskExecutor, tmp_path: Path) -> None:
    """A task that runs on a worker is stopped there when the run is cancelled."""
    pulse = tmp_path / "pulse"

    @cs.task
    def beat() -> None:
        while True:
            pulse.write_text(str(time.time()))
            time.sleep(0.01)

    run = start(local, beat())
    wait_until(pulse.exists)
    run.cancel()
    run.exception(10)
    assert run.state == "cancelled"
    wait_until(lambda: _is_still(pulse), 20)


def _is_still(file: Path) -> bool:
    before = file.stat().st_mtime_ns
    time.sleep(0.2)
    return file.stat().st_mtime_ns == before


def test_timeout_ends_what_python_cannot_stop(local: DaskExecutor, tmp_path: Path) -> None:
    """A task that sleeps past its timeout fails in time, its worker is ended, and the next run works."""
    place = tmp_path / "pid"

    @cs.task(name="sleeper")
    def sleeper() -> None:
        place.write_text(str(os.getpid()))
        time.sleep(600)

    start(local, cs.task(lambda: 1, name="warm")()).result(LONG)
    began = time.monotonic()
    error = start(local, sleeper().with_timeout(0.5)).exception(LONG)
    assert isinstance(error, NodeTimeoutError)
    assert time.monotonic() - began < 10
    pid = int(place.read_text())
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 30)
    assert start(local, [cs.task(lambda n: n, name="n")(n) for n in range(4)]).result(LONG) == [0, 1, 2, 3]


def test_resources_of_a_run_are_refused_in_words(local: DaskExecutor) -> None:
    """An instance that lives here and cannot travel fails its task, by name, with what to do."""
    import threading

    @cs.resource(name="dask_lock")
    def lock() -> Iterator[Any]:
        yield threading.Lock()

    uses = cs.task(bool, name="uses")
    error = start(local, uses(cs.inject("dask_lock")), resources=[lock]).exception(LONG)
    assert isinstance(error, CascadeError)
    assert "The resource 'dask_lock' of task 'uses' lives in this process" in str(error)
    assert 'scope="task"' in str(error)


def test_the_cluster_is_told_of(local: DaskExecutor) -> None:
    """The run tells which cluster it joined, and where its dashboard is, which answers."""
    pytest.importorskip("bokeh")
    run = start(local, cs.task(lambda: 1, name="one")())
    run.result(LONG)
    told = [e for e in run.events if isinstance(e, ev.ClusterReported)][-1]
    assert told.workers == told.threads > 0
    assert told.address.startswith("tcp://127.0.0.1:")
    assert told.dashboard.startswith("http://127.0.0.1:")
    with urlopen(told.dashboard, timeout=LONG) as page:
        assert b"Dask" in page.read()


def test_short_calls_travel_together(local: DaskExecutor) -> None:
    """Chains and layers of short calls take far fewer submissions than calls, and give the same."""
    cluster: Any = local.join()
    count = 0
    submit = cluster.client.submit

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        return submit(*args, **kwargs)

    step = cs.task(lambda x: x + 1, name="step")
    value: Any = 0
    for _ in range(200):
        value = step(value)
    cluster.client.submit = counted
    try:
        run = start(local, value)
        assert run.result(LONG) == 200
    finally:
        cluster.client.submit = submit
    assert count < 60
    started = [e.node for e in run.events if isinstance(e, ev.NodeStarted)]
    assert len(started) == len(set(started)) == 200


@pytest.mark.parametrize("is_map", [False, True], ids=["nodes", "map"])
def test_values_of_some_size_travel_together(local: DaskExecutor, is_map: bool) -> None:
    """Short calls whose values are too large for a message share submissions, and a bundle's values come at once."""
    cluster: Any = local.join()
    counts = {"submit": 0, "_gather": 0}
    plain = {name: getattr(cluster.client, name) for name in counts}

    def counted(name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            counts[name] += 1
            return plain[name](*args, **kwargs)

        return call

    make = cs.task(lambda n: bytes([n % 256]) * 20_000, name="make")
    target = make.map(n=range(300)) if is_map else [make(n) for n in range(300)]
    for name in counts:
        setattr(cluster.client, name, counted(name))
    try:
        found = start(local, target).result(LONG)
    finally:
        for name in counts:
            delattr(cluster.client, name)
    assert found == [bytes([n % 256]) * 20_000 for n in range(300)]
    assert counts["submit"] < 150
    assert counts["_gather"] < 150


def test_failure_in_a_bundle_stops_only_what_needs_it(local: DaskExecutor) -> None:
    """Of short calls that travel together, those that do not need the one that failed go on."""
    step = cs.task(lambda x: 10 / x, name="step")
    for _ in range(3):
        start(local, [step(n) for n in range(1, 9)]).result(LONG)
    chains = [step(step(step(n))) for n in (1, 2, 5)]
    broken = step(step(0)).with_fallback("instead")
    assert start(local, [*chains, broken], on_failure="continue").exception(LONG) is not None
    fine = step(0)
    run = start(local, [*chains, fine], on_failure="continue")
    assert isinstance(run.exception(LONG), ZeroDivisionError)
    done = [e.label for e in run.events if isinstance(e, ev.NodeCompleted)]
    assert len(done) == 9


def test_plain_submit(local: DaskExecutor) -> None:
    """Without an engine the executor gives ordinary futures."""
    future = local.submit(pow, 2, 10)
    assert isinstance(future, Future)
    assert future.result(LONG) == 1024
    assert isinstance(local.submit(int, "x").exception(LONG), ValueError)


def test_large_items_of_a_map_travel(local: DaskExecutor) -> None:
    """Arguments of more than a megabyte are carried, without Dask's advice on how to write graphs."""

    @cs.task
    def length(x: bytes, of: bytes) -> int:
        return len(x) + len(of)

    target = length.map(x=[os.urandom(1_500_000) for _ in range(3)], of=cs.unmapped(b"12"))
    assert start(local, target).result(LONG) == [1_500_002] * 3


def test_items_that_cannot_travel_fail(local: DaskExecutor) -> None:
    """They fail in words, once, and are not sent again and again."""
    target = cs.task(_zeros).map([threading.Lock(), threading.Lock()])
    with pytest.raises(Exception, match="cannot be sent to another process"):
        start(local, target).result(LONG)


@pytest.mark.parametrize("given", ["dask://", "dask://host", "dask://host:port", "dask://:8786"])
def test_no_address(given: str) -> None:
    """What is no address of a scheduler is refused at once."""
    with pytest.raises(ClusterError, match="is not the address of a Dask scheduler"):
        cs.run(cs.task(lambda: 1, name="one")(), executor=given, log_level=None)


def test_no_executor() -> None:
    """A name that no executor has is refused with the nearest."""
    with pytest.raises(SettingError, match="Did you mean 'process'"):
        cs.run(cs.task(lambda: 1, name="one")(), executor="proces", log_level=None)


def test_process_runs_blocking_tasks_elsewhere() -> None:
    """executor="process" takes blocking tasks to other processes, executor="threads" keeps them here."""
    pid: Callable[[], Any] = cs.task(os.getpid, name="pid")
    assert cs.run(pid(), executor="process", log_level=None) != os.getpid()
    assert cs.run(pid(), executor="threads", log_level=None) == os.getpid()


def test_capacities_map_to_what_workers_declare(processes: Processes) -> None:
    """A capacity that workers declare too is taken of a worker that has it; more than any has is an error."""
    address = processes.start_scheduler()
    processes.start_worker()
    processes.start_worker("--resources", "GPU=1", "--name", "with-gpu")

    def where() -> str:
        from distributed import get_worker

        return str(get_worker().name)

    executor = DaskExecutor(address)
    cluster: Any = executor.join()
    cluster.client.wait_for_workers(2, timeout=90)
    place = cs.task(where, name="where")
    wide = [place().with_constraints(gpu=1) for _ in range(6)]
    assert set(start(executor, wide, system_resources={"gpu": 4}).result(LONG)) == {"with-gpu"}
    error = start(executor, place().with_constraints(gpu=2), system_resources={"gpu": 4}).exception(LONG)
    assert isinstance(error, ClusterError)
    assert "asks for 2 of 'GPU'" in str(error)


def test_a_client_serves_as_executor(processes: Processes) -> None:
    """A Client of the user's is used, and left open."""
    from distributed import Client

    address = processes.start_scheduler()
    processes.start_worker()
    with Client(address, set_as_default=False) as client:
        assert start(client, cs.task(lambda: 7, name="seven")()).result(LONG) == 7
        assert client.status == "running"
        assert client.submit(pow, 2, 3).result(LONG) == 8
    error = start(client, cs.task(lambda: 7, name="seven")()).exception(LONG)
    assert isinstance(error, ClusterError)
    assert "Pass a Client that is open" in str(error)


def test_what_is_printed_far_away_is_read_here(local: DaskExecutor, capsys: pytest.CaptureFixture[str]) -> None:
    """A script sees what its tasks print on a cluster as it does with threads, line by line."""

    @cs.task
    def hello(i: int) -> None:
        for line in range(3):
            print("hello from", i, "line", line)

    cs.run([hello(i) for i in range(8)], executor=local, log_level=None)
    said = capsys.readouterr().out.splitlines()
    assert sorted(said) == [f"hello from {i} line {line}" for i in range(8) for line in range(3)]
