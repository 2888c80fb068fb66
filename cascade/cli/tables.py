"""Rows of text → lines with columns that stand under each other, as wide as the terminal at most.

In: cells. Out: text. Invariant: nothing in a cell steers the terminal, and wide characters count as what they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from cascade.messaging.renderer import one_line

__all__ = ["cut", "lay_out", "pad"]


def lay_out(rows: Sequence[Sequence[str]], wide: int = 0) -> str:
    """Return a table; the last column takes what room is left.

    Args:
        wide: columns of the terminal; 0: as many as it takes.

    Example:
        >>> print(lay_out([("run", "state"), ("1f3a", "running")]))
        run   state
        1f3a  running
    """
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(_columns(row[place]) for row in cells) for place in range(len(cells[0]) - 1)] if cells else []
    lines = ["  ".join([*map(pad, row, widths), row[-1]]).rstrip() for row in cells]
    return "\n".join(cut(line, wide) if wide else line for line in lines)


def pad(text: str, width: int) -> str:
    """Return `text` with blanks up to `width` columns."""
    return text + " " * max(0, width - _columns(text))


def cut(text: str, width: int) -> str:
    """Return what of `text` fits in `width` columns, with an ellipsis where something is missing.

    Example:
        >>> cut("a long line", 7), cut("short", 7)
        ('a long…', 'short')
    """
    if len(text) <= width and text.isascii():
        return text
    if _columns(text) <= width:
        return text
    kept = text[: max(0, width - 1)]
    while kept and _columns(kept) > width - 1:
        kept = kept[:-1]
    return f"{kept}…" if width > 0 else ""


def _columns(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
