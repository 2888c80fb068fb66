"""The text of a `%%cascade task` cell → a `CellTask`: its code, its names, and what stands for it in keys.

In: the line and the body of a cell. Out: a frozen description, nothing run. Invariant: the code that runs is the cell
as it stands, compiled under the cell's own file name and lines; the function that stands for it in keys does the same
with the inputs as parameters and all that the cell assigns as its own variables.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any, Final

from cascade.interfaces.cell_errors import CellError
from cascade.notebook.cell import Body, stays_silent
from cascade.notebook.cell_magics import measured_code, unfold, wrap_timed
from cascade.notebook.name_flow import Flow, follow

__all__ = ["SHOWN", "CellTask", "key_function", "make_cell_task", "names_in"]

_SILENT: Final = frozenset({"print", "display", "plt.show"})
_OUTPUT: Final = re.compile(r"_{1,3}|_\d+|_i{1,3}|_i\d+|Out|In|_oh|_ih|_dh")
SHOWN: Final = "_"  # under which the value of the last expression stands; no cell gives a name that begins like this


@dataclass(frozen=True, slots=True, eq=False)
class CellTask:
    """One cell that is a task.

    Attributes:
        name: of the task. cell: the id of the cell, empty if the front end gives none. line: what stands after
            ``%%cascade task NAME``. text: the body as written. source: the body as plain Python, below an empty line
            in the place of the magic. pure: whether its results outlive the kernel. gives: its results. shows: what
            the last expression is: a name of `gives`, `SHOWN`, or empty if there is none. flow: its names.
        body: the compiled code. file: under which name.
    """

    name: str
    cell: str
    line: str
    text: str
    source: str
    pure: bool
    gives: tuple[str, ...]
    shows: str
    flow: Flow
    body: Body
    file: str

    @property
    def is_async(self) -> bool:
        """Whether the body awaits."""
        return self.body.needs_loop

    @property
    def gives_one(self) -> bool:
        """Whether its result is the value of its one name, and not a mapping."""
        return len(self.gives) == 1 and self.shows in {"", self.gives[0]}

    @property
    def is_changed_by(self) -> Mapping[str, int]:
        """Names that the cell probably changes in place, with the line."""
        return self.flow.changes

    def line_of(self, name: str) -> int:
        """The line in which a name first appears."""
        flow = self.flow
        return flow.reads.get(name) or flow.builtins.get(name) or flow.gives.get(name) or 1

    def text_of(self, line: int) -> str:
        """A line of the cell, without the spaces around."""
        lines = self.source.splitlines()
        return lines[line - 1].strip() if 0 < line <= len(lines) else ""

    def unwrap(self, value: Any) -> tuple[dict[str, Any], Any]:
        """Return the results by name, and what the last expression gave (None if there is none)."""
        if self.gives_one:
            return {self.gives[0]: value}, value if self.shows else None
        if not self.gives:
            return {}, value
        results = {name: value[name] for name in self.gives if name in value}
        return results, value.get(self.shows) if self.shows else None

    def wrap(self, results: Mapping[str, Any], shown: Any) -> Any:
        """Return what the task returns."""
        if self.gives_one:
            return results[self.gives[0]]
        if not self.gives:
            return shown
        return {**results, SHOWN: shown} if self.shows == SHOWN else dict(results)


def make_cell_task(
    shell: Any, name: str, line: str, text: str, *, count: int, cell: str, pure: bool, gives: Iterable[str]
) -> CellTask:
    """Compile a cell.

    Args:
        shell: IPython's. name: of the task. line: the line after ``%%cascade``. text: the lines below.
        count: the cell's number. cell: its id. gives: what it gives, all that it assigns if there is none.

    Raises:
        SyntaxError: with the cell's own line numbers. CellError: for what a task cannot have.
    """
    unfolded = unfold(shell, name, text)
    source = unfolded.source
    shown = f"# %%cascade {line}".rstrip() + source
    file = shell.compile.cache(shown, count, raw_code=f"%%cascade {line}\n{text}")
    flags = shell.compile.flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    tree = compile(source, file, "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True)
    flow = follow(tree)
    for module, at in flow.stars.items():
        raise CellError.for_star(name, at, module)
    for each, at in flow.reads.items():
        if _OUTPUT.fullmatch(each) and each not in flow.unsure:
            raise CellError.for_output(name, each, at)
    results = _results(name, flow, tuple(gives))
    last = tree.body[-1] if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    ends = "" if last is None or stays_silent(text) else _shown_by(last, results)
    tree = wrap_timed(shell.transform_ast(tree), unfolded)
    end = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    body = Body(
        compile(tree, file, "exec", flags, dont_inherit=True),
        compile(ast.Expression(end.value), file, "eval", flags, dont_inherit=True)
        if isinstance(end, ast.Expr)
        else None,
    )
    return CellTask(name, cell, line, text, source, pure, results, ends, flow, body, file)


def _results(name: str, flow: Flow, chosen: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names that the cell gives; imports are everybody's, and need not be handed on."""
    possible = [each for each in flow.gives if each in flow.kept and each not in flow.imports]
    for each in chosen:
        if each not in flow.gives:
            raise CellError.for_gives(name, each, possible)
    return chosen or tuple(each for each in possible if not each.startswith("_"))


def _shown_by(last: ast.Expr, results: tuple[str, ...]) -> str:
    """Return what the value of the last expression is kept as; ``print(…)`` and ``plt.show()`` have none."""
    value = last.value
    if isinstance(value, ast.Name) and value.id in results:
        return value.id
    return "" if isinstance(value, ast.Call) and ast.unparse(value.func) in _SILENT else SHOWN


def key_function(task: CellTask, inputs: Iterable[str], known: dict[str, Any], flags: int) -> FunctionType:
    """Return the function that stands for a cell in keys; it is never called.

    Args:
        inputs: the names that it is given. known: where it finds its globals. flags: of the compiler.
    """
    tree = ast.parse(task.source)
    given, own = list(inputs), set(task.flow.gives)
    body = [node for node in tree.body if not (isinstance(node, ast.ImportFrom) and node.module == "__future__")]
    late = [name for name in own if name not in given and _is_only_global(name, body)]
    body = [ast.parse(f"{name} = None").body[0] for name in sorted(late)] + body
    measured = measured_code(tree)
    value: ast.expr = ast.Constant(None)
    if body and isinstance(body[-1], ast.Expr):
        value = body.pop().value  # type: ignore[attr-defined]
    results = ast.Tuple([value, ast.Constant(repr((*task.gives, task.shows)))], ast.Load())
    body = [_Nonlocal(own).visit(node) for node in body]
    if measured:
        inside = ast.parse("def measured(): pass").body[0]
        vars(inside)["body"] = measured
        body.append(inside)
    make = ast.AsyncFunctionDef if task.is_async else ast.FunctionDef
    arguments = ast.arguments([], [ast.arg(name) for name in given], None, [], [], None, [])
    function = make(name=task.name, args=arguments, body=[*body, ast.Return(results)], decorator_list=[], lineno=1)
    if "type_params" in function._fields:
        vars(function)["type_params"] = []
    module = ast.fix_missing_locations(ast.Module([function], []))
    flags &= ~ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(module, task.file, "exec", flags, dont_inherit=True)
    inner = next(each for each in code.co_consts if isinstance(each, CodeType) and each.co_name == task.name)
    return FunctionType(inner, known)


class _Nonlocal(ast.NodeTransformer):
    """What is global in the cell is a variable of the function around in the function that stands for it."""

    def __init__(self, own: set[str]) -> None:
        self.own = own
        self.depth = 0

    def _enter(self, node: ast.AST) -> ast.AST:
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda = _enter  # noqa: N815 - as `ast` calls it

    def visit_Global(self, node: ast.Global) -> ast.AST | list[ast.AST]:
        own = [name for name in node.names if name in self.own]
        rest = [name for name in node.names if name not in self.own]
        made: list[ast.AST] = [ast.copy_location(ast.Global(rest), node)] if rest else []
        if own and self.depth:
            made.append(ast.copy_location(ast.Nonlocal(own), node))
        return made or ast.copy_location(ast.Pass(), node)


def _is_only_global(name: str, body: Iterable[ast.stmt]) -> bool:
    """Whether only functions of the cell assign a name, by ``global``."""
    code = compile(ast.Module(list(body), []), "<names>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    stores = {step.argval for step in _steps(code) if step.opname.startswith("STORE_")}
    return name not in stores


def _steps(code: CodeType) -> Iterable[Any]:
    from dis import get_instructions

    return get_instructions(code)


def names_in(*codes: CodeType | None) -> set[str]:
    """Return every name that code and the code inside it may look up."""
    found: set[str] = set()
    for code in codes:
        if code is not None:
            found.update(code.co_names, code.co_freevars)
            found |= names_in(*(each for each in code.co_consts if inspect.iscode(each)))
    return found
