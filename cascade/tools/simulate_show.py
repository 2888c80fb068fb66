"""Simulation → text, and what can be told of a trace node by node.

In: a scene and its trace. Out: a chart of at most `MOST_SHOWN` lines, a `Schedule`, the critical path, a bound.
Invariant: what is shown has the same size for a hundred nodes and for a million.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import nsmallest
from math import ceil, floor, isnan, nan
from typing import TYPE_CHECKING, Final
from unicodedata import east_asian_width

from cascade.graph.build import refs_in
from cascade.graph.schedule import Schedule, find_waits, longest_paths
from cascade.messaging.catalogue import in_seconds
from cascade.messaging.renderer import one_line
from cascade.tools.simulate_terms import WINDOW

if TYPE_CHECKING:
    from cascade.tools.simulate import Simulation
    from cascade.tools.simulate_terms import Scene, Trace, Workers

__all__ = ["MOST_SHOWN", "as_text", "find_critical_path", "least_seconds", "make_schedule"]

MOST_SHOWN: Final = 50  # rows; `schedule` has all of them
_CHART: Final = 40  # characters
_WIDEST: Final = 32  # characters of a name
_LONGEST_PATH: Final = 8  # names in a line
_CRITICAL, _OTHER, _INSTANT = "█", "▒", "│"


# -- node by node ---------------------------------------------------------------------------------------------------


def make_schedule(scene: Scene, trace: Trace, utilisation: Mapping[str, float]) -> Schedule:
    """Return when each node starts first and ends last, in seconds."""
    count = len(scene.graph)
    starts, ends = [nan] * count, [nan] * count
    for number, node in enumerate(trace.node):
        if isnan(starts[node]):
            starts[node] = trace.start[number]
            ends[node] = trace.end[number]
        elif trace.end[number] > ends[node]:
            ends[node] = trace.end[number]
    for node, moment in trace.instants.items():
        if isnan(starts[node]):
            starts[node] = ends[node] = moment
    return Schedule(tuple(starts), tuple(ends), trace.makespan, utilisation, find_critical_path(trace))


def find_critical_path(trace: Trace) -> tuple[int, ...]:
    """Return node numbers; each starts when the one before it ends, and the last ends with the run."""
    if not trace.end:
        return ()
    path: list[int] = []
    number = trace.end.index(trace.makespan)
    while number >= 0:
        node = trace.node[number]
        if not path or path[-1] != node:
            path.append(node)
        number = trace.cause[number]
    path.reverse()
    return tuple(path)


def least_seconds(scene: Scene, workers: Workers, trace: Trace) -> float:
    """Return seconds below which no order gets: the longest path, and the work that each capacity and worker carries.

    Only what ran counts. Where attempts fail, whose delays nobody can use for sure, it is 0.
    """
    graph = scene.graph
    if scene.failures:
        return 0.0
    waits, seconds = _what_ran(scene, trace)
    wall, work = list(seconds), list(seconds)
    for node, items in scene.items.items():
        most = (1, workers.threads, WINDOW, workers.processes)[graph.modes[node]]
        most = min(most, items, graph.calls[node]._max_concurrency or items)  # noqa: SLF001 - as the engine reads it
        for name, amount in scene.amounts.get(node, ()):
            most = min(most, floor(scene.capacities[name] / amount + 1e-9))
        wall[node] = seconds[node] * ceil(items / max(1, most))
        work[node] = seconds[node] * items
    return max([*longest_paths(waits, wall), _longest_queue(scene, workers, work)])


def _what_ran(scene: Scene, trace: Trace) -> tuple[list[Sequence[int]], list[float]]:
    """Return who waits for whom, and the seconds of each node, of what ran; the rest is nothing."""
    graph = scene.graph
    waits, seconds = find_waits(graph), list(scene.seconds)
    if scene.closed or graph.routes or graph.fallbacks:
        ran = {*trace.node, *trace.instants}
        for node in set(range(len(graph))) - ran:
            waits[node], seconds[node] = (), 0.0
        for node, slot in scene.routes.items():
            waits[node] = [*refs_in(graph.routes[node].selector), *refs_in(slot)] if node in ran else ()
        for node in graph.fallbacks.keys() & ran:
            waits[node] = graph.needs_of(node)
    return waits, seconds


def _longest_queue(scene: Scene, workers: Workers, work: Sequence[float]) -> float:
    """Return the seconds of the capacity, or the kind of worker, that has most to carry."""
    carried: dict[str, float] = {}
    for node, pairs in scene.amounts.items():
        for name, amount in pairs:
            carried[name] = carried.get(name, 0.0) + amount * work[node]
    by_mode = [0.0] * 4
    for mode, each in zip(scene.graph.modes, work, strict=True):
        by_mode[mode] += each
    inline, threads, _, processes = by_mode
    queues = [inline, *(total / scene.capacities[name] for name, total in carried.items())]
    if workers.shared:
        return max(*queues, (threads + processes) / workers.threads)
    return max(*queues, threads / workers.threads, processes / workers.processes)


# -- text -----------------------------------------------------------------------------------------------------------


def as_text(made: Simulation) -> str:
    """Return the chart, with what decides the length and the remarks."""
    return "\n".join([_title(made), *_chart(made), *_below(made)])


def _title(made: Simulation) -> str:
    count = len(made.graph)
    within = [f"{name} {amount:g}" for name, amount in made.capacities.items()]
    if made.tells_workers:
        within.append(_staff(made.workers))
    nodes = "1 node" if count == 1 else f"{count:,} nodes"
    text = f"{made.graph.name}, simulated: {nodes} in {in_seconds(made.makespan)}"
    return one_line(f"{text}, within {', '.join(within)}" if within else text)


def _staff(workers: Workers) -> str:
    if workers.shared:
        return "1 worker" if workers.threads == 1 else f"{workers.threads:,} workers"
    return f"threads {workers.threads:,}, processes {workers.processes:,}"


def _chart(made: Simulation) -> list[str]:
    """Return a header and a line for each node, in the order of their starts."""
    schedule = made.schedule
    starts, ends, items = schedule.starts, schedule.ends, made.scene.items
    place = {node: number for number, node in enumerate(made.graph.order)}
    ran = [node for node in made.graph.order if not isnan(starts[node])]
    order = nsmallest(MOST_SHOWN, ran, key=lambda node: (starts[node], ends[node], place[node]))
    critical = set(schedule.critical_path)
    rows = [("node", "start", "end", "")]
    for node in order:
        bar = _bar(starts[node], ends[node], schedule.makespan, _CRITICAL if node in critical else _OTHER)
        count = f" ×{items[node]:,}" if node in items else ""
        rows.append((_short(made.graph.ids[node]) + count, in_seconds(starts[node]), in_seconds(ends[node]), bar))
    widths = [max(_columns(row[column]) for row in rows) for column in range(3)]
    lines = []
    for name, start_text, end_text, bar in rows:
        padded = name + " " * (widths[0] - _columns(name))
        lines.append(f"{padded}  {start_text:>{widths[1]}}  {end_text:>{widths[2]}}  {bar}".rstrip())
    if len(ran) > MOST_SHOWN:
        lines.append(f"… and {len(ran) - MOST_SHOWN:,} more; .schedule has them all")
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
    lines = [f"decided by: {', '.join(map(_short, shown))}"] if path else []
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
