"""The key of code, and the parts that it is made of.

In: what the walk found. Out: frozen records that become JSON and come back. Invariant: parts explain a key, they do
not make it: what a part shows (a source, a short text of a value) may be cut or missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from cascade.identity.buffers import SIZE
from cascade.identity.errors import IdentityError

__all__ = ["ARROW", "KINDS", "CodeKey", "Part", "split_path"]

ARROW: Final = " → "
KINDS: Final = (
    "function",
    "helper",
    "constant",
    "default",
    "closure",
    "global",
    "library",
    "module",
    "class",
    "task",
    "depends_on",
    "version",
    "opaque",
    "unresolved",
)
_INLINE: Final = 80  # characters of a source beyond which it is kept once, by its digest
_NUMBER: Final = re.compile(r" \(\d+\)$")  # what tells two parts with one path apart
_LEAST, _MOST = 3, 6  # fields of a part in a list

PutText = Callable[[str], str]
GetText = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Part:
    """Something that the key of a function depends on.

    Args:
        path: how the function gets there: ``clean``, ``clean → helper``, ``clean.THRESHOLD``,
            ``clean → helper → math``.
        kind: one of `KINDS`. digest: of this part alone, in hexadecimal.
        source: its text: the lines of a function, a short form of a value, ``name version`` of a library.
        line: of the first line of `source`, from 1. file: where that stands.
    """

    path: str
    kind: str
    digest: str
    source: str = ""
    line: int = 0
    file: str = ""


@dataclass(frozen=True, slots=True)
class CodeKey:
    """The key of a function's code.

    Args:
        digest: in hexadecimal; equal for code that does the same.
        parts: what it depends on, the function first. warnings: whole sentences about what has no key.
    """

    digest: str
    parts: tuple[Part, ...]
    warnings: tuple[str, ...] = ()

    def to_dict(self, put_text: PutText | None = None) -> dict[str, Any]:
        """Return the key as plain data for JSON.

        Args:
            put_text: keeps a long source and returns the name under which `from_dict` finds it again; without it, the
                sources stand under ``texts``, each once.

        Example:
            >>> key = CodeKey("ab", (Part("f", "function", "cd", "def f(): ..."),))
            >>> CodeKey.from_dict(key.to_dict()) == key
            True
        """
        texts: dict[str, str] = {}

        def put(text: str) -> str:
            name = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=SIZE).hexdigest()
            texts[name] = text
            return name

        files: list[str] = []
        parts = [_to_list(part, put_text or put, files) for part in self.parts]
        data: dict[str, Any] = {"digest": self.digest, "parts": parts, "files": files}
        if self.warnings:
            data["warnings"] = list(self.warnings)
        if texts:
            data["texts"] = texts
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], get_text: GetText | None = None) -> CodeKey:
        """Return the key that `to_dict` wrote; a source that is not found any more is empty.

        Raises:
            IdentityError: when `data` is not what `to_dict` writes.
        """
        texts = data.get("texts", {})
        files = data.get("files", [])
        digest, parts, warnings = data.get("digest"), data.get("parts"), data.get("warnings", [])
        if not isinstance(digest, str) or not isinstance(parts, list) or not isinstance(texts, Mapping):
            raise IdentityError.for_record("digest, parts or texts are missing")
        if not isinstance(warnings, list) or not isinstance(files, list):
            raise IdentityError.for_record("files and warnings are lists")
        find = get_text or texts.get
        return cls(digest, tuple([_from_list(part, find, files) for part in parts]), tuple(map(str, warnings)))

    def __iter__(self) -> Iterator[Part]:
        """Iterate over the parts."""
        return iter(self.parts)


def split_path(path: str, known: Container[str] = ()) -> tuple[str, str]:
    """Return the path of the code in which the last step of a path is used, and the name of that step.

    Args:
        path: of a part. known: the paths of all parts, since a dot may lead to a method as well as to a name in it.

    Example:
        >>> split_path("clean → scale.THRESHOLD"), split_path("clean(n)"), split_path("clean → scale")
        (('clean → scale', 'THRESHOLD'), ('clean', 'n'), ('clean', 'scale'))
        >>> split_path("fit → Box.grow.RATE", {"fit → Box", "fit → Box.grow"})
        ('fit → Box.grow', 'RATE')
    """
    plain = _NUMBER.sub("", path)
    before, arrow, last = plain.rpartition(ARROW)
    start = len(before) + len(arrow)
    if last.endswith((")", "]")):
        cut = start + max(last.rfind("("), last.rfind("["))
        return plain[:cut], plain[cut + 1 : -1]
    dots = [start + place for place, letter in enumerate(last) if letter == "." and place]
    cut = next((dot for dot in reversed(dots) if plain[:dot] in known), dots[0] if dots else 0)
    return (plain[:cut], plain[cut + 1 :]) if cut else (before or plain, last)


def _to_list(part: Part, put: PutText, files: list[str]) -> list[Any]:
    """Return a part as a list without the fields at its end that say nothing."""
    row: list[Any] = [part.path, part.kind, part.digest]
    if part.source or part.line or part.file:
        row.append(part.source if len(part.source) <= _INLINE else [put(part.source)])
    if part.line or part.file:
        row.append(part.line)
    if part.file:
        if part.file not in files:
            files.append(part.file)
        row.append(files.index(part.file))
    return row


def _from_list(row: Any, find: GetText, files: list[Any]) -> Part:
    if (
        not isinstance(row, list)
        or not _LEAST <= len(row) <= _MOST
        or not all(isinstance(x, str) for x in row[:_LEAST])
    ):
        raise IdentityError.for_record("a part is a list that begins with path, kind and digest")
    more: list[Any] = [*row[_LEAST:], *["", 0, None][len(row) - _LEAST :]]
    source, line, place = more
    if isinstance(source, list):
        source = (find(source[0]) if source and isinstance(source[0], str) else None) or ""
    file = files[place] if isinstance(place, int) and 0 <= place < len(files) else ""
    return Part(row[0], row[1], row[2], str(source), line if isinstance(line, int) else 0, str(file))
