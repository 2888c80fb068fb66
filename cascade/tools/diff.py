"""Two runs → what was different.

In: the rows of two runs. Out: a `Difference`. Invariant: reads only; what is the same is counted, not listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cascade.runtime.run import open_store
from cascade.tools.history import find_run, run_word
from cascade.tools.items import tell_elements
from cascade.tools.why import compare_rows

__all__ = ["Difference", "diff"]


@dataclass(frozen=True, slots=True)
class Difference:
    """What two runs differ in; ``str()`` is a list.

    Args:
        before, after: ids of the runs. numbers: of the two, 0 where one has none.
        changes: phrases by node id, in the order of the second run.
        added, gone: ids of nodes that only one of them has. same: how many nodes had the same code and inputs.
        params: phrases such as ``limit 5 → 6``.
    """

    before: str
    after: str
    changes: dict[str, tuple[str, ...]]
    added: tuple[str, ...]
    gone: tuple[str, ...]
    same: int
    params: tuple[str, ...]
    numbers: tuple[int, int] = (0, 0)

    def __str__(self) -> str:
        """Return a line for each difference."""
        before, after = run_word(self.before, self.numbers[0]), run_word(self.after, self.numbers[1])
        same = "1 node had" if self.same == 1 else f"{self.same:,} nodes had"
        lines = [f"{before} → {after}: {same} the same code and inputs"]
        lines += [f"Param {change}" for change in self.params]
        lines += [f"{node}: {' · '.join(changes)}" for node, changes in self.changes.items()]
        lines += [f"{node}: only in {after}" for node in self.added]
        lines += [f"{node}: only in {before}" for node in self.gone]
        return "\n".join(lines)

    def __repr__(self) -> str:
        """Show the list."""
        return str(self)


def diff(before: int | str, after: int | str, *, cache: Any = None) -> Difference:
    """Say what was different between two runs.

    Args:
        before, after: numbers of runs, or their ids, or the beginnings of these.
        cache: as for `run`; by default ``.cascade``.

    Raises:
        ValueError: when the store does not know one of them.

    Example:
        >>> import cascade as cs
        >>> from tempfile import TemporaryDirectory
        >>> @cs.task(pure=True)
        ... def fit(degree): return degree
        >>> with TemporaryDirectory() as folder:
        ...     _ = [cs.run(fit(n), cache=folder, log_level=None) for n in (2, 3)]
        ...     diff(1, 2, cache=folder).changes
        {'fit': ('degree 2 → 3',)}
    """
    store = open_store(True if cache is None else cache)
    first, second = find_run(store, before), find_run(store, after)
    old = {row.node: row for row in store.nodes(first.run_id)}
    new = {row.node: row for row in store.nodes(second.run_id)}
    changes: dict[str, tuple[str, ...]] = {}
    for node, row in new.items():
        if node in old:
            found = compare_rows(store, old[node], row)
            found = found or tell_elements(store, old[node], row)
            if {old[node].outcome, row.outcome} - {"ran", "stored"} and old[node].outcome != row.outcome:
                found.append(f"{old[node].outcome} → {row.outcome}")
            if found:
                changes[node] = tuple(found)
    params = _params(first.facts.get("params"), second.facts.get("params"))
    added, gone = tuple([n for n in new if n not in old]), tuple([n for n in old if n not in new])
    same = len(new) - len(added) - len(changes)
    numbers = first.number, second.number
    return Difference(first.run_id, second.run_id, changes, added, gone, same, params, numbers)


def _params(before: object, after: object) -> tuple[str, ...]:
    old, new = (each if isinstance(each, dict) else {} for each in (before, after))
    names = dict.fromkeys((*new, *old))
    return tuple([f"{n} {old.get(n, 'unset')} → {new.get(n, 'unset')}" for n in names if old.get(n) != new.get(n)])
