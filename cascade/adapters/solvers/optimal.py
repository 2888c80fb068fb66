"""The optimal solver: the shortest schedule there is, and the order in which the engine comes closest to it.

In: a graph, capacities, and what is known of durations. Out: an `OptimalPlan`. Invariant: in the simulation of the
engine, its rank is never slower than the native solver's; `starts` never exceed a capacity.

Three steps: what an order without search gives; a search for the shortest schedule (OR-Tools CP-SAT), which also proves
how short none can be; and, since the engine starts whatever fits and never waits for something better, a number of
tries which order it makes the most of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final

from cascade.adapters.solvers.durations import read_durations
from cascade.adapters.solvers.integers import Ticks, in_ticks, in_units
from cascade.adapters.solvers.native import NativeSolver
from cascade.adapters.solvers.problem import Problem, pack
from cascade.adapters.solvers.ranking import Trial, climb, rank_by
from cascade.adapters.solvers.search import Found, load, search
from cascade.graph.check import check_amounts, check_capacities
from cascade.graph.model import InputRef, Ref
from cascade.graph.schedule import find_waits, least_makespan, longest_paths, make_schedule
from cascade.interfaces.exceptions import CascadeError, SettingError

if TYPE_CHECKING:
    from cascade.adapters.solvers.durations import Durations
    from cascade.graph.check import Amounts
    from cascade.graph.model import Graph
    from cascade.graph.schedule import Schedule

__all__ = ["OptimalPlan", "OptimalSolver"]

CLOSE: Final = 1 + 1e-9  # floats that differ by less than this factor are the same number of seconds
NEAR: Final = 1 + 1e-6  # the same after the rounding that a search needs
MOST_TRIES: Final = 1_000
MOST_STEPS: Final = 60_000  # nodes in all tries together: about a second
FOR_SEARCH: Final = 2 / 3  # of the time limit; the tries have the rest


@dataclass(frozen=True, slots=True)
class OptimalPlan:
    """Order and priority of the nodes of a graph (see `ExecutionPlan`), and what is known about them.

    Args:
        order, rank, heights: as in every plan.
        starts: of the shortest schedule known, in seconds from the start of the run, by node number; a node that takes
            no time takes no capacity in it. makespan: seconds until its end.
        bound: seconds; no schedule is shorter. is_optimal: whether the schedule is as short as that, to a millionth.
        expected: seconds that the engine needs with this rank. It may be more than `makespan`, since the engine never
            keeps a capacity idle for a node that comes later; never more than with the native solver's rank.
        chosen: which rank this is: ``native``, ``paths`` (longest remaining path in seconds), ``search`` (as the
            shortest schedule starts) or ``tries`` (one of these, improved).
        lazy_amounts: how many amounts only the run will know; they count as 0.
        note: why there was no search, empty if there was one.
    """

    order: list[int]
    rank: list[int]
    heights: list[int]
    starts: tuple[float, ...]
    makespan: float
    bound: float
    is_optimal: bool
    expected: float
    chosen: str
    lazy_amounts: int = 0
    note: str = ""


class OptimalSolver:
    """Makes the plan with which the run is expected to end first.

    Args:
        durations: seconds by node id, node name or task name, or a function of a `Node` (see `read_durations`).
        time_limit: seconds for one plan, about; loading OR-Tools does not count. seed: the same one gives the same
            plan, unless the time runs out.
        workers: threads of the search; more than one find more, but not always the same. None: one.
        default_duration: seconds of nodes of which nothing is said.
        max_parallel: how many nodes run at the same time at most; None: any number.
        max_nodes: a larger graph gets the native order, without search.

    Raises:
        CascadeError: when OR-Tools is not installed. SettingError: for a setting that makes no sense.

    Example:
        >>> import cascade as cs
        >>> @cs.task
        ... def step(*needs): return len(needs)
        >>> target = [step().named(name).with_constraints(cpu=1) for name in ("short", "long", "medium")]
        >>> cs.run(target, None, {"cpu": 2}, "ERROR", solver=OptimalSolver({"short": 1, "long": 3, "medium": 2}))
        [0, 0, 0]
    """

    def __init__(
        self,
        durations: Durations | None = None,
        *,
        time_limit: float = 5.0,
        seed: int = 0,
        workers: int | None = None,
        default_duration: float = 1.0,
        max_parallel: int | None = None,
        max_nodes: int = 2_000,
    ) -> None:
        """Check the settings; OR-Tools is imported at the first search."""
        if find_spec("ortools") is None:
            raise CascadeError(
                "OptimalSolver needs OR-Tools, which is not installed. pip install 'cascade-notebook[solver]'."
            )
        if not (isinstance(time_limit, (int, float)) and 0 < time_limit < inf):
            raise SettingError(f"time_limit is {time_limit!r}; it must be a finite number of seconds above 0.")
        for name, count in (("workers", workers), ("max_parallel", max_parallel), ("max_nodes", max_nodes)):
            if count is not None and not (isinstance(count, int) and count >= 1):
                raise SettingError(f"{name} is {count!r}; it must be a whole number of at least 1.")
        self.durations = durations
        self.time_limit = float(time_limit)
        self.seed = seed
        self.workers = workers or 1
        self.default_duration = default_duration
        self.max_parallel = max_parallel
        self.max_nodes = max_nodes

    def solve(self, graph: Graph, capacities: Mapping[str, float] | None = None) -> OptimalPlan:
        """Return the plan.

        Args:
            capacities: ``system_resources``; None: nothing is known of them, and amounts do not count.

        Raises:
            GraphError: when nodes need each other in a circle. CapacityError: for amounts that do not fit the
                capacities. SettingError: for durations that do not fit the graph.

        Example:
            >>> import cascade as cs
            >>> from cascade.graph.build import build
            >>> @cs.task
            ... def step(): return 1
            >>> graph = build([step().named(name).with_constraints(cpu=1) for name in ("short", "long", "medium")])
            >>> plan = OptimalSolver({"short": 1, "long": 3, "medium": 2}).solve(graph, {"cpu": 2})
            >>> plan.starts, plan.makespan, plan.is_optimal, plan.expected
            ((0.0, 0.0, 1.0), 3.0, True, 3.0)
        """
        return _Planning(self, graph, capacities).make_plan()


class _Planning:
    """One plan while it is made.

    Responsible for: what is asked for, which ranks are tried, what the plan says. Refuses: searching (`search`),
    trying (`climb`), simulating (`make_schedule`).
    """

    def __init__(self, solver: OptimalSolver, graph: Graph, capacities: Mapping[str, float] | None) -> None:
        self.began = monotonic()
        self.solver, self.graph = solver, graph
        self.durations = read_durations(graph, solver.durations, solver.default_duration)
        self.capacities = check_capacities(capacities)
        self.amounts: dict[int, Amounts] = {} if capacities is None else check_amounts(graph, capacities)
        self.limit = solver.max_parallel
        self.native = NativeSolver().solve(graph)
        self.waits = find_waits(graph)
        self.floor = least_makespan(self.waits, self.durations, self.amounts, self.capacities, self.limit)

    def make_plan(self) -> OptimalPlan:
        """Go as far as it helps."""
        first = self.native.rank, self.simulate(self.native.rank)
        if first[1].makespan <= self.floor * CLOSE:
            return self.plan(first, "native", first[1].starts, self.floor, "The native order cannot be beaten.")
        if len(self.graph) > self.solver.max_nodes:
            note = f"{len(self.graph):,} nodes are more than max_nodes={self.solver.max_nodes:,}: no search was made."
            return self.plan(first, "native", first[1].starts, self.floor, note)
        tails = longest_paths(self.waits, self.durations)
        ranks = {"native": self.native.rank, "paths": rank_by(lambda node: -tails[node], self.native.order)}
        starts, bound = self.search(list(ranks.values()))
        ranks["search"] = rank_by(lambda node: (starts[node], -tails[node]), self.native.order)
        trials = {name: (rank, self.simulate(rank)) for name, rank in ranks.items()}
        chosen = min(trials, key=lambda name: trials[name][1].makespan)  # the first of equals
        shortest = self.end_of(starts)
        better = self.climb(trials[chosen], shortest)
        if better[1].makespan < trials[chosen][1].makespan:
            trials["tries"], chosen = better, "tries"
        if trials[chosen][1].makespan < shortest:
            starts = trials[chosen][1].starts
        return self.plan(trials[chosen], chosen, starts, bound, "")

    # -- the steps ------------------------------------------------------------------------------------------------

    def simulate(self, rank: list[int]) -> Schedule:
        """Return what the engine would make of `rank`."""
        return make_schedule(self.graph, rank, self.durations, self.amounts, self.capacities, self.limit)

    def search(self, ranks: Sequence[list[int]]) -> tuple[Sequence[float], float]:
        """Return the starts of the shortest schedule found, and a bound, in seconds."""
        load()
        self.began = monotonic()
        ticks = in_ticks(self.durations)
        problem, is_exact = self.in_integers(ticks)
        known = [pack(problem, rank) for rank in ranks]
        share = self.time_left(FOR_SEARCH)
        found = search(problem, known, time_limit=share, seed=self.solver.seed, workers=self.solver.workers)
        packed = pack(problem, rank_by(found.starts.__getitem__, self.native.order))  # the same without needless pauses
        shortest = min(packed, found.starts, key=problem.end_of)
        return [ticks.to_seconds(start) for start in shortest], self.bound_of(found, ticks, is_exact=is_exact)

    def in_integers(self, ticks: Ticks) -> tuple[Problem, bool]:
        """Return the problem as a search knows it, and whether no amount was rounded."""
        sizes, taken, is_exact = [], [], True
        for name, capacity in self.capacities.items():
            pairs = [(node, amount) for node, each in self.amounts.items() for n, amount in each if n == name]
            units = in_units(capacity, [amount for _, amount in pairs])
            sizes.append(units.capacity)
            taken.append([(node, count) for (node, _), count in zip(pairs, units.amounts, strict=True)])
            is_exact = is_exact and units.is_exact
        if self.limit is not None:
            sizes.append(self.limit)
            taken.append([(node, 1) for node in range(len(self.graph))])
        return Problem(ticks.counts, self.waits, sizes, taken), is_exact

    def bound_of(self, found: Found, ticks: Ticks, *, is_exact: bool) -> float:
        """Return the bound in seconds; what was rounded up to be safe must not make it too high."""
        if not is_exact:
            return self.floor
        slack = 0 if ticks.is_exact else len(self.graph)  # a tick for each node of a path
        return max(self.floor, ticks.to_seconds(max(0, found.bound - slack)))

    def climb(self, start: Trial, goal: float) -> Trial:
        """Return the best rank that some tries find."""
        tries = min(MOST_TRIES, MOST_STEPS // max(1, len(self.graph)))
        until = self.began + self.solver.time_limit
        return climb(start, self.simulate, goal=goal * CLOSE, tries=tries, until=until, seed=self.solver.seed)

    def time_left(self, share: float) -> float:
        """Return seconds until `share` of the time limit is over; a little is always left."""
        return max(0.05, self.began + share * self.solver.time_limit - monotonic())

    # -- the result -----------------------------------------------------------------------------------------------

    def end_of(self, starts: Sequence[float]) -> float:
        return max([start + seconds for start, seconds in zip(starts, self.durations, strict=True)], default=0.0)

    def plan(self, trial: Trial, chosen: str, starts: Sequence[float], bound: float, note: str) -> OptimalPlan:
        makespan = self.end_of(starts)
        asked = [slot for slots in self.graph.amounts.values() for slot in slots.values()]
        return OptimalPlan(
            order=self.native.order,
            rank=trial[0],
            heights=self.native.heights,
            starts=tuple(starts),
            makespan=makespan,
            bound=min(bound, makespan),
            is_optimal=makespan <= bound * NEAR,
            expected=trial[1].makespan,
            chosen=chosen,
            lazy_amounts=sum(isinstance(slot, (Ref, InputRef)) for slot in asked),
            note=note,
        )
