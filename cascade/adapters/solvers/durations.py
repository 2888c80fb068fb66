"""What a user knows of durations → seconds for every node.

In: a mapping by name, or a function of a node. Out: seconds by node number. Invariant: every name that is given means a
node of the graph; every result is a finite number of at least 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from numbers import Real
from typing import TYPE_CHECKING

from cascade.graph.model import ROUTE
from cascade.interfaces.exceptions import SettingError, nearest

if TYPE_CHECKING:
    from cascade.graph.model import Graph, Node

__all__ = ["Durations", "find_durations", "read_durations"]

Durations = Mapping[str, float] | Callable[["Node"], float | None]
_MOST_TOLD = 10  # names in one error


def read_durations(graph: Graph, durations: Durations | None, default: float = 1.0) -> list[float]:
    """Return the seconds that each node takes.

    Args:
        durations: by id (``fit#2``), by what people call the node (``fit``), or by the name of its task; the closest of
            these counts. Or a function of a `Node`, which may return None. Seconds, at least 0.
        default: seconds of nodes of which nothing is said; routes take no time.

    Raises:
        SettingError: for names that no node has, with the nearest, and for what is no number of seconds.

    Example:
        >>> import cascade as cs
        >>> from cascade.graph.build import build
        >>> @cs.task
        ... def load(): return 1
        >>> read_durations(build([load(), load().named("again")]), {"load": 2.5, "again": 4})
        [2.5, 4.0]
    """
    standard = _seconds("default_duration", default)
    known = find_durations(graph, durations)
    return [
        (0.0 if graph.kinds[i] == ROUTE else standard) if seconds is None else seconds
        for i, seconds in enumerate(known)
    ]


def find_durations(graph: Graph, durations: Durations | None) -> list[float | None]:
    """Return the seconds that are said of each node, None where nothing is said.

    Raises:
        SettingError: as `read_durations`.
    """
    if durations is None:
        return [None] * len(graph)
    if isinstance(durations, Mapping):
        return _look_up(graph, durations)
    if not callable(durations):
        raise SettingError(
            f"durations= is a {type(durations).__name__}. Give a mapping of names to seconds, or a function of a node."
        )
    nodes = dict(zip(graph.order, graph.nodes, strict=False))  # the Params and Envs follow
    said = [durations(nodes[i]) for i in range(len(graph))]
    return [None if s is None else _seconds(f"The duration of '{graph.label(i)}'", s) for i, s in enumerate(said)]


def _look_up(graph: Graph, durations: Mapping[str, float]) -> list[float | None]:
    """Return what is said of each node: by its id, else by its label, else by the name of its task.

    Ids are worked out only if one is given that may be no label, as large graphs have many.
    """
    count = len(graph)
    labels = graph.labels
    tasks = [_task_name(graph, i) for i in range(count)]
    known = {*labels, *tasks} - {""}
    rare = [name for name in durations if name not in known or "#" in name]
    if rare:
        known.update(graph.ids)
        unknown = [name for name in rare if name not in known]
        if unknown:
            raise _unknown(unknown, known)
    seconds = {n: None if s is None else _seconds(f"The duration of '{n}'", s) for n, s in durations.items()}
    said = [seconds.get(label, seconds.get(task)) for label, task in zip(labels, tasks, strict=True)]
    own = dict(zip(graph.ids, range(count), strict=True)) if rare else {}
    for name in own.keys() & rare:
        said[own[name]] = seconds[name]
    return said


def _task_name(graph: Graph, i: int) -> str:
    return "" if graph.kinds[i] == ROUTE else str(graph.calls[i]._task.name)  # noqa: SLF001 - as in Graph.label


def _unknown(names: list[str], known: set[str]) -> SettingError:
    told = [f"durations= names '{name}', but no node is called that.{nearest(str(name), known)}" for name in names]
    more = [f"… and {len(told) - _MOST_TOLD} more"] if len(told) > _MOST_TOLD else []
    return SettingError("\n".join([*told[:_MOST_TOLD], *more]))


def _seconds(what: str, given: object) -> float:
    if isinstance(given, Real) and not isinstance(given, bool):
        try:
            seconds = float(given)
        except OverflowError:
            seconds = -1.0
        if isfinite(seconds) and seconds >= 0:
            return seconds
    shown = repr(given)
    shown = shown if len(shown) <= 60 else f"{shown[:56]}…"  # noqa: PLR2004 - as everywhere in errors
    raise SettingError(f"{what} is {shown}; it must be a finite number of seconds of at least 0.")
