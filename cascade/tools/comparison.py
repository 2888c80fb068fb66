"""Values made here and there → node by node, the same or not.

In: likenesses of the nodes of one run, by id, from two places. Out: a `Comparison` that shows itself as text and as a
table. Invariant: ``same`` is said only when the whole content is equal; where only a short text of a value is known,
it says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cascade.graph.markup import Markup, element
from cascade.tools.likeness import Likeness, first_difference

__all__ = ["Comparison", "Row", "compare", "table"]

WORDS: Final = ("same", "looks the same", "differs", "fails", "missing", "not compared")
SIGNS: Final = {"same": "✓", "looks the same": "✓", "differs": "≠", "fails": "✕", "missing": "✕", "not compared": "–"}
MOST_ROWS: Final = 200
_MOST_TEXT: Final = 160


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one node: one of `WORDS`, and why in a few words."""

    name: str
    word: str
    why: str = ""

    @property
    def is_good(self) -> bool:
        """Whether nothing speaks against it."""
        return self.word in {"same", "looks the same", "not compared"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """The nodes of one run, compared.

    Args:
        title: what was compared. rows: of the nodes. notes: sentences that belong to none of them.
    """

    title: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether every node is the same as far as can be told."""
        return all(row.is_good for row in self.rows)

    def headline(self) -> str:
        """Return ``report: 3 same, 1 differs``."""
        counts = {word: sum(row.word == word for row in self.rows) for word in WORDS}
        told = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)
        return f"{self.title}: {told or 'nothing to compare'}"

    def __str__(self) -> str:
        """Return the headline, a line for each node, and the notes."""
        width = max((len(row.name) for row in self.rows), default=0)
        kind = max((len(row.word) for row in self.rows), default=0)
        shown = _worst_first(self.rows)
        lines = [f"  {SIGNS[r.word]} {r.name:<{width}}  {r.word:<{kind}}  {r.why}".rstrip() for r in shown]
        rest = len(self.rows) - len(shown)
        return "\n".join([self.headline(), *lines, *([f"  and {rest:,} more"] if rest else []), *self.notes])

    def to_html(self) -> Markup:
        """Return a small table; signs and words tell the same."""
        shown = [(f"{SIGNS[row.word]} {row.word}", row.name, row.why) for row in _worst_first(self.rows)]
        notes = [element("p", {"style": "margin:2px 0"}, note) for note in self.notes]
        head = element("p", {"style": "margin:6px 0 2px"}, element("b", None, self.headline()))
        return element("div", None, head, table(("verdict", "node", "what is known"), shown), *notes)

    def _repr_mimebundle_(
        self,
        include: object = None,  # noqa: ARG002 - as IPython calls it
        exclude: object = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Show the table in a notebook."""
        return {"text/plain": str(self), "text/html": str(self.to_html())}


def compare(title: str, here: Mapping[str, Likeness], there: Mapping[str, Likeness], failed: Mapping[str, str],
            names: tuple[str, str] = ("here", "there"), notes: Sequence[str] = ()) -> Comparison:  # fmt: skip
    """Compare the nodes of one run.

    Args:
        here, there: what is known of values, by node. failed: errors over there, by node.
        names: of the two places, for the reasons.

    Example:
        >>> one, two = Likeness.of(1), Likeness.of(2)
        >>> print(compare("report", {"load": one, "clean": one}, {"load": one, "clean": two}, {}))
        report: 1 same, 1 differs
          ≠ clean  differs  1 here, 2 there
          ✓ load   same     1
    """
    nodes = dict.fromkeys([*here, *there, *failed])
    rows = tuple(_row(node, here.get(node), there.get(node), failed.get(node), names) for node in nodes)
    return Comparison(title, rows, tuple(notes))


def _row(node: str, here: Likeness | None, there: Likeness | None, failed: str | None, names: tuple[str, str]) -> Row:
    if failed is not None:
        return Row(node, "fails", failed[:_MOST_TEXT])
    if there is None:
        return Row(node, "missing", f"it has a value {names[0]}, none {names[1]}")
    if here is None:
        return Row(node, "not compared", f"{there.summary} {names[1]}; its value {names[0]} is not known")
    if here.is_keyed and there.is_keyed:
        if here.key == there.key:
            return Row(node, "same", there.summary)
        return Row(node, "differs", first_difference(here, there, names=names)[:_MOST_TEXT])
    if here.summary != there.summary or (here.head and there.head and here.head != there.head):
        return Row(node, "differs", first_difference(here, there, names=names)[:_MOST_TEXT])
    if not here.summary:
        return Row(node, "not compared", f"its value {names[0]} is not kept")
    return Row(node, "looks the same", here.summary)


def _worst_first(rows: Sequence[Row]) -> list[Row]:
    """Return what needs attention first, and no more than anyone reads."""
    return sorted(rows, key=lambda row: row.is_good)[:MOST_ROWS]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    """Return a table of texts, none of them trusted as markup."""
    style = {"style": "text-align:left;vertical-align:top;padding:2px 8px"}
    titles = element("tr", None, *(element("th", {**style, "scope": "col"}, title) for title in head))
    first = {"style": f"{style['style']};white-space:nowrap"}
    lines = [
        element("tr", None, *(element("td", style if place else first, text) for place, text in enumerate(row)))
        for row in rows
    ]
    return element("table", {"style": "border-collapse:collapse"}, element("thead", None, titles),
                   element("tbody", None, *lines))  # fmt: skip
