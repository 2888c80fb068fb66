"""Two texts of a function → the line that changed.

In: the lines as they were and as they are. Out: the first `Edit`. Invariant: comments, blank lines, docstrings and the
way in which lines are broken are no edits, as they are none for the key.
"""

from __future__ import annotations

import io
import re
import textwrap
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

__all__ = ["Edit", "first_edit"]

_LONGEST: Final = 40  # characters of a word that is shown
_SILENT: Final = frozenset({tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER})
_BREAKS: Final = frozenset({tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT})
_PLAIN_WORD: Final = re.compile(r"\w+|[^\w\s]+")


@dataclass(frozen=True, slots=True)
class Edit:
    """What changed first.

    Args:
        line: in the new text, from 1. before, after: the words, where one was replaced by one.
        more: how many other lines changed.
    """

    line: int
    before: str = ""
    after: str = ""
    more: int = 0


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    line: int


def first_edit(before: str, after: str) -> Edit | None:
    r"""Return the first edit between two texts, None when they say the same.

    Example:
        >>> first_edit("def f(x):\n    return x * 0.3", "def f(x):  # much\n    return x * 0.4")
        Edit(line=2, before='0.3', after='0.4', more=0)
    """
    old, new = _words(before), _words(after)
    matcher = SequenceMatcher(None, [word.text for word in old], [word.text for word in new], autojunk=False)
    steps = [step for step in matcher.get_opcodes() if step[0] != "equal"]
    if not steps:
        return None
    lines: list[int] = []
    for _, _, _, first, last in steps:
        lines.extend(word.line for word in new[first : max(last, first + 1)] or new[-1:])
    line = lines[0] if lines else 1
    more = len(set(lines)) - 1 if lines else 0
    _, start, end, first, last = steps[0]
    if end - start == 1 and last - first == 1 and len(steps) == 1:
        was, now = _short(old[start].text), _short(new[first].text)
        return Edit(line, was, now) if was and now else Edit(line)
    return Edit(line, more=more)


def _short(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _words(source: str) -> list[_Word]:
    """Return the words of a text that Python would read; of a piece that is no whole statement, all of them."""
    try:
        return list(_python_words(textwrap.dedent(source)))
    except (tokenize.TokenError, SyntaxError):
        lines = enumerate(source.splitlines(), 1)
        return [_Word(word, number) for number, line in lines for word in _PLAIN_WORD.findall(line)]


def _python_words(source: str) -> Iterator[_Word]:
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(source + "\n").readline) if t.type not in _SILENT]
    skipped = -1
    for place, token in enumerate(tokens):
        is_first = place == 0 or tokens[place - 1].type in _BREAKS
        is_alone = is_first and place + 1 < len(tokens) and tokens[place + 1].type == tokenize.NEWLINE
        if is_alone and (token.type == tokenize.STRING or token.string == "pass"):
            skipped = place + 1  # a docstring, or another line that does nothing, with its end
        elif place != skipped:
            text = f"<{tokenize.tok_name[token.type]}>" if token.type in _BREAKS else token.string
            yield _Word(text, token.start[0])
