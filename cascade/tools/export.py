"""Cells → one clean module with a command line.

In: the cells that ran, their names, a target. Out: a file. Invariant: nothing is overwritten unasked, a file is there
whole or not at all, and what cannot be written down is an error that names the cell.

Only what the target needs is kept: the statements of the user, found by following names back from the target.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cascade.interfaces.leaving_errors import ExportError
from cascade.tools.export_slice import cut
from cascade.tools.export_source import Cell, read_cells, read_names
from cascade.tools.export_write import Ending, write_module

__all__ = ["Exported", "export", "export_text"]


@dataclass(frozen=True, slots=True)
class Exported:
    """A module that was written.

    Args:
        path: of the file. text: what is in it. variable: the name of the target in it. counts: statements by group.
    """

    path: Path
    text: str
    variable: str
    counts: Mapping[str, int]

    def __str__(self) -> str:
        """Say what was written, and how to run it."""
        words = {"tasks": "task", "helpers": "helper", "inputs": "Param", "resources": "resource"}
        told = [f"{self.counts[group]} {word}{'' if self.counts[group] == 1 else 's'}"
                for group, word in words.items() if self.counts.get(group)]  # fmt: skip
        lines = self.text.count("\n")
        holds = f": {', '.join(told)}; {lines} lines" if told else f": {lines} lines"
        return f"Wrote {self.path.name}{holds}. Run it: python {self.path.name} --help"


def export(
    target: str,
    path: str | os.PathLike[str],
    *,
    cells: Iterable[Cell] | None = None,
    namespace: Mapping[str, Any] | None = None,
    before: str = "",
    force: bool = False,
    given: Mapping[str, str] | None = None,
    capacities: Mapping[str, float] | None = None,
) -> Exported:
    r"""Write what `target` needs as a module of its own.

    Args:
        target: an expression, such as ``report`` or ``report(clean(load()))``. path: of the file, ending in ``.py``.
        cells: the code, in the order in which it ran; by default the script that runs.
        namespace: the names that it made; by default those of the script.
        before: the label of the cell at whose end the target was meant; by default, now.
        force: overwrite the file. given: Params to show in the file's own help, without secrets.
        capacities: of the runs that the file makes, by name.

    Raises:
        ExportError: with everything that cannot be written down, or because the file cannot be written.

    Example:
        >>> code = "import cascade as cs\n@cs.task\ndef one(): return 1"
        >>> names = {}
        >>> exec(code, names)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     made = export("one()", f"{folder}/flow.py", cells=[Cell("In[1]", code)], namespace=names)
        >>> made.variable, made.counts
        ('target', {'tasks': 1})
    """
    file = Path(path)
    if file.suffix != ".py":
        raise ExportError.for_suffix(str(path))
    if file.exists() and not force:
        raise ExportError.for_existing(str(path))
    if cells is None or namespace is None:
        main = sys.modules["__main__"]
        source = Path(str(getattr(main, "__file__", "") or os.devnull))
        cells = [Cell(source.name, source.read_text(encoding="utf-8"))]
        namespace = vars(main)
    ending = Ending(file.name, file.stem.replace("_", " "), target, given or {}, capacities or {})
    made = export_text(ending, cells, namespace, before)
    _write(file, made[0], force=force)
    return Exported(file, *made)


def export_text(
    ending: Ending, cells: Iterable[Cell], namespace: Mapping[str, Any], before: str = ""
) -> tuple[str, str, dict[str, int]]:
    """Return the text of a module, the name of its target, and how many statements of each group it has.

    Raises:
        ExportError: with everything that cannot be written down.
    """
    statements = read_cells(cells)
    target = read_names(ending.expression)
    if before:
        ran = [each.number for each in statements if each.cell == before]
        if ran:
            target = read_names(ending.expression, number=max(ran) + 1)
    found = cut(statements, target, namespace)
    text, variable = write_module(found, ending)
    compile(text, ending.file, "exec", dont_inherit=True)  # a fault of ours is better met here than by the user
    return text, variable, {group: found.count(group) for group in set(found.groups.values())}


def _write(file: Path, text: str, *, force: bool) -> None:
    """Write beside the file, then rename: whoever looks sees the old one or the new one."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{file.stem}-", suffix=".tmp", dir=file.parent)
    except OSError as error:
        raise ExportError.for_folder(str(file), error.strerror or type(error).__name__) from None
    beside = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        beside.chmod(0o666 & ~_umask())
        if force:
            beside.replace(file)
        else:
            _place(beside, file)
    except FileExistsError:
        raise ExportError.for_existing(str(file)) from None
    except OSError as error:
        raise ExportError.for_folder(str(file), error.strerror or type(error).__name__) from None
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _place(beside: Path, file: Path) -> None:
    """Give the file its name unless someone else took it meanwhile."""
    try:
        file.hardlink_to(beside)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        beside.replace(file)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
