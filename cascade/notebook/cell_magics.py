"""The body of a task cell in IPython's language → plain Python that means the same among the cell's own names.

In: the text below ``%%cascade task``. Out: its source, what of it is timed, and a shell with the cell's names.
Invariant: IPython runs the code of ``%time`` and the like among the names of the notebook, where the inputs of the cell
are not; so ``%time`` becomes a part of the cell, and ``%timeit`` gets the cell's names.
"""

from __future__ import annotations

import ast
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from cascade.interfaces.cell_errors import CellError
from cascade.notebook.cell import plain_source

__all__ = ["TIMED", "ShellHere", "Unfolded", "code_after_options", "measured_code", "timed", "unfold", "wrap_timed"]

TIMED: Final = "__cascade_timed__"
_SHOWN: Final = "_cascade_shown"
_MEASURES: Final = frozenset({"timeit", "prun"})
_APART: Final = frozenset({"capture", "memit", "mprun"})  # they run the code among the names of the notebook
_FIRST = re.compile(r"(?P<blank>(?:[ \t]*(?:#[^\n]*)?\n)*)%%(?P<name>\w+)[^\n]*")
_OPTIONS = re.compile(r"\A(?:\s*(?:-[nrpv]\s*\d+|-[tcqo]|--no-raise-error)(?=\s))*")


@dataclass(frozen=True, slots=True)
class Unfolded:
    """The body of a cell as plain Python.

    Attributes:
        source: the code, below an empty line in the place of the magic. lines: where ``%time`` stood.
        whole: whether ``%%time`` stood above all of it.
    """

    source: str
    lines: frozenset[int]
    whole: bool


def unfold(shell: Any, name: str, text: str) -> Unfolded:
    """Return the body of the cell `name` as plain Python.

    Raises:
        SyntaxError: with the cell's own line numbers. CellError: for a cell magic that a task cannot have.
    """
    whole = False
    while (first := _FIRST.match(text)) is not None and first["name"] in {"time", *_APART}:
        if first["name"] != "time":
            raise CellError.for_magic(name, first["name"], first["blank"].count("\n") + 2)
        whole = True
        text = f"{first['blank']}# {text[first.end('blank') :]}"
    source = plain_source(shell, text)
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return Unfolded(source, frozenset(), whole)  # whoever compiles it says what is wrong
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Expr) and _text_of(node.value, {"time"})]
    lines = source.splitlines()
    for node in found:
        line, code = lines[node.lineno - 1].encode(), _text_of(node.value, {"time"}).removeprefix("--no-raise-error")
        plain = shell.transform_cell(code.strip()).strip()
        lines[node.lineno - 1] = (line[: node.col_offset] + plain.encode() + line[node.end_col_offset :]).decode()
    return Unfolded("\n".join([*lines, ""]), frozenset(node.lineno for node in found), whole)


def code_after_options(text: str) -> str:
    """Return what ``%timeit -n 3 -r 1 f(x)`` runs.

    Example:
        >>> code_after_options("-n 3 -r1 f(x)"), code_after_options("-x + 1"), code_after_options("-q f(x)")
        ('f(x)', '-x + 1', 'f(x)')
    """
    return _OPTIONS.sub("", text, count=1).strip()


def _parsed(text: str) -> list[ast.stmt]:
    try:
        return ast.parse(text).body
    except SyntaxError:
        return []


def _text_of(node: ast.expr, magics: set[str] | frozenset[str]) -> str:
    """Return the code in a call of one of the `magics`, as IPython writes it; empty for anything else."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return ""
    words = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    if node.func.attr == "run_line_magic" and words[:1] and words[0] in magics:
        return words[-1]
    if node.func.attr == "run_cell_magic" and words[:1] and words[0] in magics:
        return "\n".join(words[1:])
    return ""


def measured_code(tree: ast.AST) -> list[ast.stmt]:
    """Return the statements that ``%timeit`` and ``%prun`` run in a cell; what is no Python by itself is left out."""
    found: list[ast.stmt] = []
    for node in ast.walk(tree):
        text = _text_of(node, _MEASURES) if isinstance(node, ast.Call) else ""
        for part in text.split("\n", 1) if text else ():
            found += _parsed(code_after_options(part))
    return found


# -- timing -----------------------------------------------------------------------------------------------------------


@contextmanager
def timed() -> Iterator[None]:
    """Print how long the body took, as ``%time`` does."""
    from cascade.notebook.plain import duration

    began = time.perf_counter()
    try:
        yield
    finally:
        sys.stdout.write(f"Wall time: {duration(time.perf_counter() - began)}\n")


def wrap_timed(tree: ast.Module, unfolded: Unfolded) -> ast.Module:
    """Return the module with its timed statements in a ``with``; the value of its last expression stays its value."""
    if unfolded.whole:
        first = next((place for place, node in enumerate(tree.body) if not _is_future(node)), len(tree.body))
        tree.body[first:] = _in_with(tree.body[first:])
    elif unfolded.lines:
        for node in ast.walk(tree):
            for name in ("body", "orelse", "finalbody"):
                inside = getattr(node, name, None)
                if isinstance(inside, list):
                    setattr(node, name, _wrap(inside, unfolded.lines))
    return ast.fix_missing_locations(tree)


def _wrap(body: list[ast.stmt], lines: frozenset[int]) -> list[ast.stmt]:
    """Wrap the statements on `lines`; those of one line came of one ``%time``."""
    made: list[ast.stmt] = []
    for _, group in groupby(body, lambda node: node.lineno):
        nodes = list(group)
        made += _in_with(nodes) if nodes[0].lineno in lines else nodes
    return made


def _in_with(nodes: list[ast.stmt]) -> list[ast.stmt]:
    if not nodes:
        return []
    first, last = nodes[0], nodes[-1]
    after: list[ast.stmt] = []
    if isinstance(last, ast.Expr):
        kept = ast.Assign([ast.Name(_SHOWN, ast.Store())], last.value)
        shown = ast.Expr(ast.copy_location(ast.Name(_SHOWN, ast.Load()), last))
        nodes = [*nodes[:-1], ast.copy_location(kept, last)]
        after = [ast.copy_location(shown, last)]
    call = ast.Call(ast.Name(TIMED, ast.Load()), [], [])
    return [ast.copy_location(ast.With([ast.withitem(call)], nodes), first), *after]


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


# -- measuring --------------------------------------------------------------------------------------------------------


class ShellHere:
    """IPython's shell as the code of a task cell sees it: ``%timeit`` and ``%prun`` find the names of the cell."""

    def __init__(self, shell: Any, names: dict[str, Any]) -> None:
        """Stand for `shell`, with `names` in the place of the notebook's."""
        self._shell = shell
        self.user_ns = self.user_global_ns = names
        self.configurables: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        """Everything else is the shell's."""
        if name == "config":  # magics made for this cell are not configured: they would be kept for that
            raise AttributeError(name)
        return getattr(self._shell, name)

    def run_line_magic(self, magic_name: str, line: str, _stack_depth: int = 1) -> Any:
        """Run a line magic."""
        if magic_name in _MEASURES:
            return getattr(self._magics(), magic_name)(line)
        return self._shell.run_line_magic(magic_name, line, _stack_depth=_stack_depth + 1)

    def run_cell_magic(self, magic_name: str, line: str, cell: str) -> Any:
        """Run a cell magic."""
        if magic_name in _MEASURES:
            return getattr(self._magics(), magic_name)(line, cell)
        return self._shell.run_cell_magic(magic_name, line, cell)

    def _magics(self) -> Any:
        from IPython.core.magics.execution import ExecutionMagics

        return ExecutionMagics(self)
