"""Target and seconds → how its run would go, without running it.

In: a target, what is known of durations, capacities, workers, a solver. Out: a `Simulation`: the makespan, who would be
busy when, what decides the length, and how that changes with more workers. Invariant: runs nothing and writes nothing;
who starts when is decided by the engine's own core (`simulate_run`), and what only the run could know is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cascade.context import get_current_context
from cascade.messaging.catalogue import in_seconds

if TYPE_CHECKING:
    from cascade.adapters.solvers.durations import Durations
    from cascade.graph.model import Graph
    from cascade.graph.schedule import Schedule
    from cascade.interfaces.events import Event
    from cascade.interfaces.protocols import ExecutionPlan, Solver, Store
    from cascade.spec.constraint import GlobalConstraint
    from cascade.tools.simulate_curve import Curve
    from cascade.tools.simulate_lanes import Lane
    from cascade.tools.simulate_terms import Scene, Trace, Workers

__all__ = ["Simulation", "simulate"]

_SAME: Final = 1 + 1e-6  # as close as solvers prove


@dataclass(frozen=True, slots=True)
class Simulation:
    """How a run would go; ``str()`` and a notebook show it, the nodes that decide its length in black.

    Args:
        graph: what would run. plan: in which order. scene: what was taken as given. workers: how many calls at once.
        trace: every attempt. remarks: what one should know about these numbers.
        tells_workers: whether somebody said how many workers there are.
    """

    graph: Graph
    plan: ExecutionPlan
    scene: Scene
    workers: Workers
    trace: Trace
    remarks: tuple[str, ...] = ()
    tells_workers: bool = False
    _made: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def makespan(self) -> float:
        """Seconds from the start of the run to its end."""
        return self.trace.makespan

    @property
    def capacities(self) -> Mapping[str, float]:
        """The capacities, as given."""
        return self.scene.capacities

    @property
    def utilisation(self) -> Mapping[str, float]:
        """The part of each capacity, and of the ``workers`` if they were given, in use on average, from 0 to 1."""
        length = self.makespan
        used = {
            name: self.trace.work.get(name, 0.0) / (total * length) if length else 0.0
            for name, total in self.capacities.items()
        }
        if self.tells_workers:
            busy = self.trace.busy[1] + self.trace.busy[3]
            used.setdefault("workers", busy / (self.workers.count * length) if length else 0.0)
        return used

    @property
    def schedule(self) -> Schedule:
        """When each node starts and ends, in seconds, by its number; NaN for those that would not run."""
        from cascade.tools.simulate_show import make_schedule

        return self._once("schedule", lambda: make_schedule(self.scene, self.trace, self.utilisation))  # type: ignore[no-any-return]

    @property
    def critical_path(self) -> tuple[str, ...]:
        """Ids of the nodes that decide the length: each starts when the one before it ends."""
        from cascade.tools.simulate_show import find_critical_path

        path = self._once("path", lambda: find_critical_path(self.trace))
        return tuple([self.graph.ids[node] for node in path])

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """Who would hold each unit of each capacity, and what each worker would do, from when to when."""
        from cascade.tools.simulate_lanes import make_lanes

        return self._once("lanes", lambda: make_lanes(self.scene, self.trace))  # type: ignore[no-any-return]

    @property
    def knee(self) -> int:
        """The number of workers beyond which more hardly pay: that of `curve`."""
        return self.curve().knee

    def curve(self, workers: Iterable[int] | None = None) -> Curve:
        """Return how long the run takes with other numbers of workers.

        Args:
            workers: the numbers, as in ``range(1, 17)``; by default from 1 to as many as could all be busy.

        Raises:
            SettingError: when there is no number, or one is below 1.

        Example:
            >>> import cascade as cs
            >>> @cs.task
            ... def step(*needs): return len(needs)
            >>> made = cs.simulate(step(*[step() for _ in range(6)]), durations={"step": 1})
            >>> list(made.curve([1, 2, 3, 6])), made.knee
            ([(1, 7.0), (2, 4.0), (3, 3.0), (6, 2.0)], 2)
        """
        from cascade.tools.simulate_curve import make_curve

        known = {self.workers.threads: self.trace} if self.workers.shared else {}
        if workers is not None:
            return make_curve(self.scene, workers, known)
        return self._once("curve", lambda: make_curve(self.scene, None, known))  # type: ignore[no-any-return]

    def events(self) -> Iterator[Event]:
        """Yield what a run with these times would tell, for views and subscribers."""
        from cascade.tools.simulate_lanes import make_events

        return make_events(self.scene, self.trace)

    def _once(self, name: str, make: Any) -> Any:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def __str__(self) -> str:
        """Return the chart as text, a line for each node."""
        from cascade.tools.simulate_show import as_text

        return as_text(self)

    def __repr__(self) -> str:
        """Say what it is about."""
        return f"<simulation of {self.graph.name!r}: {in_seconds(self.makespan)}>"

    def _repr_mimebundle_(
        self,
        include: object = None,  # noqa: ARG002 - as IPython calls it
        exclude: object = None,  # noqa: ARG002
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Show it in a notebook as a run is shown: the graph, the lanes, the table; and the chart as text."""
        return get_current_context().bundle_of(self)


def simulate(
    target: object,
    durations: Durations | None = None,
    system_resources: Mapping[str, float] | None = None,
    solver: Solver | None = None,
    *,
    workers: int | Mapping[str, int] | None = None,
    params: Mapping[str, Any] | None = None,
    items: Mapping[str, int] | None = None,
    routes: Mapping[str, object] | None = None,
    failures: Mapping[str, int] | None = None,
    limits: Iterable[GlobalConstraint] = (),
    cache: Any = None,
) -> Simulation:
    """Return how a run of `target` would go if nothing of it was stored: the engine's core on a virtual clock.

    Conditions and routes that only the run can know are taken to be true, and the longest; `remarks` say so. A loop is
    one node with the seconds of all its turns. A `cs.wait` takes the seconds that it is given; what is known to take
    longer than its timeout fails by it. What a task would add to the graph while it runs is left out. A duration is
    what a call takes beside the others: threads that compute share the interpreter, which nobody counts.

    Args:
        target: what `run` takes, or a Graph.
        durations: seconds of a call by node id, node name or task name (of a map: of one item), or a function of a
            `Node`; for all of which nothing is said, those of earlier runs, then those of the solver, then 1 s.
        system_resources, params: as for `run`; without capacities, amounts do not count.
        solver: makes the plan; by default the native one, as in a run. If it has a ``max_parallel``, that is `workers`.
        workers: how many blocking and compute calls there are at once, as with an executor of so many workers; or
            ``{"threads": 8, "processes": 2}``; by default what a run has on this machine.
        items: how many items maps have, by name, where only the run would know.
        routes: the key that routers choose, by name. failures: how many attempts of a node, or each item, fail first.
        limits: `GlobalConstraint`s in force from the start.
        cache: the store with the earlier runs, as for `run`; by default ``.cascade`` if it is there; False: none.

    Raises:
        CapacityError, GraphError, NotLazyError, ParamError: what `run` would raise. SettingError: for what does not
            fit the graph, and for limits that stop it for ever.

    Example:
        >>> import cascade as cs
        >>> @cs.task
        ... def step(*needs): return len(needs)
        >>> target = step(step().named("load"), step().named("ask")).named("fit")
        >>> made = simulate(target, {"load": 3, "ask": 1, "fit": 2})
        >>> made.makespan, made.critical_path
        (5.0, ('load', 'fit'))
        >>> print(made)
        fit, simulated: 3 nodes in 5.00 s
        node   start     end
        ask      0 s  1.00 s  ▒▒▒▒▒▒▒▒
        load     0 s  3.00 s  ████████████████████████
        fit   3.00 s  5.00 s                          ████████████████
        decided by: load, fit
        no order is faster
    """
    from cascade.adapters.solvers.native import NativeSolver
    from cascade.graph.build import build
    from cascade.graph.check import check_capacities
    from cascade.graph.model import Graph
    from cascade.runtime.collector import UNKNOWN, calm_collector
    from cascade.tools.simulate_run import Rehearsal
    from cascade.tools.simulate_scene import Given, make_scene
    from cascade.tools.simulate_show import least_seconds
    from cascade.tools.simulate_terms import Workers

    with calm_collector(UNKNOWN):
        graph = target if isinstance(target, Graph) else build(target)
        solver = _informed(solver, durations)
        known: Any = durations if durations is not None else getattr(solver, "durations", None)
        capacities = check_capacities(system_resources)
        given = Given(
            known, params, items or {}, routes or {}, failures or {}, tuple(limits),
            getattr(solver, "default_duration", 1.0), _find_store(cache),
        )  # fmt: skip
        staff = Workers.of(getattr(solver, "max_parallel", None) if workers is None else workers)
        # without capacities, so that a solver that does not know them can be asked, too
        plan = (solver or NativeSolver()).solve(graph, *(() if system_resources is None else (capacities,)))
        scene, remarks = make_scene(graph, plan.rank, given, None if system_resources is None else capacities)
        watched = len(graph) <= MOST_WATCHED
        trace = Rehearsal(scene, staff, watched=watched).run()
        bound, note = least_seconds(scene, staff, trace), ""
    if hasattr(solver, "durations") and solver.durations is known:  # else it speaks about other durations
        bound, note = max(bound, getattr(plan, "bound", 0.0)), getattr(plan, "note", "")
    fault = getattr(given.store, "off", None)
    away = [f"the store: {fault}"] if fault else []
    told = [*remarks, *away, *_losses(graph, trace), *_quality(trace.makespan, bound, note)]
    return Simulation(graph, plan, scene, staff, trace, tuple(told), workers is not None)


MOST_WATCHED: Final = 20_000  # nodes; of larger graphs nobody looks at who waits


def _informed(solver: Any, durations: Durations | None) -> Any:
    """Return `solver`, or, if it could use durations and was given none, a copy that knows these."""
    if durations is None or getattr(solver, "durations", durations) is not None:
        return solver
    solver = copy(solver)
    solver.durations = durations
    return solver


def _find_store(cache: Any) -> Store | None:
    """Return where earlier runs are kept, without making a place."""
    from pathlib import Path

    from cascade.runtime.run import FOLDER, open_store

    if cache is False or (cache is None and not Path(FOLDER).is_dir()):
        return None
    return open_store(True if cache is None else cache)


def _losses(graph: Graph, trace: Trace) -> list[str]:
    lost = [graph.label(node) for node in trace.lost]
    if not lost:
        return []
    names = ", ".join(f"'{name}'" for name in lost[:3])
    return [f"{names}{' and others' if len(lost) > 3 else ''} would fail for good: what needs it is left out"]  # noqa: PLR2004


def _quality(makespan: float, bound: float, note: str) -> list[str]:
    """Tell how far from the best the plan is, as far as anyone knows."""
    if makespan <= bound * _SAME:
        return ["no order is faster"]
    if not bound:
        return [note] if note else []
    return [f"no order is faster than {in_seconds(bound)}", *([note] if note else [])]
