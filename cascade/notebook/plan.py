"""A graph → what would run, in which order, as text.

In: a graph, values of Params, capacities. Out: some lines. Invariant: runs nothing; everything that would stop a run
before it starts is raised here too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from cascade.notebook.plain import plain, plural

__all__ = ["describe_plan"]

_MOST = 40


def describe_plan(graph: Any, params: Mapping[str, Any], capacities: Mapping[str, float]) -> str:
    """Return one line for each node, in the order in which they would start.

    Raises:
        CascadeError: what `cs.run` would raise before it starts.
    """
    from cascade.graph.check import check_amounts, read_inputs

    values = read_inputs(graph, params, os.environ)
    check_amounts(graph, dict(capacities))
    runs = [node for node in graph.nodes if node.kind not in {"param", "env"}]
    lines = [f"{plural(len(runs), 'node')} would run, in this order:"]
    for number, node in enumerate(runs[:_MOST], 1):
        about = " · ".join(part for part in (node.mode, node.note) if part)
        lines.append(f"{number:>4}  {plain(node.name, 40)}{f'  ({about})' if about else ''}")
    if len(runs) > _MOST:
        lines.append(f"      and {plural(len(runs) - _MOST, 'more node')}")
    lines += [f"      {item.name} = {item.preview(value)}" for item, value in values.items()]
    return "\n".join(lines)
