"""Inline nodes: those that the driver itself runs.

In: nodes of mode ``inline`` that are ready. Out: calls made, outcomes settled. Invariant: a slice of time at most goes
by before the driver looks at everything else again; what a task raises never ends the driver.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from cascade.graph.model import INLINE, LITERALS, MAP, REFS
from cascade.runtime import journal as jr
from cascade.runtime import scheduler as core_
from cascade.runtime.arguments import GONE
from cascade.runtime.growth import ODD

if TYPE_CHECKING:
    from cascade.runtime.flow import Flow

__all__ = ["REMEMBERED", "SPECIAL", "InlineSide"]

SPECIAL, REMEMBERED = 1, 2  # nodes that need an attempt; those that only have to be stored
SLICE = 0.005  # seconds of inline work between two looks at everything else


class InlineSide:
    """Runs the inline nodes of one flow, on its driver."""

    __slots__ = ("flow",)

    def __init__(self, flow: Flow) -> None:
        """Run nothing yet."""
        self.flow = flow

    def run(self) -> bool:  # noqa: C901, PLR0912, PLR0915 - the hot path: what it does not call it does not pay for
        """Run ready inline nodes for a slice of time; say whether there were any.

        A node that needs no more than being called is taken, called and settled right here (`Scheduler.take` and
        `Scheduler.succeed` say what is done, for all the others).
        """
        flow = self.flow
        core, graph, values, record = flow.core, flow.graph, flow.values, flow.record
        shapes, args, calls, kinds, succ, modes = (
            graph.shapes,
            graph.args,
            graph.calls,
            graph.kinds,
            graph.succ,
            graph.modes,
        )
        state, hold, left, rank, by_rank = core.state, core.hold, core.left, core.rank, core.by_rank
        clock, uses, flagged = flow.now, flow.uses, flow.flagged
        acquire, release = flow.lock.acquire, flow.lock.release
        started, done, running, complete = jr.STARTED, jr.DONE_INLINE, core_.RUNNING, core_.DONE
        ready, limits, listeners = core.ready, core.limits, core.listeners
        inline, threads, loops, processes = ready
        inbox, value_of = flow.inbox, values.__getitem__
        shared = flow.shared  # else nobody could want the lock meanwhile
        if not inline or core.paused:
            return False
        now = clock()
        end = now + SLICE
        acquire()
        try:
            while inline and not core.paused:
                node = by_rank[inline[0]]
                flag = flagged[node]
                if flag or kinds[node] or state[node] or hold[node] or limits.active:
                    node = core.take(INLINE)
                    if node < 0:
                        break
                    flag = flagged[node]
                    if flag == SPECIAL or kinds[node] == MAP or core.ticket is not None:
                        self._run_slowly(node)
                        now = clock()
                        if core.orders or inbox or now > end or threads or loops or processes:
                            break
                        continue
                else:
                    heappop(inline)
                    state[node] = running
                record((started, now, node, None, 1, "inline"))
                if shared:
                    release()
                shape = shapes[node]
                try:
                    function = calls[node]._task.func  # noqa: SLF001
                    if shape == REFS:
                        refs = args[node]
                        if len(refs) == 1:
                            value = function(values[refs[0]])
                        elif len(refs) == 2:  # noqa: PLR2004 - nearly all have one or two
                            value = function(values[refs[0]], values[refs[1]])
                        else:
                            value = function(*map(value_of, refs))
                    elif shape == LITERALS:
                        value = function(*args[node])
                    else:
                        positional, keywords = flow.arguments.of(node)
                        value = function(*positional, **keywords)
                except BaseException as error:  # noqa: BLE001 - nothing a task raises ends the driver
                    if shared:
                        acquire()
                    flow.outcomes.plain_failure(node, now, error)
                    now = clock()
                else:
                    began, now = now, clock()
                    if shared:
                        acquire()
                    if type(value) in ODD and flow.outcomes.settle_odd(node, value, began):
                        continue
                    if flag:
                        flow.outcomes.remember(node, value, now - began)
                        if core.orders or inbox or now > end or threads or loops or processes:
                            break
                        continue
                    values[node] = value
                    record((done, now, node, began, ""))
                    state[node] = complete
                    core.unfinished -= 1
                    for consumer in succ[node]:
                        remaining = left[consumer] = left[consumer] - 1
                        if not remaining:
                            if hold[consumer] or state[consumer]:
                                core.unlock(consumer)
                            else:
                                heappush(ready[modes[consumer]], rank[consumer])
                    if listeners and node in listeners:
                        core.tell_listeners(node)
                    if shape == REFS:
                        for j in args[node]:
                            uses[j] -= 1
                            if not uses[j]:
                                values[j] = GONE
                if core.orders or inbox or now > end or threads or loops or processes:
                    break
        finally:  # a fault of the engine must not leave anyone waiting for the lock
            release()
        return True

    def _run_slowly(self, node: int) -> None:
        """Run an inline node (or map) that has an attempt. Called under the lock; gives it up meanwhile."""
        flow = self.flow
        if flow.graph.kinds[node] == MAP:
            state = flow.map_side.open(node)
            if state is None:
                return
            if not flow.special[node] and state.max_concurrency is None and flow.core.ticket is None:
                flow.map_side.run_inline(node, state)
                return
        attempt = flow.make_attempt(node, INLINE)
        if attempt is None:
            return
        if attempt.index is not None:
            flow.map_side.offer_more(node)
        attempt.worker = "inline"
        flow.begin_attempt(attempt)
        flow.lock.release()
        value, error = flow.run_here(attempt)
        flow.lock.acquire()
        flow.outcomes.settle(attempt, value, error)
