"""HTML → what it says: its text, and the first cells of its first table.

In: markup that a task displayed. Out: plain text and cells. Invariant: no markup gets through, and the work is bounded;
scripts and styles say nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

__all__ = ["Table", "read_html"]

LONGEST: Final = 200_000  # characters that are read
ROWS: Final = 6  # of a table: its header and five rows
COLUMNS: Final = 12
CELL: Final = 60
LONGEST_TEXT: Final = 2_000
_LENGTH: Final = re.compile(r"([\d,_]{1,20}) rows ×|shape: \(([\d,_]{1,20}?), ")  # how pandas and polars say it
_SILENT: Final = frozenset({"script", "style", "template", "head", "title", "noscript", "svg", "iframe", "object"})
_BLOCKS: Final = frozenset({"p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "table", "hr"})


@dataclass(frozen=True, slots=True)
class Table:
    """The first rows of a table, its header first; `more` rows are left out."""

    rows: tuple[tuple[str, ...], ...] = ()
    more: int = 0


def read_html(markup: str) -> tuple[str, Table]:
    """Return the text of `markup` and its first table.

    Example:
        >>> read_html("<b>hi</b> <script>alert(1)</script>&lt;i&gt;")[0]
        'hi <i>'
        >>> read_html("<table><tr><th>a</th></tr><tr><td>1</td></tr></table>")[1].rows
        (('a',), ('1',))
    """
    reader = _Reader()
    reader.feed(markup[:LONGEST])
    reader.close()
    lines = [" ".join(line.split()) for line in "".join(reader.text).splitlines()]
    text = "\n".join(line for line in lines if line)[:LONGEST_TEXT]
    table = reader.table()
    if table.rows and (told := _LENGTH.search(text)):  # the markup has not all rows either
        length = int(re.sub(r"\D", "", told[1] or told[2]) or 0)
        table = Table(table.rows, max(table.more, length - len(table.rows) + 1))
    return text, table


@dataclass(slots=True)
class _Cells:
    """A table while it is read; `count` counts the rows that are not kept, too."""

    rows: list[list[str]] = field(default_factory=list)
    count: int = 0
    is_open: bool = True


class _Reader(HTMLParser):
    """Collects text outside of the first table, and the cells of that."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self._silent: list[str] = []
        self._cells: _Cells | None = None
        self._depth = 0
        self._cell: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag in _SILENT:
            self._silent.append(tag)
        elif tag == "table":
            self._depth += 1
            if self._cells is None:
                self._cells = _Cells()
        elif self._depth == 1 and self._cells is not None and self._cells.is_open:
            self._start_cell(tag, self._cells)
        if tag in _BLOCKS:
            self.text.append("\n")

    def _start_cell(self, tag: str, cells: _Cells) -> None:
        if tag in {"tr", "th", "td"}:
            self._end_cell()
        if tag == "tr":
            cells.count += 1
            if cells.count <= ROWS:
                cells.rows.append([])
        elif tag in {"th", "td"}:
            self._cell = []

    def handle_endtag(self, tag: str) -> None:
        if self._silent and tag == self._silent[-1]:
            self._silent.pop()
        elif tag in {"td", "th", "tr"}:
            self._end_cell()
        elif tag == "table" and self._depth:
            self._end_cell()
            self._depth -= 1
            if self._depth == 0 and self._cells is not None:
                self._cells.is_open = False

    def _end_cell(self) -> None:
        cell, self._cell = self._cell, None
        if cell is None or self._cells is None or self._cells.count > ROWS or not self._cells.rows:
            return
        row = self._cells.rows[-1]
        if len(row) < COLUMNS:
            row.append(" ".join("".join(cell).split())[:CELL])

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        if self._cell is not None:
            self._cell.append(data)
        elif self._depth == 0 or self._cells is None:
            self.text.append(data)

    def table(self) -> Table:
        """Return the cells with rows of one length; a table of less than two rows is none."""
        self._end_cell()
        cells = self._cells
        rows = [row for row in cells.rows if row] if cells is not None else []
        if cells is None or len(rows) < 2:  # noqa: PLR2004 - a header and a row
            return Table()
        width = max(len(row) for row in rows)
        even = tuple((*row, *[""] * (width - len(row))) for row in rows)
        return Table(even, max(0, cells.count - ROWS))
