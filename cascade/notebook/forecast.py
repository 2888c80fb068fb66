"""Values of Params → what a run with them would compute, and what that would cost.

In: a target, values, a store. Out: a `Forecast`. Invariant: nothing runs and nothing is written; whoever asks never
waits: of many questions the latest is answered, in a thread that ends when nobody asks any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cascade.notebook.plain import duration, listed, plural

if TYPE_CHECKING:
    from cascade.notebook.record import RunRecord
    from cascade.tools.plan import Outlook, Step

__all__ = ["Forecast", "Latest", "foresee", "from_outlook", "mark_nodes"]

MOST_MARKS: Final = 500  # more would make frames heavy; the line below the form has the count


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run would do.

    Args:
        marks: for each node that would run, by id, the words for it. count: how many there are. total: of how many.
        seconds: that the run would take by earlier runs. is_known: whether every one of them has run before.
        text: all of this in a line.
    """

    marks: Mapping[str, str] = field(default_factory=dict)
    count: int = 0
    total: int = 0
    seconds: float = 0.0
    is_known: bool = True
    text: str = ""


def foresee(
    target: Any, params: Mapping[str, Any], capacities: Mapping[str, float] | None, store: Any, **settings: Any
) -> Forecast:
    """Return what a run of `target` would do.

    Args:
        store: where results are kept; None: nowhere, so that all of it would run. settings: as `plan` takes them.

    Raises:
        CascadeError: what the run would raise before it begins.
    """
    from cascade.adapters.caching.memory import MemoryCache
    from cascade.tools.plan import plan

    return from_outlook(plan(target, params, capacities, cache=MemoryCache() if store is None else store, **settings))


def from_outlook(outlook: Outlook) -> Forecast:
    """Return the forecast that a plan makes.

    Routes choose and cost nothing, so they do not count; neither does what nobody needs.
    """
    from cascade.graph.model import ROUTE

    graph = outlook.graph
    kinds = dict(zip(graph.ids, graph.kinds, strict=True))
    steps = [step for step in outlook.steps if kinds[step.node] != ROUTE]
    ahead = [step for step in steps if step.status in {"run", "unknown"}]
    marks = {step.node: _mark(step) for step in ahead[:MOST_MARKS]}
    unknown = [step.node for step in ahead if step.seconds is None]
    unsure = sum(step.status == "unknown" for step in ahead)
    text = _tell(len(ahead), len(steps), outlook.makespan, unknown, unsure)
    always = [step.node for step in ahead if step.reason == "it is not remembered"]
    if always and len(always) < len(steps):
        text += f"; {listed(always)} {'is' if len(always) == 1 else 'are'} not pure and {_always(len(always))}"
    return Forecast(marks, len(ahead), len(steps), outlook.makespan, not unknown, text)


def _mark(step: Step) -> str:
    """Return ``run ~2.1 s``, or ``run? ~2.1 s`` where it depends on a value: short enough for a box of the graph."""
    is_unsure = step.status == "unknown"
    if step.seconds is None:
        return "may run" if is_unsure else "would run"
    return f"{'run?' if is_unsure else 'run'} ~{_short(step.seconds)}"


def _short(seconds: float) -> str:
    if seconds < 0.095:  # noqa: PLR2004 - what rounds to 100 ms and more is told in seconds
        return f"{max(1, round(1000 * seconds))} ms"
    return f"{seconds:.1f} s" if seconds < 10 else duration(seconds)  # noqa: PLR2004 - a place after the point


def _always(count: int) -> str:
    return "runs each time" if count == 1 else "run each time"


def _tell(count: int, total: int, seconds: float, unknown: list[str], unsure: int) -> str:
    """Return ``3 of 12 nodes would run, about 2.1 s``."""
    if not count:
        return "nothing would run: all of it is stored"
    told = f"{'up to ' if unsure else ''}{count:,} of {plural(total, 'node')} would run"
    if len(unknown) == count:
        return f"{told}; what that takes is not known yet"
    told += f", about {duration(seconds)}"
    return f"{told} and {listed(unknown)}, which never ran" if unknown else told


def mark_nodes(record: RunRecord, marks: Mapping[str, str]) -> None:
    """Mark the nodes in `marks`, and only those; a box that stands for many tells how many of them. Under its lock."""
    boxes: dict[str, list[str]] = {}
    for node, text in marks.items():
        if node in record.units:
            boxes.setdefault(record.units[node].box.id, []).append(text)
    for unit in record.units.values():
        own = boxes.get(unit.box.id, [])
        record.mark(unit.id, f"{len(own):,} would run" if len(own) > 1 else own[0] if own else "")


class Latest:
    """Does the newest of the jobs that it is given, one at a time, in a thread that lives while there are any.

    Args:
        name: of the thread. fault: told what a job raised.
    """

    def __init__(self, name: str, fault: Callable[[Exception], None]) -> None:
        """Start nothing yet."""
        self._name = name
        self._fault = fault
        self._lock = threading.Lock()
        self._next: Callable[[], None] | None = None
        self._is_busy = False

    def ask(self, job: Callable[[], None]) -> None:
        """Do `job` next; one that was waiting is forgotten. Any thread may ask, and none waits."""
        with self._lock:
            self._next = job
            if self._is_busy:
                return
            self._is_busy = True
        threading.Thread(target=self._work, name=self._name, daemon=True).start()

    @property
    def is_waiting(self) -> bool:
        """Whether a newer job is there already, so that the present one need not tell what it found."""
        return self._next is not None

    def _work(self) -> None:
        while True:
            with self._lock:
                job, self._next = self._next, None
                if job is None:
                    self._is_busy = False
                    return
            try:
                job()
            except Exception as error:  # noqa: BLE001 - a job that fails must not end the thread for the next
                self._fault(error)
