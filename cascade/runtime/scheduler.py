"""The scheduler core: facts in, orders out.

In: what happened to nodes (`succeed`, `fail`, `skip`, `open_gate` …). Out: nodes that may start (`take`) and `orders`
that the shell obeys. Invariant: pure; no clock, no loop, no lock, no value of any node. A node starts once its needs
are met, is sure to be needed, and has its capacity; a finished state is final.

The plain path (a node without conditions, routes or capacities) is `take`, `succeed`, and one count-down for each
consumer; everything else is found by look-up in tables that are empty for most graphs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from cascade.graph.build import refs_in
from cascade.graph.model import MAP
from cascade.runtime.states import CANCELLED, DONE, FAILED, PENDING, RUNNING, SKIPPED

if TYPE_CHECKING:
    from cascade.graph.check import Amounts
    from cascade.graph.ledger import Ledger
    from cascade.graph.model import Graph
    from cascade.runtime.limits import Limits, Names, Ticket
    from cascade.runtime.stepping import Stepping

__all__ = ["CANCELLED", "DONE", "DORMANT", "FAILED", "PENDING", "PREPARE", "RUNNING", "SKIPPED", "Scheduler"]


_WITHOUT_VALUE = (FAILED, SKIPPED)

# why a node is held back although its needs may be met
DORMANT, GATE, PREPARE = 1, 2, 4

# orders to the shell
(
    EVALUATE, MAKE_READY, USE_FALLBACK, KEEP_FAILURE, LET_GO, LOOK_AGAIN,
    TELL_SKIPPED, TELL_CANCELLED, TELL_WAITING, TELL_HELD, TELL_LIMITED, TELL_PART_LOST,
) = (
    "evaluate", "make_ready", "use_fallback", "keep_failure", "let_go", "look_again",
    "tell_skipped", "tell_cancelled", "tell_waiting", "tell_held", "tell_limited", "tell_part_lost",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Fall:
    """Why a node turned to its fallback; `failed`: by failing, not by being skipped."""

    reason: str
    because: int
    failed: bool


class Scheduler:
    """The state of all nodes of one run.

    Responsible for: readiness, demand (what is sure to be needed), skipping, cancelling, capacity, limits. Refuses:
    running anything, values, time, events.

    Attributes:
        state: of each node. ready: heaps of ranks by mode. orders: what the shell must do, oldest first; it clears
            the list. unfinished: demanded nodes that have not ended. ticket: the limits that count what `take` gave
            last; None while no limit is in force. listeners: by node, who asked for its value, at which of its stages;
            who asks is a node or, below zero, a grown part.
    """

    def __init__(self, graph: Graph, rank: Sequence[int], ledger: Ledger, limits: Limits) -> None:
        """Copy what changes; nothing is ready before `begin`."""
        count = len(graph)
        self.graph = graph
        self.ledger = ledger
        self.limits = limits
        self.rank = list(rank)
        self.by_rank = [0] * count
        for node, place in enumerate(rank):
            self.by_rank[place] = node
        self.state = bytearray(count)
        self.left = graph.left.copy()
        self.hold = bytearray(count)
        self.ready: tuple[list[int], list[int], list[int], list[int]] = ([], [], [], [])
        self.orders: list[tuple[str, int, str, int]] = []
        self.unfinished = 0
        self.paused = False
        self.cancelling = False
        self.amounts: dict[int, Amounts] = {}
        self.ticket: Ticket | None = None
        self.recalled: set[int] = set()  # nodes whose value may be had without running
        self._granted: dict[int, int] = {}  # how often; a map may have been granted several items
        self._kept: set[int] = set()  # those of them that have had their amounts all the time, and the shell knows it
        self.listeners: dict[int, list[tuple[int, int]]] = {}  # who asked, and at which of its stages
        self._stage: dict[int, int] = {}
        self._awaited: dict[int, int] = {}
        self._falling: dict[int, _Fall] = {}

    # -- beginning ------------------------------------------------------------------------------------------------

    def begin(self, targets: Iterable[int], prepare: Iterable[int]) -> None:
        """Make ready what can start.

        Args:
            targets: the nodes that the result is made of. prepare: nodes for which the shell must do something
                (set up resources, compute amounts) between their needs being met and their start.
        """
        graph = self.graph
        for node in prepare:
            self.hold[node] = PREPARE
        if graph.gates or graph.routes or graph.fallbacks or self.recalled:
            self.hold = bytearray(h | DORMANT for h in self.hold)
            self._demand(list(targets))
            return
        self.unfinished = len(graph)
        for node, left in enumerate(self.left):
            if not left:
                self.unlock(node)

    def grow(self, prepare: Iterable[int]) -> None:
        """The graph has gained nodes: they sleep until they are needed, and come after those that were there."""
        graph, first = self.graph, len(self.state)
        added = range(first, len(graph))
        self.state.extend(bytes(len(added)))
        self.hold.extend(bytes([DORMANT]) * len(added))
        self.rank.extend(range(len(self.by_rank), len(self.by_rank) + len(added)))
        self.by_rank.extend(added)
        for node in prepare:
            self.hold[node] |= PREPARE
        for node in added:
            needs = [n for n in graph.needs_of(node) if self.state[n] != DONE and not self._goes_on_without(node, n)]
            self.left.append(len(needs))

    def _demand(self, stack: list[int]) -> None:
        """Wake the nodes in `stack` and all that they are sure to need."""
        graph, hold = self.graph, self.hold
        while stack:
            node = stack.pop()
            if not hold[node] & DORMANT:
                continue
            hold[node] &= ~DORMANT
            self.unfinished += 1
            if node in graph.gates or node in graph.routes or node in graph.aliases or node in self.recalled:
                hold[node] |= GATE
                refs = refs_in(self._first_asked(node))
                stack.extend(refs)
                self._listen(node, refs)
            else:
                stack.extend(graph.needs_of(node))
                self._settle_needs(node)

    def _first_asked(self, node: int) -> object:
        """Return the slot that decides what `node` needs."""
        graph = self.graph
        if node in self.recalled:
            return None
        if node in graph.aliases:
            return graph.aliases[node]
        return graph.gates[node] if node in graph.gates else graph.routes[node].selector

    def _settle_needs(self, node: int) -> None:
        """`node` is wanted: queue it if its needs are met, skip it if one of them never will be."""
        for need in self.graph.needs_of(node):
            if self.state[need] in _WITHOUT_VALUE and not self._goes_on_without(node, need):
                self.skip(node, self._reason(need), need)
                return
        if not self.left[node]:
            self.unlock(node)

    def _listen(self, node: int, refs: Sequence[int]) -> None:
        """Order an evaluation of `node` once `refs` have their values; skip it when one of them never will."""
        stage = self._stage[node] = self._stage.get(node, 0) + 1
        for ref in refs:
            if self.state[ref] in _WITHOUT_VALUE:
                self.skip(node, self._reason(ref), ref)
                return
        pending = 0
        for ref in refs:
            if self.state[ref] in (PENDING, RUNNING):
                self.listeners.setdefault(ref, []).append((node, stage))
                pending += 1
        self._awaited[node] = pending
        if not pending:
            self.orders.append((EVALUATE, node, "", -1))

    def unlock(self, node: int) -> None:
        """Queue `node`, whose needs are met, unless something holds it."""
        hold = self.hold[node]
        if not hold:
            if self.state[node] == PENDING:
                heappush(self.ready[self.graph.modes[node]], self.rank[node])
        elif hold == PREPARE and self.state[node] == PENDING:
            self.orders.append((MAKE_READY, node, "", -1))

    # -- facts ----------------------------------------------------------------------------------------------------

    def succeed(self, node: int) -> None:
        """`node` has its value."""
        self.state[node] = DONE
        self.unfinished -= 1
        left, hold, ready = self.left, self.hold, self.ready
        for consumer in self.graph.succ[node]:
            left[consumer] -= 1
            if not left[consumer]:
                if hold[consumer] or self.state[consumer]:
                    self.unlock(consumer)
                else:
                    heappush(ready[self.graph.modes[consumer]], self.rank[consumer])
        if node in self.listeners:
            self.tell_listeners(node)

    def tell_listeners(self, node: int) -> None:
        """Those who wait for the value of `node`, to decide what they need, have one less to wait for."""
        for listener in self._pop_listeners(node):
            self._awaited[listener] -= 1
            if not self._awaited[listener] and (listener < 0 or self.state[listener] == PENDING):
                self.orders.append((EVALUATE, listener, "", -1))

    def _pop_listeners(self, node: int) -> list[int]:
        """Return those who still wait for the value of `node`; who has turned to its fallback does not."""
        return [listener for listener, stage in self.listeners.pop(node, ()) if self._stage[listener] == stage]

    def prepared(self, node: int) -> None:
        """What the shell had to do for `node` is done."""
        self.hold[node] &= ~PREPARE
        if not self.left[node]:
            self.unlock(node)

    def set_amounts(self, node: int, amounts: Amounts) -> None:
        """`node` takes `amounts` of the capacities for each attempt."""
        if amounts:
            self.amounts[node] = amounts

    def open_gate(self, node: int) -> None:
        """The condition of `node` is true."""
        self._demand(list(self.graph.needs_of(node)))
        self.hold[node] &= ~GATE
        self._settle_needs(node)

    def forget_recall(self, node: int) -> None:
        """The value of `node` could not be had after all: it is wanted as if nobody had looked."""
        self.recalled.discard(node)
        self.hold[node] = self.hold[node] & ~GATE | DORMANT
        self.unfinished -= 1
        self._demand([node])

    def choose(self, node: int, refs: Sequence[int]) -> None:
        """A router or a fallback at `node` needs the values of `refs` now."""
        self._demand(list(refs))
        self._listen(node, refs)

    def fail(self, node: int) -> None:
        """`node` failed for good: what needs it cannot run."""
        self.state[node] = FAILED
        self.unfinished -= 1
        if not self.cancelling:
            self._stop_consumers(node)

    def become(self, node: int, refs: Sequence[int], waiter: int = 0) -> None:
        """`node` ran and will have its value from others: from what it returned.

        Args:
            waiter: a number below zero that waits in the place of the node; `reopen` follows, or `skip`, or a value.
        """
        self.state[node] = PENDING
        self.hold[node] |= GATE
        self.choose(waiter or node, refs)

    def reopen(self, node: int) -> None:
        """What `node` returned will not be its value: it may be tried again, or fail."""
        self.state[node] = PENDING
        self.hold[node] &= ~GATE

    def stop(self, node: int) -> None:
        """A `node` ended because of a cancel, or because nobody needs it any more."""
        self.state[node] = CANCELLED
        self.unfinished -= 1

    def fall_back(self, node: int, reason: str, because: int = -1, *, failed: bool = True) -> None:
        """`node` failed, or is skipped, and has a fallback: order its value."""
        self.state[node] = PENDING
        self.hold[node] |= GATE
        self._falling[node] = _Fall(reason, because, failed)
        self._stage[node] = self._stage.get(node, 0) + 1
        self.orders.append((USE_FALLBACK, node, reason, because))

    def skip(self, node: int, reason: str, because: int = -1) -> None:
        """`node` will not run, and neither will what needs its value, unless it has a fallback."""
        stack = [(node, reason, because, self._stage.get(node, 0))]
        while stack:
            node, reason, because, stage = stack.pop()
            if node < 0:
                if self._stage[node] == stage:
                    self._stage[node] += 1
                    self.orders.append((TELL_PART_LOST, node, reason, because))
                continue
            if self.state[node] != PENDING or self._stage.get(node, 0) != stage:
                continue
            if self.has_fallback(node):
                self.fall_back(node, reason, because, failed=False)
                continue
            fall = self._falling.get(node)  # its fallback has no value either: the first reason holds
            self.state[node] = FAILED if fall is not None and fall.failed else SKIPPED
            self.unfinished -= 1
            if fall is not None:
                reason, because = fall.reason, fall.because
            order = KEEP_FAILURE if self.state[node] == FAILED else TELL_SKIPPED
            self.orders.append((order, node, reason, because))
            stack.extend(self._consumers_to_skip(node))

    def has_fallback(self, node: int) -> bool:
        """Whether `node` has a fallback that has not been asked for."""
        return node in self.graph.fallbacks and node not in self._falling

    def _stop_consumers(self, node: int) -> None:
        for consumer, reason, because, stage in self._consumers_to_skip(node):
            if self._stage.get(consumer, 0) == stage:
                self.skip(consumer, reason, because)

    def _consumers_to_skip(self, node: int) -> list[tuple[int, str, int, int]]:
        """Return the nodes that cannot run without `node`; those that only wait for its end go on if it is skipped.

        Who is not wanted yet, or waits for its condition or its fallback, finds out when it looks.
        """
        found: list[tuple[int, str, int, int]] = []
        reason = self._reason(node)
        for consumer in self.graph.succ[node]:
            if self._goes_on_without(consumer, node):
                self.left[consumer] -= 1
                if not self.left[consumer]:
                    self.unlock(consumer)
            elif not self.hold[consumer] & (DORMANT | GATE):
                found.append((consumer, reason, node, self._stage.get(consumer, 0)))
        found += [(listener, reason, node, self._stage[listener]) for listener in self._pop_listeners(node)]
        return found

    def _goes_on_without(self, consumer: int, node: int) -> bool:
        """Whether `consumer` only waits for the end of `node`, which was skipped."""
        orders = self.graph.orders.get(consumer)
        if self.state[node] != SKIPPED or not orders or node not in orders:
            return False
        return list(self.graph.needs_of(consumer)).count(node) == orders.count(node)

    def _reason(self, node: int) -> str:
        return f"needs '{self.graph.label(node)}', which {'failed' if self.state[node] == FAILED else 'was skipped'}"

    # -- cancelling and limits --------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Start nothing more; what has not started is cancelled, what runs is the shell's to stop."""
        if self.cancelling:
            return
        self.cancelling = True
        self.ledger.forget()
        for node, times in self._granted.items():
            for _ in range(times):
                self.ledger.release(self.amounts[node])
        self._granted.clear()
        self._kept.clear()
        for heap in self.ready:
            heap.clear()
        for node, state in enumerate(self.state):
            if state == PENDING and not self.hold[node] & DORMANT:
                self.state[node] = CANCELLED
                self.unfinished -= 1
                self.orders.append((TELL_CANCELLED, node, "", -1))

    # -- starting -------------------------------------------------------------------------------------------------

    def take(self, mode: int) -> int:
        """Return the next node of `mode` that starts now, -1 if there is none.

        A map comes once for each item that may start; `offer` puts it back.
        """
        heap = self.ready[mode]
        if self.paused:
            return -1
        while heap:
            node = self.by_rank[heappop(heap)]
            if not self.may_be_taken(node):
                self._pass_by(node)
                continue
            if self.limits.active:
                if not self._may_start(node):
                    continue
            elif node in self.amounts and not self._take_amounts(node):
                continue
            self.state[node] = RUNNING
            return node
        return -1

    def may_be_taken(self, node: int) -> bool:
        """Say whether `node` has not begun and is held back by nothing; a map that runs may have more items."""
        if self.state[node] or self.hold[node]:
            return self.state[node] == RUNNING and self.graph.kinds[node] == MAP
        return True

    def _pass_by(self, node: int) -> None:
        """`node` has ended before its turn came (a map of which an item failed): others have what it was given."""
        if node in self._granted:
            self.give_up_grant(node)
            self.orders.append((LOOK_AGAIN, node, "", -1))
        if self.limits.active:
            self._pass_on(node, self.names(node))
        if self.limits.stepping is not None:
            for other in self.limits.stepping.drop(node):
                self.offer(other)
                self.orders.append((LOOK_AGAIN, node, "", -1))

    def _pass_on(self, node: int, names: Names) -> None:
        """A limit's turn that `node` does not use is another's, perhaps of a mode that the shell has looked at."""
        for other in self.limits.pass_on(names):
            self.offer(other)
            self.orders.append((LOOK_AGAIN, node, "", -1))

    def _may_start(self, node: int) -> bool:
        """Ask limits and ledger for `node`; if it has to wait, let the next one have its turn."""
        names, stepping = self.names(node), self.limits.stepping
        if self.limits.has_room(node, names) and (stepping is None or self._has_turn(stepping, node)):
            if node not in self.amounts or self._take_amounts(node):
                self.ticket = self.limits.count(names)
                if stepping is not None:
                    stepping.begin(node)
                return True
        elif node in self._kept:
            self.orders.append((LET_GO, node, "", -1))
        elif node in self._granted:
            self.give_up_grant(node)
            self.orders.append((LOOK_AGAIN, node, "", -1))
        if self.limits.news is not None:
            self.orders.append((TELL_LIMITED, node, self.limits.news.id, -1))
            self.limits.news = None
        self._pass_on(node, names)
        return False

    def _has_turn(self, stepping: Stepping, node: int) -> bool:
        """Ask step mode for `node`; tell once that it is held."""
        if stepping.has_turn(node):
            return True
        if stepping.hold(node, self.rank[node]):
            self.orders.append((TELL_HELD, node, "", -1))
        return False

    def names(self, node: int) -> Names:
        """Return the names by which limits know `node`: its own and its task's."""
        label = self.graph.label(node)
        task = getattr(self.graph.calls[node], "_task", None)
        return (label,) if task is None or task.name == label else (label, task.name)

    def _take_amounts(self, node: int) -> bool:
        if self._granted.get(node):
            self._use_grant(node)
            return True
        if self.ledger.take(node, self.amounts[node]):
            return True
        self.orders.append((TELL_WAITING, node, self.ledger.lacking(self.amounts[node]), -1))
        return False

    def keep(self, node: int) -> None:
        """`node` starts again soon with the amounts that it has taken.

        Should a limit come between, the shell is ordered to let go of them: only then may others have them.
        """
        self._granted[node] = self._granted.get(node, 0) + 1
        self._kept.add(node)

    def give_up_grant(self, node: int) -> None:
        """`node` does not use the amounts that are reserved for it: others have them."""
        self._use_grant(node)
        self.release(self.amounts[node])

    def _use_grant(self, node: int) -> None:
        self._kept.discard(node)
        self._granted[node] -= 1
        if not self._granted[node]:
            del self._granted[node]

    def offer(self, node: int) -> None:
        """Queue a node that runs, or ran, again: a map with more items, a node to be tried again."""
        if not self.cancelling:
            heappush(self.ready[self.graph.modes[node]], self.rank[node])

    def offer_last(self, node: int) -> None:
        """Queue `node` again, behind all that are ready: the next turn of a loop."""
        heap = self.ready[self.graph.modes[node]]
        if heap and not self.cancelling:
            self.rank[node] = len(self.by_rank)
            self.by_rank.append(node)
        self.offer(node)

    def release(self, amounts: Amounts) -> None:
        """An attempt has really ended: its capacity goes to those who wait."""
        for node in self.ledger.release(amounts):
            self._granted[node] = self._granted.get(node, 0) + 1
            self.offer(node)
