"""Runs: from target to `Run` handle; the place where defaults are wired together.

In: what `cs.run`, `cs.start` and `cs.arun` take. Out: a `Run`. Invariant: every definition error is raised before
anything runs.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, overload

from cascade.context import get_current_context
from cascade.interfaces import events as ev
from cascade.interfaces.exceptions import CascadeError, SettingError
from cascade.runtime.bus import Subscription
from cascade.runtime.collector import SOME, UNKNOWN, calm_collector
from cascade.runtime.handle import Run

Out_co = TypeVar("Out_co", covariant=True)

if TYPE_CHECKING:
    import asyncio
    from typing import Protocol, TypedDict, Unpack

    from cascade.graph.model import Graph
    from cascade.interfaces.protocols import ExecutionPlan, Store
    from cascade.runtime.again import Kept
    from cascade.runtime.flow import Flow, Settings
    from cascade.runtime.state_side import StateSide
    from cascade.runtime.telemetry_link import Link
    from cascade.spec.lazy_types import LazyResult

    class _Gives(Protocol[Out_co]):
        """A lazy result, by what only it has; a Router, which may stand for any value, gives anything."""

        def run_if(self, condition: object) -> LazyResult[Out_co]: ...

    class _Settings(TypedDict, total=False):
        """The arguments of a run that have no place of their own."""

        resources: Iterable[Any]
        executor: Any
        solver: Any
        cache: Any
        state_backend: Any
        subscribers: Iterable[Any]
        timeout: float | None
        on_failure: str


__all__ = ["FOLDER", "Run", "arun", "lay_out", "open_store", "run", "secret_of", "start"]

FOLDER: Final = ".cascade"  # the store of a notebook, and of who asks for none in particular


def start(
    target: Any,
    params: Mapping[str, Any] | None = None,
    system_resources: Mapping[str, float] | None = None,
    log_level: str | None = "INFO",
    log_format: str = "human",
    connector: Any = None,
    *,
    resources: Iterable[Any] = (),
    executor: Any = None,
    solver: Any = None,
    cache: Any = None,
    state_backend: Any = None,
    subscribers: Iterable[Any] = (),
    timeout: float | None = None,
    on_failure: str = "cancel",
    name: str | None = None,
    capture_output: bool = False,
    step: bool = False,
    _loop: asyncio.AbstractEventLoop | None = None,
    _fresh: bool = False,
    _kept: Kept | None = None,
) -> Run:
    """Start a run and return its handle at once. Takes what `run` takes, and:

    Args:
        name: shown in views. capture_output: what tasks print, log, warn and show becomes events, as views and reports
            need them; in a notebook instead of text in the cell, elsewhere the text also goes where it always went.
        step: go step by step: each start waits for `Run.next`.

    Example:
        >>> import cascade as cs
        >>> @cs.task
        ... def one(): return 1
        >>> handle = cs.start(one(), log_level="ERROR")
        >>> handle.result(timeout=10), handle.state
        (1, 'completed')
    """  # noqa: D415 - the arguments go on
    from cascade.runtime.again import Remembered
    from cascade.runtime.flow import Settings
    from cascade.runtime.reachable import offer_connector

    if on_failure not in ("cancel", "continue"):
        raise ValueError(f"on_failure is 'cancel' or 'continue', not {on_failure!r}.")
    subscriptions = [_subscription(s) for s in subscribers]
    if log_level is not None:
        from cascade.runtime.subscribers import make_log_subscriber

        log: Any = make_log_subscriber(log_level, log_format)
        if log_format == "human" and log.messenger.speaks("INFO") and _at_terminal():
            from cascade.runtime.progress import ProgressSubscriber

            log = ProgressSubscriber(log)
        subscriptions.append(Subscription(ev.Event, log, batched=True))
    settings = Settings()
    settings.on_failure = on_failure
    settings.timeout = _seconds(timeout)
    settings.foreign_loop = _loop
    settings.watch(is_on=capture_output)
    settings.stepping = step
    settings.kept = _kept
    _set_executor(settings, executor)
    reachable = resources if connector is None else offer_connector(connector, resources, _adapter("connector"))
    flow = lay_out(target, params, system_resources, reachable, settings, solver, name or "")
    if cache is not None and cache is not False:
        _remember(flow, cache, fresh=_fresh)
    if state_backend is not None:
        flow.keep_state(_make_state(state_backend, flow.journal.run_id, settings.redact))
    shown = {i.name: i.preview(v) for i, v in flow.inputs.items()}
    link = _make_link(connector) if connector is not None else None
    if link is not None:
        subscriptions.append(link.subscription)
    made = Run(flow, flow.graph.name, shown, flow.core.ledger.capacity, subscriptions)

    def begin_again(graph: Graph, kept: Kept) -> Run:
        names = {param.name for param in graph.params}
        given = {name: value for name, value in (params or {}).items() if name in names}
        return start(
            graph, given, system_resources, log_level, log_format, connector, resources=resources, executor=executor,
            solver=solver, cache=cache, state_backend=state_backend, subscribers=subscribers, timeout=timeout,
            on_failure=on_failure, name=flow.graph.name, capture_output=capture_output, _fresh=_fresh, _kept=kept,
        )  # fmt: skip

    made._begun = Remembered.of_now(begin_again)  # noqa: SLF001
    for each in subscriptions:  # a link connects now, a sink may read the graph; most have nothing to attach
        with suppress(Exception):
            each.handler.attach(made)  # type: ignore[attr-defined]
    made._begin()  # noqa: SLF001
    return made


@overload
def run(
    target: _Gives[Out_co],
    params: Mapping[str, Any] | None = None,
    system_resources: Mapping[str, float] | None = None,
    log_level: str | None = "INFO",
    log_format: str = "human",
    connector: Any = None,
    **settings: Unpack[_Settings],
) -> Out_co: ...
@overload
def run(
    target: Any,
    params: Mapping[str, Any] | None = None,
    system_resources: Mapping[str, float] | None = None,
    log_level: str | None = "INFO",
    log_format: str = "human",
    connector: Any = None,
    **settings: Unpack[_Settings],
) -> Any: ...
def run(
    target: Any,
    params: Mapping[str, Any] | None = None,
    system_resources: Mapping[str, float] | None = None,
    log_level: str | None = "INFO",
    log_format: str = "human",
    connector: Any = None,
    *,
    resources: Iterable[Any] = (),
    executor: Any = None,
    solver: Any = None,
    cache: Any = None,
    state_backend: Any = None,
    subscribers: Iterable[Any] = (),
    timeout: float | None = None,
    on_failure: str = "cancel",
) -> Any:
    """Run `target` and return its value; works in scripts, in notebook cells and inside a running event loop.

    Args:
        target: a lazy result, a Router, or lists, tuples and dicts of them (the value has the same shape).
        params: values of Params by name. system_resources: capacities by name.
        log_level: ``DEBUG`` to ``CRITICAL``; None: no log at all. log_format: ``human`` or ``json``.
        connector: carries events out and limits in: an address (``local``, ``mqtt://host:port``, ``inprocess:name``) or
            an object; see docs/telemetry.md. resources: instead of those in the workflow context.
        executor: runs blocking and compute calls: ``threads``, ``process``, ``dask`` (a cluster on this machine),
            ``dask://host:port``, a `distributed.Client`, or any `concurrent.futures.Executor`. solver: makes the plan.
        cache: where results outlive the run: a folder, the address of a Redis server (``redis://host/0``), a store.
        state_backend: keeps values while the run goes on, where others can read them (`cascade.adapters.state`): a
            backend, a function that makes one of a run's id, the path of an SQLite file, the address of a Redis server.
        subscribers: functions of an event, or ``(event type, function)`` pairs.
        timeout: seconds for the whole run.
        on_failure: ``cancel`` stops what runs beside a failure; ``continue`` finishes what does not depend on it.

    Raises:
        ParamError, CapacityError, ResourceError, GraphError, NotLazyError: before anything runs.
        Exception: the failing task's own exception, with notes; an `ExceptionGroup` for several.
        DependencyMissingError: the target was skipped.

    Example:
        >>> import cascade as cs
        >>> @cs.task
        ... def add(x, y): return x + y
        >>> cs.run({"sum": add(1, cs.Param("y", default=2))}, params={"y": "40"}, log_level="ERROR")
        {'sum': 41}
    """
    with calm_collector(SOME):  # until the graph is gone, too
        return start(
            target, params, system_resources, log_level, log_format, connector, resources=resources, executor=executor,
            solver=solver, cache=cache, state_backend=state_backend, subscribers=subscribers, timeout=timeout,
            on_failure=on_failure,
        ).result()  # fmt: skip


@overload
async def arun(
    target: _Gives[Out_co],
    params: Mapping[str, Any] | None = None,
    system_resources: Mapping[str, float] | None = None,
    log_level: str | None = "INFO",
    log_format: str = "human",
    connector: Any = None,
    **settings: Unpack[_Settings],
) -> Out_co: ...
@overload
async def arun(
    target: Any,
    params: Mapping[str, Any] | None = None,
    system_resources: Mapping[str, float] | None = None,
    log_level: str | None = "INFO",
    log_format: str = "human",
    connector: Any = None,
    **settings: Unpack[_Settings],
) -> Any: ...
async def arun(
    target: Any,
    params: Mapping[str, Any] | None = None,
    system_resources: Mapping[str, float] | None = None,
    log_level: str | None = "INFO",
    log_format: str = "human",
    connector: Any = None,
    **options: Any,
) -> Any:
    """Run `target` with its async tasks on the caller's event loop; takes what `run` takes.

    Example:
        >>> import asyncio, cascade as cs
        >>> @cs.task
        ... async def one(): return 1
        >>> asyncio.run(cs.arun(one(), log_level="ERROR"))
        1
    """
    import asyncio

    loop = asyncio.get_running_loop()
    return await start(target, params, system_resources, log_level, log_format, connector, _loop=loop, **options)


def lay_out(
    target: Any,
    params: Mapping[str, Any] | None,
    system_resources: Mapping[str, float] | None,
    resources: Iterable[Any],
    settings: Settings,
    solver: Any = None,
    name: str = "",
) -> Flow:
    """Return everything that a run needs, checked and in place; nothing has begun."""
    from cascade.graph.ledger import Ledger
    from cascade.graph.model import as_name
    from cascade.runtime.flow import Flow
    from cascade.runtime.journal import Journal
    from cascade.runtime.limits import Limits
    from cascade.runtime.resource_manager import ResourceManager

    with calm_collector(UNKNOWN):
        graph, inputs, amounts, found, capacities = _check(target, params, system_resources, resources)
    graph.name = as_name(name or graph.name)
    clock = settings.clock = get_current_context().clock
    journal = Journal(_run_id(), graph, clock)
    settings.redact.add(inputs)
    settings.redact.add_environment(get_current_context().envs.values(), os.environ)
    if settings.redact.secrets:  # a name may be made of one
        graph.hide_in_names(settings.redact)
    settings.admit = _make_admit(params, capacities, resources)
    plan = _make_plan(graph, solver, capacities)
    limits = Limits(journal.now, time.time if clock is None else clock.wall)
    manager = ResourceManager(found, journal, settings.redact)
    return Flow(graph, plan, journal, Ledger(capacities), limits, manager, inputs, amounts, settings)


def _check(
    target: Any,
    params: Mapping[str, Any] | None,
    system_resources: Mapping[str, float] | None,
    resources: Iterable[Any],
) -> tuple[Any, ...]:
    from cascade.graph.build import build
    from cascade.graph.check import check_amounts, check_capacities, find_resources, read_inputs
    from cascade.graph.model import Graph

    graph = target.copy() if isinstance(target, Graph) else build(target)
    capacities = check_capacities(system_resources)
    inputs = read_inputs(graph, params, os.environ)
    amounts = check_amounts(graph, capacities)
    found = find_resources(graph, resources, get_current_context())
    return graph, inputs, amounts, found, capacities


def _make_admit(
    params: Mapping[str, Any] | None, capacities: Mapping[str, float], resources: Iterable[Any]
) -> Callable[[Graph, range, list[Any]], Any]:
    """Return what checks nodes that the graph gains while the run goes on, as `_check` does it before."""

    def admit(graph: Graph, nodes: range, inputs: list[Any]) -> Any:
        from cascade.graph.check import check_amounts, find_resources
        from cascade.spec.input import resolve_inputs

        values = {}
        if inputs:
            new_params = [i for i in inputs if i.word == "Param"]
            names = {i.name for i in new_params}
            given = {name: value for name, value in (params or {}).items() if name in names}
            values = resolve_inputs(new_params, [i for i in inputs if i.word == "Env"], given, os.environ)
        amounts = check_amounts(graph, capacities, nodes)
        return values, amounts, find_resources(graph, resources, get_current_context(), nodes)

    return admit


def _make_plan(graph: Graph, solver: Any, capacities: Mapping[str, float]) -> ExecutionPlan:
    solver = solver or _adapter("solver")()
    return solver.solve(graph, capacities)  # type: ignore[no-any-return]


def _make_state(given: Any, run_id: str, redact: Callable[[str], str]) -> StateSide:
    """Return what keeps the run's state in a backend, or in what a function of the run's id returns."""
    from cascade.runtime.state_side import StateSide

    is_backend = hasattr(given, "put_result") and not isinstance(given, type)
    if isinstance(given, (str, os.PathLike)):
        backend = _adapter("address").state_at(os.fspath(given), run_id)
    elif is_backend or callable(given):
        backend = given if is_backend else given(run_id)
    else:
        raise CascadeError(
            "state_backend is a StateBackend, or a function that makes one of a run's id, the path of a file or the "
            f"address of a Redis server, not {type(given).__name__}."
        )
    return StateSide(backend, run_id, closes=not is_backend, redact=redact)


def _set_executor(settings: Any, executor: Any) -> None:
    """Note where blocking and compute calls run.

    Raises:
        CascadeError: when `executor` is none, or names none.
    """
    if isinstance(executor, str) or type(executor).__module__.partition(".")[0] == "distributed":
        executor = _named_executor(settings, executor)
    if executor is None:
        return
    threads = getattr(executor, "max_threads", None)
    if threads is not None:
        settings.max_threads = threads
        settings.max_processes = getattr(executor, "max_processes", 0) or 0
    elif hasattr(executor, "submit"):
        settings.executor = executor
    else:
        raise CascadeError(f"An executor has a method submit(function, …); {type(executor).__name__} has none.")


def _named_executor(settings: Any, given: Any) -> Any:
    """Return the executor for a name, an address or a client of Dask; None: the threads and processes of the run."""
    if given in ("threads", "process"):
        settings.apart = given == "process"
        return None
    if isinstance(given, str) and given != "dask" and not given.startswith("dask://"):
        raise SettingError.for_choice("executor", given, ["threads", "process", "dask", "dask://host:port"])
    return _adapter("dask")(None if isinstance(given, str) and given == "dask" else given)


def _make_link(connector: Any) -> Link:
    """Return what will connect a run; refuse what is no connector and no address."""
    from cascade.runtime.telemetry_link import Link

    return Link(_adapter("connector")(connector))


def _at_terminal() -> bool:
    """Whether someone reads stderr on a terminal, on which a run can show how far it is."""
    try:
        return sys.stderr.isatty() and sys.stdout.isatty()
    except (AttributeError, ValueError):
        return False


def _subscription(given: Any) -> Subscription:
    if isinstance(given, Subscription):
        return given
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], type):  # noqa: PLR2004
        return Subscription(given[0], given[1], batched=getattr(given[1], "batched", False))
    if callable(given):
        return Subscription(ev.Event, given, batched=getattr(given, "batched", False))
    raise TypeError(f"A subscriber is a function of an event or an (event type, function) pair, not {given!r}.")


def _seconds(timeout: float | None) -> float | None:
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
        raise ValueError(f"A timeout is a number of seconds above 0, not {timeout!r}.")
    return float(timeout)


def _run_id() -> str:
    import secrets

    return secrets.token_hex(4)


# -- stores ---------------------------------------------------------------------------------------------------------


def open_store(cache: Any) -> Store:
    """Return the store that ``cache=`` names.

    Args:
        cache: a store; a `CacheBackend`; the path of a folder; the address of a Redis server (``redis://host/0``), or
            of a folder that fsspec reaches (``s3://bucket/folder``); True: the folder ``.cascade``.

    Raises:
        CascadeError: when it is none of these.
    """
    if hasattr(cache, "find_recipes"):
        return cache  # type: ignore[no-any-return]
    if isinstance(cache, str) and ("://" in cache or "::" in cache):
        return _adapter("backend")(_adapter("address").cache_at(cache))  # type: ignore[no-any-return]
    if cache is True or isinstance(cache, (str, os.PathLike)):
        return _adapter("store")(FOLDER if cache is True else _adapter("address").folder_at(cache))  # type: ignore[no-any-return]
    if hasattr(cache, "get") and hasattr(cache, "put"):
        return _adapter("backend")(cache)  # type: ignore[no-any-return]
    raise CascadeError(
        f"cache is a store, a cache backend, the path of a folder, an address or True, not {type(cache).__name__}. "
        "Write cache='.cascade' to remember results in that folder."
    )


def _remember(flow: Flow, cache: Any, *, fresh: bool) -> None:
    """Let `flow` remember its results in the store that `cache` names."""
    from cascade.runtime.rebuilder import Rebuilder
    from cascade.runtime.store_watch import StoreWatch

    store = open_store(cache)
    flow.store_watch = StoreWatch(store, flow.journal, flow.settings.redact)
    flow.rebuilder = Rebuilder(flow, store, is_fresh=fresh, secret=secret_of(store))


def secret_of(store: Any) -> bytes:
    """Return what makes the keys of secrets in `store`; one that has none makes them anew for each run."""
    secret = getattr(store, "secret", None)
    return secret() if callable(secret) else os.urandom(32)


def _adapter(kind: Literal["solver", "store", "backend", "address", "dask", "connector"]) -> Any:
    """Return the adapter that serves where nobody names one: the only place here that knows any."""
    if kind == "solver":
        from cascade.adapters.solvers.native import NativeSolver

        return NativeSolver
    if kind == "store":
        from cascade.adapters.stores.local import LocalStore

        return LocalStore
    if kind == "dask":
        from cascade.adapters.executors.dask import DaskExecutor

        return DaskExecutor
    if kind == "address":
        from cascade.adapters import addresses

        return addresses
    if kind == "connector":
        from cascade.adapters.connectors.addresses import open_connector

        return open_connector
    from cascade.adapters.stores.remote import BackendStore

    return BackendStore
