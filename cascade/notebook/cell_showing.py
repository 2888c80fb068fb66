"""The value of a task cell → what a person wrote: names with their values, and the last expression as it is.

In: a run and a value that a node of it gave. Out: the document's ``result``, as `preview` makes it. Invariant: a value
that no task cell gave is shown as it is; what is shown grows with no value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from cascade.graph.model import Ref
from cascade.notebook.plain import plain, plural
from cascade.notebook.preview import preview

if TYPE_CHECKING:
    from cascade.notebook.cell_body import CellTask

__all__ = ["MARK", "preview_node", "preview_result", "tell_shown"]

MARK: Final = "__cascade_cell__"  # of the function of a task cell: the cell
MOST_NAMES: Final = 8
LONGEST: Final = 100


def preview_result(
    run: Any, value: object, redact: Callable[[str], str] = str, *, table: bool = True
) -> dict[str, Any]:
    """Return how the value of a run looks.

    Args:
        redact: takes secrets out of a text. table: False where the value itself is shown beside it.
    """
    target = getattr(getattr(run, "graph", None), "target", None)
    if type(target) is Ref and not target.path:
        return preview_node(run.graph, target.index, value, redact, table=table)
    return preview(value, redact, table=table)


def preview_node(
    graph: Any, node: int, value: object, redact: Callable[[str], str] = str, *, table: bool = True
) -> dict[str, Any]:
    """Return how the value of a node looks: of a task cell, the value of its last expression and its names."""
    cell = _cell_of(graph, node)
    if cell is None:
        return preview(value, redact, table=table)
    from cascade.notebook.cell_body import SHOWN  # needs IPython, as every cell does

    names, shown = cell.unwrap(value)
    has_value = bool(cell.shows) and not (shown is None and cell.shows == SHOWN)  # as for the shell, None is nothing
    lines = [_line(name, each, redact) for name, each in list(names.items())[:MOST_NAMES] if name != cell.shows]
    lines += [f"and {plural(len(names) - MOST_NAMES, 'more name')}"] if len(names) > MOST_NAMES else []
    if has_value or not names:
        made = preview(shown, redact, table=table)
        return {**made, "text": "\n".join([made["text"], *lines])}
    if len(names) == 1:
        made = preview(next(iter(names.values())), redact, table=table)
        if made["table"] is not None or made.get("picture"):
            return {**made, "type": f"{next(iter(names))}: {made['type']}"}
    return {"type": "", "text": "\n".join(lines), "table": None}


def tell_shown(graph: Any, node: int, table: dict[str, Any]) -> dict[str, Any]:
    """Return the table of keys and values of a node, with words for the last expression of a task cell."""
    if _cell_of(graph, node) is None:
        return table
    from cascade.notebook.cell_body import SHOWN

    rows = [["(last expression)", *row[1:]] if row[:1] == [SHOWN] else row for row in table["rows"]]
    return {**table, "rows": rows}


def _line(name: str, value: object, redact: Callable[[str], str]) -> str:
    from cascade.notebook.cell_values import Absent

    if isinstance(value, Absent):
        return f"{name}: not assigned, line {value.line} was not reached" if not value.closed else f"{name}: closed"
    made = preview(value, redact, table=False)
    first = made["text"].partition("\n")[0]
    return plain(f"{name} = {first}", LONGEST)


def _cell_of(graph: Any, node: int) -> CellTask | None:
    calls: Any = getattr(graph, "calls", ())
    function = getattr(getattr(calls[node], "_task", None), "func", None) if node < len(calls) else None
    attributes: Mapping[str, Any] = getattr(function, "__dict__", {})
    return attributes.get(MARK)
