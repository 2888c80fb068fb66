"""Target → what would run, in which order, without running it.

In: a target, perhaps values and capacities. Out: a `DryRun`, shown and returned. Invariant: runs nothing, opens
nothing; what stops a run before it starts stops the preview with the same error.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Final
from unicodedata import east_asian_width

from cascade.messaging.bus import messaging_bus
from cascade.messaging.renderer import ConsoleRenderer, one_line

if TYPE_CHECKING:
    from cascade.graph.model import Graph, Node

__all__ = ["DryRun", "Step", "dry_run", "preview"]

MOST_SHOWN: Final = 200  # rows; `rows` has all of them
_WIDEST: Final = 48  # characters of a cell
_MOST_NEEDS: Final = 4  # names in a cell
_LONGEST_PATH: Final = 8  # names in a line


@dataclass(frozen=True, slots=True)
class Step:
    """One node of a preview.

    Args:
        step: place in the order, from 1; with enough workers, several steps run at the same time.
        node: its id. kind: ``task``, ``map`` or ``route``. mode: where it runs, empty for routes.
        needs: ids of the nodes that it may wait for. capacity: what it takes, None for an amount that only the run
            will know. priority: nodes on the longest path from here to the end; more goes first.
        note: retries, timeouts, resources, conditions.
    """

    step: int
    node: str
    kind: str
    mode: str
    needs: tuple[str, ...]
    capacity: Mapping[str, float | None]
    priority: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class DryRun:
    """What would run; ``str()`` and a notebook show it as a table.

    Args:
        name: of the graph. rows: the steps, in the order in which they would start on one worker.
        params: a preview of each Param's and Env's value, or what is missing. capacities: as given.
        path: ids of the longest path: no number of workers makes the run shorter than it.
    """

    name: str
    rows: tuple[Step, ...]
    params: Mapping[str, str] = field(default_factory=dict)
    capacities: Mapping[str, float] = field(default_factory=dict)
    path: tuple[str, ...] = ()
    _shown_in: list[int] = field(default_factory=list, repr=False, compare=False)

    @property
    def order(self) -> list[str]:
        """Node ids in the order in which they would start on one worker."""
        return [row.node for row in self.rows]

    def __len__(self) -> int:
        """How many nodes would run."""
        return len(self.rows)

    def __str__(self) -> str:
        """Return the table as text, a line for each step."""
        return "\n".join(_lines(self))

    def _repr_html_(self) -> str:
        """Return the table for a notebook."""
        from cascade.graph.markup import element

        head, body = _table(self)
        style = "text-align:left;padding:2px 12px 2px 0;vertical-align:top;white-space:pre-wrap"
        titles = [element("th", {"style": style, "scope": "col"}, cell) for cell in head]
        lines = [element("tr", None, *[element("td", {"style": style}, cell) for cell in row]) for row in body]
        parts = [element("caption", {"style": "text-align:left;font-weight:600;padding:4px 0"}, _title(self))]
        parts += [element("thead", None, element("tr", None, *titles)), element("tbody", None, *lines)]
        below = [element("div", {"style": "padding:2px 0"}, line) for line in _below(self)]
        return str(element("div", None, element("table", None, *parts), *below))

    def _ipython_display_(self) -> None:
        """Show the table, unless `dry_run` has just shown it in this very cell."""
        shell = _notebook()
        if shell is not None and self._shown_in and self._shown_in.pop() == shell.execution_count:
            return
        self._display()

    def _display(self) -> None:
        from IPython.display import display

        display({"text/html": self._repr_html_(), "text/plain": str(self)}, raw=True)


def dry_run(
    target: object,
    params: Mapping[str, Any] | None = None,
    system_resources: Mapping[str, float] | None = None,
) -> DryRun:
    """Show what a run of `target` would do, and return it as data.

    Args:
        target: what `run` takes. params, system_resources: as for `run`; what is given is checked, what is left out
            is not asked for.

    Raises:
        ParamError, CapacityError, GraphError, NotLazyError: what `run` would raise.

    Example:
        >>> import cascade as cs
        >>> @cs.task
        ... def inc(x): return x + 1
        >>> plan = cs.dry_run(inc(inc(cs.Param("x", default=1))))
        inc: 2 nodes would run
        step  node   kind  mode      needs  priority
           1  inc    task  blocking                2
           2  inc#2  task  blocking  inc           1
        with x 1
        longest path: inc, inc#2
        >>> plan.order
        ['inc', 'inc#2']
    """
    plan = preview(target, params, system_resources)
    _show(plan)
    return plan


def preview(
    target: object, params: Mapping[str, Any] | None = None, system_resources: Mapping[str, float] | None = None
) -> DryRun:
    """Return what `dry_run` shows, without showing it."""
    from cascade.graph.build import build
    from cascade.graph.check import check_amounts, check_capacities
    from cascade.graph.model import Graph

    graph = target if isinstance(target, Graph) else build(target)
    nodes = dict(zip(graph.order, graph.nodes, strict=False))  # the Params and Envs follow
    if system_resources is not None:
        check_amounts(graph, system_resources)
    rows = tuple([_step(graph, place, i, nodes[i]) for place, i in enumerate(_start_order(graph), 1)])
    return DryRun(graph.name, rows, _inputs(graph, params), check_capacities(system_resources), _longest_path(graph))


def _start_order(graph: Graph) -> list[int]:
    """Return node numbers as one worker would start them: of those whose needs are met, the highest first."""
    from cascade.graph.order import may_need

    heights, count = graph.heights, len(graph)
    place = {node: number for number, node in enumerate(graph.order)}
    needs = [set(may_need(graph, i)) for i in range(count)]
    users: list[list[int]] = [[] for _ in range(count)]
    for i, sources in enumerate(needs):
        for j in sources:
            users[j].append(i)
    left = [len(sources) for sources in needs]
    ready: list[tuple[int, int, int]] = []
    for i in range(count):
        if not left[i]:
            heappush(ready, (-heights[i], place[i], i))
    order: list[int] = []
    while ready:
        node = heappop(ready)[2]
        order.append(node)
        for user in users[node]:
            left[user] -= 1
            if not left[user]:
                heappush(ready, (-heights[user], place[user], user))
    return order


def _step(graph: Graph, place: int, i: int, node: Node) -> Step:
    from cascade.graph.model import InputRef, Ref
    from cascade.graph.order import may_need

    amounts = graph.amounts.get(i, {}).items()
    capacity: dict[str, Any] = {name: None if isinstance(slot, (Ref, InputRef)) else slot for name, slot in amounts}
    needs = tuple([graph.ids[j] for j in dict.fromkeys(may_need(graph, i))])
    return Step(place, node.id, node.kind, node.mode, needs, capacity, graph.heights[i], _note(graph, i))


def _note(graph: Graph, i: int) -> str:
    say = messaging_bus.text
    options = graph.options(i)
    parts: list[str] = []
    if options is not None:
        if options.retry is not None and options.retry.max_attempts > 1:
            parts.append(say("plan.tries", count=options.retry.max_attempts))
        if options.timeout is not None:
            parts.append(say("plan.timeout", seconds=options.timeout))
    if i in graph.resources:
        parts.append(say("plan.uses", names=graph.resources[i]))
    if i in graph.gates:
        parts.append(say("plan.condition"))
    if i in graph.routes:
        parts.append(say("plan.routes", keys=[str(key) for key in graph.routes[i].branches]))
    if i in graph.fallbacks:
        parts.append(say("plan.fallback"))
    return " · ".join(parts)


def _inputs(graph: Graph, params: Mapping[str, Any] | None) -> dict[str, str]:
    """Return a preview of each input: its value when `params` is given, else its default."""
    import os

    from cascade.graph.check import read_inputs

    if params is not None:
        return {item.name: item.preview(value) for item, value in read_inputs(graph, params, os.environ).items()}
    missing = messaging_bus.text("plan.required")
    return {i.name: missing if i.required else i.preview(i.default) for i in (*graph.params, *graph.envs)}


def _longest_path(graph: Graph) -> tuple[str, ...]:
    """Return the ids along one longest path, from its start."""
    from cascade.graph.order import may_need

    heights = graph.heights
    users: dict[int, list[int]] = {}
    for i in range(len(graph)):
        for j in may_need(graph, i):
            users.setdefault(j, []).append(i)
    node = max(graph.order, key=heights.__getitem__)
    path = [graph.ids[node]]
    while heights[node] > 1:
        node = next(user for user in users[node] if heights[user] == heights[node] - 1)
        path.append(graph.ids[node])
    return tuple(path)


# -- showing --------------------------------------------------------------------------------------------------------


def _show(plan: DryRun) -> None:
    """Show the plan once: as HTML in a notebook cell, else as lines on standard output."""
    shell = _notebook()
    if shell is not None:
        plan._display()  # noqa: SLF001
        plan._shown_in.append(shell.execution_count)  # noqa: SLF001
        return
    renderer = None if messaging_bus.has_own_renderer else ConsoleRenderer(sys.stdout)
    messenger = messaging_bus.derive("INFO", renderer)
    head, *rows = _lines(plan)[1:]
    messenger.info("plan.title", name=plan.name, nodes=len(plan))
    messenger.info("plan.head", line=head)
    for line in rows:
        messenger.info("plan.row", line=line)


def _notebook() -> Any:
    """Return the shell of a kernel when there is one."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return shell if getattr(shell, "kernel", None) is not None else None


def _title(plan: DryRun) -> str:
    return one_line(messaging_bus.text("plan.title", name=plan.name, nodes=len(plan)))


def _below(plan: DryRun) -> list[str]:
    say = messaging_bus.text
    lines = [say("plan.more", count=len(plan) - MOST_SHOWN)] if len(plan) > MOST_SHOWN else []
    if plan.params:
        lines.append(say("plan.inputs", params=plan.params))
    if plan.capacities:
        lines.append(say("plan.capacities", capacities=plan.capacities))
    if len(plan.path) > 1:
        path = plan.path if len(plan.path) <= _LONGEST_PATH else (*plan.path[:3], "…", *plan.path[-3:])
        lines.append(say("plan.path", path=path, count=len(plan.path)))
    return [one_line(line) for line in lines]


def _table(plan: DryRun) -> tuple[list[str], list[list[str]]]:
    """Return the column titles and the cells of the rows that are shown; columns without any text are left out."""
    words = ("step", "node", "kind", "mode", "needs", "capacity", "priority", "notes")
    head = [messaging_bus.text(f"plan.{word}") for word in words]
    body = [_cells(row) for row in plan.rows[:MOST_SHOWN]]
    kept = [i for i in range(len(head)) if any(row[i] for row in body)]
    return [head[i] for i in kept], [[row[i] for i in kept] for row in body]


def _cells(row: Step) -> list[str]:
    amounts = [f"{name} …" if amount is None else f"{name} {amount:g}" for name, amount in row.capacity.items()]
    needs = (
        [*row.needs[:_MOST_NEEDS], f"+{len(row.needs) - _MOST_NEEDS}"] if len(row.needs) > _MOST_NEEDS else row.needs
    )
    cells = [str(row.step), row.node, row.kind, row.mode, ", ".join(needs), ", ".join(amounts)]
    return [_short(cell) for cell in (*cells, str(row.priority), row.note)]


def _short(text: str) -> str:
    text = one_line(text)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _lines(plan: DryRun) -> list[str]:
    """Return title, column titles, rows and what stands below, aligned."""
    head, body = _table(plan)
    numbers = {messaging_bus.text("plan.step"), messaging_bus.text("plan.priority")}
    widths = [max(map(_columns, column)) for column in zip(head, *body, strict=True)]
    lines = [_title(plan)]
    for row in (head, *body):
        cells = [
            _pad(cell, width, to_right=head[i] in numbers)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return [*lines, *_below(plan)]


def _pad(text: str, width: int, *, to_right: bool) -> str:
    space = " " * (width - _columns(text))
    return f"{space}{text}" if to_right else f"{text}{space}"


def _columns(text: str) -> int:
    """Return how many columns of a terminal `text` takes: wide characters take two."""
    return len(text) if text.isascii() else sum(2 if east_asian_width(char) in "WF" else 1 for char in text)
