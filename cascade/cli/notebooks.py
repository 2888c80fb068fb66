"""A notebook file → the names that its cells define, without Jupyter.

In: an .ipynb file. Out: a namespace. Invariant: cells run in their order as plain Python; of a ``%%cascade`` cell the
body runs and its last expression becomes a target instead of a run; magics and shell lines do nothing; a cell that
plain Python cannot stand for is an error that says so.
"""

from __future__ import annotations

import ast
import json
import linecache
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

from cascade.cli.codes import CommandError

__all__ = ["load_notebook"]

_TOP_LEVEL_AWAIT: Final = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def load_notebook(path: Path) -> dict[str, Any]:
    """Run the cells of a notebook and return their names; the last one is called ``cell_N`` where it has no name.

    Raises:
        CommandError: when the file is no notebook, or has ``%%cascade task`` cells.
    """
    module = ModuleType("notebook")
    module.__file__ = str(path)
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[module.__name__] = module
    names = vars(module)
    for number, source in _cells(path):
        is_target = source.startswith("%%cascade")
        if is_target and source.split(maxsplit=2)[1:2] == ["task"]:
            raise CommandError(
                f"Cell {number} of '{path.name}' is a %%cascade task, which only a notebook can run. "
                "Write the pipeline to a file with %cascade export flow.py, and name that."
            )
        if source.startswith("%%") and not is_target:
            continue  # another program's cell
        _run_cell(path, number, source, names, is_target=is_target)
    return names


def _cells(path: Path) -> Iterator[tuple[int, str]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        cells = [cell for cell in found["cells"] if cell["cell_type"] == "code"]
        texts = ["".join(cell["source"]) for cell in cells]
    except OSError as error:
        raise CommandError(f"'{path.name}' cannot be read: {error.strerror or error}.") from None
    except (ValueError, KeyError, TypeError):
        raise CommandError(f"'{path.name}' is not a notebook of the form that Jupyter writes today.") from None
    yield from enumerate(texts, 1)


def _run_cell(path: Path, number: int, source: str, names: dict[str, Any], *, is_target: bool) -> None:
    options, _, body = source.partition("\n") if is_target else ("", "", source)
    text = _as_python(body)
    file = f"{path.name}, cell {number}"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)  # for tracebacks
    tree = ast.parse(text, file)
    before = set(names)
    last = tree.body.pop() if is_target and tree.body and isinstance(tree.body[-1], ast.Expr) else None
    _execute(compile(tree, file, "exec", _TOP_LEVEL_AWAIT), names)
    if last is not None and isinstance(last, ast.Expr):
        value = eval(compile(ast.Expression(last.value), file, "eval"), names)  # noqa: S307 - the user's own cell
        _name(names, number, value, is_new=set(names) - before)
    elif is_target and (wanted := options.split()[1:2]) and wanted[0].isidentifier() and wanted[0] in names:
        _name(names, number, names[wanted[0]], is_new=set())


def _name(names: dict[str, Any], number: int, value: Any, *, is_new: set[str]) -> None:
    """Give a target its name: the one that it has, else ``cell_N``; either way it is now the last one."""
    has = next((name for name, known in names.items() if known is value and not name.startswith("_")), None)
    name = has or f"cell_{number}"
    if name not in is_new:
        names.pop(name, None)
    names[name] = value


def _as_python(text: str) -> str:
    """Return the text of a cell, with ``pass`` for the lines that only IPython understands, if there are any."""
    try:
        ast.parse(text)
    except SyntaxError:
        return "\n".join(map(_without_magic, text.splitlines()))
    return text


def _without_magic(line: str) -> str:
    stripped = line.lstrip()
    if stripped.startswith(("%", "!", "?")) or re.fullmatch(r"[\w.]+\?{1,2}\s*", stripped):
        return f"{line[: len(line) - len(stripped)]}pass"
    return line


def _execute(code: CodeType, names: dict[str, Any]) -> None:
    from inspect import CO_COROUTINE

    made = eval(code, names)  # noqa: S307 - the user's own cell
    if code.co_flags & CO_COROUTINE:
        import asyncio

        asyncio.run(made)
