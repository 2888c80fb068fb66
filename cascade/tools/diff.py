"""Two runs → what was different.

In: the rows of two runs. Out: a `Difference`. Invariant: reads only; what is the same is counted, not listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cascade.runtime.run import open_store
from cascade.tools.history import find_run
from cascade.tools.why import compare_rows

__all__ = ["Difference", "diff"]


@dataclass(frozen=True, slots=True)
class Difference:
    """What two runs differ in; ``str()`` is a list.

    Args:
        before, after: ids of the runs. changes: phrases by node id, in the order of the second run.
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

    def __str__(self) -> str:
        """Return a line for each difference."""
        lines = [f"{self.before} → {self.after}: {self.same:,} nodes had the same code and inputs"]
        lines += [f"Param {change}" for change in self.params]
        lines += [f"{node}: {' · '.join(changes)}" for node, changes in self.changes.items()]
        lines += [f"{node}: only in {self.after}" for node in self.added]
        lines += [f"{node}: only in {self.before}" for node in self.gone]
        return "\n".join(lines)

    def __repr__(self) -> str:
        """Show the list."""
        return str(self)


def diff(before: str, after: str, *, cache: Any = None) -> Difference:
    """Say what was different between two runs.

    Args:
        before, after: ids of runs, or their beginnings. cache: as for `run`; by default ``.cascade``.

    Raises:
        ValueError: when the store does not know one of them.

    Example:
        >>> import cascade as cs
        >>> from tempfile import TemporaryDirectory
        >>> @cs.task(pure=True)
        ... def fit(degree): return degree
        >>> with TemporaryDirectory() as folder:
        ...     runs = [cs.start(fit(n), cache=folder, log_level=None) for n in (2, 3)]
        ...     _ = [run.result() for run in runs]
        ...     diff(runs[0].run_id, runs[1].run_id, cache=folder).changes
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
            if {old[node].outcome, row.outcome} - {"ran", "stored"} and old[node].outcome != row.outcome:
                found.append(f"{old[node].outcome} → {row.outcome}")
            if found:
                changes[node] = tuple(found)
    params = _params(first.facts.get("params"), second.facts.get("params"))
    added, gone = tuple([n for n in new if n not in old]), tuple([n for n in old if n not in new])
    return Difference(first.run_id, second.run_id, changes, added, gone, len(new) - len(added) - len(changes), params)


def _params(before: object, after: object) -> tuple[str, ...]:
    old, new = (each if isinstance(each, dict) else {} for each in (before, after))
    names = dict.fromkeys((*new, *old))
    return tuple([f"{n} {old.get(n, 'unset')} → {new.get(n, 'unset')}" for n in names if old.get(n) != new.get(n)])
