"""The text of a cell → the names it reads, gives and changes.

In: Python source; IPython syntax goes through the shell's transform first. Out: `Names`. Invariant: nothing is run;
a name counts as read when it may be looked up before this cell has surely assigned it.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Names", "find_names"]


@dataclass(frozen=True, slots=True)
class Names:
    """What a cell does to the names of the notebook; each tuple is in the order of first appearance.

    Attributes:
        reads: looked up before they are surely assigned here, or inside functions, classes and comprehensions as
            globals. Builtins are left out, unless this cell assigns them too.
        gives: bound at top level, in any way that Python has; names that begin with an underscore are the cell's own.
        imports: those of `gives` that an import binds; a star import stands as ``module.*``.
        mutates: those of `reads` whose values are probably changed in place.
        deletes: removed with ``del``.
    """

    reads: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    mutates: tuple[str, ...] = ()
    deletes: tuple[str, ...] = ()


def find_names(source: str) -> Names:
    """Return what the cell with this source reads, gives and changes.

    Args:
        source: plain Python; top-level await may stand in it.

    Raises:
        SyntaxError: when it is none.

    Example:
        >>> names = find_names("total = sum(rows); rows.append(total)")
        >>> names.reads, names.gives, names.mutates
        (('rows',), ('total',), ('rows',))
    """
    import ast

    from cascade.notebook.name_flow import follow

    flow = follow(ast.parse(source))
    return Names(
        tuple(flow.reads),
        tuple(name for name in flow.gives if not name.startswith("_")),
        tuple(name for name in flow.imports if not name.startswith("_")),
        tuple(name for name in flow.changes if name in flow.reads),
        tuple(flow.deletes),
    )
