"""What the history keeps of a `cs.File` → what changed in it.

In: the texts of a File in two runs, as `cascade.runtime.summary` writes them. Out: one phrase. Invariant: reads no
file: the texts say what was there when the runs looked.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["tell_file"]

_TEXT: Final = re.compile(r"(?:file|folder) (.+?)(?:, ([\d,]+) bytes)?(, missing)?(?:, digest (\w+))?", re.DOTALL)


def tell_file(before: str, after: str) -> str | None:
    """Return what changed from one File to another; None when these are no texts of Files.

    Example:
        >>> tell_file("file a.csv, 10 bytes, digest 0a1b", "file a.csv, 12 bytes, digest 77ff")
        'a.csv changed: 10 → 12 bytes, digest 0a1b → 77ff'
        >>> tell_file("file a.csv, missing", "file a.csv, 12 bytes, digest 77ff")
        'a.csv is there now: 12 bytes, digest 77ff'
    """
    old, new = _TEXT.fullmatch(before), _TEXT.fullmatch(after)
    if old is None or new is None or not before.startswith(("file ", "folder ")):
        return None
    path, size, missing, digest = new.groups()
    told = f"{old[1]} → {path}" if old[1] != path else path
    if missing:
        return f"{told} is missing"
    if old[3]:
        return f"{told} is there now: {_both('', size or '')} bytes, {_both('digest', digest or '')}"
    sizes = f"{_both('', size or '', old[2] or '')} bytes, " if size and old[2] else ""
    return f"{told} changed: {sizes}{_both('digest', digest or '?', old[4] or '?')}"


def _both(word: str, after: str, before: str = "") -> str:
    change = f"{before} → {after}" if before and before != after else after
    return f"{word} {change}".strip()
