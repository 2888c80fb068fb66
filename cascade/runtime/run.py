"""A run: from target to `Run` handle; the place where defaults are wired together.

In: what `cs.run`, `cs.start` and `cs.arun` take. Out: a `Run`. Invariant: every definition error is raised before
anything runs; a run that began always ends, its resources are closed, and its handle says how.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cascade.interfaces import events as ev
from cascade.interfaces.exceptions import CascadeError, RunCancelledError
from cascade.runtime import journal as jr
from cascade.runtime.bus import MessageBus, Reader, Subscription
from cascade.runtime.failure import join_errors

if TYPE_CHECKING:
    import asyncio

    from cascade.graph.model import Graph
    from cascade.interfaces.protocols import ExecutionPlan
    from cascade.runtime.flow import Flow
    from cascade.spec.constraint import GlobalConstraint

__all__ = ["Run", "arun", "run", "start"]

POLL = 0.05  # seconds between two looks of a waiting main thread, so that an interrupt is seen on every system
LAND = 0.9  # seconds that an interrupt waits for the cancel to land
FLUSH = 1.0  # seconds that the end of a run waits for subscribers


class Run:
    """One execution of a graph, and the handle on it. All methods may be called from any thread and return at once.

    Attributes:
        run_id: unique. name: shown in views. graph: what runs. params: previews of the inputs' values by name.
        capacities: amounts by name.
    """

    def __init__(
        self,
        flow: Flow,
        name: str,
        params: Mapping[str, str],
        capacities: Mapping[str, float],
        subscriptions: Iterable[Subscription],
    ) -> None:
        """Take what `start` has put together; nothing runs before `_begin`."""
        self.run_id = flow.journal.run_id
        self.name = name
        self.graph: Graph = flow.graph
        self.params = dict(params)
        self.capacities = dict(capacities)
        self._flow = flow
        self._state = "pending"
        self._done = threading.Event()
        self._value: Any = None
        self._error: BaseException | None = None
        self._trace: Any = None
        self._ended_at = 0.0
        self._callbacks: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._ending = False
        self._readers = [Reader(flow.journal, s) for s in subscriptions]

    # -- the life of a run ------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._state = "running"
        self._flow.journal.tell(
            ev.RunStarted, name=self.name, nodes=len(self.graph), params=self.params, capacities=self.capacities
        )
        threading.Thread(target=self._live, name=f"cascade-run-{self.run_id}", daemon=True).start()
        for reader in self._readers:
            reader.start()

    def _live(self) -> None:
        """Drive the flow to its end, close what it opened, tell how it went; on the driver's thread."""
        flow = self._flow
        try:
            with _calm_collector(len(flow.graph)):
                flow.drive()
            error, value = self._take_outcome()
        except BaseException as fault:  # noqa: BLE001 - the engine's own fault must not leave anyone waiting
            error, value = fault, None
        errors = flow.resources.close(error)
        if errors:
            error = join_errors([error, *errors] if error is not None else errors, "the run and its resources failed")
        self._finish(value, error)
        self._close_the_rest(error)
        flow.loop_side.close()
        flow.process_side.close()

    def _take_outcome(self) -> tuple[BaseException | None, Any]:
        flow = self._flow
        with flow.lock:
            flow.orders.tell_unneeded()
            error = flow.outcomes.failure()
        if error is not None:
            return error, None
        try:
            return None, flow.outcomes.result()
        except Exception as fault:  # noqa: BLE001 - an index into the target's value
            fault.add_note("While the result was taken from the target.")
            return fault, None

    def _finish(self, value: Any, error: BaseException | None) -> None:  # noqa: ANN401
        flow = self._flow
        status = "completed" if error is None else "cancelled" if isinstance(error, RunCancelledError) else "failed"
        redact = flow.settings.redact
        from cascade.runtime.summary import summarize

        flow.journal.tell(
            ev.RunFinished,
            status=status,
            duration=time.perf_counter() - flow.journal.start,
            error_type=type(error).__name__ if error is not None else "",
            error=redact(str(error)[:2000]) if error is not None else "",
            summary=redact(summarize(value)) if error is None else "",
            abandoned=tuple([flow.outcomes.label(a) for a in flow.running]),
        )
        self._value, self._error = value, error
        self._trace = error.__traceback__ if error is not None else None
        self._ended_at = time.perf_counter()
        self._state = status
        with self._lock:
            self._ending = True
            readers = list(self._readers)
        for reader in readers:
            reader.close()
        limit = time.perf_counter() + FLUSH
        for reader in readers:
            if reader.thread is not threading.current_thread():
                reader.join(max(0.0, limit - time.perf_counter()))
        with self._lock:
            self._done.set()
            callbacks, self._callbacks = self._callbacks, []
        for call in callbacks:
            call()

    def _close_the_rest(self, error: BaseException | None) -> None:
        """Wait for threads that could not be stopped, then close the resources that they used."""
        flow = self._flow
        while flow.resources.is_needed:
            flow.wait_for_ends()
        flow.resources.close(error)

    # -- waiting ----------------------------------------------------------------------------------------------------

    def done(self) -> bool:
        """Whether the run has ended."""
        return self._done.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait up to `timeout` seconds for the end; say whether it has come."""
        until = None if timeout is None else time.perf_counter() + timeout
        while not self._done.wait(POLL if until is None else max(0.0, min(POLL, until - time.perf_counter()))):
            if until is not None and time.perf_counter() >= until:
                return self._done.is_set()
        return True

    def result(self, timeout: float | None = None) -> Any:  # noqa: ANN401 - the target's value
        """Return the value of the target.

        Args:
            timeout: seconds to wait; None: until the end. The run goes on when the time is over.

        Raises:
            TimeoutError: when the run has not ended in time.
            Exception: what failed the run: the task's own exception, or a group of several.
            KeyboardInterrupt: the wait was interrupted; the run is then cancelled.
        """
        try:
            ended = self.wait(timeout)
        except KeyboardInterrupt:
            self.cancel("interrupted")
            self._done.wait(LAND)
            raise
        if not ended:
            raise TimeoutError(f"The run '{self.name}' has not ended within {timeout:g} s; it goes on.")
        if self._error is not None:
            raise self._error.with_traceback(self._trace)
        return self._value

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what failed the run, None if nothing did."""
        if not self.wait(timeout):
            raise TimeoutError(f"The run '{self.name}' has not ended within {timeout:g} s; it goes on.")
        return self._error

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait on an event loop; it wakes often enough for an interrupt to work."""
        return self._wait_on_loop().__await__()

    async def _wait_on_loop(self) -> Any:  # noqa: ANN401 - the target's value
        import asyncio

        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()

        def tell() -> None:
            try:
                loop.call_soon_threadsafe(lambda: ended.done() or ended.set_result(None))
            except RuntimeError:
                pass  # the loop has been closed meanwhile

        self.add_done_callback(tell)
        try:
            while not ended.done():
                await asyncio.wait({ended}, timeout=2 * POLL)
        except (asyncio.CancelledError, KeyboardInterrupt):
            self.cancel("interrupted")
            await asyncio.wait({ended}, timeout=LAND)
            raise
        return self.result()

    def add_done_callback(self, call: Callable[[], None]) -> None:
        """Call `call` once when the run has ended, on the run's thread, or now if it has."""
        with self._lock:
            if not self._done.is_set():
                self._callbacks.append(call)
                return
        call()

    # -- steering ---------------------------------------------------------------------------------------------------

    def cancel(self, reason: str = "") -> None:
        """Stop the run: nothing more starts, what runs is told to stop."""
        if self._state in ("running", "paused"):
            self._state = "cancelling"
            self._flow.journal.tell(ev.RunCancelRequested, reason=reason)
        self._flow.post(lambda: self._flow.cancel(reason))

    def pause(self) -> None:
        """Start no further attempt until `resume`; what runs goes on."""

        def obey() -> None:
            if self._state == "running":
                self._state = "paused"
                self._flow.core.paused = True
                self._flow.journal.tell(ev.RunPaused)

        self._flow.post(obey)

    def resume(self) -> None:
        """Start attempts again."""

        def obey() -> None:
            if self._state == "paused":
                self._state = "running"
                self._flow.core.paused = False
                self._flow.journal.tell(ev.RunResumed)

        self._flow.post(obey)

    def set_limit(self, limit: GlobalConstraint) -> None:
        """Put a limit in force, or replace the one with its id."""

        def obey() -> None:
            nodes = self._flow.core.limits.set(limit)
            self._flow.journal.tell(
                ev.LimitSet, limit_id=limit.id, scope=limit.scope, kind=limit.type, params=dict(limit.params),
                expires_at=limit.expires_at,
            )  # fmt: skip
            for node in nodes:
                self._flow.core.offer(node)

        self._flow.post(obey)

    def remove_limit(self, limit_id: str) -> None:
        """Take a limit out of force."""

        def obey() -> None:
            nodes = self._flow.core.limits.remove(limit_id)
            self._flow.journal.tell(ev.LimitRemoved, limit_id=limit_id)
            for node in nodes:
                self._flow.core.offer(node)

        self._flow.post(obey)

    # -- watching ---------------------------------------------------------------------------------------------------

    def subscribe(
        self, handler: Callable[[Any], object], *, kind: type[ev.Event] = ev.Event, batched: bool = True
    ) -> Callable[[], None]:
        """Call `handler` with the run's events from its beginning on; return a function that ends it."""
        subscription = Subscription(kind, handler, batched)
        with self._lock:
            reader = Reader(self._flow.journal, subscription)
            if self._ending:
                reader.close()
            else:
                self._readers.append(reader)
        reader.start()
        return subscription.cancel

    @property
    def state(self) -> str:
        """``pending``, ``running``, ``paused``, ``cancelling``, ``completed``, ``failed`` or ``cancelled``."""
        return self._state

    @property
    def elapsed(self) -> float:
        """Seconds since the start, up to the end."""
        return (self._ended_at or time.perf_counter()) - self._flow.journal.start

    @property
    def started_at(self) -> float:
        """Wall clock of the start, seconds since the epoch."""
        return self._flow.journal.wall

    @property
    def events(self) -> list[ev.Event]:
        """All events so far, in order."""
        return self._flow.journal.events()

    def view(self) -> Any:  # noqa: ANN401 - something that a notebook shows
        """Show the run: live while it goes on, finished afterwards."""
        from cascade.notebook.display import show_run

        return show_run(self)

    def __repr__(self) -> str:
        """Show name, state and time."""
        return f"<run {self.name!r} {self.run_id}: {self.state}, {self.elapsed:.2f} s>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Show the run in a notebook."""
        from cascade.notebook.display import run_bundle

        return run_bundle(self)


_UNKNOWN = 1 << 30  # nodes: before a graph is built, nobody knows how many


class _calm_collector:  # noqa: N801 - used as a function
    """Make the garbage collector less eager while a big graph grows; restored at the end."""

    _LARGE = 10_000

    def __init__(self, nodes: int) -> None:
        self.large = nodes > self._LARGE
        self.before: tuple[int, int, int] = (700, 10, 10)

    def __enter__(self) -> None:
        if self.large:
            import gc

            self.before = gc.get_threshold()
            gc.set_threshold(50_000, 20, 100)

    def __exit__(self, *exc: object) -> None:
        if self.large:
            import gc

            gc.set_threshold(*self.before)


# -- making runs ----------------------------------------------------------------------------------------------------


def start(
    target: Any,  # noqa: ANN401 - lazy results in any container
    params: Mapping[str, Any] | None = None,
    system_resources: Mapping[str, float] | None = None,
    log_level: str | None = "INFO",
    log_format: str = "human",
    connector: Any = None,  # noqa: ANN401
    *,
    resources: Iterable[Any] = (),
    executor: Any = None,  # noqa: ANN401
    solver: Any = None,  # noqa: ANN401
    cache: Any = None,  # noqa: ANN401
    state_backend: Any = None,  # noqa: ANN401
    subscribers: Iterable[Any] = (),
    timeout: float | None = None,
    on_failure: str = "cancel",
    name: str | None = None,
    capture_output: bool = False,
    _loop: asyncio.AbstractEventLoop | None = None,
) -> Run:
    """Start a run and return its handle at once. Takes what `run` takes, and:

    Args:
        name: shown in views. capture_output: what tasks print becomes events instead of text.

    Example:
        >>> import cascade as cs
        >>> @cs.task
        ... def one(): return 1
        >>> handle = cs.start(one(), log_level="ERROR")
        >>> handle.result(timeout=10), handle.state
        (1, 'completed')
    """  # noqa: D415 - the arguments go on
    from cascade.runtime.flow import Flow, Settings
    from cascade.runtime.journal import Journal
    from cascade.runtime.ledger import Ledger
    from cascade.runtime.limits import Limits
    from cascade.runtime.resource_manager import ResourceManager

    _refuse_unbuilt(connector=connector, cache=cache, state_backend=state_backend)
    if on_failure not in ("cancel", "continue"):
        raise ValueError(f"on_failure is 'cancel' or 'continue', not {on_failure!r}.")
    subscriptions = [_subscription(s) for s in subscribers]
    if log_level is not None:
        from cascade.runtime.subscribers import make_log_subscriber

        subscriptions.append(Subscription(ev.Event, make_log_subscriber(log_level, log_format), batched=True))
    with _calm_collector(_UNKNOWN):
        graph, inputs, amounts, found, capacities = _check(target, params, system_resources, resources)
    if name:
        graph.name = name
    journal = Journal(_run_id(), graph)
    settings = Settings()
    settings.on_failure = on_failure
    settings.timeout = _seconds(timeout)
    settings.foreign_loop = _loop
    settings.watched = capture_output
    settings.redact = _redactor(inputs)
    _set_executor(settings, executor)
    plan = _make_plan(graph, solver)
    limits = Limits(time.perf_counter, time.time)
    flow = Flow(graph, plan, journal, Ledger(capacities), limits, ResourceManager(found, journal, settings.redact), inputs, amounts, settings)
    shown = {i.name: i.preview(v) for i, v in inputs.items()}
    made = Run(flow, graph.name, shown, capacities, subscriptions)
    made._begin()  # noqa: SLF001
    return made


def run(
    target: Any,  # noqa: ANN401 - lazy results in any container
    params: Mapping[str, Any] | None = None,
    system_resources: Mapping[str, float] | None = None,
    log_level: str | None = "INFO",
    log_format: str = "human",
    connector: Any = None,  # noqa: ANN401
    *,
    resources: Iterable[Any] = (),
    executor: Any = None,  # noqa: ANN401
    solver: Any = None,  # noqa: ANN401
    cache: Any = None,  # noqa: ANN401
    state_backend: Any = None,  # noqa: ANN401
    subscribers: Iterable[Any] = (),
    timeout: float | None = None,
    on_failure: str = "cancel",
) -> Any:  # noqa: ANN401 - the target's value
    """Run `target` and return its value; works in scripts, in notebook cells and inside a running event loop.

    Args:
        target: a lazy result, a Router, or lists, tuples and dicts of them (the value has the same shape).
        params: values of Params by name. system_resources: capacities by name.
        log_level: ``DEBUG`` to ``CRITICAL``; None: no log at all. log_format: ``human`` or ``json``.
        connector: carries events out and limits in. resources: instead of those in the workflow context.
        executor: runs blocking and compute calls: any `concurrent.futures.Executor`. solver: makes the plan.
        cache: where results outlive the run. state_backend: keeps values while the run goes on.
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
    return start(
        target, params, system_resources, log_level, log_format, connector, resources=resources, executor=executor,
        solver=solver, cache=cache, state_backend=state_backend, subscribers=subscribers, timeout=timeout,
        on_failure=on_failure,
    ).result()  # fmt: skip


async def arun(
    target: Any,  # noqa: ANN401 - lazy results in any container
    params: Mapping[str, Any] | None = None,
    system_resources: Mapping[str, float] | None = None,
    log_level: str | None = "INFO",
    log_format: str = "human",
    connector: Any = None,  # noqa: ANN401
    **options: Any,  # noqa: ANN401 - those of `run`
) -> Any:  # noqa: ANN401 - the target's value
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


def _check(
    target: Any,  # noqa: ANN401
    params: Mapping[str, Any] | None,
    system_resources: Mapping[str, float] | None,
    resources: Iterable[Any],
) -> tuple[Any, ...]:
    from cascade.context import get_current_context
    from cascade.graph.build import build
    from cascade.graph.check import check_amounts, find_resources, read_inputs
    from cascade.graph.model import Graph

    graph = target if isinstance(target, Graph) else build(target)
    capacities = dict(system_resources or {})
    inputs = read_inputs(graph, params, os.environ)
    amounts = check_amounts(graph, capacities)
    found = find_resources(graph, tuple(resources), get_current_context())
    return graph, inputs, amounts, found, {k: float(v) for k, v in capacities.items()}


def _make_plan(graph: Graph, solver: Any) -> ExecutionPlan:  # noqa: ANN401
    if solver is None:
        from cascade.adapters.solvers.native import NativeSolver

        solver = NativeSolver()
    return solver.solve(graph)  # type: ignore[no-any-return]


def _set_executor(settings: Any, executor: Any) -> None:  # noqa: ANN401
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


def _refuse_unbuilt(**given: object) -> None:
    for word, value in given.items():
        if value is not None:
            raise CascadeError(f"{word}= is not available in this version of cascade; leave it out.")


def _subscription(given: Any) -> Subscription:  # noqa: ANN401
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


def _redactor(inputs: Mapping[Any, object]) -> Callable[[str], str]:
    secrets = sorted({str(v) for i, v in inputs.items() if i.secret and v is not None and len(str(v)) > 2}, key=len)  # noqa: PLR2004
    if not secrets:
        return lambda text: text

    def redact(text: str) -> str:
        for secret in reversed(secrets):
            text = text.replace(secret, "•••")
        return text

    return redact


def _run_id() -> str:
    import secrets

    return secrets.token_hex(4)
