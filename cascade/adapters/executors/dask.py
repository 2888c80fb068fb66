"""Dask: a cluster on this machine, or one that runs elsewhere.

In: an address, a client, or nothing. Out: a `Cluster` for runs, and plain futures for everybody else. Invariant:
whatever happens to the scheduler, who waits hears of it within `patience` seconds; a cluster that was started here
ends with this process.

What workers tell goes over Dask's events, in the same stream as the news that a call has ended, and so before it.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, Final

from cascade.adapters.executors.dask_address import connect, dashboard_of, greet, read_address
from cascade.adapters.executors.dask_wire import wire_of
from cascade.interfaces.cluster import Cluster, ClusterError, Sight

__all__ = ["DaskExecutor", "close_clusters"]

START: Final = 120.0  # seconds that a local cluster may take to come up
LARGE: Final = 1_000_000  # bytes from which on Dask may complain of what it has to carry

_warm: dict[tuple[int, int], _Local] = {}  # clusters of this process, by workers and threads
_joined: dict[str, Any] = {}  # clients by address
_lock = threading.Lock()


class DaskExecutor:
    """Runs blocking and compute tasks on a Dask cluster, on which their values stay until someone needs them.

    Args:
        where: the address of a scheduler (``dask://host:port`` or ``tcp://host:port``), a `distributed.Client`, or
            None: a cluster on this machine, which is kept for later runs and ends with this process.
        workers: processes of a cluster on this machine; 0: one for each core. threads: of each.
        patience: seconds without an answer after which the scheduler counts as lost.
        wait_for_workers: seconds that a run waits for a cluster that has none.

    Raises:
        ClusterError: when `where` is no address, or Dask is not installed.

    Example:
        >>> executor = DaskExecutor("dask://192.0.2.1:8786", patience=5)
        >>> executor.where
        'tcp://192.0.2.1:8786'
    """

    def __init__(
        self,
        where: Any = None,
        *,
        workers: int = 0,
        threads: int = 1,
        patience: float = 30.0,
        wait_for_workers: float = 60.0,
    ) -> None:
        """Note where; join nothing yet."""
        if workers < 0 or threads < 1 or patience <= 0 or wait_for_workers < 0:
            raise ValueError(
                "workers is at least 0, threads at least 1, patience above 0, wait_for_workers at least 0."
            )
        _check_library()
        self.where = read_address(where) if isinstance(where, str) else where
        self.patience = patience
        self.wait_for_workers = wait_for_workers
        self._size = (workers or _cores(), threads)
        self._cluster: _DaskCluster | None = None

    def join(self) -> Cluster:
        """Return the cluster, started or joined at first need; blocks until it answers.

        Raises:
            ClusterError: when there is none.
        """
        with _lock:
            if self._cluster is None or not self._cluster.is_alive:
                self._cluster = self._make()
            return self._cluster

    def _make(self) -> _DaskCluster:
        if self.where is None:
            local = _warm.get(self._size)
            if local is None or not local.is_alive:
                local = _warm[self._size] = _Local(*self._size)
            client, dashboard = local.client, local.dashboard
        elif isinstance(self.where, str):
            client = _joined.get(self.where)
            if client is None or client.status != "running":
                greet(self.where, self.patience)
                client = _joined[self.where] = connect(self.where, self.patience)
            dashboard = dashboard_of(client)
        else:
            client, dashboard = self.where, dashboard_of(self.where)
            if client.asynchronous:
                raise ClusterError.for_client()
        return _DaskCluster(client, dashboard, self.where is None, self.patience, self.wait_for_workers)

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run one call on the cluster, for those who use the executor without an engine."""
        cluster = self.join()
        assert isinstance(cluster, _DaskCluster)  # noqa: S101 - made above
        return cluster.run(function, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as Executor
        """Do nothing: a cluster is kept for others, and ends with this process; `close_clusters` ends it now."""
        del wait, cancel_futures

    def __repr__(self) -> str:
        """Show where it is."""
        return f"<dask: {self.where or f'{self._size[0]} workers on this machine'}>"


class _DaskCluster:
    """A cluster, over a client."""

    def __init__(self, client: Any, dashboard: str, is_own: bool, patience: float, wait_for_workers: float) -> None:  # noqa: FBT001 - one caller
        self.client = client
        self.address = str(client.scheduler.address if client.scheduler is not None else "")
        self.dashboard = dashboard
        self.is_own = is_own
        self._is_near = is_own or _is_local(client)
        self.patience = patience
        self.wait_for_workers = wait_for_workers

    @property
    def is_alive(self) -> bool:
        """Whether the scheduler is there, as far as known."""
        return bool(self.client.status == "running")

    # -- what there is ------------------------------------------------------------------------------------------------

    def look(self, seen: Callable[[Sight | None], object]) -> None:
        """Call `seen` with what there is, or None when the scheduler does not answer in time."""

        async def ask() -> None:
            try:
                found = await asyncio.wait_for(
                    self.client.run_on_scheduler(_make_look(), asynchronous=True), self.patience
                )
            except BaseException:  # noqa: BLE001 - whatever it is, there was no answer
                seen(None)
            else:
                most: dict[str, float] = {}
                for _, resources in found:
                    for name, amount in resources.items():
                        most[name] = max(amount, most.get(name, 0.0))
                seen(Sight(sum(threads for threads, _ in found), len(found), most))

        if not self._call(ask):
            seen(None)

    def _call(self, ask: Callable[[], Any]) -> bool:
        """Run a coroutine on the client's loop; say whether there is one."""
        if not self.is_alive:
            return False
        try:
            self.client.loop.add_callback(ask)
        except RuntimeError:
            return False
        return True

    def listen(self, topic: str, hear: Callable[[bytes], object]) -> Callable[[], None]:
        """Call `hear` with what workers tell under `topic`."""
        return wire_of(self.client).listen(self.client, topic, hear)

    # -- calls --------------------------------------------------------------------------------------------------------

    def submit(
        self,
        function: Callable[..., Any],
        payload: bytes,
        needs: Sequence[Any],
        *,
        name: str,
        topic: str,
        resources: Mapping[str, float],
        ended: Callable[[BaseException | None], object],
    ) -> Any:
        """Run a bundle on a worker."""
        if not self.is_alive:
            raise ClusterError.for_loss(self.address, f"the client is {self.client.status}")
        with _without_alarm() if len(payload) > LARGE else nullcontext():
            future = self.client.submit(
                _run_there,
                function,
                payload,
                list(needs),
                (wire_of(self.client).topic, topic),
                key=name,
                pure=False,
                resources=dict(resources) or None,
            )

        async def watch() -> None:  # its own callbacks go through a pool of threads, which is shut before the loop is
            with suppress(Exception):
                await future._state.wait()  # noqa: SLF001 - the public ways block
            ended(self._outcome_of(future))

        self._call(watch)
        return future

    def _outcome_of(self, future: Any) -> BaseException | None:
        status = future.status
        if status == "finished":
            return None
        if status == "cancelled" and getattr(future._state, "exception", None) is not None:  # noqa: SLF001 - nothing public says why
            why = getattr(future._state.exception, "reason", "") or ""  # noqa: SLF001 - the same
            if "scheduler" in why or "lost" in why:
                return ClusterError.for_loss(self.address, why.replace("-", " "))
        if status in ("cancelled", "lost"):
            return ClusterError.for_loss(self.address, status) if not self.is_alive else CancelledError()
        error = future._state.exception  # noqa: SLF001 - the public way blocks
        return error if isinstance(error, BaseException) else RuntimeError(f"the call is {status}")

    def fetch(self, token: Any, got: Callable[[Any, BaseException | None], object]) -> None:
        """Bring what a call left."""

        async def bring() -> None:
            try:
                # By way of the scheduler it would travel twice, and with its buffers copied into the pickle.
                (value,) = await self.client._gather([token], direct=True if self._is_near else None)  # noqa: SLF001 - the public way blocks
            except BaseException as error:  # noqa: BLE001 - handed over
                got(None, error if isinstance(error, Exception) else RuntimeError(repr(error)))
            else:
                got(value, None)

        if not self._call(bring):
            got(None, ClusterError.for_loss(self.address, f"the client is {self.client.status}"))

    def keep(self, tokens: Sequence[Any]) -> None:
        """Make no value of `tokens` again when it is lost."""

        async def ask() -> None:
            with suppress(Exception):  # the scheduler may go
                for token in tokens:  # a worker tells of a value before the scheduler knows that it is there
                    await token._state.wait()  # noqa: SLF001 - the public ways block
                await self.client.run_on_scheduler(_make_final(), [token.key for token in tokens], asynchronous=True)

        self._call(ask)

    def has(self, token: Any) -> bool:
        """Whether the value is still there."""
        return self.is_alive and token.client is self.client and token.status == "finished"

    def cancel(self, tokens: Sequence[Any]) -> None:
        """Forget calls."""
        if tokens and self.is_alive:
            with suppress(Exception):
                self.client.cancel(list(tokens), force=True)

    def ask_workers(self, function: Callable[..., Any], *args: Any) -> Mapping[str, Any]:
        """Call a function beside whatever each worker runs; waits for the answers."""
        if not self.is_alive:
            return {}
        try:
            return self.client.run(function, *args, on_error="ignore")  # type: ignore[no-any-return]
        except Exception:  # noqa: BLE001 - who cannot be asked has nothing to say
            return {}

    def end_worker(self, place: str) -> None:
        """End a worker, and have its nanny start another."""
        with suppress(Exception):  # it may have ended by itself
            process = self.client.run(os.getpid, workers=[place])[place]
            # The scheduler lets it go first, or it would blame what waits there, of the next run too, for its death.
            self.client.run_on_scheduler(_make_farewell(), place)
            os.kill(process, getattr(signal, "SIGKILL", signal.SIGTERM))  # our own cluster is on this machine

    def run(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Future[Any]:
        """Run one call and return a plain future of it."""
        shown: Future[Any] = Future()
        key = f"{getattr(function, '__name__', 'call')}-{os.urandom(8).hex()}"
        inner = self.client.submit(_call_plainly, function, args, dict(kwargs), key=key, pure=False)

        async def wait() -> None:
            try:
                value, error = await inner._result(), None  # noqa: SLF001 - the public way blocks
            except BaseException as problem:  # noqa: BLE001 - handed over
                value, error = (True, None), problem
            if not value[0]:
                error = RuntimeError(f"The call raised {value[1]}.")
            if error is None:
                shown.set_result(value[1])
            else:
                shown.set_exception(error)

        shown.set_running_or_notify_cancel()  # Dask cannot say whether a call has begun
        self.client.loop.add_callback(wait)
        return shown


# -- on workers and the scheduler -------------------------------------------------------------------------------------


def _run_there(function: Callable[..., Any], payload: bytes, boxes: Sequence[Any], topic: tuple[str, str]) -> Any:
    """Run a bundle; on a worker, which tells of it under a name on the line of a client."""
    from distributed import get_worker

    worker, (line, name) = get_worker(), topic
    return function(payload, boxes, lambda data: worker.log_event(line, (name, data)), worker.address)


def _call_plainly(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bool, Any]:
    """Call a function; what would end the worker comes back as words."""
    try:
        return True, function(*args, **kwargs)
    except Exception:
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit would end the worker
        return False, repr(error)


def _make_look() -> Callable[..., Any]:
    """Return what tells of the workers; made in here, it travels by value to a scheduler that has no cascade."""

    def look(dask_scheduler: Any = None) -> list[Any]:
        return [(state.nthreads, dict(state.resources)) for state in dask_scheduler.workers.values()]

    return look


def _make_final() -> Callable[..., Any]:
    """Return what takes from values that are there how they were made, as if they had been scattered; as the look."""

    def finish(keys: list[Any], dask_scheduler: Any = None) -> None:
        for task in filter(None, map(dask_scheduler.tasks.get, keys)):
            if task.state == "memory":
                task.run_spec = None

    return finish


def _make_farewell() -> Callable[..., Any]:
    """Return what lets a worker go as expected; it travels by value, as the look does."""

    async def farewell(place: str, dask_scheduler: Any = None) -> None:
        await dask_scheduler.remove_worker(place, stimulus_id="cascade-ends-worker", expected=True, close=False)

    return farewell


# -- coming and going -------------------------------------------------------------------------------------------------


class _Local:
    """A cluster on this machine, and the client of this process."""

    def __init__(self, workers: int, threads: int) -> None:
        """Start it.

        Raises:
            ClusterError: when it does not come up.
        """
        path = os.pathsep.join(p or str(Path.cwd()) for p in sys.path)
        command = [sys.executable, "-m", "cascade.adapters.executors.dask_host", str(workers), str(threads)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}, text=True,
            start_new_session=True,
        )  # fmt: skip
        facts = self._read_facts()
        if "address" not in facts:
            self._process.kill()
            raise ClusterError.for_start(facts.get("error", "it said nothing"))
        self.dashboard = facts["dashboard"]
        self.client = connect(facts["address"], START)
        atexit.register(self.close)

    def _read_facts(self) -> dict[str, str]:
        timer = threading.Timer(START, self._process.kill)
        timer.daemon = True
        timer.start()
        assert self._process.stdout is not None  # noqa: S101 - asked for
        try:
            line = self._process.stdout.readline()
            return dict(json.loads(line))
        except ValueError:
            return {}
        finally:
            timer.cancel()

    @property
    def is_alive(self) -> bool:
        """Whether it can be used."""
        return self._process.poll() is None and self.client.status == "running"

    def close(self) -> None:
        """End it; its workers end with it."""
        atexit.unregister(self.close)
        with suppress(Exception):
            self.client.close(timeout=2)
        assert self._process.stdin is not None  # noqa: S101 - asked for
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        if self._process.stdout is not None:
            self._process.stdout.close()


def close_clusters() -> None:
    """End the clusters that this process has started, and leave those that it has joined."""
    with _lock:
        locals_, clients = list(_warm.values()), list(_joined.values())
        _warm.clear()
        _joined.clear()
    for local in locals_:
        local.close()
    for client in clients:
        with suppress(Exception):
            client.close(timeout=2)


def _is_local(client: Any) -> bool:
    """Whether the workers run on this machine for certain, and so can be asked without the scheduler."""
    from distributed import LocalCluster

    return isinstance(client.cluster, LocalCluster)


def _without_alarm() -> Any:
    """Keep Dask from its advice about large graphs, which speaks of a way to write them that users do not have here."""
    from dask import config

    return config.set({"distributed.admin.large-graph-warning-threshold": "1000 PB"})  # its largest unit


def _check_library() -> None:
    from importlib.util import find_spec

    if find_spec("distributed") is None:
        raise ClusterError.for_library()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
