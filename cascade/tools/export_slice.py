"""Statements and a target → those that the target needs, in an order that works.

In: all statements that ran, in the order in which they did. Out: a `Slice`. Invariant: what is kept gives the target
the same definitions that it has in the notebook; where that cannot be, all the reasons are said.

A name that a statement reads when it runs is the one that was bound last before it; a name that a function reads when
it is called is the one that is bound now.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import pairwise
from types import ModuleType
from typing import Any, Final

from cascade.interfaces.leaving_errors import ExportError
from cascade.spec.input import Input
from cascade.spec.lazy_types import LazyResult
from cascade.spec.resource import Resource
from cascade.spec.routing import Router
from cascade.spec.task import Task
from cascade.tools.export_source import Statement

__all__ = ["GROUPS", "Imported", "Makers", "Slice", "cut", "injected_names"]

GROUPS: Final = ("values", "inputs", "resources", "helpers", "tasks", "flow")
_NOTEBOOK_NAMES: Final = frozenset({"get_ipython", "display", "In", "Out", "_", "__", "___", "exit", "quit"})
_MAYBE = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.Match)
_PLAIN = (int, float, complex, str, bytes, bool, type(None), tuple, list, dict, set)
_MOST_LITERAL: Final = 2000


@dataclass(frozen=True, slots=True, order=True)
class Imported:
    """One imported name: ``import module as name``, or ``from module import attribute as name``."""

    module: str
    attribute: str
    name: str


@dataclass(slots=True)
class Slice:
    """What a target needs.

    Args:
        imports: each once. statements: in an order that works, without imports. groups: of each of them.
        literals: values that no statement makes but that can be written down.
    """

    imports: set[Imported] = field(default_factory=set)
    statements: list[Statement] = field(default_factory=list)
    groups: dict[int, str] = field(default_factory=dict)
    literals: dict[str, str] = field(default_factory=dict)

    def count(self, group: str) -> int:
        """How many statements of a group there are."""
        return sum(found == group for found in self.groups.values())


def cut(statements: Sequence[Statement], target: Statement, namespace: Mapping[str, Any]) -> Slice:
    """Return what `target` needs.

    Args:
        target: an expression, read by `read_names`, with the number of the statement before which it was evaluated.
        namespace: the names as they are now.

    Raises:
        ExportError: with everything that cannot be written down.
    """
    cutter = _Cutter(statements, namespace)
    cutter.follow(target)
    if cutter.problems:
        raise ExportError.for_all(cutter.problems)
    return cutter.finish()


class Makers:
    """Which statements make each name."""

    def __init__(self, statements: Iterable[Statement]) -> None:
        """Take the statements in the order in which they ran."""
        self._of: dict[str, list[Statement]] = {}
        for statement in statements:
            for name in statement.gives | statement.changes | statement.drops:
                self._of.setdefault(name, []).append(statement)

    @property
    def names(self) -> Iterable[str]:
        """All names that some statement made."""
        return self._of.keys()

    def chain(self, name: str, before: int | None = None) -> list[Statement]:
        """Return the statement that binds `name`, and those that change it afterwards.

        Args:
            before: the number of a statement: as it was then; None: as it is now.
        """
        found: list[Statement] = []
        for maker in reversed(self._of.get(name, ())):
            if before is not None and maker.number >= before:
                continue
            if name in maker.drops:
                break
            found.append(maker)
            if name in maker.gives and not isinstance(maker.node, (*_MAYBE, ast.AugAssign)):
                break
        found.reverse()
        return found[:1] if found and found[0].is_import else found


class _Cutter:
    """Follows names from the target back to the statements that made them."""

    def __init__(self, statements: Sequence[Statement], namespace: Mapping[str, Any]) -> None:
        self._namespace = namespace
        self._makers = Makers(statements)
        self._stars = [each.node.module or "" for each in statements if _is_star(each)]  # type: ignore[attr-defined]
        self._needed: dict[int, Statement] = {}
        self._edges: dict[int, set[tuple[int, bool]]] = {}
        self._reads: dict[str, list[tuple[int, int]]] = {}
        self._waiting: list[Statement] = []
        self.problems: list[str] = []
        self.slice = Slice()

    def follow(self, target: Statement) -> None:
        """Find everything that `target` needs."""
        self._follow_one(target)
        while self._waiting:
            self._follow_one(self._waiting.pop())

    def _follow_one(self, statement: Statement) -> None:
        if problem := _problem_of(statement):
            self.problems.append(problem)
            return
        for name in sorted(statement.now | (statement.changes - statement.gives)):
            self._need(name, statement, before=statement.number)
        for name in sorted(statement.later):
            self._need(name, statement, before=None)
        for wanted in injected_names(statement.node):
            self._need(self._name_of_resource(wanted), statement, before=None)

    def _need(self, name: str, reader: Statement, before: int | None) -> None:
        """Take in what makes `name`, as it was before statement number `before`, or as it is now."""
        chain = self._makers.chain(name, before)
        if not chain:
            if name not in reader.gives:  # a loop gives its own variable before it reads it
                self._without_statement(name, reader)
            return
        if before is not None and chain[0].is_definition:
            newest = self._makers.chain(name, None)
            if newest and newest[0].is_definition and not newest[0].says_the_same(chain[0]):
                where = chain[0].place, newest[0].place
                self.problems.append(ExportError.say_stale(reader.place, reader.name, name, *where))
                return
        for maker in chain:
            if maker.is_import:
                self._import(maker, name)
                continue
            if maker.number == reader.number:
                continue
            self._edges.setdefault(reader.number, set()).add((maker.number, before is not None))
            if maker.number not in self._needed:
                self._needed[maker.number] = maker
                self._waiting.append(maker)

    # -- names that no statement binds ------------------------------------------------------------------------------

    def _without_statement(self, name: str, reader: Statement) -> None:
        if name in _NOTEBOOK_NAMES or (name.startswith("_") and name.lstrip("_i").isdigit()):
            self.problems.append(ExportError.say_notebook_name(reader.place, reader.name, name))
            return
        if hasattr(builtins, name) or (name.startswith("__") and name.endswith("__")):
            return
        if name not in self._namespace:
            self.problems.append(ExportError.say_missing(reader.place, reader.name, name, self._makers.names))
            return
        value = self._namespace[name]
        imported = self._star(name, value) or _home_of(name, value)
        if imported is not None:
            self.slice.imports.add(imported)
        elif (text := _literal(value)) is not None:
            self.slice.literals[name] = text
        else:
            kind = type(value).__name__
            self.problems.append(ExportError.say_no_source(reader.place, reader.name, name, kind))

    def _star(self, name: str, value: object) -> Imported | None:
        for module in self._stars:
            if getattr(sys.modules.get(module), name, None) is value:
                return Imported(module, name, name)
        return None

    def _name_of_resource(self, wanted: str) -> str:
        for name, value in self._namespace.items():
            if isinstance(value, Resource) and value.name == wanted and name in self._makers.names:
                return name
        return wanted

    def _import(self, maker: Statement, name: str) -> None:
        node = maker.node
        if isinstance(node, ast.Import):
            for alias in node.names:
                if (alias.asname or alias.name.partition(".")[0]) == name:
                    self.slice.imports.add(Imported(alias.name, "", alias.asname or ""))
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    self.slice.imports.add(Imported(module, alias.name, name))

    # -- order --------------------------------------------------------------------------------------------------------

    def finish(self) -> Slice:
        """Put the statements in order: by kind where their needs allow it."""
        groups = {number: self._group(each) for number, each in self._needed.items()}
        order = self._sort(groups, lambda source, reader, is_now: is_now or not self._is_circle(source, reader))
        if order is None:  # functions that need each other: then as in the notebook, which did work
            order = sorted(self._needed)
        self.slice.statements = [self._needed[number] for number in order]
        self.slice.groups = groups
        return self.slice

    def _is_circle(self, source: int, reader: int) -> bool:
        return source > reader

    def _sort(self, groups: Mapping[int, str], counts: Callable[[int, int, bool], bool]) -> list[int] | None:
        after: dict[int, set[int]] = {number: set() for number in self._needed}
        for reader, sources in self._edges.items():
            for source, is_now in sources:
                if reader in after and source in after and counts(source, reader, is_now):
                    after[reader].add(source)
        for earlier, later in self._rebindings():
            after[later].add(earlier)
        ready = [(GROUPS.index(groups[n]), n) for n, needs in after.items() if not needs]
        ready.sort()
        order: list[int] = []
        while ready:
            _, number = heappop(ready)
            order.append(number)
            for reader, needs in after.items():
                if number in needs:
                    needs.discard(number)
                    if not needs:
                        heappush(ready, (GROUPS.index(groups[reader]), reader))
        return order if len(order) == len(after) else None

    def _rebindings(self) -> Iterable[tuple[int, int]]:
        """Yield pairs of which the first must stay before the second: a name is read, then bound again."""
        bound: dict[str, list[int]] = {}
        for number, statement in sorted(self._needed.items()):
            for name in statement.gives | statement.changes:
                bound.setdefault(name, []).append(number)
        for numbers in bound.values():
            yield from pairwise(numbers)
        for number, statement in self._needed.items():
            for name in statement.now:
                later = [each for each in bound.get(name, ()) if each > number]
                if later:
                    yield number, later[0]

    def _group(self, statement: Statement) -> str:
        values = [self._namespace.get(name) for name in statement.gives | statement.changes]
        if any(isinstance(value, (LazyResult, Router)) or _holds_lazy(value) for value in values):
            return "flow"
        if any(isinstance(value, Task) for value in values):
            return "tasks"
        if any(isinstance(value, Resource) for value in values):
            return "resources"
        if statement.is_definition or any(inspect.isroutine(value) or inspect.isclass(value) for value in values):
            return "helpers"
        return "inputs" if any(isinstance(value, Input) for value in values) else "values"


def _holds_lazy(value: object, depth: int = 3) -> bool:
    if isinstance(value, (LazyResult, Router)):
        return True
    if depth == 0 or not isinstance(value, (list, tuple, dict)):
        return False
    parts = value.values() if isinstance(value, dict) else value
    return any(_holds_lazy(part, depth - 1) for part in list(parts)[:100])


def _problem_of(statement: Statement) -> str:
    if statement.magic == "-o":
        return ExportError.say_result(statement.place, statement.name)
    if statement.magic:
        return ExportError.say_magic(_place_of_magic(statement), statement.magic, statement.name)
    if _awaits(statement.node):
        return ExportError.say_await(statement.place, statement.name)
    return ""


def _place_of_magic(statement: Statement) -> str:
    """Return the place of the line with the magic, which may be deep in a function."""
    for each in ast.walk(statement.node):
        if isinstance(each, ast.Name) and each.id == "get_ipython":
            shift = each.lineno - statement.node.lineno
            head, _, line = statement.place.rpartition(" ")
            return f"{head} {int(line) + shift}" if line.isdigit() else statement.place
    return statement.place


def _awaits(node: ast.AST) -> bool:
    if isinstance(node, (ast.Await, ast.AsyncFor, ast.AsyncWith)):
        return True
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        return False
    return any(_awaits(child) for child in ast.iter_child_nodes(node))


def injected_names(node: ast.AST) -> Iterable[str]:
    """Yield the names in ``cs.inject("name")``."""
    for each in ast.walk(node):
        if isinstance(each, ast.Call) and each.args and isinstance(each.args[0], ast.Constant):
            called = each.func.attr if isinstance(each.func, ast.Attribute) else getattr(each.func, "id", "")
            if called == "inject" and isinstance(each.args[0].value, str):
                yield each.args[0].value


def _is_star(statement: Statement) -> bool:
    return isinstance(statement.node, ast.ImportFrom) and statement.node.names[0].name == "*"


def _home_of(name: str, value: object) -> Imported | None:
    """Return the import that gives `value`, when it lives in a module that others can import."""
    if isinstance(value, ModuleType):
        return Imported(value.__name__, "", "" if value.__name__ == name else name)
    module, qualname = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
    if not isinstance(module, str) or module in {"__main__", "builtins"} or not str(qualname).isidentifier():
        return None
    try:
        found = getattr(importlib.import_module(module), qualname, None)
    except Exception:  # noqa: BLE001 - a module that cannot be imported is no home
        return None
    return Imported(module, qualname, name) if found is value else None


def _literal(value: object) -> str | None:
    """Return the source of a plain value, None if it has none that is short and exact."""
    if not isinstance(value, _PLAIN):
        return None
    try:
        text = repr(value)
        exact = len(text) <= _MOST_LITERAL and type(ast.literal_eval(text)) is type(value)
        return text if exact and ast.literal_eval(text) == value else None
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
