"""The text of a statement → its parts: where values belong, and where they do not.

In: SQL with ``$name`` or ``:name``. Out: a `Statement`. Invariant: what stands in quotes and comments is left alone,
and there is one statement; a value never becomes part of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from cascade.providers.sql_errors import SqlError

__all__ = ["Statement", "read_statement"]

_NAME: Final = re.compile(r"[^\W\d]\w*")
_PARTS: Final = re.compile(
    r"""
      (?<![\w$])[eE]'(?:\\.|''|[^'\\])*'            # a text with escapes
    | '(?:''|[^'])*'                                # a text
    | "(?:""|[^"])*" | `(?:``|[^`])*`               # names in quotes
    | --[^\n]* | /\*.*?\*/                          # comments
    | (?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$  # a text between dollars
    | ::                                            # a cast
    | (?<![\w$])\$(?P<dollar>[^\W\d]\w*)(?!\w|\$)
    | (?<![\w:\]])(?P<colon>:(?P<word>[^\W\d]\w*))(?![\w:])
    | (?P<end>;)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT: Final = re.compile(r"(?s)--[^\n]*|/\*.*?\*/")
_IN: Final = re.compile(r"(?i)\bin\s*$")
_FILE_AFTER: Final = re.compile(r"(?i)\b(?:from|join)\s*$")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, cut where values belong.

    Attributes:
        text: as it was written. parts: texts, and between them names: one more text than names.
        names: of the values, in their order; one may come again. files: texts in quotes that stand where a table does.
    """

    text: str
    parts: tuple[str, ...]
    names: tuple[str, ...]
    files: tuple[str, ...]

    def render(self, place: Callable[[str, bool], str], escape: Callable[[str], str] = str) -> str:
        """Return the text with what `place` says for each name; it is told whether the name stands after ``in``.

        Example:
            >>> read_statement("select * from t where a = $a and b in $b", {"a", "b"}).render(lambda n, many: f":{n}")
            'select * from t where a = :a and b in :b'
        """
        pieces = [escape(self.parts[0])]
        for name, before, after in zip(self.names, self.parts, self.parts[1:], strict=False):
            pieces += (place(name, bool(_IN.search(before))), escape(after))
        return "".join(pieces)

    def check(self, given: Collection[str]) -> None:
        """Say what is asked for and not given, or given and not asked for.

        Raises:
            SqlError: when there is such a name.
        """
        asked = set(self.names)
        if missing := asked - set(given):
            raise SqlError.for_missing(missing, given)
        if unused := set(given) - asked:
            raise SqlError.for_unused(unused, asked)


def read_statement(text: object, given: Collection[str]) -> Statement:
    """Cut a statement.

    Args:
        text: SQL. given: names that have values; ``:name`` counts only when it is one of them, ``$name`` always.

    Raises:
        SqlError: when it is no text, or more than one statement.

    Example:
        >>> read_statement("select '$a', x::int from t where y > $y", {"y"}).names
        ('y',)
    """
    if not isinstance(text, str) or not text.strip() or "\0" in text or any("\ud800" <= c <= "\udfff" for c in text):
        raise SqlError.for_text(text)  # also what has halves of characters, which no database takes
    for name in given:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise SqlError.for_name(name)
    end = _end_of(text)
    parts: list[str] = []
    names: list[str] = []
    files: list[str] = []
    start = 0
    for found in _PARTS.finditer(text, 0, end):
        asked = found["dollar"] or (found["word"] if found["word"] in given else None)
        if asked is not None:
            parts.append(text[start : found.start()])
            names.append(asked)
            start = found.end()
        elif found[0].startswith("'") and _FILE_AFTER.search(text[start : found.start()]):
            files.append(found[0][1:-1].replace("''", "'"))
    return Statement(text, (*parts, text[start:end]), tuple(names), tuple(files))


def _end_of(text: str) -> int:
    """Return where the statement ends; refuse a second one."""
    end = next((found.start() for found in _PARTS.finditer(text) if found["end"]), len(text))
    if _COMMENT.sub("", text[end:]).strip("; \t\r\n"):
        raise SqlError.for_several(text)
    return end
