"""The shell around the scheduler core: it runs what the core says may start, and tells the core what happened.

In: a plan and everything a run needs. Out: values, records in the journal, an outcome. Invariant: the core is touched
only under `lock`; user code never runs under it while anyone else could want it. One driver thread owns the run: it
runs inline nodes, keeps the timers, obeys commands and closes what was opened. Worker threads, the event loop and
processes report to it, or settle under the lock themselves and take the next node without a hand-over.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextvars import Context, copy_context
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from cascade.graph.model import INLINE, LOOP, MAP, PROCESS, THREAD
from cascade.runtime import journal as jr
from cascade.runtime.arguments import Arguments
from cascade.runtime.attempts import Attempt, call
from cascade.runtime.crew import Crew
from cascade.runtime.deadlines import Deadlines
from cascade.runtime.growth import Admit, Growth
from cascade.runtime.heads import Heads
from cascade.runtime.inline_side import REMEMBERED, SPECIAL, InlineSide
from cascade.runtime.loop_side import LoopSide
from cascade.runtime.loops import Loops
from cascade.runtime.map_side import MapSide
from cascade.runtime.orders import Orders
from cascade.runtime.outcome import Outcomes
from cascade.runtime.output_side import OutputSide
from cascade.runtime.parts import Parts
from cascade.runtime.process_side import ProcessSide
from cascade.runtime.redaction import Redactor
from cascade.runtime.scheduler import Scheduler
from cascade.runtime.stepping import StepSide
from cascade.runtime.stops import AGAIN, Stops

if TYPE_CHECKING:
    import asyncio

    from cascade.graph.check import Amounts
    from cascade.graph.ledger import Ledger
    from cascade.graph.model import Graph
    from cascade.interfaces.protocols import Clock, ExecutionPlan
    from cascade.runtime.again import Kept
    from cascade.runtime.cluster_side import ClusterSide
    from cascade.runtime.journal import Journal
    from cascade.runtime.limits import Limits
    from cascade.runtime.rebuilder import Rebuilder
    from cascade.runtime.resource_manager import ResourceManager
    from cascade.runtime.state_side import StateSide
    from cascade.runtime.store_watch import StoreWatch
    from cascade.spec.input import Input

__all__ = ["Flow", "Settings"]

GRACE = 0.5  # seconds that a cancelled thread may take to end before it is called abandoned


class Settings:
    """What a run may decide beside its graph.

    Args:
        on_failure: ``cancel`` or ``continue``. timeout: seconds for the run. stepping: hold every start.
        foreign_loop: the caller's event loop, for `arun`. executor: runs blocking and compute calls elsewhere.
        apart: blocking calls run in processes too. watched: make value summaries, route output. aloud: what is routed
            is also said where it always went. redact: takes secrets out of texts. admit: checks nodes that the graph
            gains while the run goes on.
        kept: what a run before leaves to this one.
        clock: tells the time instead of the machine. state: keeps values where others can read them.
    """

    __slots__ = (
        "admit",
        "aloud",
        "apart",
        "clock",
        "executor",
        "foreign_loop",
        "kept",
        "max_processes",
        "max_threads",
        "on_failure",
        "redact",
        "state",
        "stepping",
        "timeout",
        "watched",
    )

    def __init__(self) -> None:
        self.on_failure = "cancel"
        self.timeout: float | None = None
        self.stepping = False
        self.foreign_loop: asyncio.AbstractEventLoop | None = None
        self.executor: Any = None
        self.apart = False
        self.kept: Kept | None = None
        self.max_threads = 256
        self.max_processes = 0
        self.watched = False
        self.aloud = True
        self.redact = Redactor()
        self.clock: Clock | None = None
        self.state: StateSide | None = None
        self.admit: Admit = lambda _graph, _nodes, _inputs: ({}, {}, {})

    def watch(self, *, is_on: bool) -> None:
        """Keep what tasks say and show; in a notebook, where views show it, it goes nowhere else."""
        self.watched = is_on
        if is_on:
            from cascade.runtime.capture import in_kernel

            self.aloud = not in_kernel()

    @property
    def is_heard(self) -> bool:
        """Whether what tasks say elsewhere has to come here."""
        return self.watched or bool(self.redact.secrets)


class Flow:
    """One run while it goes on.

    Responsible for: the driver's loop, starting attempts, timers, cancelling. Refuses: what an outcome means
    (`Outcomes`), what orders mean (`Orders`); running: on the driver (`InlineSide`), in threads (`Crew`), on the loop
    (`LoopSide`), in processes (`ProcessSide`).
    """

    def __init__(
        self,
        graph: Graph,
        plan: ExecutionPlan,
        journal: Journal,
        ledger: Ledger,
        limits: Limits,
        resources: ResourceManager,
        inputs: Mapping[Input, object],
        amounts: Mapping[int, Amounts],
        settings: Settings,
    ) -> None:
        """Put everything in place; `drive` begins."""
        self.graph = graph
        self.journal = journal
        self.record = journal.records.append
        self.now = journal.now
        self.settings = settings
        self.inputs = dict(inputs)
        self.resources = resources
        self.core = Scheduler(graph, plan.rank, ledger, limits)
        self.core.amounts.update(amounts)
        self.values: list[Any] = [None] * len(graph)
        self.arguments = Arguments(graph, self.values, self.inputs, resources.values)
        self.context: Context = copy_context()
        self.lock = threading.Lock()
        self.running: dict[Attempt, None] = {}
        self.held: dict[str, float] = {}  # of each capacity, by attempts that run; the ledger counts grants too
        self.timers: list[tuple[float, int, Callable[[], None]]] = []
        self.inbox: deque[Callable[[], None]] = deque()
        self.cancel_reason = ""
        self.fault: BaseException | None = None
        self._timer_count = 0
        self._bell = threading.Lock()
        self._bell.acquire()
        self.outcomes = Outcomes(self)
        self.stops = Stops(self)
        self.parts = Parts(self)
        self.map_side = MapSide(self)
        self.deadlines = Deadlines(self)
        self.orders = Orders(self)
        self.inline_side = InlineSide(self)
        self.crew = Crew(self)
        self.loop_side = LoopSide(self)
        self.process_side = self._make_process_side()
        self.growth = Growth(self)
        self.output_side = OutputSide(self)
        self.rebuilder: Rebuilder | None = None
        self.heads: Heads | None = Heads(self.now) if settings.watched else None
        self.store_watch: StoreWatch | None = None
        self.loops = Loops(self)
        self.step_side = StepSide(self)
        self.shared = any(graph.modes)  # with threads, processes or a loop
        self.uses = self._count_uses()
        self.special = bytearray()
        self.flagged = bytearray() if settings.watched else self.special
        self.mark_special(range(len(graph)))
        resources.loop = self.loop_side.open
        resources.post = self.post
        resources.context = self.context

    def _make_process_side(self) -> ProcessSide | ClusterSide:
        if not hasattr(self.settings.executor, "join"):
            return ProcessSide(self)
        from cascade.runtime.cluster_side import ClusterSide

        return ClusterSide(self)

    def _count_uses(self) -> list[int]:
        """Count who will read each value, so that it can be let go after the last; targets are kept."""
        from cascade.graph.build import refs_in
        from cascade.graph.order import may_need

        graph = self.graph
        uses = [len(s) for s in graph.succ]
        for ref in refs_in(graph.target):
            uses[ref] += 1
        for node in {*graph.gates, *graph.routes, *graph.fallbacks}:
            for ref in may_need(graph, node):
                uses[ref] += 1
        return uses

    def mark_special(self, nodes: range) -> None:
        """Mark those of `nodes` that need more than a call; the others get an `Attempt` only if someone watches."""
        graph, special = self.graph, self.special
        special.extend(bytes(len(nodes)))
        if self.flagged is not special:
            self.flagged.extend(b"\1" * len(nodes))
        first = nodes.start
        for node in {*graph.amounts, *graph.resources, *graph.routes} if not first else nodes:
            special[node] = node in graph.amounts or node in graph.resources or node in graph.routes
        for node in graph.refined if not first else nodes:
            options = graph.refined.get(node)
            if options and (options.retry or options.timeout or options.cache is not None or options.jump is not None):
                special[node] = SPECIAL

    def keep_state(self, state: StateSide) -> None:
        """Have what becomes known written to `state`: every node gets an attempt."""
        self.settings.state = state
        state.put_facts(nodes=len(self.graph))
        if self.flagged is self.special:
            self.flagged = bytearray(b"\1") * len(self.graph)

    def mark_remembered(self, nodes: Iterable[int]) -> None:
        """Nodes whose results are remembered need more than a call."""
        special = self.special
        for node in nodes:
            special[node] = special[node] or REMEMBERED

    # -- the driver's loop ----------------------------------------------------------------------------------------

    def drive(self) -> None:
        """Run until every node that is needed has ended."""
        self.output_side.begin()
        if self.rebuilder is not None:
            self.rebuilder.begin()
            self.mark_remembered(self.rebuilder.policies)
        with self.lock:
            if self.settings.stepping:
                self.step_side.enter()
            self.orders.begin()
        if self.settings.timeout is not None:
            self.step_side.watch(self.settings.timeout, self.outcomes.run_timed_out)
        while True:
            with self.lock:
                if self.fault is not None:
                    raise self.fault
                self._obey()
                if self.is_over:
                    return
                idle = self._is_idle()
            if not self.inline_side.run():
                self._sleep(idle=idle)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left that this run waits for."""
        busy = self.core.unfinished or self.inbox or self.core.orders or self.resources.is_opening
        return not busy and all(a.given_up for a in self.running)

    def _obey(self) -> None:
        """Do what has come in, what is due and what the core orders; start what may start. Under the lock."""
        while True:
            while self.inbox:
                self.inbox.popleft()()
            now = self.now()
            while self.timers and self.timers[0][0] <= now:
                heappop(self.timers)[2]()
            self._look_at_limits(now)
            if self.core.orders:
                self.orders.carry_out()
            self._start_ready()
            if self.crew.look_at is not None and self.crew.look_at <= (real := time.perf_counter()):
                self.crew.grow(real)
            if not self.inbox and not self.core.orders:
                return

    def _look_at_limits(self, now: float) -> None:
        limits = self.core.limits
        if limits.wake_at is None or limits.wake_at > now:
            return
        from cascade.interfaces.events import LimitRemoved

        for limit_id, nodes in limits.expire():
            if limit_id:
                self.journal.tell(LimitRemoved, limit_id=limit_id)
            for node in nodes:
                self.core.offer(node)

    def dispatch(self) -> None:
        """Start what is ready, and wake the driver for what only it can do. Under the lock, on any thread."""
        self._start_ready()
        core = self.core
        if core.orders or not core.unfinished or (core.ready[INLINE] and not core.paused):
            self.ring()

    def _start_ready(self) -> None:
        """Start what is ready for the loop, processes and threads; while the run is paused, nothing is."""
        ready = self.core.ready
        if self.core.paused:
            return
        while True:  # what gives something back may make a node of another kind ready
            if ready[PROCESS]:
                self.process_side.start_ready()
            if not ready[LOOP] or self.core.paused:  # a pause may come at any moment, and nothing is given out then
                break
            self.loop_side.start_ready()
        if ready[THREAD]:
            self.crew.look_for_help()

    def post(self, call_: Callable[[], None]) -> None:
        """Have the driver do `call_` under the lock, soon; from any thread."""
        self.inbox.append(call_)
        self.ring()

    def break_down(self, fault: BaseException) -> None:
        """The machinery itself failed, on some thread: the driver ends the run with `fault` instead of waiting."""
        self.fault = fault
        self.ring()

    def ring(self) -> None:
        """Wake the driver."""
        try:  # noqa: SIM105 - a suppress() costs more than all the rest of the ringing
            self._bell.release()
        except RuntimeError:
            pass  # it is awake already

    def _sleep(self, *, idle: bool) -> None:
        until = [at for at in (self.timers[0][0] if self.timers else None, self.core.limits.wake_at) if at is not None]
        wait = max(0.0, min(until) - self.now()) if until else -1.0
        clock, look = self.settings.clock, self.crew.look_at
        if look is not None and (clock is None or self.crew.may_hire):  # the crew is hired by the real time
            soon = max(0.0, look - time.perf_counter())
            self._bell.acquire(timeout=soon if wait < 0 or clock is not None else min(wait, soon))
        elif clock is None:
            self._bell.acquire(timeout=min(wait, 3600.0))
        else:
            clock.wait(self._bell, wait, idle=idle)

    def _is_idle(self) -> bool:
        """Whether only time can bring the run further: nothing computes but attempts that wait for the clock.

        Under the lock: between its attempts a worker holds it, so that nobody is about to start one.
        """
        clock = self.settings.clock
        if clock is None or len(self.running) > clock.sleepers or self.crew.workers > len(self.crew.busy):
            return False
        if self.resources.is_opening or self.map_side.is_pulling:
            return False
        return not any(a.stopping and not a.given_up for a in self.running)

    def wait_for_ends(self) -> None:
        """After the run: wait until something that could not be stopped ends, and settle it."""
        self._bell.acquire(timeout=1.0)
        with self.lock:
            while self.inbox:
                self.inbox.popleft()()

    def set_timer(self, seconds: float, call_: Callable[[], None]) -> None:
        """Have the driver do `call_` under the lock after `seconds`."""
        self._timer_count += 1
        heappush(self.timers, (self.now() + seconds, self._timer_count, call_))
        self.ring()

    # -- attempts -------------------------------------------------------------------------------------------------

    def make_attempt(self, node: int, mode: int, items: int | None = None) -> Attempt | None:
        """Make the attempt for a node that the core handed out; None when a map has no item left. Under the lock.

        Args:
            items: of a map, how many short ones to take at once; None: one, which may be more than a plain call.
        """
        graph = self.graph
        attempt = Attempt(node, mode, graph.calls[node]._task.func)  # noqa: SLF001
        attempt.amounts = self.core.amounts.get(node, ())
        attempt.number = self.outcomes.tries.get(node, 0) + 1
        if graph.kinds[node] == MAP and not self.map_side.fill(attempt, items):
            return None
        attempt.ticket, self.core.ticket = self.core.ticket, None
        if node in graph.jumps:
            self.loops.prepare(attempt)
        if node in graph.resources:
            attempt.resources, attempt.own = self.resources.uses(graph.resources[node])
            attempt.shared = self.resources.values
        self.introduce(attempt)
        return attempt

    def introduce(self, attempt: Attempt) -> None:
        """Tell `attempt` what people call it, and where its output goes if someone watches."""
        attempt.name = self.graph.label(attempt.node)
        attempt.redact = self.settings.redact if self.settings.redact.secrets else None
        attempt.aloud = self.settings.aloud
        if self.settings.watched:
            attempt.id = self.graph.ids[attempt.node]
            attempt.writer = self.output_side

    def begin_attempt(self, attempt: Attempt) -> None:
        """Note that `attempt` starts now: records, users of resources, its timeout. Under the lock."""
        now = attempt.started = self.now()
        self.running[attempt] = None
        node, index = attempt.node, attempt.index
        if not attempt.holds and (attempt.amounts or attempt.resources):
            self._acquire(attempt, now)
        if (attempt.rows is None or len(attempt.rows) == 1) and not attempt.is_turn:
            self.record((jr.STARTED, now, node, index, attempt.number, attempt.worker))
        options = self.graph.options(node)
        seconds = options.timeout if options is not None else None
        if seconds is not None:
            self.deadlines.add(attempt, seconds)

    def _acquire(self, attempt: Attempt, now: float) -> None:
        node, index = attempt.node, attempt.index
        for name, amount in attempt.amounts:
            used = self.held[name] = self.held.get(name, 0.0) + amount
            capacity = self.core.ledger.capacity[name]
            self.record((jr.ACQUIRED, now, name, "capacity", node, index, amount, used, capacity))
        for name in attempt.resources:
            users = self.resources.enter(name)
            self.record((jr.ACQUIRED, now, name, "resource", node, index, 1.0, float(users), 0.0))

    def gather(self, attempt: Attempt, own: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return what the attempt's function is called with. Not under the lock."""
        if attempt.row is not None:
            args, kwargs = attempt.row[1:]
            return self.arguments.for_item(args, kwargs, own) if own else (args, kwargs)
        if attempt.is_turn:
            return self.loops.arguments(attempt.node, own)
        return self.arguments.of(attempt.node, own)

    def run_here(self, attempt: Attempt) -> tuple[Any, BaseException | None]:
        """Call the attempt's function on this thread and catch whatever it raises. Not under the lock."""
        try:
            return call(attempt, self.context, self.gather), None
        except BaseException as error:  # noqa: BLE001 - nothing a task raises ends a worker or the driver
            return None, error

    # -- cancelling -----------------------------------------------------------------------------------------------

    def cancel(self, reason: str) -> None:
        """Start nothing more and stop what runs. Under the lock; more than once does no harm."""
        if self.core.cancelling:
            return
        self.cancel_reason = reason
        self.core.cancel()
        self.map_side.cancel()
        self.loops.let_go()
        self.resources.stop_opening()
        self._stop_attempts()
        self.set_timer(GRACE, self.stops.give_up_threads)

    def _stop_attempts(self) -> None:
        """Tell async attempts to stop, again and again until they have; processes are ended."""
        waiting = [a for a in self.running if a.mode == LOOP and not a.given_up]
        if waiting:
            self.loop_side.stop(waiting)
            self.set_timer(AGAIN, self._stop_attempts)
        if any(a.mode == PROCESS for a in self.running):
            self.process_side.stop()
