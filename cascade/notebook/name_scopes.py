"""A function, lambda, class or comprehension → what it uses of the names outside of it.

In: its node in the syntax tree. Out: `Uses`. Invariant: the scoping rules of Python: what is assigned anywhere in a
function is its own, methods do not see the names of their class, and a walrus in a comprehension binds outside.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field

from cascade.notebook.name_changes import changed_by

__all__ = [
    "Comprehension",
    "Function",
    "Uses",
    "annotations_of",
    "bound_by_import",
    "defaults_of",
    "names_of_pattern",
    "uses_of_class",
    "uses_of_comprehension",
    "uses_of_function",
]

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
_BINDING = (ast.Store, ast.Del)


@dataclass(slots=True)
class Uses:
    """What an inner scope does to outer names; lines by name, in the order of first appearance.

    Attributes:
        reads: when the scope runs. later: when something that it defines runs. writes: declared ``global`` and
            assigned. binds: by a walrus in a comprehension. changes: probably changed in place.
    """

    reads: dict[str, int] = field(default_factory=dict)
    later: dict[str, int] = field(default_factory=dict)
    writes: dict[str, int] = field(default_factory=dict)
    binds: dict[str, int] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=dict)


def uses_of_function(node: Function) -> Uses:
    """Return what the body of a function uses; defaults, decorators and annotations belong to who defines it."""
    scope = _Scope()
    for argument in _arguments(node.args):
        scope.binds.setdefault(argument.arg, node.lineno)
    for parameter in getattr(node, "type_params", ()):
        scope.binds.setdefault(parameter.name, node.lineno)
    scope.visit_all([node.body] if isinstance(node, ast.Lambda) else node.body)
    return scope.outer()


def uses_of_comprehension(node: Comprehension) -> Uses:
    """Return what a comprehension uses, without its first iterable, which is looked up outside."""
    scope = _Scope()
    scope.is_comprehension = True
    for place, generator in enumerate(node.generators):
        if place:
            scope.visit(generator.iter)
        scope.visit(generator.target)
        scope.visit_all(generator.ifs)
    scope.visit_all([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt])
    return scope.outer()


def uses_of_class(node: ast.ClassDef) -> Uses:
    """Return what the body of a class uses: at once, and in its methods later."""
    scope = _Scope()
    scope.is_class = True
    scope.visit_all(node.body)
    return scope.outer()


def names_of_pattern(pattern: ast.pattern) -> list[str]:
    """Return the names that a pattern of ``match`` captures."""
    found: list[str] = []
    for node in ast.walk(pattern):
        if isinstance(node, (ast.MatchAs, ast.MatchStar)):
            found += [node.name] if node.name else []
        elif isinstance(node, ast.MatchMapping):
            found += [node.rest] if node.rest else []
    return found


def annotations_of(node: Function) -> list[ast.expr]:
    """Return the annotations of a function, which are evaluated where it is defined."""
    found = [argument.annotation for argument in _arguments(node.args)]
    found.append(getattr(node, "returns", None))
    return [each for each in found if each is not None]


def defaults_of(node: Function) -> list[ast.expr]:
    """Return the defaults of a function's parameters."""
    return [*node.args.defaults, *(each for each in node.args.kw_defaults if each is not None)]


def bound_by_import(alias: ast.alias) -> str:
    """Return the name that one part of an import binds: ``os`` for ``import os.path``.

    Example:
        >>> bound_by_import(ast.alias("os.path"))
        'os'
    """
    return alias.asname or alias.name.partition(".")[0]


def _arguments(arguments: ast.arguments) -> list[ast.arg]:
    found = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return found + [each for each in (arguments.vararg, arguments.kwarg) if each is not None]


class _Scope(ast.NodeVisitor):
    """Reads one inner scope, in the order in which it runs; knows nothing of what is outside."""

    def __init__(self) -> None:
        self.loads: dict[str, int] = {}
        self.first: dict[str, int] = {}  # in a class: read before it is bound there
        self.inner: dict[str, int] = {}  # read by functions inside
        self.later: dict[str, int] = {}
        self.globals: dict[str, int] = {}  # read past all functions around
        self.writes: dict[str, int] = {}
        self.binds: dict[str, int] = {}
        self.walrus: dict[str, int] = {}
        self.changes: dict[str, int] = {}
        self.declared: set[str] = set()
        self.is_class = self.is_comprehension = False

    def outer(self) -> Uses:
        """Return what is not the scope's own."""
        writes = {**self.writes, **{name: line for name, line in self.binds.items() if name in self.declared}}
        own = set() if self.is_class else set(self.binds) - self.declared
        loads = self.first if self.is_class else {**self.loads, **self.inner}
        reads = {name: line for name, line in loads.items() if name not in own}
        later = {name: line for name, line in self.later.items() if name not in own}
        changes = {name: line for name, line in self.changes.items() if name and name not in (own or self.binds)}
        return Uses({**reads, **self.globals}, later, writes, self.walrus, changes)

    def visit_all(self, nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            self.visit(node)

    def visit(self, node: ast.AST) -> None:
        """Note what changes, then go on as the kind of node says."""
        for name in changed_by(node):
            self.changes.setdefault(name, getattr(node, "lineno", 0))
        super().visit(node)

    # -- names --------------------------------------------------------------------------------------------------------

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, _BINDING):
            self._bind(node.id, node.lineno)
        else:
            self._load(node.id, node.lineno)

    def _load(self, name: str, line: int) -> None:
        self.loads.setdefault(name, line)
        if self.is_class and name not in self.binds:
            self.first.setdefault(name, line)

    def _bind(self, name: str, line: int) -> None:
        self.binds.setdefault(name, line)

    def visit_Global(self, node: ast.Global) -> None:
        self.declared.update(node.names)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        del node  # a variable of a function around, which has it as its own

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        if self.is_comprehension:
            self.walrus.setdefault(node.target.id, node.lineno)
        self._bind(node.target.id, node.lineno)

    # -- statements ---------------------------------------------------------------------------------------------------

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        self.visit_all(node.targets)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self._load(node.target.id, node.lineno)
        self.visit(node.value)
        self.visit(node.target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if self.is_class:
            self.visit(node.annotation)
        if node.value is not None:
            self.visit(node.value)
        self.visit(node.target)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        self.visit_all([node.target, *node.body, *node.orelse])

    visit_AsyncFor = visit_For  # noqa: N815

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            self._bind(bound_by_import(alias), node.lineno)

    visit_ImportFrom = visit_Import  # noqa: N815

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self._bind(node.name, node.lineno)
        self.generic_visit(node)

    def visit_match_case(self, node: ast.match_case) -> None:
        for name in names_of_pattern(node.pattern):
            self._bind(name, node.pattern.lineno)
        self.generic_visit(node)

    # -- scopes inside ------------------------------------------------------------------------------------------------

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.visit_all([*node.decorator_list, *defaults_of(node), *annotations_of(node)])
        self._bind(node.name, node.lineno)
        self._include(uses_of_function(node), is_later=True)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit_all(defaults_of(node))
        self._include(uses_of_function(node), is_later=True)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.visit_all([*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)])
        self._bind(node.name, node.lineno)
        self._include(uses_of_class(node), is_later=False)

    def _visit_comprehension(self, node: Comprehension) -> None:
        self.visit(node.generators[0].iter)
        self._include(uses_of_comprehension(node), is_later=False)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _visit_comprehension  # noqa: N815

    def _include(self, uses: Uses, *, is_later: bool) -> None:
        """Add what a scope inside uses; functions in a class do not see the names of the class."""
        past_class = self.later if self.is_class else self.inner
        for name, line in uses.reads.items():
            if name in uses.writes:
                self.globals.setdefault(name, line)
            elif is_later:
                past_class.setdefault(name, line)
            elif self.is_class:
                self.first.setdefault(name, line)
            else:
                self._load(name, line)
        for name, line in uses.later.items():
            past_class.setdefault(name, line)
        for name, line in uses.binds.items():
            self._bind(name, line)
            if self.is_comprehension:
                self.walrus.setdefault(name, line)
        self.writes.update(uses.writes)
        for name, line in uses.changes.items():
            self.changes.setdefault(name, line)
