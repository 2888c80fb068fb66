"""The syntax tree of a cell → its names, followed in the order in which the cell runs.

In: a module. Out: `Flow`. Invariant: a name is *surely* assigned only when every way to this place assigns it; what a
loop, a branch or a handler may have assigned is *maybe* there, and reading it counts as a read.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from cascade.notebook.cell_magics import code_after_options
from cascade.notebook.name_changes import changed_by, items_of, root_of
from cascade.notebook.name_scopes import (
    Comprehension,
    Uses,
    annotations_of,
    bound_by_import,
    defaults_of,
    names_of_pattern,
    uses_of_class,
    uses_of_comprehension,
    uses_of_function,
)

__all__ = ["Flow", "follow"]

_BUILTINS = frozenset({*dir(builtins), "get_ipython", "display", "exit", "quit", "__IPYTHON__", "__file__"})
_CODE_MAGICS = frozenset({"time", "timeit", "prun", "memit", "mprun"})
_QUERIES = frozenset({"query", "eval"})
_IN_SHELL = re.compile(r"(?<!\{)\{([A-Za-z_]\w*)[^{}]*\}|\$([A-Za-z_]\w*)")
_IN_QUERY = re.compile(r"@([A-Za-z_]\w*)")


@dataclass(slots=True)
class Flow:
    """What a cell does to names; lines by name, in the order of first appearance.

    Attributes:
        reads: before they are surely assigned. unsure: those of them that the cell may have assigned itself by then.
        builtins: builtins that are read, which another cell may have given another meaning.
        gives: bound at top level. kept: those that may be bound when the cell ends. passing: bound only by a loop, a
            ``with`` or an ``except``. imports: the statement that binds the name.
        changes: probably changed in place, while they are still what the cell was given. deletes: removed.
        stars: modules of star imports.
    """

    reads: dict[str, int] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)
    builtins: dict[str, int] = field(default_factory=dict)
    gives: dict[str, int] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    passing: set[str] = field(default_factory=set)
    imports: dict[str, str] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=dict)
    deletes: dict[str, int] = field(default_factory=dict)
    stars: dict[str, int] = field(default_factory=dict)


def follow(tree: ast.Module) -> Flow:
    """Follow the statements of a cell.

    Example:
        >>> follow(ast.parse("y = 1 if x else z; print(y)")).reads
        {'x': 1, 'z': 1}
    """
    walker = _Walker()
    walker.visit_all(tree.body)
    return walker.finish()


@dataclass(slots=True)
class _State:
    """What is assigned at one place; `dead`: nothing gets here."""

    sure: set[str] = field(default_factory=set)
    maybe: set[str] = field(default_factory=set)
    dead: bool = False

    def copy(self) -> _State:
        return _State(set(self.sure), set(self.maybe), self.dead)


def _join(states: Iterable[_State]) -> _State:
    every = list(states)
    alive = [state for state in every if not state.dead]
    sure = set.intersection(*(state.sure for state in alive or every))
    return _State(sure, set().union(*(state.maybe for state in every)), dead=not alive)


class _Walker(ast.NodeVisitor):
    """Walks the top level of a cell; what is inside of functions is looked up when they are used."""

    def __init__(self) -> None:
        self.flow = Flow()
        self.state = _State()
        self.solid: set[str] = set()  # bound by more than a loop, a with or an except
        self.later: dict[str, Uses] = {}  # what functions and classes of this cell use when they run
        self.aliases: dict[str, set[str]] = {}
        self.breaks: list[list[_State]] = []

    def finish(self) -> Flow:
        flow = self.flow
        for name in list(self.later):
            for read, line in [*self.later[name].reads.items(), *self.later[name].later.items()]:
                if read not in self.state.maybe:
                    self._read(read, line)
        flow.kept = {name for name in flow.gives if name in self.state.maybe}
        flow.passing = set(flow.gives) - self.solid
        for name, line in flow.builtins.items():
            if name in flow.gives:
                flow.reads.setdefault(name, line)
        return flow

    def visit_all(self, nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            self.visit(node)

    def visit(self, node: ast.AST) -> None:
        """Note what changes, then go on as the kind of node says."""
        changed = [(name, getattr(node, "lineno", 0)) for name in changed_by(node)]
        super().visit(node)
        for name, line in changed:
            self._change(name, line)

    # -- names --------------------------------------------------------------------------------------------------------

    def _read(self, name: str, line: int) -> None:
        state, flow = self.state, self.flow
        if name not in state.sure:
            if name in state.maybe:
                if name not in flow.reads:
                    flow.reads[name] = line
                    flow.unsure.add(name)
            elif name in _BUILTINS:
                flow.builtins.setdefault(name, line)
            else:
                flow.reads.setdefault(name, line)
                flow.unsure.discard(name)
        if name in self.later and name in state.maybe:
            self._use(self.later.pop(name))

    def _use(self, uses: Uses) -> None:
        """A function of this cell may run from here on."""
        for name, line in [*uses.reads.items(), *uses.later.items()]:
            self._read(name, line)
        for name in uses.writes:
            self.state.maybe.add(name)
        for name, line in uses.changes.items():
            self._change(name, line)

    def _bind(self, name: str, line: int, *, passing: bool = False) -> None:
        self.flow.gives.setdefault(name, line)
        if not passing:
            self.solid.add(name)
        self.state.sure.add(name)
        self.state.maybe.add(name)
        self.aliases.pop(name, None)
        self.later.pop(name, None)

    def _bind_target(self, target: ast.expr, *, passing: bool = False) -> None:
        for node in ast.walk(target):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self._bind(node.id, node.lineno, passing=passing)
        self._visit_places(target)

    def _visit_places(self, target: ast.expr) -> None:
        """Visit the parts of a target that are read: ``x[k] = …`` reads ``x`` and ``k``."""
        if isinstance(target, (ast.Tuple, ast.List)):
            for each in target.elts:
                self._visit_places(each)
        elif isinstance(target, ast.Starred):
            self._visit_places(target.value)
        elif not isinstance(target, ast.Name):
            self.visit(target)

    def _change(self, name: str, line: int) -> None:
        for each in self.aliases.get(name, set()) | ({name} if name not in self.state.sure else set()):
            if each:
                self.flow.changes.setdefault(each, line)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._read(node.id, node.lineno)
        elif isinstance(node.ctx, ast.Store):
            self._bind(node.id, node.lineno)
        else:
            self._delete(node.id, node.lineno)

    def _delete(self, name: str, line: int) -> None:
        if name not in self.state.maybe:
            self._read(name, line)
        self.flow.deletes.setdefault(name, line)
        self.state.sure.discard(name)
        self.state.maybe.discard(name)

    # -- plain statements ---------------------------------------------------------------------------------------------

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        roots = {root_of(node.value)} - {""} if isinstance(node.value, ast.Name) else set()
        known = {each for root in roots for each in self.aliases.get(root, {root} - self.state.sure)}
        for target in node.targets:
            self._bind_target(target)
            if isinstance(target, ast.Name):
                self._note_value(target.id, node.value, known)

    def _note_value(self, name: str, value: ast.expr, known: set[str]) -> None:
        if known:
            self.aliases[name] = known
        if isinstance(value, ast.Lambda):
            self.later[name] = uses_of_function(value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            name = node.target.id
            self._read(name, node.lineno)
            self.visit(node.value)
            self._change(name, node.lineno)
            self._bind(name, node.lineno)
        else:
            self.visit(node.value)
            self.visit(node.target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.annotation)
        if node.value is not None:
            self.visit(node.value)
            self._bind_target(node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self._bind(node.target.id, node.lineno)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._import(alias, f"import {alias.name}" + (f" as {alias.asname}" if alias.asname else ""), node.lineno)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = "." * node.level + (node.module or "")
        if module == "__future__":
            return
        for alias in node.names:
            if alias.name == "*":
                self.flow.stars.setdefault(module, node.lineno)
                self.flow.imports.setdefault(f"{module}.*", f"from {module} import *")
            else:
                text = f"from {module} import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")
                self._import(alias, text, node.lineno)

    def _import(self, alias: ast.alias, text: str, line: int) -> None:
        name = bound_by_import(alias)
        self._bind(name, line)
        before = self.flow.imports.get(name)
        self.flow.imports[name] = text if before in {None, text} else f"{before}\n{text}"

    def _leave(self, node: ast.AST) -> None:
        self.generic_visit(node)
        self.state.dead = True

    visit_Raise = visit_Return = _leave  # noqa: N815

    def visit_Continue(self, node: ast.Continue) -> None:
        del node
        self.state.dead = True

    def visit_Break(self, node: ast.Break) -> None:
        del node
        if self.breaks:
            self.breaks[-1].append(self.state.copy())
        self.state.dead = True

    # -- branches and loops -------------------------------------------------------------------------------------------

    def _branch(self, start: _State, nodes: Iterable[ast.AST]) -> _State:
        self.state = start.copy()
        self.visit_all(nodes)
        return self.state

    def visit_If(self, node: ast.If | ast.IfExp) -> None:
        self.visit(node.test)
        body = node.body if isinstance(node.body, list) else [node.body]
        orelse = node.orelse if isinstance(node.orelse, list) else [node.orelse]
        start = self.state
        done = self._branch(start, body)
        if _is_always(node.test):
            return
        self.state = _join([done, self._branch(start, orelse)])

    visit_IfExp = visit_If  # noqa: N815

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self.visit(node.values[0])
        start = self.state
        self.state = _join([start, self._branch(start, node.values[1:])])

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        start, roots = self.state, set(items_of(node.iter))
        known = {each for root in roots for each in self.aliases.get(root, {root} - start.sure)}
        inside = _State(set(start.sure), start.maybe | _bound_in(node.body))
        self.state = inside
        self._bind_target(node.target, passing=True)
        for each in ast.walk(node.target):
            if isinstance(each, ast.Name) and known:
                self.aliases[each.id] = known
        self._finish_loop(node, start)

    visit_AsyncFor = visit_For  # noqa: N815

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        start = self.state
        self.state = _State(set(start.sure), start.maybe | _bound_in(node.body))
        is_endless = isinstance(node.test, ast.Constant) and bool(node.test.value)
        self._finish_loop(node, start, is_endless=is_endless)

    def _finish_loop(
        self, node: ast.For | ast.AsyncFor | ast.While, start: _State, *, is_endless: bool = False
    ) -> None:
        self.breaks.append([])
        self.visit_all(node.body)
        broken, ended = self.breaks.pop(), self.state
        maybe = start.maybe | ended.maybe
        if is_endless:
            self.state = _join(broken) if broken else _State(ended.sure, maybe, dead=True)
            return
        done = self._branch(_State(set(start.sure), maybe), node.orelse)
        self.state = _join([done, *(_State(each.sure & done.sure, each.maybe) for each in broken)])

    def visit_Try(self, node: ast.Try | ast.TryStar) -> None:
        start = self.state
        done = self._branch(start, [*node.body, *node.orelse])
        failed = _State(set(start.sure), done.maybe | _bound_in(node.body))
        ends = [done, *(self._branch(failed, [handler]) for handler in node.handlers)]
        after = _join(ends)
        if not node.finalbody:
            self.state = after
            return
        last = self._branch(_State(set(start.sure), set(after.maybe) | failed.maybe), node.finalbody)
        self.state = _State(after.sure | last.sure, after.maybe | last.maybe, dead=after.dead or last.dead)

    def visit_TryStar(self, node: ast.TryStar) -> None:
        self.visit_Try(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.type is not None:
            self.visit(node.type)
        if node.name:
            self._bind(node.name, node.lineno, passing=True)
        self.visit_all(node.body)
        if node.name:  # Python removes it
            self.state.sure.discard(node.name)
            self.state.maybe.discard(node.name)

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            self.visit(item.context_expr)
            if item.optional_vars is not None:
                self._bind_target(item.optional_vars, passing=True)
        start = self.state.copy()
        self.visit_all(node.body)
        if any("suppress" in ast.dump(item.context_expr) for item in node.items):
            self.state = _join([self.state, _State(start.sure, start.maybe | self.state.maybe)])

    visit_AsyncWith = visit_With  # noqa: N815

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        start = self.state
        ends = [self._branch(start, [case]) for case in node.cases]
        last = node.cases[-1]
        catches_all = isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None and last.guard is None
        self.state = _join(ends if catches_all else [*ends, start])

    def visit_match_case(self, node: ast.match_case) -> None:
        self.generic_visit(node.pattern)
        for name in names_of_pattern(node.pattern):
            self._bind(name, node.pattern.lineno)
        self.visit_all([*([node.guard] if node.guard else []), *node.body])

    # -- scopes inside ------------------------------------------------------------------------------------------------

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.visit_all([*node.decorator_list, *defaults_of(node), *annotations_of(node)])
        uses = uses_of_function(node)
        self._bind(node.name, node.lineno)
        self.later[node.name] = uses
        for name, line in uses.writes.items():
            self.flow.gives.setdefault(name, line)
            self.solid.add(name)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit_all(defaults_of(node))
        uses = uses_of_function(node)
        for name, line in [*uses.reads.items(), *uses.later.items()]:
            self._read(name, line)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.visit_all([*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)])
        uses = uses_of_class(node)
        for name, line in uses.reads.items():
            self._read(name, line)
        self._bind(node.name, node.lineno)
        self.later[node.name] = Uses(later=uses.later, writes=uses.writes, changes=uses.changes)

    def _visit_comprehension(self, node: Comprehension) -> None:
        self.visit(node.generators[0].iter)
        uses = uses_of_comprehension(node)
        for name, line in [*uses.reads.items(), *uses.later.items()]:
            self._read(name, line)
        for name, line in uses.changes.items():
            self._change(name, line)
        for name, line in uses.binds.items():
            sure = set(self.state.sure)
            self._bind(name, line)
            self.state.sure = sure

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _visit_comprehension  # noqa: N815

    # -- names in texts -----------------------------------------------------------------------------------------------

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else ""
        texts = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        if name in {"run_line_magic", "run_cell_magic"} and texts and texts[0] in _CODE_MAGICS:
            self._visit_text(code_after_options(texts[-1]), node.lineno, is_apart=texts[0] in {"timeit", "prun"})
        elif name in {"system", "getoutput"} and texts:
            self._read_all((found[1] or found[2] for found in _IN_SHELL.finditer(texts[0])), node.lineno)
        elif name in _QUERIES and texts:
            self._read_all((found[1] for found in _IN_QUERY.finditer(texts[0])), node.lineno)

    def _read_all(self, names: Iterable[str], line: int) -> None:
        for name in names:
            self._read(name, line)

    def _visit_text(self, text: str, line: int, *, is_apart: bool) -> None:
        """Follow the code after ``%time``; that of ``%timeit`` runs in a namespace of its own."""
        try:
            tree = ast.parse(text)
        except SyntaxError:
            return
        ast.increment_lineno(tree, line - 1)
        gives, state = dict(self.flow.gives), self.state.copy()
        self.visit_all(tree.body)
        if is_apart:
            self.flow.gives, self.state = gives, state


def _is_always(test: ast.expr) -> bool:
    """Whether the test of an `if` holds in a notebook: ``__name__ == "__main__"`` does."""
    if isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id == "__name__":
        other = test.comparators[0]
        return isinstance(test.ops[0], ast.Eq) and isinstance(other, ast.Constant) and other.value == "__main__"
    return isinstance(test, ast.Constant) and test.value is True


def _bound_in(nodes: Iterable[ast.stmt]) -> set[str]:
    """Return the names that statements bind, wherever in them; too many only makes more maybe."""
    walker = _Walker()
    walker.visit_all(nodes)
    return set(walker.flow.gives)
