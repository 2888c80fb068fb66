"""Target and store → what a run would compute, what is stored, and how long that would take.

In: what `run` takes. Out: an `Outlook`. Invariant: runs nothing and writes nothing; what cannot be known before the run
(whether a changed upstream gives the same value) is said to be unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cascade.graph.build import refs_in, slots_in
from cascade.graph.check import check_amounts
from cascade.graph.model import ROUTE, Ref
from cascade.graph.order import may_need
from cascade.graph.schedule import make_schedule
from cascade.messaging.catalogue import in_seconds
from cascade.runtime.run import open_store, secret_of

if TYPE_CHECKING:
    from cascade.graph.model import Graph
    from cascade.graph.schedule import Schedule
    from cascade.runtime.flow import Flow
    from cascade.runtime.rebuilder import Rebuilder

__all__ = ["Outlook", "Step", "plan"]

Status = Literal["run", "stored", "unknown", "not needed"]
UNKNOWN_SECONDS = 0.0  # of a task that never ran: said to be unknown, and counted as nothing


@dataclass(frozen=True, slots=True)
class Step:
    """What would become of one node.

    Args:
        node: its id. status: ``run``; ``stored``; ``unknown``: it runs unless what it needs turns out to be the same;
            ``not needed``. seconds: what it took on average in earlier runs, None if it never ran.
        reason: why.
    """

    node: str
    status: Status
    seconds: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a run would do; ``str()`` is a table.

    Args:
        steps: a step for each node, needs first. schedule: when all would happen if everything unknown ran.
        graph: what would run. capacities: as given.
    """

    steps: tuple[Step, ...]
    schedule: Schedule
    graph: Graph
    capacities: Mapping[str, float]

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
        """For each capacity, the part of it that would be in use on average, from 0 to 1."""
        return self.schedule.utilisation

    def __getitem__(self, node: str) -> Step:
        """Return the step of a node by its id."""
        return {step.node: step for step in self.steps}[node]

    def __str__(self) -> str:
        """Return a table as text."""
        counts = {status: sum(step.status == status for step in self.steps) for status in ("run", "unknown", "stored")}
        told = ", ".join(f"{count:,} {_WORDS[status]}" for status, count in counts.items() if count)
        rows = [
            (_MARKS[s.status], s.node, "" if s.seconds is None else in_seconds(s.seconds), s.reason) for s in self.steps
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = ["  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[3]]).rstrip() for row in rows]
        lines.insert(0, f"{self.graph.name}: {told or 'nothing to do'}")
        if self.makespan:
            lines.append(f"about {in_seconds(self.makespan)}, decided by {' → '.join(self.critical_path)}")
        lines += [f"{name}: {part:.0%} in use" for name, part in self.utilisation.items()]
        return "\n".join(lines)

    def __repr__(self) -> str:
        """Show the table."""
        return str(self)


_WORDS = {"run": "would run", "unknown": "would run unless what they need turns out the same", "stored": "stored"}
_MARKS = {"run": "◐", "unknown": "◔", "stored": "◆", "not needed": "⊘"}


def plan(
    target: Any,
    params: Mapping[str, Any] | None = None,
    system_resources: Mapping[str, float] | None = None,
    *,
    cache: Any = None,
    resources: Iterable[Any] = (),
) -> Outlook:
    """Say what a run of `target` would compute, what is stored, and how long it would take by earlier runs.

    Args:
        target, params, system_resources, resources: as for `run`. cache: as for `run`; by default ``.cascade``.

    Raises:
        ParamError, CapacityError, ResourceError, GraphError, NotLazyError: what `run` would raise before it begins.

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
    from cascade.runtime.rebuilder import Rebuilder
    from cascade.runtime.run import lay_out

    store = open_store(True if cache is None else cache)
    flow = lay_out(target, params, system_resources, resources, Settings())
    rebuilder = Rebuilder(flow, store, is_fresh=False, secret=secret_of(store))
    rebuilder.look()
    steps = _Steps(flow, rebuilder).find()
    capacities = flow.core.ledger.capacity
    seconds = [0.0] * len(flow.graph)
    for node, step in steps.items():
        if step.status in {"run", "unknown"}:
            seconds[node] = step.seconds or UNKNOWN_SECONDS
    amounts = check_amounts(flow.graph, capacities)
    schedule = make_schedule(flow.graph, flow.core.rank, seconds, amounts, capacities)
    return Outlook(tuple([steps[node] for node in flow.graph.order]), schedule, flow.graph, dict(capacities))


class _Steps:
    """Finds the status of each node, needs first."""

    def __init__(self, flow: Flow, rebuilder: Rebuilder) -> None:
        self.graph = flow.graph
        self.rebuilder = rebuilder
        self.known = rebuilder.store.durations()
        self.wanted = self._find_wanted()

    def _find_wanted(self) -> set[int]:
        stack, seen = list(refs_in(self.graph.target)), set[int]()
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                if node not in self.rebuilder.recalled:
                    stack.extend(may_need(self.graph, node))
        return seen

    def find(self) -> dict[int, Step]:
        steps: dict[int, Step] = {}
        for node in self.graph.order:
            steps[node] = self._step(node, steps)
        return steps

    def _step(self, node: int, steps: Mapping[int, Step]) -> Step:
        graph, label = self.graph, self.graph.ids[node]
        task = getattr(graph.calls[node], "_task", None)
        mean = self.known.get(task.name) if task is not None else None
        seconds = mean[0] if mean else None
        if node not in self.wanted:
            return Step(label, "not needed", seconds, "what needs it is stored")
        entry = self.rebuilder.recalled.get(node) or self._look_up(node, steps)
        if entry is not None:
            self.rebuilder.keys.digests[node] = entry.digest
            return Step(label, "stored", seconds, f"made in run {entry.run_id}")
        if graph.kinds[node] == ROUTE:
            return Step(label, "run", None, "chooses when its selector is known")
        if node not in self.rebuilder.policies:
            return Step(label, "run", seconds, "it is not remembered")
        if self._is_known(node, steps):
            return Step(label, "run", seconds, self._why(node))
        above = next(steps[need].node for need in may_need(graph, node) if steps[need].status != "stored")
        return Step(label, "unknown", seconds, f"depends on what {above} gives")

    def _is_known(self, node: int, steps: Mapping[int, Step]) -> bool:
        return all(steps[need].status == "stored" for need in may_need(self.graph, node))

    def _look_up(self, node: int, steps: Mapping[int, Step]) -> Any:
        if node not in self.rebuilder.policies or not self._is_known(node, steps) or self._takes_parts(node):
            return None
        key, _ = self.rebuilder.keys.node_key(node)
        return self.rebuilder.store.find([key]).get(key) if key else None

    def _takes_parts(self, node: int) -> bool:
        """Whether the node takes items of values: these are known only when the values are."""
        slots = (*self.graph.args[node], *self.graph.kwargs.get(node, {}).values())
        return any(type(inner) is Ref and inner.path for slot in slots for inner in slots_in(slot))

    def _why(self, node: int) -> str:
        before = self.rebuilder.store.latest(self.graph.ids[node])
        return "code or inputs changed" if before is not None else "it has not run before"
