"""Graph, ranks and seconds → when each node would start and end.

In: a graph, the rank and the duration of each node, amounts and capacities. Out: a `Schedule`. Invariant: runs nothing;
starts what the engine would start, in the order in which it would, and never exceeds a capacity.

It is the policy of the engine on a clock that is only counted (list scheduling: Graham 1966), with the engine's own
ledger. What ends gives its amounts back to those who waited longest for them, and then lets its consumers go; of what
may start, the lowest rank is first; what does not fit waits and lets others pass. Every route, fallback and condition
counts as if it ran, maps count as one node, and modes are not told apart: those who need that rehearse the run with the
engine's own core (`cascade.tools.simulate`), which starts all else when this does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from math import isfinite
from typing import TYPE_CHECKING

from cascade.graph.build import refs_in
from cascade.graph.check import check_amount
from cascade.graph.ledger import Ledger
from cascade.graph.order import may_need
from cascade.interfaces.exceptions import SettingError

if TYPE_CHECKING:
    from cascade.graph.check import Amounts
    from cascade.graph.model import Graph

__all__ = ["Schedule", "find_waits", "least_makespan", "longest_paths", "make_schedule"]


@dataclass(frozen=True, slots=True)
class Schedule:
    """When everything would happen, in seconds from the start of the run.

    Args:
        starts, ends: by node number. makespan: when the last node ends.
        utilisation: for each capacity, the part of it that is in use on average, from 0 to 1.
        critical_path: node numbers; each starts when the one before it ends, the last ends with the run. To shorten the
            run, shorten one of these, or give more of the capacity that one waits for.
    """

    starts: tuple[float, ...]
    ends: tuple[float, ...]
    makespan: float
    utilisation: Mapping[str, float]
    critical_path: tuple[int, ...]


def make_schedule(
    graph: Graph,
    rank: Sequence[int],
    durations: Sequence[float],
    amounts: Mapping[int, Amounts] | None = None,
    capacities: Mapping[str, float] | None = None,
    limit: int | None = None,
) -> Schedule:
    """Return when the engine would start each node, if each took as long as said.

    Args:
        rank: place of each node in the queue, a permutation, 0 first. durations: seconds of each node.
        amounts: what nodes take of the capacities, as `check_amounts` gives it. capacities: checked ones.
        limit: how many nodes run at the same time at most; None: any number.

    Raises:
        CapacityError: when an amount is more than its capacity, or names none.
        SettingError: when a duration is no finite number of at least 0, or the limit is below 1.

    Example:
        >>> import cascade as cs
        >>> from cascade.graph.build import build
        >>> @cs.task
        ... def step(*needs): return len(needs)
        >>> make_schedule(build(step(step(), step())), [2, 0, 1], [5.0, 1.0, 2.0], limit=1).starts
        (3.0, 0.0, 1.0)
    """
    known = dict(capacities or {})
    for node, pairs in (amounts or {}).items():
        for name, amount in pairs:
            check_amount(graph.label(node), name, amount, known)
    for node, seconds in enumerate(durations):
        if not (isfinite(seconds) and seconds >= 0):
            raise SettingError(f"'{graph.label(node)}' cannot take {seconds} s. Give it a finite number of at least 0.")
    if limit is not None and limit < 1:
        raise SettingError(f"At most {limit} nodes at the same time is none. Give a limit of at least 1, or None.")
    simulation = _Simulation(find_waits(graph), rank, durations, amounts or {}, Ledger(known), limit)
    simulation.run()
    return simulation.to_schedule(known)


# -- who waits for whom ---------------------------------------------------------------------------------------------


def find_waits(graph: Graph) -> list[Sequence[int]]:
    """Return, for each node, the nodes that end before it starts.

    These are the nodes that it may need; and, since a run asks for the arguments of a conditional node only when its
    condition is true, and for a route only when it is chosen, what the conditions and selectors around it need.

    Example:
        >>> import cascade as cs
        >>> from cascade.graph.build import build
        >>> @cs.task
        ... def step(*needs): return len(needs)
        >>> graph = build(step(step().named("load")).run_if(step().named("check")))
        >>> {graph.label(i): [graph.label(j) for j in waits] for i, waits in enumerate(find_waits(graph))}
        {'step': ['load', 'check'], 'load': ['check'], 'check': []}
    """
    if not (graph.gates or graph.routes or graph.fallbacks):
        return [graph.needs_of(node) for node in range(len(graph))]
    scopes = _Scopes(graph)
    waits: list[Sequence[int]] = []
    for node in range(len(graph)):
        needs = list(dict.fromkeys(may_need(graph, node)))
        own = scopes.of[node]
        is_told = any(scopes.of[need] == own for need in needs)  # who waits for them waits for that, too
        waits.append(needs if is_told else [*needs, *scopes.openers(own)])
    return waits


class _Scopes:
    """What must be true before a node is asked for, as a tree: a condition may stand inside another one's branch.

    Attributes:
        of: the scope of each node: the innermost that holds all who ask for it. Scope 0 is the run itself.
    """

    __slots__ = ("_depth", "_keys", "_parent", "of")

    def __init__(self, graph: Graph) -> None:
        """Walk from the targets up; who asks for a node comes before it."""
        self._parent, self._depth = [0], [0]
        self._keys: list[list[int]] = [[]]  # nodes that the condition of the scope needs
        asked: dict[int, int] = dict.fromkeys(refs_in(graph.target), 0)
        for node in reversed(graph.order):
            scope = asked.get(node, 0)
            keys = refs_in(graph.routes[node].selector if node in graph.routes else graph.gates.get(node))
            for need in keys:
                asked[need] = self._meet(asked.get(need, scope), scope)
            inner = self._open(scope, keys) if keys else scope
            for need in may_need(graph, node):
                if need not in keys:
                    asked[need] = self._meet(asked.get(need, inner), inner)
        self.of = [asked.get(node, 0) for node in range(len(graph))]

    def _open(self, parent: int, keys: list[int]) -> int:
        self._parent.append(parent)
        self._depth.append(self._depth[parent] + 1)
        self._keys.append(keys)
        return len(self._parent) - 1

    def _meet(self, one: int, other: int) -> int:
        """Return the innermost scope that holds both."""
        while one != other:
            if self._depth[one] < self._depth[other]:
                one, other = other, one
            one = self._parent[one]
        return one

    def openers(self, scope: int) -> list[int]:
        """Return the nodes whose ends open `scope`; outer scopes count if no key of it had to wait for them itself."""
        found: list[int] = []
        while scope:
            outer = self._parent[scope]
            found += self._keys[scope]
            if any(self.of[key] == outer for key in self._keys[scope]):
                break
            scope = outer
        return list(dict.fromkeys(found))


def longest_paths(waits: Sequence[Sequence[int]], durations: Sequence[float]) -> list[float]:
    """Return, for each node, the seconds from its start to the end of all that waits for it, if nothing else did.

    Example:
        >>> longest_paths([[1, 2], [], []], [5.0, 1.0, 2.0])
        [5.0, 6.0, 7.0]
    """
    users = [0] * len(waits)
    for needs in waits:
        for need in needs:
            users[need] += 1
    tails = [0.0] * len(waits)
    stack = [node for node, count in enumerate(users) if not count]
    while stack:
        node = stack.pop()
        tails[node] += durations[node]
        for need in waits[node]:
            tails[need] = max(tails[need], tails[node])
            users[need] -= 1
            if not users[need]:
                stack.append(need)
    return tails


def least_makespan(
    waits: Sequence[Sequence[int]],
    durations: Sequence[float],
    amounts: Mapping[int, Amounts],
    capacities: Mapping[str, float],
    limit: int | None = None,
) -> float:
    """Return seconds below which no order gets: the longest path, and the work that each capacity has to carry."""
    bounds = [max(longest_paths(waits, durations), default=0.0)]
    bounds += [work / capacities[name] for name, work in _count_work(durations, amounts).items()]
    if limit is not None:
        bounds.append(sum(durations) / limit)
    return max(bounds)


def _count_work(durations: Sequence[float], amounts: Mapping[int, Amounts]) -> dict[str, float]:
    """Return amount times seconds, summed for each capacity."""
    work: dict[str, float] = {}
    for node, pairs in amounts.items():
        for name, amount in pairs:
            work[name] = work.get(name, 0.0) + amount * durations[node]
    return work


# -- the simulation -------------------------------------------------------------------------------------------------


class _Simulation:
    """One run on a counted clock: facts as the scheduler hears them, in the order in which it hears them."""

    def __init__(
        self,
        waits: Sequence[Sequence[int]],
        rank: Sequence[int],
        durations: Sequence[float],
        amounts: Mapping[int, Amounts],
        ledger: Ledger,
        limit: int | None,
    ) -> None:
        count = len(waits)
        self.rank, self.durations, self.amounts, self.ledger = rank, durations, amounts, ledger
        self.room = count if limit is None else limit
        self.by_rank = [0] * count
        for node, place in enumerate(rank):
            self.by_rank[place] = node
        self.left = [len(needs) for needs in waits]
        self.users: list[list[int]] = [[] for _ in range(count)]
        for node, needs in enumerate(waits):
            for need in needs:
                self.users[need].append(node)
        self.starts, self.ends = [0.0] * count, [0.0] * count
        self.cause = [-1] * count  # whose end let each node start
        self.ready = [rank[node] for node in range(count) if not self.left[node]]
        heapify(self.ready)
        self.granted: set[int] = set()
        self.running: list[tuple[float, int, int]] = []
        self.begun = 0

    def run(self) -> None:
        """Let one node after the other end, and start what that lets start."""
        users, left, ready, rank = self.users, self.left, self.ready, self.rank
        self.start_ready(0.0, -1)
        while self.running:
            now, _, node = heappop(self.running)
            self.room += 1
            if node in self.amounts:
                for other in self.ledger.release(self.amounts[node]):
                    self.granted.add(other)
                    heappush(self.ready, self.rank[other])
            for user in users[node]:
                left[user] -= 1
                if not left[user]:
                    heappush(ready, rank[user])
            if ready:
                self.start_ready(now, node)

    def start_ready(self, now: float, cause: int) -> None:
        """Start, by rank, what fits; who was granted amounts already has them."""
        while self.ready and self.room:
            node = self.by_rank[heappop(self.ready)]
            if node in self.granted:
                self.granted.discard(node)
            elif node in self.amounts and not self.ledger.take(node, self.amounts[node]):
                continue
            self.room -= 1
            self.cause[node] = cause
            self.starts[node] = now
            self.ends[node] = now + self.durations[node]
            heappush(self.running, (self.ends[node], self.begun, node))
            self.begun += 1

    def to_schedule(self, capacities: Mapping[str, float]) -> Schedule:
        """Sum up."""
        makespan = max(self.ends, default=0.0)
        work = _count_work(self.durations, self.amounts)
        utilisation = {n: work.get(n, 0.0) / (c * makespan) if makespan else 0.0 for n, c in capacities.items()}
        path: list[int] = []
        node = self.ends.index(makespan) if self.ends else -1
        while node >= 0:
            path.append(node)
            node = self.cause[node]
        return Schedule(tuple(self.starts), tuple(self.ends), makespan, utilisation, tuple(reversed(path)))
