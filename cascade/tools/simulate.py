"""Target and seconds → when everything would run, without running it.

In: a target, what is known of durations, capacities, a solver. Out: a `Simulation`, which shows itself as a chart.
Invariant: runs nothing, opens nothing, says nothing; what it tells is what the engine would do if every node took as
long as said.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING, Any, Final
from unicodedata import east_asian_width

from cascade.messaging.catalogue import in_seconds
from cascade.messaging.renderer import one_line

if TYPE_CHECKING:
    from cascade.adapters.solvers.durations import Durations
    from cascade.graph.model import Graph
    from cascade.graph.schedule import Schedule
    from cascade.interfaces.protocols import ExecutionPlan, Solver

__all__ = ["Simulation", "simulate"]

MOST_SHOWN: Final = 50  # rows; `schedule` has all of them
_CHART: Final = 40  # characters
_SAME: Final = 1 + 1e-6  # as close as solvers prove
_WIDEST: Final = 32  # characters of a name
_LONGEST_PATH: Final = 8  # names in a line
_CRITICAL, _OTHER, _INSTANT = "█", "▒", "│"


@dataclass(frozen=True, slots=True)
class Simulation:
    """How a run would go; ``str()`` and a notebook show it as a chart, the nodes that decide its length in black.

    Args:
        graph: what would run. plan: in which order. schedule: when, in seconds, by node number.
        capacities: as given. remarks: what one should know about these numbers.
    """

    graph: Graph
    plan: ExecutionPlan
    schedule: Schedule
    capacities: Mapping[str, float]
    remarks: tuple[str, ...] = ()

    @property
    def makespan(self) -> float:
        """Seconds from the start of the run to its end."""
        return self.schedule.makespan

    @property
    def utilisation(self) -> Mapping[str, float]:
        """For each capacity, the part of it that is in use on average, from 0 to 1."""
        return self.schedule.utilisation

    @property
    def critical_path(self) -> tuple[str, ...]:
        """Ids of the nodes that decide the length: each starts when the one before it ends."""
        return tuple([self.graph.ids[node] for node in self.schedule.critical_path])

    def __str__(self) -> str:
        """Return the chart as text, a line for each node."""
        return "\n".join([_title(self), *_chart(self), *_below(self)])

    def __repr__(self) -> str:
        """Say what it is about."""
        return f"<simulation of {self.graph.name!r}: {in_seconds(self.makespan)}>"

    def _repr_mimebundle_(
        self,
        include: object = None,  # noqa: ARG002 - as IPython calls it
        exclude: object = None,  # noqa: ARG002
    ) -> dict[str, str]:
        """Show the chart in a notebook."""
        from cascade.graph.markup import element

        text = str(self)
        return {"text/plain": text, "text/html": str(element("pre", {"style": "line-height:1.2"}, text))}


def simulate(
    target: object,
    durations: Durations | None = None,
    system_resources: Mapping[str, float] | None = None,
    solver: Solver | None = None,
) -> Simulation:
    """Return how a run of `target` would go.

    Args:
        target: what `run` takes, or a Graph.
        durations: seconds by node id, node name or task name, or a function of a `Node`; by default those of the
            solver, if it has any, and a solver that has none plans with these. What nobody knows counts as 1 s.
        system_resources: as for `run`; None: amounts do not count.
        solver: makes the plan; by default the native one, as in a run. If it has a ``max_parallel``, that holds here.

    Raises:
        CapacityError, GraphError, NotLazyError: what `run` would raise. SettingError: for durations that do not fit.

    Example:
        >>> import cascade as cs
        >>> @cs.task
        ... def step(*needs): return len(needs)
        >>> made = simulate(step(step().named("load"), step().named("ask")).named("fit"), {"load": 3, "fit": 2})
        >>> made.makespan, made.critical_path
        (5.0, ('load', 'fit'))
        >>> print(made)
        fit: 3 nodes in 5.00 s
        node   start     end
        ask      0 s  1.00 s  ▒▒▒▒▒▒▒▒
        load     0 s  3.00 s  ████████████████████████
        fit   3.00 s  5.00 s                          ████████████████
        decided by: load, fit
        no order is faster
    """
    from cascade.adapters.solvers.durations import read_durations
    from cascade.adapters.solvers.native import NativeSolver
    from cascade.graph.build import build
    from cascade.graph.check import check_amounts, check_capacities
    from cascade.graph.model import Graph
    from cascade.graph.schedule import find_waits, least_makespan, make_schedule

    graph = target if isinstance(target, Graph) else build(target)
    solver = _informed(solver, durations)
    known = durations if durations is not None else getattr(solver, "durations", None)
    standard = getattr(solver, "default_duration", 1.0)
    seconds = read_durations(graph, known, standard)
    capacities = check_capacities(system_resources)
    amounts = {} if system_resources is None else check_amounts(graph, capacities)
    limit = getattr(solver, "max_parallel", None)
    # without capacities, so that a solver that does not know them can be asked, too
    plan = (solver or NativeSolver()).solve(graph, *(() if system_resources is None else (capacities,)))
    schedule = make_schedule(graph, plan.rank, seconds, amounts, capacities, limit)
    bound = least_makespan(find_waits(graph), seconds, amounts, capacities, limit)
    note = ""
    if hasattr(solver, "durations") and solver.durations is known:  # else it speaks about other durations
        bound, note = max(bound, getattr(plan, "bound", 0.0)), getattr(plan, "note", "")
    remarks = [f"no durations are known: each node counts as {in_seconds(standard)}"] if known is None else []
    remarks += [*_amounts_left_out(graph, system_resources), *_quality(schedule.makespan, bound, note)]
    return Simulation(graph, plan, schedule, capacities, tuple(remarks))


def _informed(solver: Any, durations: Durations | None) -> Any:
    """Return `solver`, or, if it could use durations and was given none, a copy that knows these."""
    if durations is None or getattr(solver, "durations", durations) is not None:
        return solver
    solver = copy(solver)
    solver.durations = durations
    return solver


def _amounts_left_out(graph: Graph, capacities: object) -> list[str]:
    """Tell which amounts the numbers do not know."""
    from cascade.graph.model import InputRef, Ref

    slots = [slot for each in graph.amounts.values() for slot in each.values()]
    lazy = sum(isinstance(slot, (Ref, InputRef)) for slot in slots)
    if slots and capacities is None:
        return ["no system_resources are given: amounts do not count"]
    return [f"{lazy} of {len(slots)} amounts are known only in the run: they count as 0"] if lazy else []


def _quality(makespan: float, bound: float, note: str) -> list[str]:
    """Tell how far from the best the plan is, as far as anyone knows."""
    if makespan <= bound * _SAME:
        return ["no order is faster"]
    return [f"no order is faster than {in_seconds(bound)}", *([note] if note else [])]


# -- showing --------------------------------------------------------------------------------------------------------


def _title(made: Simulation) -> str:
    count = len(made.graph)
    within = ", ".join(f"{name} {amount:g}" for name, amount in made.capacities.items())
    nodes = "1 node" if count == 1 else f"{count:,} nodes"
    text = f"{made.graph.name}: {nodes} in {in_seconds(made.makespan)}"
    return one_line(f"{text}, within {within}" if within else text)


def _chart(made: Simulation) -> list[str]:
    """Return column titles and a bar for each node, in the order of their starts."""
    schedule, count = made.schedule, len(made.graph)
    place = {node: number for number, node in enumerate(made.graph.order)}
    order = sorted(range(count), key=lambda node: (schedule.starts[node], schedule.ends[node], place[node]))
    critical = set(schedule.critical_path)
    rows = [("node", "start", "end", "")]
    for node in order[:MOST_SHOWN]:
        start, end = schedule.starts[node], schedule.ends[node]
        bar = _bar(start, end, schedule.makespan, _CRITICAL if node in critical else _OTHER)
        rows.append((_short(made.graph.ids[node]), in_seconds(start), in_seconds(end), bar))
    widths = [max(_columns(row[column]) for row in rows) for column in range(3)]
    lines = []
    for name, start_text, end_text, bar in rows:
        padded = name + " " * (widths[0] - _columns(name))
        lines.append(f"{padded}  {start_text:>{widths[1]}}  {end_text:>{widths[2]}}  {bar}".rstrip())
    if count > MOST_SHOWN:
        lines.append(f"… and {count - MOST_SHOWN:,} more; .schedule has them all")
    return lines


def _bar(start: float, end: float, makespan: float, mark: str) -> str:
    """Return `mark` from `start` to `end` on a line as long as the run; nothing is too short to be seen."""
    scale = _CHART / makespan if makespan else 0.0
    first = min(floor(start * scale + 1e-9), _CHART - 1)
    if end == start:
        return " " * first + _INSTANT
    return " " * first + mark * max(1, ceil(end * scale - 1e-9) - first)


def _below(made: Simulation) -> list[str]:
    path = made.critical_path
    shown = path if len(path) <= _LONGEST_PATH else (*path[:3], "…", *path[-3:])
    lines = [f"decided by: {', '.join(map(_short, shown))}"]
    if made.utilisation:
        used = [f"{name} {part:.0%}" for name, part in made.utilisation.items()]
        lines.append(f"in use on average: {', '.join(used)}")
    return [one_line(line) for line in (*lines, *made.remarks)]


def _short(text: str) -> str:
    text = one_line(text)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _columns(text: str) -> int:
    """Return how many columns of a terminal `text` takes: wide characters take two."""
    return len(text) if text.isascii() else sum(2 if east_asian_width(char) in "WF" else 1 for char in text)
