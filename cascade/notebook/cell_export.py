"""`%%cascade task` cells → functions with inputs and results, as people write them by hand.

In: the task cells of a session. Out: cells of plain Python, and what their names stand for. Invariant: a function does
what its cell does with the same inputs; only what the cell merely shows is left out.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from cascade.notebook.cell_body import CellTask
from cascade.notebook.session import Session
from cascade.tools.export_source import Cell

__all__ = ["TaskCells", "indent", "read_task_cells"]

_SHOWS_ONLY = frozenset({"head", "tail", "describe", "sample"})


@dataclass(frozen=True, slots=True)
class TaskCells:
    """The task cells of a notebook, written as functions.

    Args:
        cells: givers before those that read from them. names: what each of their names stands for.
        results: by the name of a task cell, the expression that is its result.
    """

    cells: tuple[Cell, ...]
    names: dict[str, Any]
    results: dict[str, str]


def read_task_cells(session: Session) -> TaskCells:
    """Write the task cells of `session` as they are now.

    Raises:
        CellError: when they do not fit together.
    """
    from cascade.notebook.cell_runner import make_lazies

    book, known = session.cells, session.shell.user_ns
    if not book.tasks:
        return TaskCells((), {}, {})
    order = book.closure(book.tasks, known)
    lazies = make_lazies(book, [task.name for task in order], known, session.shell.compile.flags)
    taken = {*known, *(name for task in order for name in (*task.gives, *task.flow.reads, *task.flow.gives))}
    kit = next((name for name, value in known.items() if isinstance(value, ModuleType) and value.__name__ == "cascade"
                and not name.startswith("_")), "")  # fmt: skip
    names: dict[str, Any] = {}
    results: dict[str, str] = {}
    cells: list[Cell] = []
    for task in order:
        function = task.name if task.name not in taken else f"{task.name}_cell"
        inputs = list(book.inputs_of(task, known).givers)
        whole = task.gives[0] if len(task.gives) == 1 else f"{task.name}_results"
        results[task.name] = whole
        lazy = lazies[task.name]
        names[function], names[whole] = lazy._task, lazy  # noqa: SLF001 - stands for what the module will have
        if len(task.gives) > 1:
            names.update({name: lazy[name] for name in task.gives})
        text = _write(task, function, inputs, whole, kit or "cs")
        cells.append(Cell(f"the task cell '{task.name}'", text if kit else f"import cascade as cs\n{text}"))
    return TaskCells(tuple(cells), names, results)


def _write(task: CellTask, function: str, inputs: Iterable[str], whole: str, kit: str) -> str:
    """Return imports, the function, and the call that gives the results their names."""
    source = task.source.strip("\n")
    tree = ast.parse(source)
    lines = source.splitlines()
    imports = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    last = tree.body[-1] if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    dropped = [*imports, *([last] if last is not None and _is_only_shown(last, task) else [])]
    for node in dropped:
        for number in range(node.lineno - 1, node.end_lineno or node.lineno):
            lines[number] = "" if _stands_alone(node, tree) else lines[number]
    body = _squeeze("\n".join(lines))
    if last is not None and last in dropped and not task.gives:
        body = f"{body}\n\nreturn {ast.get_source_segment(source, last.value)}".strip()
    elif len(task.gives) == 1:
        body = f"{body}\nreturn {task.gives[0]}"
    elif task.gives:
        pairs = ", ".join(f'"{name}": {name}' for name in task.gives)
        body = f"{body}\nreturn {{{pairs}}}"
    options = [f'name="{task.name}"'] if function != task.name else []
    options += ["pure=True"] if task.pure else []
    given = ", ".join(inputs)
    head = [ast.get_source_segment(source, node) or ast.unparse(node) for node in imports]
    made = [
        *head,
        f"@{kit}.task({', '.join(options)})" if options else f"@{kit}.task",
        f"{'async ' if task.is_async else ''}def {function}({given}):",
        indent(body or "pass"),
        f"{whole} = {function}({given})",
    ]
    if len(task.gives) > 1:
        made += [f'{name} = {whole}["{name}"]' for name in task.gives]
    return "\n".join(made) + "\n"


def _is_only_shown(last: ast.Expr, task: CellTask) -> bool:
    """Whether the last expression of a cell is there to be looked at, and does nothing else."""
    if not task.gives:
        return True
    value = last.value
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Attribute) and value.func.attr in _SHOWS_ONLY
    return not any(isinstance(each, (ast.Call, ast.Await, ast.NamedExpr)) for each in ast.walk(value))


def _stands_alone(node: ast.stmt, tree: ast.Module) -> bool:
    """Whether no other statement has a part of its lines."""
    own = range(node.lineno, (node.end_lineno or node.lineno) + 1)
    return not any(other is not node and other.lineno in own for other in tree.body)


def _squeeze(text: str) -> str:
    """Take out the empty lines that dropped lines leave at both ends, and runs of them in the middle."""
    lines = text.strip("\n").splitlines()
    kept = [line for place, line in enumerate(lines) if line.strip() or (place and lines[place - 1].strip())]
    return "\n".join(kept)


def indent(code: str) -> str:
    r"""Indent code by four spaces; what stands in texts of several lines stays as it is.

    Example:
        >>> indent("if x:\n    y = 1")
        '    if x:\n        y = 1'
    """
    inside: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.STRING or tokenize.tok_name[token.type] == "FSTRING_MIDDLE":
            inside.update(range(token.start[0] + 1, token.end[0] + 1))
    lines = code.splitlines()
    return "\n".join(f"    {line}" if line and number not in inside else line for number, line in enumerate(lines, 1))
