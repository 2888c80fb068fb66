"""A `%%cascade` cell → what it reads of the notebook, what of that has changed, and its target made anew.

In: the text of a cell, the names of the notebook. Out: a digest for each name, a lazy result. Invariant: nothing that
is read here changes a name of the notebook; digests are made again only of names that may have changed.

How a target is made anew: in a copy of the notebook's names, the statements of the cell that compose are done again,
then its last expression (or the target on its line) is evaluated. A statement composes when all that it binds is lazy
now, since that is what it made when the cell ran; so does the assignment of a constant. Everything else, reading a file
for example, is not done again: the notebook still has what it gave. When such a statement reads what has changed, the
target cannot be told without running the cell, and that is said.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import CodeType, FunctionType
from typing import Any, Final

from cascade.interfaces.auto_errors import RebuildError
from cascade.notebook.cell_body import names_in
from cascade.notebook.cell_graph import is_lazy
from cascade.notebook.names import find_names

__all__ = ["Marks", "find_moved", "look", "rebuild"]

LARGEST: Final = 64 << 20  # bytes of a value that is read as a whole; larger ones count as changed when bound anew
_MADE_AGAIN: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)


@dataclass(frozen=True, slots=True)
class Marks:
    """What a cell reads, at one moment.

    Args:
        digests: by name; equal digests mean equal code or value. ids: of the objects that had these names.
        functions: those of the names that stand for code.
    """

    digests: Mapping[str, str] = field(default_factory=dict)
    ids: Mapping[str, int] = field(default_factory=dict)
    functions: frozenset[str] = frozenset()

    def changed_since(self, before: Marks) -> tuple[str, ...]:
        """Return the names that are different now, without functions that only use one that is."""
        names = [name for name, digest in self.digests.items() if before.digests.get(name) != digest]
        names = names or [name for name in before.digests if name not in self.digests]
        own = [name for name in names if name not in self.functions or before.ids.get(name) != self.ids.get(name)]
        return tuple(own or names)


def look(
    roots: Iterable[str], names: Mapping[str, Any], before: Marks | None = None, moved: Iterable[str] = ()
) -> Marks:
    """Return the marks of everything that code with these names reads, through functions and tasks of the notebook.

    Args:
        roots: names in the code. before: an earlier look, whose digests serve where nothing moved.
        moved: names that may have another value although they stand for the same object.
    """
    reach = _reach(roots, names)
    ids = {name: id(names[name]) for name in reach}
    functions = frozenset(name for name in reach if _function_of(names[name]) is not None)
    may_differ = set(moved)
    if before is not None:
        may_differ |= {name for name in {**before.ids, **ids} if before.ids.get(name) != ids.get(name)}
        if not may_differ & (reach.keys() | before.ids.keys()):
            return before
    digests = {}
    for name in reach:
        is_known = before is not None and name in before.digests and name not in functions | may_differ
        digests[name] = before.digests[name] if before is not None and is_known else _digest(names[name])
    return Marks(digests, ids, functions)


def _reach(roots: Iterable[str], names: Mapping[str, Any]) -> dict[str, None]:
    found: dict[str, None] = {}
    stack = list(roots)
    while stack:
        name = stack.pop()
        if name in found or name not in names or name.startswith("__"):
            continue
        found[name] = None
        function = _function_of(names[name])
        if function is not None:
            stack.extend(sorted(names_in(function.__code__)))
    return found


def _function_of(value: Any) -> FunctionType | None:
    from cascade.spec.task import Task

    inner = value.func if isinstance(value, Task) else value
    inner = getattr(inner, "__wrapped__", inner) if callable(inner) else inner
    return inner if isinstance(inner, FunctionType) else None


def _digest(value: Any) -> str:
    """Return what is equal for equal code or equal values; by identity where there is no telling."""
    from types import ModuleType

    from cascade.identity.code import code_key
    from cascade.identity.data import data_key
    from cascade.spec.task import Task

    try:
        if isinstance(value, ModuleType):
            return f"m:{value.__name__}"
        if isinstance(value, (Task, FunctionType)):
            options = repr(getattr(value, "options", "")) + str(getattr(value, "pure", ""))
            return f"{code_key(value).digest}:{options}"
        if is_lazy(value):
            return f"i:{id(value)}"
        key = data_key(value, limit=LARGEST)
    except Exception:  # noqa: BLE001 - what a user's object does when it is looked at
        return f"i:{id(value)}"
    return key if key.startswith("v:") else f"i:{id(value)}"


def find_moved(source: str) -> frozenset[str] | None:
    """Return the names that a cell binds or probably changes in place; None when that cannot be told."""
    try:
        found = find_names(source)
    except SyntaxError:
        return None
    return frozenset((*found.gives, *found.mutates, *found.deletes))


# -- the target, made anew --------------------------------------------------------------------------------------------


def roots_of(source: str, target: str) -> frozenset[str]:
    """Return the names that a cell and its target look up, but for those that the cell gives itself."""
    codes = [_compile(ast.parse(source)), *([_compile(ast.parse(target))] if target else [])]
    found = find_names(f"{source}\n{target}" if target else source)
    return frozenset(found.reads) | (names_in(*codes) - set(found.gives))


def rebuild(source: str, target: str, names: Mapping[str, Any], changed: Iterable[str]) -> Any:
    """Return what the cell would run now.

    Args:
        source: the body as plain Python. target: on its line; empty: the last expression. names: of the notebook.
        changed: names whose values are not what they were when the cell ran.

    Raises:
        RebuildError: when only running the cell could tell. Exception: what composing raises, as the cell would.
    """
    tree = ast.parse(source)
    last = tree.body.pop() if not target and tree.body and isinstance(tree.body[-1], ast.Expr) else None
    expression = ast.parse(target, mode="eval").body if target else last.value if isinstance(last, ast.Expr) else None
    if expression is None or any(isinstance(node, ast.Await) for node in ast.walk(expression)):
        raise RebuildError.for_expression()
    scope = dict(names)
    for statement in _composing(tree.body, names, set(changed)):
        exec(_compile(ast.Module([statement], [])), scope)  # noqa: S102 - the user's own composition
    code = compile(ast.Expression(expression), "<cell>", "eval", dont_inherit=True)
    return eval(code, scope)  # noqa: S307 - the same


def _composing(body: Iterable[ast.stmt], names: Mapping[str, Any], changed: set[str]) -> list[ast.stmt]:
    """Return the statements that are done again, in order."""
    chosen: list[tuple[ast.stmt, set[str]]] = []
    fresh: set[str] = set()  # what statements that are done again bind: nobody else has these objects
    kept: set[str] = set()  # what statements that are not done again bind or change
    for statement in body:
        if isinstance(statement, _MADE_AGAIN):
            continue
        found = find_names(ast.unparse(statement))
        outs = {*found.gives, *found.mutates}
        if not outs:
            continue
        if set(found.mutates) <= fresh and (_is_constant(statement) or _is_lazy_work(statement, outs, names)):
            chosen.append((statement, outs))
            fresh |= set(found.gives)
            continue
        read = set(found.reads) & changed
        if read:
            raise RebuildError.for_statement(min(read), statement.lineno)
        kept |= outs
    return [statement for statement, outs in chosen if not outs & kept]


def _is_constant(statement: ast.stmt) -> bool:
    if not isinstance(statement, (ast.Assign, ast.AnnAssign)) or statement.value is None:
        return False
    try:
        ast.literal_eval(statement.value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def _is_lazy_work(statement: ast.stmt, outs: set[str], names: Mapping[str, Any]) -> bool:
    if any(isinstance(node, (ast.Await, ast.AsyncFor, ast.AsyncWith)) for node in ast.walk(statement)):
        return False
    loops = {
        name.id
        for node in ast.walk(statement)
        if isinstance(node, ast.For)
        for name in ast.walk(node.target)
        if isinstance(name, ast.Name)
    }
    made = outs - loops
    return bool(made) and all(name in names and is_lazy(names[name]) for name in made)


def _compile(tree: ast.Module) -> CodeType:
    made: CodeType = compile(tree, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    return made
