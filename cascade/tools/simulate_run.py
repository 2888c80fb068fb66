"""Scene → trace: a run of the engine's own core on a clock that is only counted.

In: a graph, its ranks, and what everything takes (`Scene`); how many workers there are. Out: a `Trace` of all attempts.
Invariant: who starts when is decided by `Scheduler`, `Ledger` and `Limits`, the same objects that decide it in a run;
nothing runs, and the only time is the next end, the next retry or the next moment at which a limit lets someone go.

An event is the end of an attempt; what it frees is started before the next one is looked at (next-event simulation).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from cascade.graph.build import refs_in
from cascade.graph.ledger import Ledger
from cascade.graph.model import INLINE, LOOP, MAP, PROCESS, ROUTE, THREAD
from cascade.interfaces.exceptions import SettingError
from cascade.runtime import scheduler as core_
from cascade.runtime.limits import Limits
from cascade.tools.simulate_terms import POOLS, WINDOW, Scene, Trace, Workers

if TYPE_CHECKING:
    from cascade.runtime.limits import Ticket

__all__ = ["Rehearsal"]

ENDLESS: Final = 1 << 60
_IN_TURN: Final = (PROCESS, LOOP, THREAD, INLINE)  # as the engine looks at what is ready
_MIDDLE: Final = 0.5  # of a retry's jitter


class _Items:
    """The items of one map: how many are left, run and done, and which have failed and are tried again."""

    __slots__ = ("again", "bound", "done", "failed", "next", "running", "total")

    def __init__(self, total: int, bound: int) -> None:
        self.total, self.bound = total, bound
        self.next = self.running = self.done = 0
        self.again: list[int] = []
        self.failed = False

    @property
    def has_more(self) -> bool:
        return (bool(self.again) or self.next < self.total) and self.running < self.bound and not self.failed

    @property
    def is_over(self) -> bool:
        return not self.running and (self.failed or self.done == self.total)

    def take(self) -> int:
        if self.again:
            return self.again.pop(0)
        self.next += 1
        return self.next - 1


class Rehearsal:
    """One run of a scene.

    Responsible for: what the engine's shell does between facts and orders, with ends that are known beforehand.
    Refuses: deciding who is next (`Scheduler`), what fits (`Ledger`), what is allowed (`Limits`).

    Example:
        >>> import cascade as cs
        >>> from cascade.graph.build import build
        >>> @cs.task
        ... def step(*needs): return len(needs)
        >>> scene = Scene(build(step(step(), step())), [2, 0, 1], [5.0, 1.0, 2.0])
        >>> list(Rehearsal(scene, Workers(threads=1)).run().start)
        [0.0, 1.0, 3.0]
    """

    def __init__(self, scene: Scene, workers: Workers, *, watched: bool = False) -> None:
        """Put everything in place; `run` begins. `watched`: note who waits for which capacity."""
        self.scene, self.graph = scene, scene.graph
        self.now = 0.0
        self.limits = Limits(lambda: self.now, lambda: scene.began + self.now)
        for limit in scene.limits:
            self.limits.set(limit)
        self.core = core_.Scheduler(scene.graph, scene.rank, Ledger(scene.capacities), self.limits)
        self.core.amounts.update(scene.amounts)
        process = THREAD if workers.shared else PROCESS
        self._pool = (INLINE, THREAD, LOOP, process)
        self._size = [1, workers.threads, ENDLESS, workers.processes]
        self._room = list(self._size)
        self._least_room = list(self._size)
        self._busy = [0.0] * len(POOLS)
        self._queue: list[tuple[float, int]] = []  # ends by time; numbers below 0 are those of timers
        self._timers: dict[int, Callable[[], None]] = {}
        self._timer = 0  # number of the last one; they count down
        self._maps: dict[int, _Items] = {}
        self._tickets: dict[int, Ticket] = {}
        self._tries: dict[tuple[int, int], int] = {}
        self._asked: set[int] = set()
        self._watched = watched
        self._node, self._item, self._cause = array("i"), array("i"), array("i")
        self._start, self._end = array("d"), array("d")
        self._failed: dict[int, int] = {}
        self._instants: dict[int, float] = {}
        self._lost: list[int] = []
        self._work: dict[str, float] = {}
        self._waits: list[tuple[float, int, str, int]] = []
        self._by = -1  # the attempt whose end is being looked at
        self._settles = (False, not workers.shared, True, False)  # by mode: whether an attempt settles itself

    def run(self) -> Trace:
        """Let one attempt after the other end, and start what that lets start.

        Raises:
            SettingError: when a limit without an end lets nobody start any more.
        """
        queue = self._queue
        self.core.begin(refs_in(self.graph.target), ())
        self._dispatch()
        while True:
            wake = self.limits.wake_at
            if wake is not None and (not queue or wake < queue[0][0]) and self.core.unfinished:
                self.now = max(self.now, wake)
                for _, nodes in self.limits.expire():
                    for node in nodes:
                        self.core.offer(node)
            elif queue:
                self.now, number = heappop(queue)
                if number < 0:
                    self._timers.pop(number)()
                else:
                    self._by = number
                    self._conclude(number)
                    mode = self.graph.modes[self._node[number]]
                    if self.core.orders and self._settles[mode]:
                        self._go_on(mode)
            else:
                break
            self._dispatch()
        if self.core.unfinished:
            raise self._stands_still()
        return self._to_trace()

    # -- starting -------------------------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        """Obey the core's orders, and start what is ready while there are workers for it."""
        core = self.core
        while True:
            if core.orders:
                self._obey()
            for mode in _IN_TURN:
                if core.ready[mode]:
                    self._start_ready(mode, ENDLESS)
            if not core.orders:
                return

    def _go_on(self, mode: int) -> None:
        """Start what the thread of an attempt that has ended starts before the run's own thread obeys the orders.

        A worker takes its next call, and whoever settles an attempt starts what is ready for processes and the loop.
        """
        if mode == THREAD:
            self._start_ready(THREAD, 1)
        for other in (PROCESS, LOOP):
            if self.core.ready[other]:
                self._start_ready(other, ENDLESS)

    def _start_ready(self, mode: int, most: int) -> None:
        core, graph, room = self.core, self.graph, self._room
        ready, pool, seconds, kinds = core.ready[mode], self._pool[mode], self.scene.seconds, graph.kinds
        began = len(self._node)
        while ready and room[pool] > 0 and len(self._node) - began < most:
            node = core.take(mode)
            if node < 0:
                return
            item = -1
            if kinds[node] == MAP:
                item = self._take_item(node)
                if item < 0:
                    continue
            number = len(self._node)
            self._node.append(node)
            self._item.append(item)
            self._cause.append(self._by)
            self._start.append(self.now)
            took = seconds[node]
            self._end.append(self.now + took)
            heappush(self._queue, (self.now + took, number))
            room[pool] -= 1
            if room[pool] < self._least_room[pool]:  # noqa: PLR1730 - the innermost loop of a million nodes
                self._least_room[pool] = room[pool]
            self._busy[pool] += took
            if node in core.amounts:
                for name, amount in core.amounts[node]:
                    self._work[name] = self._work.get(name, 0.0) + amount * took
            if core.ticket is not None:
                self._tickets[number], core.ticket = core.ticket, None
            if item >= 0 and self._maps[node].has_more:
                core.offer(node)

    def _take_item(self, node: int) -> int:
        """Return the next item of a map, -1 if none may start: then what was taken for it is given back."""
        items = self._maps.get(node)
        if items is None:
            items = self._maps[node] = _Items(self.scene.items.get(node, 1), self._bound(node))
        if items.has_more:
            items.running += 1
            return items.take()
        if node in self.core.amounts:
            self.core.release(self.core.amounts[node])
        ticket, self.core.ticket = self.core.ticket, None
        if ticket:
            self._leave(ticket)
        self._end_map_if_over(node, items)
        return -1

    def _bound(self, node: int) -> int:
        given = self.graph.calls[node]._max_concurrency  # noqa: SLF001 - as the engine reads it
        return given or (WINDOW if self.graph.modes[node] == LOOP else ENDLESS)

    # -- ending ---------------------------------------------------------------------------------------------------

    def _conclude(self, number: int) -> None:
        """An attempt ends: what it held is given back, then its outcome is judged."""
        core, node = self.core, self._node[number]
        self._room[self._pool[self.graph.modes[node]]] += 1
        if node in core.amounts:
            core.release(core.amounts[node])
        if self._tickets and number in self._tickets:
            self._leave(self._tickets.pop(number))
        item = self._item[number]
        if self.scene.failures and node in self.scene.failures and self._fails(number, node, item):
            return
        if item < 0:
            core.succeed(node)
            return
        items = self._maps[node]
        was_full = items.running >= items.bound
        items.running -= 1
        items.done += 1
        if was_full and items.has_more:
            core.offer(node)
        self._end_map_if_over(node, items)

    def _leave(self, ticket: Ticket) -> None:
        for freed in self.limits.leave(ticket):
            self.core.offer(freed)

    def _end_map_if_over(self, node: int, items: _Items) -> None:
        if self.core.state[node] != core_.RUNNING or not items.is_over:
            return
        if items.failed:
            self._lose(node)
        else:
            self._instants.setdefault(node, self.now)
            self.core.succeed(node)

    # -- failing --------------------------------------------------------------------------------------------------

    def _fails(self, number: int, node: int, item: int) -> bool:
        """Say whether an attempt fails; if it does, see to what follows."""
        attempt = self._tries.get((node, item), 0) + 1
        if attempt > self.scene.failures[node]:
            return False
        self._tries[node, item] = self._failed[number] = attempt
        items = self._maps.get(node)
        if items is not None:
            was_full = items.running >= items.bound
            items.running -= 1
            if was_full and items.has_more:
                self.core.offer(node)
        options = self.graph.options(node)
        policy = options.retry if options is not None else None
        if policy is not None and attempt < policy.max_attempts and (items is None or not items.failed):
            self._try_again(node, item, policy.delay_after(attempt, lambda: _MIDDLE))
        elif items is None:
            self._lose(node)
        else:
            items.done += 1
            items.failed = items.failed or self.graph.calls[node]._on_error != "collect"  # noqa: SLF001 - as above
            self._end_map_if_over(node, items)
        return True

    def _try_again(self, node: int, item: int, delay: float) -> None:
        if item < 0:
            self.core.state[node] = core_.PENDING

        def again() -> None:
            if item >= 0:
                self._maps[node].again.append(item)
            self.core.offer(node)

        if delay > 0:
            self._timer -= 1
            self._timers[self._timer] = again
            heappush(self._queue, (self.now + delay, self._timer))
        else:
            again()

    def _lose(self, node: int) -> None:
        """A node fails for good: its fallback, if it has one; else what needs it does not run."""
        if self.core.has_fallback(node):
            self.core.fall_back(node, "it failed")
        else:
            self._lost.append(node)
            self.core.fail(node)

    # -- orders ---------------------------------------------------------------------------------------------------

    def _obey(self) -> None:
        core, graph = self.core, self.graph
        while core.orders:
            orders, core.orders = core.orders, []
            for order, node, text, _ in orders:
                if order == core_.EVALUATE:
                    if core.state[node] == core_.PENDING:
                        self._evaluate(node)
                elif order == core_.MAKE_READY:
                    core.prepared(node)
                elif order == core_.USE_FALLBACK:
                    if core.state[node] == core_.PENDING:
                        core.choose(node, refs_in(graph.fallbacks[node]))
                elif order == core_.TELL_WAITING and self._watched:
                    self._waits.append((self.now, node, text, len(self._node)))

    def _evaluate(self, node: int) -> None:
        """Decide what a condition, a router or a fallback has to decide."""
        core, graph = self.core, self.graph
        falls_back = node in graph.fallbacks and not core.has_fallback(node)
        if falls_back or node in self._asked:
            self._instants[node] = self.now
            core.succeed(node)
        elif graph.kinds[node] == ROUTE:
            self._asked.add(node)
            core.choose(node, refs_in(self.scene.routes[node]))
        elif node in self.scene.closed:
            core.skip(node, "its run_if is false")
        else:
            core.open_gate(node)

    # -- summing up -----------------------------------------------------------------------------------------------

    def _stands_still(self) -> SettingError:
        waiting = [n for n, state in enumerate(self.core.state) if state == core_.PENDING and not self.core.hold[n]]
        label = self.graph.label(waiting[0]) if waiting else "a node"
        return SettingError(
            f"The run would stand still after {self.now:g} s: no limit ever lets '{label}' start. "
            "Give the limit an expires_at, or leave it out of limits=."
        )

    def _to_trace(self) -> Trace:
        peak = tuple([size - least for size, least in zip(self._size, self._least_room, strict=True)])
        return Trace(
            self._node, self._item, self._start, self._end, self._cause, self._failed, self._instants,
            tuple(self._lost), self._work, tuple(self._busy), peak, tuple(self._waits),
        )  # fmt: skip
