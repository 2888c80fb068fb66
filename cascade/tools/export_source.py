"""Cells → statements: what each gives, reads and changes.

In: the texts of cells in the order in which they ran, as plain Python. Out: `Statement`s. Invariant: pure; nothing is
evaluated, and the text of a statement is the user's own, comments above it included.
"""

from __future__ import annotations

import ast
import copy
import symtable
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["Cell", "Statement", "read_cells", "read_names"]

_MUTATORS: Final = frozenset({
    "add", "append", "clear", "discard", "extend", "insert", "intersection_update", "pop", "popitem", "remove",
    "reverse", "setdefault", "sort", "update",
})  # fmt: skip
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
Import = ast.Import | ast.ImportFrom


@dataclass(frozen=True, slots=True)
class Cell:
    """One execution of a cell, as plain Python.

    Args:
        label: what people call it, ``In[3]``. text: without the line of a cell magic. first_line: the number, in the
            cell, of the first line of the text. output: the name that ``-o`` binds the result to, empty if none.
    """

    label: str
    text: str
    first_line: int = 1
    output: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement at the top of a cell.

    Args:
        place: ``In[3], line 4``. number: when it ran, among all. text: its source. node: the same, parsed.
        gives: names that it binds. changes: names whose values it changes in place. drops: names that it deletes.
        now: names that it reads when it runs. later: names that the functions in it read when they are called.
        magic: the IPython syntax in it, empty if none.
    """

    place: str
    number: int
    text: str
    node: ast.stmt
    gives: frozenset[str]
    changes: frozenset[str]
    drops: frozenset[str]
    now: frozenset[str]
    later: frozenset[str]
    magic: str = ""

    @property
    def is_import(self) -> bool:
        """Whether it only imports."""
        return isinstance(self.node, (ast.Import, ast.ImportFrom))

    @property
    def is_definition(self) -> bool:
        """Whether it defines a function or a class."""
        return isinstance(self.node, _DEFINITIONS)

    @property
    def cell(self) -> str:
        """The label of its cell."""
        return self.place.partition(", line")[0]

    @property
    def name(self) -> str:
        """What to call it in a sentence."""
        return (
            getattr(self.node, "name", "")
            or ", ".join(sorted(self.gives | self.changes))
            or self.text.split("\n")[0][:40]
        )

    def says_the_same(self, other: Statement) -> bool:
        """Whether two statements are equal but for comments and layout."""
        return ast.dump(self.node) == ast.dump(other.node)


def read_cells(cells: Iterable[Cell]) -> list[Statement]:
    """Return the statements of all cells; a cell that is not Python never ran, and has none.

    Example:
        >>> [s] = read_cells([Cell("In[1]", "x = f(y)")])
        >>> sorted(s.gives), sorted(s.now), s.place
        (['x'], ['f', 'y'], 'In[1], line 1')
    """
    found: list[Statement] = []
    for cell in cells:
        try:
            tree = ast.parse(cell.text)
        except (SyntaxError, ValueError):
            continue
        lines = cell.text.splitlines()
        floor = 0
        for place, node in enumerate(tree.body):
            following = tree.body[place + 1] if place + 1 < len(tree.body) else None
            text = _text_of(node, lines, cell.text, floor, following)
            where = f"{cell.label}, line {node.lineno + cell.first_line - 1}"
            found.append(_read(node, where, text, len(found)))
            floor = node.end_lineno or node.lineno
        if cell.output:
            bound = ast.parse(f"{cell.output} = ...").body[0]
            empty = frozenset[str]()
            found.append(
                Statement(cell.label, len(found), "", bound, frozenset({cell.output}), empty, empty, empty, empty, "-o")
            )
    return found


def read_names(expression: str, number: int = 1 << 60) -> Statement:
    """Return an expression as a statement that reads names; it was evaluated before statement `number`."""
    node = ast.parse(expression, mode="eval").body
    return _read(ast.Expr(node), "the target", expression, number)


def _read(node: ast.stmt, place: str, text: str, number: int) -> Statement:
    now, later, gives = _names(node)
    changes, drops = frozenset(_changed(node)), frozenset(_dropped(node))
    return Statement(place, number, text, node, gives - drops, changes, drops, now, later, _magic(node))


# -- text -------------------------------------------------------------------------------------------------------------


def _text_of(node: ast.stmt, lines: Sequence[str], text: str, floor: int, following: ast.stmt | None) -> str:
    """Return the source of a statement: whole lines with the comments above them, if it has lines of its own."""
    first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
    last = node.end_lineno or node.lineno
    shares = (following is not None and following.lineno <= last) or first <= floor or node.col_offset
    if shares:
        return ast.get_source_segment(text, node) or ast.unparse(node)
    above = first
    while above - 1 > floor and lines[above - 2].startswith("#") and not lines[above - 2].startswith("# %%"):
        above -= 1
    kept = [line.rstrip() for line in lines[above - 1 : last - 1]] + [lines[last - 1].rstrip().removesuffix(";")]
    return "\n".join(kept)


# -- names ------------------------------------------------------------------------------------------------------------


def _names(node: ast.stmt) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """Return what a statement reads now, reads later, and binds."""
    try:
        module = _Opaque().visit(copy.deepcopy(ast.Module([node], [])))
        table = symtable.symtable(ast.unparse(ast.fix_missing_locations(module)), "<cell>", "exec")
    except (SyntaxError, ValueError, RecursionError):
        loaded = {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)}
        return frozenset(loaded), frozenset(), frozenset()
    now: set[str] = set()
    later: set[str] = set()
    gives: set[str] = set()
    for symbol in table.get_symbols():
        if symbol.is_referenced():
            now.add(symbol.get_name())
        if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace():
            gives.add(symbol.get_name())
    for child in table.get_children():
        _collect(child, now, later, gives, is_later=False)
    later.update(_annotation_names(node))
    return frozenset(now), frozenset(later - now), frozenset(gives)


class _Opaque(ast.NodeTransformer):
    """Every comprehension as a generator: from Python 3.12 on, the others have no scope of their own in a symtable."""

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp) -> ast.AST:
        return self.generic_visit(ast.GeneratorExp(node.elt, node.generators))

    visit_SetComp = visit_ListComp  # noqa: N815 - the names are ast's

    def visit_DictComp(self, node: ast.DictComp) -> ast.AST:
        return self.generic_visit(ast.GeneratorExp(ast.Tuple([node.key, node.value], ast.Load()), node.generators))


def _collect(table: symtable.SymbolTable, now: set[str], later: set[str], gives: set[str], *, is_later: bool) -> None:
    runs_now = table.get_type() == "class" or table.get_name() == "genexpr"
    is_later = is_later or not runs_now
    for symbol in table.get_symbols():
        if symbol.is_global() and symbol.is_referenced():
            (later if is_later else now).add(symbol.get_name())
        if symbol.is_declared_global() and symbol.is_assigned():
            gives.add(symbol.get_name())
    for child in table.get_children():
        _collect(child, now, later, gives, is_later=is_later)


def _annotation_names(node: ast.stmt) -> set[str]:
    """Return the names in annotations, those in quotes included: linters want them, and so does `typing`."""
    found: set[str] = set()
    for each in ast.walk(node):
        for annotation in (getattr(each, "annotation", None), getattr(each, "returns", None)):
            if annotation is not None:
                found.update(_names_in(annotation))
    bound = {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    return found - bound


def _names_in(annotation: ast.expr) -> Iterator[str]:
    for part in ast.walk(annotation):
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value.isidentifier():
            yield part.value


def _changed(node: ast.stmt) -> Iterator[str]:
    """Yield the names whose values a statement changes in place: ``x[k] = v``, ``x += 1``, ``x.append(v)``."""
    if isinstance(node, _DEFINITIONS):
        return
    for each in ast.walk(node):
        if isinstance(each, (ast.Subscript, ast.Attribute)) and isinstance(each.ctx, (ast.Store, ast.Del)):
            yield from _root(each)
        elif isinstance(each, ast.AugAssign):
            yield from _root(each.target)
        elif isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and _mutates(each):
            yield from _root(each.func.value)


def _mutates(call: ast.Call) -> bool:
    inplace = any(
        word.arg == "inplace" and isinstance(word.value, ast.Constant) and word.value.value is True
        for word in call.keywords
    )
    return inplace or (isinstance(call.func, ast.Attribute) and call.func.attr in _MUTATORS)


def _root(node: ast.expr) -> Iterator[str]:
    while isinstance(node, (ast.Subscript, ast.Attribute)):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


def _dropped(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.Delete):
        yield from (each.id for each in node.targets if isinstance(each, ast.Name))


def _magic(node: ast.stmt) -> str:
    """Return the first piece of IPython syntax in a statement, as people write it."""
    for each in ast.walk(node):
        if not (isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute)):
            continue
        owner = each.func.value
        if not (isinstance(owner, ast.Call) and isinstance(owner.func, ast.Name) and owner.func.id == "get_ipython"):
            continue
        words = [arg.value for arg in each.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        if each.func.attr in {"system", "getoutput"}:
            return f"!{words[0] if words else ''}"[:60]
        if each.func.attr in {"run_line_magic", "run_cell_magic"} and words:
            sign = "%" if each.func.attr == "run_line_magic" else "%%"
            return f"{sign}{' '.join(words[:2])}".strip()[:60]
    return ""
