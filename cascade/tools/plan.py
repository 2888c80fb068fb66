"""Target and store → what a run would compute, what is stored, and how long that would take.

In: what `run` takes. Out: an `Outlook`. Invariant: runs nothing and writes nothing; what cannot be known before the run
(whether a changed upstream gives the same value, how large what never ran will be) is said to be unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cascade.graph.build import refs_in
from cascade.graph.check import check_amounts
from cascade.graph.model import MAP, PROCESS, ROUTE, THREAD, as_name
from cascade.graph.order import may_need
from cascade.graph.schedule import make_schedule
from cascade.interfaces.naming import nearest
from cascade.messaging.catalogue import in_seconds
from cascade.runtime.collector import UNKNOWN, calm_collector
from cascade.runtime.run import open_store, secret_of
from cascade.tools.items import find_pace
from cascade.tools.simulate_terms import Workers
from cascade.tools.sizes import in_bytes
from cascade.tools.steps import Step, find_steps

if TYPE_CHECKING:
    from cascade.graph.check import Amounts
    from cascade.graph.model import Graph
    from cascade.graph.schedule import Schedule
    from cascade.interfaces.protocols import Store
    from cascade.runtime.flow import Flow

__all__ = ["Outlook", "Step", "plan"]

WORKERS: Final = "workers"
UNKNOWN_SECONDS = 0.0  # of a task that never ran: said to be unknown, and counted as nothing


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a run would do; ``str()`` is a table.

    Args:
        steps: a step for each node, needs first. schedule: when all would happen if everything unknown ran.
        graph: what would run. capacities: as given. peak: bytes of all values that are alive at the worst moment, as
            far as their sizes are known. unsized: ids of the nodes whose sizes nobody knows; they count as nothing.
        fault: why the store could not be read, empty if it could.
    """

    steps: tuple[Step, ...]
    schedule: Schedule
    graph: Graph
    capacities: Mapping[str, float]
    peak: int = 0
    unsized: tuple[str, ...] = ()
    fault: str = ""
    _by_id: dict[str, Step] = field(default_factory=dict, repr=False, compare=False)

    @property
    def makespan(self) -> float:
        """Seconds that the run would take, if everything that is unknown had to run."""
        return self.schedule.makespan

    @property
    def critical_path(self) -> tuple[str, ...]:
        """Ids of the nodes that decide how long it takes."""
        busy = {step.node for step in self.steps if step.status in {"run", "unknown"}}
        return tuple([i for i in (self.graph.ids[node] for node in self.schedule.critical_path) if i in busy])

    @property
    def utilisation(self) -> Mapping[str, float]:
        """For each capacity, and the ``workers`` if they were given, the part in use on average, from 0 to 1."""
        return self.schedule.utilisation

    def __getitem__(self, node: str) -> Step:
        """Return the step of a node by its id."""
        if not self._by_id:
            self._by_id.update({step.node: step for step in self.steps})
        step = self._by_id.get(node)
        if step is None:
            raise KeyError(f"The graph has no node '{node}'.{nearest(str(node), self._by_id)}")
        return step

    def __str__(self) -> str:
        """Return a table as text."""
        counts = {status: sum(step.status == status for step in self.steps) for status in ("run", "unknown", "stored")}
        told = ", ".join(f"{count:,} {_WORDS[status]}" for status, count in counts.items() if count)
        rows = [("", "node", "time", "memory", "")]
        rows += [(_MARKS[s.status], s.node, _seconds(s), _size(s), s.reason) for s in self.steps]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = ["  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[4]]).rstrip() for row in rows]
        lines.insert(0, f"{self.graph.name}: {told or 'nothing to do'}")
        if self.makespan:
            lines.append(f"about {in_seconds(self.makespan)}, decided by {' → '.join(self.critical_path)}")
        lines += [f"the store: {self.fault}"] if self.fault else []
        lines += self._tell_memory()
        lines += [f"{as_name(name)}: {part:.0%} in use" for name, part in self.utilisation.items()]
        return "\n".join(lines)

    def _tell_memory(self) -> list[str]:
        """Return how much of memory the values take, and of which nodes that is not known."""
        told = f"values: about {in_bytes(self.peak)} at the same time" if self.peak else ""
        if not self.unsized:
            return [told] if told else []
        names = ", ".join(self.unsized[:MOST_NAMES])
        rest = len(self.unsized) - MOST_NAMES
        names = f"{names} and {rest:,} more" if rest > 0 else names
        return [f"{told}, and {names}, of unknown size" if told else f"values: of unknown size ({names})"]

    def __repr__(self) -> str:
        """Show the table."""
        return str(self)


MOST_NAMES: Final = 5
_WORDS = {"run": "would run", "unknown": "would run unless what they need turns out the same", "stored": "stored"}
_MARKS = {"run": "◐", "unknown": "◔", "stored": "◆", "not needed": "⊘"}


def _seconds(step: Step) -> str:
    return "?" if step.seconds is None else in_seconds(step.seconds)


def _size(step: Step) -> str:
    """What is kept in the kernel alone was never measured: it says nothing."""
    return "?" if step.size is None else in_bytes(step.size) if step.size else ""


def plan(
    target: Any,
    params: Mapping[str, Any] | None = None,
    system_resources: Mapping[str, float] | None = None,
    *,
    cache: Any = None,
    resources: Iterable[Any] = (),
    workers: int | None = None,
) -> Outlook:
    """Say what a run of `target` would compute, what is stored, and what time and memory it would take by earlier runs.

    Args:
        target, params, system_resources, resources: as for `run`. cache: as for `run`; by default ``.cascade``.
        workers: how many blocking and compute calls there may be at once, as with an executor of so many; None: any
            number. `simulate` knows more of them, and draws who does what.

    Raises:
        ParamError, CapacityError, ResourceError, GraphError, NotLazyError: what `run` would raise before it begins.
        SettingError: when `workers` is no whole number of at least 1.

    Example:
        >>> import cascade as cs
        >>> from tempfile import TemporaryDirectory
        >>> @cs.task(pure=True)
        ... def load(): return [1, 2]
        >>> @cs.task(pure=True)
        ... def total(rows, factor): return factor * sum(rows)
        >>> with TemporaryDirectory() as folder:
        ...     _ = cs.run(total(load(), 2), cache=folder, log_level=None)
        ...     outlook = plan(total(load(), 3), cache=folder)
        >>> {step.node: step.status for step in outlook.steps}
        {'load': 'stored', 'total': 'run'}
    """
    from cascade.runtime.flow import Settings
    from cascade.runtime.run import lay_out

    store = open_store(True if cache is None else cache)
    with calm_collector(UNKNOWN):
        return _look_ahead(lay_out(target, params, system_resources, resources, Settings()), store, workers)


def _look_ahead(flow: Flow, store: Store, workers: int | None) -> Outlook:
    from cascade.runtime.rebuilder import Rebuilder

    rebuilder = Rebuilder(flow, store, is_fresh=False, secret=secret_of(store))
    rebuilder.look()
    steps = find_steps(flow, rebuilder)
    capacities = flow.core.ledger.capacity
    seconds = [0.0] * len(flow.graph)
    for node, step in steps.items():
        if step.status in {"run", "unknown"}:
            seconds[node] = step.seconds or UNKNOWN_SECONDS
    amounts = check_amounts(flow.graph, capacities)
    totals = dict(capacities)
    if workers is not None:
        name = WORKERS if WORKERS not in capacities else f"{WORKERS} of the run"
        totals[name] = Workers.of(workers).count
        _share_out(flow.graph, store, (name, workers), seconds, amounts)
    schedule = make_schedule(flow.graph, flow.core.rank, seconds, amounts, totals)
    peak, unsized = _find_peak(flow.graph, steps, schedule)
    ordered = tuple([steps[node] for node in flow.graph.order])
    return Outlook(ordered, schedule, flow.graph, dict(capacities), peak, unsized, getattr(store, "off", None) or "")


def _share_out(
    graph: Graph, store: Store, workers: tuple[str, int], seconds: list[float], amounts: dict[int, Amounts]
) -> None:
    """Have each blocking or compute node take a worker, and a map as many as it has use for."""
    name, total = workers
    for node, mode in enumerate(graph.modes):
        if mode not in {THREAD, PROCESS} or not seconds[node]:
            continue
        amount = 1
        pace = find_pace(store, graph.ids[node]) if graph.kinds[node] == MAP else None
        if pace is not None and pace.count:
            most = graph.calls[node]._max_concurrency or pace.count  # noqa: SLF001 - as the engine reads it
            amount = max(1, min(total, pace.count, most))
            seconds[node] = pace.seconds * -(-pace.count // amount)
        amounts[node] = (*amounts.get(node, ()), (name, amount))


def _find_peak(graph: Graph, steps: Mapping[int, Step], schedule: Schedule) -> tuple[int, tuple[str, ...]]:
    """Return the bytes of all values at the worst moment of a schedule, and the nodes whose sizes are not known.

    A value lives until the last node that reads it has ended, and that of a target to the end of the run.
    """
    alive = [node for node in graph.order if steps[node].status != "not needed" and graph.kinds[node] != ROUTE]
    if not any(steps[node].size for node in alive):  # nothing is known: nothing to add up
        return 0, tuple([steps[node].node for node in alive if steps[node].size is None])
    place = {node: number for number, node in enumerate(graph.order)}
    alive.sort(key=lambda node: (schedule.ends[node], schedule.starts[node], place[node]))
    reads = {node: _reads(graph, steps, node) for node in alive}
    left: dict[int, int] = dict.fromkeys(refs_in(graph.target), 1)
    for need in (need for needs in reads.values() for need in needs):
        left[need] = left.get(need, 0) + 1
    size = {node: steps[node].size or 0 for node in alive}
    now = peak = 0
    for node in alive:
        now += size[node]
        peak = max(peak, now)
        for need in (*reads[node], *([] if left.get(node) else [node])):
            left[need] = left.get(need, 0) - 1
            if left[need] <= 0:
                now -= size.get(need, 0)
    return peak, tuple([steps[node].node for node in graph.order if node in size and steps[node].size is None])


def _reads(graph: Graph, steps: Mapping[int, Step], node: int) -> Sequence[int]:
    """Return the nodes whose values a node would read: one that is stored reads nothing."""
    return () if steps[node].status == "stored" else tuple(dict.fromkeys(may_need(graph, node)))
