from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from cascade.testing import ConformanceError
from cascade.testing.conformance import EXECUTOR_RUN_CASES, Case, check_executor_runs

LONG = 120.0  # what a run may take on a busy machine, when workers have to be started

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::ResourceWarning:distributed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:distributed"),
]


class Carrier(Executor):
    """An executor as third parties write them, for clusters: it knows pickle, and nothing of cascade."""

    def __init__(self) -> None:
        self.threads = ThreadPoolExecutor(4)

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.threads.submit(self.carry, pickle.dumps((function, args, kwargs)), future)
        return future

    def carry(self, sent: bytes, future: Future[Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            function, args, kwargs = pickle.loads(sent)
            future.set_result(self.bring(function(*args, **kwargs)))
        except BaseException as error:
            future.set_exception(error)

    def bring(self, value: Any) -> Any:
        return pickle.loads(pickle.dumps(value))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.threads.shutdown()


@pytest.fixture(scope="module")
def clusters() -> Iterator[None]:
    """End the cluster that ``executor="dask"`` starts, after the tests of this file."""
    yield
    from cascade.adapters.executors.dask import close_clusters

    close_clusters()


@pytest.mark.slow
@pytest.mark.parametrize("case", EXECUTOR_RUN_CASES, ids=str)
def test_threads_of_the_run(case: Case) -> None:
    """A run's own threads keep every promise."""
    case(lambda: "threads", LONG)


@pytest.mark.slow
@pytest.mark.parametrize("case", EXECUTOR_RUN_CASES, ids=str)
def test_processes_of_the_run(case: Case) -> None:
    """So do its own processes."""
    case(lambda: "process", LONG)


@pytest.mark.slow
@pytest.mark.usefixtures("clusters")
@pytest.mark.parametrize("case", EXECUTOR_RUN_CASES, ids=str)
def test_a_dask_cluster(case: Case) -> None:
    """So does a Dask cluster of several processes."""
    case(lambda: "dask", LONG)


@pytest.mark.slow
@pytest.mark.parametrize("case", EXECUTOR_RUN_CASES, ids=str)
def test_thread_pools(case: Case) -> None:
    """So does the thread pool of the standard library."""
    case(partial(ThreadPoolExecutor, 4), LONG)


@pytest.mark.slow
@pytest.mark.parametrize("case", EXECUTOR_RUN_CASES, ids=str)
def test_process_pools(case: Case) -> None:
    """So does its process pool, which knows only pickle."""
    import multiprocessing

    case(partial(ProcessPoolExecutor, 2, mp_context=multiprocessing.get_context("spawn")), LONG)


@pytest.mark.slow
@pytest.mark.parametrize("case", EXECUTOR_RUN_CASES, ids=str)
def test_executors_of_third_parties(case: Case) -> None:
    """So does one that nobody here has written for."""
    case(Carrier, LONG)


class Loses(Carrier):
    def bring(self, value: Any) -> Any:
        return (value[0], None, *value[2:]) if value[0] else super().bring(value)


class Repeats(Carrier):
    """Makes each call twice, since it may fail."""

    def carry(self, sent: bytes, future: Future[Any]) -> None:
        function, args, kwargs = pickle.loads(sent)
        function(*args, **kwargs)
        super().carry(sent, future)


class Rewords(Carrier):
    def bring(self, value: Any) -> Any:
        if not value[0]:
            raise RuntimeError("the call failed")
        return super().bring(value)


@pytest.mark.parametrize(
    ("broken", "name"),
    [
        (Loses, "passes_values_on"),
        (Loses, "passes_large_values_on"),
        (Loses, "runs_long_chains_and_wide_layers"),
        (Loses, "maps_in_order"),
        (Loses, "takes_one_route"),
        (Loses, "grows"),
        (Loses, "turns_loops"),
        (Loses, "keeps_capacities"),
        (Loses, "survives_exits_of_tasks"),
        (Loses, "says_what_cannot_travel"),
        (Rewords, "collects_failures_of_items"),
        (Rewords, "fails_a_map_by_its_item"),
        (Rewords, "hands_its_own_error_over"),
        (Rewords, "finishes_what_does_not_depend"),
        (Rewords, "tries_again"),
        (Repeats, "tries_again"),
        (Repeats, "remembers"),
    ],
)
def test_broken_executors_are_found(broken: type[Executor], name: str) -> None:
    """An executor that breaks a promise of runs is found by the case that is about it."""
    [case] = [each for each in EXECUTOR_RUN_CASES if each.name == name]
    with pytest.raises(Exception, match=r"."):
        case(broken, 5.0)


@pytest.mark.slow
def test_the_report_lists_what_is_broken() -> None:
    """The report names the executor and each promise in words."""
    with pytest.raises(ConformanceError, match=r"^Rewords breaks \d+ promises of a run's executor:\n  - "):
        check_executor_runs(Rewords, timeout=5.0)
