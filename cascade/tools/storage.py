"""The store, looked at and tidied up by people.

In: a store and a word. Out: text. Invariant: `clear` and `gc` are the only ones that change anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from cascade.interfaces.exceptions import SettingError
from cascade.interfaces.protocols import Store
from cascade.messaging.catalogue import in_seconds
from cascade.runtime.run import open_store
from cascade.tools.history import ago

__all__ = ["ACTIONS", "storage"]

MOST_SHOWN: Final = 50
_UNITS: Final = {"k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_TIMES: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def storage(action: str = "size", *words: str, cache: Any = None) -> str:
    """Look at a store, or tidy it up.

    Args:
        action: ``ls [TASK]``, ``size``, ``check``, ``gc [SIZE] [AGE]`` (such as ``2GB`` and ``30d``; without them only
            what is left over goes), ``clear [TASK]``. cache: as for `run`; by default the folder ``.cascade``.

    Raises:
        SettingError: when there is no such action, with the nearest.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     storage("size", cache=folder)
        '0 results, 0 B'
    """
    function = ACTIONS.get(action)
    if function is None:
        raise SettingError.for_choice("The action on a store", action, ACTIONS)
    return function(open_store(True if cache is None else cache), words)


def _ls(store: Store, words: Sequence[str]) -> str:
    entries = store.ls(words[0] if words else None)
    if not entries:
        return "Nothing is stored."
    rows = [("task", "value", "size", "took", "when", "run")]
    for entry in entries[:MOST_SHOWN]:
        shown = entry.summary[:40] or entry.type
        rows.append(
            (entry.task, shown, _size(entry.size), in_seconds(entry.duration), ago(entry.made_at), entry.run_id)
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    rest = len(entries) - MOST_SHOWN
    return "\n".join([*lines, f"… and {rest:,} more"] if rest > 0 else lines)


def _measure(store: Store, words: Sequence[str]) -> str:
    del words
    count = len(store.ls())
    return f"{count:,} result{'' if count == 1 else 's'}, {_size(store.size())}"


def _check(store: Store, words: Sequence[str]) -> str:
    del words
    problems = store.check()
    if not problems:
        return "Everything in the store is as it was written."
    return "\n".join([f"{len(problems):,} problems; each is a miss, never a wrong value:", *map(_tell, problems)])


def _tell(problem: Any) -> str:
    return f"  {problem.kind} {problem.key[:12]}: {problem.problem}"


def _gc(store: Store, words: Sequence[str]) -> str:
    size = age = None
    for word in words:
        number, unit = _split(word)
        if unit in _TIMES and not (unit == "m" and word.endswith("M")):
            age = number * _TIMES[unit]
        elif unit.rstrip("b") in _UNITS or unit in ("", "b"):
            size = int(number * _UNITS.get(unit.rstrip("b"), 1.0))
        else:
            raise SettingError(f"'{word}' is neither a size such as 2GB nor an age such as 30d.")
    freed = store.gc(max_bytes=size, max_age=age)
    return f"{freed.entries:,} results removed, {_size(freed.size)} freed"


def _split(word: str) -> tuple[float, str]:
    digits = word.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    try:
        return float(digits), word[len(digits) :].lower()
    except ValueError:
        raise SettingError(f"'{word}' is neither a size such as 2GB nor an age such as 30d.") from None


def _clear(store: Store, words: Sequence[str]) -> str:
    count = store.clear(words[0] if words else None)
    return f"{count:,} result{'' if count == 1 else 's'} forgotten"


def _size(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:  # noqa: PLR2004 - a thousand
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


ACTIONS: Final[dict[str, Callable[[Store, Sequence[str]], str]]] = {
    "ls": _ls,
    "size": _measure,
    "check": _check,
    "gc": _gc,
    "clear": _clear,
}
