"""A slice → the text of a module.

In: imports and statements in order. Out: Python that passes ruff's default rules as far as the user's own statements
do. Invariant: what the module computes is what the statements compute; only imports are put together, lambdas that
have a name become functions, and blank lines are set.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import groupby, pairwise
from shlex import quote
from typing import Final

from cascade.tools.export_slice import Imported, Slice
from cascade.tools.export_source import Statement

__all__ = ["Ending", "write_module"]

WIDTH: Final = 100
MOST_VALUE: Final = 80
_HEADINGS: Final = {"inputs": "inputs", "resources": "resources", "tasks": "tasks", "flow": "the flow"}


@dataclass(frozen=True, slots=True)
class Ending:
    """How the module ends.

    Args:
        file: its name. title: of the flow. expression: the target. given: Params as the notebook set them, without
            secrets. capacities: of the notebook's run.
    """

    file: str
    title: str
    expression: str
    given: Mapping[str, str] = field(default_factory=dict)
    capacities: Mapping[str, float] = field(default_factory=dict)


def write_module(found: Slice, ending: Ending) -> tuple[str, str]:
    """Return the text of the module, and the name under which it holds the target."""
    taken = {name for each in found.statements for name in each.gives} | {i.name or i.module for i in found.imports}
    imports = set(found.imports)
    kit = _name_of_kit(imports, taken)
    variable = _free_name(ending.expression, taken)
    parts = ["\n\n".join([_docstring(ending), *_waivers(found.statements), *_write_imports(imports)])]
    if found.literals:
        parts.append("\n".join(f"{name} = {text}" for name, text in sorted(found.literals.items())))
    parts += _write_statements(found)
    if variable != ending.expression:
        has_flow = any(found.groups[each.number] == "flow" for each in found.statements)
        line = f"{variable} = {_wrap(ending.expression, variable)}"
        parts.append(line if has_flow else f"{_heading('flow')}\n{line}")
    parts.append(f'if __name__ == "__main__":\n    {kit}.cli({variable}{_capacities(ending.capacities)})()')
    return _lay_out(parts), variable


def _docstring(ending: Ending) -> str:
    options = "".join(
        f" --{name.replace('_', '-')} {quote(text)}" for name, text in ending.given.items() if _fits(name, text)
    )
    lines = [
        f'"""{_plain(ending.title)}, exported from a notebook with cascade.',
        "",
        "Run it, or see which values it takes:",
        "",
        f"    python {ending.file}{options}",
        f"    python {ending.file} --help",
        '"""',
    ]
    return "\n".join(lines)


def _waivers(statements: Iterable[Statement]) -> list[str]:
    """Tell linters what is meant: marks such as ``cs.inject("db")`` stand as defaults on purpose."""
    for each in statements:
        for node in ast.walk(each.node):
            if isinstance(node, ast.arguments) and any(
                _calls(default) for default in (*node.defaults, *node.kw_defaults)
            ):
                return ["# ruff: noqa: B008 - cs.inject, cs.Param and lazy results are made to stand as defaults"]
    return []


def _calls(node: ast.expr | None) -> bool:
    return node is not None and any(isinstance(each, ast.Call) for each in ast.walk(node))


def _plain(text: str) -> str:
    shown = "".join(c if c.isprintable() and c not in '\\"' else " " for c in text).strip()[:60] or "A workflow"
    return shown[0].upper() + shown[1:]


def _fits(name: str, text: str) -> bool:
    """Whether a Param can stand in a docstring as it is written on a command line."""
    return name.isidentifier() and text.isprintable() and len(text) <= MOST_VALUE and not set(text) & set('\\"')


def _capacities(capacities: Mapping[str, float]) -> str:
    if not capacities:
        return ""
    amounts = {name: int(amount) if amount == int(amount) else amount for name, amount in capacities.items()}
    inside = ", ".join(f"{_string(name)}: {amount}" for name, amount in amounts.items())
    return f", system_resources={{{inside}}}"


def _string(text: str) -> str:
    shown = repr(text)
    return f'"{shown[1:-1]}"' if shown.startswith("'") and '"' not in shown else shown


def _name_of_kit(imports: set[Imported], taken: Iterable[str]) -> str:
    """Return the name of the package in the module; import it if nothing does."""
    for each in sorted(imports):
        if each.module == "cascade" and not each.attribute:
            return each.name or "cascade"
    name = "cs" if "cs" not in set(taken) else "cascade"
    imports.add(Imported("cascade", "", name if name != "cascade" else ""))
    return name


def _free_name(expression: str, taken: Iterable[str]) -> str:
    if expression.isidentifier():
        return expression
    used = set(taken)
    return next(name for name in ("target", "flow", "whole_flow", "cascade_target") if name not in used)


def _wrap(expression: str, variable: str) -> str:
    """Return an expression that stays valid on the right of ``=``: one of several lines gets brackets."""
    if "\n" not in expression and len(expression) + len(variable) + 3 <= WIDTH:
        return expression
    try:
        ast.parse(f"{variable} = {expression}")
    except SyntaxError:
        inside = "\n".join(f"    {line.strip()}" for line in expression.splitlines())
        return f"(\n{inside}\n)"
    return expression


# -- imports ----------------------------------------------------------------------------------------------------------


def _write_imports(imports: Iterable[Imported]) -> list[str]:
    """Return blocks: the future, the standard library, installed packages, the user's own modules."""
    listed = sorted(imports, key=_import_order)
    blocks = []
    for _, members in groupby(listed, key=lambda each: _section(each.module)):
        lines = []
        for (module, has_names), same in groupby(members, key=lambda each: (each.module, bool(each.attribute))):
            if not has_names:
                lines += [f"import {module}{f' as {each.name}' if each.name else ''}" for each in same]
                continue
            names = [
                each.attribute if each.attribute == each.name else f"{each.attribute} as {each.name}" for each in same
            ]
            line = f"from {module} import {', '.join(names)}"
            if len(line) > 88:  # noqa: PLR2004 - what formatters take for a full line
                line = f"from {module} import (\n" + "".join(f"    {name},\n" for name in names) + ")"
            lines.append(line)
        blocks.append("\n".join(lines))
    return blocks


def _import_order(each: Imported) -> tuple[object, ...]:
    """As linters sort: whole modules first, then by module; of names, constants, classes and the rest."""
    name = each.attribute
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    return _section(each.module), bool(name), each.module.lower(), each.module, kind, name.lower(), name, each.name


def _section(module: str) -> int:
    top = module.partition(".")[0]
    if top == "__future__":
        return 0
    if top in sys.stdlib_module_names:
        return 1
    return 3 if not top or _is_users(top) else 2


def _is_users(top: str) -> bool:
    """Whether a module lies beside the notebook and not among the installed ones."""
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return True
    places = [str(spec.origin or "")] + [str(p) for p in spec.submodule_search_locations or ()] if spec else []
    return top != "cascade" and not any("site-packages" in place or "dist-packages" in place for place in places)


# -- statements -------------------------------------------------------------------------------------------------------


def _write_statements(found: Slice) -> list[str]:
    parts: list[str] = []
    shown: set[str] = set()
    for statement in found.statements:
        group = found.groups[statement.number]
        text = _as_function(statement) or statement.text.expandtabs(4).strip("\n")
        if group in _HEADINGS and group not in shown:
            text = f"{_heading(group)}\n{text}" if not _is_block(text) else f"{_heading(group)}\n\n{text}"
        shown.add(group)
        parts.append(text)
    return parts


def _heading(group: str) -> str:
    return f"# {_HEADINGS[group]}\n"


def _as_function(statement: Statement) -> str:
    """Return ``name = lambda …`` as a function, which tells its name in tracebacks; empty for anything else."""
    node = statement.node
    if not (isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.value, ast.Lambda)):
        return ""
    name = node.targets[0]
    if not isinstance(name, ast.Name):
        return ""
    return f"def {name.id}({ast.unparse(node.value.args)}):\n    return {ast.unparse(node.value.body)}"


def _lay_out(parts: Sequence[str]) -> str:
    """Put two blank lines around definitions, and one where it gets airy otherwise."""
    made = parts[0]
    for before, part in pairwise(parts):
        wide = _is_block(before) or _is_block(part) or part.startswith('if __name__ == "__main__"')
        first = before is parts[0]
        wide = wide and not (first and part != _without_heading(part))  # as linters want it below imports
        airy = first or part.startswith("#") or "\n" in part or "\n" in _without_heading(before)
        gap = "\n\n\n" if wide else "\n\n" if airy else "\n"
        made += gap + part
    return made.rstrip() + "\n"


def _without_heading(part: str) -> str:
    return next(
        (part.removeprefix(_heading(group)).lstrip("\n") for group in _HEADINGS if part.startswith(_heading(group))),
        part,
    )


def _is_block(part: str) -> bool:
    body = ast.parse(part).body
    return bool(body) and isinstance(body[-1], (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
