"""Schedules that work → a shorter one, by constraint search (OR-Tools CP-SAT).

In: a problem in integers, and schedules for it. Out: the shortest one found, and a bound that none can beat.
Invariant: what comes out is never longer than what came in; OR-Tools is imported here only, at first use; one worker
with one seed gives one answer, unless the time runs out.

(Resource-constrained project scheduling with cumulative constraints: Schutt, Feydy, Stuckey and Wallace 2011.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

    from cascade.adapters.solvers.problem import Problem

__all__ = ["Found", "load", "search"]

MOST_PAIRED: Final = 80  # nodes


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found.

    Args:
        starts: ticks. bound: no schedule ends before this tick; 0 when nothing is known.
    """

    starts: Sequence[int]
    bound: int


def load() -> None:
    """Import OR-Tools, which may take a second."""
    import ortools.sat.python.cp_model  # noqa: F401 - for the side effect: the search has it then


def search(problem: Problem, known: Sequence[Sequence[int]], *, time_limit: float, seed: int, workers: int) -> Found:
    """Look for the schedule that ends first.

    Args:
        known: schedules that work, at least one; the search begins with the shortest. time_limit: seconds.
        seed: of the search's random choices. workers: threads; more than one find more, and not always the same.

    Example:
        >>> from cascade.adapters.solvers.problem import Problem
        >>> two_of_three = Problem([3, 1, 2], [[], [], []], [2], [[(0, 1), (1, 1), (2, 1)]])
        >>> found = search(two_of_three, [[0, 3, 4]], time_limit=5.0, seed=0, workers=1)
        >>> two_of_three.end_of(found.starts), found.bound
        (3, 3)
    """
    from ortools.sat.python import cp_model

    first = min(known, key=problem.end_of)
    model, starts = _make_model(problem, first)
    solver = cp_model.CpSolver()
    settings = solver.parameters
    settings.max_time_in_seconds = time_limit
    settings.random_seed = seed
    settings.num_workers = workers
    settings.catch_sigint_signal = False  # Python's own handler gives the interrupt to whoever waits for the search
    # Strong reasoning about each capacity: with it, one worker proves what several do without.
    settings.use_timetable_edge_finding_in_cumulative = True
    settings.use_disjunctive_constraint_in_cumulative = True
    settings.use_overload_checker_in_cumulative = True
    settings.use_strong_propagation_in_disjunctive = True
    status = _solve(solver, model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Found(first, 0)
    found = [solver.value(start) for start in starts]
    return Found(min(found, first, key=problem.end_of), round(solver.best_objective_bound))


def _make_model(problem: Problem, first: Sequence[int]) -> tuple[cp_model.CpModel, list[cp_model.IntVar]]:
    """Return the constraints, and the variables of the starts; `first` bounds them and is where the search begins."""
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    durations, end = problem.durations, problem.end_of(first)
    starts = [model.new_int_var(0, end - length, "") for length in durations]
    last = model.new_int_var(0, end, "")
    needed = {need for waits in problem.waits for need in waits}
    for node, waits in enumerate(problem.waits):
        for need in dict.fromkeys(waits):
            model.add(starts[node] >= starts[need] + durations[need])
        if node not in needed:
            model.add(last >= starts[node] + durations[node])
    intervals = [model.new_fixed_size_interval_var(s, d, "") for s, d in zip(starts, durations, strict=True)]
    for capacity, taken in zip(problem.capacities, problem.taken, strict=True):
        at_work = [(node, units) for node, units in taken if durations[node]]
        model.add_cumulative([intervals[node] for node, _ in at_work], [units for _, units in at_work], capacity)
    if len(durations) <= MOST_PAIRED:
        _decide_pairs(model, problem, starts)
    for start, hint in zip(starts, first, strict=True):
        model.add_hint(start, hint)
    model.add_hint(last, end)
    model.minimize(last)
    return model, starts


def _decide_pairs(model: cp_model.CpModel, problem: Problem, starts: Sequence[cp_model.IntVar]) -> None:
    """Give each two nodes that cannot run at the same time a choice of who goes first.

    It says nothing new, but the search can reason about choices; where ticks are fine, it would else try one after the
    other. Worth it for small graphs only, since it is quadratic.
    """
    durations = problem.durations
    crowded: dict[tuple[int, int], None] = {}
    for capacity, taken in zip(problem.capacities, problem.taken, strict=True):
        for (one, amount), (other, much) in combinations(taken, 2):
            if amount + much > capacity and durations[one] and durations[other]:
                crowded[one, other] = None
    for one, other in crowded:
        goes_first = model.new_bool_var("")
        model.add(starts[other] >= starts[one] + durations[one]).only_enforce_if(goes_first)
        model.add(starts[one] >= starts[other] + durations[other]).only_enforce_if(goes_first.negated())


def _solve(solver: cp_model.CpSolver, model: cp_model.CpModel) -> int:
    """Solve on a thread of its own, so that interrupting the kernel ends the search at once, and with it the plan."""
    answers: list[int] = []
    faults: list[BaseException] = []
    done = Event()  # not join: one that was interrupted takes the thread for ended

    def work() -> None:
        try:
            answers.append(int(solver.solve(model)))
        except BaseException as fault:  # noqa: BLE001 - raised again where the search was asked for
            faults.append(fault)
        finally:
            done.set()

    Thread(target=work, name="cascade-search", daemon=True).start()
    try:
        done.wait()
    except BaseException:
        solver.stop_search()
        done.wait()
        raise
    if faults:
        raise faults[0]
    return answers[0]
