"""Functions that know their inputs by name: Hamilton and pipefunc compose by parameter names, so each node is its own.

In: a workload. Out: one function a node, made from source text as if a person had typed it. Making them is preparation
and is not timed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.work import add, inc, total
from benchmarks.workloads import Workload

Functions = list[Callable[..., Any]]


def define(lines: list[str]) -> Functions:
    """Execute source text in a namespace that knows `work`."""
    namespace: dict[str, Any] = {"add": add, "inc": inc, "total": total}
    known = set(namespace)
    code = compile("\n".join(lines), "<benchmark>", "exec", dont_inherit=True)
    exec(code, namespace)  # noqa: S102 - our own text
    return [value for name, value in namespace.items() if name not in known and callable(value)]


def chain(workload: Workload) -> Functions:
    """n0 … : each reads the one before."""
    lines = ["def n0() -> int: return inc(0)"]
    lines += [f"def n{i}(n{i - 1}: int) -> int: return inc(n{i - 1})" for i in range(1, workload.size)]
    return define(lines)


def fan_in(workload: Workload) -> Functions:
    """Leaves, and one function with a parameter for each leaf."""
    numbers = range(workload.size)
    lines = [leaf_source(i, i) for i in numbers]
    return define([*lines, sink_source([f"n{i}" for i in numbers])])


def dag(workload: Workload) -> Functions:
    """The layered graph."""
    return define(dag_lines(workload))


def dag_lines(workload: Workload, first_leaf: int = 0) -> list[str]:
    """The source of the layered graph, a function a line."""
    lines = [leaf_source(i, i or first_leaf) for i in range(workload.width)]
    for i, (left, right) in enumerate(workload.parents, workload.width):
        names = f"n{left}: int, n{right}: int" if left != right else f"n{left}: int"
        lines.append(f"def n{i}({names}) -> int: return add(n{left}, n{right})")
    return [*lines, sink_source([f"n{i}" for i in workload.last_layer])]


def leaf_source(i: int, number: int) -> str:
    """A function that reads nothing: an input that many share is slow in both libraries."""
    return f"def n{i}() -> int: return inc({number})"


def sink_source(names: list[str]) -> str:
    """The function that reads many."""
    parameters = ", ".join(f"{name}: int" for name in names)
    return f"def sink({parameters}) -> int: return total([{', '.join(names)}])"
