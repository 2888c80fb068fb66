"""The handle on a run: its life from the first event to the last, and what others may ask of it meanwhile.

In: a flow that is ready to be driven. Out: the value or the error, state, events. Invariant: a run that began always
ends, its resources are closed, and its handle says how; whatever thread asks, the flow's own driver obeys.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from cascade.context import get_current_context
from cascade.interfaces import events as ev
from cascade.interfaces.exceptions import RunCancelledError
from cascade.interfaces.step_errors import ReportError
from cascade.runtime.bus import Reader, Subscription
from cascade.runtime.collector import calm_collector
from cascade.runtime.failure import join_errors, text_of
from cascade.runtime.limits import check
from cascade.runtime.summary import summarize
from cascade.runtime.threads import run_in_thread

if TYPE_CHECKING:
    import asyncio
    import os
    from pathlib import Path

    from cascade.graph.model import Graph
    from cascade.runtime.again import Remembered
    from cascade.runtime.flow import Flow
    from cascade.runtime.limits import Names, Ticket
    from cascade.runtime.pictures import Picture
    from cascade.runtime.telemetry_link import Link
    from cascade.spec.constraint import GlobalConstraint

__all__ = ["Run"]

POLL = 0.05  # seconds between two looks of a waiting main thread, so that an interrupt is seen on every system
LAND = 0.9  # seconds that an interrupt waits for the cancel to land
FLUSH = 1.0  # seconds that the end of a run waits for subscribers


class Run:
    """One execution of a graph, and the handle on it. All methods may be called from any thread and return at once.

    Attributes:
        run_id: unique. name: shown in views. params: previews of the inputs' values by name.
        capacities: amounts by name. connections: what carries its events out and limits in, if anything does.
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
        self.run_id, self.name = flow.journal.run_id, name
        self._graph: tuple[int, Graph] | None = None
        self.params, self.capacities = dict(params), dict(capacities)
        self._flow = flow
        self._state = "pending"
        self._done = threading.Event()
        self._value: Any = None
        self._error: BaseException | None = None
        self._trace: Any = None
        self._ended_at = 0.0
        self._callbacks: list[Callable[[], None]] = []
        self._lock = threading.RLock()  # an interrupt may cancel inside of any of these methods
        self._ending = self._told = False
        self._readers = [Reader(flow.journal, s) for s in subscriptions]
        self._begun: Remembered | None = None
        self.connections: tuple[Link, ...] = ()

    # -- the life of a run ------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._state = "running"
        self._flow.journal.tell(
            ev.RunStarted, name=self.name, nodes=len(self._flow.graph), params=self.params, capacities=self.capacities
        )
        if (state := self._flow.settings.state) is not None:
            state.put_facts(name=self.name, state="running", started_at=self.started_at, params=self.params)
        # Inline tasks see the caller's context variables. No lambda: the frames of an error would keep it.
        run_in_thread(partial(self._flow.context.copy().run, self._live))
        for reader in self._readers:
            reader.start()

    def _live(self) -> None:
        """Drive the flow to its end, close what it opened, tell how it went; on the driver's thread."""
        flow = self._flow
        try:
            with calm_collector(len(flow.graph)):
                flow.drive()
            error, value = self._take_outcome()
        except BaseException as fault:  # noqa: BLE001 - the engine's own fault must not leave anyone waiting
            error, value = fault, None
        if errors := flow.resources.close(error):
            error = join_errors([error, *errors] if error is not None else errors, "the run and its resources failed")
        self._finish(value, error)
        self._close_the_rest(error)
        flow.loop_side.close()
        flow.process_side.close(self)
        flow.output_side.end(waits=True)
        del self  # or the error, by the frames that it passed on this thread, would keep the run that keeps the error

    def _take_outcome(self) -> tuple[BaseException | None, Any]:
        flow = self._flow
        with flow.lock:
            flow.orders.tell_unneeded()
            error = flow.outcomes.failure()
        try:
            return (error, None) if error is not None else (None, flow.outcomes.result())
        except Exception as fault:  # noqa: BLE001 - an index into the target's value
            fault.add_note("While the result was taken from the target.")
            return fault, None

    def _finish(self, value: Any, error: BaseException | None) -> None:
        flow = self._flow
        with self._lock:
            self._ending = True
        with flow.lock:
            abandoned = tuple([flow.outcomes.label(a) for a in flow.running])
        status = "completed" if error is None else "cancelled" if isinstance(error, RunCancelledError) else "failed"
        redact = flow.settings.redact
        if flow.rebuilder is not None:  # before the last event, so that faults of the store still have theirs
            flow.rebuilder.finish(status, {"params": self.params}, error)
        if flow.store_watch is not None:
            flow.store_watch.end()
        flow.journal.tell(
            ev.RunFinished,
            status=status,
            duration=flow.now() - flow.journal.start,
            error_type=type(error).__name__ if error is not None else "",
            error=redact(text_of(error))[:2000] if error is not None else "",
            summary=redact(summarize(value)) if error is None else "",
            abandoned=abandoned,
        )
        with self._lock:  # after the last event: who subscribes until now hears it too
            self._told = True
            readers = list(self._readers)
        self._keep_state(status, error)
        self._value, self._error, self._trace = value, error, error.__traceback__ if error is not None else None
        self._ended_at, self._state = flow.now(), status
        for reader in readers:
            reader.close()
        limit = time.perf_counter() + FLUSH
        for reader in readers:
            reader.join(max(0.0, limit - time.perf_counter()))
        flow.output_side.end()
        with self._lock:
            self._done.set()
            callbacks, self._callbacks = self._callbacks, []
        for call in callbacks:
            call()

    def _keep_state(self, status: str, error: BaseException | None) -> None:
        if (state := self._flow.settings.state) is not None:
            told = self.redact(text_of(error))[:2000] if error is not None else ""
            state.put_facts(state=status, duration=self._flow.now() - self._flow.journal.start, error=told)
            state.finish()

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

    def result(self, timeout: float | None = None) -> Any:
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
            raise KeyboardInterrupt(f"The run '{self.name}' was interrupted and is {self.state}.") from None
        if not ended:
            raise TimeoutError(f"The run '{self.name}' has not ended within {timeout:g} s; it goes on.")
        try:
            if self._error is not None:
                raise self._error.with_traceback(self._trace)
            return self._value
        finally:
            del self  # or the error, by its traceback, would keep the run that keeps the error

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what failed the run, None if nothing did."""
        if not self.wait(timeout):
            raise TimeoutError(f"The run '{self.name}' has not ended within {timeout:g} s; it goes on.")
        return self._error

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait on an event loop; it wakes often enough for an interrupt to work."""
        return self._wait_on_loop().__await__()

    async def _wait_on_loop(self) -> Any:
        import asyncio

        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()

        def end() -> None:
            if not ended.done():
                ended.set_result(None)

        def tell() -> None:
            with suppress(RuntimeError):  # the loop may have been closed meanwhile
                loop.call_soon_threadsafe(end)

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
        with self._lock:
            if self._ending:
                return
            if self._state in ("running", "paused"):
                self._state = "cancelling"
                self._flow.core.paused = True  # from here on nothing starts, whenever the driver comes to obey
                self._flow.journal.tell(ev.RunCancelRequested, reason=reason)
        self._flow.post(lambda: self._flow.cancel(reason))

    def pause(self) -> None:
        """Start no further attempt until `resume`; what runs goes on."""
        with self._lock:
            if self._state == "running" and not self._ending:
                self._state = "paused"
                self._flow.core.paused = True
                self._flow.journal.tell(ev.RunPaused)

    def resume(self) -> None:
        """Start attempts again, by themselves: this ends a pause, and step mode."""
        with self._lock:
            if self._state == "paused" and not self._ending:
                self._state = "running"
                self._flow.core.paused = False
                self._flow.journal.tell(ev.RunResumed)
                self._flow.ring()
        self._flow.post(self._flow.step_side.leave)  # also when step mode, asked for at the start, has yet to begin

    def step(self) -> None:
        """Go step by step from now on: each start waits for `next`, what runs goes on; `resume` ends it."""
        self._flow.post(self._flow.step_side.enter)

    def next(self, node: str | None = None, count: int = 1) -> None:
        """Let `count` attempts start, and no more; a run that does not go step by step yet does so from now on.

        Args:
            node: which one, by id or name, as soon as it is ready; None: those that the plan puts first. Each item of
                a map is a start. count: how many.

        Raises:
            UnknownNodeError: when the run has no such node. ValueError: when `count` is no number above 0.

        Example:
            >>> import cascade as cs
            >>> @cs.task
            ... def one(): return 1
            >>> run = cs.start(one(), log_level=None, step=True)
            >>> run.next()
            >>> run.result(timeout=10)
            1
        """
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ValueError(f"next takes how many may start, a whole number above 0, not {count!r}.")
        flow = self._flow
        chosen = None if node is None else flow.step_side.find(node)

        def obey() -> None:
            flow.step_side.next(count, chosen)
            with self._lock:
                if self._state == "paused" and not self._ending:
                    self._state = "running"
                    flow.core.paused = False
                    flow.journal.tell(ev.RunResumed)

        flow.post(obey)

    @property
    def is_stepping(self) -> bool:
        """Whether each start waits for `next`."""
        return self._flow.step_side.is_on

    @property
    def ready(self) -> tuple[str, ...]:
        """In step mode, the labels of the nodes that `next` would start, the first one first; else nothing."""
        return tuple([self._flow.graph.label(node) for node in self._flow.step_side.ready])

    def set_limit(self, limit: GlobalConstraint) -> None:
        """Put a limit in force, or replace the one with its id; attempts that run already count.

        Raises:
            SettingError: when its type does not exist.
        """
        check(limit)
        flow = self._flow

        def obey() -> None:
            running: list[tuple[Names, Ticket]] = []
            for attempt in flow.running:
                attempt.ticket = attempt.ticket or []
                running.append((flow.core.names(attempt.node), attempt.ticket))
            nodes = flow.core.limits.set(limit, running)
            flow.journal.tell(
                ev.LimitSet, limit_id=limit.id, scope=limit.scope, kind=limit.type, params=dict(limit.params),
                expires_at=limit.expires_at,
            )  # fmt: skip
            for node in nodes:
                flow.core.offer(node)

        flow.post(obey)

    def remove_limit(self, limit_id: str) -> None:
        """Take a limit out of force; one that is not in force is no fault."""
        flow = self._flow

        def obey() -> None:
            if limit_id in flow.core.limits:
                nodes = flow.core.limits.remove(limit_id)
                flow.journal.tell(ev.LimitRemoved, limit_id=limit_id)
                for node in nodes:
                    flow.core.offer(node)

        flow.post(obey)

    def retry(self) -> Run:
        """Run again what failed, was cancelled or never came to run; what completed keeps its value, pure or not.

        Tasks that have been defined anew since, as when their cell was run again, are taken as they are now; one that
        had completed runs again if its own code has changed, and so does what needs it. What a task returned lazily
        and did not come to its end runs again as a whole.

        Raises:
            RetryError: when the run goes on, or has completed.

        Example:
            >>> import cascade as cs
            >>> ready = []
            >>> @cs.task
            ... def fragile(): return 1 / len(ready)
            >>> first = cs.start(fragile(), log_level=None)
            >>> _ = first.exception(), ready.append("now")
            >>> first.retry().result()
            1.0
        """
        from cascade.runtime.again import retry

        return retry(self)

    # -- watching ---------------------------------------------------------------------------------------------------

    def subscribe(
        self, handler: Callable[[Any], object], *, kind: type[ev.Event] = ev.Event, batched: bool = True
    ) -> Callable[[], None]:
        """Call `handler` with the run's events from its beginning on; return a function that ends it."""
        subscription = Subscription(kind, handler, batched)
        with self._lock:
            reader = Reader(self._flow.journal, subscription)
            if self._told:
                reader.close()
            else:
                self._readers.append(reader)
        reader.start()
        return subscription.cancel

    def catch_up(self, timeout: float = FLUSH) -> None:
        """Wait until all subscribers have been told what has happened by now, at most `timeout` seconds."""
        until = time.monotonic() + timeout
        for reader in list(self._readers):
            reader.catch_up(until)

    @property
    def state(self) -> str:
        """``pending``, ``running``, ``paused``, ``cancelling``, ``completed``, ``failed`` or ``cancelled``."""
        return self._state

    @property
    def graph(self) -> Graph:
        """What runs, as it is now: a graph that does not change; while tasks return lazy results there is a newer one.

        It is copied without the flow's lock, which a task's own code may hold up, and again if it changed meanwhile.
        """
        while True:
            version = (growth := self._flow.growth).version
            if self._graph is not None and self._graph[0] == version:
                return self._graph[1]
            if version % 2 == 0:
                made = self._flow.graph if self.done() else self._flow.graph.copy()
                if growth.version == version:
                    self._graph = (version, made)
                    continue
            time.sleep(0.001)

    @property
    def elapsed(self) -> float:
        """Seconds since the start, up to the end."""
        return (self._ended_at or self._flow.now()) - self._flow.journal.start

    @property
    def started_at(self) -> float:
        """Wall clock of the start, seconds since the epoch."""
        return self._flow.journal.wall

    @property
    def events(self) -> list[ev.Event]:
        """All events so far, in order."""
        return self._flow.journal.events()

    def redact(self, text: str) -> str:
        """Return `text` without the values of this run's secrets."""
        return self._flow.settings.redact(text)

    def figure(self, name: str) -> Picture | None:
        """Return a picture that a task showed, by the `figure` of its `DisplayShown`; None if it is kept no more."""
        return self._flow.output_side.figure(name)

    def view(self) -> Any:
        """Show the run: live while it goes on, finished afterwards."""
        display = get_current_context().display
        return display().view(self) if display is not None else repr(self)

    def replay(self) -> Any:
        """Show the run that has ended from its beginning again; outside a notebook, return its story as text.

        Raises:
            ReportError: while the run goes on.
        """
        display = get_current_context().display
        return display().replay(self) if display is not None else repr(self)

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write the run that has ended as one HTML page that needs no network; return where it is.

        Raises:
            ReportError: while the run goes on, or when `path` does not end in ``.html``. OSError: it cannot be written.
        """
        display = get_current_context().display
        if display is None:
            raise ReportError.without_display()
        return display().report(self, path)

    def __repr__(self) -> str:
        """Show name, state and time."""
        return f"<run {self.name!r} {self.run_id}: {self.state}, {self.elapsed:.2f} s>"

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, Any], dict[str, Any]]:
        """Show the run in a notebook."""
        return get_current_context().bundle_of(self)
