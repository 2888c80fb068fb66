"""What goes into a rehearsal and what comes out, as plain data.

In: nothing. Out: `Workers`, `Scene`, `Trace`. Invariant: the same scene with the same workers gives the same trace.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cascade.interfaces.exceptions import SettingError, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade.graph.check import Amounts
    from cascade.graph.model import Graph
    from cascade.spec.constraint import GlobalConstraint

__all__ = ["POOLS", "WINDOW", "Scene", "Trace", "Workers"]

POOLS: Final = ("inline", "thread", "loop", "process")  # by mode; what a lane is called
WINDOW: Final = 1000  # items of one async map that are alive at once, as on the engine's loop


@dataclass(frozen=True, slots=True)
class Workers:
    """How many calls there may be at the same time.

    Args:
        threads: blocking ones. processes: compute ones. shared: these are the same workers, as of an executor, so that
            `threads` of both may run. Async calls need no worker; inline ones are made by the run itself, one by one.
    """

    threads: int = 256
    processes: int = 1
    shared: bool = False

    @classmethod
    def of(cls, given: int | Mapping[str, int] | None) -> Workers:
        """Read ``workers=``: a number, numbers by kind, or None for a run's own on this machine.

        Raises:
            SettingError: when a number is below 1, or a kind is unknown.

        Example:
            >>> Workers.of(4)
            Workers(threads=4, processes=4, shared=True)
        """
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
        if given is None:
            return cls(cls.threads_of_a_run(), cores)
        if not isinstance(given, Mapping):
            number = _read_count("workers", given)
            return cls(number, number, shared=True)
        for kind in given:
            if kind not in {"threads", "processes"}:
                hint = nearest(str(kind), ("threads", "processes")) or " There are 'threads' and 'processes'."
                raise SettingError(f"workers= names '{kind}', which is no kind of worker.{hint}")
        threads = _read_count("workers['threads']", given.get("threads", cls.threads_of_a_run()))
        return cls(threads, _read_count("workers['processes']", given.get("processes", cores)))

    @staticmethod
    def threads_of_a_run() -> int:
        """Return how many threads a run hires at most."""
        from cascade.runtime.flow import Settings

        return Settings().max_threads

    @property
    def count(self) -> int:
        """Workers in all."""
        return self.threads if self.shared else self.threads + self.processes


def _read_count(what: str, given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise SettingError(f"{what} is {given!r}; it must be a whole number of at least 1.")
    return given


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that a rehearsal takes as given; the same scene gives the same trace.

    Args:
        graph: what would run. rank: place of each node in the queue. seconds: of one call of each node, or of one item
            of a map. items: how many items each map has. amounts: what each node, or item, takes of the capacities.
        closed: nodes whose condition is false. routes: the slot that each router gives. failures: how many attempts of
            a node, or of each item of it, fail first. limits: set from the beginning; `began` is when that is, in
            seconds since the epoch.
    """

    graph: Graph
    rank: Sequence[int]
    seconds: Sequence[float]
    items: Mapping[int, int] = field(default_factory=dict)
    amounts: Mapping[int, Amounts] = field(default_factory=dict)
    capacities: Mapping[str, float] = field(default_factory=dict)
    closed: frozenset[int] = frozenset()
    routes: Mapping[int, object] = field(default_factory=dict)
    failures: Mapping[int, int] = field(default_factory=dict)
    limits: tuple[GlobalConstraint, ...] = ()
    began: float = 0.0


@dataclass(frozen=True, slots=True)
class Trace:
    """What happened, attempt by attempt, in the order of their starts; times in seconds.

    Args:
        node, item: numbers; the item is -1 where the node is no map. start, end: of each attempt.
        cause: the attempt whose end let this one start, -1 for those that start with the run.
        failed: attempts that fail. instants: when nodes ended that are only decided: routes and fallbacks.
        lost: nodes that fail for good. work: amount times seconds of each capacity.
        busy, peak: by kind of worker, seconds and the most at the same time.
        waits: when a node began to wait, the node, for which capacity, and how many attempts had begun.
    """

    node: array[int]
    item: array[int]
    start: array[float]
    end: array[float]
    cause: array[int]
    failed: Mapping[int, int]
    instants: Mapping[int, float]
    lost: tuple[int, ...]
    work: Mapping[str, float]
    busy: tuple[float, ...]
    peak: tuple[int, ...]
    waits: tuple[tuple[float, int, str, int], ...]

    @property
    def makespan(self) -> float:
        """Seconds from the beginning of the first attempt to the end of the last."""
        return max(self.end, default=0.0)
