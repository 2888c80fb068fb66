"""The store, looked at and tidied up by people.

In: a store and a word. Out: text. Invariant: only `clear`, `gc` and `limit` change anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from cascade.interfaces.exceptions import SettingError
from cascade.interfaces.naming import clip, nearest
from cascade.interfaces.protocols import Store
from cascade.interfaces.records import StorePart
from cascade.messaging.catalogue import in_seconds
from cascade.runtime.run import open_store
from cascade.tools.history import ago, is_unsayable
from cascade.tools.sizes import UNITS, in_bytes

__all__ = ["ACTIONS", "storage"]

MOST_SHOWN: Final = 50
_MOST_WORDS: Final = {"ls": 1, "size": 0, "check": 0, "gc": 2, "limit": 2, "clear": 1}
_TAKES: Final = {
    "ls": "It takes one task.",
    "size": "It takes none.",
    "check": "It takes none.",
    "gc": "It takes a size and an age, such as 2GB 30d.",
    "limit": "It takes a size and an age, such as 2GB 30d.",
    "clear": "It takes one task; without one, all results go.",
}
LARGEST: Final = 1e15  # of a size or an age in its unit: beyond what there is
_TIMES: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def storage(action: str = "size", *words: str, cache: Any = None) -> str:
    """Look at a store, or tidy it up.

    Args:
        action: ``ls [TASK]``, ``size``, ``check``, ``gc [SIZE] [AGE]`` (such as ``2GB`` and ``30d``: results that were
            not used for longest go, and runs that made nothing that stays; without them only what is left over goes),
            ``limit [SIZE] [AGE]`` (the same, after each run, as long as the store is open), ``clear [TASK]``.
        cache: as for `run`; by default the folder ``.cascade``.

    Raises:
        SettingError: when there is no such action, with the nearest; for words that it does not take.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     storage("size", cache=folder)
        '0 results, 0 B'
    """
    function = ACTIONS.get(action)
    if function is None:
        raise SettingError.for_choice("The action on a store", action, ACTIONS)
    if len(words) > _MOST_WORDS[action]:
        raise SettingError(f"'{clip(words[_MOST_WORDS[action]])}' is one word too many for {action}. {_TAKES[action]}")
    store = open_store(True if cache is None else cache)
    told, fault = function(store, words), getattr(store, "off", None)
    return f"{told}\n{fault}" if fault and fault not in told else told


def _ls(store: Store, words: Sequence[str]) -> str:
    entries = store.ls(words[0] if words else None) if not any(map(is_unsayable, words)) else []
    if not entries:
        return f"Nothing is stored{_hint(store, words)}" if words else "Nothing is stored."
    rows = [("task", "value", "size", "took", "when", "run")]
    numbers = store.run_numbers(list({entry.run_id for entry in entries[:MOST_SHOWN]}))
    for entry in entries[:MOST_SHOWN]:
        shown = entry.summary[:40] or entry.type
        run = str(numbers.get(entry.run_id) or entry.run_id)
        rows.append((entry.task, shown, in_bytes(entry.size), in_seconds(entry.duration), ago(entry.made_at), run))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    rest = len(entries) - MOST_SHOWN
    return "\n".join([*lines, f"… and {rest:,} more"] if rest > 0 else lines)


def _hint(store: Store, words: Sequence[str]) -> str:
    """Return that there is nothing of a task, with the name that may be meant."""
    known = {entry.task for entry in store.ls()}
    return f" of a task '{clip(words[0])}'.{nearest(words[0], known)}"


def _measure(store: Store, words: Sequence[str]) -> str:
    del words
    results, *parts = store.parts() or [StorePart("results", 0, 0)]
    told = f"{results.count:,} result{'' if results.count == 1 else 's'}, {in_bytes(results.size)}"
    rows = [(part.name, f"{part.count:,}", in_bytes(part.size)) for part in parts if part.count]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(2)]
    return "\n".join([told, *(f"  {n:<{widths[0]}}  {c:>{widths[1]}}  {size}" for n, c, size in rows)])


def _check(store: Store, words: Sequence[str]) -> str:
    del words
    problems = store.check()
    if not problems:
        return "Everything in the store is as it was written."
    return "\n".join([f"{len(problems):,} problems; each is a miss, never a wrong value:", *map(_tell, problems)])


def _tell(problem: Any) -> str:
    return f"  {problem.kind} {problem.key[:12]}: {problem.problem}"


def _gc(store: Store, words: Sequence[str]) -> str:
    size, age = _limits(words)
    freed = store.gc(max_bytes=size, max_age=age)
    counts = (("run", freed.runs), ("text", freed.texts), ("claim", freed.claims))
    beside = "".join(f", {count:,} {name}{'' if count == 1 else 's'}" for name, count in counts if count)
    return f"{freed.entries:,} results removed{beside}, {in_bytes(freed.size)} freed"


def _limit(store: Store, words: Sequence[str]) -> str:
    """Set limits that the store keeps after each run, as long as it is open; ``none`` takes them away."""
    if not hasattr(store, "max_bytes") or not hasattr(store, "max_age"):
        raise SettingError(f"{store!r} keeps no limits. Clean it up with gc, or by the means of its backend.")
    if words:
        store.max_bytes, store.max_age = (None, None) if list(words) == ["none"] else _limits(words)
    told = [f"at most {in_bytes(store.max_bytes)}"] if store.max_bytes is not None else []
    told += [f"nothing older than {in_seconds(store.max_age)}"] if store.max_age is not None else []
    if not told:
        return "There are no limits. Set some: limit 2GB 30d."
    return f"In this session the store keeps {' and '.join(told)}, after each run."


def _limits(words: Sequence[str]) -> tuple[int | None, float | None]:
    """Return the bytes and the seconds that words such as ``2GB`` and ``30d`` say."""
    size: int | None = None
    age: float | None = None
    for word in words:
        number, unit = _split(word)
        if unit in _TIMES and not (unit == "m" and word.endswith("M")):
            age = number * _TIMES[unit]
        elif unit.rstrip("b") in UNITS or unit in ("", "b"):
            size = int(number * UNITS.get(unit.rstrip("b"), 1.0))
        else:
            raise SettingError(f"'{clip(word)}' is neither a size such as 2GB nor an age such as 30d.")
    return size, age


def _split(word: str) -> tuple[float, str]:
    digits = word.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    try:
        number = float(digits)
        if number > LARGEST:
            raise ValueError  # noqa: TRY301 - not a number of bytes or of anything else
        return number, word[len(digits) :].lower()
    except ValueError:
        raise SettingError(f"'{clip(word)}' is neither a size such as 2GB nor an age such as 30d.") from None


def _clear(store: Store, words: Sequence[str]) -> str:
    count = store.clear(words[0] if words else None) if not any(map(is_unsayable, words)) else 0
    told = f"{count:,} result{'' if count == 1 else 's'} forgotten"
    return f"{told}: nothing is stored{_hint(store, words)}" if words and not count else told


ACTIONS: Final[dict[str, Callable[[Store, Sequence[str]], str]]] = {
    "ls": _ls,
    "size": _measure,
    "check": _check,
    "gc": _gc,
    "limit": _limit,
    "clear": _clear,
}
